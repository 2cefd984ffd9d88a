"""Heisenberg exchange."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor

from gnnspin.classical.bonds import shell_couplings
from gnnspin.classical.lattice_exchange import LatticeExchange
from gnnspin.classical.pair_exchange import PairExchange
from gnnspin.classical.term import ClassicalTerm
from gnnspin.graphs.shells import shell_bonds
from gnnspin.systems.system import SpinSystem


class Heisenberg(PairExchange, kind="heisenberg"):
    """E = -sum_bonds J_s S_i . S_j, each bond once; positive J favours parallel spins. H_i = sum_j J_s S_j.

    Parameters
    ----------
    system : SpinSystem
        Where the spins sit; shells are those of each part of a union.
    J : float or sequence of float
        Exchange of the nearest neighbours, or of every neighbour shell, nearest first.
    device : torch.device or str
        Where the term is computed.
    dtype : torch.dtype
        Precision of the evaluation.

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
        self,
        system: SpinSystem,
        J: float | Sequence[float] = 1.0,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        shells = shell_couplings(J, "J")
        self.J = tuple(shells.tolist())
        ClassicalTerm.__init__(self, system, device, dtype)
        self._lattice = LatticeExchange.of(system, shells)
        if self._lattice is None:
            bonds = shell_bonds(system, n_shells=len(shells))
            self._set_bonds(bonds.site, bonds.neighbor, shells[bonds.shell])

    def fields(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Field ``sum_j J_ij S_j`` (R, N, 3): shifted arrays on a Bravais lattice, a sum over bonds elsewhere."""
        if self._lattice is not None:
            return self._lattice(spins)
        return super().fields(spins, time)

    def compile(self, **options: Any) -> Self:
        """Compile the sum over a periodic Bravais lattice; see `FieldSource.compile`."""
        if self._lattice is not None:
            self._lattice.compile(**options)
        return self
