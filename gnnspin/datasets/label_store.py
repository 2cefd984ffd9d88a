"""`LabelStore`: labels in one HDF5 file, appended atomically.

Layout of ``<path>`` (format version 2)::

    attributes: format = "gnnspin labels", version
    metadata: JSON
    systems/<fingerprint>/{positions, cell, pbc, species, lattice_shape?, polar_axis?}
    records/<fingerprint>/{number (R,), spins (R, N, 3), field (R, N, 3), density (R, N), energy (R,),
                           internal_energy (R,), entropy (R,), mu (R,), n_electrons (R,), provenance (R,)}

A new record is a small file ``<path>.pending/<number>-<fingerprint>.h5`` with the same ``records`` group, and the
first record of a system adds ``<path>.pending/system-<fingerprint>.h5``. Each appears by a rename after it was
written and flushed to disk, so a killed process or a full disk leaves everything appended before. `LabelStore.compact`
moves the pending records into the main file, which is rewritten and renamed as a whole; a pending record whose number
the main file already holds is ignored, so a crash between the two steps duplicates nothing. Numeric data carry
checksums. Missing numbers and densities are stored as NaN. Files of version 1 are read, and become version 2 when they
are compacted.
"""

from __future__ import annotations

import json
import os
import re
from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from gnnspin.core.errors import InvalidInput, StoreError
from gnnspin.core.modes import independent_of_modes
from gnnspin.datasets import _hdf5
from gnnspin.datasets._records import (
    QUANTITIES,
    Columns,
    label_of,
    provenance_of,
    read_columns,
    read_record,
    record_columns,
    stacked_of,
)
from gnnspin.datasets.labels import Label, LabelSet, StackedLabels
from gnnspin.systems.system import SpinSystem

_PENDING_RECORD = re.compile(r"(\d+)-([0-9a-f]+)\.h5")


#: Bytes of records that are in memory at a time while a store is rewritten.
_BLOCK_BYTES = 1 << 22

#: How often a reader looks for records again that others keep moving.
_ATTEMPTS = 5


class _Moved(Exception):
    """Records are no longer where they were seen: another process compacted the store."""


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
        self._systems: dict[str, SpinSystem] = {}
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
        self._locations = self._scan()
        self._numbers = {location.number for location in self._locations}

    def _scan(self) -> list[_Location]:
        """Where every record is now, by number.

        Pending files are listed before the main file is read, so that a record on its way from one to the other is
        seen at least once.
        """
        self._close()
        pending = [(file, _PENDING_RECORD.fullmatch(file.name)) for file in sorted(self._pending.glob("*.h5"))]
        self._seen = self._main_identity()
        found: dict[int, _Location] = {}
        with _hdf5.reading(self.path) as file:
            self.metadata: dict[str, Any] = json.loads(_hdf5.check_header(file, self.path))
            for fingerprint, group in file["records"].items():
                for row, number in enumerate(group["number"][:].tolist()):
                    found[number] = _Location(number, fingerprint, row, None)
            for fingerprint, group in file["systems"].items():
                if fingerprint not in self._systems:
                    self._systems[fingerprint] = _read_system(group)
        for file_path, match in pending:
            if match and int(match[1]) not in found:
                found[int(match[1])] = _Location(int(match[1]), match[2], 0, file_path)
            elif match and found[int(match[1])].pending is not None:
                raise StoreError(
                    f"two processes appended record number {int(match[1])}: {found[int(match[1])].pending} and "
                    f"{file_path}; keep one of the files, or rename one to a free number"
                )
        return [found[number] for number in sorted(found)]

    def _main_identity(self) -> tuple[int, int, int]:
        """Inode, modification time and size of the main file, by which a file that took its place is recognised."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return (0, 0, 0)
        return status.st_ino, status.st_mtime_ns, status.st_size

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
        """For each label, its position in `systems`, shape (len,)."""
        rank = {fingerprint: k for k, fingerprint in enumerate(self._fingerprints)}
        return np.array([rank[location.fingerprint] for location in self._locations], dtype=np.int64)

    @independent_of_modes
    def append(self, label: Label, *, number: int | None = None) -> int:
        """Add one label; when this returns, the record is on disk.

        Parameters
        ----------
        label : Label
        number : int, optional
            Record number, which decides the order; default one above the largest. Several processes may append at
            the same time if they use different numbers: each pays for its own label alone, whatever else is there. Two
            labels of one number that processes appended unseen by each other are an error of `refresh`.

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
        fingerprint = label.system.fingerprint
        target = self._pending / f"{number:08d}-{fingerprint}.h5"
        if number in self._numbers or target.exists():
            raise StoreError(f"{self.path} already has a record number {number}; refresh() shows it")
        row = record_columns(label, number)
        self._append_system(label.system)
        with _hdf5.atomic_file(target) as file:
            _hdf5.write_columns(file.create_group(f"records/{fingerprint}"), row)
        insort(self._locations, _Location(number, fingerprint, 0, target), key=lambda location: location.number)
        self._numbers.add(number)
        return number

    def _append_system(self, system: SpinSystem) -> None:
        target = self._pending / f"system-{system.fingerprint}.h5"
        if system.fingerprint not in self._systems and not target.exists():
            with _hdf5.atomic_file(target) as file:
                _hdf5.write_columns(file.create_group(f"systems/{system.fingerprint}"), system.arrays())
        self._systems[system.fingerprint] = system

    def compact(self) -> None:
        """Move pending records into the main file.

        One process may compact, while no other appends. Open readers go on to read the labels they knew; `refresh`
        shows them new ones.

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
                system = self._system(fingerprint)
                _hdf5.write_columns(file.create_group(f"systems/{fingerprint}"), system.arrays())
                rows = max(1, _BLOCK_BYTES // (56 * system.n_sites))
                blocks = (
                    self._read(locations[first : first + rows], QUANTITIES) for first in range(0, len(locations), rows)
                )
                _hdf5.write_blocks(file.create_group(f"records/{fingerprint}"), blocks, len(locations))
            self._close()

    def _close(self) -> None:
        process, handle = self._handle
        if handle is not None and process == os.getpid():
            handle.close()
        self._handle = (0, None)

    def _system(self, fingerprint: str) -> SpinSystem:
        if fingerprint not in self._systems:
            pending = self._pending / f"system-{fingerprint}.h5"
            if not pending.exists():
                self._scan()  # compacted by another process: the main file has it
        if fingerprint not in self._systems:
            with _hdf5.reading(pending) as file:
                self._systems[fingerprint] = _read_system(file["systems"][fingerprint])
        return self._systems[fingerprint]

    def _main(self) -> Any:
        """The open main file, once in each process.

        Raises
        ------
        _Moved
            If another file took its place since its rows were counted.
        """
        if self._handle[0] != os.getpid():
            self._handle = (os.getpid(), h5py.File(self.path, "r"))
            if self._main_identity() != self._seen:
                self._close()
                raise _Moved
        return self._handle[1]

    def _read(self, locations: Sequence[_Location], names: Sequence[str]) -> Columns:
        """Quantities of records of one system, in the order of `locations`."""
        fingerprint = locations[0].fingerprint
        main = [k for k, location in enumerate(locations) if location.pending is None]
        if len(main) == len(locations):
            with _hdf5.clear_errors(self.path):
                rows = np.array([location.row for location in locations])
                return read_columns(self._main()["records"][fingerprint], rows, names)
        parts: dict[str, list[Any]] = {name: [None] * len(locations) for name in names}
        if main:
            block = self._read([locations[k] for k in main], names)
            for name, values in block.items():
                for k, value in zip(main, values, strict=True):
                    parts[name][k] = value
        for k, location in enumerate(locations):
            if location.pending is not None:
                for name, values in _read_pending(location, names).items():
                    parts[name][k] = values[0]
        return {name: np.array(values, dtype=_dtype(values[0])) for name, values in parts.items()}

    def _columns(self, indices: NDArray[np.int64], names: Sequence[str]) -> Columns:
        """Quantities of the labels `indices`, all of one system, wherever their records are by now."""
        for _ in range(_ATTEMPTS):
            try:
                return self._read([self._locations[index] for index in indices], names)
            except _Moved:
                now = {location.number: location for location in self._scan()}
                gone = sorted(self._numbers - now.keys())
                if gone:
                    raise StoreError(
                        f"{self.path} was replaced by a store without record {gone[0]}; open it again"
                    ) from None
                self._locations = [now[location.number] for location in self._locations]
        raise StoreError(f"{self.path} is compacted again and again by another process; read it when that is done")

    def _label(self, index: int) -> Label:
        return self._labels_at(np.array([index]))[0]

    def _labels_at(self, indices: NDArray[np.int64]) -> list[Label]:
        labels: dict[int, Label] = {}
        for fingerprint, own in self._by_fingerprint(indices).items():
            columns = self._columns(own, QUANTITIES)
            system = self._system(fingerprint)
            labels |= {int(index): label_of(system, columns, row) for row, index in enumerate(own)}
        return [labels[int(index)] for index in indices]

    def _provenances(self, indices: NDArray[np.int64]) -> list[Mapping[str, Any]]:
        texts: dict[int, Any] = {}
        for own in self._by_fingerprint(indices).values():
            texts |= dict(zip(own.tolist(), self._columns(own, ("provenance",))["provenance"], strict=True))
        return [provenance_of(texts[int(index)]) for index in indices]

    def _by_fingerprint(self, indices: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        groups: dict[str, list[int]] = {}
        for index in indices.tolist():
            groups.setdefault(self._locations[index].fingerprint, []).append(index)
        return {fingerprint: np.array(own) for fingerprint, own in groups.items()}

    def _stacked(self, indices: NDArray[np.int64]) -> StackedLabels:
        names = [name for name in QUANTITIES if name not in ("number", "provenance")]
        return stacked_of(self._system(self._locations[indices[0]].fingerprint), self._columns(indices, names))


def _read_pending(location: _Location, names: Sequence[str]) -> Columns:
    assert location.pending is not None
    if not location.pending.exists():
        raise _Moved
    with _hdf5.reading(location.pending) as file:
        return read_record(file[f"records/{location.fingerprint}"], names)


def _dtype(value: Any) -> Any:
    return object if isinstance(value, str | bytes) else np.asarray(value).dtype


def _read_system(group: Any) -> SpinSystem:
    return SpinSystem.from_arrays({name: dataset[()] for name, dataset in group.items()})
