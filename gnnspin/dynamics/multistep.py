"""Steps that remember earlier ones: one field evaluation per step."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, runtime_checkable

from torch import Tensor

from gnnspin.core.source import FieldSource
from gnnspin.core.state import State
from gnnspin.dynamics.algebra import Vectors, components, cross, normalized, plus, vectors
from gnnspin.dynamics.drive import Drive, Terms, rotation
from gnnspin.dynamics.parameters import StepParameters
from gnnspin.dynamics.steps import Step, end_from_midpoint


@runtime_checkable
class StepWithMemory(Protocol):
    """A step that reads what the one before it left in ``state.memory``.

    Attributes
    ----------
    remembers : tuple of str
        Names of its tensors (..., N, 3) in the memory of a state.
    """

    @property
    def remembers(self) -> tuple[str, ...]:
        """Names of its tensors in the memory of a state."""
        ...

    def begin(self, state: State, source: FieldSource, parameters: StepParameters) -> State:
        """The state with the memory of a first step."""
        ...

    def __call__(self, state: State, source: FieldSource, parameters: StepParameters) -> State:
        """The next state."""
        ...


def remembered(step: Step) -> tuple[str, ...]:
    """Names of what a step keeps in the memory of a state."""
    return step.remembers if isinstance(step, StepWithMemory) else ()


def begun(step: Step, state: State, source: FieldSource, parameters: StepParameters) -> State:
    """The state with the memory of a first step, unless it has one or `step` needs none."""
    if isinstance(step, StepWithMemory) and not set(step.remembers) <= set(state.memory):
        return step.begin(state, source, parameters)
    return state


class ExtrapolatedMidpoint:
    """Midpoint rotation whose midpoint is extrapolated from the two steps before: one field evaluation per step.

    ::

        W   = Omega(M_n-1) + 3/4 [Omega(M_n-1) - Omega(M_n-2)]      Omega at a quarter of the step, without noise
        M_n = [S + dt/2 S x (W + gamma eta)] / |.|
        S'  = S + dt (S + S')/2 x Omega(M_n)

    Order 2 at kT = 0; weak order 1 with noise, which is that of the present step in the midpoint as in the rotation.
    The first step is that of `semi_implicit_step`, with two evaluations; the second extrapolates from the two of the
    first. ``|S|`` is kept to rounding; the energy error is not bounded. Extrapolating angular velocities, not fields,
    is what makes the step as accurate as the semi-implicit one at the same dt: a field with a large part along the spin
    turns with it, and that part would enter the torque of the next spins.

    What is remembered is in ``state.memory`` and in checkpoints: a resumed run equals an uninterrupted one.
    """

    remembers = ("angular_velocity", "angular_velocity_change")

    def begin(self, state: State, source: FieldSource, parameters: StepParameters) -> State:
        """The state that remembers Omega at its own spins and no change."""
        drive = Drive(state, source, parameters)
        rate = drive.local(_drift, drive.spins, drive.field(drive.spins, state.time))
        return _remembering(state, rate, rate.new_zeros(rate.shape))

    def __call__(self, state: State, source: FieldSource, parameters: StepParameters) -> State:
        """The next state."""
        first = state.step == 0 or not set(self.remembers) <= set(state.memory)
        state = begun(self, state, source, parameters)
        drive = Drive(state, source, parameters)
        rate, change = (components(state.memory[name]) for name in self.remembers)
        midpoint = drive.local(_extrapolated_midpoint, rate, change, drive.spins)
        field = drive.field(midpoint, state.time + 0.5 * parameters.dt)
        end = drive.local(end_from_midpoint, drive.spins, midpoint, field)
        newest = drive.local(_drift, midpoint, field)
        # the memory of the first step is half a step old, that of the others a whole one
        state = _remembering(state, newest, (2 if first else 1) * (newest - rate))
        return drive.finish(end, memory=state.memory)

    def __repr__(self) -> str:
        return "extrapolated_midpoint_step"


#: The step that `simulate` knows as "extrapolated_midpoint".
extrapolated_midpoint_step = ExtrapolatedMidpoint()


def _remembering(state: State, rate: Tensor, change: Tensor) -> State:
    names = ExtrapolatedMidpoint.remembers
    return replace(state, memory={**state.memory, **dict(zip(names, map(vectors, (rate, change)), strict=True))})


def _drift(terms: Terms, spins: Vectors, field: Vectors) -> Vectors:
    """``Omega / gamma`` without noise."""
    return rotation(terms._replace(noise=None, both=False), spins, field)


def _extrapolated_midpoint(terms: Terms, rate: Vectors, change: Vectors, spins: Vectors) -> Vectors:
    angle = plus(rate, 0.75, change)
    if terms.noise is not None:
        angle = plus(angle, terms.amplitude, terms.noise)
        if terms.both:
            angle = plus(angle, -terms.damping * terms.amplitude, cross(spins, terms.noise))
    return normalized(plus(spins, 0.5 * terms.scale, cross(spins, angle)))
