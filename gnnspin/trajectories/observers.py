"""Observers: callables of the state, whose results are collected and stacked unless they are None."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from gnnspin.core.errors import InvalidInput
from gnnspin.core.state import State

Observer: TypeAlias = Callable[[State], Any]
Observers: TypeAlias = Sequence[Observer] | Mapping[Any, Observer] | None

_RESERVED = ("step", "time")


class StopRun(Exception):
    """Raised by an observer that wants the run to end in good order after the step it looks at.

    Parameters
    ----------
    reason : str
        Told to the user; see `gnnspin.dynamics.Run`.
    value : number, array or tensor, optional
        What the observer returns for this step.
    """

    def __init__(self, reason: str, value: Any = None) -> None:
        super().__init__(reason)
        self.value = value


def named_observers(observers: Observers) -> dict[str, Observer]:
    """Observers by name; in a list a function goes by its own name, a lambda by ``observable_<position>``.

    Raises
    ------
    InvalidInput
        If an observer is not callable, or a name is empty, taken, or contains a slash.
    """
    if observers is None:
        return {}
    items = list(observers.items()) if isinstance(observers, Mapping) else _names(observers)
    named = dict(items)
    if len(named) < len(items):
        raise InvalidInput(f"observer names {[name for name, _ in items]} repeat; give a dict of name -> callable")
    for name, observer in items:
        if not callable(observer):
            raise InvalidInput(f"observer {name!r} is {observer!r}; expected a callable of the state")
        if not name or "/" in name or name in _RESERVED:
            raise InvalidInput(f"observer name {name!r} must be non-empty, without '/', and not one of {_RESERVED}")
    return named


def _names(observers: Sequence[Observer]) -> list[tuple[str, Observer]]:
    def name(position: int, observer: Observer) -> str:
        own = getattr(observer, "__name__", "<none>")
        return f"observable_{position}" if own.startswith("<") else own

    return [(name(position, observer), observer) for position, observer in enumerate(observers)]


class ObservableLog:
    """Collected observations: one row per observed step, every observable of a fixed shape."""

    def __init__(self, observers: dict[str, Observer]) -> None:
        self.observers = observers
        self.steps: list[int] = []
        self.times: list[float] = []
        self.rows: dict[str, list[NDArray[Any]]] = {name: [] for name in observers}
        self._callbacks: set[str] = set()
        self._continued = False
        #: Why an observer wants the run to end.
        self.stop_reason: str | None = None

    def __len__(self) -> int:
        return len(self.steps)

    @classmethod
    def restored(
        cls,
        observers: dict[str, Observer],
        steps: NDArray[np.int64],
        times: NDArray[np.float64],
        rows: dict[str, NDArray[Any]],
    ) -> ObservableLog:
        """A log that holds stored rows.

        Raises
        ------
        InvalidInput
            If an observer of the rows is missing; one that the rows do not know may only be a callback.
        """
        if not set(rows) <= set(observers):
            raise InvalidInput(
                f"observers {sorted(observers)} are not those of the stored run, {sorted(rows)}; give those of the run "
                "again, observers=..., as its file holds their values and not what they are"
            )
        log = cls(observers)
        log.steps, log.times = [int(step) for step in steps], [float(time) for time in times]
        log.rows = {name: list(rows[name]) for name in observers if name in rows}
        log._callbacks, log._continued = set(observers) - set(rows), True
        return log

    def observe(self, state: State) -> None:
        """Append one row, unless this step has one; if an observer raises, nothing of the row is kept.

        An observer that returns None at its first call is a callback: it is called at every observed step, and nothing
        of it is kept.

        Raises
        ------
        InvalidInput
            If a value is not numeric or changed its shape, or an observer returns None now and then.
        """
        if not self.observers or (self.steps and self.steps[-1] >= state.step):
            return
        values = {name: self._called(observer, state) for name, observer in self.observers.items()}
        if not self.steps and not self._continued:
            self._callbacks = {name for name, value in values.items() if value is None}
            self.rows = {name: [] for name in values if name not in self._callbacks}
        row = {name: self._value(name, value, state) for name, value in values.items()}
        for name in self.rows:
            self.rows[name].append(row[name])
        self.steps.append(state.step)
        self.times.append(state.time)

    def _called(self, observer: Observer, state: State) -> Any:
        """Value of an observer, returned or left behind when it asks for the end of the run."""
        try:
            return observer(state)
        except StopRun as stop:
            self.stop_reason = str(stop)
            return stop.value

    def _value(self, name: str, value: Any, state: State) -> NDArray[Any]:
        if (value is None) is not (name in self._callbacks):
            raise InvalidInput(
                f"observer {name!r} returned {'nothing' if value is None else 'a value'} at step {state.step}, but not "
                "so before; an observer returns numbers at every step, or nothing at any"
            )
        if value is None:
            return np.empty(0)
        array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        if array.dtype.kind not in "biufc":
            raise InvalidInput(f"observer {name!r} returned {type(value).__name__}; expected numbers or an array")
        if self.rows[name] and self.rows[name][0].shape != array.shape:
            raise InvalidInput(
                f"observer {name!r} returned shape {array.shape} at step {state.step}, before "
                f"{self.rows[name][0].shape}; an observable must keep its shape"
            )
        return np.array(array)  # a copy: the observer may reuse its memory

    def stacked(self, start: int = 0) -> dict[str, NDArray[Any]]:
        """Observables from row `start` on, each ``(T, ...)``."""
        return {name: np.array(rows[start:]) for name, rows in self.rows.items()}
