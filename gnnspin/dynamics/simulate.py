"""`simulate` and `resume`: integrate replicas of a spin system under any field source."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.dilution import Diluted
from gnnspin.core.errors import InvalidInput
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import as_spins, normalize
from gnnspin.core.state import State
from gnnspin.dynamics.adaptive import adaptive_step
from gnnspin.dynamics.algebra import components, vectors
from gnnspin.dynamics.correction import CORRECTION, CorrectedStep, correction_size
from gnnspin.dynamics.integrators import INTEGRATORS
from gnnspin.dynamics.loop import Run, integrate
from gnnspin.dynamics.monitor import Monitor, RunningMonitor, monitored
from gnnspin.dynamics.multistep import begun
from gnnspin.dynamics.observers import ObserversOfRun, resolved_observers
from gnnspin.dynamics.parameters import NoiseTerms, StepParameters, pinned_mask
from gnnspin.dynamics.protocols import (
    Protocol,
    TemperatureFunction,
)
from gnnspin.dynamics.steps import Step, semi_implicit_step
from gnnspin.dynamics.stored import (
    given_source,
    new_writer,
    restored_monitor,
    restored_parameters,
    restored_state,
    restored_step,
)
from gnnspin.dynamics.timestep import suggest_timestep
from gnnspin.force_fields.fitting import fit_in_memory
from gnnspin.trajectories.observers import ObservableLog, Observer, named_observers
from gnnspin.trajectories.schedule import Schedule
from gnnspin.trajectories.trajectory import Trajectory
from gnnspin.trajectories.writer import TrajectoryWriter, refuse_existing


@independent_of_modes
def simulate(
    source: FieldSource,
    spins: Tensor | ArrayLike,
    *,
    dt: float | Literal["auto"],
    n_steps: int,
    damping: float | ArrayLike | Tensor,
    kT: float | ArrayLike | Tensor | Protocol | TemperatureFunction = 0.0,
    moments: float | ArrayLike | Tensor = 1.0,
    accuracy: float = 0.01,
    gamma: float = 1.0,
    noise: NoiseTerms = "precession",
    integrator: str = "semi_implicit",
    tolerance: float | None = None,
    correction: FieldSource | None = None,
    correct_every: int = 5,
    monitor: FieldSource | Monitor | None = None,
    monitor_every: int = 200,
    seed: int = 0,
    replicas: Sequence[int] | None = None,
    pinned: ArrayLike | Tensor | None = None,
    vacancies: ArrayLike | Tensor | None = None,
    compiled: bool = False,
    memory: float | None = None,
    start_time: float = 0.0,
    observers: ObserversOfRun = None,
    observe_every: int = 1,
    trajectory: str | Path | None = None,
    save_every: int | None = None,
    save_dtype: Literal["float32", "float64"] = "float32",
    notes: Mapping[str, Any] | None = None,
    progress: bool = True,
) -> Run:
    """Integrate ``dS/dt = gamma/mu S x (H + eta) - gamma/mu lambda S x (S x H)`` from `spins`.

    Parameters
    ----------
    source : FieldSource
        Whatever gives the effective field H.
    spins : (..., N, 3)
        Initial unit spins; leading dimensions are replicas. Their dtype and device are those of the integration.
    dt : float or "auto"
        Time step in 1/(gamma t); "auto" takes what `suggest_timestep` proposes for the initial spins and `accuracy`.
    n_steps : int
        Number of steps.
    damping : float or array
        Dimensionless damping lambda: a number, or an array with the replicas' dimensions (one value per replica), or
        with one more for the sites, (..., N) or (1, N). The number of dimensions decides, never their lengths.
    kT : float, array or function of time
        Temperature in units of the hopping; shapes as for `damping`. A `Quench`, `Ramp`, `Anneal` or `Table` is stored
        with the trajectory; of any other function only the name, so that `resume` must be given it again.
    moments : float, (N,) or (..., N)
        Magnetic moments mu, positive, in units of that to which gamma belongs: (N,) for all replicas. The energy and H
        stay what they are, the field in tesla is H / mu: a spin turns 1/mu times as fast, its noise has the variance
        ``2 lambda kT mu / (gamma dt)`` in units of H, and averages are those of the same temperature at every site.
    accuracy : float
        For ``dt="auto"``: accepted error of the trajectory in radians (root mean square) by the time in which the
        spins, at their initial speed, turn by one radian.
    gamma : float
        Gyromagnetic ratio.
    noise : "precession" or "both"
        Terms the noise enters, see `StepParameters`.
    integrator : str
        Name of the step, a key of `INTEGRATORS`; `register_integrator` adds others. "adaptive" (kT = 0 only)
        reaches every multiple of dt in substeps of its own.
    tolerance : float, optional
        Of the spherical midpoint's iteration, or of the adaptive step's error; see `StepParameters`.
    correction : FieldSource, optional
        An expensive, more accurate source of the same system, such as an exact solver, beside a cheap `source`: what
        the cheap field lacks is measured every `correct_every` steps and added, extrapolated linearly in time. Its
        size, the root-mean-square torque error of `source` by component, is recorded as the observable "correction".
    correct_every : int
        Steps between measurements of the correction.
    monitor : FieldSource or Monitor, optional
        An exact source of the same system with which the torque of the run is compared now and then; a `Monitor` says
        how, and what happens beyond its limit. Error and exact torque, root mean squares by component, are recorded
        as "monitor_error" and "monitor_torque", NaN between checks.
    monitor_every : int
        Steps between checks by a `monitor` that is given as a source; a multiple of `observe_every`.
    seed : int
        The noise is a function of (seed, replica, step, site) and of nothing else.
    replicas : sequence of int, optional
        Identity of each replica in that function; default ``0 .. R-1``. In a union of P systems every part counts as a
        replica with sites of its own: R * P identities, parts innermost, so that a system's noise is the same alone and
        in any union.
    pinned : (N,) or (..., N) bool, or sequence of int, optional
        True where a spin stays as it is and goes on acting on the others; or the numbers of these sites.
    vacancies : (N,) bool, or sequence of int, optional
        True where there is no moment, see `Diluted`; or the numbers of these sites. The
        spin given there is meaningless and stays.
    compiled : bool
        Run the arithmetic of step and noise through `torch.compile` (needs a C++ compiler, costs seconds at first use):
        for large systems with cheap fields. Trajectories agree with the plain ones to rounding. The field itself is
        compiled by ``source.compile()``.
    memory : float, optional
        Bytes that a field of a learned model may take; default: 0.6 of what is free. A lattice whose field would take
        more is evaluated in windows, see `ForceField.fit`; what fits in no window is refused, before any work.
    start_time : float
        Time of the initial spins, in 1/(gamma t): where protocols and fields that depend on time begin.
    observers : callables of the state or observables, as a list or a dict by name
        Called at step 0 and every `observe_every` steps; numbers, arrays or tensors of any fixed shape. One that
        returns nothing is a callback, of which nothing is kept. Observables are given as such, by their names, or as
        mappings of a kind and parameters, as in configurations.
    observe_every : int
        Steps between observations.
    trajectory : path, optional
        A new HDF5 file, see `Trajectory`.
    save_every : int, optional
        Steps between stored frames; default a hundredth of `n_steps`.
    save_dtype : str
        Precision of stored frames, "float32" or "float64". The newest state is always kept in full precision.
    notes : mapping, optional
        Whatever the trajectory file should tell of the run; JSON-able, found again as `Trajectory.notes`.
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

    Warns
    -----
    TimeStepWarning
        Once, when the spins turn by more than half a radian per step (root mean square).
    """
    start = as_spins(spins, source.system.n_sites).detach()
    if not math.isfinite(start_time):
        raise InvalidInput(f"start_time={start_time} must be finite")
    schedule = Schedule.of(n_steps, observe_every, save_every)
    step = INTEGRATORS[integrator]
    if trajectory is not None:
        refuse_existing(trajectory)
    for learned in (source,) if correction is None else (source, correction):
        fit_in_memory(learned, math.prod(start.shape[:-2]), memory)
    running = step if correction is None else _correcting(step, correction, correct_every, source, vacancies)
    source, pinned = _diluted(source, vacancies, pinned, start)
    watch = monitored(monitor, monitor_every, source, vacancies, schedule, trajectory)
    parameters = StepParameters.checked(
        start,
        part_sizes=[part.n_sites for part in source.system.parts],
        dt=1.0 if dt == "auto" else dt,
        damping=damping,
        kT=kT,
        moments=moments,
        gamma=gamma,
        noise=noise,
        seed=seed,
        replicas=replicas,
        pinned=pinned,
        tolerance=tolerance,
        compiled=compiled,
    )
    _require_cold(step, parameters, start)
    if dt == "auto":
        parameters = _with_suggested_step(parameters, source, start, step, accuracy, start_time)
    log = ObservableLog(_observers(observers, source, corrected=correction is not None, watch=watch))
    state = State(vectors(components(normalize(start))), time=float(start_time))
    with torch.no_grad():
        state = begun(running, state, source, parameters)
    log.observe(state)
    writer = None
    if trajectory is not None:
        writer = new_writer(
            trajectory, source, state, log, schedule, parameters, integrator, running, notes or {}, save_dtype, watch
        )
    return integrate(state, source, parameters, running, schedule, log, writer, progress)


@independent_of_modes
def resume(
    path: str | Path,
    source: FieldSource | None = None,
    *,
    n_steps: int | None = None,
    kT: TemperatureFunction | None = None,
    observers: ObserversOfRun = None,
    correction: FieldSource | None = None,
    monitor: FieldSource | Monitor | None = None,
    progress: bool = True,
) -> Run:
    """Continue the run in a trajectory file from its newest checkpoint, as if it had never stopped.

    With the same source the continued trajectory equals an uninterrupted one bit for bit, noise included, also after
    the writer was killed. What the file holds beyond the checkpoint is computed again.

    Parameters
    ----------
    path : path
        The trajectory file; it is rewritten once and then appended to.
    source : FieldSource, optional
        The source the run was started with; its system and its specification must equal the stored ones. Default:
        rebuilt from the file, learned models with the weights stored in it.
    n_steps : int, optional
        Steps to do from the checkpoint on; default: those that are missing to the run's original end.
    kT : function of time, optional
        Needed where the run was started with a function that is not a `Protocol`; must bear the same name.
    observers : as in `simulate`
        The same names as before.
    correction : FieldSource, optional
        That of the run; default: rebuilt from the file, as the source.
    monitor : FieldSource or Monitor, optional
        The exact source of the run's monitor; default: rebuilt from the file. Its settings are those of the file.
    progress : bool
        Show a progress bar on a terminal.

    Returns
    -------
    Run
        As from `simulate`, observations before the checkpoint included.

    Raises
    ------
    InvalidInput
        If the source, the temperature function or the observers differ from the stored ones or cannot be rebuilt, or
        `n_steps` is negative.
    StoreError
        If the file is missing, damaged or foreign, or another process is writing it.
    """
    if n_steps is not None and n_steps < 0:
        raise InvalidInput(f"n_steps={n_steps} must not be negative")
    with Trajectory(path) as stored:
        source = stored.rebuild_source() if source is None else given_source(source, stored, stored.source)
        settings, state = stored.settings, restored_state(stored)
        step = restored_step(INTEGRATORS[settings["integrator"]], correction, stored)
        watch = restored_monitor(monitor, source, stored)
        named = _observers(observers, source, corrected="correction" in settings, watch=watch)
        log = ObservableLog.restored(named, stored.observable_steps, stored.observable_times, stored.observables)
        parameters = restored_parameters(stored, kT)
    last_step = settings["last_step"] if n_steps is None else state.step + n_steps
    schedule = Schedule(max(last_step, state.step), settings["observe_every"], settings["save_every"])
    writer = TrajectoryWriter.reopen(path, state, log, schedule)
    return integrate(state, source, parameters, step, schedule, log, writer, progress)


def _diluted(
    source: FieldSource, vacancies: ArrayLike | Tensor | None, pinned: ArrayLike | Tensor | None, spins: Tensor
) -> tuple[FieldSource, ArrayLike | Tensor | None]:
    """The source without the moments at `vacancies`, whose spins are pinned besides those that are."""
    if vacancies is None:
        return source, pinned
    diluted = Diluted(source, vacancies)
    vacant = torch.from_numpy(diluted.vacant)
    return diluted, vacant if pinned is None else pinned_mask(pinned, spins).cpu() | vacant


def _correcting(
    step: Step, correction: FieldSource, every: int, source: FieldSource, vacancies: ArrayLike | Tensor | None
) -> CorrectedStep:
    """The step with corrections, whose source is diluted as that of the run."""
    if correction.system.fingerprint != source.system.fingerprint:
        raise InvalidInput(
            f"correction is a source on {correction.system}, the source is on {source.system}; build both on one system"
        )
    return CorrectedStep(step, correction if vacancies is None else Diluted(correction, vacancies), every)


def _observers(
    observers: ObserversOfRun, source: FieldSource, *, corrected: bool, watch: RunningMonitor | None
) -> dict[str, Observer]:
    """Observers by name, the size of the correction and what the monitor finds among them."""
    named = named_observers(resolved_observers(observers, source))
    named |= {CORRECTION: correction_size} if corrected else {}
    return named if watch is None else {**named, **watch.observers()}


def _with_suggested_step(
    parameters: StepParameters, source: FieldSource, spins: Tensor, step: Step, accuracy: float, time: float
) -> StepParameters:
    measured = semi_implicit_step if step is adaptive_step else step
    dt = suggest_timestep(
        source,
        spins,
        damping=_largest(parameters.damping),
        kT=_largest(parameters.temperature(time, spins)),
        moments=parameters.moments,
        gamma=parameters.gamma,
        accuracy=accuracy,
        step=measured,
        time=time,
    )
    return replace(parameters, dt=dt)


def _require_cold(step: Step, parameters: StepParameters, spins: Tensor) -> None:
    if step is adaptive_step and (callable(parameters.kT) or _largest(parameters.temperature(0.0, spins)) > 0):
        raise InvalidInput(f"integrator 'adaptive' needs kT=0, got {parameters.kT}; the others take any temperature")


def _largest(value: float | Tensor) -> float:
    return float(torch.as_tensor(value).max())
