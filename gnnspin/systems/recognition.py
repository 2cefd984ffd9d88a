"""Perfect lattices among systems that are given by their positions alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from gnnspin.core.errors import InvalidInput
from gnnspin.systems.distances import LENGTH_TOLERANCE, FloatArray, IntArray, shortest_images
from gnnspin.systems.lattice import cell_indices
from gnnspin.systems.system import SpinSystem


@dataclass(frozen=True)
class RecognizedLattice:
    """A lattice and how its sites are numbered in the system it was recognised in.

    Attributes
    ----------
    system : SpinSystem
        The same sites with a lattice shape, in the order of lattices, on exact lattice points.
    permutation : (N,) int64
        Site k of `system` is site ``permutation[k]`` of the given one: ``spins[..., permutation, :]`` are the lattice's
        spins, ``field[..., permutation.argsort(), :]`` takes its fields back.
    """

    system: SpinSystem
    permutation: IntArray


def as_lattice(system: SpinSystem, *, tolerance: float = LENGTH_TOLERANCE) -> RecognizedLattice:
    """Recognise a lattice, whatever the order of its sites.

    Lattices have fast paths that arbitrary positions have not: convolutions, exact shells, wave vectors, tiles. The
    cell is kept: along every cell vector the lattice has as many unit cells as there are translations of the sites
    along it, so that a cell whose vectors are no multiples of primitive ones gives unit cells of several sites. Along
    an open direction the cell vector must be the number of cells times the distance of the cells, as in all lattices
    of this package.

    Parameters
    ----------
    system : SpinSystem
        Not a union.
    tolerance : float
        Largest deviation of a site from its lattice point, in units of the closest distance; larger for positions that
        were rounded in a file.

    Raises
    ------
    InvalidInput
        If no direction has a translation, or the system is a union.

    Examples
    --------
    >>> from gnnspin.systems import triangular
    >>> sites = triangular(4, 6)
    >>> as_lattice(SpinSystem(sites.positions[::-1], sites.cell, sites.pbc)).system.lattice_shape
    (4, 6, 1)
    """
    if system.n_graphs > 1:
        raise InvalidInput("a union is no lattice; recognise each of system.parts")
    room = tolerance * (system.spacing if np.isfinite(system.spacing) else 1.0)
    finder = cKDTree(_wrapped(system, system.positions, room))
    chains = [_chains(system, finder, axis, room) for axis in range(3)]
    shape = [len(chain) for chain in chains]
    if max(shape) == 1:
        raise InvalidInput(
            f"{system} has no translation along its cell vectors; it is no lattice, or its cell is wrong"
        )
    sites = _sites_of_cells(system, chains, room)
    origin = system.positions[sites[0, 0]]
    basis = origin + shortest_images(system, system.positions[sites[0]] - origin)
    positions = basis + (cell_indices(shape) @ (system.cell / np.array(shape)[:, None]))[:, None]
    permutation = sites.reshape(-1)
    found = SpinSystem(
        positions.reshape(-1, 3),
        system.cell,
        system.pbc,
        system.species[permutation],
        lattice_shape=shape,
        polar_axis=system.polar_axis,
    )
    return RecognizedLattice(found, permutation)


def _wrapped(system: SpinSystem, positions: FloatArray, room: float) -> FloatArray:
    """Positions moved into the cell along its periodic directions; those just below a boundary stay at it."""
    fractions = positions @ np.linalg.inv(system.cell)
    edge = 10 * room / np.linalg.norm(system.cell, axis=1)
    return np.where(system.pbc, np.mod(fractions + edge, 1.0), fractions) @ system.cell


def _chains(system: SpinSystem, finder: cKDTree, axis: int, room: float) -> IntArray:
    """Sites (L, N / L) in columns of equal ones, each the translation of the one above, for the largest L possible."""
    for length in range(system.n_sites, 1, -1):
        if system.n_sites % length == 0:
            image = _images(system, finder, axis, length, room)
            chains = None if image is None else _columns(image, length, system.pbc[axis])
            if chains is not None:
                return chains
    return np.arange(system.n_sites)[None]


def _images(system: SpinSystem, finder: cKDTree, axis: int, length: int, room: float) -> IntArray | None:
    """Site (N,) one of `length` steps along a cell vector from every site, -1 where there is none.

    None if the species differ, or no image is where a periodic direction must have one.
    """
    moved = _wrapped(system, system.positions + system.cell[axis] / length, room)
    if system.pbc[axis] and float(np.asarray(finder.query(moved[0])[0])) > room:
        return None
    distance, nearest = map(np.asarray, finder.query(moved))
    image = np.where(distance <= room, nearest, -1)
    there = image >= 0
    if len(np.unique(image[there])) < there.sum() or (system.species[image] != system.species)[there].any():
        return None
    return image


def _columns(image: IntArray, length: int, periodic: bool) -> IntArray | None:
    """Follow the images; None unless chains of `length` sites, closed or open, hold every site."""
    sites = np.arange(len(image))
    if periodic:
        rows = [sites]
        for _ in range(length):
            if (rows[-1] < 0).any():
                return None
            rows.append(image[rows[-1]])
        if (rows[-1] != sites).any() or (np.stack(rows[1:-1]) == sites).any():
            return None
        first = np.unique(np.stack(rows[:-1]).min(0))
    else:
        first = np.setdiff1d(sites, image)
    columns = [first]
    for _ in range(length - 1):
        columns.append(image[columns[-1]])
        if (columns[-1] < 0).any():
            return None
    found = np.stack(columns)
    return found if found.size == len(image) and len(np.unique(found)) == len(image) else None


def _sites_of_cells(system: SpinSystem, chains: list[IntArray], room: float) -> IntArray:
    """Sites (cells, n_basis): first the lowest site that starts its open chains and the sites of its cell.

    Of the sites that translations join, the cell has the one nearest to the lowest; of equally near ones the lowest.
    """
    following = np.empty((3, system.n_sites), dtype=np.int64)
    starts = np.ones(system.n_sites, dtype=bool)
    for axis, chain in enumerate(chains):
        following[axis, chain] = np.roll(chain, -1, axis=0)
        if not system.pbc[axis]:
            starts &= np.isin(np.arange(system.n_sites), chain[0])
    candidates = np.flatnonzero(starts)
    vectors = shortest_images(system, system.positions[candidates] - system.positions[candidates[0]])
    distance = np.round(np.linalg.norm(vectors, axis=1) / (10 * room))
    claimed, found = np.zeros(system.n_sites, dtype=bool), {}
    for site in candidates[np.lexsort((candidates, distance))].tolist():
        if not claimed[site]:
            cells = np.array([site])
            for step, chain in zip(following, chains, strict=True):
                rows = [cells]
                for _ in range(len(chain) - 1):
                    rows.append(step[rows[-1]])
                cells = np.stack(rows, axis=1).reshape(-1)
            claimed[cells] = True
            found[site] = cells
    return np.stack([found[site] for site in sorted(found)], axis=1)
