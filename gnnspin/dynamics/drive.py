"""What every step shares: the fields and the noise of one step, arithmetic in blocks that fit the cache, guards."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import torch
from torch import Tensor

from gnnspin.core.noise import thermal_noise
from gnnspin.core.source import FieldSource
from gnnspin.dynamics.algebra import components, cross, tangent, vectors
from gnnspin.dynamics.state import SimulationError, State, StepParameters

#: Sites per block on a CPU, per thread: the planes of one block stay in the second-level cache. Compiled arithmetic
#: passes over a block once and takes four times as many.
BLOCK = 16384

#: Arithmetic on the planes of one block, ``stage(noise, damping, scale, both, *planes)``.
Stage: TypeAlias = Callable[..., Tensor]


def rotation(
    noise: Tensor | None, damping: float | Tensor, scale: float | Tensor, both: bool, spins: Tensor, field: Tensor
) -> Tensor:
    """Rotation vector ``dt Omega = gamma dt (H + eta - lambda S x H)`` on the tangent plane of `spins`.

    `scale` is gamma dt; with `both` the damping acts on H + eta.
    """
    total = field if noise is None else field + noise
    result = tangent(total, spins) - damping * cross(spins, total if both else field)
    return result * scale


class Drive:
    """Fields, noise and local arithmetic of one step; all vectors are planes ``(3, ..., N)``.

    Parameters
    ----------
    state, source, parameters
        As a step takes them.
    """

    def __init__(self, state: State, source: FieldSource, parameters: StepParameters) -> None:
        self.state = state
        self.source = source
        self.parameters = parameters
        self.spins = components(state.spins)
        self.noise, self.amplitude = _thermal_field(state, parameters)
        self.scale = parameters.gamma * parameters.dt

    def field(self, spins: Tensor, time: float) -> Tensor:
        """Effective field H at unit `spins`."""
        return components(self.source.unchecked_field(vectors(spins), time))

    def local(self, stage: Stage, *planes: Tensor) -> Tensor:
        """Evaluate `stage`, which works site by site, block by block.

        Raises
        ------
        SimulationError
            If the result is not finite; names step, replica and site, and the last of `planes` as the field if that is
            where it comes from.
        """
        shape, parameters = self.spins.shape, self.parameters
        noise, amplitude, *flat = [
            _flat(value, shape) for value in (self.noise, self.amplitude, parameters.damping, *planes)
        ]
        n = math.prod(shape[1:])
        block = BLOCK * torch.get_num_threads() * (4 if parameters.compiled else 1)
        if self.spins.device.type != "cpu" or n <= block:
            result = self._block(stage, noise, amplitude, flat)
            finite = math.isfinite(float(result.sum()))
        else:
            result, finite = self.spins.new_empty(3, n), True
            for start in range(0, n, block):
                part = [_part(value, start, block) for value in (noise, amplitude, *flat)]
                done = self._block(stage, part[0], part[1], part[2:])
                finite &= math.isfinite(float(done.sum()))
                result[:, start : start + block] = done
        result = result.reshape(shape)
        if not finite:
            check_finite(planes[-1], self.state, "field")
            check_finite(result, self.state, "spin")
        return result

    def _block(self, stage: Stage, noise: Tensor | None, amplitude: float | Tensor, flat: list[Any]) -> Tensor:
        thermal = None if noise is None else noise * amplitude
        damping, scale, both = flat[0], self.scale, self.parameters.noise == "both"
        if not self.parameters.compiled:
            return stage(thermal, damping, scale, both, *flat[1:])
        # numbers as tensors, so that another damping or time step does not compile again
        dtype = self.spins.dtype
        damping = damping if isinstance(damping, Tensor) else torch.tensor(damping, dtype=dtype)
        return _compiled(stage)(thermal, damping, torch.tensor(scale, dtype=dtype), both, *flat[1:])

    def finish(self, spins: Tensor, residual: float = 0.0, substep: float = 0.0) -> State:
        """The state after the step; pinned spins are what they were."""
        if self.parameters.pinned is not None:
            spins = torch.where(self.parameters.pinned, self.spins, spins)
        state = self.state
        return State(vectors(spins), state.time + self.parameters.dt, state.step + 1, residual, substep)


def check_finite(planes: Tensor, state: State, what: str) -> None:
    """Stop at a value that is not finite, naming step, replica and site."""
    if math.isfinite(float(planes.sum())):
        return
    wrong = ~torch.isfinite(planes).all(0)
    if bool(wrong.any()):
        *replica, site = (int(k) for k in wrong.nonzero()[0])
        where = f"site {site}" + (f" of replica {replica}" if replica else "")
        raise SimulationError(f"step {state.step + 1}: the {what} at {where} is not finite")


def _thermal_field(state: State, parameters: StepParameters) -> tuple[Tensor | None, float | Tensor]:
    """Thermal field eta of this step as normals and amplitude; None at zero temperature."""
    amplitude = parameters.noise_amplitude(state.time, state.spins)
    if isinstance(amplitude, float) and amplitude == 0.0:
        return None, amplitude
    shape = state.spins.shape
    n_parts = 1 if parameters.part_sizes is None else len(parameters.part_sizes)
    replicas = parameters.replicas
    noise = thermal_noise(
        parameters.seed,
        range(math.prod(shape[:-2]) * n_parts) if replicas is None else replicas,
        state.step,
        shape[-2],
        dtype=state.spins.dtype,
        device=state.spins.device,
        part_sizes=parameters.part_sizes,
        compiled=parameters.compiled,
    )
    return components(noise).reshape(3, *shape[:-1]), amplitude


def _flat(value: Any, shape: torch.Size) -> Any:
    """Planes as (3, n), values per site as (n,); anything else as it is."""
    if not isinstance(value, Tensor) or value.ndim == 0:
        return value
    return value.flatten(1) if value.ndim == len(shape) else value.expand(shape[1:]).flatten()


def _part(value: Any, start: int, length: int) -> Any:
    return value[..., start : start + length] if isinstance(value, Tensor) and value.ndim else value


@lru_cache(maxsize=64)
def _compiled(stage: Stage) -> Stage:
    return torch.compile(stage)
