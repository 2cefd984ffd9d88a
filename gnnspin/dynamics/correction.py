"""Dynamics of a cheap source with a slow correction from an expensive one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import project_tangent
from gnnspin.core.state import State
from gnnspin.dynamics.algebra import components, vectors
from gnnspin.dynamics.multistep import begun, remembered
from gnnspin.dynamics.parameters import StepParameters
from gnnspin.dynamics.steps import Step

_NEWEST, _BEFORE = "correction", "previous_correction"

#: Name of the observation of the correction's size.
CORRECTION = "correction"


class CorrectedStep:
    """Step under ``H(S) + c(t)``: the field of a cheap source, and what it lacked lately.

    At every step whose number is a multiple of `every`, ``c`` is measured, the part of the correct field less the cheap
    one that is perpendicular to the spins there; in between it is extrapolated linearly in time from the last two
    measurements, and held constant until there are two. Fields are projected on the tangent planes of the spins they
    act on, as in all steps.

    Parameters
    ----------
    step : step function
        One of `INTEGRATORS`.
    correction : FieldSource
        What gives the correct field.
    every : int
        Steps between measurements.

    Raises
    ------
    InvalidInput
        If `every` is no positive whole number.
    """

    def __init__(self, step: Step, correction: FieldSource, every: int) -> None:
        if isinstance(every, bool) or every != int(every) or every < 1:
            raise InvalidInput(f"correct_every={every!r} must be a whole number of steps, 1 or more")
        self.step = step
        self.correction = correction
        self.every = int(every)

    @property
    def remembers(self) -> tuple[str, ...]:
        """Names of what it keeps in the memory of a state, that of the step it corrects included."""
        return (*remembered(self.step), _NEWEST, _BEFORE)

    def begin(self, state: State, source: FieldSource, parameters: StepParameters) -> State:
        """The state with the correction at its spins, and with what the corrected step remembers."""
        missing = self._missing(state, source)
        state = replace(state, memory={**state.memory, _NEWEST: missing, _BEFORE: missing})
        return begun(self.step, state, _Corrected(state, source, parameters, self.every), parameters)

    def __call__(self, state: State, source: FieldSource, parameters: StepParameters) -> State:
        """The next state."""
        state = begun(self, state, source, parameters)
        after = self.step(state, _Corrected(state, source, parameters, self.every), parameters)
        memory = {**state.memory, **after.memory}
        if after.step % self.every == 0:
            memory |= {_NEWEST: self._missing(after, source), _BEFORE: state.memory[_NEWEST]}
        return replace(after, memory=memory)

    def _missing(self, state: State, source: FieldSource) -> Tensor:
        correct = self.correction.unchecked_field(state.spins, state.time)
        missing = correct - source.unchecked_field(state.spins, state.time)
        return vectors(components(project_tangent(missing, state.spins)))


class _Corrected(FieldSource):
    """The source with the correction of a state, extrapolated to the times of one step."""

    def __init__(self, state: State, source: FieldSource, parameters: StepParameters, every: int) -> None:
        self.system = source.system
        self.dtype, self.device = state.spins.dtype, state.spins.device
        self._source = source
        shape = (-1, *state.spins.shape[-2:])
        self._newest, self._before = (state.memory[name].reshape(shape) for name in (_NEWEST, _BEFORE))
        self._time, self._dt = state.time, parameters.dt
        self._steps, self._every = state.step % every, every

    def fields(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Corrected fields; see `FieldSource.fields`."""
        now = self._time if time is None else time
        share = (self._steps + (now - self._time) / self._dt) / self._every
        shift = self._newest + share * (self._newest - self._before)
        return self._source.unchecked_field(spins, time) + shift


def correction_size(state: State) -> Any:
    """Torque error of the cheap source at the last measurement, by component: root mean square over sites, (...)."""
    return state.memory[_NEWEST].square().mean((-1, -2)).sqrt()
