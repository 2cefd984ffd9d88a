"""Integrators by name."""

from __future__ import annotations

from collections.abc import Callable

from gnnspin.core.registry import Registry
from gnnspin.dynamics.adaptive import adaptive_step
from gnnspin.dynamics.multistep import extrapolated_midpoint_step
from gnnspin.dynamics.steps import Step, heun_step, rotation_step, semi_implicit_step, spherical_midpoint_step

#: Step of each integrator by name; other installed packages add theirs by the entry points ``gnnspin.integrators``.
INTEGRATORS: Registry[Step] = Registry("integrator", "gnnspin.integrators")

for _name, _step in (
    ("adaptive", adaptive_step),
    ("extrapolated_midpoint", extrapolated_midpoint_step),
    ("heun", heun_step),
    ("rotation", rotation_step),
    ("semi_implicit", semi_implicit_step),
    ("spherical_midpoint", spherical_midpoint_step),
):
    INTEGRATORS.register(_name, _step)


def register_integrator(name: str) -> Callable[[Step], Step]:
    """Decorator that gives a step a name for `simulate`, configurations and trajectory files.

    Raises
    ------
    InvalidInput
        If the name belongs to another step.

    Examples
    --------
    A step is a function of the state, the source and the parameters, which returns the next state:

    >>> @register_integrator("example_euler")
    ... def euler_step(state, source, parameters):
    ...     torque = source.torque(state.spins, state.time)
    ...     moved = state.spins + parameters.gamma * parameters.dt * torque  # for moments of one size
    ...     spins = moved / moved.norm(dim=-1, keepdim=True)
    ...     return type(state)(spins, state.time + parameters.dt, state.step + 1)
    """
    return INTEGRATORS.registered(name)
