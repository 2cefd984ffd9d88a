"""The state of a spin dynamics and the parameters of its equation of motion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import GnnspinError, InvalidInput


class SimulationError(GnnspinError, ArithmeticError):
    """A trajectory left the unit sphere or became NaN; the message names step and site."""


@dataclass(frozen=True)
class State:
    """Spins at one moment.

    Attributes
    ----------
    spins : (..., N, 3)
        Unit spins; leading dimensions are replicas. Any memory layout: the steps keep the components outermost.
    time : float
        Time in 1/(gamma t).
    step : int
        Number of steps since the start; with the seed it fixes the noise of the next step.
    residual : float
        Residual of the fixed-point iteration of the step that led here; 0 after an explicit step.
    """

    spins: Tensor
    time: float = 0.0
    step: int = 0
    residual: float = 0.0


@dataclass(frozen=True)
class StepParameters:
    """Parameters of ``dS/dt = gamma S x (H + eta) - gamma lambda S x (S x H)``.

    Numbers, or tensors that broadcast against ``(..., N)``, the spins' shape without the components: ``(R, 1)`` per
    replica, ``(N,)`` per site, ``(R, N)`` both.

    Attributes
    ----------
    dt : float
        Time step in 1/(gamma t).
    damping : float or tensor
        The dimensionless damping lambda of the canonical (Landau-Lifshitz) form.
    gamma : float
        Gyromagnetic ratio.
    kT : float or tensor
        Temperature in units of the hopping.
    seed : int
        Seed of the thermal noise.
    replicas : sequence of int, optional
        Identity of each replica (row-major over the leading dimensions) for the noise; default ``0 .. R-1``.
    tolerance, max_iterations : float, int
        Largest accepted change of a spin in the last fixed-point iteration, and the number of iterations allowed
        (implicit steps only). Default tolerance: 1e-12 in float64, 1e-6 in float32.
    """

    dt: float
    damping: float | Tensor
    gamma: float = 1.0
    kT: float | Tensor = 0.0
    seed: int = 0
    replicas: tuple[int, ...] | None = None
    tolerance: float | None = None
    max_iterations: int = 100

    @cached_property
    def noise_amplitude(self) -> float | Tensor:
        """Standard deviation ``sqrt(2 lambda kT / (gamma dt))`` of each noise component; exactly 0.0 without noise."""
        variance = 2 * self.damping * self.kT / (self.gamma * self.dt)
        if not isinstance(variance, Tensor):
            return math.sqrt(variance)
        return variance.sqrt() if bool((variance > 0).any()) else 0.0

    @classmethod
    def checked(
        cls,
        spins: Tensor,
        *,
        dt: float,
        damping: float | ArrayLike | Tensor,
        gamma: float = 1.0,
        kT: float | ArrayLike | Tensor = 0.0,
        seed: int = 0,
        replicas: Sequence[int] | None = None,
    ) -> StepParameters:
        """Parameters for the given spins, checked; arrays have the replicas' dimensions, or one more for the sites.

        Raises
        ------
        InvalidInput
            If `dt` or `gamma` is not positive, `damping` or `kT` is negative or of the wrong shape, the seed is not an
            unsigned 64-bit number, or `replicas` are not distinct or not as many as the spins have.
        """
        for name, value in (("dt", dt), ("gamma", gamma)):
            if not (math.isfinite(value) and value > 0):
                raise InvalidInput(f"{name}={value} must be positive")
        if not 0 <= seed < 2**64:
            raise InvalidInput(f"seed={seed} must lie in 0 .. 2^64 - 1")
        n_replicas = math.prod(spins.shape[:-2])
        if replicas is not None and (len(replicas) != n_replicas or len(set(replicas)) != n_replicas):
            raise InvalidInput(f"replicas={list(replicas)} must be {n_replicas} distinct numbers, one per replica")
        return cls(
            dt=float(dt),
            damping=_per_site(damping, "damping", spins),
            gamma=float(gamma),
            kT=_per_site(kT, "kT", spins),
            seed=int(seed),
            replicas=None if replicas is None else tuple(int(r) for r in replicas),
        )


def _per_site(value: float | ArrayLike | Tensor, name: str, spins: Tensor) -> float | Tensor:
    """A number, or a tensor that broadcasts against ``spins.shape[:-1]``."""
    tensor = torch.as_tensor(value, dtype=spins.dtype if not isinstance(value, float | int) else torch.float64)
    if not bool((torch.isfinite(tensor) & (tensor >= 0)).all()):
        raise InvalidInput(f"{name}={value!r} must be finite and not negative")
    if tensor.ndim == 0:
        return float(tensor)
    per_replica = tensor.ndim == spins.ndim - 2
    shape = (*tensor.shape, 1) if per_replica else tuple(tensor.shape)
    allowed = len(shape) == spins.ndim - 1 and all(
        given in (1, n) for given, n in zip(shape, spins.shape[:-1], strict=True)
    )
    if not allowed:
        raise InvalidInput(
            f"{name} has shape {tuple(tensor.shape)}; for spins {tuple(spins.shape)} give a number, "
            f"{tuple(spins.shape[:-2])} per replica or {tuple(spins.shape[:-1])} per site (a length may be 1)"
        )
    return tensor.reshape(shape).to(spins.device)
