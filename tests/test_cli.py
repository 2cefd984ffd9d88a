"""The command line from end to end on a tiny system, and its errors: one line, no traceback."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml

import gnnspin as gs
from gnnspin.cli import main
from gnnspin.datasets import LabelStore
from gnnspin.trajectories import Trajectory

GENERATE = {
    "systems": [{"kind": "square", "shape": [4, 4]}],
    "hamiltonian": {"J": 6.0},
    "solver": {"kT": 0.05, "filling": 0.5},
    "samplers": [{"kind": "random", "count": 12}],
}
TRAIN = {
    "model": {"cutoff": 1.1, "hyperparameters": {"layers": 1, "channels": 2, "hidden": 8, "max_degree": 0}},
    "training": {"max_epochs": 3, "validate_every": 1},
}
SIMULATE = {"system": {"kind": "square", "shape": [8, 8]}, "dt": 0.1, "n_steps": 20, "kT": 0.01}


@dataclass
class Done:
    """What a call of the command line left: exit status and output."""

    returncode: int
    stdout: str
    stderr: str


def gnnspin(*arguments: object) -> Done:
    """Run the command line in this process, through the entry point."""
    out, err = io.StringIO(), io.StringIO()
    with patch.object(sys, "argv", ["gnnspin", *map(str, arguments)]), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
            status = 0
        except SystemExit as exit_:
            status = int(exit_.code or 0)
    return Done(status, out.getvalue(), err.getvalue())


def config(path: Path, values: object) -> Path:
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """generate, train, simulate; returns the folder."""
    folder = tmp_path_factory.mktemp("chain")
    labels = folder / "labels.h5"
    assert gnnspin("generate", config(folder / "g.yaml", GENERATE), "-o", labels, "--workers", 1).returncode == 0
    train = TRAIN | {"data": {"train": str(folder / "labels.h5"), "validation": 0.25}}
    done = gnnspin("train", config(folder / "t.yaml", train), "-o", folder / "training")
    assert done.returncode == 0, done.stderr
    model = folder / "training" / "model.safetensors"
    simulate = SIMULATE | {"source": {"model": str(model)}, "observers": ["energy_per_site", "magnetization"]}
    done = gnnspin("simulate", config(folder / "s.yaml", simulate), "-o", folder / "run.h5")
    assert done.returncode == 0, done.stderr
    return folder


def test_chain_leaves_what_it_says(chain: Path) -> None:
    assert len(LabelStore(chain / "labels.h5")) == 12
    errors = json.loads((chain / "training" / "validation.json").read_text())
    assert 0 < errors["torque_rmse"] < errors["torque_rms"] * 10
    assert (chain / "training" / "torque.png").stat().st_size > 1000
    with Trajectory(chain / "run.h5") as run:
        assert run.system.n_sites == 64
        assert set(run.observables) == {"energy_per_site", "magnetization"}
    force_field = gs.load(chain / "training" / "model.safetensors", system=gs.systems.square(4, 4))
    assert force_field.provenance["snapshots"] == 9


def test_evaluate_and_info(chain: Path) -> None:
    model = chain / "training" / "model.safetensors"
    done = gnnspin("evaluate", model, chain / "labels.h5", "--figure", chain / "parity.png")
    assert "torque RMSE per component" in done.stdout
    assert (chain / "parity.png").exists()
    assert "spin_cluster_expansion" in gnnspin("info").stdout
    assert '"format": "gnnspin force field 1"' in gnnspin("info", model).stdout
    assert "12 labels of 1 systems" in gnnspin("info", chain / "labels.h5").stdout
    assert "trajectory of SpinSystem(n_sites=64" in gnnspin("info", chain / "run.h5").stdout
    for topic in ("generate", "train", "simulate", "spin_cluster_expansion"):
        assert gnnspin("info", topic).returncode == 0


def test_info_names_the_command_of_a_configuration() -> None:
    for topic, command in {
        "locality": "analyze locality",
        "trajectory": "analyze trajectory",
        "train": "train",
    }.items():
        assert f"`gnnspin {command}`" in gnnspin("info", topic).stdout


def test_exact_electrons_through_the_same_command(tmp_path: Path) -> None:
    values = SIMULATE | {
        "system": {"kind": "square", "shape": [4, 4]},
        "source": {"hamiltonian": {"J": 6.0}, "solver": {"kT": 0.05, "mu": -1.0}},
        "n_steps": 3,
    }
    done = gnnspin("simulate", config(tmp_path / "s.yaml", values), "-o", tmp_path / "run.h5")
    assert done.returncode == 0, done.stderr


def test_help_teaches() -> None:
    for command in ("generate", "train", "evaluate", "simulate", "reproduce", "info"):
        done = gnnspin(command, "--help")
        assert done.returncode == 0
        assert len(done.stdout) > 400


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (GENERATE | {"sede": 3}, "sede: unknown key"),
        (GENERATE | {"solver": {"kT": -1.0, "filling": 0.5}}, "solver: kT=-1.0"),
        (GENERATE | {"solver": {"kT": 0.1, "filling": 1.5}}, "solver: filling=1.5"),
        (GENERATE | {"solver": {"kT": 0.1}}, "give exactly one"),
        (GENERATE | {"systems": [{"kind": "square", "shape": [4]}]}, "needs 2 numbers"),
        (GENERATE | {"solver": {"kT": 0.1, "mu": float("nan")}}, "solver.mu: Input should be a finite number"),
        (GENERATE | {"hamiltonian": {"J": float("inf")}}, "hamiltonian.J: inf must be finite"),
        (GENERATE | {"systems": [{"kind": "kagom", "shape": [4, 4]}]}, "'kagom'"),
        (GENERATE | {"samplers": [{"kind": "random", "count": 2, "odd": 1}]}, "odd: unknown key"),
        (None, "is empty"),
        ("just text", "top level"),
    ],
)
def test_bad_configuration_is_one_line(tmp_path: Path, values: object, message: str) -> None:
    done = gnnspin("generate", config(tmp_path / "g.yaml", values), "-o", tmp_path / "labels.h5")
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "labels.h5").exists()


def test_a_mistake_does_not_block_its_correction(chain: Path, tmp_path: Path) -> None:
    """What stops a run before it has a result leaves its output free."""
    wrong = GENERATE | {"hamiltonian": {"J": [1.0, 2.0]}}
    assert (
        gnnspin("generate", config(tmp_path / "g.yaml", wrong), "-o", tmp_path / "x.h5", "--workers", 1).returncode == 2
    )
    done = gnnspin("generate", config(tmp_path / "g.yaml", GENERATE), "-o", tmp_path / "x.h5", "--workers", 1)
    assert done.returncode == 0, done.stderr
    train = TRAIN | {"data": {"train": str(chain / "labels.h5"), "validation": 0.25}}
    for change in ({"model": {"cutoff": 1.1, "hyperparameters": {"chanels": 4}}}, {"data": {"train": "none.h5"}}):
        done = gnnspin("train", config(tmp_path / "t.yaml", train | change), "-o", tmp_path / "run")
        assert done.returncode == 2
    done = gnnspin("train", config(tmp_path / "t.yaml", train), "-o", tmp_path / "run")
    assert done.returncode == 0, done.stderr


def test_a_resumed_simulation_may_grow_and_nothing_else(chain: Path, tmp_path: Path) -> None:
    values = SIMULATE | {"source": {"model": str(chain / "training" / "model.safetensors")}, "observers": []}
    output = tmp_path / "run.h5"
    assert gnnspin("simulate", config(tmp_path / "s.yaml", values), "-o", output).returncode == 0
    for change in (
        {"dt": 0.2},
        {"kT": 0.5},
        {"damping": 0.3},
        {"seed": 7},
        {"n_steps": 10},
        {"initial": {"replicas": 2}},
    ):
        done = gnnspin("simulate", config(tmp_path / "s.yaml", values | change), "-o", output, "--resume")
        assert done.returncode == 2
        assert next(iter(change)) in done.stderr
    longer = config(tmp_path / "s.yaml", values | {"n_steps": 30})
    assert gnnspin("simulate", longer, "-o", output, "--resume").returncode == 0
    assert gnnspin("simulate", longer, "-o", tmp_path / "whole.h5").returncode == 0
    with Trajectory(output) as resumed, Trajectory(tmp_path / "whole.h5") as whole:
        assert resumed.state.step == 30
        assert (resumed.state.spins == whole.state.spins).all()


def test_existing_outputs_are_kept(chain: Path, tmp_path: Path) -> None:
    before = (chain / "labels.h5").read_bytes()
    for command, file in (("generate", "g.yaml"), ("train", "t.yaml"), ("simulate", "s.yaml")):
        output = {"generate": "labels.h5", "train": "training", "simulate": "run.h5"}[command]
        done = gnnspin(command, chain / file, "-o", chain / output)
        assert done.returncode == 2
        assert "exists" in done.stderr or "not empty" in done.stderr
    assert (chain / "labels.h5").read_bytes() == before
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "mine.txt").write_text("precious")
    done = gnnspin("reproduce", "120-degree", "-o", tmp_path / "study")
    assert done.returncode == 2
    assert "not empty" in done.stderr


def test_other_errors_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("a: [1, 2")
    (tmp_path / "twice.yaml").write_text("hamiltonian: {J: 1.0, J: 2.0}")
    config(tmp_path / "gpu.yaml", SIMULATE | {"source": {"model": "pretrained:tetrahedral", "device": "gpu"}})
    cases = [
        (("generate", tmp_path / "none.yaml", "-o", tmp_path / "x.h5"), "does not exist"),
        (("generate", tmp_path / "broken.yaml", "-o", tmp_path / "x.h5"), "YAML"),
        (("reproduce", "nothing", "-o", tmp_path / "s"), "unknown study"),
        (("reproduce", "120-degree", "--size", "huge", "-o", tmp_path / "s"), "unknown size"),
        (("evaluate", tmp_path / "none.safetensors", "published:nothing"), "unknown published set"),
        (("info", "nothing"), "neither a file"),
        (("generate", tmp_path / "twice.yaml", "-o", tmp_path / "x.h5"), "J is given twice"),
        (
            ("evaluate", "pretrained:tetrahedral", "published:nothing", "--figure", "x.foo"),
            "choose a name that ends in",
        ),
        (("simulate", tmp_path / "gpu.yaml", "-o", tmp_path / "x.h5"), "source.device"),
    ]
    for arguments, message in cases:
        done = gnnspin(*arguments)
        assert done.returncode == 2, done
        assert message in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # of fork, from Python 3.12
def test_interrupted_generation_resumes_to_the_same_store(tmp_path: Path) -> None:
    """SIGINT while labels are solved: exit status 130, and --resume completes the very store."""
    values = GENERATE | {
        "systems": [{"kind": "square", "shape": [10, 10]}],
        "samplers": [{"kind": "random", "count": 30}],
    }
    file = config(tmp_path / "g.yaml", values)
    command = ("generate", file, "-o", tmp_path / "cut.h5", "--workers", 1)
    process = get_context("fork").Process(target=lambda: sys.exit(gnnspin(*command).returncode))
    process.start()
    pending = tmp_path / "cut.h5.pending"
    while process.is_alive() and len(list(pending.glob("*.h5")) if pending.exists() else []) < 3:
        time.sleep(0.01)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGINT)
    process.join(60)
    assert process.exitcode == 130
    assert 3 <= len(list(pending.glob("*.h5"))) < 30
    assert gnnspin("generate", file, "-o", tmp_path / "cut.h5", "--resume", "--workers", 1).returncode == 0
    assert gnnspin("generate", file, "-o", tmp_path / "whole.h5", "--workers", 1).returncode == 0
    cut, whole = LabelStore(tmp_path / "cut.h5"), LabelStore(tmp_path / "whole.h5")
    assert len(cut) == len(whole) == 30
    assert all(bool((a.field == b.field).all()) for a, b in zip(cut, whole, strict=True))
