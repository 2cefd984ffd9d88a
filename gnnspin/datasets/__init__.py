"""Labelled spin configurations: the HDF5 store and readers of published sets, behind one interface."""

from gnnspin.datasets import published
from gnnspin.datasets.joined import JoinedLabels
from gnnspin.datasets.label_store import LabelStore
from gnnspin.datasets.labels import Label, LabelSet, LabelSubset, StackedLabels
from gnnspin.datasets.splits import holdout, k_folds, open_labels

__all__ = [
    "JoinedLabels",
    "Label",
    "LabelSet",
    "LabelStore",
    "LabelSubset",
    "StackedLabels",
    "holdout",
    "k_folds",
    "open_labels",
    "published",
]
