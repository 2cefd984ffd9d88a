"""Strength of a drive as a function of time: harmonic, a pulse, or sampled values."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from gnnspin.core.described import Described
from gnnspin.core.errors import InvalidInput


@dataclass(frozen=True)
class Waveform(Described, family="waveform", group="gnnspin.waveforms"):
    """A factor f(t) that multiplies the strength of a drive; a pure function of time, so that restarts are exact.

    A subclass with a kind can be named in configurations: ``waveform: {kind: pulse, begin: 10, duration: 50}``.
    """

    @abstractmethod
    def __call__(self, time: float) -> float:
        """Factor at `time`, in 1/(gamma t)."""


@dataclass(frozen=True)
class Harmonic(Waveform, kind="harmonic"):
    """``f(t) = offset + amplitude cos(2 pi frequency t + phase)``.

    Parameters
    ----------
    frequency : float
        Oscillations per unit of time.
    phase : float
        Radians.
    amplitude : float
        Oscillating part.
    offset : float
        Constant part.

    Raises
    ------
    InvalidInput
        If a number is not finite.
    """

    frequency: float
    phase: float = 0.0
    amplitude: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        _require_finite(vars(self))

    def __call__(self, time: float) -> float:
        return self.offset + self.amplitude * math.cos(2 * math.pi * self.frequency * time + self.phase)


@dataclass(frozen=True)
class Pulse(Waveform, kind="pulse"):
    """``f(t) = 1`` from `begin` for a `duration`, 0 outside; it rises and falls linearly within `rise`.

    Parameters
    ----------
    duration : float
        From the beginning of the rise to that of the fall.
    begin : float
        Time at which it begins.
    rise : float
        Time that the rise and the fall take, at most the duration; 0 switches at once.

    Raises
    ------
    InvalidInput
        If a number is not finite, the duration not positive, or the rise negative or longer than the duration.
    """

    duration: float
    begin: float = 0.0
    rise: float = 0.0

    def __post_init__(self) -> None:
        _require_finite(vars(self))
        if not (self.duration > 0 and 0 <= self.rise <= self.duration):
            raise InvalidInput(
                f"duration={self.duration} must be positive, and rise={self.rise} between 0 and the duration"
            )

    def __call__(self, time: float) -> float:
        since = time - self.begin
        if self.rise == 0:
            return float(0 <= since < self.duration)
        return float(np.clip(min(since, self.duration + self.rise - since) / self.rise, 0.0, 1.0))


@dataclass(frozen=True)
class Sampled(Waveform, kind="sampled"):
    """f(t) linear between given times, constant outside.

    Parameters
    ----------
    times : sequence of float
        Ascending.
    values : sequence of float
        Factor at each.

    Raises
    ------
    InvalidInput
        If times do not ascend, the lengths differ, or a number is not finite.
    """

    times: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in ("times", "values"):
            object.__setattr__(self, name, tuple(float(each) for each in getattr(self, name)))
        finite = np.isfinite([*self.times, *self.values]).all()
        if len(self.times) != len(self.values) or not self.times or not finite or (np.diff(self.times) <= 0).any():
            raise InvalidInput(
                f"times={self.times} must ascend, with as many values={self.values}, and all must be finite"
            )

    def __call__(self, time: float) -> float:
        return float(np.interp(time, self.times, self.values))


def strength(waveform: Waveform | None, time: float | None, name: str) -> float:
    """Factor of a drive at `time`; 1 without a waveform.

    Raises
    ------
    InvalidInput
        If there is a waveform and no time.
    """
    if waveform is None:
        return 1.0
    if time is None:
        raise InvalidInput(f"the {name} depends on the time; give time=, as in field(spins, time=0.0)")
    return waveform(float(time))


def _require_finite(values: dict[str, float]) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            raise InvalidInput(f"{name}={value} must be finite")
