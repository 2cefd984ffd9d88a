"""Parameters of the equation of motion, checked against the spins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.dilution import site_mask
from gnnspin.core.errors import InvalidInput
from gnnspin.core.numbers import seed_number
from gnnspin.dynamics.guard import FiniteSum
from gnnspin.dynamics.protocols import TemperatureFunction

#: Parameters that may differ from site to site.
PER_SITE = ("damping", "kT", "moments", "pinned")

#: Where the noise enters: the precession term alone, or both terms.
NoiseTerms: TypeAlias = Literal["precession", "both"]


@dataclass(frozen=True)
class StepParameters:
    """Parameters of ``dS/dt = gamma/mu S x (H + eta) - gamma/mu lambda S x (S x H)``.

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
    kT : float, tensor or function of time
        Temperature in units of the hopping. A function, for instance a `Protocol`, is evaluated at the middle of every
        step.
    moments : float or tensor
        Magnetic moments mu in units of that to which gamma belongs: spins turn ``1/mu`` times as fast under the same H.
    noise : "precession" or "both"
        Terms the noise enters: the precession alone (canonical), or precession and damping, with a variance divided by
        ``1 + lambda^2``. Averages are the same.
    seed : int
        Seed of the thermal noise.
    replicas : sequence of int, optional
        Identity of each replica (row-major over the leading dimensions) for the noise; default ``0 .. R-1``. With
        `part_sizes` one identity per replica and part, the parts innermost.
    part_sizes : sequence of int, optional
        Sizes of the parts of a union of systems; each part then has the noise of a replica of its own.
    pinned : tensor of bool, optional
        True where a spin stays as it is.
    tolerance, max_iterations : float, int
        Implicit steps: largest accepted change of a spin in the last fixed-point iteration, and the number of
        iterations allowed; default tolerance 1e-12 in float64, 1e-6 in float32. Adaptive step: largest accepted error
        of a spin per substep, default 1e-7, in float32 1e-5.
    compiled : bool
        Run the arithmetic of the steps and of the noise through `torch.compile`.
    guard : FiniteSum, optional
        What takes the results of the steps to look later whether they are finite; default: each step looks at once.
    """

    dt: float
    damping: float | Tensor
    gamma: float = 1.0
    kT: float | Tensor | TemperatureFunction = 0.0
    moments: float | Tensor = 1.0
    noise: NoiseTerms = "precession"
    seed: int = 0
    replicas: tuple[int, ...] | None = None
    part_sizes: tuple[int, ...] | None = None
    pinned: Tensor | None = None
    tolerance: float | None = None
    max_iterations: int = 100
    compiled: bool = False
    guard: FiniteSum | None = None

    def stored(self) -> dict[str, Any]:
        """JSON-able values of everything but what may differ from site to site."""
        names = [field.name for field in fields(self) if field.name not in (*PER_SITE, "part_sizes", "guard")]
        return {name: getattr(self, name) for name in names}

    @cached_property
    def scale(self) -> float | Tensor:
        """``gamma dt / mu``, the angle by which a unit of field turns a spin in one step; a number, or one per site."""
        return self.gamma * self.dt / self.moments

    def temperature(self, time: float, spins: Tensor) -> float | Tensor:
        """Temperature at `time`, a number or a tensor that broadcasts against ``spins.shape[:-1]``."""
        return per_site(self.kT(time), "kT", spins) if callable(self.kT) else self.kT

    def noise_amplitude(self, time: float, spins: Tensor) -> float | Tensor:
        """Standard deviation of each noise component in the step that begins at `time`; exactly 0.0 without noise.

        ``sqrt(2 lambda kT mu / (gamma dt))``, divided by ``sqrt(1 + lambda^2)`` with noise in both terms: in tesla, as
        ``eta / mu``, the variance falls as 1/mu, and every moment has the same temperature.
        """
        if not callable(self.kT):
            return self._constant_amplitude
        given = self.kT(time + 0.5 * self.dt)
        hot = self._damped and bool((torch.as_tensor(given) > 0).any())  # before it goes to the device
        return _root(self._variance(per_site(given, "kT", spins))) if hot else 0.0

    @cached_property
    def _constant_amplitude(self) -> float | Tensor:
        """The amplitude at a temperature that does not depend on time: looked at once, not at every step."""
        variance = self._variance(self.kT)  # type: ignore[arg-type]
        return _root(variance) if bool((torch.as_tensor(variance) > 0).any()) else 0.0

    @cached_property
    def _damped(self) -> bool:
        return bool((torch.as_tensor(self.damping) > 0).any())

    def _variance(self, kT: float | Tensor) -> float | Tensor:
        variance = 2 * self.damping * kT * self.moments / (self.gamma * self.dt)
        if self.noise == "both":
            variance = variance / (1 + self.damping**2)
        return variance

    @classmethod
    def checked(cls, spins: Tensor, *, part_sizes: Sequence[int] | None = None, **options: Any) -> StepParameters:
        """Parameters for the given spins from options as `simulate` takes them.

        Parameters
        ----------
        spins : (..., N, 3)
        part_sizes : sequence of int, optional
            Sizes of the parts of a union of systems.
        **options
            Attributes by name. Arrays have the replicas' dimensions, or one more for the sites.

        Raises
        ------
        InvalidInput
            If `dt`, `gamma` or `tolerance` is not one positive number, `damping` or `kT` is negative or of the wrong
            shape, `moments` are not positive or of the wrong shape, `noise` is unknown, the seed is not an unsigned
            64-bit number, `replicas` are not distinct or not as many as the spins have, or `pinned` is neither boolean
            nor site numbers, or of the wrong shape.
        """
        given = cls(**options)
        given.check()
        sizes = None if part_sizes is None or len(part_sizes) == 1 else tuple(int(size) for size in part_sizes)
        parameters = replace(
            given,
            dt=float(given.dt),
            damping=per_site(given.damping, "damping", spins),
            gamma=float(given.gamma),
            kT=given.kT if callable(given.kT) else per_site(given.kT, "kT", spins),
            moments=checked_moments(given.moments, spins),
            seed=seed_number(given.seed),
            replicas=_identities(given.replicas, math.prod(spins.shape[:-2]), 1 if sizes is None else len(sizes)),
            part_sizes=sizes,
            pinned=None if given.pinned is None else pinned_mask(given.pinned, spins),
            compiled=bool(given.compiled),
        )
        parameters.temperature(0.0, spins)
        return parameters

    def check(self) -> None:
        """Raise InvalidInput unless the numbers that every spin shares are in range; see `checked`."""
        tolerance = 1.0 if self.tolerance is None else self.tolerance
        for name, value in (("dt", self.dt), ("gamma", self.gamma), ("tolerance", tolerance)):
            if np.ndim(value) or isinstance(value, bool | str):
                remedy = "; moments of different size are given as moments=" if name == "gamma" else ""
                raise InvalidInput(f"{name} of shape {np.shape(value)} must be one positive number{remedy}")
            if not (math.isfinite(value) and value > 0):
                raise InvalidInput(f"{name}={value} must be positive")
        seed_number(self.seed)
        moments = torch.as_tensor(self.moments, dtype=torch.float64)
        if not bool((torch.isfinite(moments) & (moments > 0)).all()):
            raise InvalidInput(f"moments={self.moments} must be finite and positive; a site without one is vacant")
        if self.noise not in ("precession", "both"):
            raise InvalidInput(f"noise={self.noise!r} must be 'precession' or 'both'")


def _root(value: float | Tensor) -> float | Tensor:
    return value.sqrt() if isinstance(value, Tensor) else math.sqrt(value)


def per_part(system: Any, values: ArrayLike) -> Tensor:
    """Damping or temperature per part of a union as one per site.

    Parameters
    ----------
    system : SpinSystem
        A union of P systems.
    values : (P,) or (..., P)
        One value per part, with the replicas' dimensions in front if the spins have any (a length may be 1).

    Returns
    -------
    (N,) or (..., N) float64 tensor

    Raises
    ------
    InvalidInput
        If the last dimension is not the number of parts.
    """
    tensor = torch.as_tensor(values, dtype=torch.float64)
    if tensor.ndim == 0 or tensor.shape[-1] != system.n_graphs:
        raise InvalidInput(f"values have shape {tuple(tensor.shape)}; the union has {system.n_graphs} parts")
    return tensor[..., torch.as_tensor(system.graph_index)]


def _identities(replicas: Sequence[int] | None, n_replicas: int, n_parts: int) -> tuple[int, ...] | None:
    if replicas is None:
        return None
    needed = n_replicas * n_parts
    if len(replicas) != needed or len(set(replicas)) != needed:
        each = "one per replica" + (" and part of the union" if n_parts > 1 else "")
        raise InvalidInput(f"replicas={list(replicas)} must be {needed} distinct numbers, {each}")
    return tuple(int(r) for r in replicas)


def pinned_mask(pinned: ArrayLike | Tensor, spins: Tensor) -> Tensor:
    """Mask that broadcasts against ``spins.shape[:-1]``; (N,) booleans, or site numbers, hold for all replicas."""
    given = torch.as_tensor(pinned)
    if given.ndim == 1 and not given.is_floating_point() and given.dtype != torch.bool:
        given = torch.from_numpy(site_mask(given, spins.shape[-2], "pinned"))
    mask = given
    allowed = (spins.shape[-2:-1], spins.shape[:-1])
    if mask.dtype != torch.bool or mask.shape not in allowed:
        raise InvalidInput(
            f"pinned is {mask.dtype} of shape {tuple(mask.shape)}; give booleans, {tuple(allowed[0])} for all replicas "
            f"or {tuple(allowed[1])}"
        )
    return mask.to(spins.device)


def checked_moments(moments: float | ArrayLike | Tensor, spins: Tensor) -> float | Tensor:
    """One moment for all spins, or those of all sites: (N,) for all replicas, or (..., N).

    Raises
    ------
    InvalidInput
        If they have another shape.
    """
    tensor = torch.as_tensor(moments, dtype=spins.dtype if np.ndim(moments) else torch.float64)
    if tensor.ndim == 0:
        return float(tensor)
    allowed = (spins.shape[-2:-1], spins.shape[:-1])
    if tensor.shape not in allowed:
        raise InvalidInput(
            f"moments have shape {tuple(tensor.shape)}; give a number, {tuple(allowed[0])} for all replicas or "
            f"{tuple(allowed[1])}"
        )
    return tensor.to(spins.device)


def per_site(value: float | ArrayLike | Tensor, name: str, spins: Tensor) -> float | Tensor:
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
