"""Symmetry operations of a system as permutations of its sites."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor

from gnnspin.systems import SpinSystem


def orthogonal_matrices(planar: bool) -> list[np.ndarray]:
    """Candidates for point-group elements: multiples of 30 degrees and mirrors in the plane, or the cube's 48."""
    if not planar:
        signs = itertools.product((1, -1), repeat=3)
        return [np.eye(3)[list(p)] * np.array(s)[:, None] for s in signs for p in itertools.permutations(range(3))]
    matrices = []
    for angle in np.arange(12) * np.pi / 6:
        c, s = np.cos(angle), np.sin(angle)
        rotation = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
        matrices += [rotation, rotation @ np.diag([1.0, -1.0, 1.0])]
    return matrices


def permutation(system: SpinSystem, matrix: np.ndarray, origin: np.ndarray, shift: np.ndarray) -> Tensor | None:
    """Site that each site is mapped to by ``r -> matrix (r - origin) + origin + shift``, or None if not a symmetry."""
    images = (system.positions - origin) @ matrix.T + origin + shift
    difference = images[:, None] - system.positions
    fractional = difference @ np.linalg.inv(system.cell)
    fractional -= np.round(fractional) * np.array(system.pbc)
    distance = np.linalg.norm(fractional @ system.cell, axis=-1)
    if not (distance.min(1) < 1e-6).all():
        return None
    # the neighbourhood must be mapped too: the torus itself must have the symmetry
    rotated = system.cell @ matrix.T @ np.linalg.inv(system.cell)
    periodic = np.array(system.pbc)
    if not np.allclose(rotated[np.ix_(periodic, periodic)], np.round(rotated[np.ix_(periodic, periodic)]), atol=1e-6):
        return None
    return torch.from_numpy(distance.argmin(1))


def site_symmetries(system: SpinSystem, site: int = 0, *, planar: bool = True, mirrors: bool = True) -> list[Tensor]:
    """Permutations of all elements of the point group of `site`; without `mirrors` of its proper rotations."""
    matrices = [m for m in orthogonal_matrices(planar) if mirrors or np.linalg.det(m) > 0]
    found = [permutation(system, m, system.positions[site], np.zeros(3)) for m in matrices]
    return [p for p in found if p is not None]


def translations(system: SpinSystem) -> list[Tensor]:
    """Permutations of the primitive translations."""
    vectors = system.primitive_vectors[np.array(system.pbc)]
    found = [permutation(system, np.eye(3), np.zeros(3), v) for v in vectors]
    return [p for p in found if p is not None]
