"""Base class of every configuration: unknown keys and wrong types are errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, model_validator

from gnnspin.core.numbers import whole_number


class Config(BaseModel):
    """A validated, immutable configuration of finite numbers; an unknown key is an error that names it.

    Numbers are what they are: ``1e5`` is a whole number of steps, ``1.9`` is no seed, and ``yes`` is no number.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _numbers_as_given(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        fields = cls.model_fields
        return {
            name: _as_given(value, fields[name].annotation, name) if name in fields else value
            for name, value in values.items()
        }


def _as_given(value: Any, annotation: Any, name: str) -> Any:
    """Whole numbers where integers are asked for; true and false are no numbers."""
    kinds = {annotation, *get_args(annotation)}
    if isinstance(value, list | tuple):
        return type(value)(_as_given(each, inner, name) for each, inner in _members(value, kinds))
    if isinstance(value, bool):
        if kinds & {int, float} and not kinds & {bool, Any}:
            raise ValueError(f"{name}={value} is true or false; a number is needed")
        return value
    if int in kinds and not kinds & {float, str, Any} and isinstance(value, float | str):
        known = [choice for kind in kinds for choice in get_args(kind) if isinstance(choice, str)]
        return value if value in known else whole_number(value, name)
    return value


def _members(values: Any, kinds: set[Any]) -> list[tuple[Any, Any]]:
    """Members of a sequence with the types that a tuple among `kinds` gives them."""
    for kind in kinds:
        types = get_args(kind)
        if getattr(kind, "__origin__", None) is tuple and types:
            inner = [types[0]] * len(values) if types[-1] is Ellipsis else list(types)
            return [(each, inner[k] if k < len(inner) else Any) for k, each in enumerate(values)]
    return [(each, Any) for each in values]
