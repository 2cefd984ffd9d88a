"""Wall time of a study, predicted from fields that are measured before it starts."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from gnnspin.core.source import FieldSource
from gnnspin.core.spins import random_spins
from gnnspin.force_fields.files import load
from gnnspin.force_fields.force_field import ForceField
from gnnspin.labels import GenerateConfig, default_workers
from gnnspin.studies.study import Study
from gnnspin.systems import SpinSystem
from gnnspin.trajectories import Trajectory

#: A step of a training costs about as much as so many fields: field, loss and the gradient of both.
_FIELDS_PER_TRAINING_STEP = 6


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
    if not model.exists():
        workers = default_workers()
        for name, config in (("labels", study.labels), ("held_out", study.held_out)):
            missing = not (folder / f"{name}.h5").exists()
            seconds[name] = missing * _solves(config) * clock.label(config) / workers
        snapshots = _snapshots(study.labels) * (1 - study.validation)
        field = clock.learned(study.labels.systems[0].build())
        seconds["training"] = study.training.max_epochs * snapshots * field * _FIELDS_PER_TRAINING_STEP
    for name, run in study.runs.items():
        system = run.system.build()
        path = folder / "runs" / f"{name}.h5"
        left = run.n_steps - _steps_done(path)
        field = clock.exact(system) if run.source == "exact" else clock.learned(system)
        seconds[f"run {name}"] = left * run.initial.replicas * field
    for name, times in study.errors.items():
        done = (folder / f"errors_{name}.json").exists()
        seconds[f"errors {name}"] = 0.0 if done else len(times) * clock.exact(study.runs[name].system.build())
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
    """Exact solves of all labels: one per snapshot, one per step of a relaxation."""
    each = sum(sampler.count * max(1, getattr(sampler, "n_steps", 1)) for sampler in config.samplers)
    return each * len(config.systems)


def _snapshots(config: GenerateConfig) -> float:
    each = sum(
        sampler.count * max(1, getattr(sampler, "n_steps", 1) / getattr(sampler, "save_every", 1))
        for sampler in config.samplers
    )
    return each * len(config.systems)


def _steps_done(path: Path) -> int:
    if not path.exists():
        return 0
    with Trajectory(path) as run:
        return int(run.state.step)


class _Clock:
    """Seconds of a field, measured once per solver and size."""

    def __init__(self, study: Study, model: Path) -> None:
        self._study, self._model = study, model
        self._known: dict[tuple[str, str], float] = {}

    def label(self, config: GenerateConfig) -> float:
        """Mean over the systems that are labelled, with one thread, as workers have."""
        times, threads = [], torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for system in (each.build() for each in config.systems):
                solver = config.solver.build(hamiltonian=config.hamiltonian.build(system))
                times.append(self._timed(f"label {config.solver}", system, solver))
        finally:
            torch.set_num_threads(threads)
        return sum(times) / len(times)

    def exact(self, system: SpinSystem) -> float:
        """Of the exact runs' solver."""
        solver = self._study.exact.build(hamiltonian=self._study.labels.hamiltonian.build(system))
        return self._timed("exact", system, solver)

    def learned(self, system: SpinSystem) -> float:
        """Of the force field."""
        if self._model.exists():
            return self._timed("learned", system, load(self._model, system))
        return self._timed("learned", system, ForceField(self._study.model.build(system), system))

    def _timed(self, kind: str, system: SpinSystem, source: FieldSource) -> float:
        key = (kind, system.fingerprint)
        if key not in self._known:
            spins = random_spins(system.n_sites, seed=0, dtype=torch.float64)
            times = []
            for seed in (0, 1):
                spins = random_spins(system.n_sites, seed=seed, dtype=torch.float64)
                start = time.perf_counter()
                source.field(spins)
                times.append(time.perf_counter() - start)
                if times[0] > 5:
                    break
            self._known[key] = min(times)
        return self._known[key]
