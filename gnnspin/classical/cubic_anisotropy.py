"""Single-ion anisotropy of cubic symmetry."""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.classical.bonds import checked_couplings
from gnnspin.classical.term import ClassicalTerm
from gnnspin.systems.system import SpinSystem


class CubicAnisotropy(ClassicalTerm, kind="cubic_anisotropy"):
    """E = sum_i K_i (x^2 y^2 + y^2 z^2 + z^2 x^2), S = (x, y, z): easy cube axes for K > 0, body diagonals for K < 0.

    Parameters
    ----------
    system : SpinSystem
        Where the spins sit; the cube axes are x, y and z.
    K : float or (N,)
        Strength for all sites or for each, in units of the energy.
    device : torch.device or str
        Where the term is computed.
    dtype : torch.dtype
        Precision of the evaluation.

    Raises
    ------
    InvalidInput
        If `K` has the wrong shape or is not finite.
    """

    def __init__(
        self,
        system: SpinSystem,
        K: ArrayLike,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__(system, device, dtype)
        self.K = checked_couplings(K, system.n_sites, "K")
        self._strength = self._tensor(self.K)

    def site_energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        squares = spins.square()
        return self._strength * (squares * squares.roll(1, -1)).sum(-1)
