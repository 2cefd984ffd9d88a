"""Correlation lengths from structure factors and from pair correlations."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.observables.correlations import PairCorrelation
from gnnspin.observables.extended_zone import Zones, wave_vector_grid
from gnnspin.observables.reciprocal import dimension, reciprocal_vectors, shortest_equivalent
from gnnspin.systems.system import FloatArray, SpinSystem

Method = Literal["inverse_width", "second_moment"]


def correlation_length(
    system: SpinSystem,
    structure: Tensor,
    peak: ArrayLike = (0.0, 0.0, 0.0),
    *,
    method: Method = "inverse_width",
    radius: float | None = None,
    zones: Zones | None = None,
) -> Tensor:
    """Length from the width of a structure-factor peak at Q and, by symmetry, at -Q.

    ``inverse_width``: ``L = 1 / <|q - Q|>``, the mean over grid points within `radius` of a peak with the weights
    ``S(q) - B``. The background B is the mean of S over the outer half of that disc (by area), so fluctuations that
    are not part of the peak do not count. The usual L(t) of coarsening: smooth, no model of the peak. For a peak
    ``exp(-|q - Q|^2 l^2 / 2)`` it gives ``l sqrt(2 / pi)`` in two dimensions, ``l sqrt(pi / 2)`` in one. A pattern of
    period P has its weight at ``|q - Q| = 2 pi / P`` and reads ``P / 2 pi``: domains of 10 sites, period 20, read 3.2.

    ``second_moment``: ``xi = sqrt(S(Q) / S(Q + dq) - 1) / |dq|`` with S averaged over the grid points dq next to the
    peak. Exact for a Lorentzian ``S0 / (1 + xi^2 |q - Q|^2)``, the choice in equilibrium; a single configuration
    scatters, so average S over replicas or times first (Cooper, Freedman and Preston, Nucl. Phys. B 210, 210, 1982).

    Parameters
    ----------
    system : SpinSystem
        A lattice, periodic in its directions.
    structure : (..., K1, K2, K3)
        From `structure_factor` or `scalar_structure_factor`.
    peak : (3,)
        Cartesian wave vector Q, such as ``high_symmetry_points(system)["K"]``; the nearest grid point is taken. On a
        lattice with a basis it may lie outside the first Brillouin zone: the peak of the honeycomb Neel order is at
        ``reciprocal_vectors(system)[0]``.
    method : {"inverse_width", "second_moment"}
    radius : float, optional
        Radius of the disc for ``inverse_width``; default half the distance to the nearest other peak (equivalent
        ones and -Q included).
    zones : int or three ints, optional
        Those that `structure` was computed with.

    Returns
    -------
    (...) tensor
        In units of the lattice spacing. Zero where nothing stands out of the background; infinite where all weight is
        at Q (``inverse_width``) or the neighbours of Q have none (``second_moment``).

    Raises
    ------
    InvalidInput
        If a shape or a value does not fit.
    """
    grid = wave_vector_grid(system, zones)
    if tuple(structure.shape[-3:]) != grid.shape:
        raise InvalidInput(
            f"structure has shape {tuple(structure.shape)}; expected (..., {', '.join(map(str, grid.shape))}), S(q) at "
            f"wave_vectors(system, zones={zones})"
        )
    nearest = grid.distance(np.asarray(peak, dtype=np.float64)).argmin()
    center = grid.vectors.reshape(-1, 3)[nearest]
    distance = np.minimum(grid.distance(center), grid.distance(-center)).ravel()
    weights = structure.to(torch.float64).reshape(*structure.shape[:-3], -1)
    if method == "second_moment":
        return _second_moment(weights, distance)
    if method != "inverse_width":
        raise InvalidInput(f"method {method!r} is unknown; known: inverse_width, second_moment")
    return _inverse_width(weights, distance, radius or _peak_separation(system, center) / 2, dimension(system))


def pair_correlation_length(pairs: PairCorrelation) -> Tensor:
    """Length ``xi = int r |C(r)| dr / int |C(r)| dr`` of an amorphous magnet, shape (...); empty bins are left out.

    Equal to xi for ``C = exp(-r / xi)`` when bins are narrow and reach far enough. Source: the glass paper, section V.
    """
    weights = pairs.correlation.abs().nan_to_num()
    return (weights * pairs.distance.to(weights)).sum(-1) / weights.sum(-1)


def _inverse_width(weights: Tensor, distance: FloatArray, radius: float, n: int) -> Tensor:
    inside, outer = (torch.from_numpy(mask) for mask in _disc(distance, radius, n))
    background = weights[..., outer].mean(-1, keepdim=True)
    peak = weights[..., inside] - background
    total = peak.sum(-1)
    width = (peak * torch.from_numpy(distance)[inside]).sum(-1) / total
    nothing = total <= 0
    length = torch.where(width > 0, 1 / width, torch.inf)
    return torch.where(nothing, 0.0, length)


def _disc(distance: FloatArray, radius: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Masks of the disc around the peak and of the outer half of its volume."""
    inside = distance <= radius
    outer = inside & (distance > radius * 0.5 ** (1 / n))
    if not outer.any():
        raise InvalidInput(f"no wave vectors lie near radius={radius} of the peak; use a larger radius or lattice")
    return inside, outer


def _second_moment(weights: Tensor, distance: FloatArray) -> Tensor:
    """The neighbours are the grid points at the smallest non-zero distance."""
    there = distance <= 1e-9 * distance.max()
    step = distance[~there].min()
    at_peak, beside = (torch.from_numpy(mask) for mask in (there, np.isclose(distance, step, atol=0)))
    ratio = weights[..., at_peak].mean(-1) / weights[..., beside].mean(-1)
    return (ratio - 1).clamp(min=0).sqrt() / step


def _peak_separation(system: SpinSystem, peak: FloatArray) -> float:
    """Distance from a peak to the nearest of its copies and of those of its negative."""
    b = reciprocal_vectors(system)[: dimension(system)]
    sums = np.concatenate([b, b[:1] + b[1:2], b[:1] - b[1:2]]) if len(b) > 1 else b
    nearest = float(np.linalg.norm(sums, axis=1).min())
    opposite = float(np.linalg.norm(shortest_equivalent(system, 2 * peak)))
    return min(nearest, opposite) if opposite > 1e-9 * nearest else nearest
