"""Recursive Green's functions: (z - H - Sigma)^-1 slice by slice, away from a contact and back; batched.

Slice 0 is the contact, slice k holds what is k hops away from it, so that H couples only neighbouring slices: with
``V_k`` the block of H from slice k + 1 (columns) to slice k (rows),

    g_k = (z - H_kk - Sigma_kk - V_k g_(k+1) V_k+)^-1,      from the far end to the contact

    G_00 = g_0,   G_(k+1)0 = g_(k+1) V_k+ G_k0,   G_(k+1)(k+1) = g_(k+1) + (g_(k+1) V_k+) G_kk (V_k g_(k+1))

(Thouless and Kirkpatrick, J. Phys. C 14, 235 (1981), doi:10.1088/0022-3719/14/3/007). One inverse and one product per
slice give the contact's columns, one inverse and two products the diagonal blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, dijkstra
from torch import Tensor

from gnnspin.electrons.poles.batched_inverse import inverted_by_halves
from gnnspin.systems.system import IntArray

#: Time of an inverse over that of a product of matrices of one size.
_INVERSE_WORK = 3.5


@dataclass(frozen=True)
class _Coupling:
    """A block of H between neighbouring slices: its diagonal where there is nothing else, or the matrix."""

    values: Tensor

    def times(self, columns: Tensor) -> Tensor:
        """V X of X (B, q, c)."""
        return self.values[:, None] * columns if self.values.ndim == 1 else self.values @ columns

    def adjoint_times(self, columns: Tensor) -> Tensor:
        """V+ X of X (B, p, c)."""
        return self.values.conj()[:, None] * columns if self.values.ndim == 1 else self.values.mH @ columns

    def subtract_sandwiched(self, inverse: Tensor, matrix: Tensor) -> None:
        """``matrix -= V g V+`` in place, for g (B, q, q)."""
        if self.values.ndim == 1:
            matrix.addcmul_(self.values[:, None] * self.values.conj(), inverse, value=-1)
        else:
            matrix -= (self.values @ inverse) @ self.values.mH

    def to(self, dtype: torch.dtype) -> _Coupling:
        return _Coupling(self.values.to(dtype))


@dataclass(frozen=True)
class _Slice:
    """Orbitals of a slice, -K inside it, and where the rows of the joined blocks in it lie."""

    orbitals: Tensor
    start: Tensor
    joined: dict[int, Tensor]


class SliceRecursion:
    """Plan of Green's functions of ``z - K - X - Sigma`` with sparse K and 2x2 block-diagonal X.

    Parameters
    ----------
    matrix : (D, D) csr_array
        The Hermitian K; rows 2m and 2m + 1 belong to orbital m.
    root : (c,)
        Rows of the first slice: the contact whose electrons `injected` follows, in this order.
    joined : sequence of arrays of rows
        Rows that dense self-energies couple to one another; each such set lies in one slice.
    device : torch.device
        Where the algebra runs.

    Attributes
    ----------
    work : float
        Complex multiply-adds for the diagonal blocks of one matrix, an inverse counted as `_INVERSE_WORK` products.
    entries : int
        Complex numbers stored per matrix.
    """

    def __init__(
        self,
        matrix: csr_array,
        root: IntArray,
        joined: Sequence[IntArray] = (),
        device: torch.device | str = "cpu",
    ) -> None:
        self.n_orbitals = matrix.shape[0] // 2
        self._matrix, self._joined, self._device = matrix, list(joined), device
        self._levels = _levels(matrix, root, joined)
        self._rows = [np.flatnonzero(np.repeat(self._levels == k, 2)) for k in range(self._levels.max() + 1)]
        self._place = np.zeros(matrix.shape[0], dtype=np.int64)
        for own in self._rows:
            self._place[own] = np.arange(len(own))
        self._root = torch.from_numpy(self._place[root]).to(device)
        self.work = sum((_INVERSE_WORK + 2.0) * float(len(own)) ** 3 for own in self._rows)
        self.entries = 3 * sum(len(own) ** 2 for own in self._rows) + matrix.shape[0] * len(root)

    @cached_property
    def _slices(self) -> list[_Slice]:
        """Made when they are needed: dense blocks, which of a bad root are the whole matrix."""
        return [
            _Slice(
                torch.from_numpy(own[::2] // 2).to(self._device),
                torch.from_numpy(-self._matrix[own][:, own].toarray().astype(np.complex128)).to(self._device),
                {
                    number: torch.from_numpy(self._place[members]).to(self._device)
                    for number, members in enumerate(self._joined)
                    if self._levels[members[0] // 2] == k
                },
            )
            for k, own in enumerate(self._rows)
        ]

    @cached_property
    def _couplings(self) -> list[_Coupling]:
        pairs = pairwise(self._rows)
        return [_coupling(self._matrix[own][:, following].toarray(), self._device) for own, following in pairs]

    def diagonal_blocks(self, shifts: Tensor, exchange: Tensor, self_energies: Sequence[Tensor] = ()) -> Tensor:
        """Diagonal 2x2 blocks of G (B, M, 2, 2) at z (B,) for X (B, M, 2, 2), in the precision of the arguments.

        `self_energies` holds Sigma (B, c, c) of every joined set of rows, in the order of its rows.
        """
        blocks = torch.empty_like(exchange)
        green = exchange.new_empty(0)
        for k, inverse in enumerate(self._outer_inverses(shifts, exchange, self_energies)):
            if k:
                coupling = self._couplings[k - 1].to(exchange.dtype)
                green = inverse + _sandwiched(inverse, coupling, green)
            else:
                green = inverse
            pairs = green.unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2))
            blocks[:, self._slices[k].orbitals] = pairs.diagonal(dim1=1, dim2=3).movedim(-1, 1)
        return blocks

    def injected(
        self, shifts: Tensor, exchange: Tensor, factor: Tensor, self_energies: Sequence[Tensor] = ()
    ) -> tuple[Tensor, list[Tensor]]:
        """``G Gamma G+`` for ``Gamma = F F+`` on the root's rows, F of shape (c, f) or (B, c, f).

        Returns
        -------
        blocks : (B, M, 2, 2)
            Diagonal 2x2 blocks of ``G F (G F)+``.
        ends : list of (B, c, f)
            The rows of G F on every joined set, in the order of its rows.
        """
        blocks = torch.empty_like(exchange)
        ends: dict[int, Tensor] = {}
        columns = exchange.new_empty(0)
        for k, inverse in enumerate(self._outer_inverses(shifts, exchange, self_energies)):
            if k:
                columns = torch.bmm(inverse, self._couplings[k - 1].to(exchange.dtype).adjoint_times(columns))
            else:
                columns = inverse[:, :, self._root] @ factor
            pairs = columns.unflatten(1, (-1, 2)).flatten(0, 1)
            part = self._slices[k]
            blocks[:, part.orbitals] = torch.bmm(pairs, pairs.mH).unflatten(0, (len(shifts), -1))
            ends |= {number: columns[:, rows] for number, rows in part.joined.items()}
        return blocks, [ends[number] for number in sorted(ends)]

    def _outer_inverses(self, shifts: Tensor, exchange: Tensor, self_energies: Sequence[Tensor]) -> list[Tensor]:
        """g_k (B, p, p) of every slice."""
        inverses: list[Tensor] = []
        diagonal = shifts[:, None, None, None] * torch.eye(2, dtype=shifts.dtype, device=shifts.device) - exchange
        for k in reversed(range(len(self._slices))):
            part = self._slices[k]
            matrix = part.start.to(exchange.dtype).repeat(len(shifts), 1, 1)
            view = matrix.unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2))
            view.diagonal(dim1=1, dim2=3).add_(diagonal[:, part.orbitals].movedim(1, -1))
            for number, rows in part.joined.items():
                matrix[:, rows[:, None], rows] -= self_energies[number]
            if inverses:
                self._couplings[k].to(exchange.dtype).subtract_sandwiched(inverses[-1], matrix)
            inverses.append(inverted_by_halves(matrix)[0])
        return inverses[::-1]


def _sandwiched(inverse: Tensor, coupling: _Coupling, green: Tensor) -> Tensor:
    """``(g V+) G (V g)`` of g (B, q, q) and G (B, p, p)."""
    right = torch.bmm(green, coupling.times(inverse))
    return torch.bmm(inverse, coupling.adjoint_times(right))


def _coupling(block: NDArray[Any], device: torch.device | str) -> _Coupling:
    square = block.shape[0] == block.shape[1]
    diagonal = square and np.count_nonzero(block - np.diag(block.diagonal())) == 0
    values = block.diagonal() if diagonal else block
    return _Coupling(torch.from_numpy(values.astype(np.complex128)).to(device))


def _levels(matrix: csr_array, root: IntArray, joined: Sequence[IntArray]) -> IntArray:
    """Hops (M,) of every orbital from the root, sets of joined rows being one place; those out of reach come last."""
    n = matrix.shape[0] // 2
    sets = [np.unique(rows // 2) for rows in (root, *joined)]
    links = np.concatenate([np.stack([members[:1].repeat(len(members)), members], 1) for members in sets])
    joins = coo_array((np.ones(len(links)), links.T), shape=(n, n))
    count, label = connected_components(csr_array(joins), directed=False)
    row, column = (label[index // 2] for index in coo_array(matrix).coords)
    graph = csr_array(coo_array((np.ones(len(row)), (row, column)), shape=(count, count)))
    hops = dijkstra(graph, indices=np.array(label[root[0] // 2]), unweighted=True)[label]
    reached = np.isfinite(hops)
    hops[~reached] = hops[reached].max() + 1
    return hops.astype(np.int64)
