"""Exchange on an explicit list of bonds, isotropic or anisotropic."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.classical.bonds import checked_clusters, share_among_sites
from gnnspin.classical.term import ClassicalTerm
from gnnspin.core.errors import InvalidInput
from gnnspin.systems.system import FloatArray, SpinSystem


class BondExchange(ClassicalTerm, kind="bond_exchange"):
    """E = -sum_b S_i^T J_b S_j over the given bonds (i, j); H_i = sum J_b S_j, H_j = sum J_b^T S_i.

    The antisymmetric part of J_b is a Dzyaloshinskii-Moriya term, the traceless symmetric part a pseudo-dipolar or
    Kitaev term.

    Parameters
    ----------
    system : SpinSystem
        Where the spins sit.
    bonds : (B, 2)
        Ends i and j of every bond; a pair may appear more than once, its couplings then add.
    J : float, (B,), (3, 3) or (B, 3, 3)
        Exchange, or exchange matrix (row: component of S_i), for all bonds or for each; with three bonds a (3, 3)
        array is one matrix for all.
    device : torch.device or str
        Where the term is computed.
    dtype : torch.dtype
        Precision of the evaluation.

    Raises
    ------
    InvalidInput
        If a site does not exist, a bond joins different parts of a union, or J has the wrong shape or is not finite.
    """

    def __init__(
        self,
        system: SpinSystem,
        bonds: ArrayLike,
        J: ArrayLike = 1.0,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__(system, device, dtype)
        self.bonds = checked_clusters(bonds, 2, system, "bonds")
        self.J = _matrices(J, len(self.bonds))
        self._pairs = self._tensor(self.bonds)
        self._matrices = self._tensor(self.J)

    def site_energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        first, second = spins[:, self._pairs[:, 0]], spins[:, self._pairs[:, 1]]
        energies = -torch.einsum("rba,bac,rbc->rb", first, self._matrices, second)
        return share_among_sites(energies, self._pairs, self.system.n_sites)


def _matrices(J: ArrayLike, n_bonds: int) -> FloatArray:
    values = np.asarray(J, dtype=np.float64)
    if values.shape not in ((), (n_bonds,), (3, 3), (n_bonds, 3, 3)):
        raise InvalidInput(f"J has shape {values.shape}; give (), ({n_bonds},), (3, 3) or ({n_bonds}, 3, 3)")
    if not np.isfinite(values).all():
        raise InvalidInput("J contains values that are not finite")
    if values.shape in ((), (n_bonds,)):
        values = np.broadcast_to(values, (n_bonds,))[:, None, None] * np.eye(3)
    return np.broadcast_to(values, (n_bonds, 3, 3)).copy()
