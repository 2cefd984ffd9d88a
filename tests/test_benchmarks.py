"""The benchmark for a GPU says that there is none, and runs as a whole on a CPU."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
import typer
from typer.testing import CliRunner

SCRIPT = Path(__file__).parent.parent / "scripts" / "benchmarks" / "gpu.py"


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def call(*arguments: object) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(script().main)
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    return done.exit_code, done.output


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    code, output = call(tmp_path / "out")
    assert code == 1
    assert "No GPU was found" in output
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_quick_on_a_cpu(tmp_path: Path) -> None:
    code, output = call(tmp_path, "--device", "cpu", "--quick")
    assert code == 0, output
    results = json.loads((tmp_path / "gpu.json").read_text())
    assert not [name for name, result in results.items() if "error" in result or "left out" in result]
    for name in ("models", "solvers", "steps"):
        assert set(results[f"{name} against the CPU"].values()) == {0.0}
    assert (tmp_path / "gpu.png").stat().st_size > 1000
