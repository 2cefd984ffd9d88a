"""Temperatures that change with time: quench, ramp, anneal, or a table."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from torch import Tensor

from gnnspin.core.errors import InvalidInput

#: A temperature as a function of time: a number, or an array with a shape that `simulate` takes for kT.
TemperatureFunction: TypeAlias = "Callable[[float], float | Tensor | Any]"


@dataclass(frozen=True)
class Protocol(ABC):
    """A temperature kT(t) that a trajectory file can store; a pure function of time, so that restarts are exact."""

    @abstractmethod
    def __call__(self, time: float) -> float:
        """Temperature at `time`, in units of the hopping."""

    def specification(self) -> dict[str, Any]:
        """JSON-able description; `protocol_from` is the inverse."""
        return {"class": type(self).__name__, **asdict(self)}


@dataclass(frozen=True)
class Quench(Protocol):
    """kT = `before` until `time`, `after` from then on.

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
        """See `Protocol`."""
        return self.before if time < self.time else self.after


@dataclass(frozen=True)
class Ramp(Protocol):
    """kT goes linearly from `start` to `end` between the times `begin` and `begin + duration`; constant outside.

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
        """See `Protocol`."""
        return self.start + (self.end - self.start) * _progress(time, self.begin, self.duration)


@dataclass(frozen=True)
class Anneal(Protocol):
    """kT goes exponentially, ``start (end / start)^x`` with x from 0 to 1; times as for `Ramp`.

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
        """See `Protocol`."""
        return self.start * (self.end / self.start) ** _progress(time, self.begin, self.duration)


@dataclass(frozen=True)
class Table(Protocol):
    """kT interpolated linearly between `values` at ascending `times`; constant outside.

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
        """See `Protocol`."""
        k = bisect_right(self.times, time)
        if k in (0, len(self.times)):
            return self.values[max(0, k - 1)]
        step = Ramp(self.values[k - 1], self.values[k], self.times[k] - self.times[k - 1], self.times[k - 1])
        return step(time)


PROTOCOLS: dict[str, type[Protocol]] = {kind.__name__: kind for kind in (Quench, Ramp, Anneal, Table)}


def protocol_from(specification: dict[str, Any]) -> Protocol:
    """The protocol that `Protocol.specification` describes.

    Raises
    ------
    InvalidInput
        If the class is unknown: the temperature was an ordinary function, which no file can hold.
    """
    parameters = dict(specification)
    name = parameters.pop("class")
    if name not in PROTOCOLS:
        raise InvalidInput(f"the temperature is the function {name!r}, which is not stored; give it as kT=")
    return PROTOCOLS[name](**parameters)


def describe_temperature(kT: TemperatureFunction) -> dict[str, Any]:
    """Specification of a protocol; of any other function its name alone."""
    if isinstance(kT, Protocol):
        return kT.specification()
    return {"class": f"function {getattr(kT, '__qualname__', type(kT).__qualname__)}"}


def _progress(time: float, begin: float, duration: float) -> float:
    return min(1.0, max(0.0, (time - begin) / duration))


def _require_temperatures(**values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value >= 0):
            raise InvalidInput(f"{name}={value} must be a finite temperature, zero or positive")


def _require_duration(duration: float) -> None:
    if not (math.isfinite(duration) and duration > 0):
        raise InvalidInput(f"duration={duration} must be positive; Quench changes the temperature at once")
