"""Parallel tempering: replicas at a ladder of temperatures exchange configurations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.noise import thermal_noise
from gnnspin.core.numbers import whole_at_least
from gnnspin.core.spins import random_spins
from gnnspin.sampling.sampler import Sampler, SamplerState, restored_fields, stored_fields

#: The swaps draw from their own key, so that they are independent of the sampler's numbers.
_SWAP_KEY = 0x5357415000000000


@dataclass(frozen=True)
class TemperingState:
    """Configurations on the temperature ladder; with the sampler it fixes everything that follows.

    Attributes
    ----------
    spins : (..., T, N, 3)
        Spins at each temperature; further leading dimensions are independent copies of the ladder.
    step : int
        Number of sweeps, each followed by an attempt to swap.
    accepted : (..., T) tensor
        Accepted single-spin moves at each temperature, in sweeps.
    walker : (..., T) int64 tensor
        Which of the initial configurations sits at each temperature.
    swapped, attempted : (..., T - 1) tensors
        Accepted and attempted swaps between neighbouring temperatures.
    direction : (..., T) int64 tensor
        Per walker: 1 if it last touched the lowest temperature, -1 the highest, 0 neither.
    round_trips : (..., T) tensor
        Per walker: ways from the lowest temperature to the highest and back.
    """

    spins: Tensor
    step: int
    accepted: Tensor
    walker: Tensor
    swapped: Tensor
    attempted: Tensor
    direction: Tensor
    round_trips: Tensor

    @property
    def time(self) -> float:
        """Number of sweeps, for observers that ask for a time."""
        return float(self.step)

    @property
    def acceptance(self) -> Tensor:
        """Share of single-spin moves accepted at each temperature (..., T)."""
        return self.accepted / max(1, self.step)

    @property
    def swap_rates(self) -> Tensor:
        """Share of attempted swaps that were accepted (..., T - 1)."""
        return self.swapped / self.attempted.clamp_min(1)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All data as named arrays, as in `SamplerState.arrays`."""
        return stored_fields(self)

    @classmethod
    def from_arrays(cls, arrays: Any) -> TemperingState:
        """Rebuild a state from what `arrays` gave, or from the opened npz file."""
        return cls(**restored_fields(cls, arrays))


class ParallelTempering:
    """Parallel tempering (replica exchange) over any sampler.

    After each sweep neighbouring temperatures k, k + 1 (k even after even sweeps, odd after odd ones) exchange their
    configurations with the probability ``min(1, exp[(1/kT_k - 1/kT_k+1) (E_k - E_k+1)])``. Swaps are functions of the
    seed alone. Hukushima and Nemoto, J. Phys. Soc. Jpn. 65, 1604 (1996), doi:10.1143/JPSJ.65.1604; alternating pairs:
    Okabe et al., Chem. Phys. Lett. 335, 435 (2001), doi:10.1016/S0009-2614(01)00055-0.

    Parameters
    ----------
    sampler : Sampler
        Gives source, seed and sweeps; its temperatures are replaced.
    kT : (T,)
        Temperatures, ascending, at least two.
    swap_every : int
        Sweeps between attempts.

    Raises
    ------
    InvalidInput
        If the temperatures are not ascending, `swap_every` is not positive, or the source's system is a union.
    NoEnergyError
        If the source has no energy.

    Examples
    --------
    >>> from gnnspin.classical import Heisenberg
    >>> from gnnspin.sampling.sampler import sample
    >>> from gnnspin.sampling.updates import HeatBath
    >>> from gnnspin.systems import square
    >>> ladder = ParallelTempering(HeatBath(Heisenberg(square(4, 4)), kT=1.0), kT=[0.5, 0.7, 1.0])
    >>> run = sample(ladder, ladder.random_start(seed=1), n_sweeps=4)
    >>> run.state.swap_rates.shape
    torch.Size([2])
    """

    def __init__(self, sampler: Sampler, kT: ArrayLike, *, swap_every: int = 1) -> None:
        ladder = np.asarray(kT, dtype=np.float64)
        if ladder.ndim != 1 or len(ladder) < 2 or not (np.diff(ladder) > 0).all():
            raise InvalidInput(f"kT={kT!r} must be at least two temperatures in ascending order")
        if sampler.source.system.n_graphs > 1:
            raise InvalidInput("parallel tempering needs one system; a union's parts would swap together")
        sampler.source._require_energy()
        self.sampler = sampler.at(ladder)
        self.swap_every = whole_at_least(swap_every, 1, "swap_every")

    @property
    def kT(self) -> Tensor:
        """Temperatures (T,), ascending."""
        return self.sampler.kT

    def random_start(self, *, copies: Sequence[int] = (), seed: int = 0) -> TemperingState:
        """State of random spins, shape ``(*copies, T, N, 3)``."""
        shape = (*copies, len(self.kT))
        return self.start(random_spins(self.sampler.source.system.n_sites, replicas=shape, seed=seed))

    def start(self, spins: Tensor | ArrayLike) -> TemperingState:
        """State before the first sweep, from spins (..., T, N, 3); InvalidInput if they do not fit."""
        first = self.sampler.start(spins)
        rungs, device = first.spins.shape[:-2], first.spins.device
        counts = torch.zeros(*rungs[:-1], rungs[-1] - 1, dtype=torch.float64, device=device)
        walker = torch.arange(rungs[-1], device=device).expand(rungs).clone()
        none = torch.zeros_like(walker)
        return TemperingState(
            first.spins, 0, first.accepted, walker, counts, counts.clone(), none, none.to(torch.float64)
        )

    def sweep(self, state: TemperingState) -> TemperingState:
        """One sweep at every temperature, then swaps between every other pair of neighbours."""
        moved = self.sampler.sweep(SamplerState(state.spins, state.step, state.accepted))
        spins, walker, swapped, attempted = moved.spins, state.walker, state.swapped, state.attempted
        if moved.step % self.swap_every == 0:
            number = moved.step // self.swap_every - 1
            accept = self._swaps(spins, number)
            order = _exchanged(accept)
            spins = torch.take_along_dim(spins, order[..., None, None], dim=-3)
            walker = torch.take_along_dim(walker, order, dim=-1)
            tried = torch.zeros_like(attempted)
            tried[..., number % 2 :: 2] = 1
            swapped, attempted = swapped + accept, attempted + tried
        direction, trips = _round_trips(walker, state.direction, state.round_trips)
        return TemperingState(spins, moved.step, moved.accepted, walker, swapped, attempted, direction, trips)

    def _swaps(self, spins: Tensor, number: int) -> Tensor:
        """Which pairs (..., T - 1) exchange at attempt `number`."""
        energy = self.sampler.source.energy(spins)
        beta = 1 / self.kT.to(energy.device)
        logarithm = (beta[:-1] - beta[1:]) * (energy[..., :-1] - energy[..., 1:])
        shape = logarithm.shape
        key = self.sampler.seed ^ _SWAP_KEY
        normals = thermal_noise(key, range(math.prod(shape[:-1])), number, shape[-1], device=energy.device)
        logarithm_of_uniform = -0.5 * normals[..., :2].square().sum(-1).reshape(shape)
        accept = logarithm_of_uniform < logarithm
        accept[..., (number + 1) % 2 :: 2] = False
        return accept


def _exchanged(accept: Tensor) -> Tensor:
    """Which rung (..., T) each rung takes its configuration from."""
    rungs = accept.shape[-1] + 1
    order = torch.arange(rungs, device=accept.device).expand(*accept.shape[:-1], rungs).clone()
    order[..., :-1] += accept.long()
    order[..., 1:] -= accept.long()
    return order


def _round_trips(walker: Tensor, direction: Tensor, trips: Tensor) -> tuple[Tensor, Tensor]:
    """Update each walker's direction; a trip ends when one that came from the top reaches the bottom."""
    bottom, top = walker[..., :1], walker[..., -1:]
    ended = torch.take_along_dim(direction, bottom, -1) == -1
    trips = trips.scatter_add(-1, bottom, ended.to(trips.dtype))
    came_up = torch.take_along_dim(direction, top, -1) != 0
    direction = direction.scatter(-1, bottom, 1)
    return direction.scatter(-1, top, torch.where(came_up, -1, 0)), trips
