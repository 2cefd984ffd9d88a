"""The states that the intended runs visit under the present source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gnnspin.core.errors import SimulationError
from gnnspin.core.source import FieldSource, SumSource
from gnnspin.dynamics import simulate
from gnnspin.labels.plan import derived_seed
from gnnspin.learning.config import IntendedRun
from gnnspin.runs import Progress, interruptible, replaced
from gnnspin.systems import SpinSystem

#: Times of a run at which its states are looked at, logarithmic in time.
N_TIMES = 36

#: Stretches of time for which errors are told apart: early, middle and late.
STRETCHES = 3


@dataclass(frozen=True)
class Visits:
    """States of one run.

    Attributes
    ----------
    times : (T,) float64
        In 1/(gamma t), ascending.
    spins : (T, R, N, 3) float32
        Of R replicas; sites of several packings are one after the other.
    """

    times: NDArray[np.float64]
    spins: NDArray[np.float32]

    def stretch(self, index: int) -> int:
        """Stretch of time, 0 for the earliest, that the time `index` belongs to."""
        return index * STRETCHES // len(self.times)

    def write(self, path: Path) -> None:
        """Write the states to a file, whole or not at all."""
        with replaced(path) as new, new.open("wb") as file:
            np.savez(file, times=self.times, spins=self.spins)

    @classmethod
    def read(cls, path: Path) -> Visits:
        """Read what `write` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            return cls(stored["times"], stored["spins"])


def visited(
    run: IntendedRun,
    system: SpinSystem,
    source: FieldSource,
    dt: float,
    *,
    replicas: int,
    seed: int,
    until: float | None = None,
    progress: bool = True,
) -> Visits:
    """Drive replicas of a run and keep their states at times that grow geometrically.

    Where the fields of a poor model lead to numbers that are not finite, what was visited before is kept.

    Parameters
    ----------
    run : IntendedRun
    system : SpinSystem
    source : FieldSource
        The present model, or the exact solver; terms of the run are added.
    dt : float
    replicas : int
    seed : int
        Of initial spins and noise.
    until : float, optional
        Stop at this time; default: the whole duration.
    progress : bool

    Raises
    ------
    KeyboardInterrupt
        On Ctrl-C.
    SimulationError
        If not even the first state was reached.
    """
    initial = run.initial.model_copy(update={"replicas": replicas, "seed": derived_seed(seed, run.initial.seed)})
    spins = initial.build(system, torch.float64).reshape(replicas, system.n_sites, 3)
    driver = SumSource([source, *(term.build(system) for term in run.terms)]) if run.terms else source
    steps = frame_steps(run.duration if until is None else min(until, run.duration), run.duration, dt)
    times, states, step = [0.0], [spins], 0
    with interruptible() as stop, Progress("run", len(steps), unit="states", show=progress) as bar:
        for following in steps:
            try:
                spins = _moved(run, driver, spins, dt, following - step, derived_seed(seed, 1, step), step * dt)
            except SimulationError:
                if len(states) == 1:
                    raise
                break
            bar.advance()
            step = following
            times.append(step * dt)
            states.append(spins)
            stop.raise_if_requested()
    return Visits(np.array(times), torch.stack(states).to(torch.float32).numpy())


def _moved(
    run: IntendedRun, driver: FieldSource, spins: torch.Tensor, dt: float, n_steps: int, seed: int, start: float
) -> torch.Tensor:
    settings: dict[str, Any] = {"damping": run.damping, "kT": run.temperature(), "integrator": run.integrator}
    moved = simulate(
        driver, spins, dt=dt, n_steps=n_steps, seed=seed, start_time=start, observe_every=n_steps, progress=False,
        **settings,
    )  # fmt: skip
    if moved.interrupted:
        raise KeyboardInterrupt
    return moved.spins


def frame_steps(until: float, duration: float, dt: float) -> Sequence[int]:
    """Steps at which states are kept: a geometric sequence from a three hundredth of the duration on, to `until`."""
    last = max(1, round(until / dt))
    times = np.geomspace(max(1.0, duration / (300 * dt)), max(1.0, duration / dt), N_TIMES)
    steps = np.unique(np.round(times).astype(int))
    kept = [int(step) for step in steps if step < last]
    return [*kept, last]
