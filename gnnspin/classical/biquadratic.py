"""Biquadratic exchange."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gnnspin.classical.bonds import share_among_sites, shell_bond_list, shell_couplings
from gnnspin.classical.term import ClassicalTerm
from gnnspin.systems.system import SpinSystem


class Biquadratic(ClassicalTerm, kind="biquadratic"):
    """E = -sum_bonds B_s (S_i . S_j)^2, each bond once; positive B favours collinear spins, negative B right angles.

    Parameters
    ----------
    system : SpinSystem
        Where the spins sit; shells are those of each part of a union.
    B : float or sequence of float
        Coupling of the nearest neighbours, or of every neighbour shell, nearest first.
    device : torch.device or str
        Where the term is computed.
    dtype : torch.dtype
        Precision of the evaluation.

    Raises
    ------
    InvalidInput
        If `B` is empty or not finite.
    """

    def __init__(
        self,
        system: SpinSystem,
        B: float | Sequence[float] = 1.0,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__(system, device, dtype)
        shells = shell_couplings(B, "B")
        self.B = tuple(shells.tolist())
        bonds = shell_bond_list(system, n_shells=len(shells))
        self._pairs = self._tensor(bonds.pairs)
        self._couplings = self._tensor(shells[bonds.shell])

    def site_energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        products = (spins[:, self._pairs[:, 0]] * spins[:, self._pairs[:, 1]]).sum(-1)
        return share_among_sites(-self._couplings * products.square(), self._pairs, self.system.n_sites)
