"""One writer at a time: refused by name, released at the end of the owner, however it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gnnspin.core.errors import StoreError
from gnnspin.runs import owned

OWNER = """
import sys, time
from gnnspin.runs.ownership import owned
with owned(sys.argv[1], "run"):
    print("owned", flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("folder", [True, False], ids=["folder", "file"])
def test_a_second_process_is_refused_until_the_first_is_dead(tmp_path: Path, folder: bool) -> None:
    path = tmp_path / "run"
    if folder:
        path.mkdir()
    with subprocess.Popen([sys.executable, "-c", OWNER, str(path)], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        with pytest.raises(StoreError, match=f"run is being written by another process .process {owner.pid} on"):
            _take(path)
        owner.send_signal(signal.SIGKILL)
    _take(path)
    assert not [each for each in tmp_path.rglob("*") if each.is_file()]


def _take(path: Path) -> None:
    with owned(path, "run"):
        pass


def test_an_owner_may_own_again_and_another_thread_may_not(tmp_path: Path) -> None:
    refused: list[StoreError] = []

    def other() -> None:
        try:
            _take(tmp_path)
        except StoreError as error:
            refused.append(error)

    with owned(tmp_path, "run"):
        _take(tmp_path)
        for _ in range(2):
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()
    assert len(refused) == 2
    assert "another thread" in str(refused[0])
    _take(tmp_path)


def test_reading_the_owned_file_does_not_end_the_lock(tmp_path: Path) -> None:
    """Closing any handle of a file ends this process's POSIX locks on it; the lock must not be on the file itself."""
    path = tmp_path / "data"
    path.touch()
    with owned(path, "run"):
        path.read_text()
        code = f"from gnnspin.runs.ownership import Ownership; Ownership({str(path)!r}, 'run')"
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert "being written by another process" in second.stderr


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot write run"):
        _take(tmp_path / "none" / "file")
