"""The simulation loop: observers, replicas, guards, interrupts and bad input."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch
from sources import Bilinear, ring

import gnnspin as gs
from gnnspin.core import InvalidInput, SimulationError, StoreError, random_spins
from gnnspin.dynamics import INTEGRATORS, simulate
from gnnspin.trajectories import Trajectory


class Exploding(Bilinear):
    """A ring whose field becomes NaN at one site after some time."""

    def __init__(self, n_sites: int, after: float, site: int) -> None:
        super().__init__(ring(n_sites).exchange)
        self.after, self.site = after, site

    def energies_and_fields(self, spins, time=None):
        energies, fields = super().energies_and_fields(spins, time)
        if time > self.after:
            fields[-1, self.site] = torch.nan
        return energies, fields


def test_observers_are_called_every_k_steps_and_stacked():
    source, spins = ring(5), random_spins(5, replicas=(2,), seed=0)

    def magnetization(state):
        return state.spins.mean(-2)

    observers = [magnetization, lambda state: source.energy(state.spins).numpy(), lambda _: 7]
    run = simulate(source, spins, dt=0.1, n_steps=10, damping=0.1, observers=observers, observe_every=4)
    assert set(run.observables) == {"magnetization", "observable_1", "observable_2"}
    assert run.steps.tolist() == [0, 4, 8]
    np.testing.assert_allclose(run.times, [0.0, 0.4, 0.8])
    assert run.observables["magnetization"].shape == (3, 2, 3)
    assert run.observables["observable_1"].shape == (3, 2)
    assert run.observables["observable_2"].tolist() == [7, 7, 7]
    np.testing.assert_allclose(run.observables["magnetization"][0], spins.mean(-2))
    assert run.state.step == 10
    assert run.spins.shape == (2, 5, 3)
    assert run.spin_updates_per_second > 0
    assert not run.interrupted


def test_initial_spins_are_not_changed():
    spins = random_spins(4, seed=0)
    copy = spins.clone()
    simulate(ring(4), spins, dt=0.1, n_steps=3, damping=0.1)
    assert torch.equal(spins, copy)


@pytest.mark.parametrize("integrator", sorted(set(INTEGRATORS) - {"adaptive"}))
def test_replica_alone_equals_the_same_replica_in_a_batch(integrator):
    spins = random_spins(7, replicas=(2, 3), seed=5)
    options = {"dt": 0.1, "n_steps": 1, "damping": 0.2, "kT": 0.4, "seed": 11, "integrator": integrator}
    batch = simulate(ring(7), spins, **options).spins
    for number in range(6):
        alone = simulate(ring(7), spins.reshape(6, 7, 3)[number], replicas=[number], **options).spins
        torch.testing.assert_close(alone, batch.reshape(6, 7, 3)[number], atol=1e-12, rtol=0)


def test_seed_decides_the_trajectory():
    options = {"dt": 0.1, "n_steps": 5, "damping": 0.2, "kT": 0.4}
    first, again, other = (simulate(ring(4), random_spins(4, seed=0), seed=s, **options).spins for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert (first - other).abs().max() > 0.01


def test_zero_steps_return_the_initial_state():
    spins = random_spins(4, seed=0)
    run = simulate(ring(4), spins.numpy(), dt=0.1, n_steps=0, damping=0.1, observers={"x": lambda s: s.time})
    torch.testing.assert_close(run.spins, spins, atol=1e-15, rtol=0)
    assert run.observables["x"].tolist() == [0.0]


@pytest.mark.parametrize("integrator", sorted(set(INTEGRATORS) - {"adaptive"}))
def test_nan_stops_with_step_and_site_and_keeps_the_last_good_state(tmp_path, integrator):
    path = tmp_path / "run.h5"
    source, spins = Exploding(6, after=1.01, site=4), random_spins(6, replicas=(2,), seed=0)
    with pytest.raises(SimulationError, match=r"step 1[01]: the field at site 4 of replica \[1\] is not finite"):
        simulate(source, spins, dt=0.1, n_steps=50, damping=0.1, integrator=integrator, trajectory=path, save_every=3)
    with Trajectory(path) as trajectory:
        assert trajectory.steps.tolist() == [0, 3, 6, 9]
        assert trajectory.state.step in (9, 10)
        good = simulate(ring(6), spins, dt=0.1, n_steps=trajectory.state.step, damping=0.1, integrator=integrator)
        assert torch.equal(trajectory.state.spins, good.spins)


def test_interrupt_in_an_observer_returns_what_was_computed(tmp_path):
    def stopping(state):
        if state.step == 20:
            raise KeyboardInterrupt
        return state.step

    run = simulate(
        ring(4),
        random_spins(4, seed=0),
        dt=0.1,
        n_steps=50,
        damping=0.1,
        observers=[stopping],
        trajectory=tmp_path / "run.h5",
        save_every=5,
    )
    assert run.interrupted
    assert run.state.step == 20
    assert run.observables["stopping"].tolist() == list(range(20))
    with Trajectory(tmp_path / "run.h5") as trajectory:
        assert trajectory.state.step == 20
        assert trajectory.observables["stopping"].tolist() == list(range(20))
        assert trajectory.steps.tolist() == [0, 5, 10, 15]


def test_ctrl_c_finishes_the_step_and_restores_the_handler():
    def press(state):
        if state.step == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return state.step

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job may start with it ignored
    try:
        run = simulate(ring(4), random_spins(4, seed=0), dt=0.1, n_steps=50, damping=0.1, observers=[press])
        after = signal.getsignal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert run.interrupted
    assert run.observables["press"].tolist() == [0, 1, 2, 3]
    assert after is signal.default_int_handler


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dt": 0.0}, "dt=0.0 must be positive"),
        ({"dt": float("nan")}, "dt=nan"),
        ({"gamma": -1.0}, "gamma=-1.0"),
        ({"damping": -0.1}, "damping=-0.1"),
        ({"kT": -0.1}, "kT=-0.1"),
        ({"kT": [0.1, -0.1]}, "kT="),
        ({"kT": [0.1, 0.2, 0.3]}, r"kT has shape \(3,\).* \(2,\) per replica or \(2, 4\) per site"),
        ({"damping": np.ones((2, 2, 4))}, "damping has shape"),
        ({"n_steps": -1}, "n_steps=-1"),
        ({"observe_every": 0}, "observe_every=0"),
        ({"save_every": 0}, "save_every=0"),
        (
            {"integrator": "euler"},
            "'euler' is unknown; known: adaptive, extrapolated_midpoint, heun, rotation, semi_implicit, spher",
        ),
        ({"seed": -1}, "seed=-1"),
        ({"replicas": [0]}, "2 distinct"),
        ({"replicas": [1, 1]}, "2 distinct"),
        ({"observers": [3]}, "observable_0"),
        ({"observers": {"a/b": len}}, "'a/b'"),
        ({"observers": {"step": len}}, "'step'"),
        ({"observers": [np.sum, np.sum]}, "repeat"),
        ({"observers": {"text": lambda _: "text"}}, "'text' returned str"),
        ({"save_dtype": "int8"}, "save_dtype='int8'"),
        ({"spins": torch.ones(2, 4, 3)}, "not a unit vector"),
        ({"spins": random_spins(5, seed=0)}, "5 sites; the system has 4"),
    ],
)
def test_bad_input_is_refused_before_any_work(arguments, message, tmp_path):
    source = ring(4)
    given = {"dt": 0.1, "n_steps": 5, "damping": 0.1, "trajectory": tmp_path / "run.h5"} | arguments
    spins = given.pop("spins", random_spins(4, replicas=(2,), seed=0))
    with pytest.raises(InvalidInput, match=message):
        simulate(source, spins, **given)
    assert source.evaluations == 0
    assert list(tmp_path.iterdir()) == []


def test_existing_file_and_missing_folder_are_refused(tmp_path):
    path = tmp_path / "run.h5"
    path.write_text("precious")
    with pytest.raises(StoreError, match="exists"):
        simulate(ring(4), random_spins(4, seed=0), dt=0.1, n_steps=5, damping=0.1, trajectory=path)
    assert path.read_text() == "precious"
    with pytest.raises(StoreError, match="does not exist"):
        simulate(ring(4), random_spins(4, seed=0), dt=0.1, n_steps=5, damping=0.1, trajectory=tmp_path / "a" / "b.h5")


def test_observable_that_changes_its_shape_is_an_error():
    with pytest.raises(InvalidInput, match=r"'growing' returned shape \(2,\) at step 1"):
        simulate(
            ring(4),
            random_spins(4, seed=0),
            dt=0.1,
            n_steps=5,
            damping=0.1,
            observers={"growing": lambda state: np.ones(state.step + 1)},
        )


def test_works_with_classical_terms_and_sums():
    system = gs.systems.square(6, 6)
    source = gs.classical.Heisenberg(system, J=1.0) + gs.classical.Zeeman(system, B=[0.0, 0.0, 0.5])
    run = simulate(
        source,
        random_spins(36, seed=0, dtype=torch.float32),
        dt=0.05,
        n_steps=60,
        damping=0.5,
        observers={"energy": lambda state: source.energy(state.spins)},
    )
    assert (np.diff(run.observables["energy"]) < 0).all()


def test_a_run_tells_what_it_is(tmp_path):
    run = simulate(ring(6), random_spins(6, seed=0), dt=0.1, n_steps=4, damping=0.1, observers=["magnetization"])
    assert repr(run) == ("Run(spins (6, 3) at step 4, time 0.4; 5 observations of magnetization; trajectory None)")
