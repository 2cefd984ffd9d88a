"""Observers by name, as configurations give them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from gnnspin.core.registry import Registry
from gnnspin.core.source import FieldSource
from gnnspin.dynamics.thermometry import energy_per_site, torque_residual
from gnnspin.observables import magnetization, neighbor_correlation
from gnnspin.trajectories.observers import Observer

#: What makes an observer for a source; the source knows its system.
ObserverFactory: TypeAlias = Callable[[FieldSource], Observer]

#: Observers by name; those of other installed packages come from the entry points ``gnnspin.observers``.
OBSERVERS: Registry[ObserverFactory] = Registry("observer", "gnnspin.observers")

OBSERVERS.register("energy_per_site", energy_per_site)
OBSERVERS.register("torque_residual", torque_residual)


def register_observer(name: str) -> Callable[[ObserverFactory], ObserverFactory]:
    """Decorator that gives an observer a name for configurations.

    Raises
    ------
    InvalidInput
        If the name belongs to another observer.

    Examples
    --------
    What is registered is a function of the source that returns the observer, a function of the state:

    >>> @register_observer("example_largest_torque")
    ... def largest_torque(source):
    ...     return lambda state: source.torque(state.spins, state.time).norm(dim=-1).amax(-1)
    """
    return OBSERVERS.registered(name)


@register_observer("magnetization")
def _magnetization(source: FieldSource) -> Observer:
    del source
    return lambda state: magnetization(state.spins)


@register_observer("neighbor_correlation")
def _neighbor_correlation(source: FieldSource) -> Observer:
    return lambda state: neighbor_correlation(source.system, state.spins).mean(-1)
