"""Products of two bonds."""

from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.classical.bonds import checked_clusters, checked_couplings, share_among_sites
from gnnspin.classical.term import ClassicalTerm
from gnnspin.systems.system import SpinSystem


class FourSpin(ClassicalTerm, kind="four_spin"):
    """E = -sum_q K_q (S_i . S_j)(S_k . S_l) over the given quadruples (i, j, k, l).

    The four-spin term of Shi, Zhang, Chern (metallic spin glass, eq. 14) with the opposite sign, that of `Heisenberg`:
    positive K favours bonds of equal sign.

    Parameters
    ----------
    system : SpinSystem
        Where the spins sit.
    quadruples : (Q, 4)
        Sites i, j, k, l; sites may coincide.
    K : float or (Q,)
        Coupling of all quadruples, or of each.
    device : torch.device or str
        Where the term is computed.
    dtype : torch.dtype
        Precision of the evaluation.

    Raises
    ------
    InvalidInput
        If a site does not exist, a quadruple joins different parts of a union, or K has the wrong shape.
    """

    def __init__(
        self,
        system: SpinSystem,
        quadruples: ArrayLike,
        K: ArrayLike = 1.0,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__(system, device, dtype)
        self.quadruples = checked_clusters(quadruples, 4, system, "quadruples")
        self.K = checked_couplings(K, len(self.quadruples), "K")
        self._sites = self._tensor(self.quadruples)
        self._couplings = self._tensor(self.K)

    def site_energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        i, j, k, m = (spins[:, column] for column in self._sites.T)
        energies = -self._couplings * (i * j).sum(-1) * (k * m).sum(-1)
        return share_among_sites(energies, self._sites, self.system.n_sites)
