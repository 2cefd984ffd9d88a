"""`LabelStore`: labels in one HDF5 file, appended atomically.

Layout of ``<path>`` (format version 1)::

    attributes: format = "gnnspin labels", version
    metadata: JSON
    systems/<fingerprint>/{positions, cell, pbc, species, lattice_shape?, polar_axis?}
    records/<fingerprint>/{number (R,), spins (R, N, 3), field (R, N, 3), density (R, N), scalars (R, 5),
                           provenance (R,)}

A new record is a small file ``<path>.pending/<number>-<fingerprint>.h5`` with the same ``records`` group, and the
first record of a system adds ``<path>.pending/system-<fingerprint>.h5``. Each appears by a rename after it was
written and flushed to disk, so a killed process or a full disk leaves everything appended before. `LabelStore.compact`
moves the pending records into the main file, which is rewritten and renamed as a whole; a pending record whose number
the main file already holds is ignored, so a crash between the two steps duplicates nothing. Numeric data carry
checksums. Missing numbers and densities are stored as NaN.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from gnnspin.core.errors import InvalidInput, StoreError
from gnnspin.datasets import _hdf5
from gnnspin.datasets.labels import SCALARS, Label, LabelSet, StackedLabels, optional_column
from gnnspin.systems.system import SpinSystem

_PENDING_RECORD = re.compile(r"(\d+)-([0-9a-f]+)\.h5")


@dataclass(frozen=True)
class _Location:
    """Where one record is: `row` of ``records/<fingerprint>`` in the file `pending`, or in the main file (None)."""

    number: int
    fingerprint: str
    row: int
    pending: Path | None


class LabelStore(LabelSet):
    """Labels in an HDF5 file; records are ordered by their number.

    Parameters
    ----------
    path : path
        An existing store; `LabelStore.create` makes a new one.

    Raises
    ------
    StoreError
        If the file is missing, damaged, or not a label store.

    Examples
    --------
    >>> store = LabelStore.create("labels.h5")                        # doctest: +SKIP
    >>> store.append(Label(system, spins, field, energy=-1.0))        # doctest: +SKIP
    >>> LabelStore("labels.h5")[0].field                              # doctest: +SKIP
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._pending = self.path.with_name(self.path.name + ".pending")
        self._handle: tuple[int, Any] = (0, None)
        self.refresh()

    @classmethod
    def create(cls, path: str | Path, metadata: Mapping[str, Any] | None = None) -> LabelStore:
        """Make an empty store.

        Parameters
        ----------
        path : path
            Its folder is made when missing.
        metadata : mapping, optional
            JSON-able description of the whole store.

        Raises
        ------
        StoreError
            If the file, or records that belong to a file of this name, exist, or it cannot be written.
        """
        target = Path(path)
        pending = target.with_name(target.name + ".pending")
        if target.exists():
            raise StoreError(f"{target} exists; choose another name, or open it with LabelStore({str(target)!r})")
        if pending.exists() and any(pending.iterdir()):
            raise StoreError(f"{pending} holds records of a store that was removed; move or delete that folder first")
        with _hdf5.atomic_file(target) as file:
            _hdf5.write_header(file, json.dumps(dict(metadata or {})))
        return cls(target)

    def refresh(self) -> None:
        """Look again at what is on disk, such as records that other processes appended."""
        self._close()
        self._locations: list[_Location] = []
        self._systems: dict[str, SpinSystem] = {}
        with _hdf5.reading(self.path) as file:
            self.metadata: dict[str, Any] = json.loads(_hdf5.check_header(file, self.path))
            for fingerprint, group in file["records"].items():
                numbers = enumerate(group["number"][:].tolist())
                self._locations += [_Location(number, fingerprint, row, None) for row, number in numbers]
            for fingerprint, group in file["systems"].items():
                self._systems[fingerprint] = _read_system(group)
        known = {location.number for location in self._locations}
        for file_path in sorted(self._pending.glob("*.h5")):
            match = _PENDING_RECORD.fullmatch(file_path.name)
            if match and int(match[1]) not in known:
                known.add(int(match[1]))
                self._locations.append(_Location(int(match[1]), match[2], 0, file_path))
        self._locations.sort(key=lambda location: location.number)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handle": (0, None)}

    def __len__(self) -> int:
        return len(self._locations)

    def __str__(self) -> str:
        text = f"{len(self)} labels of {len(self.systems)} systems"
        return text if len(self) else f"{text}; labels appended and not compacted belong in {self._pending} beside it"

    def __repr__(self) -> str:
        return f"LabelStore({str(self.path)!r}, {len(self)} labels of {len(self.systems)} systems)"

    @property
    def numbers(self) -> tuple[int, ...]:
        """Record numbers, ascending; ``store[i]`` is record ``numbers[i]``."""
        return tuple(location.number for location in self._locations)

    @property
    def _fingerprints(self) -> list[str]:
        """Fingerprints of the systems in order of first appearance."""
        return list(dict.fromkeys(location.fingerprint for location in self._locations))

    @property
    def systems(self) -> tuple[SpinSystem, ...]:
        """The distinct systems that have labels, in order of first appearance."""
        return tuple(self._system(fingerprint) for fingerprint in self._fingerprints)

    @property
    def system_index(self) -> NDArray[np.int64]:
        """See `LabelSet.system_index`."""
        rank = {fingerprint: k for k, fingerprint in enumerate(self._fingerprints)}
        return np.array([rank[location.fingerprint] for location in self._locations], dtype=np.int64)

    def append(self, label: Label, *, number: int | None = None) -> int:
        """Add one label; when this returns, the record is on disk.

        Parameters
        ----------
        label : Label
        number : int, optional
            Record number, which decides the order; default one above the largest. Several processes may append at
            the same time if they use different numbers.

        Returns
        -------
        int
            The record's number.

        Raises
        ------
        InvalidInput
            If the number is negative or the provenance is not JSON-able.
        StoreError
            If the number is taken, or the file cannot be written (a full disk): the store is then as before.
        """
        if number is None:
            number = self._locations[-1].number + 1 if self._locations else 0
        if number < 0:
            raise InvalidInput(f"record number {number} must not be negative")
        if number in self.numbers or any(self._pending.glob(f"{number:08d}-*.h5")):
            raise StoreError(f"{self.path} already has a record number {number}; refresh() shows it")
        fingerprint = label.system.fingerprint
        target = self._pending / f"{number:08d}-{fingerprint}.h5"
        row = _columns([label], [number])
        self._append_system(label.system)
        with _hdf5.atomic_file(target) as file:
            _hdf5.write_columns(file.create_group(f"records/{fingerprint}"), row)
        self._locations.append(_Location(number, fingerprint, 0, target))
        self._locations.sort(key=lambda location: location.number)
        return number

    def _append_system(self, system: SpinSystem) -> None:
        target = self._pending / f"system-{system.fingerprint}.h5"
        if system.fingerprint not in self._systems and not target.exists():
            with _hdf5.atomic_file(target) as file:
                _hdf5.write_columns(file.create_group(f"systems/{system.fingerprint}"), system.arrays())
        self._systems[system.fingerprint] = system

    def compact(self) -> None:
        """Move pending records into the main file.

        One process may compact, while no other appends; readers refresh after it.

        Raises
        ------
        StoreError
            If the new file cannot be written or a record cannot be read; the store is then as before.
        """
        self.refresh()
        if any(location.pending is not None for location in self._locations):
            self._rewrite()
        with _hdf5.reading(self.path) as file:
            systems = set(file["systems"])
            numbers = {number for group in file["records"].values() for number in group["number"][:].tolist()}
        for file_path in self._pending.glob("*.h5"):
            match = _PENDING_RECORD.fullmatch(file_path.name)
            if int(match[1]) in numbers if match else file_path.stem.removeprefix("system-") in systems:
                file_path.unlink()
        if self._pending.exists() and not any(self._pending.iterdir()):
            self._pending.rmdir()
        self.refresh()

    def _rewrite(self) -> None:
        """Replace the main file by one with all records; what a killed process left of an earlier try is removed."""
        for leftover in [*self.path.parent.glob(f".{self.path.name}.*.tmp"), *self._pending.glob(".*.tmp")]:
            leftover.unlink(missing_ok=True)
        with _hdf5.atomic_file(self.path) as file:
            _hdf5.write_header(file, json.dumps(self.metadata))
            for fingerprint in self._fingerprints:
                locations = [each for each in self._locations if each.fingerprint == fingerprint]
                system = file.create_group(f"systems/{fingerprint}")
                _hdf5.write_columns(system, self._system(fingerprint).arrays())
                records = file.create_group(f"records/{fingerprint}")
                _hdf5.write_rows(records, (self._row(each) for each in locations), len(locations))
            self._close()

    def _close(self) -> None:
        process, handle = self._handle
        if handle is not None and process == os.getpid():
            handle.close()
        self._handle = (0, None)

    def _system(self, fingerprint: str) -> SpinSystem:
        if fingerprint not in self._systems:
            with _hdf5.reading(self._pending / f"system-{fingerprint}.h5") as file:
                self._systems[fingerprint] = _read_system(file["systems"][fingerprint])
        return self._systems[fingerprint]

    @contextmanager
    def _group(self, location: _Location) -> Iterator[Any]:
        """The HDF5 group that holds a record; the main file stays open, once in each process."""
        if location.pending is not None:
            with _hdf5.reading(location.pending) as file:
                yield file["records"][location.fingerprint]
            return
        with _hdf5.clear_errors(self.path):
            if self._handle[0] != os.getpid():
                self._handle = (os.getpid(), h5py.File(self.path, "r"))
            yield self._handle[1]["records"][location.fingerprint]

    def _row(self, location: _Location) -> dict[str, Any]:
        with self._group(location) as group:
            return {name: group[name][location.row] for name in group}

    def _label(self, index: int) -> Label:
        location = self._locations[index]
        row = self._row(location)
        scalars = {name: None if np.isnan(x) else float(x) for name, x in zip(SCALARS, row["scalars"], strict=True)}
        return Label(
            system=self._system(location.fingerprint),
            spins=torch.from_numpy(row["spins"]),
            field=torch.from_numpy(row["field"]),
            density=optional_column(row["density"]),
            provenance=json.loads(row["provenance"]),
            **scalars,
        )

    def _stacked(self, indices: NDArray[np.int64]) -> StackedLabels:
        locations = [self._locations[index] for index in indices]
        columns = {name: self._column(locations, name) for name in ("spins", "field", "density", "scalars")}
        return StackedLabels(
            system=self._system(locations[0].fingerprint),
            spins=torch.from_numpy(columns["spins"]),
            field=torch.from_numpy(columns["field"]),
            density=optional_column(columns["density"]),
            **{name: optional_column(columns["scalars"][:, k]) for k, name in enumerate(SCALARS)},
        )

    def _column(self, locations: list[_Location], name: str) -> NDArray[np.float64]:
        """One quantity of records of one system, read from the main file in a single slice where possible."""
        main = [k for k, location in enumerate(locations) if location.pending is None]
        parts: dict[int, NDArray[np.float64]] = {}
        if main:
            rows = np.array([locations[k].row for k in main])
            with self._group(locations[main[0]]) as group:
                block = group[name][rows.min() : rows.max() + 1][rows - rows.min()]
            parts = dict(zip(main, block, strict=True))
        for k, location in enumerate(locations):
            if location.pending is not None:
                with self._group(location) as group:
                    parts[k] = group[name][0]
        return np.stack([parts[k] for k in range(len(locations))])


def _columns(labels: list[Label], numbers: list[int]) -> dict[str, Any]:
    """The arrays of ``records/<fingerprint>`` for labels of one system."""
    try:
        provenance = [json.dumps(dict(label.provenance), allow_nan=False) for label in labels]
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"the provenance of a label must be JSON-able: {error}") from error
    scalars = [[getattr(label, name) for name in SCALARS] for label in labels]
    missing = torch.full((labels[0].system.n_sites,), torch.nan, dtype=torch.float64)
    density = [missing if label.density is None else label.density for label in labels]
    return {
        "number": np.array(numbers, dtype=np.int64),
        "spins": torch.stack([label.spins for label in labels]).numpy(),
        "field": torch.stack([label.field for label in labels]).numpy(),
        "density": torch.stack(density).numpy(),
        "scalars": np.array(scalars, dtype=np.float64),
        "provenance": np.array(provenance, dtype=object),
    }


def _read_system(group: Any) -> SpinSystem:
    return SpinSystem.from_arrays({name: dataset[()] for name, dataset in group.items()})
