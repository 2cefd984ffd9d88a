"""Runs continued from the file alone: the source is rebuilt, bit for bit."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from sources import Bilinear, Paramagnet, ring

import gnnspin as gs
from gnnspin.core import InvalidInput, random_spins
from gnnspin.core.plain import as_stored as plain
from gnnspin.dynamics import resume, simulate
from gnnspin.force_fields.force_field import model_weights
from gnnspin.trajectories import StoredSource, Trajectory, rebuild_source, register_rebuilder
from gnnspin.trajectories.rebuild import require_same_source

SYSTEM = gs.systems.triangular(4, 4)
OBSERVERS = {"magnetization": lambda state: state.spins.mean(-2)}
OPTIONS = {"dt": 0.05, "damping": 0.1, "kT": 0.02, "seed": 7, "observers": OBSERVERS, "observe_every": 2}


def start() -> torch.Tensor:
    return random_spins(16, replicas=(2,), seed=3)


def learned(dtype: torch.dtype = torch.float32, seed: int = 0) -> gs.ForceField:
    """A small calibrated model with fields of order one."""
    torch.manual_seed(seed)
    spec = gs.graphs.GraphSpec.for_system(SYSTEM, cutoff=1.5)
    model = gs.models.build("spin_cluster_expansion", spec, layers=1, channels=4, hidden=8)
    geometry = model.prepare(SYSTEM).to("cpu", torch.float32)
    model.calibrate(geometry, random_spins(16, replicas=(20,), seed=1, dtype=torch.float32))
    model.energy_scale.div_(gs.ForceField(model, SYSTEM).field(start()).norm(dim=-1).max())
    return gs.ForceField(model, SYSTEM).to(dtype=dtype)


def exact(**ensemble) -> gs.electrons.ExactDiagonalization:
    rule = gs.electrons.NearestNeighborHopping(t=1.0)
    return gs.electrons.ExactDiagonalization(gs.electrons.SDHamiltonian(SYSTEM, rule, J=3.0), kT=0.05, **ensemble)


def classical():
    easy = gs.classical.UniaxialAnisotropy(SYSTEM, K=0.2)
    return gs.classical.Heisenberg(SYSTEM, J=[1.0, 0.1]) + gs.classical.Zeeman(SYSTEM, B=[0, 0, 0.3]) + easy


SOURCES = {
    "learned": learned,
    "learned in float64": lambda: learned(torch.float64),
    "learned and field": lambda: learned() + gs.classical.Zeeman(SYSTEM, B=[0.1, 0, 0]),
    "fixed mu": lambda: exact(mu=-3.2),
    "fixed filling": lambda: exact(filling=0.4),
    "classical": classical,
}


@pytest.mark.parametrize("name", SOURCES)
def test_any_source_runs_through_one_call_and_resumes_without_being_given(tmp_path, name):
    source, path = SOURCES[name](), tmp_path / "a.h5"
    simulate(source, start(), n_steps=5, trajectory=path, save_every=2, **OPTIONS)
    continued = resume(path, n_steps=6, observers=OBSERVERS)
    whole = simulate(source, start(), n_steps=11, **OPTIONS)
    assert torch.equal(continued.spins, whole.spins)
    np.testing.assert_array_equal(continued.observables["magnetization"], whole.observables["magnetization"])
    with Trajectory(path) as trajectory:
        assert plain(trajectory.rebuild_source().specification()) == plain(source.specification())


def test_other_weights_are_another_source(tmp_path):
    simulate(learned(), start(), n_steps=2, trajectory=tmp_path / "a.h5", **OPTIONS)
    resume(tmp_path / "a.h5", learned(), n_steps=1, observers=OBSERVERS)
    with pytest.raises(InvalidInput, match=r"is not the stored one.*differ in weights"):
        resume(tmp_path / "a.h5", learned(seed=1), n_steps=1, observers=OBSERVERS)


def test_a_source_stored_before_an_option_existed_is_the_same_source() -> None:
    for source in (learned(), learned() + gs.classical.Zeeman(SYSTEM, B=[0.1, 0, 0])):
        stored = plain(source.specification())
        model = stored if stored["kind"] == "force_field" else stored["terms"][0]
        del model["hyperparameters"]["fixed_number"]
        require_same_source(source, stored)
        model["hyperparameters"]["hidden"] += 1
        with pytest.raises(InvalidInput, match="is not the stored one"):
            require_same_source(source, stored)


def test_a_run_in_tiles_goes_on_in_tiles() -> None:
    source = gs.load("pretrained:triangular_120", gs.systems.triangular(40, 40)).tile(800)
    stored = StoredSource(plain(source.specification()), source.system, model_weights(source), "cpu")
    spins = random_spins(1600, seed=0)
    assert torch.equal(rebuild_source(stored).field(spins), source.field(spins))
    with pytest.raises(InvalidInput, match="max_sites"):
        require_same_source(source.on(source.system), stored.specification)


def test_weights_that_were_changed_in_the_file_are_refused(tmp_path):
    simulate(learned(), start(), n_steps=2, trajectory=tmp_path / "a.h5", **OPTIONS)
    with h5py.File(tmp_path / "a.h5", "r+", libver="latest") as file:
        name = next(iter(file["weights"]))
        file["weights"][name][-1] ^= 1
    with pytest.raises(InvalidInput, match="is not the stored one"):
        resume(tmp_path / "a.h5", n_steps=1, observers=OBSERVERS)


def test_sources_that_a_file_cannot_hold_are_clear_errors(tmp_path):
    simulate(ring(6), random_spins(6, seed=0), dt=0.1, n_steps=2, damping=0.1, trajectory=tmp_path / "a.h5")
    with pytest.raises(InvalidInput, match=r"stored source Bilinear cannot be rebuilt.*give it as source="):
        resume(tmp_path / "a.h5", n_steps=1)
    driven = gs.classical.Zeeman(SYSTEM, B=lambda time: (0.0, 0.0, time))
    with pytest.raises(InvalidInput, match=r"zeeman cannot be rebuilt \(.*function"):
        rebuild_source(StoredSource(plain(driven.specification()), SYSTEM, {}))
    force_field = learned()
    with pytest.raises(InvalidInput, match=r"the weights .* are not in the file"):
        rebuild_source(StoredSource(plain(force_field.specification()), SYSTEM, {}))
    weights = model_weights(force_field)
    assert rebuild_source(StoredSource(plain(force_field.specification()), SYSTEM, weights)).dtype == torch.float32


def test_classes_of_the_user_can_be_registered(tmp_path):
    with pytest.warns(DeprecationWarning, match="kind="):
        register_rebuilder("Paramagnet", lambda stored: Paramagnet(stored.system, stored.specification["field"]))
    source = Paramagnet(6, 0.5)
    simulate(source, random_spins(6, seed=0), dt=0.1, n_steps=2, damping=0.1, trajectory=tmp_path / "a.h5")
    whole = simulate(source, random_spins(6, seed=0), dt=0.1, n_steps=4, damping=0.1)
    assert torch.equal(resume(tmp_path / "a.h5", n_steps=2).spins, whole.spins)
    with pytest.warns(DeprecationWarning, match="kind="):
        register_rebuilder("Bilinear", lambda _: Bilinear(torch.zeros(6, 6)))
    simulate(ring(6), random_spins(6, seed=0), dt=0.1, n_steps=2, damping=0.1, trajectory=tmp_path / "b.h5")
    try:
        with pytest.raises(InvalidInput, match="is not the stored one"):
            resume(tmp_path / "b.h5", n_steps=2)
    finally:
        from gnnspin.trajectories import rebuild

        del rebuild._REBUILDERS["Bilinear"]


WRITER = """
import sys, torch
sys.path.insert(0, sys.argv[2])
torch.set_num_threads(1)
from dynamics.test_resume import OPTIONS, learned, start
from gnnspin.dynamics import simulate
simulate(learned(), start(), n_steps=10**6, save_every=3, trajectory=sys.argv[1], **OPTIONS)
"""


@pytest.mark.slow
@pytest.mark.parametrize("delay", np.random.default_rng(1).uniform(0, 1.5, 10).round(4).tolist())
def test_learned_model_killed_at_a_random_moment_resumes_from_the_file_alone(tmp_path, delay):
    path, tests = tmp_path / "killed.h5", Path(__file__).parents[1]
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(tests)])
    try:
        deadline = time.monotonic() + 600
        while not path.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(delay)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    with Trajectory(path) as trajectory:
        step = trajectory.state.step
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        continued = resume(path, n_steps=20, observers=OBSERVERS)
        whole = simulate(learned(), start(), n_steps=step + 20, **OPTIONS)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(continued.spins, whole.spins)
    np.testing.assert_array_equal(continued.observables["magnetization"], whole.observables["magnetization"])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"positions": SYSTEM.positions + [[0.1, 0, 0]] + np.eye(16, 3) * 0.2}, r"positions \(by up to 0.3\)"),
        ({"cell": SYSTEM.cell * 1.5}, "cell"),
        ({"pbc": (True, False, True)}, "pbc"),
        ({"species": np.arange(16) % 2}, r"species \(by up to 1\)"),
        ({"lattice_shape": (2, 8, 1)}, r"lattice_shape \(\[2, 8, 1\], stored \[4, 4, 1\]\)"),
        ({"lattice_shape": None}, r"lattice_shape \(none, stored"),
        ({"polar_axis": (0, 0, 1)}, r"polar_axis \(\[0.0, 0.0, 1.0\], stored none\)"),
    ],
)
def test_another_system_is_refused_by_what_differs(tmp_path, changes, named):
    simulate(gs.classical.Zeeman(SYSTEM), start(), n_steps=2, trajectory=tmp_path / "a.h5", **OPTIONS)
    kept = {name: getattr(SYSTEM, name) for name in ("positions", "cell", "pbc", "species", "lattice_shape")}
    other = gs.systems.SpinSystem(**kept | {"polar_axis": SYSTEM.polar_axis} | changes)
    with pytest.raises(InvalidInput, match=f"the system of the source is not the stored one: .*{named}"):
        resume(tmp_path / "a.h5", gs.classical.Zeeman(other), n_steps=1, observers=OBSERVERS)
    with pytest.raises(InvalidInput, match=r"number of sites \(25, stored 16\)"):
        resume(tmp_path / "a.h5", gs.classical.Zeeman(gs.systems.triangular(5, 5)), n_steps=1, observers=OBSERVERS)


def test_the_parameter_that_differs_is_named_at_any_depth(tmp_path):
    source = classical()
    simulate(source, start(), n_steps=2, trajectory=tmp_path / "a.h5", **OPTIONS)
    other = gs.classical.Heisenberg(SYSTEM, J=[1.0, 0.1]) + gs.classical.Zeeman(SYSTEM, B=[0, 0, 0.4])
    with pytest.raises(InvalidInput, match=r"terms\.1\.B\.2 \(0\.4, stored 0\.3\)"):
        resume(tmp_path / "a.h5", other + source.terms[2], n_steps=1, observers=OBSERVERS)


def test_observers_that_are_not_given_again_are_asked_for(tmp_path):
    path = tmp_path / "a.h5"
    options = {"dt": 0.1, "damping": 0.1, "observers": ["magnetization"]}
    simulate(
        gs.classical.Heisenberg(gs.systems.chain(6)), random_spins(6, seed=0), n_steps=2, trajectory=path, **options
    )
    with pytest.raises(InvalidInput, match=r"\['magnetization'\]; give those of the run again, observers="):
        resume(path, n_steps=1)
    assert resume(path, n_steps=1, observers=["magnetization"]).state.step == 3
