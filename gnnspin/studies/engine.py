"""`reproduce`: run a study from its Hamiltonian to figures and a report, resumable at every stage."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from gnnspin.core import State
from gnnspin.core.spins import random_spins
from gnnspin.datasets import LabelSet, LabelStore
from gnnspin.dynamics import resume as resume_run
from gnnspin.dynamics import simulate
from gnnspin.force_fields.files import load
from gnnspin.labels import GenerateConfig, default_workers, generate
from gnnspin.observables import (
    correlation_length,
    high_symmetry_points,
    neighbor_correlation,
    shortest_equivalent,
    staggered_vector_chirality,
    structure_factor,
    wave_vectors,
)
from gnnspin.plotting import lattice_map, length_against_time, parity_and_histogram, structure_factor_map
from gnnspin.runs import claim
from gnnspin.studies.report import Results, write_report
from gnnspin.studies.study import Study
from gnnspin.studies.table import study as study_of
from gnnspin.systems import SpinSystem
from gnnspin.training import evaluate
from gnnspin.training.job import DataConfig, TrainJob, train
from gnnspin.trajectories import Trajectory


def reproduce(
    name: str, output: str | Path, *, size: str = "small", resume: bool = False, progress: bool = True
) -> list[str]:
    """Run a study.

    Labels are solved by one process per core where Dask is installed: in a script, call this below
    ``if __name__ == "__main__":``.

    Parameters
    ----------
    name : str
        A key of `gnnspin.studies.STUDIES`.
    output : path
        Folder for labels, model, trajectory, figures and ``report.md``.
    size : str
        How much work: "small" or "paper".
    resume : bool
        Go on in `output`, skipping what is done.
    progress : bool
        Show progress bars.

    Returns
    -------
    list of str
        The headline figures and every file that was written.

    Raises
    ------
    InvalidInput
        If study or size is unknown.
    StoreError
        If `output` is not empty and `resume` is not set, or belongs to another study.
    KeyboardInterrupt
        On Ctrl-C; what was computed is kept.
    """
    study, directory, results = study_of(name, size), Path(output), Results()
    claim(directory / "study.json", study, resume=resume, kind="study")
    labels, held_out = directory / "labels.h5", directory / "held_out.h5"
    results.timed("labels", lambda: _labels(study.labels, labels, progress))
    test = results.timed("held-out labels", lambda: _labels(study.held_out, held_out, progress))
    model = results.timed("training", lambda: _train(study, labels, directory / "training", progress))
    _evaluate(model, test, directory, results)
    trajectory = directory / "quench.h5"
    results.timed("quench", lambda: _quench(study, model, trajectory, progress))
    with Trajectory(trajectory) as run:
        _figures(study, run, directory, results)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    results.peak_memory = peak * (1 if sys.platform == "darwin" else 1024)
    headline = write_report(study, results, directory)
    return [*headline, *(str(path) for path in sorted(directory.glob("*.*")) if path.suffix != ".json"), str(model)]


def _labels(config: GenerateConfig, path: Path, progress: bool) -> LabelStore:
    return generate(config, path, n_workers=default_workers(), progress=progress, resume=True)


def _train(study: Study, labels: Path, directory: Path, progress: bool) -> Path:
    data = DataConfig(train=str(labels), validation=study.validation)
    job = TrainJob(data=data, model=study.model, training=study.training)
    result = train(job, directory, resume=True, progress=progress)
    if result.fit.interrupted:
        raise KeyboardInterrupt
    return result.path


def _evaluate(model: Path, test: LabelSet, directory: Path, results: Results) -> None:
    force_field = load(model, test.systems[0])
    results.errors["all"] = overall = evaluate(force_field, test)
    kinds = [label.provenance["sampler"]["kind"] for label in test]
    for kind in dict.fromkeys(kinds):
        results.errors[kind] = evaluate(force_field, test.subset([k for k, each in enumerate(kinds) if each == kind]))
    parity_and_histogram(overall.predicted_torque, overall.exact_torque, directory / "torque.png")


def _quench(study: Study, model: Path, trajectory: Path, progress: bool) -> None:
    system = study.quench.system.build()
    source = load(model, system)
    observers = {
        "neighbor_correlation": lambda state: neighbor_correlation(system, state.spins).mean(-1),
        "length": _length_observer(system, study.peak),
    }
    if trajectory.exists():
        run = resume_run(trajectory, source, observers=observers, progress=progress)
    else:
        run = simulate(
            source,
            random_spins(system.n_sites, seed=study.quench.seed, dtype=torch.float32),
            dt=study.quench.dt,
            n_steps=study.quench.n_steps,
            damping=study.quench.damping,
            kT=study.quench.kT,
            seed=study.quench.seed,
            observers=observers,
            observe_every=study.quench.observe_every,
            save_every=study.quench.save_every,
            trajectory=trajectory,
            progress=progress,
        )
    if run.interrupted:
        raise KeyboardInterrupt


def _length_observer(system: SpinSystem, peak: str) -> Callable[[State], Tensor]:
    wave_vector = high_symmetry_points(system)[peak]
    return lambda state: correlation_length(system, structure_factor(system, state.spins), wave_vector)


def _figures(study: Study, run: Trajectory, directory: Path, results: Results) -> None:
    """Draw the quench and measure its end."""
    system, spins = run.system, torch.as_tensor(run[len(run) - 1])
    structure = structure_factor(system, spins)
    structure_factor_map(system, structure, directory / "structure_factor.png", title=f"time {run.times[-1]:g}")
    frames = [1, len(run) // 4, len(run) - 1]
    maps = torch.stack([staggered_vector_chirality(system, torch.as_tensor(run[k])).norm(dim=-1) for k in frames])
    titles = [f"time {run.times[k]:g}" for k in frames]
    lattice_map(system, maps, directory / "chirality.png", titles=titles, label="vector chirality", limits=(0, 1))
    times, lengths = run.observable_times, run.observables["length"]
    length_against_time(times, lengths, directory / "correlation_length.png")
    peak = peak_over_median(system, structure, study.peak)
    results.physics = {
        "mean nearest-neighbour S.S at the end": float(run.observables["neighbor_correlation"][-1]),
        f"S({study.peak}) over the median of S(q)": peak,
        "correlation length at the end": float(lengths[-1]),
    }


def peak_over_median(system: SpinSystem, structure: Tensor, peak: str) -> float:
    """Largest S(q) within 0.3 of the named wave vector or its opposite, over the median of all S(q)."""
    grid = wave_vectors(system).reshape(-1, 3)
    target = high_symmetry_points(system)[peak]
    near = shortest_equivalent(system, grid - target)
    close = torch.as_tensor((near**2).sum(-1) < 0.3**2)
    flat = structure.reshape(-1)
    return float(flat[close].max() / flat.median())
