"""Planar lattices by their geometry: which site of the triangular, honeycomb or kagome lattice each spin is.

The sites are recognised from their positions, in any orientation, with any choice of unit cell and of its first site.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gnnspin.core.errors import InvalidInput
from gnnspin.observables.reciprocal import dimension
from gnnspin.systems.lattice import cell_neighbors
from gnnspin.systems.system import FloatArray, IntArray, SpinSystem

#: Largest deviation of a site from its place, in units of the distance of nearest neighbours.
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class LatticeType:
    """A planar lattice whose nearest neighbours are at distance 1.

    Attributes
    ----------
    name : str
    vectors : two pairs
        Primitive vectors.
    basis : tuple of pairs
        Positions of the sites of a unit cell.
    """

    name: str
    vectors: tuple[tuple[float, float], tuple[float, float]]
    basis: tuple[tuple[float, float], ...]


_ROOT = float(np.sqrt(3))
TRIANGULAR = LatticeType("triangular", ((1, 0), (0.5, _ROOT / 2)), ((0, 0),))
HONEYCOMB = LatticeType("honeycomb", ((_ROOT, 0), (_ROOT / 2, 1.5)), ((0, 0), (0, 1)))
KAGOME = LatticeType("kagome", ((2, 0), (1, _ROOT)), ((0, 0), (1, 0), (0.5, _ROOT / 2)))


@dataclass(frozen=True, eq=False)
class Places:
    """Where the sites of a system sit on a `LatticeType`.

    Attributes
    ----------
    cells : (N, 2) int64
        Indices (n1, n2) of each site's unit cell.
    sublattice : (N,) int64
        Its index in the basis.
    periods : (2, 2) int64
        The first two cell vectors of the system in primitive vectors.
    """

    cells: IntArray
    sublattice: IntArray
    periods: IntArray


def places_on(lattice: LatticeType, system: SpinSystem) -> Places | None:
    """Place the sites of a system on a lattice; None where they are no such lattice.

    Of the equivalent placements the one with the smallest turn is taken, with the first site in cell (0, 0) on the
    first sublattice that fits.
    """
    spacing = system.spacing
    if dimension(system) != 2 or not np.ptp(system.positions[:, 2]) <= _TOLERANCE * spacing:
        return None
    area = abs(float(np.linalg.det(system.primitive_vectors[:2, :2]))) / system.n_basis / spacing**2
    if not np.isclose(area, abs(float(np.linalg.det(np.array(lattice.vectors)))) / len(lattice.basis), rtol=_TOLERANCE):
        return None
    relative = (system.positions[:, :2] - system.positions[0, :2]) / spacing
    _, centre, _, vectors = cell_neighbors(system, spacing)
    bonds = vectors[centre == 0, :2] / spacing
    basis = np.array(lattice.basis)
    for first in range(len(basis)):
        neighbor = np.array(lattice.vectors[0]) if len(basis) == 1 else basis[1 if first == 0 else 0]
        direction = neighbor - basis[first]
        turns = np.angle(bonds @ [1, 1j] / complex(*direction))
        for turn in turns[np.argsort(np.round(np.abs(turns), 6), kind="stable")]:
            c, s = np.cos(turn), np.sin(turn)
            rotation = np.array([[c, s], [-s, c]])
            placed = _place(lattice, relative @ rotation.T + basis[first])
            periods = system.cell[:2, :2] / spacing @ rotation.T @ np.linalg.inv(np.array(lattice.vectors))
            if placed is not None:
                return Places(*placed, np.round(periods).astype(np.int64))
    return None


def _place(lattice: LatticeType, positions: FloatArray) -> tuple[IntArray, IntArray] | None:
    """Cells and sublattices of positions (N, 2) that are turned and shifted onto the lattice; None if one is off."""
    vectors, basis = np.array(lattice.vectors), np.array(lattice.basis)
    cells = (positions[:, None] - basis) @ np.linalg.inv(vectors)
    rounded = np.round(cells)
    deviation = np.linalg.norm((cells - rounded) @ vectors, axis=-1)
    sublattice = deviation.argmin(axis=1)
    index = np.arange(len(positions))
    if deviation[index, sublattice].max() > _TOLERANCE * (1 + np.abs(positions).max()):
        return None
    return rounded[index, sublattice].astype(np.int64), sublattice.astype(np.int64)


def pattern_on(lattice: LatticeType, pattern: NDArray[np.float64], system: SpinSystem, order: str) -> FloatArray:
    """Spins (N, 3) of a pattern (p1, p2, n_basis, 3) that repeats every p1, p2 unit cells of a lattice.

    Raises
    ------
    InvalidInput
        If the system is no such lattice, or its periodic cell does not hold whole repetitions.
    """
    places = places_on(lattice, system)
    if places is None:
        raise InvalidInput(f"{order} order needs a {lattice.name} lattice")
    repeat = np.array(pattern.shape[:2])
    for k in range(2):
        moved = np.roll(pattern, places.periods[k], axis=(0, 1))
        if system.pbc[k] and not np.allclose(moved, pattern, atol=1e-9):
            length = system.lattice_shape[k]  # type: ignore[index]
            raise InvalidInput(
                f"{order} order needs periodic lengths that are multiples of {repeat.max()}; length {k + 1} is {length}"
            )
    cells = places.cells % repeat
    return np.asarray(pattern[cells[:, 0], cells[:, 1], places.sublattice], dtype=np.float64)
