"""Lattices by number: cells and sites, what makes a system a lattice, the neighbours of one unit cell.

Site ``i = ((n1 * L2 + n2) * L3 + n3) * n_basis + b`` is basis site b of the cell (n1, n2, n3).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnspin.systems.distances import LENGTH_TOLERANCE, FloatArray, IntArray, pairs_within

if TYPE_CHECKING:
    from gnnspin.systems.system import SpinSystem


def cell_indices(shape: ArrayLike) -> IntArray:
    """Indices (n1, n2, n3) of all cells (C, 3) of a lattice of `shape`, in the order of the sites."""
    return np.indices(tuple(np.asarray(shape).tolist())).reshape(np.size(shape), -1).T.astype(np.int64)


def cell_number(cells: ArrayLike, shape: ArrayLike) -> IntArray:
    """Number (...) of each cell (..., 3) in the order of the sites, indices wrapped around the lattice of `shape`."""
    lengths = tuple(np.asarray(shape).tolist())
    return np.asarray(np.ravel_multi_index(tuple(np.moveaxis(np.asarray(cells) % lengths, -1, 0)), lengths))


def cells_present(cells: ArrayLike, shape: ArrayLike, pbc: ArrayLike) -> NDArray[np.bool_]:
    """Whether a lattice of `shape` has each cell (..., 3): its indices are in range where the boundary is open."""
    inside = (np.asarray(cells) >= 0) & (np.asarray(cells) < np.asarray(shape))
    return np.asarray((inside | np.asarray(pbc)).all(axis=-1))


def site_cells(system: SpinSystem) -> IntArray:
    """Indices (N, 3) of the cell of every site of a system with a lattice shape."""
    return np.repeat(cell_indices(system.lattice_shape or (1, 1, 1)), system.n_basis, axis=0)


def repeated_directions(system: SpinSystem) -> tuple[bool, bool, bool]:
    """Directions in which a lattice continues, open or not: those that are periodic or longer than one cell."""
    shape = system.lattice_shape or (1, 1, 1)
    a, b, c = (bool(p or n > 1) for p, n in zip(system.pbc, shape, strict=True))
    return a, b, c


def is_lattice(system: SpinSystem) -> bool:
    """Whether every site sits where its indices say, so that neighbours repeat from cell to cell.

    Deviations up to `LENGTH_TOLERANCE` of the closest distance do not count.
    """
    if system.n_graphs > 1 or system.lattice_shape is None:
        return False
    cells = cell_indices(system.lattice_shape)
    sites = system.positions.reshape(len(cells), -1, 3)
    away = sites - sites[0] - (cells @ system.primitive_vectors)[:, None]
    spacing = min(cell_spacing(system), float(np.abs(system.cell).max()))
    return bool(np.abs(away).max() < LENGTH_TOLERANCE * spacing)


def is_ideal_lattice(system: SpinSystem) -> bool:
    """Whether sites (see `is_lattice`) and species repeat from cell to cell."""
    if not is_lattice(system):
        return False
    species = system.species.reshape(-1, system.n_basis)
    return bool((species == species[0]).all())


def cell_neighbors(system: SpinSystem, cutoff: float) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
    """Neighbours of one unit cell of a lattice, at most `cutoff` away (see `LENGTH_TOLERANCE`).

    Returns
    -------
    offset : (E, 3)
        Cell of the neighbour, relative to the cell of the centre.
    centre, neighbor : (E,)
        Basis indices.
    vector : (E, 3)
        r_j - r_i.
    """
    cell = unit_cell(system)
    centre, neighbor, offset = pairs_within(cell, cutoff * (1 + LENGTH_TOLERANCE))
    lengths = np.where(system.pbc, np.iinfo(np.int64).max, np.array(system.lattice_shape))
    occurs = (np.abs(offset) < lengths).all(axis=1)
    centre, neighbor, offset = centre[occurs], neighbor[occurs], offset[occurs]
    order = np.lexsort((neighbor, centre, *offset.T[::-1]))
    centre, neighbor, offset = centre[order], neighbor[order], offset[order]
    return offset, centre, neighbor, offset @ cell.cell + cell.positions[neighbor] - cell.positions[centre]


def unit_cell(system: SpinSystem) -> SpinSystem:
    """One unit cell of a lattice, periodic in the directions in which the lattice continues."""
    return type(system)(
        system.positions[: system.n_basis],
        cell=system.primitive_vectors,
        pbc=repeated_directions(system),
        species=system.species[: system.n_basis],
        lattice_shape=(1, 1, 1),
        polar_axis=system.polar_axis,
    )


def cell_spacing(system: SpinSystem) -> float:
    """Closest distance of a lattice, from one unit cell; infinite for one site alone."""
    basis = system.positions[: system.n_basis]
    upper = float(
        np.linalg.norm(system.primitive_vectors, axis=1)[list(repeated_directions(system))].min(initial=np.inf)
    )
    if len(basis) > 1:
        upper = min(upper, float(np.linalg.norm(basis[1:] - basis[0], axis=1).min()))
    if not 0 < upper < np.inf:
        return upper
    return float(np.linalg.norm(cell_neighbors(system, upper)[3], axis=1).min(initial=upper))
