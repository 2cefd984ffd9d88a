"""How far a field source is from the symmetries of its system: spin rotation, time reversal, space."""

from gnnspin.force_fields.symmetries import (
    SourceSymmetries,
    SymmetryOperation,
    source_symmetries,
    symmetry_violations,
)
from gnnspin.systems.operations import site_permutation

__all__ = [
    "SourceSymmetries",
    "SymmetryOperation",
    "site_permutation",
    "source_symmetries",
    "symmetry_violations",
]
