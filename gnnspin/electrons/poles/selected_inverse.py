"""Selected inversion: diagonal blocks of (z - H)^-1 and log|det(z - H)| for sparse H, batched.

Multifrontal block elimination along a nested dissection and its reverse, the hierarchical form of recursive Green's
functions (Erisman and Tinney, Commun. ACM 18, 177 (1975), doi:10.1145/360680.360704; Lin et al., ACM Trans. Math.
Softw. 37, 40 (2011), doi:10.1145/1916461.1916464).

A front couples pivots P to a boundary B. Upwards, from the leaves to the root of the dissection::

    S = A_PP^-1      U = S A_PB      L = A_BP S      A_BB - A_BP U  is added to the parent's front

and downwards, with G_BB cut out of the parent's inverse::

    G_PP = S + U G_BB L      G_PB = -U G_BB      G_BP = -G_BB L

Fronts of one depth and of similar size are worked on together, padded to a common size: the number of steps grows with
the logarithm of the number of sites. Every pivot block is well conditioned where z has an imaginary part: its
anti-Hermitian part is at least Im z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from torch import Tensor

from gnnspin.electrons.poles.dissection import Front, elimination_cost, front_cost, nested_dissection

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Fronts are padded to a common size as long as the work grows by no more than this factor.
_PADDING = 1.25

#: Blocks of more rows are inverted by halves, mostly in matrix products; smaller ones by LU factors.
_LU_ROWS = 16


@dataclass
class _Link:
    """Children of one group whose parents are in another: where their boundaries lie in the parents' fronts.

    `members` is None where they are all of their group.
    """

    child: int
    members: Tensor | None
    positions: Tensor


@dataclass
class _Group:
    """Fronts worked on together: ``count`` matrices of p pivot and b boundary rows, flattened to count * (p + b)^2.

    `start` holds their own entries of -K and ones on the diagonal of padded rows, in every precision asked for.
    """

    count: int
    p: int
    b: int
    start: dict[torch.dtype, Tensor]
    orbitals: Tensor
    blocks: Tensor
    children: list[_Link]

    @property
    def size(self) -> int:
        """Rows of a front."""
        return self.p + self.b

    def started(self, dtype: torch.dtype) -> Tensor:
        """Own entries in one precision."""
        if dtype not in self.start:
            self.start[dtype] = self.start[torch.complex128].to(dtype)
        return self.start[dtype]


class SelectedInverse:
    """Plan of a selected inversion of ``z - K - X`` with sparse K and 2x2 block-diagonal X.

    Parameters
    ----------
    matrix : (D, D) csr_array
        The Hermitian K; rows 2m and 2m + 1 belong to orbital m.
    orbital_vertex : (M,)
        Orbitals with the same number are eliminated together; 0 .. n_vertices - 1.
    positions : (n_vertices, k), optional
        Coordinates along which the graph may be cut.
    device : torch.device
        Where the algebra runs.

    Attributes
    ----------
    cost : float
        Complex multiply-adds per matrix; D^3 where the graph is dense.
    entries : int
        Complex numbers stored per matrix.
    dense : bool
        Whether no dissection is cheaper than the dense inverse.
    """

    def __init__(
        self,
        matrix: csr_array,
        orbital_vertex: IntArray,
        positions: FloatArray | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self.n_orbitals = len(orbital_vertex)
        row_vertex = np.repeat(orbital_vertex, 2)
        rows = np.bincount(row_vertex)
        stored = coo_array(matrix)
        edges = (np.ones(stored.nnz), tuple(row_vertex[c] for c in stored.coords))
        adjacency = csr_array(coo_array(edges, shape=(len(rows), len(rows))))
        fronts = nested_dissection(adjacency, rows, positions)
        self.cost = elimination_cost(fronts, rows)
        self.dense = len(fronts) == 1
        self._groups = _plan(fronts, row_vertex, csr_array(matrix), self.device)
        self.entries = 3 * sum(group.count * group.size**2 for group in self._groups)

    @torch.no_grad()
    def __call__(self, shifts: Tensor, exchange: Tensor, *, inverse: bool = True) -> tuple[Tensor, Tensor | None]:
        """log|det(z - K - X)| and the diagonal 2x2 blocks of the inverse, in the precision of the arguments.

        Parameters
        ----------
        shifts : (B,) complex128 or complex64
            z of every matrix, off the real axis.
        exchange : (B, M, 2, 2) of the same dtype
            X of every matrix.
        inverse : bool
            Whether the blocks are wanted.

        Returns
        -------
        (B,) float64 and (B, M, 2, 2) of the same dtype, or None
        """
        diagonal = shifts[:, None, None, None] * torch.eye(2, dtype=shifts.dtype, device=self.device) - exchange
        logarithm = torch.zeros(len(shifts), dtype=torch.float64, device=self.device)
        factors: list[tuple[Tensor, Tensor, Tensor]] = []
        updates: dict[int, Tensor] = {}
        for index in reversed(range(len(self._groups))):
            group = self._groups[index]
            front = _assembled(group, diagonal, updates)
            log_det, factor, updates[index] = _eliminated(front, group.p)
            logarithm += log_det
            factors.append(factor)
        return logarithm, self._diagonal_blocks(factors[::-1]) if inverse else None

    def _diagonal_blocks(self, factors: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
        batch = len(factors[0][0])
        blocks = factors[0][0].new_empty(batch, self.n_orbitals, 2, 2)
        outer: dict[int, Tensor] = {}
        for index, group in enumerate(self._groups):
            inverse = _front_inverse(group, factors[index], outer.pop(index, None))
            flat = inverse.flatten(1)
            blocks[:, group.orbitals] = flat[:, group.blocks].unflatten(-1, (2, 2))
            for link in group.children:
                child = self._groups[link.child]
                cut = flat.index_select(1, link.positions).view(batch, -1, child.b, child.b)
                if link.members is None:
                    outer[link.child] = cut
                    continue
                if link.child not in outer:
                    outer[link.child] = flat.new_empty(batch, child.count, child.b, child.b)
                outer[link.child][:, link.members] = cut
        return blocks


def _assembled(group: _Group, diagonal: Tensor, updates: dict[int, Tensor]) -> Tensor:
    """Fronts (B, count, p + b, p + b): own entries of the matrix plus what the children left."""
    batch, size = len(diagonal), group.size
    flat = group.started(diagonal.dtype).repeat(batch, 1)
    flat[:, group.blocks] += diagonal[:, group.orbitals].flatten(2)
    for link in group.children:
        update = updates[link.child] if link.members is None else updates[link.child][:, link.members]
        flat.index_add_(1, link.positions, update.flatten(1))
    return flat.view(batch, group.count, size, size)


def _eliminated(front: Tensor, p: int) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor], Tensor]:
    """log|det A_PP| (B,), the factors (S, U, L) and the update A_BB - A_BP U."""
    batch, count = front.shape[:2]
    flat = front.flatten(0, 1)
    inverse, log_dets = inverted_by_halves(flat[:, :p, :p])
    upper, lower = torch.bmm(inverse, flat[:, :p, p:]), torch.bmm(flat[:, p:, :p], inverse)
    update = torch.baddbmm(flat[:, p:, p:], flat[:, p:, :p], upper, alpha=-1)
    factors = tuple(each.unflatten(0, (batch, count)) for each in (inverse, upper, lower))
    return log_dets.view(batch, count).sum(-1), factors, update.unflatten(0, (batch, count))


def inverted_by_halves(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """Inverses (n, p, p) and log|det| (n,) float64, by halves: their Schur complements are as well conditioned.

    ``[[A, B], [C, D]]`` with ``S = D - C A^-1 B`` has the inverse
    ``[[A^-1 + A^-1 B S^-1 C A^-1, -A^-1 B S^-1], [-S^-1 C A^-1, S^-1]]`` and the determinant ``|A| |S|``.
    """
    size = blocks.shape[-1]
    if size <= _LU_ROWS:
        factorised, pivots, _ = torch.linalg.lu_factor_ex(blocks)
        identity = torch.eye(size, dtype=blocks.dtype, device=blocks.device).expand_as(factorised)
        log_det = factorised.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1, dtype=torch.float64)
        return torch.linalg.lu_solve(factorised, pivots, identity), log_det
    half = size // 2
    b, c = blocks[:, :half, half:], blocks[:, half:, :half]
    first, first_log = inverted_by_halves(blocks[:, :half, :half])
    right, left = torch.bmm(first, b), torch.bmm(c, first)
    last, last_log = inverted_by_halves(torch.baddbmm(blocks[:, half:, half:], c, right, alpha=-1))
    corner = torch.bmm(right, last)
    inverse = torch.empty_like(blocks)
    inverse[:, :half, :half] = torch.baddbmm(first, corner, left)
    inverse[:, :half, half:] = -corner
    inverse[:, half:, :half] = -torch.bmm(last, left)
    inverse[:, half:, half:] = last
    return inverse, first_log + last_log


def _front_inverse(group: _Group, factor: tuple[Tensor, Tensor, Tensor], outer: Tensor | None) -> Tensor:
    """The inverse on a front; (B, count, p, p) without its boundary where no child needs it."""
    inverse, upper, lower = factor
    if outer is None:
        return inverse
    inverse, upper, lower, outer = (each.flatten(0, 1) for each in (inverse, upper, lower, outer))
    corner = _negative_product(outer, lower)
    full = inverse.new_empty(len(inverse), group.size, group.size)
    full[..., : group.p, : group.p] = torch.baddbmm(inverse, upper, corner, alpha=-1)
    if group.children:
        full[..., group.p :, : group.p] = corner
        full[..., : group.p, group.p :] = _negative_product(upper, outer)
        full[..., group.p :, group.p :] = outer
    return full.unflatten(0, (-1, group.count))


def _negative_product(a: Tensor, b: Tensor) -> Tensor:
    """``-a b`` of batches of matrices."""
    shape = len(a), a.shape[1], b.shape[2]
    return torch.baddbmm(a.new_empty(1).expand(shape), a, b, beta=0, alpha=-1)


def _plan(fronts: list[Front], row_vertex: IntArray, matrix: csr_array, device: torch.device) -> list[_Group]:
    """Groups of fronts, parents before children."""
    order = np.argsort(row_vertex, kind="stable")
    starts = np.searchsorted(row_vertex[order], np.arange(int(row_vertex.max()) + 2))

    def rows_of(vertices: IntArray) -> IntArray:
        return np.concatenate([order[starts[v] : starts[v + 1]] for v in vertices] or [order[:0]])

    layout = _Layout(matrix, [rows_of(f.pivots) for f in fronts], [rows_of(f.boundary) for f in fronts], fronts)
    depths = np.array([f.depth for f in fronts])
    members = [group for depth in range(depths.max() + 1) for group in layout.similar(np.flatnonzero(depths == depth))]
    group_of = {front: (index, slot) for index, group in enumerate(members) for slot, front in enumerate(group)}
    return [layout.group(group, group_of, members, device) for group in members]


class _Layout:
    """Where the rows of the matrix lie in the fronts."""

    def __init__(
        self, matrix: csr_array, pivots: list[IntArray], boundaries: list[IntArray], fronts: list[Front]
    ) -> None:
        self.matrix, self.pivots, self.boundaries = matrix, pivots, boundaries
        self.children: list[list[int]] = [[] for _ in fronts]
        self.owner = np.empty(matrix.shape[0], dtype=np.int64)
        for index, front in enumerate(fronts):
            self.owner[pivots[index]] = index
            if front.parent >= 0:
                self.children[front.parent].append(index)
        self._local = np.zeros(matrix.shape[0], dtype=np.int64)

    def shape(self, group: Sequence[int]) -> tuple[int, int]:
        """Common pivot and boundary rows of a group."""
        return max(len(self.pivots[f]) for f in group), max(len(self.boundaries[f]) for f in group)

    def similar(self, fronts: IntArray) -> list[list[int]]:
        """Fronts sorted by size and gathered as long as padding stays cheap."""
        groups: list[list[int]] = []
        cost = 0.0
        for front in sorted(fronts.tolist(), key=lambda f: front_cost(*self.shape([f])), reverse=True):
            own = front_cost(*self.shape([front]))
            if groups and front_cost(*self.shape([*groups[-1], front])) * (len(groups[-1]) + 1) <= _PADDING * (
                cost + own
            ):
                groups[-1].append(front)
                cost += own
            else:
                groups.append([front])
                cost = own
        return groups

    def group(
        self, group: list[int], group_of: dict[int, tuple[int, int]], members: list[list[int]], device: torch.device
    ) -> _Group:
        """Index tensors of one group."""
        p, b = self.shape(group)
        size = p + b
        pieces: dict[str, list[Any]] = {name: [] for name in ("padding", "entries", "values", "orbitals", "blocks")}
        links: dict[int, tuple[list[int], list[IntArray]]] = {}
        for slot, front in enumerate(group):
            base, local = slot * size * size, self._place(front, p)
            own = local[self.pivots[front]]
            pieces["padding"].append(base + np.arange(len(own), p) * (size + 1))
            rows, columns, values = self._entries(front)
            pieces["entries"].append(base + local[rows] * size + local[columns])
            pieces["values"].append(-values.astype(np.complex128))
            up = self.pivots[front][self.pivots[front] % 2 == 0]
            pieces["orbitals"].append(up // 2)
            pair = local[up[:, None] + np.arange(2)]
            pieces["blocks"].append((base + pair[:, :, None] * size + pair[:, None, :]).reshape(-1, 4))
            for child in self.children[front]:
                index, child_slot = group_of[child]
                place = np.zeros(self.shape(members[index])[1], dtype=np.int64)
                place[: len(self.boundaries[child])] = local[self.boundaries[child]]
                slots, positions = links.setdefault(index, ([], []))
                slots.append(child_slot)
                positions.append((base + place[:, None] * size + place).ravel())
        arrays = {name: np.concatenate(parts) for name, parts in pieces.items()}
        start = np.zeros(len(group) * size * size, dtype=np.complex128)
        start[arrays["entries"]] = arrays["values"]
        start[arrays["padding"]] = 1.0
        tensors = {name: torch.from_numpy(arrays[name]).to(device) for name in ("orbitals", "blocks")}
        children = [
            _Link(
                index,
                None if slots == list(range(len(members[index]))) else torch.tensor(slots, device=device),
                torch.from_numpy(np.concatenate(positions)).to(device),
            )
            for index, (slots, positions) in links.items()
        ]
        starts = {torch.complex128: torch.from_numpy(start).to(device)}
        return _Group(len(group), p, b, start=starts, children=children, **tensors)

    def _place(self, front: int, p: int) -> IntArray:
        """Position of every row in a front with p pivot rows; valid for the rows of this front only."""
        self._local[self.pivots[front]] = np.arange(len(self.pivots[front]))
        self._local[self.boundaries[front]] = p + np.arange(len(self.boundaries[front]))
        return self._local

    def _entries(self, front: int) -> tuple[IntArray, IntArray, NDArray[Any]]:
        """Matrix entries that enter at this front: of its pivots, except those that children brought in."""
        rows = self.matrix[self.pivots[front]].tocoo()
        row, column = self.pivots[front][rows.coords[0]], rows.coords[1].astype(np.int64)
        inside, outside = self.owner[column] == front, self.owner[column] < front
        values = rows.data
        return (
            np.concatenate([row[inside], row[outside], column[outside]]),
            np.concatenate([column[inside], column[outside], row[outside]]),
            np.concatenate([values[inside], values[outside], values[outside].conj()]),
        )
