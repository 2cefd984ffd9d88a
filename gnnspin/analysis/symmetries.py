"""How far a field source is from the symmetries of its system: spin rotation, time reversal, space."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from gnnspin.core.source import FieldSource
from gnnspin.core.spins import random_rotation, random_spins, torque
from gnnspin.force_fields.force_field import ForceField
from gnnspin.systems import SpinSystem
from gnnspin.systems.symmetry import site_symmetry
from gnnspin.systems.system import FloatArray


def symmetry_violations(source: FieldSource, *, seed: int = 0) -> dict[str, float]:
    """Largest change of the torque under each symmetry operation, relative to its root mean square.

    Parameters
    ----------
    source : FieldSource
        A conservative source of equilibrium has all these symmetries if its electrons have no spin-orbit coupling and
        no complex hopping.
    seed : int
        Of the random spins and rotations.

    Returns
    -------
    dict
        ``spin_rotation``, ``time_reversal``; ``translation`` and ``point_group`` on a lattice that has any (all
        elements of the site's point group that map the finite system to itself); ``space_rotation`` for a force field
        on a system without a lattice (a rotation with reflection of all positions).
    """
    system = source.system
    spins = random_spins(system.n_sites, seed=seed)
    reference = torque(spins, source.field(spins))
    scale = float(reference.square().mean().sqrt())

    def violation(moved: Tensor, expected: Tensor, other: FieldSource = source) -> float:
        return float((torque(moved, other.field(moved)) - expected).abs().max()) / scale

    rotation = random_rotation(seed)
    result = {
        "spin_rotation": violation(spins @ rotation.T, reference @ rotation.T),
        "time_reversal": violation(-spins, reference),
    }
    if system.lattice_shape is None:
        if isinstance(source, ForceField):
            matrix = random_rotation(seed + 1).numpy() @ np.diag([1.0, 1.0, -1.0])
            axis = None if system.polar_axis is None else matrix @ np.asarray(system.polar_axis)
            moved = SpinSystem(
                system.positions @ matrix.T, system.cell @ matrix.T, system.pbc, system.species, polar_axis=axis
            )
            result["space_rotation"] = violation(spins, reference, source.on(moved))
        return result
    for name, images in (("translation", _translations(system)), ("point_group", _point_group(system))):
        if images:
            result[name] = max(violation(_moved(spins, image), _moved(reference, image)) for image in images)
    return result


def site_permutation(system: SpinSystem, matrix: FloatArray, origin: FloatArray, shift: FloatArray) -> Tensor | None:
    """Site (N,) that each site goes to by ``r -> matrix (r - origin) + origin + shift``; None if it is no symmetry.

    The finite system itself must have the symmetry: a rectangle of a square lattice has no four-fold axis.
    """
    periodic = np.array(system.pbc)
    turned = (system.cell @ matrix.T @ np.linalg.inv(system.cell))[np.ix_(periodic, periodic)]
    if not np.allclose(turned, np.round(turned), atol=1e-6):
        return None
    images = (system.positions - origin) @ matrix.T + origin + shift
    distance, nearest = cKDTree(_wrapped(system, system.positions)).query(_wrapped(system, images))
    return torch.from_numpy(nearest) if float(np.max(distance)) < 1e-6 else None


def _wrapped(system: SpinSystem, positions: FloatArray) -> FloatArray:
    """Points on a torus: cosine and sine of periodic fractional coordinates (scaled to distances), others as they are.

    Distances between such points are zero exactly for positions that are equal up to a cell vector.
    """
    fractional = positions @ np.linalg.inv(system.cell)
    periodic = np.array(system.pbc)
    angle = 2 * np.pi * fractional[:, periodic]
    length = np.linalg.norm(system.cell[periodic], axis=1) / (2 * np.pi)
    return np.concatenate([length * np.cos(angle), length * np.sin(angle), fractional[:, ~periodic]], axis=1)


def _translations(system: SpinSystem) -> list[Tensor]:
    vectors = system.primitive_vectors[np.array(system.pbc)]
    found = [site_permutation(system, np.eye(3), np.zeros(3), vector) for vector in vectors]
    return [image for image in found if image is not None]


def _point_group(system: SpinSystem) -> list[Tensor]:
    origin = system.positions[0]
    group = site_symmetry(system, 0).rotations
    found = [site_permutation(system, matrix, origin, np.zeros(3)) for matrix in group]
    return [image for image in found if image is not None]


def _moved(values: Tensor, image: Tensor) -> Tensor:
    """Values (N, 3) carried from each site to its image."""
    return torch.empty_like(values).index_copy(0, image, values)
