"""The suggested time step and the warning."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from sources import Bilinear, ring, zeeman

import gnnspin as gs
from gnnspin.core import InvalidInput, random_spins
from gnnspin.dynamics import INTEGRATORS, TimeStepWarning, simulate, suggest_timestep
from gnnspin.dynamics.timestep import fastest_rate


def test_rate_of_free_spins_is_their_frequency():
    up = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64).expand(5, 3)
    assert fastest_rate(zeeman(5, 1.3), up) == pytest.approx(1.3, rel=1e-3)
    assert suggest_timestep(zeeman(5, 1.3), up, tolerance=0.01) == pytest.approx(0.1 / 1.3, rel=1e-3)
    assert suggest_timestep(zeeman(5, 1.3), up) == pytest.approx(0.4 / 1.3, rel=1e-3)
    with_damping = suggest_timestep(zeeman(5, 1.3), up, damping=0.5, kT=2.0, gamma=2.0, tolerance=0.04)
    assert with_damping == pytest.approx(0.2 / (2 * math.hypot(math.sqrt(1.25) * 1.3, 1.0)), rel=1e-3)


def test_a_field_that_depends_on_time_is_taken_at_the_time_asked_for():
    """A field of 1.3 exp(-t) along z: the step grows as exp(t)."""
    system = gs.systems.chain(5)

    class Fading(gs.core.FieldSource):
        def __init__(self):
            self.system = system

        def energies(self, spins, time=None):
            return -(self.fields(spins, time) * spins).sum((-1, -2))

        def fields(self, spins, time=None):
            return torch.tensor([0.0, 0.0, 1.3 * math.exp(-time)], dtype=spins.dtype).expand_as(spins)

    up = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64).expand(5, 3)
    for time in (0.0, 2.0):
        assert suggest_timestep(Fading(), up, time=time) == pytest.approx(0.4 * math.exp(time) / 1.3, rel=1e-3)
    run = simulate(Fading(), up, dt="auto", n_steps=1, damping=0.0, start_time=2.0, progress=False)
    assert run.state.time - 2.0 == pytest.approx(0.4 * math.exp(2.0) / 1.3, rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rate_of_a_ferromagnet_is_the_top_of_its_magnon_band(dtype):
    system = gs.systems.square(8, 8)
    up = torch.tensor([[0.0, 0.0, 1.0]], dtype=dtype).expand(64, 3)
    rate = fastest_rate(gs.classical.Heisenberg(system, J=1.0), up)
    assert 0.8 * 8.0 < rate < 1.02 * 8.0


def test_field_along_the_spins_does_not_shorten_the_step():
    spins, plain = random_spins(8, seed=1), ring(8)
    a, b = (suggest_timestep(source, spins) for source in (plain, Bilinear(plain.exchange, radial=50.0)))
    assert a == pytest.approx(b, rel=1e-3)
    assert 0.02 < a < 0.3


@pytest.mark.parametrize("accuracy", [0.02, pytest.param(0.002, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "name",
    [
        "semi_implicit",
        "extrapolated_midpoint",
        "heun",
        "rotation",
        pytest.param("spherical_midpoint", marks=pytest.mark.slow),
    ],
)
def test_the_accuracy_asked_for_is_met_and_not_by_far(name, accuracy):
    """Against a run with a step sixteen times as short; the error of the replica where it is largest."""
    source, spins, duration = ring(8), random_spins(8, replicas=(3,), seed=0), 4.0
    step = INTEGRATORS[name]
    dt = suggest_timestep(source, spins, damping=0.1, accuracy=accuracy, duration=duration, step=step)
    n_steps = math.ceil(duration / dt)
    options = {"damping": 0.1, "integrator": name, "progress": False}
    run = simulate(source, spins, dt=duration / n_steps, n_steps=n_steps, **options)
    fine = simulate(source, spins, dt=duration / n_steps / 16, n_steps=16 * n_steps, **options)
    error = float((run.spins - fine.spins).square().sum(-1).mean(-1).sqrt().max())
    assert 0.2 * accuracy < error < 1.5 * accuracy


def test_a_shorter_duration_or_less_accuracy_allows_longer_steps():
    source, spins = ring(8), random_spins(8, seed=0)
    steps = [
        suggest_timestep(source, spins, accuracy=a, duration=t) for a, t in ((1e-4, 9.0), (1e-4, 1.0), (4e-4, 1.0))
    ]
    assert steps[1] / steps[0] == pytest.approx(3.0, rel=0.1)
    assert steps[2] / steps[1] == pytest.approx(2.0, rel=0.1)
    with pytest.raises(InvalidInput, match="duration=-1"):
        suggest_timestep(source, spins, duration=-1.0)


def test_suggested_step_is_accurate_and_auto_takes_it():
    source, spins = ring(8), random_spins(8, replicas=(2,), seed=0)
    run = simulate(source, spins, dt="auto", accuracy=0.001, n_steps=10, damping=0.1)
    dt = suggest_timestep(source, spins, damping=0.1, accuracy=0.001)
    assert run.state.time == pytest.approx(10 * dt)
    assert simulate(source, spins, dt="auto", accuracy=1e-5, n_steps=1, damping=0.1).state.time < 0.2 * dt
    fine = simulate(source, spins, dt=dt / 16, n_steps=160, damping=0.1)
    assert (run.spins - fine.spins).norm(dim=-1).max() < 0.01


def test_nothing_moves():
    with pytest.raises(InvalidInput, match="neither torque, response nor noise"):
        suggest_timestep(zeeman(3, 0.0), random_spins(3, seed=0))
    with pytest.raises(InvalidInput, match="tolerance=0"):
        suggest_timestep(zeeman(3, 1.0), random_spins(3, seed=0), tolerance=0.0)


@pytest.mark.parametrize(("strength", "kT"), [(20.0, 0.0), (1.0, 60.0)])
def test_too_long_a_step_warns_once(strength, kT):
    with pytest.warns(TimeStepWarning, match=r"step \d+ turned the spins by .* dt=0.1 is too long") as caught:
        simulate(ring(20, J=strength), random_spins(20, seed=0), dt=0.1, n_steps=40, damping=0.1, kT=kT)
    assert len(caught) == 1


def test_good_steps_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = simulate(ring(20), random_spins(20, seed=0), dt=0.1, n_steps=40, damping=0.1, kT=0.5)
    assert run.state.step == 40
