"""Arguments of a constructor: their types, defaults and texts, from its signature and its docstring."""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import Any, get_args, get_type_hints

#: Arguments that say where an object is used, not what it is: given at building, not described.
CONTEXT = ("system", "device")


def argument_types(cls: type) -> dict[str, Any]:
    """Types of the constructor's arguments, those of a typed dictionary of keywords (PEP 692) one by one."""
    hints = get_type_hints(cls.__init__, include_extras=True)  # type: ignore[misc]
    for keywords in keyword_classes(cls):
        hints |= get_type_hints(keywords, include_extras=True)
    return hints


@cache
def keyword_classes(cls: type) -> tuple[type, ...]:
    """Typed dictionaries of the constructor's ``**keywords: Unpack[...]``."""
    hints = get_type_hints(cls.__init__, include_extras=True)  # type: ignore[misc]
    kinds = inspect.signature(cls).parameters
    names = [name for name, parameter in kinds.items() if parameter.kind is inspect.Parameter.VAR_KEYWORD]
    return tuple(keywords for name in names for keywords in get_args(hints.get(name)))


@cache
def described_arguments(cls: type) -> dict[str, inspect.Parameter]:
    """Parameters of the constructor that say what an object is; keywords of a typed dictionary default to None."""
    kept: dict[str, inspect.Parameter] = {}
    for name, parameter in inspect.signature(cls).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            keys = [key for keywords in keyword_classes(cls) for key in get_type_hints(keywords)]
            kept |= {key: inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None) for key in keys}
        elif name not in CONTEXT:
            kept[name] = parameter
    return kept


@cache
def argument_texts(cls: type) -> dict[str, str]:
    """Text on each parameter, from the docstrings of the class and its bases."""
    texts: dict[str, str] = {}
    for base in (*reversed(cls.__mro__), *keyword_classes(cls)):
        texts |= parameter_texts(base.__doc__)
    return texts


def parameter_texts(docstring: str | None) -> dict[str, str]:
    """Text on each parameter of a numpydoc docstring, in one line."""
    section = re.search(r"Parameters\n-+\n(.*?)(?:\n\n[A-Z]\w+\n-+|\Z)", inspect.cleandoc(docstring or ""), re.S)
    if section is None:
        return {}
    texts: dict[str, str] = {}
    for names, text in re.findall(r"^(\w[\w, ]*?)(?: : .*)?\n((?:    .*\n?)+)", section.group(1), re.M):
        sentence = " ".join(line.strip() for line in text.splitlines())
        texts.update({name.strip(): sentence for name in names.split(",")})
    return texts
