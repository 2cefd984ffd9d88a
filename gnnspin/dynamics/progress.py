"""Progress bar of a simulation: spin updates per second and remaining time; silent when not on a terminal."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_REFRESH_SECONDS = 0.2


class StepProgress:
    """Context manager; `advance` once per step."""

    def __init__(self, n_steps: int, spins_per_step: int, *, show: bool) -> None:
        console = Console(stderr=True)
        self.spins_per_step = spins_per_step
        self.steps = 0
        self._bar = Progress(
            TextColumn("steps"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not (show and console.is_terminal),
        )
        self._task = self._bar.add_task("steps", total=n_steps, rate="")

    def __enter__(self) -> StepProgress:
        self._start = self._shown = time.perf_counter()
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._update()
        self._bar.stop()

    def advance(self) -> None:
        """Count one step."""
        self.steps += 1
        if time.perf_counter() - self._shown > _REFRESH_SECONDS:
            self._update()

    @property
    def spin_updates_per_second(self) -> float:
        """Spin updates per second of wall time so far."""
        return self.steps * self.spins_per_step / max(time.perf_counter() - self._start, 1e-9)

    def _update(self) -> None:
        self._shown = time.perf_counter()
        self._bar.update(self._task, completed=self.steps, rate=f"{self.spin_updates_per_second:.3g} spin updates/s")
