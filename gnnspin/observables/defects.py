"""Defects of chiral order: walls between domains of either handedness, vortices of the local frame."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import as_spins, normalize
from gnnspin.observables.lattice_types import TRIANGULAR, places_on
from gnnspin.observables.order_parameters import require_three_sublattices
from gnnspin.observables.triangulation import triangles
from gnnspin.systems.distances import shortest_images
from gnnspin.systems.system import FloatArray, IntArray, SpinSystem

#: Area of the parallelogram of a frame's vectors below which its spins are collinear to rounding.
_COLLINEAR = 1e-6


def wall_length(system: SpinSystem, values: Tensor | ArrayLike, *, tiling: bool = False) -> Tensor:
    """Length of the walls between triangles of positive and of other values, shape (...).

    The sum of the edges that separate two such triangles: exact for walls along bonds, as those between the domains of
    tetrahedral order are; a wall in another direction is measured along its steps.

    Parameters
    ----------
    system : SpinSystem
    values : (..., T)
        One per triangle, such as the `scalar_chirality`, or a component of the `vector_chirality` times the
        ``orientation`` of the `triangles`.
    tiling : bool
        Which triangles, see `triangles`.

    Raises
    ------
    InvalidInput
        If the values do not fit the triangles, or the system is too narrow to tell its edges apart.
    """
    tensor = torch.as_tensor(values)
    pairs, lengths = _shared_edges(system, tiling)
    n_triangles = len(triangles(system, tiling=tiling).sites)
    if tensor.ndim < 1 or tensor.shape[-1] != n_triangles:
        raise InvalidInput(f"values have shape {tuple(tensor.shape)}; expected (..., {n_triangles}), one per triangle")
    positive = tensor > 0
    first, second = torch.from_numpy(pairs).to(positive.device)
    differs = positive[..., first] != positive[..., second]
    return (differs * torch.from_numpy(lengths).to(positive.device)).sum(-1)


def chirality_vortices(system: SpinSystem, spins: Tensor | ArrayLike) -> Tensor:
    """Which triangles hold a Z2 vortex of three-sublattice order, shape (..., T) bool; ``sum(-1)`` counts them.

    The spins A, B, C of an 'up' triangle span a frame, a rotation R. Going around a triangle of neighbouring frames,
    the smallest turns from each to the next add up to a turn by 0 or, around a vortex, by 2 pi: the loop is not
    contractible in SO(3). With unit quaternions q (either sign) of the frames there is a vortex if
    ``(q1.q2) (q2.q3) (q3.q1) < 0``. Periodic lattices hold an even number. Source: Kawamura and Miyashita, J. Phys.
    Soc. Jpn. 53, 4138 (1984), doi:10.1143/JPSJ.53.4138.

    Parameters
    ----------
    system : SpinSystem
        A triangular lattice whose periodic lengths are multiples of three.
    spins : (..., N, 3)
        Unit spins. Triangles of three collinear spins have no frame, and the triangles around them no vortex.

    Returns
    -------
    (..., T) bool tensor
        For each of the `triangles`: its corners stand for the 'up' triangles above and to the right of them.

    Raises
    ------
    InvalidInput
        If the lattice is another one or its periodic lengths do not fit, or the spins do not.
    """
    checked = as_spins(spins, system.n_sites).to(torch.float64)
    up = torch.from_numpy(_up_triangles(system)).to(checked.device)
    projectors = _quaternion_projectors(_frames(checked[..., up, :]))
    first, second, third = (projectors[..., corner, :, :] for corner in triangles(system).sites.to(up.device).unbind(1))
    return torch.einsum("...ij,...jk,...ki->...", first, second, third) < 0


def _frames(corners: Tensor) -> Tensor:
    """Rotations (..., N, 3, 3) nearest to the frames of spins A, B, C (..., N, 3, 3) at about 120 degrees; NaN if none.

    Columns: the orthonormal pair nearest to ``(2A - B - C) / 3`` and ``(B - C) / sqrt 3``, and its normal.
    """
    a, b, c = corners.unbind(-2)
    pair = torch.stack([(2 * a - b - c) / 3, (b - c) / np.sqrt(3)], dim=-1)
    gram = pair.transpose(-1, -2) @ pair
    # (G)^(1/2) of a 2 x 2 matrix is (G + sqrt(det G)) / sqrt(tr G + 2 sqrt(det G))
    root = (gram[..., 0, 0] * gram[..., 1, 1] - gram[..., 0, 1].square()).clamp(min=0).sqrt()
    half = gram + root[..., None, None] * torch.eye(2, dtype=gram.dtype, device=gram.device)
    adjugate = torch.stack([half[..., 1, 1], -half[..., 0, 1], -half[..., 1, 0], half[..., 0, 0]], -1)
    plane = pair @ adjugate.reshape(gram.shape)
    first, second = normalize(plane[..., 0]), normalize(plane[..., 1])
    normal = torch.linalg.cross(first, second)
    return torch.stack([first, second, torch.where(root[..., None] > _COLLINEAR, normal, torch.nan)], dim=-1)


def _quaternion_projectors(r: Tensor) -> Tensor:
    """Matrices ``q q^T`` (..., 4, 4) of the unit quaternions of rotations (..., 3, 3), which know no sign of q."""
    trace = r.diagonal(dim1=-2, dim2=-1).sum(-1)
    spatial = r + r.transpose(-1, -2) + (1 - trace)[..., None, None] * torch.eye(3, dtype=r.dtype, device=r.device)
    mixed = torch.stack([r[..., 2, 1] - r[..., 1, 2], r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] - r[..., 0, 1]], dim=-1)
    top = torch.cat([(1 + trace)[..., None], mixed], dim=-1)
    return torch.cat([top[..., None, :], torch.cat([mixed[..., None], spatial], dim=-1)], dim=-2) / 4


@lru_cache(maxsize=16)
def _up_triangles(system: SpinSystem) -> IntArray:
    """Corners (N, 3) on the sublattices A, B, C of the 'up' triangle of each site's unit cell."""
    if places_on(TRIANGULAR, system) is None:
        raise InvalidInput(f"chirality_vortices needs a triangular lattice; {system} is another one")
    sublattice = require_three_sublattices(system)
    found = triangles(system)
    up = found.sites[found.orientation > 0].numpy()
    if len(up) != system.n_sites:
        raise InvalidInput(f"chirality_vortices needs a lattice periodic in both directions; {system} is open")
    order = np.argsort(sublattice[up], axis=1)
    corners = np.take_along_axis(up, order, axis=1)
    return corners[np.argsort(up[:, 0], kind="stable")]


@lru_cache(maxsize=16)
def _shared_edges(system: SpinSystem, tiling: bool) -> tuple[IntArray, FloatArray]:
    """Pairs of triangles (2, E) that share an edge, and the lengths (E,) of those edges."""
    corners = triangles(system, tiling=tiling).sites.numpy()
    edges = np.concatenate([corners[:, [k, (k + 1) % 3]] for k in range(3)])
    owner = np.tile(np.arange(len(corners)), 3)
    _, number, counts = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True, return_counts=True)
    if counts.max() > 2:
        raise InvalidInput(f"{system} is too narrow: some neighbours share several edges; take at least three cells")
    order = np.argsort(number.ravel(), kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])[counts == 2]
    first, second = order[starts], order[starts + 1]
    offset = system.positions[edges[first, 1]] - system.positions[edges[first, 0]]
    lengths = np.linalg.norm(shortest_images(system, offset), axis=1)
    return np.stack([owner[first], owner[second]]), np.asarray(lengths, dtype=np.float64)
