"""Fields and noise of one step, arithmetic in blocks that fit the cache, and guards: the parts all steps share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from gnnspin.core.noise import thermal_noise
from gnnspin.core.source import FieldSource
from gnnspin.core.state import State
from gnnspin.dynamics.algebra import Vectors, as_components, components, cross, plus, tangent, vectors
from gnnspin.dynamics.guard import check_finite, is_finite
from gnnspin.dynamics.parameters import StepParameters

#: Sites per block on a CPU, per thread: the planes of one block stay in the second-level cache.
BLOCK = 16384


class Terms(NamedTuple):
    """Noise, damping and time step of one step of the dynamics; each is one number, or one per site.

    Attributes
    ----------
    noise : vectors or None
        Standard normals of this step.
    amplitude : float or (n,)
        Thermal field per unit of `noise`.
    damping : float or (n,)
        lambda.
    scale : float or (n,)
        gamma dt / mu.
    both : bool
        Whether the damping acts on the thermal field as well.
    """

    noise: Any
    amplitude: Any
    damping: Any
    scale: Any
    both: bool

    def total(self, field: Vectors) -> Vectors:
        """``H + eta``."""
        return field if self.noise is None else plus(field, self.amplitude, self.noise)


#: Arithmetic site by site, on planes ``(3, n)`` or on their `Components`.
Stage: TypeAlias = Callable[..., Any]


def velocity(terms: Terms, spins: Vectors, field: Vectors) -> Vectors:
    """``S x Omega / gamma = S x (H + eta) + lambda P H`` at unit `spins`; P projects on the tangent plane."""
    total = terms.total(field)
    damped = tangent(total if terms.both else field, spins)
    return plus(cross(spins, total), terms.damping, damped)


def rotation(terms: Terms, spins: Vectors, field: Vectors) -> Vectors:
    """``Omega / gamma = P (H + eta) - lambda S x H`` at unit `spins`; P projects on the tangent plane."""
    total = terms.total(field)
    return plus(tangent(total, spins), -terms.damping, cross(spins, total if terms.both else field))


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
        self.scale = parameters.scale

    def field(self, spins: Tensor, time: float) -> Tensor:
        """Effective field H at unit `spins`."""
        return components(self.source.unchecked_field(vectors(spins), time))

    def local(self, stage: Stage, *planes: Tensor) -> Tensor:
        """Evaluate `stage`, which works site by site, block by block.

        Raises
        ------
        SimulationError
            If the result is not finite; names step, replica and site, and the last of `planes` as the field if that is
            where it comes from. Where the parameters hold a guard, that looks at the result later instead.
        """
        shape, guard = self.spins.shape, self.parameters.guard
        terms, flat = self._terms(shape), [_flat(value, shape) for value in planes]
        n, finite = math.prod(shape[1:]), True
        if self.parameters.compiled:
            result = _compiled(stage)(_as_tensors(terms, self.spins), *flat)
        elif self.spins.device.type != "cpu" or n <= self._block:
            result = stage(terms, *flat)
        else:
            result = self.spins.new_empty(3, n)
            for start in range(0, n, self._block):
                block = slice(start, start + self._block)
                done = stage(Terms(*[_part(value, block) for value in terms]), *[_part(value, block) for value in flat])
                finite &= is_finite(done)  # while the block is in the cache
                result[:, block] = done
            return self._checked(result.reshape(shape), planes[-1], finite)
        if guard is not None:
            guard.add(result)
            return result.reshape(shape)
        return self._checked(result.reshape(shape), planes[-1], is_finite(result))

    def _checked(self, result: Tensor, field: Tensor, finite: bool) -> Tensor:
        if not finite:
            check_finite(field, self.state, "field")
            check_finite(result, self.state, "spin")
        return result

    @property
    def _block(self) -> int:
        return BLOCK * torch.get_num_threads()

    def _terms(self, shape: torch.Size) -> Terms:
        given = (self.noise, self.amplitude, self.parameters.damping, self.scale)
        noise, amplitude, damping, scale = (_flat(value, shape) for value in given)
        return Terms(noise, amplitude, damping, scale, self.parameters.noise == "both")

    def finish(
        self,
        spins: Tensor,
        residual: float = 0.0,
        substep: float = 0.0,
        memory: Mapping[str, Tensor] | None = None,
    ) -> State:
        """The state after the step; pinned spins are what they were."""
        if self.parameters.pinned is not None:
            spins = torch.where(self.parameters.pinned, self.spins, spins)
        state = self.state
        return State(vectors(spins), state.time + self.parameters.dt, state.step + 1, residual, substep, memory or {})


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


def _part(value: Any, sites: slice) -> Any:
    return value[..., sites] if isinstance(value, Tensor) and value.ndim else value


def _as_tensors(terms: Terms, like: Tensor) -> Terms:
    """Numbers as tensors, so that another temperature, damping or time step does not compile again."""
    amplitude, damping, scale = (
        value if isinstance(value, Tensor) else _number(value, like.dtype, like.device)
        for value in (terms.amplitude, terms.damping, terms.scale)
    )
    return terms._replace(amplitude=amplitude, damping=damping, scale=scale)


@lru_cache(maxsize=64)
def _number(value: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.full((), value, dtype=dtype, device=device)


@lru_cache(maxsize=64)
def _compiled(stage: Stage) -> Stage:
    """`stage` on planes ``(3, n)``, compiled for any n as one loop over the sites."""

    def compiled(terms: Terms, *planes: Tensor) -> Tensor:
        result = stage(terms._replace(noise=as_components(terms.noise)), *map(as_components, planes))
        return torch.stack(result.unbind(0))

    # recompilations are counted per code object: every stage has its own
    compiled.__code__ = compiled.__code__.replace(co_name=f"compiled_{stage.__name__.strip('_')}")
    return torch.compile(compiled, dynamic=True, fullgraph=True)
