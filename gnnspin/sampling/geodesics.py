"""Paths on the product of spheres: geodesics between states, distances, tangents."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.numbers import seed_number, whole_at_least
from gnnspin.core.spins import as_spins, normalize, project_tangent

#: Sine of the angle below which two spins are opposite, and the way between them is not unique.
_OPPOSITE = 1e-6


def geodesic_path(
    start: Tensor | ArrayLike,
    end: Tensor | ArrayLike,
    n_images: int,
    *,
    axis: ArrayLike = (1.0, 0.0, 0.0),
    noise: float = 0.0,
    seed: int = 0,
) -> Tensor:
    """States along the shortest way between two, every spin on its great circle at constant rate, (n_images, N, 3).

    Parameters
    ----------
    start, end : (N, 3)
        Unit spins of the two ends, which are the first and the last image.
    n_images : int
        Images, both ends included; three or more.
    axis : (3,)
        Where a spin and its end are opposite, it turns about this direction (about another where the spin is along it).
    noise : float
        Standard deviation in radians of random turns of the images between the ends: a path through a symmetric state
        stays symmetric without.
    seed : int
        Of the noise.

    Raises
    ------
    InvalidInput
        If the states are no unit spins of the same number, or an argument is out of range.

    Examples
    --------
    >>> path = geodesic_path([[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]], 3)
    >>> path[1].numpy().round(6).tolist()
    [[0.707107, 0.0, 0.707107]]
    """
    n_images = whole_at_least(n_images, 3, "n_images")
    first, last = (as_spins(each).detach().to(torch.float64) for each in (start, end))
    if first.ndim != 2 or first.shape != last.shape:
        raise InvalidInput(f"start has shape {tuple(first.shape)}, end {tuple(last.shape)}; give (N, 3) twice")
    if not noise >= 0:
        raise InvalidInput(f"noise={noise} must not be negative")
    first, last = normalize(first), normalize(last)
    n = np.asarray(axis, dtype=np.float64)
    if n.shape != (3,) or not np.isfinite(n).all() or not n.any():
        raise InvalidInput(f"axis={axis!r} must be three finite numbers, not all zero")
    turn = geodesic(first, last, about=torch.from_numpy(n / np.linalg.norm(n)).to(first))
    share = torch.linspace(0, 1, n_images, dtype=first.dtype, device=first.device)
    path = along_geodesic(first, share[:, None, None] * turn)
    if noise > 0:
        generator = torch.Generator().manual_seed(seed_number(seed))
        kicks = noise * torch.randn(path.shape, generator=generator, dtype=torch.float64).to(path)
        path[1:-1] = along_geodesic(path, project_tangent(kicks, path))[1:-1]
    path[0], path[-1] = first, last
    return path


def geodesic(spins: Tensor, other: Tensor, *, about: Tensor | None = None) -> Tensor:
    """Logarithmic map: tangent vectors (..., N, 3) at unit `spins` that lead to `other`, as long as the angles.

    Opposite spins are joined by a turn about the direction `about` (3,), by default x.
    """
    aside = project_tangent(other, spins)
    sine, cosine = aside.norm(dim=-1, keepdim=True), (spins * other).sum(-1, keepdim=True)
    angle = torch.atan2(sine, cosine)
    opposite = (sine < _OPPOSITE) & (cosine < 0)
    if bool(opposite.any()):
        x, y = torch.eye(3, dtype=spins.dtype, device=spins.device)[:2]
        across = torch.linalg.cross((x if about is None else about).expand_as(spins), spins)
        other_way = torch.linalg.cross(y.expand_as(spins), spins)
        across = torch.where(across.norm(dim=-1, keepdim=True) < _OPPOSITE, other_way, across)
        across = across / across.norm(dim=-1, keepdim=True).clamp_min(1e-300)
        return torch.where(opposite, torch.pi * across, aside * (angle / sine.clamp_min(1e-300)))
    return aside * torch.where(sine > 0, angle / sine.clamp_min(1e-300), 1.0)


def along_geodesic(spins: Tensor, step: Tensor) -> Tensor:
    """Exponential map: unit `spins` (..., N, 3) moved along tangent vectors `step`."""
    angle = step.norm(dim=-1, keepdim=True)
    return normalize(torch.cos(angle) * spins + torch.sinc(angle / torch.pi) * step)


def geodesic_distance(spins: Tensor, other: Tensor) -> Tensor:
    """Distance (...) on the product of spheres: root of the sum of the squared angles."""
    return geodesic(spins, other).square().sum((-1, -2)).sqrt()
