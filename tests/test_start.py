"""Starting the command line: what is not needed is not imported, and Ctrl-C ends it in one line at any moment."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

import gnnspin.core
from gnnspin.core.lazy import lazy_names


def test_help_imports_nothing_heavy() -> None:
    code = "import gnnspin, gnnspin.__main__, gnnspin.cli, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "torch_geometric", "lightning", "matplotlib", "scipy", "h5py", "e3nn"} & set(loaded)


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
