"""Base of all samplers: states, temperatures, random numbers and the loop."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.noise import thermal_noise
from gnnspin.core.numbers import seed_number, whole_at_least, whole_number
from gnnspin.core.placed import Placed
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import as_spins, normalize
from gnnspin.dynamics.algebra import components, vectors
from gnnspin.trajectories.observers import ObservableLog, Observers, named_observers

#: Numbers of the noise stream: one sweep may draw this many times.
_STREAMS = 4


@dataclass(frozen=True)
class SamplerState:
    """Spins after a number of sweeps; with the sampler it fixes everything that follows.

    Attributes
    ----------
    spins : (..., N, 3)
        Unit spins; leading dimensions are replicas.
    step : int
        Number of sweeps since the start.
    accepted : (...) tensor
        Accepted single-spin moves since the start, in sweeps: ``accepted / step`` is the acceptance rate.
    """

    spins: Tensor
    step: int
    accepted: Tensor

    @property
    def time(self) -> float:
        """Number of sweeps, for observers that ask for a time."""
        return float(self.step)

    @property
    def acceptance(self) -> Tensor:
        """Share of proposed moves that were accepted (...); 1 for a heat bath."""
        return self.accepted / max(1, self.step)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All data as named arrays, ``numpy.savez(path, **state.arrays())``; `from_arrays` is the inverse."""
        return stored_fields(self)

    @classmethod
    def from_arrays(cls, arrays: Any) -> SamplerState:
        """Rebuild a state from what `arrays` gave, or from the opened npz file."""
        return cls(**restored_fields(cls, arrays))


class Sampler(ABC):
    """Base of the samplers: checks, temperatures and random numbers; a subclass writes `sweep`.

    Parameters
    ----------
    source : FieldSource
    kT : float or array
        Temperature, positive; an array has one value per replica and must broadcast against the spins' leading
        dimensions.
    seed : int
        Key of the random numbers.
    replicas : sequence of int, optional
        Identity of each replica in the random numbers; default ``0 .. R-1``.

    Raises
    ------
    InvalidInput
        If `kT` is not positive and finite, or `seed` or one of `replicas` is no whole number.
    """

    def __init__(
        self, source: FieldSource, kT: float | ArrayLike, *, seed: int = 0, replicas: Sequence[int] | None = None
    ) -> None:
        self.source = source
        self.kT = checked_temperatures(kT)
        self.seed = seed_number(seed)
        self._placed: list[Placed] | None = None
        self.replicas = None if replicas is None else [whole_number(each, "replicas") for each in replicas]

    def start(self, spins: Tensor | ArrayLike) -> SamplerState:
        """State before the first sweep; InvalidInput if spins or temperatures do not fit."""
        given = normalize(as_spins(spins, self.source.system.n_sites).detach())
        shape = given.shape[:-2]
        try:
            fits = torch.broadcast_shapes(self.kT.shape, shape) == shape
        except RuntimeError:
            fits = False
        if not fits:
            raise InvalidInput(f"kT has shape {tuple(self.kT.shape)}, which does not fit replicas of shape {shape}")
        if self.replicas is not None and len(self.replicas) != math.prod(shape):
            raise InvalidInput(f"replicas={list(self.replicas)} must be {math.prod(shape)} numbers, one per replica")
        return SamplerState(given, 0, torch.zeros(shape, dtype=torch.float64, device=given.device))

    @abstractmethod
    def sweep(self, state: SamplerState) -> SamplerState:
        """Update every spin of every replica once."""

    def at(self, kT: float | ArrayLike) -> Sampler:
        """The same sampler at other temperatures."""
        other = copy(self)
        other.kT = checked_temperatures(kT)
        return other

    def _groups(self, groups: list[Tensor], device: torch.device) -> list[Tensor]:
        """Groups of sites on a device, copied to it once."""
        if self._placed is None:
            self._placed = [Placed(sites) for sites in groups]
        return [sites.on(device) for sites in self._placed]

    def _noise(self, state: SamplerState, stream: int) -> Tensor:
        """Standard normals (3, ..., N) of this sweep, component-first."""
        shape = state.spins.shape
        ids = self.replicas if self.replicas is not None else range(math.prod(shape[:-2]))
        step = state.step * _STREAMS + stream
        noise = thermal_noise(self.seed, ids, step, shape[-2], dtype=state.spins.dtype, device=state.spins.device)
        return components(noise).reshape(3, *shape[:-1])

    def _temperatures(self, state: SamplerState) -> Tensor:
        """Temperatures (..., 1), to be broadcast over the sites."""
        return self.kT.to(state.spins.device, state.spins.dtype)[..., None]

    def _field(self, planes: Tensor) -> Tensor:
        return components(self.source.unchecked_field(vectors(planes)))


@dataclass(frozen=True)
class SampleRun:
    """Result of `sample`: final state and observables.

    Attributes
    ----------
    state : SamplerState
        The last state; give it to `sample` to continue.
    steps : (T,) array
        Sweeps at which was observed.
    observables : dict of (T, ...) arrays
        What each observer returned, stacked.
    """

    state: Any
    steps: NDArray[np.int64]
    observables: dict[str, NDArray[Any]]

    @property
    def spins(self) -> Tensor:
        """Final spins (..., N, 3)."""
        return self.state.spins


@independent_of_modes
def sample(
    sampler: Any, start: Any, *, n_sweeps: int, observers: Observers = None, observe_every: int = 1
) -> SampleRun:
    """Do `n_sweeps` sweeps, observing after every `observe_every`-th.

    Parameters
    ----------
    sampler : Sampler or ParallelTempering
    start : (..., N, 3) spins, or a state to continue from
    n_sweeps : int
    observers : callables of the state, as a list or a dict by name
    observe_every : int
        The state that is given is not observed.

    Examples
    --------
    >>> from gnnspin.classical import Heisenberg
    >>> from gnnspin.core import random_spins
    >>> from gnnspin.sampling.updates import HeatBath
    >>> from gnnspin.systems import square
    >>> bath = HeatBath(Heisenberg(square(4, 4)), kT=0.5)
    >>> run = sample(bath, random_spins(16, seed=0), n_sweeps=5, observers={"m": lambda s: s.spins.mean(-2)})
    >>> run.observables["m"].shape
    (5, 3)
    """
    n_sweeps = whole_at_least(n_sweeps, 0, "n_sweeps")
    observe_every = whole_at_least(observe_every, 1, "observe_every")
    state = start if hasattr(start, "step") else sampler.start(start)
    log = ObservableLog(named_observers(observers))
    for _ in range(n_sweeps):
        state = sampler.sweep(state)
        if state.step % observe_every == 0:
            log.observe(state)
    return SampleRun(state, np.array(log.steps, dtype=np.int64), log.stacked())


def checked_temperatures(kT: float | ArrayLike) -> Tensor:
    """`kT` as a float64 tensor; InvalidInput unless positive and finite."""
    tensor = torch.as_tensor(kT, dtype=torch.float64)
    if not bool((torch.isfinite(tensor) & (tensor > 0)).all()):
        raise InvalidInput(f"kT={kT!r} must be positive and finite; use minimize() at zero temperature")
    return tensor


def stored_fields(state: Any) -> dict[str, NDArray[Any]]:
    """Every field of a state as an array."""
    values = {field.name: getattr(state, field.name) for field in fields(state)}
    return {name: np.asarray(v.cpu() if isinstance(v, Tensor) else v) for name, v in values.items()}


def restored_fields(kind: Any, arrays: Any) -> dict[str, Any]:
    """Inverse of `stored_fields`: tensors, and the step as an int."""
    names = [field.name for field in fields(kind)]
    return {n: int(arrays[n]) if n == "step" else torch.from_numpy(np.array(arrays[n])) for n in names}
