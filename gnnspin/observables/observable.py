"""Observables by name and parameters: one registry for simulations, stored trajectories and configurations."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, TypeAlias

import torch
from pydantic_core import core_schema
from torch import Tensor

from gnnspin.core.described import Described, Recipe
from gnnspin.core.errors import InvalidInput
from gnnspin.core.registry import Registry
from gnnspin.core.source import FieldSource
from gnnspin.core.state import State
from gnnspin.systems.system import SpinSystem

#: A function of the state that returns numbers.
Measurement: TypeAlias = Callable[[State], Any]


class Observable(Described, family="observable", group="gnnspin.observers"):
    """A quantity measured on spins, by a name and parameters that a configuration can give.

    A subclass with a kind, ``class Twist(Observable, kind="twist")``, implements `measure`; its constructor's arguments
    are the keys of the YAML. Other packages name its module as an entry point of the group ``gnnspin.observers``.
    """

    #: Whether `observer` asks for the field source of the run, as energies do.
    needs_source: ClassVar[bool] = False

    @abstractmethod
    def measure(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """Values ``(..., *shape)`` of spins ``(..., N, 3)`` of one system; the leading dimensions are replicas."""

    def abscissa(self, system: SpinSystem) -> Tensor | None:
        """Distances (n,) in units of length that belong to values ``(..., n)``; None where they are no profile."""
        del system
        return None

    def __call__(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """Values ``(..., *shape)``; of a union ``(..., n_graphs, *shape)``, each part by itself."""
        return part_by_part(self.measure, system, spins)

    def observer(self, system: SpinSystem, source: FieldSource | None = None) -> Measurement:
        """The function of the state that `simulate` calls at every observation.

        Parameters
        ----------
        system : SpinSystem
        source : FieldSource, optional
            Of the run, for those that need it.
        """
        del source
        return lambda state: self(system, state.spins.detach())


class ProfileObservable(Observable):
    """A number read off a profile, such as a length off a correlation function; a subclass implements both steps.

    Its value for spins is that of their own profile. Where a profile of one replica is mostly noise, `read` is applied
    to the mean over replicas instead, see ``averaged_first`` of `gnnspin.analysis.TrajectoryAnalysisConfig`.
    """

    @abstractmethod
    def profile(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """Profile ``(..., *shape)`` of spins ``(..., N, 3)`` of one system."""

    @abstractmethod
    def read(self, system: SpinSystem, profile: Tensor) -> Tensor:
        """Number (...) of profiles ``(..., *shape)``; the system may be a union, of whose parts they are the mean."""

    def measure(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """Number of the spins' own profile."""
        return self.read(system, self.profile(system, spins))


class SourceObservable(Observable):
    """An observable of the field source and the state, such as the energy; a subclass implements `of_source`."""

    needs_source = True

    @abstractmethod
    def of_source(self, source: FieldSource) -> Measurement:
        """The function of the state for a source."""

    def measure(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """Not defined: an error that says so."""
        raise InvalidInput(f"{self.kind} is measured on a field source, not on spins alone; use its observer")

    def observer(self, system: SpinSystem, source: FieldSource | None = None) -> Measurement:
        """The function of the state; InvalidInput without a source."""
        if source is None:
            raise InvalidInput(f"{self.kind} needs the field source of the run")
        return self.of_source(source)


def part_by_part(measure: Callable[[SpinSystem, Tensor], Tensor], system: SpinSystem, spins: Tensor) -> Tensor:
    """Values ``(..., *shape)`` of a function of system and spins; of a union ``(..., n_graphs, *shape)``."""
    if system.n_graphs == 1:
        return measure(system, spins)
    pieces = spins.split([part.n_sites for part in system.parts], dim=-2)
    values = [measure(part, piece) for part, piece in zip(system.parts, pieces, strict=True)]
    return torch.stack(values, dim=spins.ndim - 2)


class _Observables(Registry[type[Described]]):
    """The registry, which takes functions of a source that return an observer, too."""

    def register(self, name: str, value: Any) -> Any:
        if not (isinstance(value, type) and issubclass(value, Described)):
            known = self._known.get(name)
            value = known if known is not None and _factory(known) is value else _from_factory(name, value)
            if value is known:
                return value
        return super().register(name, value)


Observable.registry = _Observables("observable", "gnnspin.observers")


class NamedObservables:
    """Annotation of a field that holds observables by name: ``Annotated[dict[str, Recipe], NamedObservables()]``.

    The field takes a list of kinds and of mappings ``{kind: ..., parameters, name: ...}``, or a mapping from names to
    either; it is written as the list.
    """

    @staticmethod
    def validated(given: Any) -> dict[str, Recipe]:
        """Recipes by name; InvalidInput names what is unknown, out of range or named twice."""
        if isinstance(given, str) or not isinstance(given, Mapping | Sequence):
            raise InvalidInput(f"observables are {given!r}; give a list of names, or of mappings with a kind")
        items = list(given.items()) if isinstance(given, Mapping) else [_name_and_rest(each) for each in given]
        found: dict[str, Recipe] = {}
        for name, each in items:
            if name in found:
                raise InvalidInput(f"observable {name!r} is given twice; give one of them a `name` of its own")
            if not name or "/" in name or name in ("step", "time"):
                raise InvalidInput(f"observable name {name!r} must be non-empty, without '/', and not step or time")
            found[name] = Observable.recipe(_with_kind(name, each))
        return found

    @staticmethod
    def written(recipes: Mapping[str, Recipe], mode: str = "json") -> list[Any]:
        """The list that `validated` reads: kinds, and mappings where there are parameters or another name."""
        written: list[Any] = []
        for name, recipe in recipes.items():
            kind = recipe.described_class.kind
            values = recipe.model_dump(mode=mode, exclude_defaults=True)
            values.pop("kind", None)
            named = {} if name == kind else {"name": name}
            written.append({"kind": kind, **values, **named} if values or named else kind)
        return written

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        def of(recipes: Mapping[str, Recipe], info: Any) -> list[Any]:
            return self.written(recipes, info.mode)

        return core_schema.no_info_plain_validator_function(
            self.validated, serialization=core_schema.plain_serializer_function_ser_schema(of, info_arg=True)
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "array", "description": "observables, by their names or kinds with parameters"}


def _with_kind(name: str, each: Any) -> Any:
    """The mapping that `Observable.recipe` takes; the kind may be left out where it is the name."""
    if isinstance(each, str):
        return {"kind": each}
    return {"kind": name, **(each or {})} if isinstance(each, Mapping | None) else each


def _name_and_rest(each: Any) -> tuple[str, Any]:
    if isinstance(each, str):
        return each, each
    if isinstance(each, Observable):
        each = each.specification()
    if not isinstance(each, Mapping) or "kind" not in each:
        raise InvalidInput(f"observable {each!r} is neither a name nor a mapping with a kind")
    rest = {key: value for key, value in each.items() if key != "name"}
    return str(each.get("name") or each["kind"]), rest


def _from_factory(name: str, factory: Callable[[FieldSource], Measurement]) -> type[SourceObservable]:
    """The class of an observer that is given as a function of the source."""
    if not callable(factory):
        raise InvalidInput(f"observable {name!r} is {factory!r}; expected a class of Observable or a function")

    def of_source(self: SourceObservable, source: FieldSource) -> Measurement:
        del self
        return factory(source)

    made: Any = type(
        f"observer {name}",
        (SourceObservable,),
        {
            "of_source": of_source,
            "factory": staticmethod(factory),
            "__module__": getattr(factory, "__module__", __name__),
            "__qualname__": getattr(factory, "__qualname__", name),
            "__doc__": getattr(factory, "__doc__", None),
        },
    )
    made.kind = name
    return made


def _factory(known: type[Described]) -> Any:
    return getattr(known, "factory", None)
