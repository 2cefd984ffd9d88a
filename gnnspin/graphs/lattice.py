"""Neighbours on a lattice: those of one unit cell, translated; exact and linear in the number of sites."""

from __future__ import annotations

import numpy as np

from gnnspin.systems.lattice import cell_indices, cell_neighbors, cell_number, cells_present
from gnnspin.systems.system import FloatArray, IntArray, SpinSystem


def lattice_pairs(system: SpinSystem, cutoff: float) -> tuple[IntArray, IntArray, FloatArray]:
    """Ordered pairs (i, j) at most `cutoff` apart, periodic images included, and the vectors r_j - r_i.

    Parameters
    ----------
    system : SpinSystem
        For which `gnnspin.systems.lattice.is_lattice` holds.
    cutoff : float

    Returns
    -------
    i, j : (E,)
    vector : (E, 3)
    """
    shape, n_basis = np.array(system.lattice_shape), system.n_basis
    cells = cell_indices(system.lattice_shape or (1, 1, 1))
    index = np.arange(len(cells))
    centres, neighbors, vectors = [], [], []
    for offset, a, b, vector in zip(*cell_neighbors(system, cutoff), strict=True):
        target = cells + offset
        inside = cells_present(target, shape, system.pbc)
        cell = cell_number(target[inside], shape)
        centres.append(index[inside] * n_basis + a)
        neighbors.append(cell * n_basis + b)
        vectors.append(np.broadcast_to(vector, (len(cell), 3)))
    if not centres:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty((0, 3))
    return np.concatenate(centres), np.concatenate(neighbors), np.concatenate(vectors)
