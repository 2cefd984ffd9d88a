"""Isotropic exchange over a list of directed neighbours; the common part of Heisenberg and RKKY."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn.functional import embedding_bag

from gnnspin.classical.bonds import checked_clusters
from gnnspin.classical.term import ClassicalTerm
from gnnspin.core.errors import InvalidInput
from gnnspin.systems.system import FloatArray, IntArray, SpinSystem


class PairExchange(ClassicalTerm, kind="pair_exchange"):
    """E = -1/2 sum_ij J_ij S_i . S_j over directed neighbours (i, j); H_i = sum_j J_ij S_j.

    Parameters
    ----------
    system : SpinSystem
        Where the spins sit.
    site : (E,)
        Sites i of all bonds, in ascending order; both directions of every bond.
    neighbor : (E,)
        Their neighbours j.
    exchange : (E,)
        J_ij = J_ji; positive favours parallel spins.
    device : torch.device or str
        Where the term is computed.
    dtype : torch.dtype
        Precision of the evaluation.

    Raises
    ------
    InvalidInput
        If a site does not exist, a bond joins different parts of a union, the sites do not ascend, an exchange is not
        finite, or a bond lacks its other direction with the same exchange.
    """

    def __init__(
        self,
        system: SpinSystem,
        site: ArrayLike,
        neighbor: ArrayLike,
        exchange: ArrayLike,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__(system, device, dtype)
        self._set_bonds(*_checked_bonds(site, neighbor, exchange, system))

    def _set_bonds(self, site: IntArray, neighbor: IntArray, exchange: FloatArray) -> None:
        starts = np.searchsorted(site, np.arange(self.system.n_sites + 1))
        self._neighbor = self._tensor(neighbor)
        self._starts = self._tensor(starts.astype(np.int64))
        self._exchange = self._tensor(exchange)

    @property
    def site(self) -> IntArray:
        """Sites i of all directed bonds (E,)."""
        return np.repeat(np.arange(self.system.n_sites), np.diff(self._starts.cpu().numpy()))

    def fields(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Field ``sum_j J_ij S_j`` (R, N, 3): a sum over the bonds of every site."""
        del time
        if len(self._neighbor) == 0:
            return torch.zeros_like(spins)
        columns = spins.transpose(0, 1).reshape(self.system.n_sites, -1)
        summed = embedding_bag(
            self._neighbor,
            columns,
            self._starts,
            mode="sum",
            per_sample_weights=self._exchange,
            include_last_offset=True,
        )
        return summed.reshape(self.system.n_sites, len(spins), 3).transpose(0, 1)

    def site_energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Half the energy of every bond for each of its ends; see `ClassicalTerm.site_energies`."""
        return -0.5 * (spins * self.fields(spins)).sum(-1)


def _checked_bonds(
    site: ArrayLike, neighbor: ArrayLike, exchange: ArrayLike, system: SpinSystem
) -> tuple[IntArray, IntArray, FloatArray]:
    first, second, values = np.asarray(site), np.asarray(neighbor), np.array(exchange, dtype=np.float64)
    if first.ndim != 1 or not first.shape == second.shape == values.shape:
        raise InvalidInput(
            f"site, neighbor and exchange have shapes {first.shape}, {second.shape} and {values.shape}; give (E,) each"
        )
    pairs = checked_clusters(np.stack([first, second], 1), 2, system, "bonds")
    if (np.diff(pairs[:, 0]) < 0).any():
        raise InvalidInput("site must ascend; sort site, neighbor and exchange by it")
    if not np.isfinite(values).all():
        raise InvalidInput("exchange contains values that are not finite")
    forward = np.lexsort((values, pairs[:, 1], pairs[:, 0]))
    backward = np.lexsort((values, pairs[:, 0], pairs[:, 1]))
    same = (pairs[forward] == pairs[backward, ::-1]).all(1) & (values[forward] == values[backward])
    if not same.all():
        wrong = pairs[forward][~same][0].tolist()
        raise InvalidInput(f"bond {wrong} has no other direction {wrong[::-1]} with the same exchange; give both")
    return pairs[:, 0].copy(), pairs[:, 1].copy(), values
