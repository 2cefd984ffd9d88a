"""Temperatures that change with time: quench, ramp, anneal, or a table."""

from __future__ import annotations

import math
from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from gnnspin.core.described import Described, renewed_specification
from gnnspin.core.errors import InvalidInput
from gnnspin.core.plain import plain

#: A temperature as a function of time: a number, or an array with a shape that `simulate` takes for kT.
TemperatureFunction: TypeAlias = Callable[[float], Any]


@dataclass(frozen=True)
class Protocol(Described, family="temperature protocol", group="gnnspin.temperature_protocols"):
    """A temperature kT(t) that a trajectory file can store; a pure function of time, so that restarts are exact.

    A subclass with a kind can be named in configurations: ``kT: {kind: ramp, start: 0.1, end: 0.0, duration: 100}``.
    """

    @abstractmethod
    def __call__(self, time: float) -> float:
        """Temperature at `time`, in units of the hopping."""


@dataclass(frozen=True)
class Quench(Protocol, kind="quench"):
    """kT = `before` until `time`, `after` from then on.

    Parameters
    ----------
    before : float
        Temperature before `time`.
    after : float
        Temperature from `time` on.
    time : float
        When the temperature changes.

    Raises
    ------
    InvalidInput
        If a temperature is negative or not finite.
    """

    before: float
    after: float
    time: float = 0.0

    def __post_init__(self) -> None:
        _require_temperatures(before=self.before, after=self.after)

    def __call__(self, time: float) -> float:
        return self.before if time < self.time else self.after


@dataclass(frozen=True)
class Ramp(Protocol, kind="ramp"):
    """kT goes linearly from `start` to `end` between the times `begin` and `begin + duration`; constant outside.

    Parameters
    ----------
    start : float
        First temperature.
    end : float
        Last temperature.
    duration : float
        Time that the change takes.
    begin : float
        Time at which it begins.

    Raises
    ------
    InvalidInput
        If a temperature is negative or not finite, or `duration` is not positive.
    """

    start: float
    end: float
    duration: float
    begin: float = 0.0

    def __post_init__(self) -> None:
        _require_temperatures(start=self.start, end=self.end)
        _require_duration(self.duration)

    def __call__(self, time: float) -> float:
        return self.start + (self.end - self.start) * _progress(time, self.begin, self.duration)


@dataclass(frozen=True)
class Anneal(Protocol, kind="anneal"):
    """kT goes exponentially, ``start (end / start)^x`` with x from 0 to 1; times as for `Ramp`.

    Parameters
    ----------
    start : float
        First temperature.
    end : float
        Last temperature.
    duration : float
        Time that the change takes.
    begin : float
        Time at which it begins.

    Raises
    ------
    InvalidInput
        If a temperature is not positive and finite, or `duration` is not positive.
    """

    start: float
    end: float
    duration: float
    begin: float = 0.0

    def __post_init__(self) -> None:
        _require_temperatures(start=self.start, end=self.end)
        _require_duration(self.duration)
        if self.start == 0 or self.end == 0:
            raise InvalidInput(f"start={self.start} and end={self.end} must be positive; Ramp goes to zero")

    def __call__(self, time: float) -> float:
        return self.start * (self.end / self.start) ** _progress(time, self.begin, self.duration)


@dataclass(frozen=True)
class Table(Protocol, kind="table"):
    """kT interpolated linearly between `values` at ascending `times`; constant outside.

    Parameters
    ----------
    times : sequence of float
        Times, ascending.
    values : sequence of float
        Temperatures at these times.

    Raises
    ------
    InvalidInput
        If the lengths differ, the times do not ascend, or a temperature is negative or not finite.
    """

    times: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "times", tuple(float(time) for time in self.times))
        object.__setattr__(self, "values", tuple(float(value) for value in self.values))
        if len(self.times) != len(self.values) or not self.times:
            raise InvalidInput(f"a table needs as many values as times, got {len(self.values)} and {len(self.times)}")
        if any(later <= earlier for earlier, later in zip(self.times, self.times[1:], strict=False)):
            raise InvalidInput(f"times={self.times} must ascend")
        _require_temperatures(**{f"values[{k}]": value for k, value in enumerate(self.values)})

    def __call__(self, time: float) -> float:
        k = bisect_right(self.times, time)
        if k in (0, len(self.times)):
            return self.values[max(0, k - 1)]
        step = Ramp(self.values[k - 1], self.values[k], self.times[k] - self.times[k - 1], self.times[k - 1])
        return step(time)


def protocol_from(specification: dict[str, Any]) -> Protocol:
    """The protocol that `describe_temperature` describes.

    Raises
    ------
    InvalidInput
        If it is unknown: the temperature was an ordinary function, which no file can hold.
    """
    renewed = renewed_specification(specification)
    if "kind" not in renewed:
        name = renewed.get("function", renewed.get("class"))
        raise InvalidInput(f"the temperature is the function {name!r}, which is not stored; give it as kT=")
    return Protocol.from_specification(renewed)


def describe_temperature(kT: TemperatureFunction) -> dict[str, Any]:
    """Specification of a protocol; of any other function its name alone."""
    return plain(kT)


def same_temperature(given: TemperatureFunction, stored: dict[str, Any]) -> bool:
    """Whether a temperature function has the stored description; other functions than protocols go by their name."""
    name = f"function {getattr(given, '__qualname__', type(given).__qualname__)}"
    return describe_temperature(given) == renewed_specification(stored) or stored.get("class") == name


def _progress(time: float, begin: float, duration: float) -> float:
    return min(1.0, max(0.0, (time - begin) / duration))


def _require_temperatures(**values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value >= 0):
            raise InvalidInput(f"{name}={value} must be a finite temperature, zero or positive")


def _require_duration(duration: float) -> None:
    if not (math.isfinite(duration) and duration > 0):
        raise InvalidInput(f"duration={duration} must be positive; Quench changes the temperature at once")
