"""Distances under periodic boundaries: pairs within a radius, shortest images, the closest pair.

Everything is computed in units of a power of two near the length at hand: the same for lattice constants of 1e-9 and of
1e6, to the last bit.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from ase.geometry.minkowski_reduction import minkowski_reduce
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import null_space
from scipy.spatial import cKDTree
from vesin import NeighborList

from gnnspin.core.errors import InvalidInput

if TYPE_CHECKING:
    from gnnspin.systems.system import SpinSystem

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Lengths that differ by less than this part of the closest distance are equal, and a neighbour this part of a cutoff
#: beyond it still counts.
LENGTH_TOLERANCE = 1e-6


def pairs_within(system: SpinSystem, cutoff: float) -> tuple[IntArray, IntArray, IntArray]:
    """Ordered pairs (i, j) at most `cutoff` apart, periodic images included, for any cell, sheared or thin.

    Parameters
    ----------
    system : SpinSystem
        Not a union.
    cutoff : float
        Positive; in the units of the positions.

    Returns
    -------
    i, j : (E,)
    shift : (E, 3)
        The image of j is at ``positions[j] + shift @ cell``.
    """
    unit = power_of_two(cutoff)
    positions, periodic = system.positions / unit, np.array(system.pbc)
    vectors = system.cell[periodic] / unit
    across = null_space(vectors).T if len(vectors) else np.eye(3)
    extent = np.ptp(positions @ across.T, axis=0) if len(across) else np.empty(0)
    wanted = searched = cutoff / unit
    while True:
        # Periodic in all directions, but so wide across the open ones that no image is within the radius.
        cell = np.concatenate([vectors, across * (extent + 3 * searched)[:, None]])
        if _searchable(cell, searched):
            break
        searched *= 2
    i, j, shift, distance = NeighborList(cutoff=searched, full_list=True).compute(positions, cell, True, "ijSd")
    kept = distance <= wanted
    whole = np.zeros((int(kept.sum()), 3), dtype=np.int64)
    whole[:, periodic] = shift[kept, : len(vectors)]
    return i[kept].astype(np.int64), j[kept].astype(np.int64), whole


def _searchable(cell: FloatArray, radius: float) -> bool:
    """Whether the neighbour search can divide a cell into boxes of `radius`.

    It makes at most 1e5 boxes and reduces their numbers in all directions alike: to none in a thin one, which it then
    divides by.
    """
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    boxes = np.maximum(np.floor(heights / radius * (1 - 1e-9)), 1)  # a quotient of 3 may be 2.9999 in the search
    return float(boxes.min()) * min(1.0, float(1e5 / boxes.prod()) ** (1 / 3)) > 1.1 or float(boxes.prod()) <= 1e5


def shortest_images(system: SpinSystem, vectors: ArrayLike) -> FloatArray:
    """Displacements (..., 3), each replaced by its shortest periodic image; exact in sheared cells.

    Parameters
    ----------
    system : SpinSystem
        Not a union.
    vectors : (..., 3)
        Cartesian.

    Notes
    -----
    A displacement is first brought to coefficients within 1/2 of a Minkowski-reduced basis of the periodic directions;
    the shortest image is then at most one basis vector away (P. Q. Nguyen and D. Stehle, ACM Trans. Algorithms 5, 46
    (2009), doi:10.1145/1597036.1597050).
    """
    found = np.array(vectors, dtype=np.float64)
    basis = reduced_vectors(system)
    if not len(basis):
        return found
    found -= np.round(found @ np.linalg.pinv(basis)) @ basis
    gram = basis @ basis.T
    if (gram == np.diag(np.diag(gram))).all():
        return found
    start, squared = found.copy(), np.square(found).sum(-1)
    for steps in product((-1, 0, 1), repeat=len(basis)):
        image = start + np.array(steps) @ basis
        length = np.square(image).sum(-1)
        closer = length < squared
        squared, found = np.where(closer, length, squared), np.where(closer[..., None], image, found)
    return found


def reduced_vectors(system: SpinSystem) -> FloatArray:
    """Shortest basis (d, 3) of the translations of the d periodic directions."""
    periodic = np.array(system.pbc)
    if not periodic.any():
        return np.empty((0, 3))
    unit = power_of_two(float(np.abs(system.cell).max()))
    reduced, _ = minkowski_reduce(system.cell / unit, pbc=periodic)
    return np.asarray(reduced, dtype=np.float64)[periodic] * unit


def minimum_image_vectors(system: SpinSystem) -> FloatArray:
    """Vectors ``r_j - r_i`` (N, N, 3) to the nearest image of j; antisymmetric where two images are as near."""
    nearest = shortest_images(system, system.positions[None] - system.positions[:, None])
    upper = np.triu(np.ones(nearest.shape[:2], dtype=bool), 1)[..., None]
    return np.where(upper, nearest, -nearest.swapaxes(0, 1))


def minimum_image_distances(system: SpinSystem) -> FloatArray:
    """Distances (N, N) between all pairs, each to its nearest periodic image."""
    return np.linalg.norm(minimum_image_vectors(system), axis=-1)


def distances_from(system: SpinSystem, site: int) -> FloatArray:
    """Distances (N,) of all sites from one, to the nearest periodic image."""
    return np.linalg.norm(shortest_images(system, system.positions - system.positions[site]), axis=-1)


def closest_distance(system: SpinSystem) -> float:
    """Distance of the closest two sites, or of a site from its own image; infinite for one site alone.

    Parameters
    ----------
    system : SpinSystem
        Not a union.
    """
    bound = float(np.linalg.norm(reduced_vectors(system), axis=1).min(initial=np.inf))
    if system.n_sites > 1:
        bound = min(bound, float(np.asarray(cKDTree(system.positions).query(system.positions, k=2)[0])[:, 1].min()))
        if any(system.pbc) and bound > 0:
            i, j, shift = pairs_within(system, bound * (1 + LENGTH_TOLERANCE))
            vectors = system.positions[j] - system.positions[i] + shift @ system.cell
            bound = float(np.linalg.norm(vectors, axis=1).min(initial=bound))
    return bound


def no_neighbor(system: SpinSystem, cutoff: float) -> InvalidInput:
    """Error of a cutoff, in the unit of the positions, that no other site is within."""
    closest = min(closest_distance(part) for part in system.parts)
    hint = f": the closest sites are {closest:g} apart, in the unit of the positions" if np.isfinite(closest) else ""
    return InvalidInput(f"no site has a neighbour within cutoff={cutoff:g}; increase the cutoff{hint}")


def power_of_two(length: float) -> float:
    """Power of two next to a positive length: lengths in this unit are near 1, and not rounded."""
    return float(2.0 ** np.round(np.log2(length)))
