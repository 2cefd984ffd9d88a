"""Nested dissection of a graph: the order of elimination that keeps sparse factors sparse.

A separator of a graph is eliminated after the two parts that it separates, and the parts are dissected in the same way
(George, SIAM J. Numer. Anal. 10, 345 (1973), doi:10.1137/0710032). On a lattice the separators are rows: a periodic
ring is opened by two of them. Parts that no small separator divides stay whole; on a graph that connects everything
with everything one part remains and elimination is dense.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra, reverse_cuthill_mckee

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Parts with no more rows than this are eliminated at once.
LEAF_ROWS = 24

#: A separator with more than this fraction of the vertices is not worth cutting.
_LARGEST_SEPARATOR = 0.4

#: (vertices, adjacency of the part) -> coordinates (n, k), any of which may be cut in two.
Coordinates = Callable[[IntArray, csr_array], FloatArray]


@dataclass(frozen=True)
class Front:
    """Vertices eliminated together, and the later vertices they are coupled to at that moment.

    Attributes
    ----------
    pivots, boundary : (p,), (b,)
        Vertices; those of the boundary are eliminated later, by ancestors.
    parent : int
        Index of the parent front, -1 for a root; parents come before children.
    depth : int
        Distance from the root.
    """

    pivots: IntArray
    boundary: IntArray
    parent: int
    depth: int


def nested_dissection(adjacency: csr_array, rows: IntArray, positions: FloatArray | None = None) -> list[Front]:
    """Cheapest of dissections by level sets of the graph, by positions, by both, and dense elimination.

    Parameters
    ----------
    adjacency : (n, n) symmetric csr_array
        Stored entries are edges.
    rows : (n,)
        Matrix rows of every vertex.
    positions : (n, k), optional
        Coordinates along which to cut, such as fractional ones of a lattice; with level sets along diagonals too.

    Returns
    -------
    list of Front, parents before children
    """
    candidates = [_fronts(adjacency, rows, _level_sets)]
    if positions is not None:
        both = _with_diagonals(positions)
        candidates.append(_fronts(adjacency, rows, lambda vertices, _: positions[vertices]))
        candidates.append(
            _fronts(adjacency, rows, lambda vertices, part: np.hstack([both[vertices], _level_sets(vertices, part)]))
        )
    every = np.arange(adjacency.shape[0])
    candidates.append([Front(every, every[:0], -1, 0)])
    return min(candidates, key=lambda fronts: elimination_cost(fronts, rows))


def elimination_cost(fronts: list[Front], rows: IntArray) -> float:
    """Complex multiply-adds of factorisation and selected inversion of one matrix."""
    return sum(front_cost(int(rows[f.pivots].sum()), int(rows[f.boundary].sum())) for f in fronts)


def front_cost(p: int, b: int) -> float:
    """Multiply-adds of one front with p pivot and b boundary rows: inverse, updates, back substitutions."""
    return float(p) ** 3 + 3.0 * p * b * (p + b)


def _fronts(adjacency: csr_array, rows: IntArray, coordinates: Coordinates) -> list[Front]:
    pivots: list[IntArray] = []
    parents: list[int] = []
    pending = [(np.arange(adjacency.shape[0]), -1)]
    while pending:
        vertices, parent = pending.pop()
        if not len(vertices):
            continue
        part = adjacency[vertices][:, vertices]
        cut = _cut(part, rows[vertices], coordinates(vertices, part)) if rows[vertices].sum() > LEAF_ROWS else None
        separator = np.ones(len(vertices), dtype=bool) if cut is None else cut[0]
        if separator.any():
            pivots.append(_along(adjacency, vertices[separator]))
            parents.append(parent)
            parent = len(pivots) - 1
        if cut is not None:
            pending += [(vertices[side], parent) for side in cut[1:]]
    return _with_boundaries(adjacency, pivots, parents)


def _with_boundaries(adjacency: csr_array, pivots: list[IntArray], parents: list[int]) -> list[Front]:
    """Symbolic elimination: the boundary of a front is what it or its children are coupled to and comes later.

    Boundaries are ordered as their vertices are in the fronts that own them: in the parent's front they are few pieces.
    """
    owner = np.empty(adjacency.shape[0], dtype=np.int64)
    place = np.empty(adjacency.shape[0], dtype=np.int64)
    for index, vertices in enumerate(pivots):
        owner[vertices] = index
        place[vertices] = np.arange(len(vertices))
    coupled: list[list[IntArray]] = [[] for _ in pivots]
    boundaries: list[IntArray] = [np.empty(0, dtype=np.int64)] * len(pivots)
    for index in reversed(range(len(pivots))):
        neighbors = adjacency[pivots[index]].indices.astype(np.int64)
        met = np.unique(np.concatenate([neighbors, *coupled[index]]))
        met = met[owner[met] < index]
        boundaries[index] = met[np.lexsort((place[met], -owner[met]))]
        if parents[index] >= 0:
            coupled[parents[index]].append(boundaries[index])
    depths: list[int] = []
    for parent in parents:
        depths.append(0 if parent < 0 else depths[parent] + 1)
    return [Front(*front) for front in zip(pivots, boundaries, parents, depths, strict=True)]


def _along(adjacency: csr_array, vertices: IntArray) -> IntArray:
    """Vertices of a separator, one after the other along it: neighbours of neighbours stay together."""
    beside = adjacency[vertices]
    return vertices[reverse_cuthill_mckee((beside @ beside.T).tocsr(), symmetric_mode=True)]


def _cut(part: csr_array, rows: IntArray, coordinates: FloatArray) -> tuple[NDArray[np.bool_], ...] | None:
    """Masks (separator, one side, other side) of the smallest balanced separator; None if all are too large."""
    best, best_rows = None, _LARGEST_SEPARATOR * rows.sum()
    for values in coordinates.T:
        middle = np.sort(values)[len(values) // 2]
        left = values < middle - 1e-9
        if left.sum() < len(values) / 4:
            left = values <= middle + 1e-9
        if left.all() or not left.any():
            continue
        for side in (left, ~left):
            separator = side & (part @ (~side).astype(np.float64) > 0)
            if rows[separator].sum() < best_rows:
                best, best_rows = (separator, side & ~separator, ~side), rows[separator].sum()
    return best


def _with_diagonals(positions: FloatArray) -> FloatArray:
    """Coordinates, and the sums and differences of any two that vary."""
    varied = positions[:, np.ptp(positions, axis=0) > 1e-9]
    pairs = [(i, j) for i in range(varied.shape[1]) for j in range(i)]
    return np.hstack([varied, *(varied[:, [i]] + sign * varied[:, [j]] for i, j in pairs for sign in (1, -1))])


def _level_sets(vertices: IntArray, part: csr_array) -> FloatArray:
    """Distance in bonds from a vertex at the rim, (n, 1); vertices out of reach are farthest."""
    distances = dijkstra(part, indices=np.array(0), unweighted=True)
    start = np.array(np.argmax(np.where(np.isfinite(distances), distances, -1)))
    distances = dijkstra(part, indices=start, unweighted=True)
    return np.where(np.isfinite(distances), distances, len(vertices))[:, None]
