"""Haldane's hopping between second neighbours: flux without a net magnetic field."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import numpy as np

from gnnspin.core.errors import InvalidInput
from gnnspin.electrons.hopping.rules import HoppingRule, Hops, hops_on_bonds
from gnnspin.graphs.shells import Bonds, shell_bonds
from gnnspin.systems.system import FloatArray, IntArray, SpinSystem


@dataclass(frozen=True)
class HaldaneHopping(HoppingRule, kind="haldane"):
    """h_ij = -t2 exp(i phase nu_ij) between second neighbours; add it to `NearestNeighborHopping`.

    nu_ij is +1 if the way from j to i over their common nearest neighbour turns left, -1 if it turns right, and 0 if
    there is no such way or one of each, as on the square and triangular lattices. Flux +-phase threads triangles and
    none the whole cell: time reversal and mirrors are broken, their product, translations and proper rotations are not
    (unless the phase is a multiple of pi). On the honeycomb lattice at half filling, without spins, the Chern number is
    +-1 for each direction of the electron's spin.

    Parameters
    ----------
    t2 : float
        Amplitude in units of the hopping.
    phase : float
        In radians.
    axis : three floats, optional
        Direction from which turns are seen. Default: the system's polar axis, else z.

    Raises
    ------
    InvalidInput
        If a value is not finite or the axis has no direction.

    Notes
    -----
    F. D. M. Haldane, Phys. Rev. Lett. 61, 2015 (1988), doi:10.1103/PhysRevLett.61.2015.
    """

    t2: float
    phase: float = pi / 2
    axis: tuple[float, float, float] | None = None

    translation = True
    has_onsite = False
    n_shells = 2

    def __post_init__(self) -> None:
        for name in ("t2", "phase"):
            if not np.isfinite(getattr(self, name)):
                raise InvalidInput(f"{name}={getattr(self, name)} must be a finite number")
        if self.axis is not None:
            axis = np.asarray(self.axis, dtype=np.float64)
            if axis.shape != (3,) or not np.isfinite(axis).all() or not axis.any():
                raise InvalidInput(f"axis={self.axis} must be a vector of three numbers with a direction")
            object.__setattr__(self, "axis", tuple(axis.tolist()))

    def part_hops(self, system: SpinSystem) -> Hops:
        axis = np.array([0.0, 0.0, 1.0]) if system.polar_axis is None else system.polar_axis
        bonds = shell_bonds(system, 2)
        second = Bonds(
            *(values[bonds.shell == 1] for values in (bonds.site, bonds.neighbor, bonds.shell, bonds.vector))
        )
        turns = _turns(bonds, second, axis if self.axis is None else np.array(self.axis))
        return hops_on_bonds(second, -self.t2 * np.exp(1j * self.phase * turns))


def _turns(bonds: Bonds, second: Bonds, axis: FloatArray) -> IntArray:
    """Sign of the turns (E,) on all ways from ``neighbor`` to ``site`` of `second` over a common nearest neighbour."""
    first = np.flatnonzero(bonds.shell == 0)
    first = first[np.argsort(bonds.site[first], kind="stable")]
    count = np.bincount(bonds.site[first], minlength=int(second.site.max(initial=0)) + 1)
    start = np.cumsum(count) - count
    way = np.repeat(np.arange(len(second.site)), count[second.site])
    within = np.arange(len(way)) - np.repeat(np.cumsum(count[second.site]) - count[second.site], count[second.site])
    middle = bonds.vector[first[start[second.site[way]] + within]]  # from the site to the middle one
    length = np.linalg.norm(bonds.vector[first], axis=1).max(initial=0.0)
    arrival = second.vector[way] - middle  # from the middle one to the neighbour
    joined = np.abs(np.linalg.norm(arrival, axis=1) - length) < 1e-6 * length
    left = np.sign(np.round(np.cross(arrival, middle) @ axis / (length**2 * np.linalg.norm(axis)), 9))
    return np.sign(np.bincount(way, left * joined, len(second.site))).astype(np.int64)
