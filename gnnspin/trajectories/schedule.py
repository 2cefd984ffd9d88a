"""When a run observes, stores and ends."""

from __future__ import annotations

from dataclasses import dataclass

from gnnspin.core.errors import InvalidInput
from gnnspin.core.numbers import whole_number


@dataclass(frozen=True)
class Schedule:
    """Last step, steps between observations and steps between stored frames; step 0 is observed and stored.

    Raises
    ------
    InvalidInput
        If a number is not whole, `last_step` is negative or a period is smaller than 1.
    """

    last_step: int
    observe_every: int
    save_every: int

    def __post_init__(self) -> None:
        for name, value in (
            ("n_steps", self.last_step),
            ("observe_every", self.observe_every),
            ("save_every", self.save_every),
        ):
            object.__setattr__(self, {"n_steps": "last_step"}.get(name, name), whole_number(value, name))
        if self.last_step < 0:
            raise InvalidInput(f"n_steps={self.last_step} must not be negative")
        if self.observe_every < 1 or self.save_every < 1:
            raise InvalidInput(
                f"observe_every={self.observe_every} and save_every={self.save_every} must be at least 1"
            )

    @classmethod
    def of(cls, n_steps: int, observe_every: int, save_every: int | None) -> Schedule:
        """Schedule with the default of a hundred stored frames per run."""
        n_steps = whole_number(n_steps, "n_steps")
        return cls(n_steps, observe_every, max(1, n_steps // 100) if save_every is None else save_every)

    def observes(self, step: int) -> bool:
        """Whether `step` is observed."""
        return step % self.observe_every == 0

    def saves(self, step: int) -> bool:
        """Whether `step` is stored as a frame."""
        return step % self.save_every == 0
