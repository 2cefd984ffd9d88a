"""Texts of the keys of a configuration: name, default, choices and meaning, one line each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

import torch
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gnnspin.core.described import Described, Recipe, RecipeOf


def kind_text(described: type[Described]) -> str:
    """Parameters of a class that configurations name by its kind."""
    head = f"parameters of the {described.registry.kind} {described.kind}: {_summary(described)}"
    return "\n".join([head, *key_lines(described.parameters(), expand=False)])


def configuration_text(kind: str, config: type[BaseModel]) -> str:
    """Keys of a nested configuration that is chosen by its kind."""
    return "\n".join([f"keys beside `kind: {kind}`: {_summary(config)}", *key_lines(config)])


def key_lines(
    config: type[BaseModel], indent: int = 2, printed: set[type[BaseModel]] | None = None, *, expand: bool = True
) -> Iterator[str]:
    """One line per key, nested configurations indented below the first key that takes them.

    Parameters
    ----------
    config : pydantic class
    indent : int
        Spaces before every key.
    printed : set of pydantic classes, optional
        Those that stand above already and are not repeated; it grows.
    expand : bool
        Print the parameters of everything that a key may name by its kind, not the kinds alone; below anything that
        is itself chosen by its kind, only the kinds are named.
    """
    printed = set() if printed is None else printed
    for name, field in config.model_fields.items():
        if name == "kind" and _kind(config):
            continue
        leaves = [each for part in (field.annotation, *field.metadata) for each in _leaves(part)]
        models = [leaf for leaf in leaves if isinstance(leaf, type) and issubclass(leaf, BaseModel)]
        nested = [leaf for leaf in models if leaf is not Recipe]
        named = [] if expand else [_kind(leaf) for leaf in nested if issubclass(leaf, Recipe)]
        choices = [value for value in leaves if isinstance(value, str | int)]
        yield " " * indent + _line(name, field, choices, named)
        fresh = [] if named else [leaf for leaf in nested if leaf not in printed]
        printed.update(fresh)
        for leaf in fresh:
            if _kind(leaf):
                yield f"{' ' * (indent + 2)}kind: {_kind(leaf)}; {_summary(leaf)}"
            elif len(nested) > 1:
                yield f"{' ' * (indent + 2)}({_summary(leaf)})"
            yield from key_lines(leaf, indent + 4, printed, expand=expand and not _kind(leaf))


def _line(name: str, field: FieldInfo, choices: list[str | int], kinds: list[str]) -> str:
    default = None if field.is_required() else _written(field)
    parts = ["required"] if default is None else [f"default {default}"] if default else []
    if choices:
        parts.append(f"one of {', '.join(map(str, choices))}")
    if kinds:
        parts.append(f"a kind of {', '.join(kinds)} (see gnnspin info KIND)")
    parts += [field.description] if field.description else []
    return f"{name}: {'; '.join(parts)}".rstrip()


def _kind(config: type[BaseModel]) -> str:
    """The one kind that a configuration may have; empty if it has none, or several."""
    field = config.model_fields.get("kind")
    choices = get_args(field.annotation) if field is not None else ()
    return str(choices[0]) if len(choices) == 1 else ""


def _summary(documented: type) -> str:
    return (documented.__doc__ or "").strip().splitlines()[0]


def _written(field: FieldInfo) -> str:
    """The default as YAML has it; empty if it is a configuration of its own, whose keys tell their defaults."""
    value = field.get_default(call_default_factory=True)
    if isinstance(value, Recipe):
        return _kind(type(value))
    if isinstance(value, BaseModel):
        return ""
    if isinstance(value, torch.dtype):
        return str(value).removeprefix("torch.")
    return value if isinstance(value, str) else json.dumps(value, default=str)


def kinds_below(config: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """Nested configurations that a key `kind` chooses between, by every kind; not those that a registry holds."""
    found: dict[str, type[BaseModel]] = {}
    for field in config.model_fields.values():
        for leaf in _leaves(field.annotation):
            if isinstance(leaf, type) and issubclass(leaf, BaseModel) and not issubclass(leaf, Recipe):
                kind = leaf.model_fields.get("kind")
                found.update(dict.fromkeys(map(str, get_args(kind.annotation)) if kind else (), leaf))
    return found


def _leaves(annotation: Any) -> list[Any]:
    """Types and literal values inside unions, tuples and annotations."""
    if isinstance(annotation, RecipeOf):
        return list(annotation.classes())
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        recipes = [each for each in metadata if isinstance(each, RecipeOf)]
        return [leaf for part in recipes or [inner] for leaf in _leaves(part)]
    arguments = get_args(annotation)
    if not arguments:
        return [annotation]
    return [leaf for argument in arguments for leaf in _leaves(argument)]
