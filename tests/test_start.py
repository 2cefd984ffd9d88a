"""Starting the command line: what is not needed is not imported, and Ctrl-C ends it in one line at any moment."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

import gnnspin.core
from gnnspin.core.lazy import lazy_names
from gnnspin.information import describe
from gnnspin.studies import SIZES, STUDIES, read_study, study_file

#: Topics of `gnnspin info` whose texts are written down.
LIGHT = ("analyze", "evaluate", "reproduce", *STUDIES)


HEAVY = {"torch", "torch_geometric", "lightning", "matplotlib", "scipy", "h5py", "e3nn"}


def loaded_by(code: str) -> set[str]:
    """Modules that are loaded after code that may end with SystemExit."""
    printed = f"import atexit, sys\natexit.register(lambda: print('LOADED', *sys.modules))\n{code}"
    done = subprocess.run([sys.executable, "-c", printed], capture_output=True, text=True, check=True)
    return set(done.stdout.split("LOADED")[-1].split())


def test_texts_without_numbers_import_nothing_heavy() -> None:
    commands = [["--help"], ["simulate", "--help"], *(["info", name] for name in LIGHT)]
    code = f"""
from gnnspin.__main__ import main
for sys.argv[1:] in {commands}:
    try:
        main()
    except SystemExit as end:
        assert not end.code
"""
    assert not HEAVY & loaded_by(code)


@pytest.mark.slow
def test_info_imports_neither_trainer_nor_figures_nor_studies_nor_schedulers() -> None:
    loaded = loaded_by("from gnnspin.information import describe\ndescribe(None)")
    assert not {"lightning", "matplotlib", "gnnspin.studies.study", "distributed"} & loaded


@pytest.mark.slow
@pytest.mark.parametrize("module", ["gnnspin.labels.generate", "gnnspin.analysis.cost"])
def test_processes_of_workers_and_of_costs_import_what_they_use(module: str) -> None:
    assert not {"lightning", "matplotlib", "scipy.stats", "scipy.signal"} & loaded_by(f"import {module}")


def test_ownership_needs_no_numbers() -> None:
    assert not HEAVY & loaded_by("from gnnspin.runs import owned, write_json")


def test_the_table_of_studies_is_light_and_complete() -> None:
    """Reading the table loads no study; every entry has a file with all sizes."""
    assert not {"torch", "gnnspin.studies.study"} & loaded_by("from gnnspin.studies import STUDIES\nlist(STUDIES)")
    for name, summary in STUDIES.items():
        assert all(read_study(study_file(name), size).runs for size in SIZES)
        assert f"{name} ({', '.join(SIZES)}): {summary}" in describe("reproduce")
        assert summary in describe(name)


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("command", "module"), [("--help", "typer."), ("info", "torch.")])
def test_interrupt_in_the_middle_of_an_import(command: str, module: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "gnnspin", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if module in line:
            break
    process.send_signal(signal.SIGINT)
    lines = process.communicate(timeout=120)[1].splitlines()
    assert process.returncode == 130
    assert lines[-1] == "gnnspin: interrupted"
    assert not any("Traceback" in line or "KeyboardInterrupt" in line for line in lines)


def test_every_public_name_of_core_has_its_home() -> None:
    for name in gnnspin.core.__all__:
        value = getattr(gnnspin.core, name)
        assert value.__name__ == name
        assert value.__module__.startswith("gnnspin.core.")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        lazy_names("gnnspin.core", {})("nothing")
