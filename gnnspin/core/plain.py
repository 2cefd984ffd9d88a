"""Values as JSON holds them, and the comparison of descriptions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pydantic
import torch
from scipy import sparse
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.parameter_types import sparse_entries

#: Members of a list that are compared one by one.
_LISTED = 16


@runtime_checkable
class HasSpecification(Protocol):
    """A described object, see `gnnspin.core.described`."""

    def specification(self) -> dict[str, Any]:
        """JSON-able description."""
        ...


def require_same(given: Mapping[str, Any], stored: Mapping[str, Any], what: str) -> None:
    """Raise InvalidInput unless two specifications are equal; names the keys that differ, with both values."""
    found = list(_differences(as_stored(given), as_stored(stored), ""))
    if found:
        listed = ", ".join(f"{key} ({_short(new)}, stored {_short(old)})" for key, new, old in found)
        raise InvalidInput(f"the {what} is not the stored one: they differ in {listed}")


def _differences(given: Any, stored: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    """Dotted keys in which two values differ, with both; of descriptions of two kinds, the kind alone."""
    if given == stored:
        return
    if isinstance(given, list) and isinstance(stored, list) and len(given) == len(stored) <= _LISTED:
        given, stored = dict(enumerate(given)), dict(enumerate(stored))
    if not isinstance(given, Mapping) or not isinstance(stored, Mapping):
        yield key, given, stored
        return
    names = sorted(given.keys() | stored.keys())
    if given.get("kind") != stored.get("kind"):
        names = ["kind"]
    for name in names:
        yield from _differences(given.get(name), stored.get(name), f"{key}.{name}" if key else str(name))


def as_stored(specification: Mapping[str, Any]) -> dict[str, Any]:
    """The specification as a file gives it back."""
    return json.loads(json.dumps(specification))


def plain(value: Any) -> Any:
    """A value as JSON can hold it: described objects by their specification, arrays as lists, functions by name."""
    if isinstance(value, HasSpecification):
        return value.specification()
    if isinstance(value, pydantic.BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        if np.iscomplexobj(value):
            return {"real": value.real.tolist(), "imag": value.imag.tolist()}
        return value.tolist()
    if isinstance(value, torch.dtype):
        return str(value).removeprefix("torch.")
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if callable(value) and not sparse.issparse(value):
        name = getattr(value, "__qualname__", type(value).__qualname__)
        return {"function": f"{getattr(value, '__module__', '')}.{name}"}
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, complex):
        return {"real": value.real, "imag": value.imag}
    if sparse.issparse(value):
        return plain(sparse_entries(value))
    raise InvalidInput(f"{type(value).__name__} {value!r} cannot be described")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
