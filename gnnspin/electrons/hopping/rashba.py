"""Rashba spin-orbit hopping."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gnnspin.core.errors import InvalidInput
from gnnspin.electrons.hopping.rules import HoppingRule, Hops, hops_on_bonds
from gnnspin.graphs.shells import shell_bonds
from gnnspin.systems.system import SpinSystem

#: Pauli matrices (3, 2, 2).
PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


@dataclass(frozen=True)
class RashbaHopping(HoppingRule, kind="rashba"):
    """``i strength n . (sigma x d_ij) c+_i c_j`` on nearest-neighbour bonds, with d_ij the unit vector from i to j.

    On the square lattice in the xy plane with n = z it is ``H(k) = 2 strength (sigma_y sin k_x - sigma_x sin k_y)``.
    Invariant under time reversal. Add it to the hopping that conserves spin.

    Parameters
    ----------
    strength : float
        In units of the hopping.
    axis : three floats, optional
        Direction n in which up and down differ, normalised here. Default: the system's polar axis, else z.

    Raises
    ------
    InvalidInput
        If `strength` is not finite or the axis has no direction.

    Notes
    -----
    Yu. A. Bychkov and E. I. Rashba, J. Phys. C 17, 6039 (1984), doi:10.1088/0022-3719/17/33/015; lattice form of
    C. L. Kane and E. J. Mele, Phys. Rev. Lett. 95, 146802 (2005), eq. 1, doi:10.1103/PhysRevLett.95.146802.
    """

    strength: float
    axis: tuple[float, float, float] | None = None

    time_reversal = translation = acts_on_spin = True
    has_onsite = False
    n_shells = 1

    def __post_init__(self) -> None:
        if not np.isfinite(self.strength):
            raise InvalidInput(f"strength={self.strength} must be a finite amplitude")
        if self.axis is None:
            return
        axis = np.asarray(self.axis, dtype=np.float64)
        if axis.shape != (3,) or not np.isfinite(axis).all() or not axis.any():
            raise InvalidInput(f"axis={self.axis} must be a vector of three numbers with a direction")
        object.__setattr__(self, "axis", tuple(axis.tolist()))

    def part_hops(self, system: SpinSystem) -> Hops:
        bonds = shell_bonds(system)
        axis = np.array([0.0, 0.0, 1.0]) if system.polar_axis is None else system.polar_axis
        axis = axis if self.axis is None else np.array(self.axis)
        direction = bonds.vector / np.linalg.norm(bonds.vector, axis=1, keepdims=True)
        # n . (sigma x d) = sigma . (d x n)
        vector = np.cross(direction, axis / np.linalg.norm(axis))
        return hops_on_bonds(bonds, 1j * self.strength * np.einsum("ex,xab->eab", vector, PAULI))
