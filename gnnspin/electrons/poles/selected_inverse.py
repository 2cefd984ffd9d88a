"""Selected inversion: diagonal blocks of (z - H)^-1 and log|det(z - H)| for sparse H, batched.

Multifrontal block elimination along a nested dissection and its reverse, the hierarchical form of recursive Green's
functions (Erisman and Tinney, Commun. ACM 18, 177 (1975), doi:10.1145/360680.360704; Lin et al., ACM Trans. Math.
Softw. 37, 40 (2011), doi:10.1145/1916461.1916464).

A front couples pivots P to a boundary B. Upwards, from the leaves to the root of the dissection::

    S = A_PP^-1      U = S A_PB      L = A_BP S      A_BB - A_BP U  is added to the parent's front

and downwards, with G_BB cut out of the parent's inverse::

    G_PP = S + U G_BB L      G_PB = -U G_BB      G_BP = -G_BB L

Every pivot block is well conditioned where z has an imaginary part: its anti-Hermitian part is at least Im z.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from torch import Tensor

from gnnspin.core.native_library import NoCompiler, native_allowed
from gnnspin.electrons.poles.batched_inverse import BatchedInverse
from gnnspin.electrons.poles.dissection import elimination_cost, nested_dissection
from gnnspin.electrons.poles.fronts import FrontRows
from gnnspin.electrons.poles.native_inverse import NativeInverse

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class SelectedInverse:
    """Plan of a selected inversion of ``z - K - X`` with sparse K and 2x2 block-diagonal X.

    On a CPU by native code (`NativeInverse`), elsewhere, without a C++ compiler, and with
    ``GNNSPIN_NATIVE=0`` in the environment in torch.

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
        row_vertex = np.repeat(orbital_vertex, 2)
        rows = np.bincount(row_vertex)
        stored = coo_array(matrix)
        edges = (np.ones(stored.nnz), tuple(row_vertex[c] for c in stored.coords))
        adjacency = csr_array(coo_array(edges, shape=(len(rows), len(rows))))
        fronts = nested_dissection(adjacency, rows, positions)
        self.cost = elimination_cost(fronts, rows)
        self.dense = len(fronts) == 1
        self._rows = FrontRows(csr_array(matrix), fronts, row_vertex)
        self._native: dict[torch.dtype, NativeInverse | None] = {}

    def __getstate__(self) -> dict[str, Any]:
        """All but native code, which is built again where it is needed: copies have their own."""
        return {**self.__dict__, "_native": {}}

    @cached_property
    def _batched(self) -> BatchedInverse:
        return BatchedInverse(self._rows, self.device)

    def native(self, dtype: torch.dtype) -> NativeInverse | None:
        """Native code in one precision; None where there is none."""
        if self.device.type != "cpu" or not native_allowed():
            return None
        if dtype not in self._native:
            try:
                self._native[dtype] = NativeInverse(self._rows, dtype)
            except NoCompiler:
                self._native[dtype] = None
        return self._native[dtype]

    def entries(self, dtype: torch.dtype) -> int:
        """Complex numbers that every further matrix of a call takes."""
        return 8 * (self._rows.matrix.shape[0] // 2) if self.native(dtype) is not None else self._batched.entries

    @torch.no_grad()
    def __call__(
        self, shifts: Tensor, exchange: Tensor, *, inverse: bool = True, angles: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Logarithm of det(z - K - X) and the diagonal 2x2 blocks of the inverse, in the precision of the arguments.

        Parameters
        ----------
        shifts : (B,) complex128 or complex64
            z of every matrix, off the real axis.
        exchange : (B, M, 2, 2) of the same dtype
            X of every matrix.
        inverse : bool
            Whether the blocks are wanted.
        angles : bool
            Whether the logarithm is the complex one, for z in the upper half plane: its imaginary part is the sum of
            the angles of ``z - e`` over all levels e, each between 0 and pi. Otherwise it is log|det|.

        Returns
        -------
        (B,) float64 or complex128, and (B, M, 2, 2) of the same dtype as the arguments, or None
        """
        native = self.native(shifts.dtype)
        return (self._batched if native is None else native)(shifts, exchange, inverse, angles)
