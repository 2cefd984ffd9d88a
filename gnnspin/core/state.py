"""The state of a spin dynamics."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


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
        Residual of the fixed-point iteration, or largest error estimate of the adaptive step, of the step that led
        here; 0 after other steps.
    substep : float
        Length that the adaptive step will try next; 0 if it has not run.
    """

    spins: Tensor
    time: float = 0.0
    step: int = 0
    residual: float = 0.0
    substep: float = 0.0
