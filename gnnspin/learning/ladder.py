"""A ladder of models from the cheapest up, for a system and the reach of its torque."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from gnnspin.core.source import FieldSource
from gnnspin.core.spins import random_spins
from gnnspin.force_fields.force_field import ForceField
from gnnspin.force_fields.members import member_or_itself
from gnnspin.learning.config import LearnConfig
from gnnspin.learning.reach import length_unit
from gnnspin.learning.rounds import ENOUGH_STEPS
from gnnspin.models.architectures.fitted_poles import FittedPoles
from gnnspin.models.registry import architecture
from gnnspin.systems import SpinSystem
from gnnspin.systems.lattice import is_lattice
from gnnspin.training import TrainingConfig
from gnnspin.training.job import ModelConfig

#: A step of a training costs about as much as so many fields: the field, gradients of its error, the optimiser.
FIELDS_PER_STEP = 5

#: Share of the time that is spent on trainings.
_TRAINING = 0.5

_ORIENTED, _CLUSTER = "oriented_cluster_expansion", "spin_cluster_expansion"

#: Learning rate of oriented expansions, which gain from twice the trainer's own.
_ORIENTED_RATE = 6e-3


def ladder(
    config: LearnConfig, system: SpinSystem, radius: float, *, poles: bool = False
) -> list[tuple[ModelConfig, float]]:
    """Models, the smallest first, with the seconds of a field of `system`.

    Parameters
    ----------
    config : LearnConfig
        Its own `ladder` is taken as it is, in the given order. With a `family` every model is one of its ranges.
    system : SpinSystem
        One system of the labels.
    radius : float
        Radius of the torque that models should see, see `gnnspin.learning.reach.Reach.needed`: twice the reach of the
        site energies.
    poles : bool
        Whether `gnnspin.models.FittedPoles`, of unlimited range, end it: for one Hamiltonian whose matrices are sparse.
    """
    given = config.ladder or models_for(config, system, radius)
    if poles and config.ladder is None and config.family is None:
        given = [*given, *fitted_poles(config, length_unit(system))]
    chosen = [model.model_copy(update={"conditions": config.family}) for model in given]
    return [(model, field_seconds(untrained(model, system, config.middle))) for model in chosen]


def fitted_poles(config: LearnConfig, cutoff: float) -> list[ModelConfig]:
    """Models of few poles and of one more, by the electrons of a configuration; one more at fixed filling."""
    recipe = config.hamiltonian
    hamiltonian = {"kind": recipe.described_class.kind, **recipe.model_dump(mode="json")}
    fewest = 2 if config.filling is None else 3
    return [
        ModelConfig(
            name=FittedPoles.name,
            cutoff=cutoff,
            hyperparameters={"poles": count, "hamiltonian": hamiltonian, **config.ensemble},
        )
        for count in (fewest, fewest + 1)
    ]


def first_solved(rungs: Sequence[tuple[ModelConfig, float]]) -> int | None:
    """Position of the first model whose weights are solved for, which has no limit of range; None without any."""
    return next((k for k, (model, _) in enumerate(rungs) if solved(model)), None)


def solved(model: ModelConfig) -> bool:
    """Whether the weights of a model are solved for, with no training."""
    return "solved" in architecture(model.name).capabilities


def learning_rate(model: ModelConfig) -> float:
    """Largest learning rate of the trainings of a rung."""
    return _ORIENTED_RATE if model.name == _ORIENTED else TrainingConfig().learning_rate


def untrained(model: ModelConfig, system: SpinSystem, point: Mapping[str, float]) -> ForceField:
    """A new model on a system, of a family the member at a point."""
    found: ForceField = member_or_itself(ForceField(model.build(system.parts[0]), system), point)
    return found


def affordable(rungs: list[tuple[ModelConfig, float]], seconds: float) -> list[tuple[ModelConfig, float]]:
    """The rungs of which so many seconds allow a training that is long enough; at least the first."""
    steps = [_TRAINING * seconds / (FIELDS_PER_STEP * field) for _, field in rungs]
    return [rung for k, rung in enumerate(rungs) if k == 0 or solved(rung[0]) or steps[k] >= 2 * ENOUGH_STEPS]


def models_for(config: LearnConfig, system: SpinSystem, radius: float) -> list[ModelConfig]:
    """Models, small and large, for a kind of system and a radius of the torque, see `ladder`."""
    common = {"fixed_number": True} if config.filling is not None else {}
    unit = length_unit(system)

    def model(name: str, cutoff: float, **values: Any) -> ModelConfig:
        return ModelConfig(name=name, cutoff=cutoff, hyperparameters={**values, **common}, seed=config.seed)

    if not is_lattice(system):
        cutoff = max(2.3 * unit, radius / 4)
        return [
            model(_CLUSTER, cutoff, layers=1, channels=4, scalars=0, max_degree=0, hidden=16),
            model(_CLUSTER, cutoff, layers=2, channels=4, scalars=4, max_degree=1, hidden=32),
            model(_CLUSTER, cutoff, layers=2, channels=8, scalars=8, max_degree=2, hidden=48),
        ]
    near, far = max(2.0 * unit, radius / 4), max(3.0 * unit, radius / 4)
    small = model(_CLUSTER, near, layers=2, channels=4, scalars=4, max_degree=2, hidden=32)
    if _dimension(system) == 3:
        return [
            small,
            model(_CLUSTER, far, layers=2, channels=8, scalars=8, max_degree=3, hidden=48),
            model(_CLUSTER, far, layers=3, channels=12, scalars=12, max_degree=3, hidden=64),
        ]
    return [
        small,
        model(_ORIENTED, far, layers=2, filters=9, channels=5, scalars=5, factors=12, hidden=24),
        model(_ORIENTED, far, layers=3, filters=14, channels=8, scalars=8, factors=18, hidden=32),
        model(_ORIENTED, far, layers=4, filters=20, channels=10, scalars=8, factors=28, hidden=40),
    ]


def _dimension(system: SpinSystem) -> int:
    return sum(n > 1 for n in system.lattice_shape or (2, 2, 2))


def field_seconds(source: FieldSource) -> float:
    """Wall time of the faster of two fields of random spins; the first may build geometry and code."""
    spins = random_spins(source.system.n_sites, seed=0, dtype=torch.float64)
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        source.field(spins)
        seconds.append(time.perf_counter() - start)
    return min(seconds)
