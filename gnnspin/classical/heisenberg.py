"""Heisenberg exchange."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from gnnspin.classical.term import ClassicalTerm
from gnnspin.core.errors import InvalidInput
from gnnspin.graphs.shells import shell_bonds
from gnnspin.systems.system import SpinSystem


class Heisenberg(ClassicalTerm):
    """E = -sum_bonds J_s S_i . S_j, each bond once; positive J favours parallel spins. H_i = sum_j J_s S_j.

    Parameters
    ----------
    system : SpinSystem
        Where the spins sit; shells are those of each part of a union.
    J : float or sequence of float
        Exchange of the nearest neighbours, or of every neighbour shell, nearest first.
    device : torch.device or str
        Where the term is computed, in float64.

    Raises
    ------
    InvalidInput
        If `J` is empty or not finite.

    Examples
    --------
    >>> import torch
    >>> from gnnspin.systems import square
    >>> up = torch.tensor([0.0, 0.0, 1.0]).expand(16, 3)
    >>> Heisenberg(square(4, 4), J=1.0).energy(up).item()
    -32.0
    """

    def __init__(
        self, system: SpinSystem, J: float | Sequence[float] = 1.0, *, device: torch.device | str = "cpu"
    ) -> None:
        super().__init__(system, device)
        shells = np.atleast_1d(np.asarray(J, dtype=np.float64))
        if shells.ndim != 1 or len(shells) == 0 or not np.isfinite(shells).all():
            raise InvalidInput(f"J={J} must be a finite number, or one finite number per neighbour shell")
        self.J = tuple(shells.tolist())
        bonds = shell_bonds(system, n_shells=len(shells))
        starts = np.searchsorted(bonds.site, np.arange(system.n_sites + 1))
        self._neighbors = torch.from_numpy(bonds.neighbor).to(self.device)
        self._starts = torch.from_numpy(starts.astype(np.int64)).to(self.device)
        self._exchange = torch.from_numpy(shells[bonds.shell]).to(self.device)

    def field_of(self, spins: Tensor) -> Tensor:
        """Field ``sum_j J_s S_j`` (R, N, 3): a sum over the bonds of every site."""
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

    def site_energies(self, spins: Tensor) -> Tensor:
        """See `ClassicalTerm.site_energies`."""
        return -0.5 * (spins * self.field_of(spins)).sum(-1)

    def specification(self) -> dict[str, Any]:
        """See `FieldSource.specification`."""
        return {"class": type(self).__name__, "J": list(self.J), "system": self.system.fingerprint}
