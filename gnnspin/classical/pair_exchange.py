"""Isotropic exchange over a list of directed neighbours; the common part of Heisenberg and RKKY."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from gnnspin.classical.term import ClassicalTerm
from gnnspin.systems.system import FloatArray, IntArray, SpinSystem


class PairExchange(ClassicalTerm):
    """E = -1/2 sum_ij J_ij S_i . S_j over directed neighbours (i, j); H_i = sum_j J_ij S_j.

    Parameters
    ----------
    system : SpinSystem
    site, neighbor : (E,)
        Both directions of every bond, sorted by `site`.
    exchange : (E,)
        J_ij = J_ji; positive favours parallel spins.
    device : torch.device or str
    """

    def __init__(
        self,
        system: SpinSystem,
        site: IntArray,
        neighbor: IntArray,
        exchange: FloatArray,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(system, device)
        starts = np.searchsorted(site, np.arange(system.n_sites + 1))
        self._neighbors = torch.from_numpy(neighbor).to(self.device)
        self._starts = torch.from_numpy(starts.astype(np.int64)).to(self.device)
        self._exchange = torch.from_numpy(exchange).to(self.device)

    def fields(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Field ``sum_j J_ij S_j`` (R, N, 3): a sum over the bonds of every site."""
        del time
        if len(self._neighbors) == 0:
            return torch.zeros_like(spins)
        columns = spins.transpose(0, 1).reshape(self.system.n_sites, -1)
        summed = embedding_bag(
            self._neighbors,
            columns,
            self._starts,
            mode="sum",
            per_sample_weights=self._exchange,
            include_last_offset=True,
        )
        return summed.reshape(self.system.n_sites, len(spins), 3).transpose(0, 1)

    def site_energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        """See `ClassicalTerm.site_energies`."""
        return -0.5 * (spins * self.fields(spins)).sum(-1)
