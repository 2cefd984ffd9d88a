"""Operations that map a finite system onto itself, as permutations of its sites."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from gnnspin.systems.lattice import is_ideal_lattice, repeated_directions
from gnnspin.systems.symmetry import CrystalSymmetry
from gnnspin.systems.system import FloatArray, SpinSystem

OperationKind = Literal["translation", "point_group", "mirrors"]

#: Images of a site this close to a site, relative to the shortest distance of two sites, lie on it.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class SiteOperation:
    """One operation of the space group.

    Attributes
    ----------
    kind : {"translation", "point_group", "mirrors"}
        Translations, proper rotations and improper ones; screws and glides count as what they turn by.
    name : str
        In words, such as ``rotation by 120 degrees``.
    matrix : (3, 3)
        Orthogonal part, Cartesian; the identity along directions in which all sites agree.
    image : (N,) int64
        Site that each site goes to.
    """

    kind: OperationKind
    name: str
    matrix: FloatArray
    image: Tensor

    def moved(self, values: Tensor) -> Tensor:
        """Values (N, ...) carried from each site to its image."""
        return torch.empty_like(values).index_copy(0, self.image, values)


def site_operations(system: SpinSystem) -> tuple[SiteOperation, ...]:
    """Primitive translations and space-group operations of a system, without the identity.

    The finite system itself must have them: a rectangle of a square lattice has no four-fold axis, an open one no
    translation. Operations that move the polar axis of the system, or exchange species, are left out. Parts of a union
    have operations of their own: a union has none.

    Parameters
    ----------
    system : SpinSystem
        Lattices of any size; any other system is searched as a whole (hundreds of sites, not thousands).
    """
    if system.n_graphs > 1:
        return ()
    crystal = _crystal(system)
    found = []
    for name, vector in zip("abc", crystal.vectors, strict=True):
        image = site_permutation(system, np.eye(3), np.zeros(3), vector)
        if image is not None and not bool((image == torch.arange(len(image))).all()):
            found.append(SiteOperation("translation", f"translation along {name}", np.eye(3), image))
    return (*found, *_rotations(system, crystal))


def _rotations(system: SpinSystem, crystal: CrystalSymmetry) -> list[SiteOperation]:
    """Operations other than translations, each matrix once: those of a plane come with and without its own mirror."""
    found: list[SiteOperation] = []
    seen = [np.eye(3)]
    for matrix, shift in zip(crystal.rotations, crystal.translations, strict=True):
        if any(np.allclose(matrix, other, atol=1e-6) for other in seen) or not _keeps_axis(system, matrix):
            continue
        image = site_permutation(system, matrix, np.zeros(3), _centered(system, matrix, shift))
        if image is not None:
            seen.append(matrix)
            proper = np.linalg.det(matrix) > 0
            found.append(SiteOperation("point_group" if proper else "mirrors", _named(matrix), matrix, image))
    return found


def site_permutation(system: SpinSystem, matrix: FloatArray, origin: FloatArray, shift: FloatArray) -> Tensor | None:
    """Site (N,) that each site goes to by ``r -> matrix (r - origin) + origin + shift``; None if it is no symmetry.

    The finite system itself must have the symmetry: a rectangle of a square lattice has no four-fold axis.
    """
    periodic = np.array(system.pbc)
    turned = (system.cell @ matrix.T @ np.linalg.inv(system.cell))[np.ix_(periodic, periodic)]
    if not np.allclose(turned, np.round(turned), atol=1e-6):
        return None
    images = (system.positions - origin) @ matrix.T + origin + shift
    tree = cKDTree(_wrapped(system, system.positions))
    distance, nearest = map(np.asarray, tree.query(_wrapped(system, images)))
    if float(distance.max()) > TOLERANCE * system.spacing:
        return None
    if len(np.unique(nearest)) < system.n_sites or not np.array_equal(system.species[nearest], system.species):
        return None
    return torch.from_numpy(nearest)


def _crystal(system: SpinSystem) -> CrystalSymmetry:
    if not is_ideal_lattice(system):
        return CrystalSymmetry.of(system.cell, system.positions, system.pbc, system.species)
    basis = slice(system.n_basis)
    repeated = repeated_directions(system)
    return CrystalSymmetry.of(system.primitive_vectors, system.positions[basis], repeated, system.species[basis])


def _centered(system: SpinSystem, matrix: FloatArray, shift: FloatArray) -> FloatArray:
    """The shift whose components along open directions leave the centre of all sites in its place."""
    away = system.positions.mean(0) - (system.positions.mean(0) @ matrix.T + shift)
    return shift + np.where(system.pbc, 0.0, away @ np.linalg.inv(system.cell)) @ system.cell


def _keeps_axis(system: SpinSystem, matrix: FloatArray) -> bool:
    axis = system.polar_axis
    return axis is None or np.allclose(matrix @ axis, axis, atol=1e-6 * float(np.linalg.norm(axis)))


def _named(matrix: FloatArray) -> str:
    proper = matrix * round(float(np.linalg.det(matrix)))
    angle = round(float(np.degrees(np.arccos(np.clip((np.trace(proper) - 1) / 2, -1, 1)))))
    if np.linalg.det(matrix) > 0:
        return f"rotation by {angle} degrees"
    return {0: "inversion", 180: "mirror"}.get(angle, f"rotation by {angle} degrees with inversion")


def _wrapped(system: SpinSystem, positions: FloatArray) -> FloatArray:
    """Points on a torus: cosine and sine of periodic fractional coordinates (scaled to distances), others as they are.

    Distances between such points are zero exactly for positions that are equal up to a cell vector.
    """
    fractional = positions @ np.linalg.inv(system.cell)
    periodic = np.array(system.pbc)
    length = np.linalg.norm(system.cell, axis=1)
    angle = 2 * np.pi * fractional[:, periodic]
    radius = length[periodic] / (2 * np.pi)
    open_part = fractional[:, ~periodic] * length[~periodic]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle), open_part], axis=1)
