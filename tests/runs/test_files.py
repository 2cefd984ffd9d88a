"""Directories of runs and files replaced in one step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import Field

from gnnspin.core.config import Config
from gnnspin.core.errors import StoreError
from gnnspin.runs.files import claim, replaced


class Settings(Config):
    """Settings of a run; `later` came with a later version."""

    size: int
    labels: dict[str, tuple[int, ...]] = Field(default_factory=dict)
    later: bool = False
    digest: str | None = None


def test_a_directory_belongs_to_one_configuration(tmp_path: Path) -> None:
    """Taken by its first run; the same run may go on there, and another may not."""
    path, settings = tmp_path / "run" / "run.json", Settings(size=3, labels={"a": (1, 2)})
    claim(path, settings.model_copy(update={"size": 5}), resume=False, kind="walk")
    claim(path, settings, resume=False, kind="walk")  # corrected before there was a result
    (path.parent / "result").touch()
    with pytest.raises(StoreError, match="not empty"):
        claim(path, settings, resume=False, kind="walk")
    claim(path, settings, resume=True, kind="walk")
    for other in (
        Settings(size=4, labels={"a": (1, 2)}),
        Settings(size=3),
        settings.model_copy(update={"later": True}),
    ):
        with pytest.raises(StoreError, match="another walk"):
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
    with pytest.raises(StoreError, match="another walk"):
        claim(path, settings, resume=True, kind="walk")


def test_what_was_not_recorded_is_not_compared(tmp_path: Path) -> None:
    """A default of None stands for a value that older versions did not write down; from then on it is held to."""
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"size": 3}))
    (tmp_path / "result").touch()
    claim(path, Settings(size=3, digest="a"), resume=True, kind="walk")
    with pytest.raises(StoreError, match="another walk"):
        claim(path, Settings(size=3, digest="b"), resume=True, kind="walk")


def test_a_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(StoreError, match="something else"):
        claim(tmp_path / "run.json", Settings(size=3), resume=True, kind="walk")


def test_a_run_killed_while_it_claimed_its_directory_can_start_again(tmp_path: Path) -> None:
    (tmp_path / ".run.json.0123.tmp").touch()
    claim(tmp_path / "run.json", Settings(size=3), resume=False, kind="walk")
    assert (tmp_path / "run.json").exists()


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with replaced(path) as temporary:
        temporary.write_text("first")
        assert not path.exists()
    with pytest.raises(StoreError):
        _interrupted(path)
    assert path.read_text() == "first"
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def _interrupted(path: Path) -> None:
    with replaced(path) as temporary:
        temporary.write_text("half")
        raise StoreError
