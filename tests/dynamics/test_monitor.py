"""Runs whose torque is compared with the exact one while they go on."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gnnspin as gs
from gnnspin.core import InvalidInput, random_spins
from gnnspin.core.errors import UntrustedField
from gnnspin.core.state import State
from gnnspin.datasets import LabelStore
from gnnspin.dynamics import Monitor, resume, simulate
from gnnspin.dynamics.job import SimulationConfig
from gnnspin.dynamics.monitor import RunningMonitor
from gnnspin.trajectories import Trajectory

SYSTEM = gs.systems.triangular(6, 6)
EXACT = gs.classical.Heisenberg(SYSTEM, J=1.0)
START = random_spins(36, replicas=(2,), seed=1)
OPTIONS: dict[str, Any] = {"dt": 0.05, "damping": 0.1, "progress": False}


def _learned(share: float, system: gs.systems.SpinSystem = SYSTEM) -> gs.core.FieldSource:
    return gs.classical.Heisenberg(system, J=share)


def test_error_and_torque_are_those_of_the_checked_replica() -> None:
    run = simulate(
        _learned(0.9),
        START,
        n_steps=6,
        monitor=EXACT,
        monitor_every=2,
        observers={"s": lambda x: x.spins.clone()},
        **OPTIONS,
    )
    spins = torch.from_numpy(run.observables["s"])
    np.testing.assert_array_equal(np.isnan(run.observables["monitor_error"]), np.arange(7) % 2 == 1)
    for check, step in enumerate((0, 2, 4, 6)):
        exact = EXACT.torque(spins[step, check % 2]).square().mean().sqrt()
        assert run.observables["monitor_torque"][step] == pytest.approx(float(exact), rel=1e-12)
        assert run.observables["monitor_error"][step] == pytest.approx(0.1 * float(exact), rel=1e-9)


def test_a_monitor_changes_nothing() -> None:
    options = OPTIONS | {"n_steps": 7, "kT": 0.1}
    plain = simulate(_learned(0.9), START, **options)
    watched = simulate(_learned(0.9), START, monitor=EXACT, monitor_every=3, **options)
    assert torch.equal(plain.spins, watched.spins)


def test_beyond_the_limit_it_warns_keeps_labels_and_stops(tmp_path: Path) -> None:
    """A field of half the strength is wrong by half of the torque; its first check says so."""
    monitor = Monitor(EXACT, every=4, limit=0.4, action="stop", labels=tmp_path / "flagged.h5")
    path = tmp_path / "run.h5"
    with pytest.warns(UntrustedField, match=r"step 0: .* 50% of the exact torque"):
        run = simulate(_learned(0.5), START, n_steps=12, monitor=monitor, trajectory=path, **OPTIONS)
    assert run.state.step == 0
    assert run.interrupted
    assert "50% of the exact torque" in str(run.stop_reason)
    labels = LabelStore(tmp_path / "flagged.h5")
    assert len(labels) == 1
    torch.testing.assert_close(labels[0].spins, START[0])
    torch.testing.assert_close(labels[0].field, EXACT.field(START[0]))
    assert labels[0].energy == pytest.approx(float(EXACT.energy(START[0])))
    with pytest.warns(UntrustedField, match="step 4"):
        further = resume(path, progress=False)
    assert further.state.step == 4
    assert len(LabelStore(tmp_path / "flagged.h5")) == 2


def test_below_the_limit_it_is_silent(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UntrustedField)
        monitor = Monitor(EXACT, every=2, limit=0.2, labels=tmp_path / "none.h5")
        simulate(_learned(0.9), START, n_steps=4, monitor=monitor, **OPTIONS)
        small = Monitor(EXACT, every=2, limit=0.01, absolute=1.0)
        simulate(_learned(0.9), START, n_steps=4, monitor=small, **OPTIONS)
        everything = Monitor(EXACT, every=2, limit=0.2, labels=tmp_path / "all.h5", keep="all")
        simulate(_learned(0.9), START, n_steps=4, monitor=everything, **OPTIONS)
    assert not (tmp_path / "none.h5").exists()
    assert len(LabelStore(tmp_path / "all.h5")) == 3


@pytest.mark.parametrize("until", [4, 5])
def test_resumed_from_the_file_alone_bit_for_bit(tmp_path: Path, until: int) -> None:
    """On windows, whose buffer the first check chose; what was labelled before the end is not labelled twice."""
    system = gs.systems.triangular(12, 12)
    exact = gs.classical.Heisenberg(system, J=[1.0, 0.2])
    start = random_spins(144, seed=3)

    def begin(name: str, n_steps: int) -> gs.dynamics.Run:
        monitor = Monitor(exact, every=2, max_sites=140, window=3, labels=tmp_path / f"{name}.labels.h5", keep="all")
        options = OPTIONS | {"n_steps": n_steps, "kT": 0.05, "save_every": 1}
        return simulate(_learned(0.9, system), start, monitor=monitor, trajectory=tmp_path / f"{name}.h5", **options)

    begin("part", until)
    continued, whole = resume(tmp_path / "part.h5", n_steps=8 - until, progress=False), begin("whole", 8)
    assert torch.equal(continued.spins, whole.spins)
    for name in ("monitor_error", "monitor_torque"):
        np.testing.assert_array_equal(continued.observables[name], whole.observables[name])
    labels = [LabelStore(tmp_path / f"{name}.labels.h5").stacked() for name in ("part", "whole")]
    assert torch.equal(labels[0].spins, labels[1].spins)
    with Trajectory(tmp_path / "part.h5") as stored:
        assert stored.settings["monitor"]["buffer"] == 4
        assert stored.settings["monitor"]["truncation_error"] < 1e-12
    with pytest.raises(InvalidInput, match=r"source is not the stored one"):
        resume(tmp_path / "part.h5", n_steps=1, monitor=_learned(0.5, system), progress=False)


def test_window_errors_are_those_of_the_lattice_within_the_truncation() -> None:
    """Electrons in a gap: far spins matter little, and the stated truncation error bounds what is left."""
    system = gs.systems.triangular(20, 20)
    hamiltonian = gs.electrons.SDHamiltonian(system, J=6.0)
    exact = gs.electrons.PoleExpansion(hamiltonian, kT=0.05, mu=0.0, tolerance=1e-5)
    learned = gs.classical.Heisenberg(system, J=-0.05)
    spins = random_spins(400, seed=4)
    watch = RunningMonitor(Monitor(exact, every=1, max_sites=250, window=4, places=2, truncation=0.02), learned)
    found = watch._check(State(spins))
    assert watch.truncation_error is not None
    assert 0 < watch.truncation_error < 0.02 * found.torque_rms
    exact_torque, error = exact.torque(spins), learned.torque(spins) - exact.torque(spins)
    sites = torch.cat([window.sites[window.inner] for window in watch._windows(0)])
    assert len(sites) == found.n_sites == 32
    true = float(error[sites].square().mean().sqrt())
    assert abs(found.torque_rmse - true) <= watch.truncation_error
    assert abs(found.torque_rms - float(exact_torque[sites].square().mean().sqrt())) <= watch.truncation_error


def test_yaml_says_the_same(tmp_path: Path) -> None:
    source = {"kind": "heisenberg", "J": 0.5}
    config = SimulationConfig.model_validate(
        {
            "system": {"kind": "triangular", "shape": [6, 6]},
            "source": source,
            "monitor": {"source": {"kind": "heisenberg", "J": 1.0}, "every": 10, "limit": 0.6},
            "n_steps": 20,
            "dt": 0.05,
        }
    )
    assert SimulationConfig.model_validate(config.model_dump(mode="json")) == config
    run = config.run(tmp_path / "run.h5", progress=False)
    np.testing.assert_allclose(run.observables["monitor_error"] / run.observables["monitor_torque"], 0.5, rtol=1e-9)
    for bad, said in (({"limit": 0}, "limit=0"), ({"every": 0}, "every=0"), ({"action": "shout"}, "action")):
        values = config.model_dump(mode="json")
        with pytest.raises(ValueError, match=said):
            SimulationConfig.model_validate(values | {"monitor": values["monitor"] | bad})


def test_what_does_not_fit_is_refused_before_any_work(tmp_path: Path) -> None:
    other = gs.systems.triangular(5, 5)
    with pytest.raises(InvalidInput, match="build both on one system"):
        simulate(EXACT, START, n_steps=2, monitor=_learned(1.0, other), **OPTIONS)
    with pytest.raises(InvalidInput, match="every 3 steps and the run observes every 2"):
        simulate(EXACT, START, n_steps=6, observe_every=2, monitor=EXACT, monitor_every=3, **OPTIONS)
    filled = gs.electrons.ExactDiagonalization(gs.electrons.SDHamiltonian(SYSTEM, J=3.0), kT=0.1, filling=0.3)
    with pytest.raises(InvalidInput, match="give the exact source mu="):
        simulate(EXACT, START, n_steps=2, monitor=Monitor(filled, every=1, max_sites=20), **OPTIONS)
    simulate(EXACT, START, n_steps=1, trajectory=tmp_path / "plain.h5", **OPTIONS)
    with pytest.raises(InvalidInput, match="without a monitor; leave monitor out"):
        resume(tmp_path / "plain.h5", n_steps=1, monitor=EXACT, progress=False)


def test_vacancies_are_vacant_for_the_monitor_too() -> None:
    run = simulate(
        _learned(0.5), START, n_steps=1, monitor=Monitor(EXACT, every=1, limit=0.6), vacancies=[3, 7], **OPTIONS
    )
    errors, torques = (run.observables[name] for name in ("monitor_error", "monitor_torque"))
    np.testing.assert_allclose(errors / torques, 0.5, rtol=1e-9)
