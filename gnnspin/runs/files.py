"""Files of long runs: replaced in one step, in directories that belong to one configuration."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from gnnspin.core.config import Config
from gnnspin.core.errors import StoreError


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """Name to write to: that file takes the place of `path` when the block ends, and is removed if it raises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def claim(path: Path, settings: Config, *, resume: bool, kind: str) -> None:
    """Describe a run in a file of its new directory, or check that it is the run already there.

    A directory that holds nothing but a description is new: nothing was computed yet.

    Parameters
    ----------
    path : Path
        JSON file in the directory of the run.
    settings : Config
        Options that a stored description does not know yet have their defaults there; one whose default is None was
        not recorded, and is not compared.
    resume : bool
        Accept a directory that holds files.
    kind : str
        What the run is called in errors.

    Raises
    ------
    StoreError
        If the directory holds results and `resume` is false, or those of another run or none.
    """
    directory = path.parent
    leftover = f".{path.name}.*.tmp"  # of a run killed while it wrote its description
    if directory.exists() and any(file != path and not file.match(leftover) for file in directory.iterdir()):
        if not resume:
            raise StoreError(f"{directory} is not empty; choose another directory, or resume to continue there")
        if not path.exists():
            raise StoreError(f"{directory} holds something else than a {kind}; choose another directory")
        if not _describes(path.read_text(), settings):
            raise StoreError(f"{path} describes another {kind}; choose another directory")
    with replaced(path) as temporary:
        temporary.write_text(settings.model_dump_json(indent=2) + "\n")


def _describes(text: str, settings: Config) -> bool:
    try:
        stored = type(settings).model_validate_json(text)
    except ValidationError:
        return False
    fields = type(settings).model_fields
    unknown = {name for name in fields.keys() - stored.model_fields_set if fields[name].default is None}
    return stored.model_dump(mode="json", exclude=unknown) == settings.model_dump(mode="json", exclude=unknown)
