"""Texts of the keys of a configuration: name, default, choices and meaning, one line each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gnnspin.core.described import Described, Recipe, RecipeOf


def kind_text(described: type[Described]) -> str:
    """Parameters of a class that configurations name by its kind."""
    summary = (described.__doc__ or "").strip().splitlines()[0]
    head = f"parameters of the {described.registry.kind} {described.kind}: {summary}"
    return "\n".join([head, *key_lines(described.parameters())])


def key_lines(config: type[BaseModel], indent: int = 2, printed: set[type[BaseModel]] | None = None) -> Iterator[str]:
    """One line per key, nested configurations indented below the first key that takes them.

    Parameters
    ----------
    config : pydantic class
    indent : int
        Spaces before every key.
    printed : set of pydantic classes, optional
        Those that stand above already and are not repeated; it grows.
    """
    printed = set() if printed is None else printed
    for name, field in config.model_fields.items():
        default = "required" if field.is_required() else f"default {_plain(field)}"
        choices = [value for value in _leaves(field.annotation) if isinstance(value, str | int)]
        one_of = f" one of {', '.join(map(str, choices))};" if choices else ""
        leaves = [each for part in (field.annotation, *field.metadata) for each in _leaves(part)]
        models = [leaf for leaf in leaves if isinstance(leaf, type) and issubclass(leaf, BaseModel)]
        nested = [leaf for leaf in models if leaf is not Recipe]
        shown = f"{default};" if not nested or field.is_required() else ""
        yield f"{' ' * indent}{name}: {shown}{one_of} {field.description or ''}".rstrip("; ").rstrip()
        fresh = [leaf for leaf in nested if leaf not in printed]
        printed.update(fresh)
        for leaf in fresh:
            if len(nested) > 1:
                yield f"{' ' * (indent + 2)}({(leaf.__doc__ or '').splitlines()[0]})"
            yield from key_lines(leaf, indent + 4, printed)


def _plain(field: FieldInfo) -> Any:
    value = field.get_default(call_default_factory=True)
    return value.model_dump() if isinstance(value, BaseModel) else value


def _leaves(annotation: Any) -> list[Any]:
    """Types and literal values inside unions, tuples and annotations."""
    if isinstance(annotation, RecipeOf):
        return list(annotation.classes())
    arguments = get_args(annotation) if get_origin(annotation) is not Annotated else annotation.__metadata__
    if not arguments:
        return [annotation]
    return [leaf for argument in arguments for leaf in _leaves(argument)]
