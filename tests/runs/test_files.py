"""Files are replaced whole or not at all, whatever happens to the writer."""

from __future__ import annotations

import ast
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import gnnspin
from gnnspin.core.errors import StoreError
from gnnspin.runs.files import leftovers, read_json, replaced, write_json, write_text

#: Modes of `open` that write from the beginning.
MODES = {"'w'", "'wb'", "'w+'", "'w+b'", "'x'"}


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


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with replaced(tmp_path / "members") as temporary:
        (temporary / "inner").mkdir(parents=True)
        (temporary / "inner" / "file").write_text("x")
    assert (tmp_path / "members" / "inner" / "file").read_text() == "x"
    with pytest.raises(StoreError):
        _interrupted_folder(tmp_path / "other")
    assert [entry.name for entry in tmp_path.iterdir()] == ["members"]


def _interrupted_folder(path: Path) -> None:
    with replaced(path) as temporary:
        temporary.mkdir()
        (temporary / "file").touch()
        raise StoreError


WRITER = """
import sys
from pathlib import Path
from gnnspin.runs.files import write_json
print("ready", flush=True)
n = 0
while True:
    n += 1
    write_json(Path(sys.argv[1]), {"n": n, "filling": [n] * 20000})
"""


def test_a_killed_writer_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    """Killed by SIGKILL in the middle of writing: the file parses, and its parts belong together."""
    path = tmp_path / "state.json"
    write_json(path, {"n": 0, "filling": []})
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            while not leftovers(tmp_path, "state.json") and writer.poll() is None:
                pass
            writer.send_signal(signal.SIGKILL)
        content = read_json(path)
        assert set(content["filling"]) <= {content["n"]}
    for leftover in leftovers(tmp_path, "state.json"):
        leftover.unlink()
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


def test_text_and_json_are_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "µs λ")
    assert (tmp_path / "a").read_bytes().decode() == "µs λ"
    write_json(tmp_path / "b", {"λ": [0.1]})
    assert json.loads((tmp_path / "b").read_bytes()) == read_json(tmp_path / "b") == {"λ": [0.1]}
    with pytest.raises(StoreError, match="does not exist"):
        read_json(tmp_path / "c")


def test_every_file_is_written_beside_its_place() -> None:
    """A function of the package that writes a file does so through `replaced`; logs that grow line by line aside."""
    writers = {"write_text", "write_bytes", "savefig", "save_file", "tofile", "savez", "to_csv"}
    direct = []
    for path in Path(gnnspin.__file__).parent.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(function, ast.FunctionDef):
                continue
            calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
            names = {ast.unparse(call.func) for call in calls}
            opened = [call for call in calls if ast.unparse(call.func).endswith("open")]
            files = {name for name in names if "." in name and "/proc/" not in name}
            written = {name for name in files if name.rpartition(".")[2] in writers}
            written |= {"open" for call in opened if any(ast.unparse(each) in MODES for each in call.args)}
            if written and "replaced" not in names:
                direct.append(f"{path.name}: {function.name}: {', '.join(written)}")
    assert not direct, "\n".join(direct)
