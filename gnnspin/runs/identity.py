"""The one rule of what counts as the same run.

A run is described by a `Config`. Two runs are the same if their descriptions are equal, key by key, nested ones
included. A field says itself that it may change when a run is gone on with::

    device: Annotated[str, MAY_CHANGE] = "auto"

An option that a stored description does not know yet, because an older version wrote it, had its default there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from gnnspin.core.errors import StoreError
from gnnspin.core.plain import plain

#: Differences that an error lists.
_SHOWN = 4


@dataclass(frozen=True)
class Mark:
    """An annotation of a field that the identity of a run looks at."""

    meaning: str


#: The field may differ between a run and its continuation.
MAY_CHANGE = Mark("may change")

#: Older versions did not write the field down: where it is not stored, it is not compared.
MAY_BE_UNRECORDED = Mark("may be unrecorded")

_ABSENT = "absent"


def differences(given: BaseModel, stored: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Keys in which a description differs from a stored one, with the given and the stored value.

    Parameters
    ----------
    given : pydantic model
        Description of the run that is asked for.
    stored : mapping
        What a file holds: the JSON of a description of the same class, possibly of an older version.

    Returns
    -------
    dict
        From dotted keys such as ``model.hyperparameters.channels`` to pairs of values; empty for the same run.
    """
    try:
        parsed = type(given).model_validate(stored)
    except ValidationError:
        return _raw_differences(given, stored) or {"description": ("valid", "not valid any more")}
    unknown = {
        name
        for name, field in type(given).model_fields.items()
        if MAY_BE_UNRECORDED in field.metadata and name not in parsed.model_fields_set
    }
    return _compared(dict(_leaves(given, "", unknown)), dict(_leaves(parsed, "", unknown)))


def require_same_run(given: BaseModel, stored: Mapping[str, Any], *, where: Any, kind: str) -> None:
    """Raise StoreError unless a stored description is that of the run that is asked for.

    Parameters
    ----------
    given : pydantic model
    stored : mapping
        See `differences`.
    where : path
        File that holds the stored description.
    kind : str
        What the run is called in errors.

    Raises
    ------
    StoreError
        If they differ; names the keys and both values.
    """
    found = differences(given, stored)
    if found:
        listed = [f"{key}={_short(new)} (stored {_short(old)})" for key, (new, old) in found.items()]
        more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
        raise StoreError(
            f"{where} is another {kind}: {', '.join(listed[:_SHOWN])}{more}; "
            "go on with the stored values, or choose another output"
        )


def _leaves(value: Any, key: str, skipped: set[str] = frozenset()) -> Iterator[tuple[str, Any]]:  # type: ignore[assignment]
    """Dotted keys and values of a description, fields that may change left out."""
    if isinstance(value, BaseModel):
        items = {
            name: getattr(value, name)
            for name, field in type(value).model_fields.items()
            if MAY_CHANGE not in field.metadata and name not in skipped
        }
    elif isinstance(value, Mapping):
        items = {str(name): each for name, each in value.items()}
    elif isinstance(value, list | tuple) and any(isinstance(each, BaseModel | Mapping) for each in value):
        items = {str(index): each for index, each in enumerate(value)}
    else:
        yield key, plain(value)
        return
    for name, each in items.items():
        yield from _leaves(each, f"{key}.{name}" if key else name)


def _raw_differences(given: BaseModel, stored: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Differences from something that is no description of the class (any more): of what is stored alone."""
    known = dict(_leaves(given.model_dump(mode="json"), ""))
    wanted, found = dict(_leaves(given, "")), dict(_leaves(stored, ""))
    shared = [key for key in found if key in wanted or key not in known]
    return _compared({key: wanted[key] for key in shared if key in wanted}, {key: found[key] for key in shared})


def _compared(given: dict[str, Any], stored: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    pairs = {key: (given.get(key, _ABSENT), stored.get(key, _ABSENT)) for key in dict.fromkeys([*given, *stored])}
    return {key: (new, old) for key, (new, old) in pairs.items() if new != old}


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
