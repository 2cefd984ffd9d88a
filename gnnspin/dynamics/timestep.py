"""How long a time step may be: a suggestion from the field, and a warning when spins turn too far in one step."""

from __future__ import annotations

import math
import warnings

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import as_spins, normalize, torque
from gnnspin.core.state import State
from gnnspin.dynamics.parameters import StepParameters, per_site

#: Largest root-mean-square turn of the spins in one step, in radians, without a warning.
LARGEST_TURN = 0.5

_ITERATIONS = 8


class TimeStepWarning(UserWarning):
    """The time step is too long for the fields or the noise."""


def suggest_timestep(
    source: FieldSource,
    spins: Tensor | ArrayLike,
    *,
    damping: float | ArrayLike | Tensor = 0.0,
    kT: float | ArrayLike | Tensor = 0.0,
    gamma: float = 1.0,
    tolerance: float = 0.01,
) -> float:
    """Time step with which the fastest motion about `spins` turns by ``sqrt(tolerance)`` radians per step.

    ::

        dt = sqrt(tolerance) / (gamma sqrt((1 + lambda^2) omega^2 + (lambda kT)^2))

    omega is the larger of the root-mean-square torque and the highest frequency of small deviations from `spins`, found
    by power iteration on the change of the torque with the spins. A large field along the spins, which turns nothing,
    does not shorten the step; its spread over spin waves does. The combination with temperature follows
    `suggest_timestep` of Sunny.jl (Dahlbom et al., J. Open Source Softw. 10, 8138, 2025, doi:10.21105/joss.08138).

    Parameters
    ----------
    source : FieldSource
    spins : (..., N, 3)
        Typical unit spins: the initial ones, or better equilibrated ones.
    damping, kT, gamma : as for `simulate`
    tolerance : float
        Square of the turn per step; the error of a second-order step scales with it.

    Returns
    -------
    float
        Time step in 1/(gamma t).

    Raises
    ------
    InvalidInput
        If nothing moves: no torque, no response and no noise.
    """
    start = normalize(as_spins(spins, source.system.n_sites).detach())
    if not tolerance > 0:
        raise InvalidInput(f"tolerance={tolerance} must be positive")
    largest_damping, largest_kT = (
        float(torch.as_tensor(per_site(value, name, start)).max()) for name, value in (("damping", damping), ("kT", kT))
    )
    drift = math.sqrt(1 + largest_damping**2) * fastest_rate(source, start)
    rate = gamma * math.hypot(drift, largest_damping * largest_kT)
    if not (math.isfinite(rate) and rate > 0):
        raise InvalidInput(f"the rate of motion is {rate}: neither torque, response nor noise moves these spins")
    return math.sqrt(tolerance) / rate


def fastest_rate(source: FieldSource, spins: Tensor) -> float:
    """The larger of the root-mean-square torque and the highest frequency of small deviations from unit `spins`.

    Nine field evaluations; the frequency is found to some per cent from below.
    """
    size = 1e-2 if torch.float32 in (spins.dtype, source.dtype) else 1e-4
    at_rest = torque(spins, source.field(spins))
    generator = torch.Generator().manual_seed(0)
    deviation = torque(spins, torch.randn(spins.shape, generator=generator).to(spins))
    rates = [float(at_rest.square().sum(-1).mean(-1).sqrt().max())]
    for _ in range(_ITERATIONS):
        length = deviation.square().sum(-1).mean(-1).sqrt()[..., None, None]
        if not bool((length > 0).all()):
            break
        displaced = normalize(spins + deviation * (size / length))
        deviation = (torque(displaced, source.field(displaced)) - at_rest) / size
        rates.append(float(deviation.square().sum(-1).mean(-1).sqrt().max()))
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
        kick = torch.as_tensor(amplitude).square().mean() * 2 * (parameters.gamma * parameters.dt) ** 2
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
