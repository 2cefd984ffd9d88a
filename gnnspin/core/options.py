"""Options of a function as a configuration: its signature and docstring are their one declaration."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import pydantic
from pydantic import Field

from gnnspin.core.config import Config
from gnnspin.core.described import Described, RecipeOf
from gnnspin.core.parameter_types import field_type
from gnnspin.core.signatures import parameter_texts


def options_of(function: Callable[..., Any], name: str, without: tuple[str, ...] = ()) -> type[Config]:
    """Configuration class with a field for each argument of a function: types, defaults and texts are its own.

    Parameters
    ----------
    function : callable
        With type hints and a numpydoc docstring.
    name : str
        Name of the class.
    without : tuple of str
        Arguments that a configuration does not give.

    Examples
    --------
    >>> def decay(time: float, rate: float = 1.0) -> float:
    ...     return -rate * time
    >>> options_of(decay, "DecayOptions")(time="3").model_dump()
    {'time': 3.0, 'rate': 1.0}
    """
    hints, texts = get_type_hints(function, include_extras=True), parameter_texts(function.__doc__)
    fields: dict[str, Any] = {}
    for argument, parameter in inspect.signature(function).parameters.items():
        if argument not in without:
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            kind = field_type(hints.get(argument, Any), RecipeOf, Described)
            fields[argument] = (kind, Field(default=default, description=texts.get(argument)))
    return pydantic.create_model(name, __base__=Config, __module__=function.__module__, **fields)
