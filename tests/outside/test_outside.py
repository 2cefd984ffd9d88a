"""A package outside the repository adds objects of every kind, and the command line uses them like its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

import gnnspin as gs
from gnnspin.trajectories import Trajectory

HERE = Path(__file__).parent
SYSTEM = {"kind": "square", "shape": [4, 4]}
GENERATE = {
    "systems": [SYSTEM],
    "hamiltonian": {"J": 3.0, "hopping": {"kind": "spinplus_exponential", "length": 0.6}},
    "solver": {"kT": 0.1, "filling": 0.5},
    "samplers": [
        {"kind": "random", "count": 6},
        {"kind": "perturbed_order", "orders": "spinplus_spiral", "count": 6},
    ],
}
TRAIN = {
    "data": {"train": "labels.h5", "validation": 0.25},
    "model": {"name": "spinplus_bonds", "cutoff": 1.5, "hyperparameters": {"degree": 3}},
    "training": {"max_epochs": 2, "validate_every": 1},
}
SIMULATE = {
    "system": SYSTEM,
    "source": {
        "kind": "sum",
        "terms": [
            {"kind": "model", "path": "training/model.safetensors"},
            {"kind": "spinplus_transfer", "strength": 0.05, "polarization": [0.0, 0.6, 0.8]},
        ],
    },
    "initial": {"kind": "spinplus_spiral", "amplitude": 0.2, "replicas": 2},
    "dt": 0.1,
    "kT": 0.01,
    "observers": ["spinplus_twist"],
    "observe_every": 2,
    "save_every": 5,
}


class Processes:
    """Commands in processes that know the package by its installed metadata alone; see `processes.py`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        paths = [str(folder / "site"), str(Path(gs.__file__).parents[1])]
        self.environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
        self._server = subprocess.Popen(
            [sys.executable, str(HERE / "processes.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=self.environment,
        )

    def start(self, *command: str) -> int:
        """Start a command; the number of its process, which belongs to it until `end`."""
        return self._answer(json.dumps([str(self.folder / "log"), *command]))

    def end(self) -> int:
        """Status of the command that was started last, when it has ended."""
        return self._answer("end")

    def run(self, *command: str) -> str:
        """Output of a command that must succeed."""
        self.start(*command)
        status, output = self.end(), self.log
        assert status == 0, output
        return output

    @property
    def log(self) -> str:
        """Output of the command that was started last."""
        return (self.folder / "log").read_text(encoding="utf-8")

    def close(self) -> None:
        """End the process that the others come from."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(timeout=60)
        self._server.stdout.close()

    def _answer(self, line: str) -> int:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(line, file=self._server.stdin, flush=True)
        return int(self._server.stdout.readline())


def install(site: Path) -> None:
    """Lay down what an installer would: the package, and a dist-info folder with its entry points."""
    project = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    shutil.copytree(HERE / "spinplus", site / "spinplus", ignore=shutil.ignore_patterns("__pycache__"))
    metadata = site / f"{project['name']}-{project['version']}.dist-info"
    metadata.mkdir()
    header = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (metadata / "METADATA").write_text(header, encoding="utf-8")
    groups = [
        "\n".join([f"[{group}]", *(f"{name} = {place}" for name, place in entries.items())])
        for group, entries in project["entry-points"].items()
    ]
    (metadata / "entry_points.txt").write_text("\n\n".join(groups) + "\n", encoding="utf-8")


def write(path: Path, values: object) -> str:
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path.name


def simulation(folder: Path, n_steps: int) -> str:
    """Name of the configuration of a simulation of `n_steps`."""
    return write(folder / "s.yaml", SIMULATE | {"n_steps": n_steps})


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Processes in a folder with labels, a trained model and a finished simulation of 60 steps."""
    folder = tmp_path_factory.mktemp("outside")
    install(folder / "site")
    processes = Processes(folder)
    try:
        processes.run("gnnspin", "generate", write(folder / "g.yaml", GENERATE), "-o", "labels.h5", "--workers", "1")
        processes.run("gnnspin", "train", write(folder / "t.yaml", TRAIN), "-o", "training")
        processes.run("gnnspin", "simulate", simulation(folder, 60), "-o", "run.h5")
        yield processes
    finally:
        processes.close()


def test_names_of_other_packages_are_unknown_without_them() -> None:
    assert "spinplus_bonds" not in gs.models.available()


def test_labels_model_and_run(processes: Processes) -> None:
    output = processes.run("gnnspin", "evaluate", "training/model.safetensors", "labels.h5")
    assert "torque RMSE per component" in output
    assert "perturbed_order" in output
    with Trajectory(processes.folder / "run.h5") as run:
        assert run.observables["spinplus_twist"].shape == (31, 2)
        assert np.ptp(run.observables["spinplus_twist"]) > 0


def test_texts_on_objects_of_other_packages(processes: Processes) -> None:
    assert "largest power of S_i . S_j" in processes.run("gnnspin", "info", "spinplus_bonds")
    assert "Decay length" in processes.run("gnnspin", "info", "spinplus_exponential")
    assert "Polarisation p of the current" in processes.run("gnnspin", "info", "spinplus_transfer")
    assert "Amplitude a in units of the hopping" in processes.run("gnnspin", "info", "simulate")


def test_killed_simulation_resumes_bit_for_bit(processes: Processes) -> None:
    folder = processes.folder
    killed = folder / "killed.h5"
    process = processes.start("gnnspin", "simulate", simulation(folder, 400), "-o", killed.name)
    try:
        deadline, frames = time.monotonic() + 120, 0
        while frames < 4:
            assert time.monotonic() < deadline, processes.log
            time.sleep(0.02)
            if killed.exists():
                with Trajectory(killed) as run:
                    frames = len(run)
    finally:
        os.kill(process, signal.SIGKILL)
        status = processes.end()
    assert status == -signal.SIGKILL
    with Trajectory(killed) as run:
        assert 0 < run.state.step < 400
    last = 417
    command = [sys.executable, "-m", "gnnspin", "simulate", simulation(folder, last), "-o", killed.name, "--resume"]
    done = subprocess.run(command, cwd=folder, env=processes.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    processes.run("gnnspin", "simulate", simulation(folder, last), "-o", "whole.h5")
    with Trajectory(killed) as continued, Trajectory(folder / "whole.h5") as whole:
        assert continued.state.step == whole.state.step == last
        assert continued.state.spins.numpy().tobytes() == whole.state.spins.numpy().tobytes()
        assert continued[:].tobytes() == whole[:].tobytes()
        assert continued.observables["spinplus_twist"].tobytes() == whole.observables["spinplus_twist"].tobytes()


def test_laws_of_the_package(processes: Processes) -> None:
    shutil.copy(HERE / "laws.py", processes.folder)
    output = processes.run("pytest", "laws.py", "-q", "-p", "no:cacheprovider", "--rootdir", ".", "-W", "error")
    assert "passed" in output
