"""Energy changes of single-spin moves, for several spins at once that do not act on each other.

Each rule takes the source, the spins ``(3, ..., N)``, the moved sites ``(n,)`` and their new spins ``(3, ..., n)``, and
returns the change of energy of each move alone, ``(..., n)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from gnnspin.core.source import FieldSource
from gnnspin.dynamics.algebra import components, dot, normalized, tangent, vectors

EnergyChange: TypeAlias = Callable[[FieldSource, Tensor, Tensor, Tensor], Tensor]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)


def linear_change(source: FieldSource, planes: Tensor, sites: Tensor, new: Tensor) -> Tensor:
    """``-(S' - S).H(S)``: exact if the energy is linear in each spin. One field evaluation."""
    return -dot(new - planes[..., sites], _field_at(source, planes, sites))


def quadratic_change(source: FieldSource, planes: Tensor, sites: Tensor, new: Tensor) -> Tensor:
    """``-(S' - S).[H(S) + H(S')] / 2``: exact if the energy is quadratic in each spin. Two field evaluations."""
    mean = 0.5 * (_field_at(source, planes, sites) + _field_at(source, _moved(planes, sites, new), sites))
    return -dot(new - planes[..., sites], mean)


def arc_change(source: FieldSource, planes: Tensor, sites: Tensor, new: Tensor) -> Tensor:
    """``-int H.dS`` along the great circle to the new spin, by 12-point Gauss-Legendre quadrature."""
    old = planes[..., sites]
    chord = new - old
    angle = 2 * torch.asin((0.5 * dot(chord, chord).sqrt()).clamp_max(1.0))
    aside = normalized(tangent(new, old))
    aside = torch.where(aside.isfinite(), aside, 0.0)  # a spin that stays
    total = torch.zeros_like(angle)
    for node, weight in zip(_NODES.tolist(), _WEIGHTS.tolist(), strict=True):
        phase = 0.5 * (1 + node) * angle
        point, velocity = phase.cos() * old + phase.sin() * aside, phase.cos() * aside - phase.sin() * old
        total -= 0.5 * weight * angle * dot(_field_at(source, _moved(planes, sites, point), sites), velocity)
    return total


def energy_difference(source: FieldSource, planes: Tensor, sites: Tensor, new: Tensor) -> Tensor:
    """``E(S') - E(S)`` for one moved site, right for every source. One evaluation of two energies."""
    energies = source.energy(vectors(torch.stack([planes, _moved(planes, sites, new)], 1)))
    if source.system.n_graphs > 1:
        energies = energies.sum(-1)
    return (energies[1] - energies[0])[..., None]


#: The rules for many sites, cheapest first.
ENERGY_CHANGES: tuple[EnergyChange, ...] = (linear_change, quadratic_change, arc_change)


def _moved(planes: Tensor, sites: Tensor, new: Tensor) -> Tensor:
    moved = planes.clone()
    moved[..., sites] = new
    return moved


def _field_at(source: FieldSource, planes: Tensor, sites: Tensor) -> Tensor:
    return components(source.unchecked_field(vectors(planes)))[..., sites]
