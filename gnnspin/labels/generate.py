"""`generate`: exact labels of planned spin configurations, resumable at any moment."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor

from gnnspin.core.errors import StoreError
from gnnspin.core.spins import random_spins
from gnnspin.core.version import __version__
from gnnspin.datasets.label_store import LabelStore
from gnnspin.datasets.labels import Label
from gnnspin.dynamics import simulate
from gnnspin.electrons import ExactDiagonalization
from gnnspin.labels.config import GenerateConfig, PerturbedOrderSampler, RelaxationSampler
from gnnspin.labels.plan import Job, Plan, make_plan
from gnnspin.observables.orders import perturbed, reference_order


def generate(config: GenerateConfig, output: str | Path, *, progress: bool = True, resume: bool = False) -> LabelStore:
    """Solve every planned spin configuration and store its label.

    All snapshots follow from the configuration and its seed. Each label is on disk as soon as it is solved; a run
    that was interrupted, even killed, and is resumed on the same machine gives the same store as one that was not. A
    trajectory restarts from its last stored snapshot.

    Parameters
    ----------
    config : GenerateConfig
    output : path
        HDF5 file, see `LabelStore`.
    progress : bool
        Show a progress bar with rate and remaining time.
    resume : bool
        Go on with an existing `output` of the same configuration; start when there is none.

    Returns
    -------
    LabelStore

    Raises
    ------
    StoreError
        If `output` exists and `resume` is not set, or belongs to another configuration.
    InvalidInput
        If a system cannot be built or an order does not fit it.
    KeyboardInterrupt
        On Ctrl-C; `output` holds what was solved.
    """
    plan = make_plan(config)
    store = _open(config, plan, Path(output), resume)
    solvers = [config.solver.build(config.hamiltonian.build(system)) for system in plan.systems]
    common = _common_provenance(config)
    with _Bar(plan.n_snapshots, len(store), progress) as bar:
        for job in plan.jobs:
            for snapshot in _snapshots(job, solvers[job.system], store):
                store.append(_label(snapshot, solvers[job.system], job, common), number=snapshot.number)
                bar.advance()
    store.compact()
    return store


@dataclass(frozen=True)
class _Snapshot:
    """Spins to be labelled as record `number`; `origin` is what its provenance adds to the job's."""

    number: int
    spins: Tensor
    origin: dict[str, Any]


def _open(config: GenerateConfig, plan: Plan, output: Path, resume: bool) -> LabelStore:
    if not output.exists():
        metadata = {
            "config": config.model_dump(mode="json"),
            "config_fingerprint": config.fingerprint,
            "n_planned": plan.n_snapshots,
        }
        return LabelStore.create(output, metadata)
    if not resume:
        raise StoreError(f"{output} exists; choose another output, or resume to go on with an interrupted run")
    store = LabelStore(output)
    if store.metadata.get("config_fingerprint") != config.fingerprint:
        raise StoreError(f"{output} was made with another configuration; resume with that one or choose another output")
    return store


def _snapshots(job: Job, solver: ExactDiagonalization, store: LabelStore) -> Iterator[_Snapshot]:
    """The snapshots of a job that `store` lacks; each must be stored before the next is asked for."""
    known = set(store.numbers)
    missing = [k for k in range(job.n_snapshots) if job.first + k not in known]
    if not missing:
        return
    if isinstance(job.sampler, RelaxationSampler):
        yield from _trajectory(job, job.sampler, missing[0], solver, store)
    elif isinstance(job.sampler, PerturbedOrderSampler):
        rng = np.random.default_rng(job.seed)
        amplitude = float(rng.uniform(*job.sampler.amplitude))
        order = job.sampler.orders[job.index % len(job.sampler.orders)]
        spins = perturbed(reference_order(order, solver.system), amplitude, seed=job.seed)
        yield _Snapshot(job.first, spins, {"order": order, "amplitude": amplitude})
    else:
        yield _Snapshot(job.first, random_spins(solver.system.n_sites, seed=job.seed), {})


def _trajectory(
    job: Job, sampler: RelaxationSampler, begin: int, solver: ExactDiagonalization, store: LabelStore
) -> Iterator[_Snapshot]:
    """One integration from each stored snapshot to the next, with its own noise seed.

    So a trajectory is the same wherever it was interrupted.
    """
    spins = random_spins(solver.system.n_sites, seed=job.seed)
    for k in range(begin, job.n_snapshots):
        if k > 0:
            spins = store[store.numbers.index(job.first + k - 1)].spins
        run = simulate(
            solver,
            spins,
            dt=sampler.dt,
            n_steps=sampler.save_every,
            damping=sampler.damping,
            kT=sampler.kT,
            integrator=sampler.integrator,
            seed=job.segment_seed(k),
            progress=False,
        )
        if run.interrupted:
            raise KeyboardInterrupt
        step = (k + 1) * sampler.save_every
        yield _Snapshot(job.first + k, run.spins.contiguous(), {"step": step, "time": step * sampler.dt})


def _label(snapshot: _Snapshot, solver: ExactDiagonalization, job: Job, common: dict[str, Any]) -> Label:
    state = solver.solve(snapshot.spins)
    return Label(
        system=solver.system,
        spins=snapshot.spins,
        field=state.field,
        energy=float(state.energy),
        internal_energy=float(state.internal_energy),
        entropy=float(state.entropy),
        mu=float(state.mu),
        n_electrons=float(state.n_electrons),
        density=state.density,
        provenance={
            **common,
            "sampler": {**job.sampler.model_dump(mode="json"), **snapshot.origin},
            "index": job.index,
            "seed": job.seed,
        },
    )


def _common_provenance(config: GenerateConfig) -> dict[str, Any]:
    return {
        "hamiltonian": config.hamiltonian.model_dump(mode="json"),
        "solver": config.solver.model_dump(mode="json"),
        "config_fingerprint": config.fingerprint,
        "config_seed": config.seed,
        "versions": {
            "gnnspin": __version__,
            "python": platform.python_version(),
            **{name: _version(name) for name in ("torch", "numpy", "scipy")},
        },
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


class _Bar:
    """Progress bar: labels done, rate, time left."""

    def __init__(self, total: int, done: int, show: bool) -> None:
        self._progress = Progress(
            TextColumn("labels"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            disable=not show,
        )
        self._task = self._progress.add_task("labels", total=total, completed=done, rate="")

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def advance(self) -> None:
        """One more label is stored."""
        self._progress.advance(self._task)
        speed = self._progress.tasks[self._task].speed
        self._progress.update(self._task, rate="" if speed is None else f"{speed:.2f}/s")
