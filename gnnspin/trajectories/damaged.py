"""Trajectory files that were cut short, such as copies made while the disk filled: how much of one is left.

HDF5 refuses a closed file that is shorter than its superblock says, but takes one that a killed writer left open, reads
zeros beyond its end, and tries metadata there again for minutes. The superblock (version 2 and 3 of the HDF5 file
format specification, section II.A) names the end of the allocation, so that such files are recognised before HDF5 opens
them.
"""

from __future__ import annotations

import io
import struct
from itertools import product
from pathlib import Path
from typing import Any

import h5py

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
#: Bytes of a superblock of version 2 or 3 with addresses of 8 bytes: 12 of header, four addresses, a checksum.
_SUPERBLOCK = 48


def allocated_bytes(path: Path) -> int | None:
    """Size that the file says it has; None where its superblock does not tell."""
    with path.open("rb") as raw:
        return _allocated(raw.read(_SUPERBLOCK))


def _allocated(head: bytes) -> int | None:
    if len(head) < _SUPERBLOCK or head[:8] != _SIGNATURE or head[8] not in (2, 3) or head[9] != 8:
        return None
    return int(struct.unpack_from("<Q", head, 28)[0])


def open_damaged(path: Path) -> h5py.File:
    """Open what is left of a file that was cut short, for reading; beyond its end there are zeros.

    Raises
    ------
    OSError, RuntimeError, KeyError
        From h5py, if the metadata that are needed lie beyond the end.
    """
    return h5py.File(PaddedFile(path), "r", libver="latest")


def whole_rows(dataset: h5py.Dataset, rows: int, size: int) -> int:
    """How many of the first `rows` rows of a chunked dataset lie, with all before them, in the first `size` bytes."""
    steps = [range(0, extent, chunk) for extent, chunk in zip(dataset.shape[1:], dataset.chunks[1:], strict=True)]
    for first in range(0, rows, dataset.chunks[0]):
        for corner in product([first], *steps):
            try:
                chunk = dataset.id.get_chunk_info_by_coord(corner)
            except (RuntimeError, OSError):  # the index of the chunks is itself beyond the end
                return first
            if chunk.byte_offset is None or chunk.byte_offset + chunk.size > size:
                return first
    return rows


class PaddedFile(io.RawIOBase):
    """A file as if it had the size that its superblock says, filled up with zeros, and were closed by its writer."""

    def __init__(self, path: Path) -> None:
        self._raw = path.open("rb")
        head = self._raw.read(_SUPERBLOCK)
        size = self._raw.seek(0, io.SEEK_END)
        self._size = max(size, _allocated(head) or 0)
        self._head = closed_superblock(head)
        self._position = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to `offset`, counted as for any file."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """The present position."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` from the present position."""
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._size - self._position))
        self._raw.seek(self._position)
        content = self._raw.read(count)
        view[:count] = content + bytes(count - len(content))
        overlap = self._head[self._position : self._position + count]
        view[: len(overlap)] = overlap
        self._position += count
        return count

    def close(self) -> None:
        """Close the file underneath."""
        self._raw.close()
        super().close()


def closed_superblock(head: bytes) -> bytes:
    """The superblock without the flags that say a writer has the file open."""
    if _allocated(head) is None:
        return head
    fields = head[:11] + b"\0" + head[12 : _SUPERBLOCK - 4]
    return fields + struct.pack("<I", lookup3(fields))


def lookup3(data: bytes) -> int:
    """Bob Jenkins' hash ``hashlittle`` with initial value 0, the checksum of HDF5's metadata (public domain, 2006)."""
    a = b = c = (0xDEADBEEF + len(data)) & 0xFFFFFFFF
    padded = data + bytes(-len(data) % 12)
    words = struct.unpack(f"<{len(padded) // 4}I", padded)
    for k in range(0, len(words) - 3, 3):
        a, b, c = _mix(a + words[k], b + words[k + 1], c + words[k + 2])
    if not words:
        return c
    return _final(a + words[-3], b + words[-2], c + words[-1])


def _rotated(value: int, bits: int) -> int:
    return ((value << bits) | (value >> (32 - bits))) & 0xFFFFFFFF


def _mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    """Six lines ``a -= c; a ^= rot(c, bits); c += b`` of the published macro, its names turned round after each."""
    a, b, c = a & 0xFFFFFFFF, b & 0xFFFFFFFF, c & 0xFFFFFFFF
    for bits in (4, 6, 8, 16, 19, 4):
        a, b, c = b, (c + b) & 0xFFFFFFFF, ((a - c) & 0xFFFFFFFF) ^ _rotated(c, bits)
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    """Seven lines ``c ^= b; c -= rot(b, bits)`` of the published macro, its names turned round after each."""
    a, b, c = a & 0xFFFFFFFF, b & 0xFFFFFFFF, c & 0xFFFFFFFF
    for bits in (14, 11, 25, 16, 4, 14, 24):
        c, b, a = a, ((c ^ b) - _rotated(b, bits)) & 0xFFFFFFFF, b
    return b
