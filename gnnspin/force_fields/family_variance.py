"""The uncertainty of a family of models: the posterior of its last weights and their dependence on the parameters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnnspin.core.spins import normalize
from gnnspin.datasets.labels import LabelSet
from gnnspin.force_fields.force_field import ForceField
from gnnspin.force_fields.last_layer import VarianceNetwork, posterior_deviation, unlike_states
from gnnspin.force_fields.members import on_labels
from gnnspin.force_fields.model_uncertainty import FamilyUncertainty
from gnnspin.force_fields.variance_parts import Part
from gnnspin.models.architectures.family import Family
from gnnspin.models.blocks.modulation import quadratics

#: Ridge of the weights' precision, relative to its mean diagonal.
_RIDGE = 1e-8

#: Members outside of the range whose variance is learned, and how far outside, in half widths of the range.
_OUTSIDE, _FARTHEST = 12, 2.0

#: Snapshots of labels, and of other states, whose variance is computed by backward passes, over all members.
_SNAPSHOTS, _OTHERS = 48, 48


@dataclass(frozen=True)
class _Found:
    """Spins of one member, and its scaled parameters."""

    scaled: Tensor
    part: Part


@torch.no_grad()
def family_variance(force_field: ForceField, labels: LabelSet, seed: int, n_sites: int) -> FamilyUncertainty:
    """The uncertainty of a family without its calibration, from labels of several members; see `FamilyUncertainty`."""
    family = force_field.model
    assert isinstance(family, Family)
    own = list(_of_labels(force_field, family, labels, n_sites))
    network = VarianceNetwork(own[0].part.hidden.shape[-1])
    for found in own:
        found.part.differentiate(network.mixing)
    uncertainty = FamilyUncertainty(network, *_posterior(own), None)
    mixed = torch.cat([(each.part.hidden @ network.mixing.to(each.part.hidden)).flatten(0, 1) for each in own])
    network.mean.copy_(mixed.mean(0))
    network.inverse_spread.copy_(1 / mixed.std(0).clamp_min(1e-6))
    others = list(_others(force_field, family, own, seed))
    for found in others:
        found.part.differentiate(network.mixing)
    inputs, targets = [], []
    for found in (*own, *others):
        covariance = uncertainty.member_covariance(found.scaled)
        deviation = posterior_deviation(found.part.jacobian, covariance, found.part.surroundings)
        targets.append((deviation.clamp_min(1e-12).log() - uncertainty.log_size(covariance)).flatten())
        inputs.append(network.features(found.part.hidden, found.part.surroundings).flatten(0, 1).float())
    network.fit(torch.cat(inputs), torch.cat(targets), seed)
    network.eval()
    return uncertainty


def _posterior(found: list[_Found]) -> tuple[Tensor, Tensor]:
    """Factor of the joint covariance of all weights, and the mean of J^T J over spins."""
    precision, weight, count = torch.zeros(()), torch.zeros(()), 0
    for each in found:
        rows = each.part.jacobian.reshape(-1, each.part.jacobian.shape[-1])
        products, square = quadratics(each.scaled), rows.T @ rows
        precision = precision + torch.kron(torch.outer(products, products), square)
        weight, count = weight + square, count + len(rows) // 3
    precision, weight = precision / count, weight / count
    ridge = max(_RIDGE * float(precision.diagonal().mean()), 1e-300)
    inverse = torch.linalg.inv(precision + ridge * torch.eye(len(precision), dtype=precision.dtype))
    values, vectors = torch.linalg.eigh((inverse + inverse.T) / 2)
    return (vectors * values.clamp_min(0).sqrt()).float(), weight


def _of_labels(force_field: ForceField, family: Family, labels: LabelSet, n_sites: int) -> Iterator[_Found]:
    """Spins of some labels of every member, spread evenly."""
    groups = list(on_labels(force_field, labels))
    for system, member, indices in groups:
        room = max(1, n_sites // (3 * system.n_sites * len(groups)))
        count = min(len(indices), max(1, _SNAPSHOTS // len(groups)), room)
        chosen = indices[np.unique(np.linspace(0, len(indices) - 1, count).round().astype(int))]
        scaled = family.scaled(family.parameters_of(member.provenance["parameters"]))
        yield _Found(scaled, Part.of(member, system, labels.stacked(chosen).spins))


def _others(force_field: ForceField, family: Family, own: list[_Found], seed: int) -> Iterator[_Found]:
    """States that the labels do not hold, of members of the labels, and of members outside of the range."""
    generator = torch.Generator().manual_seed(seed)
    each = max(1, _OTHERS // (2 * len(own)))
    for number, found in enumerate(own):
        yield _Found(found.scaled, found.part.of_states(_unlike(found.part, each, seed + number, generator)))
    for number in range(_OUTSIDE):
        inner = own[number % len(own)]
        scaled = inner.scaled.clone()
        axis, side = number % len(scaled), 1 if number // len(scaled) % 2 else -1
        scaled[axis] = side * (1 + (_FARTHEST - 1) * float(torch.rand((), generator=generator)))
        member: Any = force_field.on(inner.part.system)
        member = ForceField(family.member_at(family.unscaled(scaled)), inner.part.system, dtype=member.dtype)
        yield _Found(scaled, Part.of(member, inner.part.system, inner.part.given))
        yield _Found(scaled, Part.of(member, inner.part.system, _unlike(inner.part, 1, seed - 1 - number, generator)))


def _unlike(part: Part, count: int, seed: int, generator: torch.Generator) -> Tensor:
    """Spins of a part with noise, and noisy spirals, (2 count, N, 3)."""
    chosen = part.given[:count]
    noise = 10 ** (-1.2 + 1.2 * torch.rand(len(chosen), 1, 1, generator=generator, dtype=torch.float64))
    moved = chosen + noise * torch.randn(chosen.shape, generator=generator, dtype=torch.float64)
    return torch.cat([normalize(moved), unlike_states(part.system, count, abs(seed))])
