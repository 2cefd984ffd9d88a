"""Configuration of a group-irrep descriptor."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from gnnspin.descriptors.base import DescriptorConfig
from gnnspin.descriptors.irreps.neighborhood import LatticeTemplate
from gnnspin.systems import SpinSystem

#: Values that give the review's 1806 features on the triangular lattice with a cutoff of 3 lattice constants.
PAPER_TRIANGULAR: dict[str, Any] = {
    "pairs": "all",
    "triples": "centre",
    "identity": "squared",
    "phases": "paper",
    "bispectrum": "references",
    "bispectrum_references": 2,
}


class GroupIrrepsConfig(DescriptorConfig):
    """Symmetry-adapted invariants of bonds and chiralities on a lattice; the cutoff is the graph's."""

    kind: Literal["group_irreps"] = "group_irreps"
    lattice: LatticeTemplate | None = Field(
        default=None, description="unit cell the descriptor is made for; `for_system` fills it in"
    )
    pairs: Literal["all", "centre"] = Field(
        default="all", description="bonds between all spins within the cutoff, or those of the centre alone"
    )
    pair_range: float | None = Field(
        default=None, gt=0, description="largest distance between the members of a bond; default: no limit"
    )
    pair_shells: int | None = Field(
        default=None, ge=1, description="the same limit, as a number of neighbour shells of the lattice"
    )
    triples: Literal["all", "centre", "none"] = Field(
        default="centre", description="chiralities of all triples within the cutoff, of those with the centre, or none"
    )
    triple_range: float | None = Field(
        default=None, gt=0, description="largest side of a triple; the shortest choice keeps elementary triangles"
    )
    triple_shells: int | None = Field(
        default=None, ge=1, description="the same limit, as a number of neighbour shells of the lattice"
    )
    identity: Literal["linear", "squared"] = Field(
        default="linear",
        description="coefficients that are invariant already enter as they are, or squared like all others",
    )
    phases: Literal["smooth", "paper", "none"] = Field(
        default="smooth", description="inner products with reference coefficients: plain, normalised, or none"
    )
    phase_references: int = Field(
        default=1, ge=1, description="independent references per irrep for phases, at most as many as its dimension"
    )
    bispectrum: Literal["none", "references", "orbits"] = Field(
        default="references",
        description="triple products of references, or of every orbit's coefficients with two references",
    )
    bispectrum_references: int = Field(
        default=1, ge=1, description="independent references per irrep for the bispectrum, likewise"
    )
    time_reversal: bool = Field(default=True, description="only features that are even under reversal of all spins")

    @classmethod
    def for_system(cls, system: SpinSystem, **values: Any) -> GroupIrrepsConfig:
        """Configuration for the lattice of `system`; `values` are the other fields.

        Raises
        ------
        InvalidInput
            If the system has no lattice.
        """
        return cls(lattice=LatticeTemplate.of(system), **values)
