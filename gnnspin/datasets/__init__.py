"""Labelled spin configurations: the HDF5 store and readers of published sets, behind one interface."""

from gnnspin.datasets import published
from gnnspin.datasets.conventions import ConventionWarning
from gnnspin.datasets.in_memory import LabelsInMemory
from gnnspin.datasets.joined import JoinedLabels
from gnnspin.datasets.label_store import LabelStore
from gnnspin.datasets.labels import Label, LabelSet, LabelSubset, StackedLabels
from gnnspin.datasets.own import from_arrays
from gnnspin.datasets.splits import holdout, k_folds, open_labels

__all__ = [
    "ConventionWarning",
    "JoinedLabels",
    "Label",
    "LabelSet",
    "LabelStore",
    "LabelSubset",
    "LabelsInMemory",
    "StackedLabels",
    "from_arrays",
    "holdout",
    "k_folds",
    "open_labels",
    "published",
]
