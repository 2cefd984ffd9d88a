"""The adaptive step: tolerance, unit length, substeps, restart."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sources import Bilinear, ring, zeeman

from gnnspin.core import InvalidInput, State, random_spins
from gnnspin.dynamics import Ramp, StepParameters, adaptive_step, resume, simulate
from gnnspin.dynamics.adaptive import _slope, _trial
from gnnspin.dynamics.drive import Drive


@pytest.mark.parametrize("dt", [1.0, 0.5])
def test_damped_precession_follows_its_closed_form(dt):
    B, damping, duration = 1.3, 0.2, 4.0
    run = simulate(
        zeeman(1, B),
        torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64),
        dt=dt,
        n_steps=round(duration / dt),
        damping=damping,
        integrator="adaptive",
        tolerance=1e-9,
    )
    perpendicular, phi = 1 / math.cosh(damping * B * duration), -B * duration
    exact = [perpendicular * math.cos(phi), perpendicular * math.sin(phi), math.tanh(damping * B * duration)]
    torch.testing.assert_close(run.spins[0], torch.tensor(exact, dtype=torch.float64), atol=3e-8, rtol=0)


@pytest.mark.parametrize("dt", [0.5, 0.25])
def test_pair_laws(dt):
    J, damping, duration, cosine = 0.8, 0.3, 3.0, -0.4
    spins = torch.tensor([[1.0, 0.0, 0.0], [cosine, math.sqrt(1 - cosine**2), 0.0]], dtype=torch.float64)
    options = {"dt": dt, "integrator": "adaptive", "tolerance": 1e-9}
    end = simulate(ring(2, J), spins, n_steps=round(duration / dt), damping=damping, **options).spins
    exact = math.tanh(2 * damping * J * duration + math.atanh(cosine))
    assert float(end[0] @ end[1]) == pytest.approx(exact, abs=1e-7)
    right = torch.eye(3, dtype=torch.float64)[:2]
    period = math.sqrt(2) * math.pi / J
    back = simulate(ring(2, J), right, n_steps=8, damping=0.0, **(options | {"dt": period / 8})).spins
    torch.testing.assert_close(back, right, atol=1e-7, rtol=0)


def test_error_follows_the_tolerance_and_its_order_is_five():
    source, spins = ring(6, field=0.5), random_spins(6, seed=3)
    options = {"dt": 2.0, "n_steps": 1, "damping": 0.2, "integrator": "adaptive"}
    exact = simulate(source, spins, tolerance=1e-13, **options).spins
    errors = []
    for tolerance in (1e-4, 1e-6, 1e-8):
        run = simulate(source, spins, tolerance=tolerance, **options)
        errors.append(float((run.spins - exact).norm(dim=-1).max()))
        assert errors[-1] < 30 * tolerance
        assert 0 < run.state.residual <= tolerance
        assert run.state.substep > 0
    assert errors[0] > errors[1] > errors[2]
    drive = Drive(State(spins), source, StepParameters(dt=1.0, damping=0.2))
    slope = _slope(drive, drive.spins, 0.0)
    local = []
    for length in (0.2, 0.1):
        fine = simulate(source, spins, tolerance=1e-14, **(options | {"dt": length})).spins
        local.append(float((_trial(drive, drive.spins, slope, 0.0, length)[0].T - fine).norm()))
    assert math.log2(local[0] / local[1]) == pytest.approx(6.0, abs=0.4)  # one substep: order + 1


def test_unit_length_field_along_the_spins_and_evaluations():
    plain = ring(8)
    shifted = Bilinear(plain.exchange, radial=5.5)
    options = {"dt": 1.0, "n_steps": 5, "damping": 0.1, "integrator": "adaptive"}
    a, b = (simulate(source, random_spins(8, seed=1), **options).spins for source in (plain, shifted))
    assert (a - b).abs().max() < 1e-11
    assert (a.norm(dim=-1) - 1).abs().max() < 1e-15
    assert plain.evaluations < 5 * 6 * 25


def test_long_steps_take_substeps_and_short_ones_are_not_forgotten():
    run = simulate(ring(4), random_spins(4, seed=0), dt=0.01, n_steps=20, damping=0.1, integrator="adaptive")
    assert run.state.substep == pytest.approx(0.05)  # at most five times the last one
    assert run.state.time == pytest.approx(0.2)


def test_noise_is_refused_and_impossible_tolerances_are_refused():
    state = State(random_spins(4, seed=0))
    with pytest.raises(InvalidInput, match="needs kT=0"):
        adaptive_step(state, ring(4), StepParameters(dt=0.1, damping=0.1, kT=0.1))
    for kT in (0.1, Ramp(1.0, 0.0, 1.0)):
        with pytest.raises(InvalidInput, match="'adaptive' needs kT=0"):
            simulate(ring(4), state.spins, dt=0.1, n_steps=1, damping=0.1, kT=kT, integrator="adaptive")
    with pytest.raises(InvalidInput, match="below the rounding"):
        adaptive_step(state, ring(4), StepParameters(dt=0.1, damping=0.1, tolerance=1e-25))


def test_resume_is_bit_for_bit(tmp_path):
    options = {"dt": 0.7, "damping": 0.1, "integrator": "adaptive", "tolerance": 1e-8}
    spins = random_spins(6, replicas=(2,), seed=3)
    simulate(ring(6), spins, n_steps=5, trajectory=tmp_path / "a.h5", **options)
    continued = resume(tmp_path / "a.h5", ring(6), n_steps=6)
    whole = simulate(ring(6), spins, n_steps=11, **options)
    assert torch.equal(continued.spins, whole.spins)
    assert continued.state.substep == whole.state.substep
    assert np.isclose(continued.state.time, 7.7)
