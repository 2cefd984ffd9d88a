"""Balls of hops around every site: the frozen tables of the walk recursion."""

from __future__ import annotations

import operator
import warnings
from dataclasses import dataclass
from functools import cache, reduce

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from gnnspin.core.containers import TensorContainer
from gnnspin.core.errors import InvalidInput
from gnnspin.electrons.bounds import gershgorin_bounds
from gnnspin.systems.lattice import cell_indices, cell_number
from gnnspin.systems.system import FloatArray, IntArray, SpinSystem

#: Pairs of source and node that are held at a time: bounds the memory.
PAIRS_PER_CHUNK = 1 << 21


@dataclass(frozen=True)
class HoppingTerms:
    """Hopping between the sites of one system, as a sum of given matrices with coefficients that may be learned.

    Attributes
    ----------
    real : tuple of (N, N) sparse arrays
        Symmetric matrices; the hopping is the sum of coefficient times matrix.
    imaginary : (N, N) sparse array or None
        Antisymmetric imaginary part of a known complex hopping.
    angular : tuple of tuples of (N, N) sparse arrays
        For every real term its matrix times the angular functions of the bond's direction, M each; empty where bond
        moments are not wanted.
    """

    real: tuple[sparse.csr_array, ...]
    imaginary: sparse.csr_array | None = None
    angular: tuple[tuple[sparse.csr_array, ...], ...] = ()

    @property
    def matrices(self) -> tuple[sparse.csr_array, ...]:
        """Real terms, then the imaginary one if there is one."""
        return self.real if self.imaginary is None else (*self.real, self.imaginary)

    @property
    def pattern(self) -> sparse.csr_array:
        """Matrix with 1 where there is a hop between different sites and 0 elsewhere."""
        total = _sum([abs(matrix) for matrix in self.matrices]).tocoo()
        row, column = total.coords
        kept = (total.data > 0) & (row != column)
        ones = np.ones(int(kept.sum()), dtype=np.int8)
        return sparse.coo_array((ones, (row[kept], column[kept])), shape=total.shape).tocsr()

    def bounds(self, amplitudes: FloatArray) -> tuple[float, float]:
        """Gershgorin bounds of the spectrum of the hopping with coefficients (K,)."""
        matrix = _sum([a * term for a, term in zip(amplitudes, self.real, strict=True)])
        return gershgorin_bounds(matrix if self.imaginary is None else matrix + 1j * self.imaginary)


def _sum(matrices: list[sparse.csr_array]) -> sparse.csr_array:
    return reduce(operator.add, matrices)


@dataclass(frozen=True)
class StepMatrices(TensorContainer):
    """One hop from the ball of n hops to the next: a matrix and its transpose for every term of the hopping."""

    real: tuple[tuple[Tensor, Tensor], ...]
    imaginary: tuple[Tensor, Tensor] | None


@dataclass(frozen=True)
class WalkTables(TensorContainer):
    """Balls around B sources, repeated in C translated copies.

    Pairs (source, node) are ordered by the number of hops between them, so that a ball of n hops is a prefix.

    Attributes
    ----------
    node : (T, C) int64
        Site of the node of pair t in copy c.
    sizes : tuple of int
        Number of pairs within n hops, n = 0 .. hops; the first is B.
    parity : (T,)
        (-1)^(hops between source and node).
    steps : tuple of StepMatrices
        From the ball of n hops to that of n + 1; the last one stays within the ball.
    sums : tuple of ((B, T_n), (T_n, B)) sparse tensors
        Sum over the pairs of each source within n hops.
    bipartite : bool
        Whether real hopping without onsite terms connects two sublattices only.
    bonds : tuple of ((B M, T_1), (T_1, B M)) sparse tensors
        For every real term the sum over the bonds of each source, weighted by M angular functions; see `HoppingTerms`.
    """

    node: Tensor
    sizes: tuple[int, ...]
    parity: Tensor
    steps: tuple[StepMatrices, ...]
    sums: tuple[tuple[Tensor, Tensor], ...]
    bipartite: bool
    bonds: tuple[tuple[Tensor, Tensor], ...] = ()

    @property
    def n_pairs(self) -> int:
        """Number T of pairs per copy."""
        return self.node.shape[0]

    @property
    def n_sources(self) -> int:
        """Number B of sources per copy."""
        return self.sizes[0]


@dataclass(frozen=True)
class WalkGeometry(TensorContainer):
    """Frozen walks of one system: one table that is translated over a lattice, or one per chunk of sources.

    Attributes
    ----------
    tables : tuple of WalkTables
        Sources in ascending order of the sites.
    terms : HoppingTerms
        What they were built from.
    hops : int
        Radius of the balls.
    """

    tables: tuple[WalkTables, ...]
    terms: HoppingTerms
    hops: int

    def __deepcopy__(self, memo: dict[int, object]) -> WalkGeometry:
        """The object itself: it never changes, and sparse tensors cannot be copied deeply."""
        return self

    @property
    def is_lattice(self) -> bool:
        """Whether all balls are translates of those of one unit cell."""
        return len(self.tables) == 1 and self.tables[0].node.shape[1] > 1

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the floating-point arrays, and of moments."""
        return self.tables[0].parity.dtype


def prepare_walks(
    system: SpinSystem,
    terms: HoppingTerms,
    hops: int,
    *,
    lattice: bool = True,
    shifted: bool = False,
    pairs_per_chunk: int = PAIRS_PER_CHUNK,
) -> WalkGeometry:
    """Balls of `hops` hops around every site of a system.

    Parameters
    ----------
    system : SpinSystem
    terms : HoppingTerms
    hops : int
        Radius of the balls, >= 1.
    lattice : bool
        Use translations where the hopping has them; False lists all pairs, with the same result.
    shifted : bool
        Whether the Hamiltonian is shifted in energy, which spoils the short cut for bipartite hopping.
    pairs_per_chunk : int
        Largest number of pairs in one table of listed pairs.

    Raises
    ------
    InvalidInput
        If `hops` is less than 1.
    """
    if hops < 1:
        raise InvalidInput(f"hops={hops} must be at least 1")
    pattern = terms.pattern
    bipartite = not shifted and _is_bipartite(terms, pattern)
    if lattice and _is_translation_invariant(system, terms):
        sources = np.arange(system.n_basis)
        tables: list[WalkTables] = [_tables(terms, pattern, sources, hops, bipartite, system)]
    else:
        tables = []
        first = 0
        while first < system.n_sites:
            last = _chunk_end(pattern, first, hops, pairs_per_chunk)
            tables.append(_tables(terms, pattern, np.arange(first, last), hops, bipartite, None))
            first = last
    return WalkGeometry(tuple(tables), terms, hops)


def _is_bipartite(terms: HoppingTerms, pattern: sparse.csr_array) -> bool:
    """Whether the hopping is real, has no onsite terms, and connects two sublattices."""
    if terms.imaginary is not None or any(matrix.diagonal().any() for matrix in terms.real):
        return False
    colour = np.zeros(pattern.shape[0], dtype=np.int64)
    while (colour == 0).any():
        colour[np.flatnonzero(colour == 0)[0]] = front = 1
        while front:
            wave = np.sign(pattern @ colour) * (colour == 0)
            colour, front = colour - wave, int(np.abs(wave).any())
    row, column = pattern.tocoo().coords
    return not bool((colour[row] == colour[column]).any())


def _is_translation_invariant(system: SpinSystem, terms: HoppingTerms) -> bool:
    """Whether a shift by each primitive vector, wrapped around the cell, leaves the hopping as it is."""
    if system.n_graphs > 1 or system.lattice_shape is None:
        return False
    site = np.arange(system.n_sites).reshape(*system.lattice_shape, system.n_basis)
    for axis in range(3):
        image = np.roll(site, -1, axis=axis).ravel()
        for matrix in terms.matrices:
            if abs(matrix[image][:, image] - matrix).max() > 1e-12 * abs(matrix).max():
                return False
    return True


def _translated(system: SpinSystem, node: IntArray) -> IntArray:
    """Images (T, C) of sites (T,) under translation by every cell."""
    shape = system.lattice_shape or (1, 1, 1)
    cells = cell_indices(shape)
    moved = cell_number(cells[node // system.n_basis][:, None] + cells, shape)
    return moved * system.n_basis + (node % system.n_basis)[:, None]


def _chunk_end(pattern: sparse.csr_array, first: int, hops: int, limit: int) -> int:
    """Last source + 1 of a chunk that starts at `first`, from the size of the first ball."""
    ball = len(_pairs(pattern, np.array([first]), hops)[0])
    return min(pattern.shape[0], first + max(1, limit // ball))


def _pairs(pattern: sparse.csr_array, sources: IntArray, hops: int) -> tuple[IntArray, IntArray, IntArray]:
    """Source number, node and distance of all pairs within `hops` hops, ordered by distance, source and node."""
    n_sites = pattern.shape[0]
    front = sparse.csr_array(
        (np.ones(len(sources), dtype=np.int32), (np.arange(len(sources)), sources)), shape=(len(sources), n_sites)
    )
    seen, found = front, [(np.arange(len(sources)), sources.astype(np.int64), np.zeros(len(sources), dtype=np.int64))]
    adjacency = pattern.astype(np.int32)
    for distance in range(1, hops + 1):
        reached = (front @ adjacency).astype(bool).astype(np.int32)
        fresh = (reached - reached.multiply(seen)).tocsr()
        fresh.eliminate_zeros()
        fresh.sort_indices()
        row, column = fresh.tocoo().coords
        found.append((row.astype(np.int64), column.astype(np.int64), np.full(len(row), distance)))
        front, seen = fresh, (seen + fresh).tocsr()
    source, node, steps = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return source, node, steps


def _tables(
    terms: HoppingTerms,
    pattern: sparse.csr_array,
    sources: IntArray,
    hops: int,
    bipartite: bool,
    lattice: SpinSystem | None,
) -> WalkTables:
    """Tables of the balls around `sources`, translated over `lattice` if that is given."""
    source, node, distance = _pairs(pattern, sources, hops)
    sizes = [int((distance <= n).sum()) for n in range(hops + 1)]
    real = [_pair_matrix(matrix, source, node) for matrix in terms.real]
    imaginary = None if terms.imaginary is None else _pair_matrix(terms.imaginary, source, node)
    member = sparse.coo_array((np.ones(len(source)), (source, np.arange(len(source))))).tocsr()
    image = node[:, None] if lattice is None else _translated(lattice, node)
    return WalkTables(
        node=torch.from_numpy(np.ascontiguousarray(image)),
        sizes=tuple(sizes),
        parity=torch.from_numpy(1.0 - 2.0 * (distance % 2)),
        steps=_step_matrices(real, imaginary, sizes),
        sums=tuple(_with_transpose(member[:, :size]) for size in sizes),
        bipartite=bipartite,
        bonds=tuple(_bond_sums(term, sources, source[: sizes[1]], node[: sizes[1]]) for term in terms.angular),
    )


def _bond_sums(
    matrices: tuple[sparse.csr_array, ...], sources: IntArray, source: IntArray, node: IntArray
) -> tuple[Tensor, Tensor]:
    """Rows (source, function), columns the pairs within one hop: entries of `matrices` between source and node."""
    entries = np.array([matrix[sources[source], node] for matrix in matrices])
    row = source * len(matrices) + np.arange(len(matrices))[:, None]
    column = np.broadcast_to(np.arange(len(node)), row.shape)
    shape = (len(sources) * len(matrices), len(node))
    total = sparse.coo_array((entries.ravel(), (row.ravel(), column.ravel())), shape=shape).tocsr()
    total.eliminate_zeros()
    return _with_transpose(total)


def _step_matrices(
    real: list[sparse.csr_array], imaginary: sparse.csr_array | None, sizes: list[int]
) -> tuple[StepMatrices, ...]:
    """Hops from every ball to the next, the last within itself; equal blocks of symmetric matrices are stored once."""

    @cache
    def block(term: int, rows: int, columns: int) -> Tensor:
        return _sparse_tensor(real[term][:rows, :columns])

    return tuple(
        StepMatrices(
            tuple((block(k, to, size), block(k, size, to)) for k in range(len(real))),
            None if imaginary is None else _with_transpose(imaginary[:to, :size]),
        )
        for size, to in zip(sizes, [*sizes[1:], sizes[-1]], strict=True)
    )


def _pair_matrix(matrix: sparse.csr_array, source: IntArray, node: IntArray) -> sparse.csr_array:
    """Entries ``matrix[j, k]`` between the pairs (source, j) and (source, k) of the same source."""
    n_sites, n_pairs = matrix.shape[0], len(node)
    degree = np.diff(matrix.indptr)[node]
    pair = np.repeat(np.arange(n_pairs), degree)
    within = np.arange(len(pair)) - np.repeat(np.cumsum(degree) - degree, degree)
    entry = matrix.indptr[node[pair]] + within
    keys = source * n_sites + node
    order = np.argsort(keys)
    wanted = source[pair] * n_sites + matrix.indices[entry]
    position = np.minimum(np.searchsorted(keys[order], wanted), n_pairs - 1)
    target = order[position]
    inside = keys[target] == wanted
    values = matrix.data[entry[inside]]
    return sparse.coo_array((values, (pair[inside], target[inside])), shape=(n_pairs, n_pairs)).tocsr()


def _with_transpose(matrix: sparse.csr_array) -> tuple[Tensor, Tensor]:
    return _sparse_tensor(matrix), _sparse_tensor(matrix.T.tocsr())


def _sparse_tensor(matrix: sparse.csr_array) -> Tensor:
    """Constant torch tensor in compressed rows."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state")
        return torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int64)),
            torch.from_numpy(matrix.indices.astype(np.int64)),
            torch.from_numpy(matrix.data.astype(np.float64)),
            size=matrix.shape,
            check_invariants=False,
        )
