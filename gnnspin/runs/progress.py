"""The one progress bar: what is done, rate, time so far and time left; silent where there is no terminal."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Display

_REFRESH_SECONDS = 0.2


class Progress:
    """Context manager; `advance` once per piece of work. A bar inside another one is shown below it.

    Parameters
    ----------
    label : str
        What is done, such as "labels".
    total : int
        Pieces of work in all.
    done : int
        Pieces that an earlier run has done.
    unit : str
        What the rate counts, such as "spin updates"; default: the label.
    per_piece : int
        How many of these one piece of work is.
    show : bool
        Show a bar, if standard error is a terminal.
    """

    def __init__(
        self, label: str, total: int, *, done: int = 0, unit: str | None = None, per_piece: int = 1, show: bool = True
    ) -> None:
        self._label, self._total, self._before = label, total, done
        self._unit, self._per_piece, self._show = label if unit is None else unit, per_piece, show
        self._advanced = 0
        self._note = ""
        self._display: Display | None = None
        self._start = self._shown = time.perf_counter()

    def __enter__(self) -> Progress:
        self._start = self._shown = time.perf_counter()
        if self._show:
            self._display = _displays.open()
            self._task = self._display.add_task(
                self._label, total=self._total, completed=self._before, rate="", note=""
            )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._display is not None:
            self._update()
            _displays.close(self._task)
            self._display = None

    def advance(self, note: str | None = None) -> None:
        """Count one piece of work; `note`, the latest losses for instance, is shown behind the bar."""
        self._advanced += 1
        self._note = self._note if note is None else note
        if time.perf_counter() - self._shown > _REFRESH_SECONDS:
            self._update()

    @property
    def rate(self) -> float:
        """Units per second of wall time since the block began."""
        return self._advanced * self._per_piece / max(time.perf_counter() - self._start, 1e-9)

    def _update(self) -> None:
        self._shown = time.perf_counter()
        if self._display is not None:
            self._display.update(
                self._task,
                completed=self._before + self._advanced,
                rate=f"{self.rate:.3g} {self._unit}/s",
                note=self._note,
            )


class _Displays:
    """The terminal's one display, which all open bars share: the innermost bars leave it first."""

    def __init__(self) -> None:
        self._display: Display | None = None
        self._open = 0

    def open(self) -> Display:
        if self._display is None:
            console = Console(stderr=True)
            self._display = Display(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=console,
                disable=not console.is_terminal,
            )
            self._display.start()
        self._open += 1
        return self._display

    def close(self, task: object) -> None:
        assert self._display is not None
        self._open -= 1
        if self._open == 0:
            self._display.stop()
            self._display = None
        else:
            self._display.remove_task(task)  # type: ignore[arg-type]


_displays = _Displays()
