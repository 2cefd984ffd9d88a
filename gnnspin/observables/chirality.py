"""Chiralities of the elementary triangles of the triangular lattice.

Triangles are counter-clockwise. The 'up' triangle of the cell at r is ``(r, r + a1, r + a2)``, the 'down' triangle
``(r + a1, r + a1 + a2, r + a2)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import as_spins
from gnnspin.observables.reciprocal import dimension
from gnnspin.systems.system import SpinSystem


@dataclass(frozen=True, eq=False)
class Triangles:
    """The T elementary triangles of a system.

    Attributes
    ----------
    sites : (T, 3) int64
        Corners, counter-clockwise; all 'up' triangles come first, then all 'down' triangles.
    orientation : (T,)
        +1 'up', -1 'down'.
    centers : (T, 3) float64
        Cartesian centres, not wrapped into the cell.
    """

    sites: Tensor
    orientation: Tensor
    centers: Tensor


@lru_cache(maxsize=16)
def triangles(system: SpinSystem) -> Triangles:
    """Elementary triangles of a triangular lattice; those cut by an open boundary are left out.

    Raises
    ------
    InvalidInput
        If the system is not a triangular lattice with primitive vectors at 60 degrees.
    """
    a = system.primitive_vectors if system.lattice_shape else np.eye(3)
    angle = a[0] @ a[1] / np.linalg.norm(a[0]) / np.linalg.norm(a[1])
    if dimension(system) != 2 or system.n_basis != 1 or not np.isclose(angle, 0.5) or not np.isclose(*_lengths(a)):
        raise InvalidInput("triangles are defined on a triangular lattice with primitive vectors at 60 degrees")
    corners = {1: [(0, 0), (1, 0), (0, 1)], -1: [(1, 0), (1, 1), (0, 1)]}
    shape = np.array(system.lattice_shape[:2])  # type: ignore[index]
    cells = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, 1, 2)
    sites, orientation, centers = [], [], []
    for sign, offsets in corners.items():
        index = cells + np.array(offsets)
        inside = ((index < shape) | np.array(system.pbc[:2])).all((1, 2))
        wrapped = index[inside] % shape
        sites.append(wrapped[..., 0] * shape[1] + wrapped[..., 1])
        orientation.append(np.full(int(inside.sum()), float(sign)))
        centers.append(system.positions[0] + index[inside].mean(1) @ a[:2])
    return Triangles(*(torch.from_numpy(np.concatenate(parts)) for parts in (sites, orientation, centers)))


def vector_chirality(system: SpinSystem, spins: Tensor | ArrayLike) -> Tensor:
    """Vector chirality ``kappa = 2 / (3 sqrt 3) (S1 x S2 + S2 x S3 + S3 x S1)`` of each triangle, shape (..., T, 3).

    In perfect 120-degree order ``|kappa| = 1``, opposite on 'up' and 'down' triangles.

    Raises
    ------
    InvalidInput
        If the system is not a triangular lattice or the spins do not fit it.
    """
    s1, s2, s3 = _corner_spins(system, spins)
    total = torch.linalg.cross(s1, s2) + torch.linalg.cross(s2, s3) + torch.linalg.cross(s3, s1)
    return total * (2 / (3 * np.sqrt(3)))


def scalar_chirality(system: SpinSystem, spins: Tensor | ArrayLike) -> Tensor:
    """Scalar chirality ``chi = S1 . (S2 x S3)`` of each triangle, shape (..., T).

    The same on all triangles in perfect tetrahedral order: ``+-4 / (3 sqrt 3) = +-0.7698``; zero for coplanar spins.
    Errors as in `vector_chirality`.
    """
    s1, s2, s3 = _corner_spins(system, spins)
    return (s1 * torch.linalg.cross(s2, s3)).sum(-1)


def staggered_vector_chirality(system: SpinSystem, spins: Tensor | ArrayLike) -> Tensor:
    """Map of the vector chirality, 'up' counted positive and 'down' negative, averaged over each site's triangles.

    Shape (..., N, 3): a uniform unit vector, the normal of the spins' plane, in perfect 120-degree order. Errors as in
    `vector_chirality`.
    """
    kappa = vector_chirality(system, spins)
    sign = triangles(system).orientation.to(kappa)
    return site_average(system, (kappa * sign[:, None]).transpose(-1, -2)).transpose(-1, -2)


def site_average(system: SpinSystem, values: Tensor) -> Tensor:
    """Mean of values per triangle (..., T) over the (up to six) triangles of each site, shape (..., N)."""
    corners = triangles(system).sites.to(values.device)
    total = torch.zeros(*values.shape[:-1], system.n_sites, dtype=values.dtype, device=values.device)
    for corner in corners.unbind(1):
        total = total.index_add(-1, corner, values)
    return total / torch.bincount(corners.flatten(), minlength=system.n_sites)


def _corner_spins(system: SpinSystem, spins: Tensor | ArrayLike) -> list[Tensor]:
    checked = as_spins(spins, system.n_sites)
    return [checked[..., corner, :] for corner in triangles(system).sites.to(checked.device).unbind(1)]


def _lengths(vectors: np.ndarray) -> tuple[float, float]:
    first, second = np.linalg.norm(vectors[:2], axis=1)
    return float(first), float(second)
