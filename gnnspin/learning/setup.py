"""Choices of a learning before its first round: solver, reach, systems of labels, ladder, time steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import TypeAdapter

from gnnspin.core.source import FieldSource, SumSource
from gnnspin.dynamics import INTEGRATORS, suggest_timestep
from gnnspin.electrons import PoleExpansion
from gnnspin.learning.config import IntendedRun, LearnConfig, TrajectoryTarget
from gnnspin.learning.exact import MeasuredSolver, as_record, choose_solver, exact_source
from gnnspin.learning.ladder import affordable, ladder
from gnnspin.learning.places import Place
from gnnspin.learning.reach import Reach, label_system, measured_on, quick_reach
from gnnspin.systems.config import SystemConfig
from gnnspin.training.job import ModelConfig

#: Error of the torque that labels and time steps are chosen for where the target is an angle between trajectories.
TORQUE_TARGET = 0.05

#: Share of the time that the measurement of the reach may take; torque error of a solver that time steps may have.
_REACH, _ROUGH = 0.03, 0.2

#: Accuracy in radians of the time step that drives runs to be labelled.
_STEP_ACCURACY = 0.03

_SYSTEM: TypeAdapter[SystemConfig] = TypeAdapter(SystemConfig)


@dataclass(frozen=True)
class Setup:
    """Choices that all rounds share.

    Attributes
    ----------
    solvers : tuple of MeasuredSolver
        The first is the one of all labels; others that were measured follow.
    reach : Reach
    radius : float
        Radius of the torque that models should see.
    label_systems : tuple of SystemConfig
        One for each intended run.
    rungs : tuple of (ModelConfig, float)
        The ladder, with seconds of a field.
    steps : tuple of float
        Time step of each intended run, in 1/(gamma t).
    """

    solvers: tuple[MeasuredSolver, ...]
    reach: Reach
    radius: float
    label_systems: tuple[SystemConfig, ...]
    rungs: tuple[tuple[ModelConfig, float], ...]
    steps: tuple[float, ...]

    def lines(self) -> list[str]:
        """The choices in words."""
        floors = ", ".join(
            f"{100 * f:.2g} % at {r:.3g}" for r, f in zip(self.reach.radii, self.reach.floors, strict=True)
        )
        sizes = ", ".join(_short(each) for each in self.label_systems)
        models = ", ".join(
            f"{k}: {model.name} of {_size(model)} ({1e3 * seconds:.3g} ms)"
            for k, (model, seconds) in enumerate(self.rungs)
        )
        steps = ", ".join(f"{each:g}" for each in self.steps)
        return [
            f"labels by {self.solvers[0]}; on {sizes}",
            f"least torque error by radius, on random spins: {floors}; models should see {self.radius:.3g}",
            f"models, smallest first: {models}",
            f"time steps: {steps}",
        ]

    def record(self) -> dict[str, Any]:
        """JSON-able record, from which `restored` makes it again."""
        return {
            "solvers": as_record(self.solvers),
            "reach": self.reach.record(),
            "radius": self.radius,
            "label_systems": [each.model_dump(mode="json") for each in self.label_systems],
            "rungs": [[model.model_dump(mode="json"), seconds] for model, seconds in self.rungs],
            "steps": list(self.steps),
        }

    @classmethod
    def restored(cls, record: dict[str, Any]) -> Setup:
        """The inverse of `record`."""
        return cls(
            tuple(MeasuredSolver(**each) for each in record["solvers"]),
            Reach(**record["reach"]),
            record["radius"],
            tuple(_SYSTEM.validate_python(each) for each in record["label_systems"]),
            tuple((ModelConfig.model_validate(model), seconds) for model, seconds in record["rungs"]),
            tuple(record["steps"]),
        )


def _size(model: ModelConfig) -> str:
    given = model.hyperparameters
    return f"{given['poles']} poles" if "poles" in given else f"{given.get('layers', 1)} layers"


def _short(system: SystemConfig) -> str:
    values = system.model_dump(exclude_defaults=True)
    values.pop("positions", None)
    return " ".join(f"{value}" for value in values.values())


def torque_target(config: LearnConfig) -> float:
    """Error of the torque that is aimed at."""
    return TORQUE_TARGET if isinstance(config.target, TrajectoryTarget) else config.target


def measured(config: LearnConfig) -> Setup:
    """Make all choices, by measurements that take seconds to a minute or two.

    Of a family all is measured in the middle of the ranges; in their corners too are the errors of the solvers, of
    which the largest counts, and the torques, of which the largest decides where time steps are measured.

    Raises
    ------
    InvalidInput
        If a system cannot be built, or no exact solver works.
    """
    target = torque_target(config)
    probe = _measured_on(config.runs[0])
    part = Place.of(probe, 0).system.parts[0]
    solvers = choose_solver(config, part, target)
    seconds = _REACH * 60 * config.budget.minutes
    reach = quick_reach(exact_source(config, solvers[0].settings, part), config.seed, seconds)
    radius = reach.needed(target / 2)
    systems = config.label_systems or tuple(_label_system(run, radius) for run in config.runs)
    first = Place.of(systems[0], 0).system.parts[0]
    if first.n_sites != part.n_sites:
        solvers = choose_solver(config, first, target)
    rough = min((each for each in solvers if each.error <= _ROUGH), key=lambda each: each.seconds, default=solvers[0])
    members, steps = [config.at(point) for point in config.points(0)], []
    for run in config.runs:
        system = Place.of(_measured_on(run), 0).system.parts[0]
        steps.append(time_step(run, fastest(run, [exact_source(each, rough.settings, system) for each in members])))
    labels = exact_source(config, solvers[0].settings, first)
    poles = isinstance(labels, PoleExpansion) and not labels.dense
    rungs = affordable(ladder(config, first, radius, poles=poles), 60 * config.budget.minutes)
    return Setup(solvers, reach, radius, tuple(systems), tuple(rungs), tuple(steps))


def _measured_on(run: IntendedRun) -> SystemConfig:
    """The system of a run for measurements: smaller, unless its initial spins come from a file and need it all."""
    return measured_on(run.system) if run.initial.file is None else run.system


def _label_system(run: IntendedRun, radius: float) -> SystemConfig:
    return label_system(run.system, radius) if run.initial.file is None else run.system


def fastest(run: IntendedRun, sources: Sequence[FieldSource]) -> FieldSource:
    """The one of some sources on a system whose torque moves the initial spins of a run most."""
    if len(sources) == 1:
        return sources[0]
    spins = run.initial.build(sources[0].system, torch.float64)
    return max(sources, key=lambda source: float(source.torque(spins).square().mean()))


def time_step(run: IntendedRun, source: FieldSource, accuracy: float = _STEP_ACCURACY) -> float:
    """Time step of a run under a source, from its initial spins; at most a twentieth of the duration."""
    spins = run.initial.build(source.system, torch.float64)
    driver = SumSource([source, *(term.build(source.system) for term in run.terms)]) if run.terms else source
    kT = run.kT if isinstance(run.kT, float) else 0.0
    found = suggest_timestep(
        driver, spins, damping=run.damping, kT=kT, accuracy=accuracy, step=INTEGRATORS[run.integrator]
    )
    return min(float(f"{found:.2g}"), run.duration / 20)
