"""How long a time step may be: a suggestion from the field, and a warning when spins turn too far in one step."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import ConvergenceError, InvalidInput
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import as_spins, normalize, torque
from gnnspin.core.state import State
from gnnspin.dynamics.parameters import StepParameters, checked_moments, per_site
from gnnspin.dynamics.steps import Step, semi_implicit_step

#: Largest root-mean-square turn of the spins in one step, in radians, without a warning.
LARGEST_TURN = 0.5

#: Turn of the fastest motion in the longest step that is suggested.
_LONGEST_TURN = 0.4

_ITERATIONS = 8
_ROUNDS = 20


class TimeStepWarning(UserWarning):
    """The time step is too long for the fields or the noise."""


@independent_of_modes
def suggest_timestep(
    source: FieldSource,
    spins: Tensor | ArrayLike,
    *,
    damping: float | ArrayLike | Tensor = 0.0,
    kT: float | ArrayLike | Tensor = 0.0,
    moments: float | ArrayLike | Tensor = 1.0,
    gamma: float = 1.0,
    accuracy: float = 0.01,
    duration: float | None = None,
    step: Step = semi_implicit_step,
    tolerance: float | None = None,
    time: float = 0.0,
) -> float:
    """Longest time step with which the spins are right to `accuracy` radians after `duration`.

    The error of one step is measured: two steps of dt / 2 end elsewhere than one step of dt, by three quarters of the
    error of a second-order step. Errors of the steps in `duration` are added up, so that the whole grows as dt^2.

    Whatever the accuracy, the fastest motion about `spins` turns by at most 0.4 radians per step,
    ``dt <= 0.4 / (gamma sqrt((1 + lambda^2) omega^2 + (lambda kT)^2))``: omega is the larger of the root-mean-square
    torque and the highest frequency of small deviations, found by power iteration on the change of the torque with the
    spins. A large field along the spins, which turns nothing, does not shorten the step. With noise a trajectory is one
    of many, and `accuracy` refers to its drift alone.

    Parameters
    ----------
    source : FieldSource
    spins : (..., N, 3)
        Typical unit spins: the initial ones, or better ones from the course of the run. Random spins move fastest.
    damping, kT, moments, gamma : as for `simulate`
    accuracy : float
        Accepted root-mean-square angle, in radians, between the spins and those of the exact equation of motion.
    duration : float, optional
        Time after which it is meant, in 1/(gamma t); default the time in which the spins, at their present speed, turn
        by one radian (root mean square).
    step : step function
        One of `INTEGRATORS`; of order two.
    tolerance : float, optional
        Without a measurement: the step turns the fastest motion by ``sqrt(tolerance)`` radians, as `suggest_timestep`
        of Sunny.jl does (Dahlbom et al., J. Open Source Softw. 10, 8138, 2025, doi:10.21105/joss.08138).
    time : float
        Time at which fields that depend on it, such as a pulse, are looked at, in 1/(gamma t).

    Returns
    -------
    float
        Time step in 1/(gamma t).

    Raises
    ------
    InvalidInput
        If a number is not positive, or nothing moves: no torque, no response and no noise.
    """
    start = normalize(as_spins(spins, source.system.n_sites).detach())
    for name, value in (("accuracy", accuracy), ("duration", duration), ("tolerance", tolerance), ("gamma", gamma)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InvalidInput(f"{name}={value} must be positive")
    of_sites = per_site(damping, "damping", start)
    largest_damping = float(torch.as_tensor(of_sites).max())
    largest_kT = float(torch.as_tensor(per_site(kT, "kT", start)).max())
    drift = math.sqrt(1 + largest_damping**2)
    mu = checked_moments(moments, start)
    diffusion = largest_damping * largest_kT / float(torch.as_tensor(mu).min())
    rate = gamma * math.hypot(drift * fastest_rate(source, start, mu, time), diffusion)
    if not (math.isfinite(rate) and rate > 0):
        raise InvalidInput(f"the rate of motion is {rate}: neither torque, response nor noise moves these spins")
    if tolerance is not None:
        return math.sqrt(tolerance) / rate
    longest = _LONGEST_TURN / rate
    if duration is None:
        speed = gamma * drift * _rms(_turning(source, start, mu, time))
        if speed == 0:
            return longest
        duration = 1 / speed
    parameters = StepParameters(dt=longest, damping=of_sites, moments=mu, gamma=gamma)
    return _accurate_step(source, State(start, time), parameters, step, accuracy / duration)


def _accurate_step(
    source: FieldSource, start: State, parameters: StepParameters, step: Step, error_per_time: float
) -> float:
    """The longest step up to ``parameters.dt`` with that error per unit of time, found by its growth as dt^2."""
    longest = dt = parameters.dt
    for _ in range(_ROUNDS):
        try:
            measured = _step_error(source, start, replace(parameters, dt=dt), step) / dt
        except ConvergenceError:
            longest = dt = dt / 2
            continue
        factor = math.sqrt(error_per_time / measured) if measured > 0 else math.inf
        proposed = min(longest, dt * min(2.0, factor))
        if abs(proposed - dt) < 0.05 * dt:
            return proposed
        dt = proposed
    return dt


def _step_error(source: FieldSource, start: State, parameters: StepParameters, step: Step) -> float:
    """Root-mean-square angle between one step and the exact motion, from two steps of half the length."""
    whole = step(start, source, parameters).spins
    half = replace(parameters, dt=parameters.dt / 2)
    halves = step(step(start, source, half), source, half).spins
    return 4 / 3 * _rms(whole - halves)


def _rms(vectors: Tensor) -> float:
    """Root mean square length over the sites, of the replica where it is largest."""
    return float(vectors.square().sum(-1).mean(-1).sqrt().max())


def _turning(source: FieldSource, spins: Tensor, moments: float | Tensor, time: float) -> Tensor:
    """Torques over moments ``S_i x H_i / mu_i``, (..., N, 3)."""
    return torque(spins, source.field(spins, time)) / (moments[..., None] if isinstance(moments, Tensor) else moments)


@independent_of_modes
def fastest_rate(source: FieldSource, spins: Tensor, moments: float | Tensor = 1.0, time: float = 0.0) -> float:
    """The larger of the root-mean-square torque and the highest frequency of small deviations from unit `spins`.

    Torques are per `moments`, a number or one per site, at `time`.

    Nine field evaluations; the frequency is found to some per cent from below.
    """
    size = 1e-2 if torch.float32 in (spins.dtype, source.dtype) else 1e-4
    at_rest = _turning(source, spins, moments, time)
    generator = torch.Generator().manual_seed(0)
    deviation = torque(spins, torch.randn(spins.shape, generator=generator).to(spins))
    rates = [_rms(at_rest)]
    for _ in range(_ITERATIONS):
        length = deviation.square().sum(-1).mean(-1).sqrt()[..., None, None]
        if not bool((length > 0).all()):
            break
        displaced = normalize(spins + deviation * (size / length))
        deviation = (_turning(source, displaced, moments, time) - at_rest) / size
        rates.append(_rms(deviation))
    return max(rates[0], *rates[-2:])


class TurnMonitor:
    """Warns once when the spins turn too far in one step; looks at the steps 1, 2, 4, 8, ... of a run.

    The adaptive step watches itself and is left alone.
    """

    def __init__(self, parameters: StepParameters) -> None:
        self._parameters = parameters
        self._steps = 0
        self._warned = parameters.pinned is not None and bool(parameters.pinned.all())

    def check(self, before: State, after: State) -> None:
        """Compare two consecutive states."""
        self._steps += 1
        if self._warned or after.substep or self._steps & (self._steps - 1):
            return
        parameters = self._parameters
        amplitude = parameters.noise_amplitude(before.time, before.spins)
        kick = 2 * torch.as_tensor(amplitude * parameters.scale).square().mean()
        turned = (after.spins - before.spins).square().sum(-1).mean()
        if float(turned) > LARGEST_TURN**2 + 10 * float(kick) or float(kick) > 1.0:
            self._warned = True
            warnings.warn(
                f"step {after.step} turned the spins by {float(turned) ** 0.5:.2f} radians (root mean square), "
                f"{float(kick) ** 0.5:.2f} of it expected from the noise; dt={parameters.dt} is too long, "
                "gnnspin.dynamics.suggest_timestep proposes one",
                TimeStepWarning,
                stacklevel=4,
            )
