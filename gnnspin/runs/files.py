"""Files that a kill cannot spoil: written beside their place, flushed to disk, and moved there in one step."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

from gnnspin.core.errors import StoreError


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Name to write a file or a folder to, which takes the place of `path` when the block ends.

    It is on disk before it gets its name, and removed if the block raises: at every moment, a kill or a power cut
    included, `path` is the old one or the new one, whole. A folder takes the place of none or of an empty one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        for file in [*temporary.rglob("*"), temporary] if temporary.is_dir() else [temporary]:
            _flush(file)
        os.replace(temporary, path)
    except BaseException:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
        raise
    _flush(path.parent)


def leftovers(folder: Path, name: str | None = None) -> list[Path]:
    """Temporary files that killed writers of the file `name`, or of any file, left in a folder."""
    return sorted(folder.glob(f".{'*' if name is None else escape(name)}.*.tmp"))


def write_text(path: Path, text: str) -> None:
    """Replace a text file (UTF-8) in one step."""
    with replaced(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Replace a JSON file in one step."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Content of a JSON file.

    Raises
    ------
    StoreError
        If the file is missing or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(f"{path} does not exist") from None
    except ValueError as error:
        raise StoreError(f"{path} is damaged ({error}); remove it, or choose another output") from error


def _flush(path: Path) -> None:
    """Make a file's content, or a folder's entries, survive a power cut, where the platform can."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:  # a file system that cannot
        pass
    finally:
        os.close(descriptor)
