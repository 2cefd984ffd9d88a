"""The loop every simulation runs through: steps, observations, output, and a stop that loses nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnspin.core.source import FieldSource
from gnnspin.core.state import State
from gnnspin.dynamics.guard import GuardedStep
from gnnspin.dynamics.parameters import StepParameters
from gnnspin.dynamics.steps import Step
from gnnspin.dynamics.timestep import TurnMonitor
from gnnspin.runs import Progress, interruptible
from gnnspin.trajectories.observers import ObservableLog
from gnnspin.trajectories.schedule import Schedule
from gnnspin.trajectories.writer import TrajectoryWriter


@dataclass(frozen=True, repr=False)
class Run:
    """Result of `simulate`: final state, observables and trajectory file.

    Attributes
    ----------
    state : State
        The last state: ``state.spins`` (..., N, 3), ``state.time``, ``state.step``.
    times : (T,) array
        Times of the observations.
    steps : (T,) array
        Steps of the observations.
    observables : dict of (T, ...) arrays
        What each observer returned, stacked.
    path : Path or None
        The trajectory file.
    spin_updates_per_second : float
        Sites times replicas times steps per second of wall time, output included.
    interrupted : bool
        True if the run was stopped before its last step, by Ctrl-C or by an observer.
    stop_reason : str or None
        Why an observer stopped it, such as a monitor that finds the field wrong.
    """

    state: State
    times: NDArray[np.float64]
    steps: NDArray[np.int64]
    observables: dict[str, NDArray[Any]]
    path: Path | None
    spin_updates_per_second: float
    interrupted: bool
    stop_reason: str | None = None

    def __repr__(self) -> str:
        return (
            f"Run(spins {tuple(self.spins.shape)} at step {self.state.step}, time {self.state.time:g}; "
            f"{len(self.times)} observations of {', '.join(self.observables) or 'nothing'}; trajectory {self.path})"
        )

    @property
    def spins(self) -> Tensor:
        """Final spins (..., N, 3)."""
        return self.state.spins


def integrate(
    state: State,
    source: FieldSource,
    parameters: StepParameters,
    step: Step,
    schedule: Schedule,
    log: ObservableLog,
    writer: TrajectoryWriter | None,
    progress: bool,
) -> Run:
    """Advance `state` to the schedule's last step, observing and storing what is due, the given state included."""
    interrupted, monitor = False, TurnMonitor(parameters)
    spins, guarded = math.prod(state.spins.shape[:-1]), GuardedStep(step, source, parameters, state)
    bar = Progress("steps", schedule.last_step - state.step, unit="spin updates", per_piece=spins, show=progress)
    try:
        with torch.no_grad(), interruptible() as stop, bar:
            _record(state, schedule, log, writer, guarded)
            while state.step < schedule.last_step and not stop.requested and log.stop_reason is None:
                before, state = state, guarded.advance(state)
                monitor.check(before, state)
                bar.advance()
                _record(state, schedule, log, writer, guarded)
            guarded.confirm(state)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        if writer is not None:
            writer.close(guarded.good(state), log)
    return Run(
        state=state,
        times=np.array(log.times),
        steps=np.array(log.steps, dtype=np.int64),
        observables=log.stacked(),
        path=None if writer is None else writer.path,
        spin_updates_per_second=bar.rate,
        interrupted=interrupted or state.step < schedule.last_step,
        stop_reason=log.stop_reason,
    )


def _record(
    state: State, schedule: Schedule, log: ObservableLog, writer: TrajectoryWriter | None, guarded: GuardedStep
) -> None:
    """Observe and store what is due; nothing of a state that is not finite."""
    observing = bool(log.observers) and schedule.observes(state.step)
    storing = writer is not None and (schedule.saves(state.step) or writer.overdue())
    if observing or storing:
        guarded.confirm(state)
    if observing:
        log.observe(state)
    if writer is not None and storing:
        writer.write(state, log, frame=schedule.saves(state.step))
