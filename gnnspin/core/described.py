"""Described objects: one declaration, the constructor's signature, for Python, files and configurations.

A class that derives from `Described` is written once, as an ordinary typed constructor with a numpydoc docstring. From
it follow the pydantic class of its parameters (`Described.parameters`: YAML keys, checks of types, defaults, help
texts), the description of an instance (`Described.specification`) and rebuilding (`Recipe.build`). Nothing restates a
parameter. This is the convention of scikit-learn's estimators: every argument is kept as an attribute of its name, or,
where that name is taken by something derived from it, as ``_name``.
"""

from __future__ import annotations

import inspect
from abc import ABC
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal, Self

import pydantic
import torch
from pydantic import Field
from pydantic_core import core_schema

from gnnspin.core.config import Config
from gnnspin.core.errors import InvalidInput
from gnnspin.core.parameter_types import field_type
from gnnspin.core.plain import as_stored as as_stored
from gnnspin.core.plain import plain as plain
from gnnspin.core.plain import require_same as require_same
from gnnspin.core.registry import Registry
from gnnspin.core.signatures import CONTEXT, argument_texts, argument_types, described_arguments

#: Classes with a kind by their name, which descriptions of version 0.1 hold.
_BY_CLASS_NAME: dict[str, type[Described]] = {}


class Recipe(Config):
    """Validated arguments of a described class; `build` makes the object. One subclass per class, see `parameters`."""

    described_class: ClassVar[type[Described]]

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Self:
        self.described_class.check(self)
        return self

    def build(
        self, system: Any = None, device: Any = None, contents: Mapping[str, bytes] | None = None, **given: Any
    ) -> Any:
        """The object, with everything inside it.

        Parameters
        ----------
        system : SpinSystem, optional
            For objects that live on one (sources, Hamiltonians) and everything inside them that does.
        device : torch.device or str, optional
            For those that can be placed.
        contents : mapping of str to bytes, optional
            What a description names but does not hold, by digest: the weights of learned models.
        **given
            Arguments that the recipe was made without, see `Described.parameters`.

        Raises
        ------
        InvalidInput
            If a value is out of range, or the object needs a system and there is none.
        """
        return self.described_class.from_recipe(self, system, device, contents, **given)

    def inside(self) -> Iterator[Recipe]:
        """The recipe itself and all recipes among its arguments, at any depth."""
        yield self
        for value in self.arguments().values():
            for each in value if isinstance(value, tuple | list) else (value,):
                if isinstance(each, Recipe):
                    yield from each.inside()

    def arguments(self) -> dict[str, Any]:
        """Arguments by name, without the kind; recipes as they are."""
        return {name: getattr(self, name) for name in type(self).model_fields if name != "kind"}


class Described(ABC):
    """An object that a file can restore and a configuration can name, by the arguments of its constructor.

    A base class of a family opens a registry: ``class HoppingRule(Described, family="hopping rule",
    group="gnnspin.hopping_rules")``. A class with a name, ``class RashbaHopping(HoppingRule, kind="rashba")``, enters
    the registry of its family when it is defined; a package outside this repository names its module in the entry-point
    group, or is imported before the name is used.
    """

    #: Name in files and configurations; empty for classes that cannot be named.
    kind: ClassVar[str] = ""
    #: Classes of the family by kind.
    registry: ClassVar[Registry[type[Described]]]
    #: Kind that a mapping without one has, for families in which one is usual.
    default_kind: ClassVar[str] = ""

    def __init_subclass__(
        cls,
        *,
        family: str | None = None,
        group: str | None = None,
        kind: str | None = None,
        default_kind: str | None = None,
        **options: Any,
    ) -> None:
        super().__init_subclass__(**options)
        if family is not None:
            cls.registry = Registry(family, group or "")
        if default_kind is not None:
            cls.default_kind = default_kind
        cls.kind = kind or ""
        if kind is not None:
            cls.registry.register(kind, cls)
            _BY_CLASS_NAME[cls.__name__] = cls

    @classmethod
    def parameters(cls, without: tuple[str, ...] = ()) -> type[Recipe]:
        """Pydantic class of the constructor's arguments: types, defaults and descriptions.

        Parameters
        ----------
        without : tuple of str
            Arguments that are left out, to be given when the object is built.
        """
        return _parameters(cls, without)

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        """Raise InvalidInput where arguments are out of range or contradict each other.

        It is called when a recipe is validated, so that a configuration is refused before any work; it sees what shows
        without a system. Default: nothing.
        """
        del recipe

    @classmethod
    def completed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """The values of a mapping with those that it may leave out although the constructor asks for them.

        Default: the values as they are.
        """
        return values

    @classmethod
    def from_recipe(
        cls,
        recipe: Recipe,
        system: Any = None,
        device: Any = None,
        contents: Mapping[str, bytes] | None = None,
        **given: Any,
    ) -> Self:
        """Build from validated arguments; parameters and errors as in `Recipe.build`."""
        known = inspect.signature(cls).parameters
        arguments = {name: _built(value, system, device, contents) for name, value in recipe.arguments().items()}
        arguments |= given
        if "system" in known:
            if system is None:
                raise InvalidInput(f"{cls.kind or cls.__name__} lives on a system; give one")
            arguments["system"] = system
        if "device" in known and device is not None:
            arguments["device"] = device
        positional = [name for name, p in known.items() if p.kind is inspect.Parameter.VAR_POSITIONAL]
        rest = [value for name in positional for value in arguments.pop(name)]
        return cls(*rest, **arguments)

    @classmethod
    def from_specification(cls, specification: Mapping[str, Any], system: Any = None, device: Any = None) -> Any:
        """The object that a specification describes; the inverse of `specification`.

        Raises
        ------
        InvalidInput
            If the kind or a parameter is unknown or out of range, or something is not stored in full (a function).
        """
        return cls.recipe(specification).build(system, device)

    @classmethod
    def recipe(
        cls,
        specification: Mapping[str, Any] | Described | Recipe | None = None,
        /,
        without: tuple[str, ...] = (),
        **values: Any,
    ) -> Recipe:
        """Validated parameters from a mapping with a kind, from an object, from a recipe itself, or from keywords.

        Parameters
        ----------
        specification : mapping, Described or Recipe, optional
        without : tuple of str
            Arguments that are left out, see `parameters`.
        **values
            The mapping as keywords.

        Raises
        ------
        InvalidInput
            If the kind is unknown, or a parameter is unknown or of the wrong type; names the parameter.
        """
        if isinstance(specification, Recipe):
            return specification
        if isinstance(specification, Described):
            specification = specification.specification()
        if not isinstance(specification, Mapping | None):
            raise InvalidInput(f"{cls.registry.kind} is {specification!r}; give a mapping with a kind")
        given = {**(specification or {}), **values}
        found = cls._class_of(given)
        parameters = found.parameters(without)
        for name in without:
            given.pop(name, None)
        # null means "not given", also for a parameter that only another kind has
        asked = {name for name, field in parameters.model_fields.items() if field.is_required()}
        given = {name: value for name, value in given.items() if value is not None or name in asked}
        given = found.completed(given)
        try:
            return parameters.model_validate(given)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            place = "".join(f"{part}: " for part in first["loc"])
            message = first["msg"].removeprefix("Value error, ")
            if first["type"] == "extra_forbidden":
                known = ", ".join(name for name in parameters.model_fields if name != "kind")
                message = f"unknown parameter; known parameters: {known}"
            raise InvalidInput(f"{found.kind}: {place}{message}") from error

    @classmethod
    def renewed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Arguments of a description that version 0.1 wrote, in today's form; see `renewed_specification`.

        Default: the values as they are.
        """
        return values

    def completes(self, stored: Mapping[str, Any]) -> bool:
        """Whether a stored description of this kind, which names its content by a hash alone, is that of this object.

        Version 0.1 wrote such descriptions of bare matrices. Default: false.
        """
        del stored
        return False

    @classmethod
    def _class_of(cls, given: Mapping[str, Any]) -> type[Described]:
        """The class that a mapping names."""
        kind = given.get("kind", cls.kind or cls.default_kind)
        if not kind and "class" in given:
            raise InvalidInput(
                f"{given['class']} has no kind and cannot be built from its description; give the object itself, or "
                f"define its class with a kind (class ...({cls.__name__}, kind=...))"
            )
        if not kind:
            raise InvalidInput(f"{cls.registry.kind} {given} has no kind; known: {', '.join(cls.registry.names())}")
        found = cls.registry[str(kind)]
        if not issubclass(found, cls):
            raise InvalidInput(f"{kind} is no {cls.__name__}; known: {', '.join(cls.kinds())}")
        return found

    @classmethod
    def kinds(cls) -> tuple[str, ...]:
        """Kinds of the family whose classes derive from this one, in alphabetical order."""
        return tuple(name for name in cls.registry.names() if issubclass(cls.registry[name], cls))

    def specification(self) -> dict[str, Any]:
        """JSON-able description: the kind, and every argument of the constructor that says what the object is.

        A class without a kind is described by its own name and by the arguments that it keeps: enough to tell two
        objects apart in most cases, not to build one.
        """
        cls = type(self)
        if cls.kind:
            return {"kind": cls.kind, **{name: plain(self._argument(name)) for name in described_arguments(cls)}}
        names = [name for name in inspect.signature(cls).parameters if name not in CONTEXT]
        kept = {name: self._argument(name) for name in names if hasattr(self, f"_{name}") or hasattr(self, name)}
        return {"kind": "", "class": f"{cls.__module__}.{cls.__qualname__}", **{n: plain(v) for n, v in kept.items()}}

    def inside(self) -> Iterator[Described]:
        """The object itself and all described objects among its arguments, at any depth."""
        yield self
        for name in inspect.signature(type(self)).parameters:
            value = getattr(self, f"_{name}", getattr(self, name, None))
            for each in value if isinstance(value, list | tuple) else (value,):
                if isinstance(each, Described):
                    yield from each.inside()

    def _argument(self, name: str) -> Any:
        for attribute in (f"_{name}", name):
            if hasattr(self, attribute):
                return getattr(self, attribute)
        raise AttributeError(
            f"{type(self).__name__} keeps no attribute {name}; keep every argument of the constructor under its name, "
            "so that the object can be described"
        )


@dataclass(frozen=True)
class RecipeOf:
    """Annotation of a field that holds a recipe: ``Annotated[Recipe, RecipeOf(HoppingRule)]``.

    The field takes a mapping with a kind, an object, or a recipe, and is written as the mapping.

    Attributes
    ----------
    family : type of Described
        What may be named; of a whole family or of the classes that derive from one of it.
    without : tuple of str
        Arguments that are given when the object is built, see `Described.parameters`.
    """

    family: type[Described]
    without: tuple[str, ...] = ()

    def classes(self) -> tuple[type[Recipe], ...]:
        """Parameters of everything that may be named."""
        registry = self.family.registry
        return tuple(registry[kind].parameters(self.without) for kind in self.family.kinds())

    def validated(self, value: Any) -> Recipe:
        """The recipe; ValueError if there is none."""
        try:
            found = self.family.recipe(value, self.without)
        except InvalidInput as error:
            if isinstance(error.__cause__, pydantic.ValidationError):
                raise error.__cause__ from error  # pydantic puts its keys behind that of this field
            raise
        if not issubclass(found.described_class, self.family):
            raise InvalidInput(f"{found.described_class.kind} is no {self.family.__name__}")
        return found

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        def written(recipe: Recipe, info: pydantic.SerializationInfo) -> dict[str, Any]:
            values = recipe.model_dump(mode=info.mode, exclude_defaults=info.exclude_defaults)
            kind = recipe.described_class.kind
            return values if kind == self.family.default_kind else {"kind": kind, **values}

        return core_schema.no_info_plain_validator_function(
            self.validated, serialization=core_schema.plain_serializer_function_ser_schema(written, info_arg=True)
        )

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "object", "description": f"a {self.family.registry.kind}, by its kind"}


def renewed_specification(specification: Any) -> Any:
    """A description as version 0.1 wrote it, ``{"class": name, arguments, "system": fingerprint}``, in today's form.

    Classes without a kind, and what is not a description, stay as they are.
    """
    if isinstance(specification, list):
        return [renewed_specification(each) for each in specification]
    if not isinstance(specification, Mapping):
        return specification
    values = {name: renewed_specification(each) for name, each in specification.items() if name != "class"}
    found = _BY_CLASS_NAME.get(str(specification.get("class")))
    if found is None:
        return {**specification, **values}
    values.pop("system", None)
    return {"kind": found.kind, **found.renewed(values)}


@cache
def _parameters(cls: type[Described], without: tuple[str, ...]) -> type[Recipe]:
    hints, texts = argument_types(cls), argument_texts(cls)
    fields: dict[str, Any] = {"kind": (Literal[cls.kind], Field(default=cls.kind, description="name of the class"))}
    for name, parameter in described_arguments(cls).items():
        if name not in without:
            kind = field_type(hints.get(name, Any), RecipeOf, Described)
            fields[name] = (kind, Field(default=_default(parameter), description=texts.get(name)))
    made = pydantic.create_model(
        f"{cls.__name__}Parameters", __base__=Recipe, __module__=cls.__module__, __doc__=cls.__doc__, **fields
    )
    made.described_class = cls
    return made


def _default(parameter: inspect.Parameter) -> Any:
    """Default of a field: none, a recipe, or a plain value."""
    if parameter.default is inspect.Parameter.empty:
        return ... if parameter.kind is not inspect.Parameter.VAR_POSITIONAL else ()
    if isinstance(parameter.default, Described):
        return type(parameter.default).recipe(parameter.default)
    return parameter.default if isinstance(parameter.default, torch.dtype) else plain(parameter.default)


def _built(value: Any, *context: Any) -> Any:
    if isinstance(value, Recipe):
        return value.build(*context)
    if isinstance(value, list | tuple):
        return type(value)(_built(each, *context) for each in value)
    return value
