"""Observers of a run: observables by name, those of the field source among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from gnnspin.core.described import Recipe
from gnnspin.core.source import FieldSource
from gnnspin.core.state import State
from gnnspin.dynamics.error_bars import TorqueError as TorqueError  # a kind of observable
from gnnspin.dynamics.thermometry import energy_per_site, temperature_terms, torque_residual
from gnnspin.observables.observable import NamedObservables, Observable, SourceObservable
from gnnspin.trajectories.observers import Observer, Observers

#: What makes an observer for a source; the source knows its system.
ObserverFactory: TypeAlias = Callable[[FieldSource], Observer]

#: An observer of a run: a callable of the state, an observable, its name, or a mapping of its kind and parameters.
RunObserver: TypeAlias = Observer | Observable | str | Mapping[str, Any]

#: Observers of a run, in a list or by name.
ObserversOfRun: TypeAlias = Sequence[RunObserver] | Mapping[Any, RunObserver] | None


class EnergyPerSite(SourceObservable, kind="energy_per_site"):
    """Energy per site, (...); (..., n_graphs) for a union."""

    def of_source(self, source: FieldSource) -> Observer:
        """Observer of the energy."""
        return energy_per_site(source)


class TorqueResidual(SourceObservable, kind="torque_residual"):
    """Largest and root-mean-square torque, (..., 2)."""

    def of_source(self, source: FieldSource) -> Observer:
        """Observer of the torque."""
        return torque_residual(source)


class TemperatureTerms(SourceObservable, kind="temperature_terms"):
    """The two terms of the spin temperature, (..., 2), whose averages `spin_temperature` divides.

    Parameters
    ----------
    curvature : bool
        Measure the curvature of the energy, as sources need whose field on a spin depends on that spin.
    """

    def __init__(self, curvature: bool = False) -> None:
        self.curvature = curvature

    def of_source(self, source: FieldSource) -> Observer:
        """Observer of both terms."""
        return temperature_terms(source, curvature=self.curvature)


def register_observer(name: str) -> Callable[[ObserverFactory], ObserverFactory]:
    """Decorator that gives an observer a name for configurations: the short form of a class of `SourceObservable`.

    Raises
    ------
    InvalidInput
        If the name belongs to another observable.

    Examples
    --------
    What is registered is a function of the source that returns the observer, a function of the state:

    >>> @register_observer("example_largest_torque")
    ... def largest_torque(source):
    ...     return lambda state: source.torque(state.spins, state.time).norm(dim=-1).amax(-1)
    """

    def register(factory: ObserverFactory) -> ObserverFactory:
        Observable.registry.register(name, factory)  # type: ignore[arg-type]
        return factory

    return register


class _Factories(Mapping[str, ObserverFactory]):
    """The registry as functions of the source, by name: its form in version 0.1."""

    def __getitem__(self, name: str) -> ObserverFactory:
        observable = Observable.recipe({"kind": name}).build()
        return lambda source: observable.observer(source.system, source)

    def __iter__(self) -> Iterator[str]:
        return iter(Observable.registry)

    def __len__(self) -> int:
        return len(Observable.registry.names())

    def register(self, name: str, factory: ObserverFactory) -> ObserverFactory:
        """Register a function of the source."""
        return register_observer(name)(factory)


#: For `gnnspin.dynamics.OBSERVERS` of version 0.1; `gnnspin.observables.Observable.registry` is the registry.
OBSERVERS = _Factories()


def named_observables(observables: Mapping[str, Recipe], source: FieldSource) -> dict[str, Observer]:
    """Observers by name, of a run of `source`."""
    return {name: recipe.build().observer(source.system, source) for name, recipe in observables.items()}


def resolved_observers(observers: ObserversOfRun, source: FieldSource) -> Observers:
    """Observers as `simulate` is given them, with names, mappings and observables replaced by functions of the state.

    Raises
    ------
    InvalidInput
        If a name or a parameter is unknown.
    """
    if observers is None:
        return None
    if isinstance(observers, Mapping):
        return {name: _resolved(each, source, name) for name, each in observers.items()}
    return [_resolved(each, source) for each in observers]


def _resolved(observer: RunObserver, source: FieldSource, key: str | None = None) -> Observer:
    if isinstance(observer, Observable):
        observer = observer.specification()
    if not isinstance(observer, str | Mapping):
        return observer
    given = NamedObservables.validated([observer] if key is None else {key: observer})
    ((name, measure),) = named_observables(given, source).items()

    def observe(state: State) -> Any:
        return measure(state)

    observe.__name__ = name  # under which a list of observers knows it
    return observe
