"""From the type of a constructor's argument to the type of the pydantic field that a configuration validates."""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np
import torch
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from torch import Tensor


def _numbers(value: Any) -> Any:
    """Nested tuples of finite numbers, or booleans; complex ones as ``{"real": ..., "imag": ...}``."""
    if isinstance(value, Mapping):
        if set(value) == {"real", "imag"}:
            return np.asarray(value["real"], dtype=float) + 1j * np.asarray(value["imag"], dtype=float)
        raise ValueError(f"{sorted(value)} is no array of numbers")
    if isinstance(value, Tensor | np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return tuple(_numbers(each) for each in value)
    if not isinstance(value, int | float | complex):
        raise ValueError(f"{value!r} is no number; give a number or a list of numbers")
    if not isinstance(value, bool) and not np.isfinite(value):
        raise ValueError(f"{value} must be finite")
    return value


def _listed(value: Any) -> Any:
    if isinstance(value, np.ndarray) and np.iscomplexobj(value):
        return {"real": value.real.tolist(), "imag": value.imag.tolist()}
    return [_listed(each) for each in value] if isinstance(value, tuple) else value


#: A number or a nested list of numbers, the form in which files and configurations hold an array.
Numbers = Annotated[
    Any,
    BeforeValidator(_numbers),
    PlainSerializer(_listed),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "array"}]}),
]


def _dtype(value: Any) -> torch.dtype:
    found = value if isinstance(value, torch.dtype) else getattr(torch, str(value), None)
    if not isinstance(found, torch.dtype):
        raise ValueError(f"{value!r} is no precision; give float32 or float64")
    return found


#: A torch dtype by name.
DType = Annotated[
    Any,
    BeforeValidator(_dtype),
    PlainSerializer(lambda value: str(value).removeprefix("torch.")),
    WithJsonSchema({"type": "string"}),
]


def _no_function(value: Any) -> Any:
    if isinstance(value, Mapping) and "function" in value:
        raise ValueError(f"{value['function']} is a function, which no file can hold; give the object in Python")
    return value


def field_type(annotation: Any, described: type) -> Any:
    """Pydantic type of an argument.

    Parameters
    ----------
    annotation : type
        Of the constructor's argument, resolved.
    described : type
        Base class of described objects: these become recipes of their family.

    Returns
    -------
    type
        Numbers for anything that an array may be given for, a dtype by name, recipes for described objects, and what
        pydantic knows as it is.
    """
    if annotation is torch.dtype:
        return DType
    if isinstance(annotation, type) and issubclass(annotation, described):
        return _recipe_type(annotation)
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated or origin is Literal or annotation in (Any, Path, str, bool, int, float):
        return annotation
    if origin in (Union, types.UnionType):
        return _union(inside, described)
    if _is_array(annotation):
        return Numbers
    if (origin is not None and origin in (Sequence, list, tuple)) or annotation in (Sequence, list, tuple):
        return _sequence(inside, described)
    if origin is Callable or annotation is Callable:
        return Annotated[Any, BeforeValidator(_no_function)]
    return annotation if _is_builtin(annotation) else Any


def _is_builtin(annotation: Any) -> bool:
    """Whether a type is one of Python's own, which pydantic knows."""
    return isinstance(annotation, type) and annotation.__module__ == "builtins"


def _union(members: Sequence[Any], described: type) -> Any:
    optional = type(None) in members
    rest = [member for member in members if member is not type(None)]
    if any(_is_array(member) for member in rest):
        recipes = [field_type(m, described) for m in rest if isinstance(m, type) and issubclass(m, described)]
        kinds: list[Any] = [*recipes, Numbers]
    else:
        kinds = [field_type(member, described) for member in rest]
    kinds = list(dict.fromkeys(kinds)) + ([None] if optional else [])
    return Union[tuple(kinds)]  # noqa: UP007


def _sequence(inside: Sequence[Any], described: type) -> Any:
    members = [member for member in inside if member is not Ellipsis]
    if len(members) == 1:
        return tuple[field_type(members[0], described), ...]  # type: ignore[misc]
    return tuple[tuple(field_type(member, described) for member in members)] if members else tuple[Any, ...]  # type: ignore[misc]


def _is_array(annotation: Any) -> bool:
    """Whether an array may be given: numpy's types, `ArrayLike` among them, and tensors."""
    text = f"{getattr(annotation, '__module__', '')}.{annotation!r}"
    return annotation is Tensor or "numpy" in text or "collections.abc.Buffer" in text


def _recipe_type(cls: Any) -> Any:
    """Recipes of a family: a mapping with a kind, an object, or a recipe."""

    def validate(value: Any) -> Any:
        found = cls.recipe(value)
        if not issubclass(found.described_class, cls):
            raise ValueError(f"{found.described_class.kind} is no {cls.__name__}")
        return found

    return Annotated[
        Any,
        BeforeValidator(validate),
        PlainSerializer(lambda recipe: recipe.model_dump(mode="json")),
        WithJsonSchema({"type": "object", "description": f"a {cls.registry.kind}, by its kind"}),
    ]
