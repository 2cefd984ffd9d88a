"""The folder of a run: new or empty, or that of the same run, and written by one process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel

from gnnspin.core.errors import StoreError
from gnnspin.runs.files import leftovers, read_json, write_json
from gnnspin.runs.identity import require_same_run
from gnnspin.runs.ownership import is_lock, owned


@contextmanager
def run_folder(
    description: Path, settings: BaseModel, *, resume: bool, kind: str, begun: bool | None = None
) -> Iterator[Path]:
    """Own the folder of `description` during a block, and claim it for a run; yields the folder.

    Parameters and errors are those of `claim`; also a StoreError if another process writes there.
    """
    folder = description.parent
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder} is a file; choose a folder")
    folder.mkdir(parents=True, exist_ok=True)
    with owned(folder, kind):
        claim(description, settings, resume=resume, kind=kind, begun=begun)
        yield folder


def claim(description: Path, settings: BaseModel, *, resume: bool, kind: str, begun: bool | None = None) -> None:
    """Describe a run in a file of its new folder, or check that it is the run already there.

    Parameters
    ----------
    description : Path
        JSON file in the folder of the run.
    settings : pydantic model
        What the run is; compared with a stored description by `require_same_run`.
    resume : bool
        Accept a folder that holds a run.
    kind : str
        What the run is called in errors.
    begun : bool, optional
        The folder holds results of such a run. Default: it holds anything but the description and what killed writers
        leave; a description alone is no run, for nothing was computed yet.

    Raises
    ------
    StoreError
        If the folder holds results and `resume` is false, or those of another run or none.
    """
    folder = description.parent
    if begun is None:
        begun = folder.exists() and bool(_contents(folder) - {description})
        foreign = begun and not description.exists()
    else:
        foreign = False
    if begun and not resume:
        raise StoreError(
            f"{folder} holds results of {kind} or other files already and is not empty; choose another folder, or "
            "resume (--resume, resume=True) to continue there"
        )
    if foreign:
        raise StoreError(f"{folder} holds something else than {kind}; choose another folder")
    if begun and description.exists():
        require_same_run(settings, read_json(description), where=description, kind=kind)
    write_json(description, settings.model_dump(mode="json"))


def _contents(folder: Path) -> set[Path]:
    """Entries of a folder without locks and what killed writers left."""
    return {path for path in folder.iterdir() if not is_lock(path)} - set(leftovers(folder))
