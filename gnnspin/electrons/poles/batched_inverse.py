"""Selected inversion in torch: fronts of one depth and of similar size are worked on together.

They are padded to a common size, so that the number of steps grows with the logarithm of the number of sites.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnspin.electrons.poles.dissection import front_cost
from gnnspin.electrons.poles.fronts import FrontRows

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


class BatchedInverse:
    """Selected inversion of ``z - K - X`` by groups of fronts; arguments as those of `SelectedInverse`.

    Parameters
    ----------
    rows : FrontRows
        Of K.
    device : torch.device

    Attributes
    ----------
    entries : int
        Complex numbers stored per matrix.
    """

    def __init__(self, rows: FrontRows, device: torch.device) -> None:
        self.device, self.n_orbitals = device, rows.matrix.shape[0] // 2
        self._groups = _Layout(rows, device).groups()
        self.entries = 3 * sum(group.count * group.size**2 for group in self._groups)

    def __call__(
        self, shifts: Tensor, exchange: Tensor, inverse: bool, angles: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """log|det| or log det (B,), and the diagonal 2x2 blocks of the inverse (B, M, 2, 2), if they are wanted."""
        diagonal = shifts[:, None, None, None] * torch.eye(2, dtype=shifts.dtype, device=self.device) - exchange
        dtype = torch.complex128 if angles else torch.float64
        logarithm = torch.zeros(len(shifts), dtype=dtype, device=self.device)
        factors: list[tuple[Tensor, Tensor, Tensor]] = []
        updates: dict[int, Tensor] = {}
        for index in reversed(range(len(self._groups))):
            group = self._groups[index]
            front = _assembled(group, diagonal, updates)
            log_det, factor, updates[index] = _eliminated(front, group.p, angles)
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


def _eliminated(front: Tensor, p: int, angles: bool) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor], Tensor]:
    """log|det A_PP| or log det A_PP (B,), the factors (S, U, L) and the update A_BB - A_BP U."""
    batch, count = front.shape[:2]
    flat = front.flatten(0, 1)
    inverse, log_dets = inverted_by_halves(flat[:, :p, :p], angles)
    upper, lower = torch.bmm(inverse, flat[:, :p, p:]), torch.bmm(flat[:, p:, :p], inverse)
    update = torch.baddbmm(flat[:, p:, p:], flat[:, p:, :p], upper, alpha=-1)
    factors = tuple(each.unflatten(0, (batch, count)) for each in (inverse, upper, lower))
    return log_dets.view(batch, count).sum(-1), factors, update.unflatten(0, (batch, count))


def inverted_by_halves(blocks: Tensor, angles: bool = False) -> tuple[Tensor, Tensor]:
    """Inverses (n, p, p) and log|det| (n,) float64, by halves: their Schur complements are as well conditioned.

    ``[[A, B], [C, D]]`` with ``S = D - C A^-1 B`` has the inverse
    ``[[A^-1 + A^-1 B S^-1 C A^-1, -A^-1 B S^-1], [-S^-1 C A^-1, S^-1]]`` and the determinant ``|A| |S|``. With `angles`
    the logarithm is that of the determinant itself, complex128, and the halves go down to single numbers: all Schur
    complements have positive imaginary parts as the blocks do, so that the angles of these numbers add up to its.
    """
    size = blocks.shape[-1]
    if angles and size == 1:
        return blocks.reciprocal(), blocks.flatten().to(torch.complex128).log()
    if not angles and size <= _LU_ROWS:
        factorised, pivots, _ = torch.linalg.lu_factor_ex(blocks)
        identity = torch.eye(size, dtype=blocks.dtype, device=blocks.device).expand_as(factorised)
        log_det = factorised.diagonal(dim1=-2, dim2=-1).abs().log().sum(-1, dtype=torch.float64)
        return torch.linalg.lu_solve(factorised, pivots, identity), log_det
    half = size // 2
    b, c = blocks[:, :half, half:], blocks[:, half:, :half]
    first, first_log = inverted_by_halves(blocks[:, :half, :half], angles)
    right, left = torch.bmm(first, b), torch.bmm(c, first)
    last, last_log = inverted_by_halves(torch.baddbmm(blocks[:, half:, half:], c, right, alpha=-1), angles)
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


class _Layout:
    """Groups of fronts, and where the rows of the matrix lie in them."""

    def __init__(self, rows: FrontRows, device: torch.device) -> None:
        self.rows, self.device = rows, device

    def groups(self) -> list[_Group]:
        """All groups, parents before children."""
        depths: list[int] = []
        for parent in self.rows.parents:
            depths.append(0 if parent < 0 else depths[parent] + 1)
        at = np.array(depths)
        members = [group for depth in range(at.max() + 1) for group in self._similar(np.flatnonzero(at == depth))]
        group_of = {front: (index, slot) for index, group in enumerate(members) for slot, front in enumerate(group)}
        return [self._group(group, group_of, members) for group in members]

    def _shape(self, group: Sequence[int]) -> tuple[int, int]:
        """Common pivot and boundary rows of a group."""
        return max(len(self.rows.pivots[f]) for f in group), max(len(self.rows.boundaries[f]) for f in group)

    def _similar(self, fronts: IntArray) -> list[list[int]]:
        """Fronts sorted by size and gathered as long as padding stays cheap."""
        groups: list[list[int]] = []
        cost = 0.0
        for front in sorted(fronts.tolist(), key=lambda f: front_cost(*self._shape([f])), reverse=True):
            own = front_cost(*self._shape([front]))
            if groups and front_cost(*self._shape([*groups[-1], front])) * (len(groups[-1]) + 1) <= _PADDING * (
                cost + own
            ):
                groups[-1].append(front)
                cost += own
            else:
                groups.append([front])
                cost = own
        return groups

    def _group(self, group: list[int], group_of: dict[int, tuple[int, int]], members: list[list[int]]) -> _Group:
        """Index tensors of one group."""
        p, b = self._shape(group)
        rows, size = self.rows, p + b
        pieces: dict[str, list[Any]] = {name: [] for name in ("padding", "entries", "values", "orbitals", "blocks")}
        links: dict[int, tuple[list[int], list[IntArray]]] = {}
        for slot, front in enumerate(group):
            base, local = slot * size * size, rows.places(front, p)
            own = local[rows.pivots[front]]
            pieces["padding"].append(base + np.arange(len(own), p) * (size + 1))
            row, column, values = rows.entries(front)
            pieces["entries"].append(base + local[row] * size + local[column])
            pieces["values"].append(-values.astype(np.complex128))
            up = rows.pivots[front][rows.pivots[front] % 2 == 0]
            pieces["orbitals"].append(up // 2)
            pair = local[up[:, None] + np.arange(2)]
            pieces["blocks"].append((base + pair[:, :, None] * size + pair[:, None, :]).reshape(-1, 4))
            for child in rows.children[front]:
                index, child_slot = group_of[child]
                place = np.zeros(self._shape(members[index])[1], dtype=np.int64)
                place[: len(rows.boundaries[child])] = local[rows.boundaries[child]]
                slots, positions = links.setdefault(index, ([], []))
                slots.append(child_slot)
                positions.append((base + place[:, None] * size + place).ravel())
        arrays = {name: np.concatenate(parts) for name, parts in pieces.items()}
        start = np.zeros(len(group) * size * size, dtype=np.complex128)
        start[arrays["entries"]] = arrays["values"]
        start[arrays["padding"]] = 1.0
        tensors = {name: torch.from_numpy(arrays[name]).to(self.device) for name in ("orbitals", "blocks")}
        children = [
            _Link(
                index,
                None if slots == list(range(len(members[index]))) else torch.tensor(slots, device=self.device),
                torch.from_numpy(np.concatenate(positions)).to(self.device),
            )
            for index, (slots, positions) in links.items()
        ]
        starts = {torch.complex128: torch.from_numpy(start).to(self.device)}
        return _Group(len(group), p, b, start=starts, children=children, **tensors)
