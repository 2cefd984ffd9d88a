"""Group-irrep descriptor of a lattice site: bonds and chiralities reduced by the site's point group."""

from gnnspin.descriptors.irreps.config import PAPER_TRIANGULAR, GroupIrrepsConfig
from gnnspin.descriptors.irreps.counting import FeatureChoice, nearest_feature_counts
from gnnspin.descriptors.irreps.descriptor import GroupIrreps
from gnnspin.descriptors.irreps.table import IrrepsTable

__all__ = [
    "PAPER_TRIANGULAR",
    "FeatureChoice",
    "GroupIrreps",
    "GroupIrrepsConfig",
    "IrrepsTable",
    "nearest_feature_counts",
]
