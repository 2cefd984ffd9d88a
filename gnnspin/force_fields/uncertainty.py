"""`calibrate`: error bars for the torques of a model or a committee, from labels that it was not trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.numbers import seed_number
from gnnspin.core.spins import normalize
from gnnspin.datasets.labels import LabelSet
from gnnspin.force_fields.calibration import Calibration, rank_correlation, require_enough
from gnnspin.force_fields.committee import Committee
from gnnspin.force_fields.error_bars import WithErrorBars
from gnnspin.force_fields.family_variance import family_variance
from gnnspin.force_fields.force_field import ForceField
from gnnspin.force_fields.last_layer import (
    VarianceNetwork,
    posterior_deviation,
    require_hidden_units,
    require_uncertain_weights,
    unlike_states,
    weight_covariance,
)
from gnnspin.force_fields.members import on_labels
from gnnspin.force_fields.model_uncertainty import FamilyUncertainty, TorqueUncertainty
from gnnspin.force_fields.variance_parts import Part
from gnnspin.force_fields.weight_uncertainty import WeightUncertainty
from gnnspin.models.architectures.family import Family

#: Snapshots of labels, and of other states, whose variance is computed by backward passes.
_SNAPSHOTS, _SPIRALS, _PERTURBED = 32, 48, 16


@independent_of_modes
def calibrate(source: ForceField | Committee, labels: LabelSet, *, seed: int = 0, n_sites: int = 60_000) -> Calibration:
    """Give a force field or committee error bars, in place.

    The score of a committee is the spread of its members. That of one force field is the posterior standard deviation
    of the torque under a Laplace approximation of its last layer, learned as a function of what a field evaluation
    computes anyway, see `gnnspin.force_fields.last_layer`; it is learned on the spins of the labels, on these with
    noise, and on noisy spirals. That of fitted poles follows from the covariance of their weights, see
    `gnnspin.force_fields.weight_uncertainty`. Quantiles of error over score on the labels then make error bars.

    Parameters
    ----------
    source : ForceField or Committee
        Keeps what is found; `gnnspin.save` and `Committee.save` write it.
    labels : LabelSet
        Exact labels of the states that the model is for, none of which it was trained on.
    seed : int
        Of the states that are made up, and of the learning.
    n_sites : int
        Sites, of about a hundred snapshots in all, whose posterior deviation is computed by up to 48 backward passes
        per snapshot: most of the cost. Fewer are quicker and less certain.

    Returns
    -------
    Calibration

    Raises
    ------
    InvalidInput
        If there are fewer than 200 spins, or the model has no last linear layer.

    Examples
    --------
    >>> force_field = gs.load("model.safetensors", system)              # doctest: +SKIP
    >>> gs.force_fields.calibrate(force_field, held_out)                # doctest: +SKIP
    >>> torque, radius = force_field.torque_with_error_bar(spins, 0.9)  # doctest: +SKIP
    """
    if len(labels) == 0:
        raise InvalidInput("no labels to calibrate on; give some that the model was not trained on")
    require_enough(sum(len(indices) * system.n_sites for system, indices in labels.by_system().items()))
    seed = seed_number(seed)
    if isinstance(source, Committee):
        source.uncertainty = None
        found = Calibration.of(*errors_and_scores(source, labels))
        source.uncertainty = found
        return found
    if not isinstance(source, ForceField):
        raise InvalidInput(f"{type(source).__name__} has no last layer; calibrate a ForceField or a Committee")
    require_uncertain_weights(source.model)
    source.uncertainty = None
    uncertainty: TorqueUncertainty | FamilyUncertainty | WeightUncertainty
    if source.model.solved:
        uncertainty = WeightUncertainty.fitted(source.model, labels)
    elif isinstance(source.model, Family):
        uncertainty = family_variance(source, labels, seed, n_sites)
    else:
        uncertainty = TorqueUncertainty(learned_variance(source, labels, seed, n_sites), None)
    source.uncertainty = uncertainty
    found = Calibration.of(*errors_and_scores(source, labels))
    source.uncertainty = replace(uncertainty, calibration=found)
    return found


def errors_and_scores(
    source: WithErrorBars, labels: LabelSet
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Torque errors ``|T - T'|`` and scores (N,) of every label, a score being what error bars are multiples of."""
    errors, scores = [], []
    for _, here, indices in on_labels(source, labels):
        stack = labels.stacked(indices)
        for spins, field in zip(stack.spins, stack.field, strict=True):
            given, fields, score = here._scored(spins)
            errors.append(torch.linalg.cross(given, fields - field).norm(dim=-1).numpy())
            scores.append(score.cpu().numpy())
    return errors, scores


@dataclass(frozen=True)
class Coverage:
    """How well error bars hold on labels.

    Attributes
    ----------
    levels, shares : tuples of float
        Probabilities, and the shares of spins whose error is within the radius.
    rank_correlation : float
        Spearman correlation of error bar and error over all spins.
    n_spins : int
    """

    levels: tuple[float, ...]
    shares: tuple[float, ...]
    rank_correlation: float
    n_spins: int

    @classmethod
    def restored(cls, record: Mapping[str, Any]) -> Coverage:
        """Coverage from its attributes as JSON holds them."""
        return cls(**{**record, "levels": tuple(record["levels"]), "shares": tuple(record["shares"])})

    def __str__(self) -> str:
        listed = ", ".join(f"{level:.0%}: {share:.1%}" for level, share in zip(self.levels, self.shares, strict=True))
        return f"error bars hold for {listed} of {self.n_spins} spins; rank correlation {self.rank_correlation:.2f}"


@independent_of_modes
def coverage(source: WithErrorBars, labels: LabelSet, levels: tuple[float, ...] = (0.5, 0.9, 0.95)) -> Coverage:
    """Shares of the spins of `labels` whose exact torques are inside the error bars of a calibrated source.

    Raises
    ------
    InvalidInput
        If the source is not calibrated, or the set is empty.
    """
    if len(labels) == 0:
        raise InvalidInput("no labels to test error bars on")
    calibration = source.require_calibration()
    errors, scores = (np.concatenate(each) for each in errors_and_scores(source, labels))
    shares = tuple(float((errors <= calibration.factor(level) * scores).mean()) for level in levels)
    return Coverage(levels, shares, rank_correlation(scores, errors), len(errors))


@torch.no_grad()
def learned_variance(force_field: ForceField, labels: LabelSet, seed: int, n_sites: int) -> VarianceNetwork:
    """The network that stands in for the posterior deviation of the torque, fitted to it."""
    model = force_field.model
    require_hidden_units(model)
    own = list(_states(labels, n_sites))
    parts = [Part.of(force_field, system, spins) for system, spins in own]
    network = VarianceNetwork(parts[0].hidden.shape[-1])
    for part in parts:
        part.differentiate(network.mixing)
    network.covariance.copy_(weight_covariance([part.jacobian for part in parts]))
    mixed = torch.cat([(part.hidden @ network.mixing.to(part.hidden)).flatten(0, 1) for part in parts])
    network.mean.copy_(mixed.mean(0))
    network.inverse_spread.copy_(1 / mixed.std(0).clamp_min(1e-6))
    for system, spins in _other_states(own, seed, n_sites):
        part = Part.of(force_field, system, spins)
        part.differentiate(network.mixing)
        parts.append(part)
    deviations = [posterior_deviation(part.jacobian, network.covariance, part.surroundings) for part in parts]
    inputs = torch.cat([network.features(part.hidden, part.surroundings).flatten(0, 1) for part in parts]).float()
    target = torch.cat([each.flatten() for each in deviations]).clamp_min(1e-12).log()
    network.fit(inputs, target, seed)
    return network.eval()


def exact_deviation(force_field: ForceField, spins: Tensor) -> Tensor:
    """Posterior deviations (R, N) by backward passes, which the network of a calibrated force field stands in for.

    Those of fitted poles are their scores themselves.
    """
    if isinstance(force_field.uncertainty, WeightUncertainty):
        return force_field.fields_and_scores(spins.to(force_field.device, force_field.dtype))[1]
    if not isinstance(force_field.uncertainty, TorqueUncertainty):
        raise InvalidInput("the force field has no error bars; calibrate it first, or choose a member of the family")
    network = force_field.uncertainty.network
    part = Part.of(force_field, force_field.system, spins)
    part.differentiate(network.mixing)
    return posterior_deviation(part.jacobian, network.covariance, part.surroundings)


def _states(labels: LabelSet, n_sites: int) -> Iterator[tuple[Any, Tensor]]:
    """Spins (R, N, 3) of some labels, spread evenly, system by system."""
    groups = labels.by_system()
    for system, indices in groups.items():
        share = max(1, _SNAPSHOTS // len(groups))
        count = min(len(indices), share, max(1, n_sites // (3 * system.n_sites)))
        chosen = indices[np.unique(np.linspace(0, len(indices) - 1, count).round().astype(int))]
        yield system, labels.stacked(chosen).spins


def _other_states(own: list[tuple[Any, Tensor]], seed: int, n_sites: int) -> Iterator[tuple[Any, Tensor]]:
    """States of the same systems that the labels do not hold: these with noise, and noisy spirals."""
    generator = torch.Generator().manual_seed(seed)
    for number, (system, spins) in enumerate(own):
        room = max(1, n_sites // (3 * system.n_sites) // len(own))
        chosen = spins[: min(room, max(1, _PERTURBED // len(own)))]
        noise = 10 ** (-1.2 + 1.2 * torch.rand(len(chosen), 1, 1, generator=generator, dtype=torch.float64))
        moved = chosen + noise * torch.randn(chosen.shape, generator=generator, dtype=torch.float64)
        spirals = unlike_states(system, min(room, max(1, _SPIRALS // len(own))), seed + number)
        yield system, torch.cat([normalize(moved), spirals])
