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
from gnnspin.systems.system import SpinSystem


class Zeeman(ClassicalTerm):
    """E = -sum_i B(t) . S_i with ``B(t) = B + amplitude cos(2 pi frequency t + phase)``; the field is B(t) everywhere.

    Parameters
    ----------
    system : SpinSystem
        Where the spins sit.
    B : (3,) or callable
        Magnetic field times moment, in units of the energy: constant, or a function of the time that returns (3,).
        A function is named in the specification but cannot be rebuilt from it.
    amplitude : (3,), optional
        Oscillating part.
    frequency : float
        Oscillations per unit of time.
    phase : float or (3,)
        Phase in radians, for all components or for each: ``(0, -pi/2, 0)`` rotates a field (b, b, 0) about z.
    device : torch.device or str
        Where the term is computed, in float64.

    Raises
    ------
    InvalidInput
        If a vector is not three finite numbers, or a time-dependent field is evaluated without a time.
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
    ) -> None:
        super().__init__(system, device)
        self._function = B if callable(B) else None
        self.B = None if callable(B) else self._vector(B, "B")
        self.amplitude = None if amplitude is None else self._vector(amplitude, "amplitude")
        self.frequency = float(frequency)
        self.phase = self._vector(np.broadcast_to(np.asarray(phase, dtype=np.float64), (3,)), "phase")
        if not np.isfinite(frequency):
            raise InvalidInput(f"frequency={frequency} must be finite")

    @property
    def time_dependent(self) -> bool:
        """Whether the field depends on the time."""
        return self._function is not None or self.amplitude is not None

    def _vector(self, values: Any, name: str) -> Tensor:
        vector = torch.as_tensor(np.array(values, dtype=np.float64), device=self.device)
        if vector.shape != (3,) or not bool(vector.isfinite().all()):
            raise InvalidInput(f"{name}={vector.tolist()} must be three finite numbers")
        return vector

    def applied(self, time: float | None = None) -> Tensor:
        """B(t), shape (3,)."""
        if self.time_dependent and time is None:
            raise InvalidInput("the Zeeman field depends on the time; give time=, as in field(spins, time=0.0)")
        static = self._vector(self._function(float(time)), "B(t)") if self._function else self.B  # type: ignore[arg-type]
        assert static is not None
        if self.amplitude is None:
            return static
        assert time is not None
        return static + self.amplitude * torch.cos(2 * math.pi * self.frequency * time + self.phase)

    def site_energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        """See `ClassicalTerm.site_energies`."""
        return -(spins @ self.applied(time))

    def specification(self) -> dict[str, Any]:
        """See `FieldSource.specification`."""
        described: dict[str, Any] = {"class": type(self).__name__}
        if self._function is not None:
            name = getattr(self._function, "__qualname__", type(self._function).__qualname__)
            described["B"] = f"{getattr(self._function, '__module__', '')}.{name}"
        elif self.B is not None:
            described["B"] = self.B.tolist()
        if self.amplitude is not None:
            described["amplitude"] = self.amplitude.tolist()
            described |= {"frequency": self.frequency, "phase": self.phase.tolist()}
        return {**described, "system": self.system.fingerprint}
