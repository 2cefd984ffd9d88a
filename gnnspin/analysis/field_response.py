"""Which spins a torque responds to: the derivative of one torque by all spins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import as_spins, normalize, project_tangent, torque
from gnnspin.systems.distances import distances_from

_CHUNK = 64


@independent_of_modes
def response(source: FieldSource, spins: Tensor | ArrayLike, site: int, *, step: float = 1e-4) -> Tensor:
    """How strongly the torque on one spin responds to every spin: ``|dT_i/dS_j|``.

    Spins turn on the sphere: the derivative has two directions at j; the norm is Frobenius'. Central differences. For a
    source with an energy ``dH_i/dS_j`` is the transpose of ``dH_j/dS_i``, so four evaluations with S_i turned give all
    sites; without one every spin is turned, 4 N evaluations. Where a learned model's response is zero to rounding
    ends its numerical receptive field (take the force field in float64).

    Parameters
    ----------
    source : FieldSource
    spins : (N, 3)
        Unit spins, one replica.
    site : int
        The spin i whose torque is looked at.
    step : float
        Angle by which spins are turned.

    Returns
    -------
    (N,) tensor
        In units of the hopping per radian.

    Raises
    ------
    InvalidInput
        If the spins have the wrong shape or the site does not exist.
    """
    checked = as_spins(spins, source.system.n_sites).to(torch.float64)
    if checked.ndim != 2:
        raise InvalidInput(f"spins have shape {tuple(checked.shape)}; give one replica, (n_sites, 3)")
    if not 0 <= site < len(checked):
        raise InvalidInput(f"site={site} does not exist; the system has {len(checked)} sites")
    if source.has_energy:
        return _by_reciprocity(source, checked, site, step)
    parts = [_directly(source, checked, site, part, step) for part in torch.arange(len(checked)).split(_CHUNK)]
    return torch.cat(parts)


@dataclass(frozen=True)
class Agreement:
    """How well a model knows the exact responses to the spins at some distances; see `response_agreement`.

    Attributes
    ----------
    nearest, farthest : float
        The distances, the first excluded.
    exact : float
        Root mean square of the exact ``|dT_i/dS_j|``.
    share : float
        Part of the summed squares over all distances.
    r2 : float
        1 less the squared error of the model's derivative over the squares of the exact one.
    """

    nearest: float
    farthest: float
    exact: float
    share: float
    r2: float


@independent_of_modes
def response_agreement(
    model: FieldSource,
    exact: FieldSource,
    spins: Tensor | ArrayLike,
    sites: Sequence[int],
    distances: Sequence[float],
    *,
    step: float = 1e-3,
) -> list[Agreement]:
    """Compare the derivatives ``dT_i/dS_j`` of a model with the exact ones, by the distance of i and j.

    Tells what a model is missing: far spins (its receptive field, or what it makes of it), or the answer to near ones.

    Parameters
    ----------
    model, exact : FieldSource
        Both with an energy, on one system; a force field in float64.
    spins : (R, N, 3)
        Configurations.
    sites : sequence of int
        The spins i.
    distances : sequence of B + 1 floats
        Edges of the bins, ascending.
    step : float
        Angle by which spins are turned.

    Returns
    -------
    list of B Agreement

    Raises
    ------
    InvalidInput
        If a source has no energy, the spins have the wrong shape, a site does not exist, or the edges do not ascend.
    """
    if not (model.has_energy and exact.has_energy):
        raise InvalidInput("responses are compared through the energy; give two sources that have one")
    checked = as_spins(spins, exact.system.n_sites).to(torch.float64)
    if checked.ndim != 3:
        raise InvalidInput(f"spins have shape {tuple(checked.shape)}; give configurations (R, n_sites, 3)")
    if not all(0 <= site < checked.shape[1] for site in sites):
        raise InvalidInput(f"sites={list(sites)}: the system has {checked.shape[1]} sites")
    if len(distances) < 2 or list(distances) != sorted(set(distances)):
        raise InvalidInput(f"distances={list(distances)} must be two or more ascending edges")
    squares, errors, counts = np.zeros((3, len(distances) - 1))
    for site in sites:
        bins = np.digitize(distances_from(exact.system, site), distances, right=True) - 1
        bins[site] = -1
        for configuration in checked:
            given, wanted = (_slopes(source, configuration, site, step)[0] for source in (model, exact))
            for k in range(len(squares)):
                chosen = torch.from_numpy(bins == k)
                squares[k] += float(wanted[:, chosen].square().sum())
                errors[k] += float((given - wanted)[:, chosen].square().sum())
                counts[k] += int(chosen.sum())
    return [
        Agreement(distances[k], distances[k + 1], (square / count) ** 0.5, square / squares.sum(), 1 - error / square)
        for k, (square, error, count) in enumerate(zip(squares, errors, counts, strict=True))
        if square > 0
    ]


def tangent_frames(spins: Tensor) -> Tensor:
    """Two unit vectors (M, 2, 3) across each spin (M, 3); the second is the spin's cross product with the first."""
    axis = torch.eye(3, dtype=spins.dtype)[spins.abs().argmin(-1)]
    first = normalize(torch.linalg.cross(spins, axis))
    return torch.stack([first, torch.linalg.cross(spins, first)], dim=1)


def turned_copies(spins: Tensor, sites: Tensor, step: float) -> Tensor:
    """Copies (M, 2, 2, N, 3) of the spins: each site turned along two directions (axis 1), forth and back (axis 2)."""
    own = spins[sites]
    frame = tangent_frames(own)
    sign = torch.tensor([1.0, -1.0], dtype=spins.dtype)[None, None, :, None]
    moved = np.cos(step) * own[:, None, None] + np.sin(step) * sign * frame[:, :, None]
    copies = spins.repeat(len(sites), 2, 2, 1, 1)
    copies[torch.arange(len(sites)), :, :, sites] = moved
    return copies


def _slopes(source: FieldSource, spins: Tensor, site: int, step: float) -> tuple[Tensor, Tensor]:
    """Derivatives (2, N, 3) of all fields, across the spins, and (2, 3) of the own torque by two turns of one spin."""
    copies = turned_copies(spins, torch.tensor([site]), step)[0]
    field = source.field(copies)
    own = torque(copies[:, :, site], field[:, :, site])
    return project_tangent((field[:, 0] - field[:, 1]) / (2 * step), spins), (own[:, 0] - own[:, 1]) / (2 * step)


def _by_reciprocity(source: FieldSource, spins: Tensor, site: int, step: float) -> Tensor:
    slopes, own = _slopes(source, spins, site, step)
    result = slopes.square().sum((0, 2)).sqrt()
    result[site] = own.square().sum().sqrt()
    return result


def _directly(source: FieldSource, spins: Tensor, site: int, moved: Tensor, step: float) -> Tensor:
    copies = turned_copies(spins, moved, step)
    own = torque(copies[..., site, :], source.field(copies)[..., site, :])  # (M, 2, 2, 3)
    return ((own[:, :, 0] - own[:, :, 1]) / (2 * step)).square().sum((1, 2)).sqrt()
