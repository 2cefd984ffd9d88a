"""Complex hopping: uniform magnetic fields and twisted boundary conditions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gnnspin.core.errors import InvalidInput
from gnnspin.electrons.hopping.rules import HoppingRule, Hops, NearestNeighborHopping
from gnnspin.systems.system import FloatArray, IntArray, SpinSystem

#: Largest accepted deviation of the number of flux quanta through a torus from an integer.
FLUX_TOLERANCE = 1e-9


def orbital_fractions(rule: HoppingRule, system: SpinSystem) -> FloatArray:
    """Position of every orbital's site (M, 3) in units of the cell vectors."""
    return np.repeat(system.positions @ np.linalg.inv(system.cell), rule.orbitals(system), axis=0)


def crossings(hops: Hops, fractions: FloatArray, system: SpinSystem) -> IntArray:
    """How often each hop crosses each boundary of the cell, (E, 3): the image of `column` lies that many cells away."""
    cells = fractions[hops.row] - fractions[hops.column] + hops.vector @ np.linalg.inv(system.cell)
    return np.where(system.pbc, np.round(cells), 0).astype(np.int64)


class WrappedHopping(HoppingRule):
    """Hops of another rule with phases; what phases do not touch is as it is there."""

    hopping: HoppingRule

    def __post_init__(self) -> None:
        if not self.hopping.has_bond_vectors:
            raise InvalidInput(
                f"{self.hopping} does not say which periodic image an amplitude joins and takes no phases; "
                "give a hopping rule, such as CellHopping"
            )

    @classmethod
    def completed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Nearest-neighbour hopping where a mapping names none."""
        return {"hopping": NearestNeighborHopping(), **values}

    def orbitals(self, system: SpinSystem) -> IntArray:
        return self.hopping.orbitals(system)

    @property
    def translation(self) -> bool:
        return self.hopping.translation

    @property
    def acts_on_spin(self) -> bool:
        return self.hopping.acts_on_spin

    @property
    def has_onsite(self) -> bool:
        return self.hopping.has_onsite

    @property
    def has_infinite_range(self) -> bool:
        return self.hopping.has_infinite_range

    @property
    def n_shells(self) -> int | None:
        return self.hopping.n_shells


@dataclass(frozen=True)
class PeierlsHopping(WrappedHopping, kind="peierls"):
    """A uniform magnetic field in the orbital motion: every amplitude gains ``exp(i int A . dl)`` along the hop.

    The field points along the third cell vector. With u, v the coordinates in units of the first two cell vectors and
    Phi the flux through the face they span, ``A = 2 pi Phi u grad(v)`` in units of the flux quantum; a hop that crosses
    a boundary of u gains the magnetic translation's phase. On a torus Phi must be an integer.

    Parameters
    ----------
    hopping : HoppingRule
        Amplitudes without the field.
    flux : float
        Flux quanta through one primitive cell of a lattice (the face of its first two vectors: one plaquette of the
        square lattice, two triangles of the triangular lattice); through the whole cell of any other system.

    Raises
    ------
    InvalidInput
        If `flux` is not finite; when applied to a system that is periodic in both directions across the field and
        through which the flux is not an integer.

    Notes
    -----
    R. Peierls, Z. Phys. 80, 763 (1933), doi:10.1007/BF01342591.
    """

    hopping: HoppingRule
    flux: float

    #: Loops around a torus enclose a flux that depends on where they run: sites differ, unless ``total_flux`` is a
    #: multiple of both lengths. Far from boundaries, quantities that no such loop enters are the same everywhere.
    translation = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not np.isfinite(self.flux):
            raise InvalidInput(f"flux={self.flux} must be a finite number of flux quanta per cell")

    def total_flux(self, system: SpinSystem) -> float:
        """Flux quanta through the face of the first two cell vectors."""
        cells = int(np.prod(system.lattice_shape[:2])) if system.lattice_shape else 1
        total = float(self.flux) * cells
        if not (system.pbc[0] and system.pbc[1]):
            return total
        if abs(total - round(total)) > FLUX_TOLERANCE * max(1.0, abs(total)):
            raise InvalidInput(
                f"flux={self.flux} puts {total:.6g} flux quanta through a periodic cell, which must hold an integer; "
                f"use a multiple of 1/{cells}, or an open boundary"
            )
        return float(round(total))

    def part_hops(self, system: SpinSystem) -> Hops:
        total = self.total_flux(system)
        hops = self.hopping.part_hops(system)
        fractions = orbital_fractions(self.hopping, system)
        step = hops.vector @ np.linalg.inv(system.cell)
        middle = fractions[hops.row, 0] + step[:, 0] / 2
        crossed = crossings(hops, fractions, system)[:, 0]
        turns = total * (crossed * fractions[hops.column, 1] - middle * step[:, 1])
        return hops.times(np.exp(2j * np.pi * turns))


@dataclass(frozen=True)
class TwistedHopping(WrappedHopping, kind="twisted"):
    """Twisted boundary conditions ``psi(r + A_k) = exp(i theta_k) psi(r)`` along the cell vectors A_k.

    A hop across boundary k gains ``exp(i theta_k)``; the levels are those of the infinite system at the crystal
    momentum with ``k . A_k = theta_k``.

    Parameters
    ----------
    hopping : HoppingRule
        Amplitudes with periodic boundaries.
    phases : three floats
        theta_k in radians.

    Raises
    ------
    InvalidInput
        If there are not three finite phases; when applied to a system that is open along a direction with a phase.
    """

    hopping: HoppingRule
    phases: tuple[float, float, float]

    def __post_init__(self) -> None:
        super().__post_init__()
        values = np.asarray(self.phases, dtype=np.float64)
        if values.shape != (3,) or not np.isfinite(values).all():
            raise InvalidInput(f"phases={self.phases} must be three finite numbers, one per cell vector")
        object.__setattr__(self, "phases", tuple(values.tolist()))

    def part_hops(self, system: SpinSystem) -> Hops:
        if any(phase and not periodic for phase, periodic in zip(self.phases, system.pbc, strict=True)):
            raise InvalidInput(f"phases={self.phases} twist an open boundary: pbc={system.pbc}; set those phases to 0")
        hops = self.hopping.part_hops(system)
        crossed = crossings(hops, orbital_fractions(self.hopping, system), system)
        return hops.times(np.exp(1j * (crossed @ np.array(self.phases))))
