"""Skyrmions in planar ferromagnets: an ansatz to start from."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from gnnspin.core.errors import InvalidInput
from gnnspin.observables.orders import register_order
from gnnspin.systems.distances import shortest_images
from gnnspin.systems.system import FloatArray, SpinSystem

#: Radius of the registered order as a share of the system's smaller width, and of the wall in radii.
_RADIUS, _WALL = 0.25, 1 / 3


def skyrmion(
    system: SpinSystem,
    *,
    center: ArrayLike | None = None,
    radius: float | None = None,
    wall: float | None = None,
    helicity: float = 0.0,
    vorticity: int = 1,
) -> FloatArray:
    """One skyrmion in a planar ferromagnet along +z.

    With polar coordinates (r, phi) about the centre, ``S = (sin T cos P, sin T sin P, cos T)``, ``P = m phi + gamma``
    and the profile of a domain wall bent into a ring, ``T(r) = 2 arctan(sinh(R / w) / sinh(r / w))``: down in the
    middle, in the plane at r = R. Its topological charge is -m. Source: Wang, Yuan and Wang, Commun. Phys. 1, 31
    (2018), doi:10.1038/s42005-018-0029-0, equation 3.

    Parameters
    ----------
    system : SpinSystem
        Planar; periodic images are taken into account.
    center : (2,), optional
        Cartesian; default the mean position of the sites.
    radius, wall : float, optional
        R and w in the system's unit of length; default a quarter of the smaller width, and a third of the radius.
    helicity : float
        gamma in radians: 0 a Neel skyrmion, pi/2 a Bloch skyrmion.
    vorticity : int
        m: 1 a skyrmion, -1 an antiskyrmion.

    Returns
    -------
    (N, 3) float64 array

    Raises
    ------
    InvalidInput
        If the system is not planar, or radius and wall are not positive or the radius is below a lattice spacing.
    """
    if system.n_sites < 2 or np.ptp(system.positions[:, 2]) > 1e-6 * system.spacing:
        raise InvalidInput(f"a skyrmion needs a planar system in the xy plane; {system} is none")
    radius = _RADIUS * _width(system) if radius is None else float(radius)
    wall = _WALL * radius if wall is None else float(wall)
    if not (radius >= system.spacing and 0 < wall < np.inf):
        raise InvalidInput(
            f"radius={radius:g} must be at least the distance of neighbours, {system.spacing:g}, and wall={wall:g} "
            "positive; a larger system has a larger default"
        )
    middle = system.positions.mean(0) if center is None else np.array([*np.asarray(center).ravel()[:2], 0.0])
    offset = shortest_images(system, (system.positions - middle) * [1, 1, 0])[:, :2]
    distance = np.linalg.norm(offset, axis=1)
    polar = _polar_angle(distance, radius, wall)
    azimuth = vorticity * np.arctan2(offset[:, 1], offset[:, 0]) + helicity
    return np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=1)


@register_order("skyrmion")
def _default_skyrmion(system: SpinSystem) -> FloatArray:
    return skyrmion(system)


def _polar_angle(distance: FloatArray, radius: float, wall: float) -> FloatArray:
    """``2 arctan(sinh(R / w) / sinh(r / w))`` without overflow."""
    with np.errstate(divide="ignore", over="ignore"):
        ratio = np.exp((radius - distance) / wall) * np.expm1(-2 * radius / wall) / np.expm1(-2 * distance / wall)
    return np.asarray(2 * np.arctan(ratio), dtype=np.float64)


def _width(system: SpinSystem) -> float:
    """Smaller width of the system: the height of a periodic cell, or the extent of an open one."""
    area = abs(float(np.linalg.det(system.cell[:2, :2])))
    heights = area / np.linalg.norm(system.cell[[1, 0], :2], axis=1)
    extent = np.ptp(system.positions[:, :2], axis=0)
    return float(min(heights[k] if system.pbc[k] else extent[k] for k in range(2)))
