"""Wall time of a study, predicted from fields that are measured before it starts."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from gnnspin.core.source import FieldSource
from gnnspin.core.spins import random_spins
from gnnspin.dynamics.source_config import SourceConfig
from gnnspin.force_fields.files import load
from gnnspin.force_fields.force_field import ForceField
from gnnspin.labels import GenerateConfig, default_workers
from gnnspin.labels.plan import make_plan
from gnnspin.learning.ladder import FIELDS_PER_STEP as FIELDS_PER_TRAINING_STEP
from gnnspin.models.architectures.family import Family
from gnnspin.studies.errors import solved_systems
from gnnspin.studies.study import Study
from gnnspin.studies.trainings import compared_trainings, label_sets, trainings_by_round
from gnnspin.systems import SpinSystem
from gnnspin.training.job import ModelConfig
from gnnspin.trajectories import Trajectory

#: Fields of a time step of the Heun, rotation and semi-implicit integrators, and of those that take another number.
_FIELDS_PER_STEP, _FIELDS_OF = 2, {"extrapolated_midpoint": 1}


def predicted_seconds(study: Study, folder: Path, model: Path) -> dict[str, float]:
    """Seconds that remain for each kind of stage, from one timed field per solver and system.

    Parameters
    ----------
    study : Study
    folder : Path
        Of the study; what is complete there counts nothing.
    model : Path
        The force field's file; where it does not exist yet, an untrained model is timed.
    """
    clock = _Clock(study, model)
    seconds: dict[str, float] = {}
    if model.is_relative_to(folder):
        seconds.update(_learning(study, folder, model, clock))
    for name, run in study.runs.items():
        system = run.system.build()
        path = folder / "runs" / f"{name}.h5"
        left = run.n_steps - _steps_done(path)
        replicas = run.initial.replicas
        fields = clock.learned(name, system, replicas) if run.learned else clock.exact(name, system) * replicas
        seconds[f"run {name}"] = left * _FIELDS_OF.get(run.integrator, _FIELDS_PER_STEP) * fields
    for name, errors in study.errors.items():
        done = (folder / f"errors_{name}.json").exists()
        solved = [] if done else solved_systems(study.runs[name].system.build(), errors)
        seconds[f"errors {name}"] = len(errors.times) * sum(clock.exact(name, system) for system in solved)
    return seconds


def _learning(study: Study, folder: Path, model: Path, clock: _Clock) -> dict[str, float]:
    """Seconds of labels and trainings."""
    seconds: dict[str, float] = {}
    sets = label_sets(study)
    if not model.exists() and study.held_out is not None:
        for number, (file, config) in enumerate([*sets.items(), ("held_out.h5", study.held_out)]):
            missing, driven = not (folder / file).exists(), 0 < number < len(sets)
            solves = make_plan(config).n_snapshots if driven else _solves(config)
            seconds[Path(file).with_suffix("").as_posix()] = missing * solves * clock.label(config) / default_workers()
    plans = [make_plan(config) for config in sets.values()]
    by_round = trainings_by_round(study)
    for each in [*by_round, *(one for one in compared_trainings(study) if one not in by_round)]:
        if not (folder / each.folder / model.name).exists():
            snapshots = sum(plan.n_snapshots for plan in plans[: each.rounds + 1]) * (1 - study.validation)
            system = plans[0].systems[0]
            epochs = 1 if each.model.build(system).solved else each.training.max_epochs
            fields = epochs * snapshots * FIELDS_PER_TRAINING_STEP
            seconds[each.name] = fields * clock.untrained(each.of, each.model, system)
    return seconds


def spoken(seconds: dict[str, float]) -> str:
    """The prediction in words, the longest stages first."""
    longest = sorted(seconds.items(), key=lambda item: -item[1])[:6]
    listed = ", ".join(f"{name} {_minutes(value)}" for name, value in longest if value >= 1)
    return f"{_minutes(sum(seconds.values()))}" + (f" ({listed})" if listed else "")


def _minutes(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )


def _solves(config: GenerateConfig) -> int:
    """Exact solves of all labels: one per snapshot, and those that drive relaxations under the exact field."""
    jobs = make_plan(config).jobs
    driven = [job.sampler for job in jobs if job.sampler.kind == "relaxation" and not job.sampler.force_field]
    fields = sum(each.n_steps * _FIELDS_OF.get(each.integrator, _FIELDS_PER_STEP) for each in driven)
    return sum(job.n_snapshots for job in jobs) + fields


def _steps_done(path: Path) -> int:
    if not path.exists():
        return 0
    with Trajectory(path) as run:
        return int(run.state.step)


def _member(force_field: ForceField) -> ForceField:
    """Some member of a family of models, which all take the same time; of any other model itself."""
    model = force_field.model
    if not isinstance(model, Family):
        return force_field
    return force_field.at(**{name: low for name, (low, _) in model.hyperparameters.conditions.items()})


class _Clock:
    """Seconds of a field, measured once per solver and size."""

    def __init__(self, study: Study, model: Path) -> None:
        self._study, self._model = study, model
        self._known: dict[tuple[str, str, int], float] = {}

    def label(self, config: GenerateConfig) -> float:
        """Mean over the systems that are labelled, with one thread, as workers have."""
        times, threads = [], torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for system in make_plan(config).systems:
                solver = config.solver.build(hamiltonian=config.hamiltonian.build(system))
                times.append(self._timed(f"label {config.solver}", system, solver))
        finally:
            torch.set_num_threads(threads)
        return sum(times) / len(times)

    def exact(self, run: str, system: SpinSystem) -> float:
        """Of the source of a run that is not learned, or of the exact solver of one that is."""
        source = self._study.runs[run].source
        if isinstance(source, SourceConfig):
            return self._timed(str(source.recipe()), system, source.build(system))
        hamiltonian, solver = self._study.electrons(run)
        return self._timed(f"exact {solver}", system, solver.build(hamiltonian=hamiltonian.build(system)))

    def learned(self, run: str, system: SpinSystem, replicas: int = 1) -> float:
        """Of the force field of a run, for all replicas at once."""
        rival = self._study.runs[run].rival
        config = self._study.model if rival is None else self._study.rivals[rival].model
        if rival is None and self._model.exists():
            return self._timed("learned", system, _member(load(self._model, system)), replicas)
        assert config is not None
        return self.untrained(rival or "learned", config, system, replicas)

    def untrained(self, name: str, model: ModelConfig, system: SpinSystem, replicas: int = 1) -> float:
        """Of a model before its training."""
        return self._timed(name, system, _member(ForceField(model.build(system), system)), replicas)

    def _timed(self, kind: str, system: SpinSystem, source: FieldSource, replicas: int = 1) -> float:
        key = (kind, system.fingerprint, replicas)
        if key not in self._known:
            times = []
            for seed in (0, 1):
                spins = random_spins(system.n_sites, replicas=(replicas,), seed=seed, dtype=torch.float64)
                start = time.perf_counter()
                source.field(spins)
                times.append(time.perf_counter() - start)
                if times[0] > 5:
                    break
            self._known[key] = min(times)
        return self._known[key]
