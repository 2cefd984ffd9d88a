"""Trajectory files: readable while written and after a kill, and continued bit for bit."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from multiprocessing import get_context
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from sources import Paramagnet, ring

import gnnspin as gs
from gnnspin.core import InvalidInput, StoreError, random_spins
from gnnspin.dynamics import resume, simulate
from gnnspin.trajectories import Trajectory
from gnnspin.trajectories.damaged import closed_superblock, lookup3

OBSERVERS = {"magnetization": lambda state: state.spins.mean(-2), "step_twice": lambda state: 2 * state.step}
OPTIONS = {"dt": 0.1, "damping": 0.1, "kT": 0.3, "seed": 7, "observers": OBSERVERS, "observe_every": 2}


def start() -> torch.Tensor:
    return random_spins(6, replicas=(2,), seed=3)


def assert_same_file(a: Path, b: Path) -> None:
    with Trajectory(a) as first, Trajectory(b) as second:
        assert len(first) == len(second)
        assert first[:].tobytes() == second[:].tobytes()
        assert first.times.tobytes() == second.times.tobytes()
        assert first.steps.tolist() == second.steps.tolist()
        assert first.observable_steps.tolist() == second.observable_steps.tolist()
        assert first.observable_times.tobytes() == second.observable_times.tobytes()
        for name, values in first.observables.items():
            assert values.tobytes() == second.observables[name].tobytes(), name
        assert first.state.time == second.state.time
        assert first.state.step == second.state.step
        assert torch.equal(first.state.spins, second.state.spins)


@pytest.mark.parametrize("save_dtype", ["float32", "float64"])
def test_file_holds_the_run(tmp_path, save_dtype):
    path = tmp_path / "run.h5"
    run = simulate(ring(6), start(), n_steps=20, trajectory=path, save_every=5, save_dtype=save_dtype, **OPTIONS)
    with Trajectory(path) as trajectory:
        assert len(trajectory) == 5
        assert trajectory.steps.tolist() == [0, 5, 10, 15, 20]
        np.testing.assert_allclose(trajectory.times, [0.0, 0.5, 1.0, 1.5, 2.0])
        assert trajectory[0].shape == (2, 6, 3)
        assert trajectory[0].dtype == save_dtype
        assert trajectory[1:3].shape == (2, 2, 6, 3)
        tolerance = 1e-7 if save_dtype == "float32" else 0.0
        np.testing.assert_allclose(trajectory[-1], run.spins.numpy(), atol=tolerance, rtol=0)
        assert torch.equal(trajectory.state.spins, run.spins)
        assert trajectory.system == ring(6).system
        assert trajectory.source == ring(6).specification()
        assert trajectory.settings["integrator"] == "semi_implicit"
        assert trajectory.gnnspin_version == gs.__version__
        assert float(trajectory.kT) == 0.3
        for name, values in run.observables.items():
            np.testing.assert_array_equal(trajectory.observables[name], values)
        np.testing.assert_array_equal(trajectory.observable_times, run.times)
        with pytest.raises(IndexError, match="frame 5"):
            trajectory[5]
    assert list(tmp_path.iterdir()) == [path]


def test_large_frames_are_compressed_and_read_back(tmp_path):
    n_sites = 5000
    system = gs.systems.chain(n_sites)
    spins = torch.zeros(2, n_sites, 3, dtype=torch.float32)
    spins[..., 2] = 1.0
    spins[1, 7] = torch.tensor([1.0, 0.0, 0.0])
    simulate(gs.classical.Zeeman(system, B=[0, 0, 1.0]), spins, dt=0.1, n_steps=4, damping=0.0,
             trajectory=tmp_path / "run.h5", save_every=1)  # fmt: skip
    with Trajectory(tmp_path / "run.h5") as trajectory:
        np.testing.assert_array_equal(trajectory[0], spins.numpy())
        assert trajectory[4][1, 7, 1] == pytest.approx(-np.sin(0.4), abs=1e-3)
    assert (tmp_path / "run.h5").stat().st_size < 5 * spins.numel() * 4


def test_union_of_systems_is_restored(tmp_path):
    system = gs.systems.union([gs.systems.chain(3), gs.systems.square(2, 2)])
    simulate(
        Paramagnet(system, 1.0), random_spins(7, seed=0), dt=0.1, n_steps=1, damping=0.1, trajectory=tmp_path / "run.h5"
    )
    with Trajectory(tmp_path / "run.h5") as trajectory:
        assert trajectory.system == system


def test_file_is_readable_while_it_is_written(tmp_path):
    path = tmp_path / "run.h5"
    seen = []

    def read(state):
        if path.exists():
            with Trajectory(path) as trajectory:
                seen.append((state.step, len(trajectory), len(trajectory.observables["read"]), trajectory.state.step))
                assert np.isfinite(trajectory[-1]).all()
        return state.step

    simulate(ring(6), start(), dt=0.1, n_steps=9, damping=0.1, observers=[read], trajectory=path, save_every=3)
    # the observer of a step runs before that step is stored
    assert [(frames, last) for _, frames, _, last in seen] == [
        (1 + (step - 1) // 3, 3 * ((step - 1) // 3)) for step in range(1, 10)
    ]


def test_open_reader_follows_the_writer(tmp_path):
    path = tmp_path / "run.h5"
    readers = []

    def follow(_):
        if path.exists() and not readers:
            readers.append(Trajectory(path))
        return len(readers[0]) if readers else 0

    run = simulate(ring(6), start(), dt=0.1, n_steps=6, damping=0.1, observers=[follow], trajectory=path, save_every=2)
    readers[0].close()
    assert run.observables["follow"].tolist() == [0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("integrator", ["extrapolated_midpoint", "semi_implicit", "spherical_midpoint"])
def test_interrupted_run_resumes_bit_for_bit(tmp_path, integrator):
    options = OPTIONS | {"n_steps": 30, "save_every": 4, "integrator": integrator}

    def stopping(state):
        if state.step == 16 and not stopped:
            stopped.append(True)
            raise KeyboardInterrupt
        return state.step

    stopped: list[bool] = []
    options["observers"] = OBSERVERS | {"stopping": stopping}
    broken = simulate(ring(6), start(), trajectory=tmp_path / "broken.h5", **options)
    assert broken.interrupted
    continued = resume(tmp_path / "broken.h5", ring(6), observers=options["observers"])
    whole = simulate(ring(6), start(), trajectory=tmp_path / "whole.h5", **options)
    assert not continued.interrupted
    assert torch.equal(continued.spins, whole.spins)
    assert_same_file(tmp_path / "broken.h5", tmp_path / "whole.h5")
    for name, values in whole.observables.items():
        np.testing.assert_array_equal(continued.observables[name], values)


def test_finished_run_can_be_extended(tmp_path):
    simulate(ring(6), start(), n_steps=10, save_every=4, trajectory=tmp_path / "a.h5", **OPTIONS)
    resume(tmp_path / "a.h5", ring(6), n_steps=9, observers=OBSERVERS)
    simulate(ring(6), start(), n_steps=19, save_every=4, trajectory=tmp_path / "b.h5", **OPTIONS)
    assert_same_file(tmp_path / "a.h5", tmp_path / "b.h5")


def test_resume_restores_arrays_of_parameters_and_replica_numbers(tmp_path):
    options = {"dt": 0.1, "damping": [0.1, 0.3], "kT": np.full((1, 6), 0.2), "replicas": [5, 9], "seed": 2}
    simulate(ring(6), start(), n_steps=7, trajectory=tmp_path / "a.h5", save_every=5, **options)
    continued = resume(tmp_path / "a.h5", ring(6), n_steps=6)
    assert torch.equal(continued.spins, simulate(ring(6), start(), n_steps=13, **options).spins)


def test_resume_refuses_another_source_or_other_observers(tmp_path):
    simulate(ring(6), start(), n_steps=4, trajectory=tmp_path / "a.h5", **OPTIONS)
    with pytest.raises(InvalidInput, match="is not the stored one"):
        resume(tmp_path / "a.h5", ring(6, J=2.0), observers=OBSERVERS)
    with pytest.raises(InvalidInput, match="observers"):
        resume(tmp_path / "a.h5", ring(6))
    with pytest.raises(InvalidInput, match="n_steps=-1"):
        resume(tmp_path / "a.h5", ring(6), n_steps=-1, observers=OBSERVERS)


def write(path: Path, n_steps: int) -> None:
    simulate(ring(6), start(), n_steps=n_steps, save_every=3, trajectory=path, **OPTIONS)


def run_and_kill(path: Path, n_steps: int, frames: int, delay: float) -> int:
    """Kill a writing process `delay` seconds after it stored `frames` frames; frames that were readable just before."""
    process = get_context("fork").Process(target=write, args=(path, n_steps))
    process.start()
    try:
        seen, deadline = 0, time.monotonic() + 600
        while seen < frames:
            assert process.is_alive()
            assert time.monotonic() < deadline
            if path.exists():
                with Trajectory(path) as trajectory:
                    seen = len(trajectory)
            time.sleep(0.01)
        time.sleep(delay)
        with Trajectory(path) as trajectory:
            seen = len(trajectory)
    finally:
        process.kill()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    return seen


def check_recovery(tmp_path: Path, delay: float) -> None:
    path = tmp_path / "killed.h5"
    seen = run_and_kill(path, 10**6, frames=4, delay=delay)
    with Trajectory(path) as trajectory:
        frames = len(trajectory)
        assert frames >= seen
        step = trajectory.state.step
        simulate(ring(6), start(), n_steps=step + 50, save_every=3, trajectory=tmp_path / "whole.h5", **OPTIONS)
        with Trajectory(tmp_path / "whole.h5") as whole:
            assert trajectory[:].tobytes() == whole[:frames].tobytes()
    resume(path, ring(6), n_steps=50, observers=OBSERVERS)
    assert_same_file(path, tmp_path / "whole.h5")


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # of fork, from Python 3.12
def test_killed_run_is_readable_and_resumes_bit_for_bit(tmp_path):
    check_recovery(tmp_path, delay=0.0)


@pytest.mark.slow
@pytest.mark.parametrize("delay", np.random.default_rng(0).uniform(0, 1.5, 10).round(4).tolist())
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_killed_at_a_random_moment(tmp_path, delay):
    check_recovery(tmp_path, delay)


HOLDER = """
import sys
from gnnspin.runs import owned
with owned(sys.argv[1], "trajectory"):
    print(flush=True)
    input()
"""


def test_second_writer_is_refused(tmp_path):
    path = tmp_path / "run.h5"
    simulate(ring(6), start(), n_steps=3, trajectory=path, **OPTIONS)
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(StoreError, match="being written by another process"):
        resume(path, ring(6), observers=OBSERVERS)
    holder.communicate(b"\n")
    resume(path, ring(6), n_steps=1, observers=OBSERVERS)


def test_reading_along_does_not_end_the_ownership(tmp_path):
    """The writing process opens and closes its file to look at it; another process is refused all the same."""
    path, refused = tmp_path / "run.h5", []

    def look(state):
        if path.exists() and not refused:
            path.read_bytes()
            taking = subprocess.run([sys.executable, "-c", HOLDER, path], input=b"\n", capture_output=True)
            refused.append(taking.returncode != 0 and b"being written by another process" in taking.stderr)
        return state.spins[..., 2].mean()

    options = OPTIONS | {"observers": {"look": look}}
    simulate(ring(6), start(), n_steps=3, trajectory=path, **options)
    assert refused == [True]
    assert list(tmp_path.iterdir()) == [path]


def test_torn_checkpoint_falls_back_to_the_other_slot(tmp_path):
    path = tmp_path / "run.h5"
    simulate(ring(6), start(), n_steps=6, save_every=3, trajectory=path, **OPTIONS)
    with h5py.File(path, "r+", libver="latest") as file:
        newest = int(file["checkpoint/record"][:, 0].argmax())
        file["checkpoint/spins"][newest, 0, 0] = 0.5
    with Trajectory(path) as trajectory:
        assert trajectory.state.step in (3, 6)  # closing stored step 6 in both slots, or step 3 is left
        assert (trajectory.state.spins.norm(dim=-1) - 1).abs().max() < 1e-12
    with h5py.File(path, "r+", libver="latest") as file:
        file["checkpoint/spins"][...] = 0.5
    with Trajectory(path) as trajectory, pytest.raises(StoreError, match="no intact checkpoint"):
        _ = trajectory.state


def test_foreign_damaged_and_missing_files_are_clear_errors(tmp_path):
    with pytest.raises(StoreError, match="does not exist"):
        Trajectory(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("not HDF5")
    with pytest.raises(StoreError, match="not a readable HDF5 file"):
        Trajectory(tmp_path / "text.h5")
    with h5py.File(tmp_path / "foreign.h5", "w", libver="latest") as file:
        file["x"] = 1
    with pytest.raises(StoreError, match="no trajectory"):
        Trajectory(tmp_path / "foreign.h5")
    simulate(ring(6), start(), n_steps=6, trajectory=tmp_path / "whole.h5", **OPTIONS)
    content = (tmp_path / "whole.h5").read_bytes()
    for length in (10, 1000, len(content) // 2):
        (tmp_path / "cut.h5").write_bytes(content[:length])
        with pytest.raises(StoreError, match=r"cut\.h5"):
            Trajectory(tmp_path / "cut.h5")
    with pytest.raises(StoreError, match=r"cut\.h5"):
        resume(tmp_path / "cut.h5", ring(6), observers=OBSERVERS)


@pytest.fixture(scope="module")
def left_open(tmp_path_factory):
    """A file as a killed writer leaves it, its frames and observations: copied while a run writes it."""
    folder = tmp_path_factory.mktemp("left_open")

    def copy(state):
        if state.step == 176:
            shutil.copy(folder / "run.h5", folder / "open.h5")
        return state.step

    observers = {"copy": copy, "magnetization": lambda state: state.spins.mean(-2)}
    options = OPTIONS | {"observers": observers}
    spins = random_spins(60, replicas=(2,), seed=3)
    simulate(ring(60), spins, n_steps=180, trajectory=folder / "run.h5", save_every=3, **options)
    with Trajectory(folder / "open.h5") as whole:
        assert len(whole) == 59
        return folder / "open.h5", whole[:], whole.observables["magnetization"]


@pytest.mark.parametrize("kept", [0.75, 0.9, 0.97])
def test_a_truncated_copy_of_an_open_file_names_its_last_whole_frame(tmp_path, left_open, kept):
    path, frames, magnetization = left_open
    content = path.read_bytes()
    cut = tmp_path / "cut.h5"
    cut.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(
        StoreError, match=r"cut\.h5 is cut short: it has \d+ of \d+ bytes; the last whole frame"
    ) as caught:
        Trajectory(cut)
    with pytest.raises(StoreError, match="the last whole frame"):
        resume(cut, ring(6), observers=OBSERVERS)
    with Trajectory(cut, damaged=True) as left:
        assert 0 < len(left) < len(frames)
        assert f"last whole frame is {len(left) - 1};" in str(caught.value)
        np.testing.assert_array_equal(left[:], frames[: len(left)])
        seen = left.observables["magnetization"]
        np.testing.assert_array_equal(seen, magnetization[: len(seen)])
        assert left.steps.tolist() == list(range(0, 3 * len(left), 3))


def test_a_whole_file_is_not_called_damaged(left_open):
    path, frames, magnetization = left_open
    with Trajectory(path, damaged=True) as left:
        np.testing.assert_array_equal(left[:], frames)
        np.testing.assert_array_equal(left.observables["magnetization"], magnetization)


def test_superblock_checksum_is_that_of_hdf5(left_open):
    head = left_open[0].read_bytes()[:48]
    assert lookup3(head[:44]) == int.from_bytes(head[44:], "little")
    assert closed_superblock(head)[11] == 0
    assert lookup3(b"Four score and seven years ago") == 0x17770551  # of the author's own test of the hash


def test_frames_of_zeros_are_no_spins(tmp_path):
    path = tmp_path / "run.h5"
    simulate(ring(6), start(), n_steps=8, save_every=2, trajectory=path, **OPTIONS)
    with h5py.File(path, "r+", libver="latest") as file:
        file["spins"][3:] = 0.0
    with Trajectory(path) as trajectory:
        assert trajectory[:3].shape == (3, 2, 6, 3)
        for index in (3, -1, slice(None), slice(None, None, -1)):
            with pytest.raises(StoreError, match=r"frame [34] of trajectory .* the last whole frame is [23]"):
                trajectory[index]


def test_slices_are_those_of_arrays(tmp_path):
    path = tmp_path / "run.h5"
    simulate(ring(6), start(), n_steps=8, save_every=2, trajectory=path, **OPTIONS)
    with Trajectory(path) as trajectory:
        frames = trajectory[:]
        for index in (slice(None, None, -1), slice(3, 0, -2), slice(-1, -9, -3), slice(4, 1), slice(1, 99, 2)):
            np.testing.assert_array_equal(trajectory[index], frames[index])
        np.testing.assert_array_equal(trajectory[np.int64(-2)], frames[-2])
        with pytest.raises(IndexError, match="frame 5 of a trajectory of 5 frames"):
            trajectory[5]


def test_full_disk_is_a_clear_error(tmp_path, monkeypatch):
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    name = uuid.uuid4()
    monkeypatch.setattr(uuid, "uuid4", lambda: name)
    (tmp_path / f".run.h5.{name.hex}.tmp").symlink_to("/dev/full")
    with pytest.raises(StoreError, match="cannot write trajectory"):
        simulate(ring(6), start(), n_steps=6, trajectory=tmp_path / "run.h5", **OPTIONS)
    assert not list(tmp_path.iterdir())
