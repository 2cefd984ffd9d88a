"""Zeeman energy in a constant or time-dependent field."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.classical.term import ClassicalTerm
from gnnspin.core.errors import InvalidInput
from gnnspin.systems.system import FloatArray, SpinSystem


class Zeeman(ClassicalTerm, kind="zeeman"):
    """E = -sum_i B_i(t) . S_i with ``B(t) = B + amplitude cos(2 pi frequency t + phase)``, uniform or site by site.

    Parameters
    ----------
    system : SpinSystem
        Where the spins sit.
    B : (3,) or (N, 3), or callable
        Magnetic field times moment, in units of the energy: constant, or a function of the time that returns it. A
        function is named in the specification but cannot be rebuilt from it.
    amplitude : (3,) or (N, 3), optional
        Oscillating part.
    frequency : float
        Oscillations per unit of time.
    phase : float, (3,) or (N, 3)
        Phase in radians, for all components or for each: ``(0, -pi/2, 0)`` rotates a field (b, b, 0) about z.
    device : torch.device or str
        Where the term is computed.
    dtype : torch.dtype
        Precision of the evaluation.

    Raises
    ------
    InvalidInput
        If a field is not three finite numbers or one such vector per site, or a time-dependent field is evaluated
        without a time.
    """

    def __init__(
        self,
        system: SpinSystem,
        B: ArrayLike | Callable[[float], ArrayLike] = (0.0, 0.0, 0.0),
        *,
        amplitude: ArrayLike | None = None,
        frequency: float = 0.0,
        phase: ArrayLike = 0.0,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__(system, device, dtype)
        if not np.isfinite(frequency):
            raise InvalidInput(f"frequency={frequency} must be finite")
        self.frequency = float(frequency)
        self._function = B if callable(B) else None
        constant = None if callable(B) else self._vectors(B, "B")
        self._B = B if constant is None else constant
        self._amplitude = None if amplitude is None else self._vectors(amplitude, "amplitude")
        phases = self._vectors(np.full(3, phase) if np.ndim(phase) == 0 else phase, "phase")
        self._phase = phases.flat[0] if (phases == phases.flat[0]).all() else phases
        self.B = None if constant is None else self._tensor(constant)
        self.amplitude = None if self._amplitude is None else self._tensor(self._amplitude)
        self.phase = self._tensor(phases)

    @property
    def time_dependent(self) -> bool:
        """Whether the field depends on the time."""
        return self._function is not None or self.amplitude is not None

    def _vectors(self, values: Any, name: str) -> FloatArray:
        given = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
        vectors = np.array(given, dtype=np.float64)
        n_sites = self.system.n_sites
        if vectors.shape not in ((3,), (n_sites, 3)) or not np.isfinite(vectors).all():
            given = vectors.tolist() if vectors.size <= 6 else f"array of shape {vectors.shape}"
            raise InvalidInput(f"{name}={given} must be three finite numbers, or ({n_sites}, 3), one vector per site")
        return vectors

    def applied(self, time: float | None = None) -> Tensor:
        """Field B(t), shape (3,) where it is uniform, else (N, 3)."""
        if self.time_dependent and time is None:
            raise InvalidInput("the Zeeman field depends on the time; give time=, as in field(spins, time=0.0)")
        if self._function is not None:
            static = self._tensor(self._vectors(self._function(float(time)), "B(t)"))  # type: ignore[arg-type]
        else:
            assert self.B is not None
            static = self.B
        if self.amplitude is None:
            return static
        assert time is not None
        return static + self.amplitude * torch.cos(2 * math.pi * self.frequency * time + self.phase)

    def site_energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Energy ``-B_i(t) . S_i`` of every site; see `ClassicalTerm.site_energies`."""
        field = self.applied(time)
        return -(spins @ field) if field.ndim == 1 else -(spins * field).sum(-1)
