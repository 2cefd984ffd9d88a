"""Guards against values that are not finite: at every step on a CPU, every few steps on a device."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gnnspin.core.errors import SimulationError
from gnnspin.core.source import FieldSource
from gnnspin.core.state import State

if TYPE_CHECKING:
    from gnnspin.dynamics.parameters import StepParameters
    from gnnspin.dynamics.steps import Step

#: Steps after which a run on a device has noticed a value that is not finite, at the latest.
CHECK_EVERY = 32


class FiniteSum:
    """Sum of all that the arithmetic of some steps gave, kept on the device: finite as long as every value is."""

    def __init__(self) -> None:
        self._total: Tensor | None = None

    def add(self, planes: Tensor) -> None:
        """Add all values of a result."""
        self._total = planes.sum() if self._total is None else self._total + planes.sum()

    def take(self) -> Tensor | None:
        """The sum since it was taken last, None if nothing was added."""
        total, self._total = self._total, None
        return total


class GuardedStep:
    """A step for the loop of a run, with the newest state that is known to be finite.

    On a CPU every step looks at its own results. On a device that would make the host wait twice or thrice in every
    step; there the results are added up, and the sum is fetched, without waiting, every half of `CHECK_EVERY` steps.
    Where it is not finite the steps are done again one by one from the last good state, with the guards of a CPU: the
    error is the same, and so is the state that is left.

    Parameters
    ----------
    step : step function
    source : FieldSource
    parameters : StepParameters
    state : State
        The first state.
    """

    def __init__(self, step: Step, source: FieldSource, parameters: StepParameters, state: State) -> None:
        self._step, self._source, self._parameters = step, source, parameters
        self._sum = FiniteSum() if state.spins.device.type != "cpu" else None
        self._deferring = replace(parameters, guard=self._sum)
        self._good = state
        self._sent: tuple[State, Tensor, Any] | None = None

    def advance(self, state: State) -> State:
        """The next state.

        Raises
        ------
        SimulationError
            If a field or spin of a step up to this one was not finite; names step and site.
        """
        if self._sum is None:
            self._good = self._step(state, self._source, self._parameters)
            return self._good
        try:
            after = self._step(state, self._source, self._deferring)
        except Exception:
            self._repeat(state.step + 1)  # whatever failed may have failed at values that are not finite
            raise
        if after.step % (CHECK_EVERY // 2) == 0:
            self._receive()
            self._send(after)
        return after

    def confirm(self, state: State) -> None:
        """Wait until all steps up to `state` are known to be finite; SimulationError if one is not."""
        if self._sum is not None and self._good is not state:
            self._receive()
            self._send(state)
            self._receive()

    def good(self, state: State) -> State:
        """`state` itself if it is finite, else the last state that is."""
        try:
            self.confirm(state)
        except SimulationError:
            return self._good
        return state

    def _send(self, state: State) -> None:
        """Begin to fetch the sum of the steps up to `state`."""
        assert self._sum is not None
        total = self._sum.take()
        if total is None:
            self._good = state
            return
        streams = total.device.type == "cuda"
        self._sent = state, total.to("cpu", non_blocking=streams), _event(total.device) if streams else None

    def _receive(self) -> None:
        """Look at the sum that was sent for."""
        if self._sent is None:
            return
        (state, total, event), self._sent = self._sent, None
        if event is not None:
            event.synchronize()
        if not math.isfinite(float(total)):
            self._repeat(state.step)
            check_finite(state.spins.movedim(-1, 0), replace(state, step=state.step - 1), "spin")
        self._good = state

    def _repeat(self, last: int) -> None:
        """Do the steps after the last good state again, each with its guards."""
        while self._good.step < last:
            self._good = self._step(self._good, self._source, self._parameters)


def _event(device: torch.device) -> Any:
    """The present end of the work on a device."""
    if not torch.cuda.is_available():  # a simulated device
        return None
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(device))
    return event


def is_finite(planes: Tensor) -> bool:
    """Whether a sum over all planes is finite."""
    return math.isfinite(float(planes.sum()))


def check_finite(planes: Tensor, state: State, what: str) -> None:
    """Stop at a value that is not finite in (3, ..., N), naming step, replica and site."""
    if is_finite(planes):
        return
    wrong = ~torch.isfinite(planes).all(0)
    if bool(wrong.any()):
        *replica, site = (int(k) for k in wrong.nonzero()[0])
        where = f"site {site}" + (f" of replica {replica}" if replica else "")
        raise SimulationError(f"step {state.step + 1}: the {what} at {where} is not finite")
