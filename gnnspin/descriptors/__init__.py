"""Descriptors of a site's magnetic environment: invariants of bonds and chiralities."""

from gnnspin.descriptors.base import Descriptor
from gnnspin.descriptors.irreps import GroupIrreps, GroupIrrepsConfig
from gnnspin.descriptors.magnetic_acsf import MagneticACSF, MagneticACSFConfig

__all__ = ["Descriptor", "GroupIrreps", "GroupIrrepsConfig", "MagneticACSF", "MagneticACSFConfig"]
