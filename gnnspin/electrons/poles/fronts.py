"""Rows of a matrix in the fronts of its dissection."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from gnnspin.electrons.poles.dissection import Front

IntArray = NDArray[np.int64]


class FrontRows:
    """Where the rows of a matrix are eliminated, and which of its entries enter there.

    Parameters
    ----------
    matrix : (D, D) csr_array
    fronts : list of Front
        Parents before children.
    row_vertex : (D,)
        Vertex of every row.

    Attributes
    ----------
    pivots, boundaries : list of (p,) and (b,)
        Rows of every front.
    parents : list of int
        -1 for a root.
    children : list of list of int
    """

    def __init__(self, matrix: csr_array, fronts: list[Front], row_vertex: IntArray) -> None:
        order = np.argsort(row_vertex, kind="stable")
        starts = np.searchsorted(row_vertex[order], np.arange(int(row_vertex.max()) + 2))

        def rows_of(vertices: IntArray) -> IntArray:
            return np.concatenate([order[starts[v] : starts[v + 1]] for v in vertices] or [order[:0]])

        self.matrix = matrix
        self.pivots = [rows_of(front.pivots) for front in fronts]
        self.boundaries = [rows_of(front.boundary) for front in fronts]
        self.parents = [front.parent for front in fronts]
        self.children: list[list[int]] = [[] for _ in fronts]
        self._owner = np.empty(matrix.shape[0], dtype=np.int64)
        for index, front in enumerate(fronts):
            self._owner[self.pivots[index]] = index
            if front.parent >= 0:
                self.children[front.parent].append(index)
        self._local = np.zeros(matrix.shape[0], dtype=np.int64)

    def places(self, front: int, p: int) -> IntArray:
        """Position (D,) of rows in a front with p pivot rows; valid for the rows of this front, until the next call."""
        self._local[self.pivots[front]] = np.arange(len(self.pivots[front]))
        self._local[self.boundaries[front]] = p + np.arange(len(self.boundaries[front]))
        return self._local

    def entries(self, front: int) -> tuple[IntArray, IntArray, NDArray[Any]]:
        """Rows, columns and values of entries that enter at a front: those of its pivots that no child brought in."""
        rows = self.matrix[self.pivots[front]].tocoo()
        row, column = self.pivots[front][rows.coords[0]], rows.coords[1].astype(np.int64)
        inside, outside = self._owner[column] == front, self._owner[column] < front
        values = rows.data
        return (
            np.concatenate([row[inside], row[outside], column[outside]]),
            np.concatenate([column[inside], column[outside], row[outside]]),
            np.concatenate([values[inside], values[outside], values[outside].conj()]),
        )
