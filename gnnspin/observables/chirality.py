"""Chiralities of the elementary triangles of planar lattices, and the topological charge they add up to.

Triangles are counter-clockwise, see `triangles`: the up and down triangles of the triangular and kagome lattices, the
parts of squares and hexagons on the square and honeycomb lattices, Delaunay triangles of a planar packing.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.spins import as_spins, normalize
from gnnspin.observables.triangulation import triangles
from gnnspin.systems.system import SpinSystem


def vector_chirality(system: SpinSystem, spins: Tensor | ArrayLike, *, tiling: bool = False) -> Tensor:
    """Vector chirality ``kappa = 2 / (3 sqrt 3) (S1 x S2 + S2 x S3 + S3 x S1)`` of each triangle, shape (..., T, 3).

    ``|kappa| = 1`` for spins at 120 degrees: opposite on 'up' and 'down' triangles in the order of the triangular
    lattice and in the sqrt(3) x sqrt(3) order of the kagome lattice, equal in its q = 0 order.

    Parameters
    ----------
    system : SpinSystem
    spins : (..., N, 3)
        Unit spins.
    tiling : bool
        Which triangles, see `triangles`.

    Raises
    ------
    InvalidInput
        If the system has no triangles, see `triangles`, or the spins do not fit it.
    """
    s1, s2, s3 = _corner_spins(system, spins, tiling)
    total = torch.linalg.cross(s1, s2) + torch.linalg.cross(s2, s3) + torch.linalg.cross(s3, s1)
    return total * (2 / (3 * np.sqrt(3)))


def scalar_chirality(system: SpinSystem, spins: Tensor | ArrayLike, *, tiling: bool = False) -> Tensor:
    """Scalar chirality ``chi = S1 . (S2 x S3)`` of each triangle, shape (..., T).

    ``+-4 / (3 sqrt 3) = +-0.7698`` on all triangles in perfect tetrahedral order, ``+-1 / sqrt(2)`` in the cuboc2 order
    of the kagome lattice; zero for coplanar spins. Parameters and errors as in `vector_chirality`.
    """
    s1, s2, s3 = _corner_spins(system, spins, tiling)
    return (s1 * torch.linalg.cross(s2, s3)).sum(-1)


def staggered_vector_chirality(system: SpinSystem, spins: Tensor | ArrayLike) -> Tensor:
    """Map of the vector chirality, 'up' counted positive and 'down' negative, averaged over each site's triangles.

    Shape (..., N, 3): a uniform unit vector, the normal of the spins' plane, in perfect 120-degree order. Errors as in
    `vector_chirality`.
    """
    kappa = vector_chirality(system, spins)
    sign = triangles(system).orientation.to(kappa)
    return site_average(system, (kappa * sign[:, None]).transpose(-1, -2)).transpose(-1, -2)


def site_average(system: SpinSystem, values: Tensor, *, tiling: bool = False) -> Tensor:
    """Mean of values per triangle (..., T) over the triangles of each site, shape (..., N); NaN where it has none."""
    corners = triangles(system, tiling=tiling).sites.to(values.device)
    total = torch.zeros(*values.shape[:-1], system.n_sites, dtype=values.dtype, device=values.device)
    for corner in corners.unbind(1):
        total = total.index_add(-1, corner, values)
    return total / torch.bincount(corners.flatten(), minlength=system.n_sites)


def solid_angle(system: SpinSystem, spins: Tensor | ArrayLike) -> Tensor:
    """Solid angle in (-2 pi, 2 pi) that the spins of each triangle of the `tiling` span on the sphere, shape (..., T).

    ``tan(Omega / 2) = S1 . (S2 x S3) / (1 + S1.S2 + S2.S3 + S3.S1)``; errors as in `vector_chirality`. Source: van
    Oosterom and Strackee, IEEE Trans. Biomed. Eng. 30, 125 (1983), doi:10.1109/TBME.1983.325207.
    """
    s1, s2, s3 = _corner_spins(system, spins, tiling=True)
    volume = (s1 * torch.linalg.cross(s2, s3)).sum(-1)
    return 2 * torch.atan2(volume, 1 + (s1 * s2).sum(-1) + (s2 * s3).sum(-1) + (s3 * s1).sum(-1))


def topological_charge(system: SpinSystem, spins: Tensor | ArrayLike) -> Tensor:
    """How often the spins wrap the sphere, the sum of `topological_charge_density`, shape (...).

    An integer to rounding on a periodic planar system (Berg and Luscher, Nucl. Phys. B 190, 412 (1981),
    doi:10.1016/0550-3213(81)90568-X): -1 for a skyrmion whose middle points down. Errors as in `vector_chirality`.
    """
    return topological_charge_density(system, spins).sum(-1)


def topological_charge_density(system: SpinSystem, spins: Tensor | ArrayLike) -> Tensor:
    """Topological charge of each triangle of the `tiling`, its `solid_angle` over ``4 pi``, shape (..., T).

    The map that belongs to `topological_charge`: where skyrmions and bimerons are. Errors as in `vector_chirality`.
    """
    return solid_angle(system, normalize(as_spins(spins).to(torch.float64))) / (4 * np.pi)


def _corner_spins(system: SpinSystem, spins: Tensor | ArrayLike, tiling: bool) -> list[Tensor]:
    checked = as_spins(spins, system.n_sites)
    return [checked[..., corner, :] for corner in triangles(system, tiling=tiling).sites.to(checked.device).unbind(1)]
