"""`simulate` and `resume`: integrate replicas of a spin system under any field source."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import as_spins, normalize
from gnnspin.dynamics.algebra import components, vectors
from gnnspin.dynamics.loop import Run, integrate
from gnnspin.dynamics.observers import ObservableLog, Observers, named_observers
from gnnspin.dynamics.schedule import Schedule
from gnnspin.dynamics.state import State, StepParameters
from gnnspin.dynamics.steps import Step, heun_step, rotation_step, semi_implicit_step, spherical_midpoint_step
from gnnspin.dynamics.trajectory import Trajectory
from gnnspin.dynamics.writer import TrajectoryWriter, refuse_existing

#: Name of each integrator and its step.
INTEGRATORS: dict[str, Step] = {
    "heun": heun_step,
    "rotation": rotation_step,
    "semi_implicit": semi_implicit_step,
    "spherical_midpoint": spherical_midpoint_step,
}


def simulate(
    source: FieldSource,
    spins: Tensor | ArrayLike,
    *,
    dt: float,
    n_steps: int,
    damping: float | ArrayLike | Tensor,
    kT: float | ArrayLike | Tensor = 0.0,
    gamma: float = 1.0,
    integrator: str = "semi_implicit",
    seed: int = 0,
    replicas: Sequence[int] | None = None,
    observers: Observers = None,
    observe_every: int = 1,
    trajectory: str | Path | None = None,
    save_every: int | None = None,
    save_dtype: str = "float32",
    progress: bool = True,
) -> Run:
    """Integrate ``dS/dt = gamma S x (H + eta) - gamma lambda S x (S x H)`` from `spins`.

    Parameters
    ----------
    source : FieldSource
        Whatever gives the effective field H.
    spins : (..., N, 3)
        Initial unit spins; leading dimensions are replicas. Their dtype and device are those of the integration.
    dt : float
        Time step in 1/(gamma t).
    n_steps : int
        Number of steps.
    damping : float or array
        Dimensionless damping lambda: a number, or an array with the replicas' dimensions (one value per replica), or
        with one more for the sites, (..., N) or (1, N). The number of dimensions decides, never their lengths.
    kT : float or array
        Temperature in units of the hopping; shapes as for `damping`.
    gamma : float
        Gyromagnetic ratio.
    integrator : str
        Name of the step, a key of `INTEGRATORS`.
    seed : int
        The noise is a function of (seed, replica, step, site) and of nothing else.
    replicas : sequence of int, optional
        Identity of each replica in that function; default ``0 .. R-1``.
    observers : callables of the state, as a list or a dict by name
        Called at step 0 and every `observe_every` steps; numbers, arrays or tensors of any fixed shape.
    observe_every : int
        Steps between observations.
    trajectory : path, optional
        A new HDF5 file, see `Trajectory`.
    save_every : int, optional
        Steps between stored frames; default a hundredth of `n_steps`.
    save_dtype : str
        Precision of stored frames, "float32" or "float64". The newest state is always kept in full precision.
    progress : bool
        Show a progress bar on a terminal.

    Returns
    -------
    Run
        Final state, observables and statistics. After Ctrl-C it holds what was computed, flagged `interrupted`.

    Raises
    ------
    InvalidInput
        For arguments out of range, before any work.
    StoreError
        If the trajectory file exists.
    SimulationError
        When a field or spin is not finite; names step and site. The last good state is in the trajectory.
    """
    start = as_spins(spins, source.system.n_sites).detach()
    parameters = StepParameters.checked(start, dt=dt, damping=damping, kT=kT, gamma=gamma, seed=seed, replicas=replicas)
    schedule = Schedule.of(n_steps, observe_every, save_every)
    step = integrator_named(integrator)
    log = ObservableLog(named_observers(observers))
    state = State(vectors(components(normalize(start))))
    if trajectory is not None:
        refuse_existing(trajectory)
    log.observe(state)
    writer = None
    if trajectory is not None:
        writer = TrajectoryWriter.create(
            trajectory, source, state, parameters, schedule, log, integrator=integrator, save_dtype=save_dtype
        )
    return integrate(state, source, parameters, step, schedule, log, writer, progress)


def resume(
    path: str | Path,
    source: FieldSource,
    *,
    n_steps: int | None = None,
    observers: Observers = None,
    progress: bool = True,
) -> Run:
    """Continue the run in a trajectory file from its newest checkpoint, as if it had never stopped.

    With the same source the continued trajectory equals an uninterrupted one bit for bit, noise included, also after
    the writer was killed. What the file holds beyond the checkpoint is computed again.

    Parameters
    ----------
    path : path
        The trajectory file; it is rewritten once and then appended to.
    source : FieldSource
        The source the run was started with; its specification must equal the stored one.
    n_steps : int, optional
        Steps to do from the checkpoint on; default: those that are missing to the run's original end.
    observers : as in `simulate`
        The same names as before.
    progress : bool
        Show a progress bar on a terminal.

    Returns
    -------
    Run
        As from `simulate`, observations before the checkpoint included.

    Raises
    ------
    InvalidInput
        If the source or the observers differ from the stored ones, or `n_steps` is negative.
    StoreError
        If the file is missing, damaged or foreign, or another process is writing it.
    """
    if n_steps is not None and n_steps < 0:
        raise InvalidInput(f"n_steps={n_steps} must not be negative")
    named = named_observers(observers)
    with Trajectory(path) as stored:
        if stored.source != json.loads(json.dumps(source.specification())):
            raise InvalidInput(f"the source {source.specification()} is not the stored one {stored.source}")
        settings, state = stored.settings, stored.state
        log = ObservableLog.restored(named, stored.observable_steps, stored.observable_times, stored.observables)
        parameters = StepParameters(
            dt=settings["dt"],
            damping=_restored(stored.damping, settings["device"]),
            gamma=settings["gamma"],
            kT=_restored(stored.kT, settings["device"]),
            seed=settings["seed"],
            replicas=None if settings["replicas"] is None else tuple(settings["replicas"]),
        )
    state = replace(state, spins=vectors(components(state.spins.to(settings["device"]))))
    last_step = settings["last_step"] if n_steps is None else state.step + n_steps
    schedule = Schedule(max(last_step, state.step), settings["observe_every"], settings["save_every"])
    writer = TrajectoryWriter.reopen(path, state, log, schedule)
    step = integrator_named(settings["integrator"])
    return integrate(state, source, parameters, step, schedule, log, writer, progress)


def _restored(value: NDArray[Any], device: str) -> float | Tensor:
    return float(value) if value.ndim == 0 else torch.from_numpy(value).to(device)


def integrator_named(name: str) -> Step:
    """The step called `name`; an unknown name is an InvalidInput that lists the known ones."""
    if name not in INTEGRATORS:
        raise InvalidInput(f"integrator {name!r} is unknown; known: {', '.join(sorted(INTEGRATORS))}")
    return INTEGRATORS[name]
