"""Parameters of a Hamiltonian by name: where they stand in the record of a label, and how they are exchanged there.

A name is the end of a path in the record's sections ``hamiltonian`` and ``solver``: ``J``, ``filling``, ``mu``, ``kT``,
``voltage``, ``hopping.t``, or ``amplitudes.1`` for the second number of a list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator

from gnnspin.core.errors import InvalidInput
from gnnspin.datasets.labels import LabelSet

#: Sections of a label's provenance in which names are looked up.
SECTIONS = ("hamiltonian", "solver")

_Path = tuple[str, ...]


def _ordered(ranges: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    for name, (low, high) in ranges.items():
        if not low < high:
            raise ValueError(f"range of {name} is [{low:g}, {high:g}]; give [low, high] with low < high")
    return ranges


#: Ranges [low, high] of parameters by name.
Ranges: TypeAlias = Annotated[dict[str, tuple[float, float]], AfterValidator(_ordered)]


def range_text(ranges: Mapping[str, tuple[float, float]]) -> str:
    """Parameters with their ranges, in words."""
    return ", ".join(f"{name} from {low:g} to {high:g}" for name, (low, high) in ranges.items())


def point_text(values: Mapping[str, float]) -> str:
    """Values of parameters, in words."""
    return ", ".join(f"{name} = {value:g}" for name, value in values.items())


def parameter_path(name: str, record: Mapping[str, Any]) -> _Path:
    """Path of a Hamiltonian's parameter in a record, found by the end of the path.

    Parameters
    ----------
    name : str
        Such as ``J``, ``filling``, ``hopping.t``, ``amplitudes.1``.
    record : mapping
        Sections ``hamiltonian`` and ``solver``, as in `Label.provenance`.

    Raises
    ------
    InvalidInput
        If the record has no such parameter, or several; names those that there are.
    """
    wanted = tuple(name.split("."))
    paths = [path for section in SECTIONS if section in record for path in _leaves(record[section], (section,))]
    found = [path for path in paths if path[-len(wanted) :] == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(".".join(path) for path in found)
        raise InvalidInput(f"parameter {name!r} is ambiguous: {listed}; give more of its path")
    known = ", ".join(".".join(path) for path in paths) or "none: the record tells no Hamiltonian"
    raise InvalidInput(f"there is no parameter {name!r}; numbers here: {known}")


def parameter_value(name: str, record: Mapping[str, Any]) -> float:
    """Value of a Hamiltonian's parameter in a record; see `parameter_path`.

    Raises
    ------
    InvalidInput
        If there is no such parameter, or it has no value, such as ``mu`` of a solver at fixed filling.
    """
    path = parameter_path(name, record)
    value: Any = record
    for key in path:
        value = value[int(key)] if isinstance(value, Sequence) else value[key]
    if value is None:
        raise InvalidInput(f"parameter {name!r} ({'.'.join(path)}) is not set in this Hamiltonian; name one that is")
    return float(value)


def with_parameters(record: Mapping[str, Any], values: Mapping[str, float]) -> dict[str, Any]:
    """Copy of a record with some parameters of its Hamiltonian exchanged; see `parameter_path` for names and errors."""
    result: Any = _copied(record)
    for name, value in values.items():
        path = parameter_path(name, record)
        inner = result
        for key in path[:-1]:
            inner = inner[int(key)] if isinstance(inner, list) else inner[key]
        if isinstance(inner, list):
            inner[int(path[-1])] = value
        else:
            inner[path[-1]] = value
    return dict(result)


def label_parameters(labels: LabelSet, names: Sequence[str]) -> NDArray[np.float64]:
    """Parameters of the Hamiltonian behind every label, (len, P), from the record of where the labels come from.

    Parameters
    ----------
    labels : LabelSet
    names : sequence of P str

    Raises
    ------
    InvalidInput
        If the record of a label lacks one of them; says which label, and what its record holds.
    """
    rows: list[list[float]] = []
    known: dict[int, list[float]] = {}
    for k, provenance in enumerate(labels.provenances):
        key = hash(repr([provenance.get(section) for section in SECTIONS]))
        if key not in known:
            try:
                known[key] = [parameter_value(name, provenance) for name in names]
            except InvalidInput as error:
                raise InvalidInput(f"label {k}: {error}") from error
        rows.append(known[key])
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(names))


def require_varied(labels: LabelSet, names: Sequence[str]) -> None:
    """InvalidInput where labels lack a parameter of the Hamiltonian, or have one value of it throughout."""
    values = label_parameters(labels, names)
    for name, column in zip(names, values.T, strict=True):
        if len(column) and column.min() == column.max():
            raise InvalidInput(
                f"all {len(labels)} labels have {name}={column[0]:g}, which tells nothing of its influence; add "
                f"labels with other values (`family` of `gnnspin generate`), or leave {name} out of the conditions"
            )


def label_groups(labels: LabelSet, names: Sequence[str]) -> Iterator[tuple[NDArray[np.int64], tuple[float, ...]]]:
    """Indices of the labels of one system and one Hamiltonian, and its parameters `names`; see `label_parameters`.

    Without names the groups are those of `LabelSet.by_system`.
    """
    if not names:
        yield from ((indices, ()) for indices in labels.by_system().values())
        return
    values = label_parameters(labels, names)
    for indices in labels.by_system().values():
        points, owner = np.unique(values[indices], axis=0, return_inverse=True)
        for k, point in enumerate(points):
            yield indices[np.ravel(owner) == k], tuple(point.tolist())


def _leaves(value: Any, path: _Path) -> Iterator[_Path]:
    """Paths of all numbers, and of what is not set."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for k, inner in enumerate(value):
            yield from _leaves(inner, (*path, str(k)))
    elif value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        yield path


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(inner) for key, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list | tuple) else value
