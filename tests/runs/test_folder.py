"""A run owns its folder: the same run goes on there, another is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field

from gnnspin.core import StoreError
from gnnspin.core.config import Config
from gnnspin.runs import MAY_BE_UNRECORDED, claim, run_folder


class Settings(Config):
    """Settings of a run; `later` came with a later version."""

    size: int
    labels: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    later: bool = False
    digest: Annotated[str | None, MAY_BE_UNRECORDED] = None


def test_a_folder_belongs_to_one_configuration(tmp_path: Path) -> None:
    """Taken by its first run; the same run may go on there, and another may not."""
    path, settings = tmp_path / "run" / "run.json", Settings(size=3, labels={"a": (1, 2)})
    with run_folder(path, settings.model_copy(update={"size": 5}), resume=False, kind="walk"):
        pass
    with run_folder(path, settings, resume=False, kind="walk") as folder:  # corrected before there was a result
        (folder / "result").touch()
    with pytest.raises(StoreError, match="not empty"):
        claim(path, settings, resume=False, kind="walk")
    claim(path, settings, resume=True, kind="walk")
    others = {
        r"another walk: size=4 \(stored 3\)": settings.model_copy(update={"size": 4}),
        r"labels.a=absent \(stored \[1, 2\]\)": Settings(size=3),
        r"later=True \(stored False\)": settings.model_copy(update={"later": True}),
    }
    for message, other in others.items():
        with pytest.raises(StoreError, match=message):
            claim(path, other, resume=True, kind="walk")
    assert {entry.name for entry in path.parent.iterdir()} == {"run.json", "result"}


def test_options_that_came_later_do_not_lock_a_run_out(tmp_path: Path) -> None:
    """A description that an older version left stands for today's defaults."""
    path, settings = tmp_path / "run.json", Settings(size=3)
    claim(path, settings, resume=False, kind="walk")
    (tmp_path / "result").touch()
    path.write_text(json.dumps({"size": 3}))
    claim(path, settings, resume=True, kind="walk")
    assert json.loads(path.read_text())["later"] is False
    path.write_text(json.dumps({"size": 3, "gone": 1}))
    with pytest.raises(StoreError, match=r"another walk: gone=absent \(stored 1\)"):
        claim(path, settings, resume=True, kind="walk")


def test_what_was_not_recorded_is_not_compared(tmp_path: Path) -> None:
    """Not until the first version that writes it down; from then on it is held to."""
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"size": 3}))
    (tmp_path / "result").touch()
    claim(path, Settings(size=3, digest="a"), resume=True, kind="walk")
    with pytest.raises(StoreError, match=r"digest=b \(stored a\)"):
        claim(path, Settings(size=3, digest="b"), resume=True, kind="walk")


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with (
        pytest.raises(StoreError, match="something else"),
        run_folder(tmp_path / "run.json", Settings(size=3), resume=True, kind="walk"),
    ):
        pass
    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]
    with (
        pytest.raises(StoreError, match="is a file"),
        run_folder(tmp_path / "thesis.tex" / "run.json", Settings(size=3), resume=True, kind="walk"),
    ):
        pass


def test_a_run_killed_while_it_claimed_its_folder_can_start_again(tmp_path: Path) -> None:
    (tmp_path / ".run.json.0123.tmp").touch()
    (tmp_path / ".run.lock").touch()
    with run_folder(tmp_path / "run.json", Settings(size=3), resume=False, kind="walk"):
        assert (tmp_path / "run.json").exists()


def test_a_damaged_description_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"size": 3')
    (tmp_path / "result").touch()
    with pytest.raises(StoreError, match=r"run\.json is damaged"):
        claim(tmp_path / "run.json", Settings(size=3), resume=True, kind="walk")
