"""One snapshot of a plan: its spins, and its label from the exact solver. Runs on any worker."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnnspin.core.described import Recipe
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.source import FieldSource, SumSource
from gnnspin.core.spins import random_spins
from gnnspin.core.version import __version__
from gnnspin.datasets.labels import Label
from gnnspin.dynamics import simulate
from gnnspin.force_fields.files import load
from gnnspin.force_fields.force_field import ForceField
from gnnspin.force_fields.members import member_of_record
from gnnspin.labels.config import (
    BoundarySampler,
    GenerateConfig,
    GivenSampler,
    PerturbedOrderSampler,
    RelaxationSampler,
)
from gnnspin.labels.given import given_spins
from gnnspin.labels.plan import Job, make_plan
from gnnspin.observables.orders import perturbed, reference_order
from gnnspin.systems import SpinSystem


@independent_of_modes
def solve_snapshot(config: GenerateConfig, job: Job, snapshot: int, previous: Tensor | None) -> Label:
    """Label of snapshot number `snapshot` of a job.

    Parameters
    ----------
    config : GenerateConfig
    job : Job
    snapshot : int
        0 .. job.n_snapshots - 1.
    previous : (N, 3) tensor or None
        Spins of the snapshot before, for a trajectory; None for its first.

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C during a trajectory.
    """
    solver = _solvers(config.model_dump_json(), job.point)[job.system]
    record = _provenance(config, job.point)
    spins, origin = _configuration(job, snapshot, previous, solver, record)
    state = solver.solve(spins)
    return Label(
        system=solver.system,
        spins=spins,
        field=state.field,
        energy=_number(state, "energy"),
        internal_energy=_number(state, "internal_energy"),
        entropy=_number(state, "entropy"),
        mu=_number(state, "mu"),
        n_electrons=_number(state, "n_electrons"),
        density=state.density,
        provenance={
            **record,
            "sampler": {**job.sampler.model_dump(mode="json"), **origin},
            "index": job.index,
            "seed": job.seed,
        },
    )


def _number(state: Any, name: str) -> float | None:
    """A number of an electronic state; None where there is none, such as the energy of a driven one."""
    value = getattr(state, name, None)
    return None if value is None else float(value)


@lru_cache(maxsize=2)
def _solvers(config: str, point: int) -> tuple[Any, ...]:
    """One solver per system of a configuration, given as JSON, at one of its parameter points; built once in a row."""
    family, systems = _planned(config)
    member = family.at(family.points()[point])
    return tuple(member.solver.build(hamiltonian=member.hamiltonian.build(system)) for system in systems)


@lru_cache(maxsize=2)
def _planned(config: str) -> tuple[GenerateConfig, tuple[SpinSystem, ...]]:
    """A configuration, given as JSON, and its systems; once per process."""
    parsed = GenerateConfig.model_validate_json(config)
    return parsed, make_plan(parsed).systems


def _configuration(
    job: Job, snapshot: int, previous: Tensor | None, solver: FieldSource, record: Mapping[str, Any]
) -> tuple[Tensor, dict[str, Any]]:
    """Spins of a snapshot, and what its provenance adds to the sampler's settings."""
    if isinstance(job.sampler, RelaxationSampler):
        start = _start(job.sampler, solver.system, job.seed) if previous is None else previous
        path = job.sampler.force_field
        driver = solver if path is None else member_of_record(_force_field(path, solver.system), record)
        terms = [term.build(solver.system) for term in job.sampler.terms]
        return _relaxed(job, job.sampler, snapshot, start, driver, terms)
    if isinstance(job.sampler, GivenSampler):
        given = given_spins(job.sampler.path, solver.system.n_sites)
        origin = {} if given.times is None else {"time": float(given.times[job.index])}
        return torch.from_numpy(given.spins[job.index].copy()), origin
    if isinstance(job.sampler, PerturbedOrderSampler):
        amplitude = float(np.random.default_rng(job.seed).uniform(*job.sampler.amplitude))
        order = job.sampler.orders[job.index % len(job.sampler.orders)]
        spins = perturbed(reference_order(order, solver.system), amplitude, seed=job.seed)
        return spins, {"order": order, "amplitude": amplitude}
    if isinstance(job.sampler, BoundarySampler):
        boundary, amplitude = job.sampler.drawn(job.seed)
        spins = perturbed(boundary.build(solver.system), amplitude, seed=job.seed)
        return spins, {"boundary": boundary.model_dump(mode="json"), "noise": amplitude}
    return random_spins(solver.system.n_sites, seed=job.seed), {}


def _start(sampler: RelaxationSampler, system: SpinSystem, seed: int) -> Tensor:
    """Spins (N, 3) at the beginning of a trajectory."""
    if sampler.boundary is not None:
        boundary, amplitude = sampler.boundary.drawn(seed)
        return perturbed(boundary.build(system), amplitude, seed=seed)
    if sampler.order is None:
        return random_spins(system.n_sites, seed=seed)
    return perturbed(reference_order(sampler.order, system), sampler.amplitude, seed=seed, rotate=False)


def _relaxed(
    job: Job,
    sampler: RelaxationSampler,
    snapshot: int,
    start: Tensor,
    driver: FieldSource,
    terms: Sequence[FieldSource],
) -> tuple[Tensor, dict[str, Any]]:
    """Integrate from one snapshot to the next, with a noise seed of its own: the same wherever it was interrupted."""
    run = simulate(
        SumSource([driver, *terms]) if terms else driver,
        start,
        dt=sampler.dt,
        n_steps=sampler.save_every,
        damping=sampler.damping,
        kT=sampler.kT.build() if isinstance(sampler.kT, Recipe) else sampler.kT,
        integrator=sampler.integrator,
        seed=job.segment_seed(snapshot),
        start_time=snapshot * sampler.save_every * sampler.dt,
        progress=False,
    )
    if run.interrupted:
        raise KeyboardInterrupt
    step = (snapshot + 1) * sampler.save_every
    origin = {"step": step, "time": step * sampler.dt}
    if isinstance(driver, ForceField):
        origin["weights"] = driver.specification()["weights"]
    return run.spins.to(torch.float64).contiguous(), origin


@lru_cache(maxsize=8)
def _force_field(path: Path, system: SpinSystem) -> ForceField:
    """The driving force field of a system; read once per process."""
    return load(path, system)


def _provenance(config: GenerateConfig, point: int) -> dict[str, Any]:
    values = config.points()[point]
    member = config.at(values)
    return {
        "hamiltonian": member.hamiltonian.model_dump(mode="json"),
        "solver": member.solver.model_dump(mode="json"),
        **({"parameters": values} if values else {}),
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
