"""Neighbours on a lattice: those of one unit cell, translated; exact and linear in the number of sites."""

from __future__ import annotations

import numpy as np

from gnnspin.systems.system import FloatArray, IntArray, SpinSystem


def is_lattice(system: SpinSystem) -> bool:
    """Whether every site sits exactly where its indices say, so that neighbours repeat from cell to cell."""
    if system.n_graphs > 1 or system.lattice_shape is None:
        return False
    expected = _cells(system.lattice_shape) @ system.primitive_vectors
    sites = system.positions.reshape(len(expected), system.n_basis, 3)
    scale = float(np.abs(system.primitive_vectors).max())
    return bool(np.abs(sites - sites[0] - expected[:, None]).max() < 1e-9 * scale * max(system.lattice_shape))


def lattice_pairs(system: SpinSystem, cutoff: float) -> tuple[IntArray, IntArray, FloatArray]:
    """Ordered pairs (i, j) at most `cutoff` apart, periodic images included, and the vectors r_j - r_i.

    Parameters
    ----------
    system : SpinSystem
        For which `is_lattice` holds.
    cutoff : float

    Returns
    -------
    i, j : (E,)
    vector : (E, 3)
    """
    shape, n_basis = np.array(system.lattice_shape), system.n_basis
    cells = _cells(system.lattice_shape)  # type: ignore[arg-type]
    index = np.arange(len(cells))
    centres, neighbors, vectors = [], [], []
    for offset, a, b, vector in zip(*cell_neighbors(system, cutoff), strict=True):
        target = cells + offset
        inside = ((target >= 0) & (target < shape) | np.array(system.pbc)).all(axis=1)
        target = target[inside] % shape
        cell = (target[:, 0] * shape[1] + target[:, 1]) * shape[2] + target[:, 2]
        centres.append(index[inside] * n_basis + a)
        neighbors.append(cell * n_basis + b)
        vectors.append(np.broadcast_to(vector, (len(cell), 3)))
    if not centres:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty((0, 3))
    return np.concatenate(centres), np.concatenate(neighbors), np.concatenate(vectors)


def cell_neighbors(system: SpinSystem, cutoff: float) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    """Cell offset, basis index of centre and neighbour, and vector r_j - r_i of every neighbour of one unit cell."""
    primitive = system.primitive_vectors
    basis = system.positions[: system.n_basis]
    spread = np.linalg.norm(basis[:, None] - basis, axis=-1).max()
    heights = 1 / np.linalg.norm(np.linalg.inv(primitive), axis=0)
    reach = np.ceil((cutoff + spread) / heights).astype(int)
    lengths = np.array(system.lattice_shape)
    reach = np.where(system.pbc, reach, np.minimum(reach, lengths - 1))
    grid = np.stack(np.meshgrid(*[np.arange(-r, r + 1) for r in reach], indexing="ij"), axis=-1).reshape(-1, 3)
    vectors = (grid @ primitive)[:, None, None] + basis[None, None] - basis[None, :, None]
    distance = np.linalg.norm(vectors, axis=-1)
    itself = (grid == 0).all(axis=1)[:, None, None] & np.eye(len(basis), dtype=bool)
    cell, a, b = np.nonzero((distance <= cutoff) & ~itself)
    return grid[cell], a, b, vectors[cell, a, b]


def _cells(shape: tuple[int, int, int]) -> IntArray:
    """Indices (n1, n2, n3) of all unit cells in the order of the sites."""
    return np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), axis=-1).reshape(-1, 3)
