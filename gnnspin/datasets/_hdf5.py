"""HDF5 files that appear whole or not at all, with checksums, and errors that say what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from gnnspin.core.errors import GnnspinError, StoreError
from gnnspin.runs.files import replaced

FORMAT, VERSION = "gnnspin labels", 2

#: Rows are grouped into chunks, the unit of reading and of the checksums, of about this size.
CHUNK_BYTES = 65536


class _Stream:
    """File object for h5py that keeps write errors for later.

    HDF5 does not survive a failing write: objects that cannot be flushed crash the process at exit. After the first
    error nothing more is written, HDF5 closes in peace, and `check` raises the error.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._error: OSError | None = None

    def _attempt(self, action: Callable[[], Any]) -> None:
        if self._error is None:
            try:
                action()
            except OSError as error:
                self._error = error

    def write(self, data: Any) -> int:
        self._attempt(lambda: self._stream.write(data))
        return len(data)

    def read(self, size: int = -1) -> bytes:
        return self._stream.read(size)

    def readinto(self, buffer: Any) -> int:
        count = self._stream.readinto(buffer)  # type: ignore[attr-defined]
        buffer[count:] = bytes(len(buffer) - count)
        return len(buffer)

    def truncate(self, size: int) -> None:
        self._attempt(lambda: self._stream.truncate(size))

    def flush(self) -> None:
        self._attempt(self._stream.flush)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._attempt(lambda: self._stream.seek(offset, whence))
        return offset

    def tell(self) -> int:
        return self._stream.tell()

    def check(self) -> None:
        if self._error is not None:
            raise self._error


@contextmanager
def atomic_file(target: Path) -> Iterator[Any]:
    """An HDF5 file that replaces `target` when the block ends: temporary file, flush to disk, rename.

    Raises
    ------
    StoreError
        If it cannot be written; `target` is then as before.
    """
    try:
        with replaced(target) as temporary, open(temporary, "w+b") as file:
            stream = _Stream(file)
            with h5py.File(stream, "w") as content:
                yield content
            stream.check()
    except (OSError, RuntimeError) as error:
        if isinstance(error, GnnspinError):
            raise
        raise StoreError(f"cannot write {target}: {error}; is the disk full or read-only?") from error


@contextmanager
def reading(path: Path) -> Iterator[Any]:
    """`path` opened for reading, with `clear_errors`."""
    if not path.is_file():
        raise StoreError(f"{path} does not exist; make a store with LabelStore.create() or `gnnspin generate`")
    with clear_errors(path), h5py.File(path, "r") as file:
        yield file


@contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Turn what h5py raises on a damaged or foreign file into a StoreError that names it."""
    try:
        yield
    except GnnspinError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise StoreError(f"{path} is damaged or is not an HDF5 label store: {error}") from error


def write_header(file: Any, metadata: str) -> None:
    """Format, version and metadata; empty groups."""
    file.attrs.update({"format": FORMAT, "version": VERSION})
    file.create_dataset("metadata", data=metadata, dtype=h5py.string_dtype())
    file.create_group("systems", track_order=True)
    file.create_group("records", track_order=True)


def check_header(file: Any, path: Path) -> str:
    """The metadata string.

    Raises
    ------
    StoreError
        If the file is not a label store of a version this program reads.
    """
    if file.attrs.get("format") != FORMAT:
        raise StoreError(f"{path} is an HDF5 file, but not a {FORMAT.split()[0]} label store")
    if int(file.attrs["version"]) > VERSION:
        raise StoreError(f"{path} has format version {file.attrs['version']}; this program reads up to {VERSION}")
    return str(file["metadata"].asstr()[()])


def write_columns(group: Any, columns: Mapping[str, NDArray[Any]]) -> None:
    """Each array as a dataset; numeric ones with a checksum."""
    for name, values in columns.items():
        _create(group, name, np.asarray(values), len(values), filled=True)


def write_blocks(group: Any, blocks: Iterable[Mapping[str, NDArray[Any]]], count: int) -> None:
    """`count` rows, which come in blocks of successive ones, into one dataset per quantity."""
    first = 0
    for block in blocks:
        length = len(next(iter(block.values())))
        for name, values in block.items():
            dataset = group[name] if name in group else _create(group, name, values, count)
            dataset[first : first + length] = values
        first += length


def _create(group: Any, name: str, values: NDArray[Any], count: int, *, filled: bool = False) -> Any:
    """Dataset for `count` rows such as those of `values`, which are written at once if it is to be `filled`."""
    data = values if filled else None
    if values.dtype == object:
        return group.create_dataset(name, (count,), dtype=h5py.string_dtype(), data=data)
    shape = (count, *values.shape[1:])
    chunks = (max(1, min(count, CHUNK_BYTES // max(1, values.nbytes // len(values)))), *values.shape[1:])
    return group.create_dataset(name, shape, dtype=values.dtype, data=data, chunks=chunks, fletcher32=True)
