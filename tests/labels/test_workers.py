"""A set of labels does not depend on who solved it."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from gnnspin.core import InvalidInput
from gnnspin.labels import GenerateConfig, generate

CONFIG = GenerateConfig.model_validate(
    {
        "systems": [{"kind": "triangular", "shape": [6, 6]}],
        "hamiltonian": {"J": 6.0},
        "solver": {"kT": 0.05, "filling": 0.5},
        "samplers": [
            {"kind": "random", "count": 6},
            {"kind": "relaxation", "count": 2, "n_steps": 12, "save_every": 4, "damping": 0.5, "kT": 0.02},
        ],
    }
)

pytest.importorskip("distributed")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def serial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(CONFIG, tmp_path_factory.mktemp("labels") / "serial.h5", progress=False).path


@pytest.mark.slow
def test_local_cluster_gives_the_serial_store(serial: Path, tmp_path: Path) -> None:
    path = tmp_path / "cluster.h5"
    generate(CONFIG, path, n_workers=2, progress=False)
    assert path.read_bytes() == serial.read_bytes()


@pytest.mark.slow
def test_scheduler_by_address_and_a_lost_worker(serial: Path, tmp_path: Path) -> None:
    """A worker is killed while it works: the run goes on and the store is the same."""
    from distributed import LocalCluster

    path = tmp_path / "scheduler.h5"
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, memory_limit=0, dashboard_address=":0", silence_logs=50)
    with cluster:
        pids = [worker.process.pid for worker in cluster.workers.values()]

        def kill_one() -> None:
            pending = tmp_path / "scheduler.h5.pending"
            while not (pending.exists() and list(pending.glob("*.h5"))):
                time.sleep(0.01)
            os.kill(pids[0], signal.SIGKILL)

        killer = threading.Thread(target=kill_one)
        killer.start()
        generate(CONFIG, path, scheduler=cluster.scheduler_address, progress=False)
        killer.join()
    assert path.read_bytes() == serial.read_bytes()


def test_bad_workers(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="at least 1"):
        generate(CONFIG, tmp_path / "a.h5", n_workers=0, progress=False)
    with pytest.raises(InvalidInput, match="no Dask scheduler answers"):
        generate(CONFIG, tmp_path / "b.h5", scheduler="nowhere", progress=False)
