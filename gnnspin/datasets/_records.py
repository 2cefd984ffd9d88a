"""The layout of label records in HDF5: one named dataset per quantity, and how labels become rows of them and back.

Files of format version 1 hold the numbers in one dataset ``scalars (R, 5)``, in the order of `SCALARS`; they are read
here like those of today.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from gnnspin.core.errors import InvalidInput
from gnnspin.datasets.labels import SCALARS, Label, StackedLabels, optional_column
from gnnspin.systems.system import SpinSystem

#: Every quantity of a record, in the order in which it is written.
QUANTITIES = ("number", "spins", "field", "density", *SCALARS, "provenance")

#: The numbers of files of format version 1.
_UNNAMED = "scalars"

Columns = dict[str, NDArray[Any]]


def record_columns(label: Label, number: int) -> Columns:
    """Arrays of one row that hold a label; a quantity it lacks is NaN.

    Raises
    ------
    InvalidInput
        If its provenance cannot be written as JSON.
    """
    try:
        provenance = json.dumps(dict(label.provenance), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"the provenance of a label must be JSON-able: {error}") from error
    missing = torch.full((label.system.n_sites,), torch.nan, dtype=torch.float64)
    numbers = {name: getattr(label, name) for name in SCALARS}
    return {
        "number": np.array([number], dtype=np.int64),
        "spins": label.spins[None].numpy(),
        "field": label.field[None].numpy(),
        "density": (missing if label.density is None else label.density)[None].numpy(),
        **{name: np.array([np.nan if value is None else value]) for name, value in numbers.items()},
        "provenance": np.array([provenance], dtype=object),
    }


def read_columns(group: Any, rows: NDArray[np.int64], names: Sequence[str]) -> Columns:
    """Rows of a group of records, in the order given, read in one slice of each dataset."""
    first = int(rows.min())
    window, order = slice(first, int(rows.max()) + 1), rows - first
    return _named({name: group[name][window][order] for name in _present(group, names)}, names)


def read_record(group: Any, names: Sequence[str]) -> Columns:
    """The one row of a group, by calls that cost a tenth of those of `h5py.Dataset`: there may be a file per record."""
    columns: Columns = {}
    for name in _present(group, names):
        dataset = h5py.h5d.open(group.id, name.encode())
        columns[name] = np.empty(dataset.shape, dataset.dtype)
        dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, columns[name])
    return _named(columns, names)


def _present(group: Any, names: Sequence[str]) -> list[str]:
    """The datasets that hold the quantities `names`."""
    if _UNNAMED not in group:
        return list(names)
    unnamed = [_UNNAMED] if any(name in SCALARS for name in names) else []
    return [name for name in names if name not in SCALARS] + unnamed


def _named(columns: Columns, names: Sequence[str]) -> Columns:
    unnamed = columns.get(_UNNAMED)
    return {
        name: columns[name] if unnamed is None or name not in SCALARS else unnamed[:, SCALARS.index(name)]
        for name in names
    }


def label_of(system: SpinSystem, columns: Columns, row: int) -> Label:
    """The label in one row of columns that hold all quantities."""
    numbers = {name: float(columns[name][row]) for name in SCALARS}
    return Label(
        system=system,
        spins=torch.from_numpy(columns["spins"][row]),
        field=torch.from_numpy(columns["field"][row]),
        density=optional_column(columns["density"][row]),
        provenance=provenance_of(columns["provenance"][row]),
        **{name: None if np.isnan(value) else value for name, value in numbers.items()},
    )


def provenance_of(text: str | bytes) -> Mapping[str, Any]:
    """The mapping that a row of ``provenance`` holds."""
    return json.loads(text)


def stacked_of(system: SpinSystem, columns: Columns) -> StackedLabels:
    """All rows as arrays of one system."""
    return StackedLabels(
        system=system,
        spins=torch.from_numpy(columns["spins"]),
        field=torch.from_numpy(columns["field"]),
        **{name: optional_column(columns[name]) for name in ("density", *SCALARS)},
    )
