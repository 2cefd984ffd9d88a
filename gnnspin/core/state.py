"""The state of a spin dynamics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
    memory : mapping of str to (..., N, 3) tensors
        What a step remembers of the steps before it; checkpoints hold it.
    """

    spins: Tensor
    time: float = 0.0
    step: int = 0
    residual: float = 0.0
    substep: float = 0.0
    memory: Mapping[str, Tensor] = field(default_factory=dict)
