"""A folder or a file has one writer at a time: a lock that ends with the process, however that ends."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gnnspin.core.errors import StoreError

try:
    import fcntl
except ImportError:  # not a POSIX system: no protection against two writers
    fcntl = None  # type: ignore[assignment]


@dataclass
class _Held:
    """A lock of this process: its descriptor, the thread and process that took it, and how often."""

    descriptor: int
    thread: int
    process: int
    depth: int = 1


_held: dict[Path, _Held] = {}
_guard = threading.Lock()


class Ownership:
    """The right to write a file, or what is in a folder; ends with `release` or with the process.

    The lock is a hidden file beside the file, or in the folder, not the file itself: closing any other handle of a file
    would end a POSIX lock on it. A thread may own a path several times, as a training owns the folder that its caller
    owns already; another thread may not. On file systems without locks there is no protection.

    Parameters
    ----------
    path : path
        An existing folder, or a file that need not exist.
    kind : str
        What it is called in errors.

    Raises
    ------
    StoreError
        If another process or thread owns `path`, or its folder is missing or cannot be written.
    """

    def __init__(self, path: str | Path, kind: str = "output") -> None:
        path = Path(path)
        self._lock = _lock_file(path).resolve()
        self._released = False
        with _guard:
            held = _held.get(self._lock)
            if held is not None and held.process == os.getpid():
                if held.thread != threading.get_ident():
                    raise StoreError(f"{kind} {path} is being written by another thread")
                held.depth += 1
                return
            _held[self._lock] = _Held(_locked(self._lock, path, kind), threading.get_ident(), os.getpid())

    def release(self) -> None:
        """Give the path back; a second call does nothing."""
        if self._released:
            return
        self._released = True
        with _guard:
            held = _held.get(self._lock)
            if held is None or held.process != os.getpid():
                return
            held.depth -= 1
            if held.depth == 0:
                del _held[self._lock]
                self._lock.unlink(missing_ok=True)
                os.close(held.descriptor)


@contextmanager
def owned(path: str | Path, kind: str = "output") -> Iterator[None]:
    """Own a file or a folder during a block; see `Ownership`."""
    ownership = Ownership(path, kind)
    try:
        yield
    finally:
        ownership.release()


def is_lock(path: Path) -> bool:
    """Whether a file is the lock of a folder or of a file beside it; a killed process leaves it, without effect."""
    return path.name.startswith(".") and path.name.endswith(".lock")


def _lock_file(path: Path) -> Path:
    return path / ".run.lock" if path.is_dir() else path.with_name(f".{path.name}.lock")


def _locked(lock: Path, path: Path, kind: str) -> int:
    """Descriptor of the locked file `lock`; one that its last owner removed meanwhile is made anew."""
    while True:
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise StoreError(f"cannot write {kind} {path}: {error}") from error
        if fcntl is None:
            return descriptor
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError) as error:
            owner = os.read(descriptor, 200).decode(errors="replace") or "unknown"
            os.close(descriptor)
            raise StoreError(
                f"{kind} {path} is being written by another process ({owner}); wait for it, or choose another output"
            ) from error
        except OSError:  # a file system without locks
            return descriptor
        if lock.exists() and os.path.samestat(os.stat(lock), os.fstat(descriptor)):
            os.truncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
            return descriptor
        os.close(descriptor)
