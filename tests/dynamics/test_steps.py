"""Deterministic laws of every step."""

from __future__ import annotations

import math

import pytest
import torch
from sources import Bilinear, ring, zeeman

import gnnspin as gs
from gnnspin.core import ConvergenceError, State, normalize, random_spins
from gnnspin.dynamics import INTEGRATORS, StepParameters, simulate

ALL = sorted(set(INTEGRATORS) - {"adaptive"})
TIME_STEPS = (0.05, 0.025)


def final_spins(source, spins, integrator, dt, duration, **options):
    n_steps = round(duration / dt)
    assert n_steps * dt == pytest.approx(duration)
    return simulate(source, spins, dt=dt, n_steps=n_steps, integrator=integrator, **options).spins


@pytest.mark.parametrize("integrator", ALL)
def test_spin_along_x_in_a_field_along_z_first_moves_to_minus_y(integrator):
    spins = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    moved = final_spins(zeeman(1, 1.0), spins, integrator, 0.01, 0.01, damping=0.0)
    torch.testing.assert_close(moved, torch.tensor([[1.0, -0.01, 0.0]], dtype=torch.float64), atol=1e-4, rtol=0)


@pytest.mark.parametrize("dt", TIME_STEPS)
@pytest.mark.parametrize("integrator", ALL)
def test_damped_precession_follows_its_closed_form(integrator, dt):
    B, damping, duration = 1.3, 0.2, 4.0
    spins = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    end = final_spins(zeeman(1, B), spins, integrator, dt, duration, damping=damping)
    perpendicular, phi = 1 / math.cosh(damping * B * duration), -B * duration
    exact = [perpendicular * math.cos(phi), perpendicular * math.sin(phi), math.tanh(damping * B * duration)]
    torch.testing.assert_close(end[0], torch.tensor(exact, dtype=torch.float64), atol=1.0 * dt**2, rtol=0)


@pytest.mark.parametrize("dt", [4.442882938158366 / 80, 4.442882938158366 / 160])
@pytest.mark.parametrize("integrator", ALL)
def test_pair_returns_after_its_period(integrator, dt):
    J = 1.7
    spins = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
    end = final_spins(ring(2, J), spins, integrator, dt / J, math.sqrt(2) * math.pi / J, damping=0.0)
    torch.testing.assert_close(end, spins, atol=2.0 * dt**2, rtol=0)
    half = final_spins(ring(2, J), spins, integrator, dt / J, math.pi / math.sqrt(2) / J, damping=0.0)
    assert (half - spins.flip(0)).abs().max() < 2.0 * dt**2


@pytest.mark.parametrize("dt", TIME_STEPS)
@pytest.mark.parametrize("integrator", ALL)
def test_damped_pair_aligns_along_the_tanh_law(integrator, dt):
    J, damping, duration, cosine = 0.8, 0.3, 3.0, -0.4
    spins = torch.tensor([[1.0, 0.0, 0.0], [cosine, math.sqrt(1 - cosine**2), 0.0]], dtype=torch.float64)
    end = final_spins(ring(2, J), spins, integrator, dt, duration, damping=damping)
    exact = math.tanh(2 * damping * J * duration + math.atanh(cosine))
    assert float(end[0] @ end[1]) == pytest.approx(exact, abs=0.5 * dt**2)


@pytest.mark.parametrize("integrator", ALL)
def test_convergence_is_of_second_order(integrator):
    # the change from one halving of dt to the next is 2^2 times smaller
    spins, source = random_spins(6, seed=3), ring(6, field=0.5)
    coarse, middle, fine = (
        final_spins(source, spins, integrator, dt, 2.0, damping=0.2) for dt in (1 / 16, 1 / 32, 1 / 64)
    )
    assert math.log2((coarse - middle).norm() / (middle - fine).norm()) == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("kT", [0.0, 0.3])
@pytest.mark.parametrize("integrator", ALL)
def test_field_along_the_spins_changes_nothing(integrator, kT):
    spins = random_spins(8, replicas=(3,), seed=1)
    plain = ring(8)
    shifted = Bilinear(plain.exchange, radial=5.5)
    options = {"dt": 0.1, "n_steps": 30, "damping": 0.1, "kT": kT, "integrator": integrator}
    a, b = (simulate(source, spins, **options).spins for source in (plain, shifted))
    # a rounding error of the shifted field grows with the (chaotic) flow
    assert (a - b).abs().max() < 1e-12


@pytest.mark.parametrize(("integrator", "evaluations"), [("heun", 2), ("semi_implicit", 2), ("rotation", 2)])
def test_number_of_field_evaluations(integrator, evaluations):
    source = ring(4)
    simulate(source, random_spins(4, seed=0), dt=0.1, n_steps=5, damping=0.1, integrator=integrator)
    assert source.evaluations == 5 * evaluations


def test_extrapolated_midpoint_evaluates_one_field_per_step_and_one_to_begin():
    source = ring(4)
    simulate(source, random_spins(4, seed=0), dt=0.1, n_steps=5, damping=0.1, integrator="extrapolated_midpoint")
    assert source.evaluations == 5 + 1


@pytest.mark.parametrize("integrator", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_spins_stay_on_the_sphere_and_keep_their_dtype(integrator, dtype):
    run = simulate(
        ring(6), random_spins(6, seed=0, dtype=dtype), dt=0.2, n_steps=100, damping=0.1, kT=0.5, integrator=integrator
    )
    assert run.spins.dtype == dtype
    assert (run.spins.norm(dim=-1) - 1).abs().max() < 4 * torch.finfo(dtype).eps


@pytest.mark.parametrize("integrator", ALL)
def test_gamma_rescales_time(integrator):
    spins = random_spins(5, seed=2)
    options = {"n_steps": 40, "damping": 0.1, "kT": 0.2, "integrator": integrator}
    slow = simulate(ring(5), spins, dt=0.1, gamma=1.0, **options)
    fast = simulate(ring(5), spins, dt=0.05, gamma=2.0, **options)
    torch.testing.assert_close(slow.spins, fast.spins, atol=1e-11, rtol=0)


@pytest.mark.slow
def test_spherical_midpoint_keeps_the_energy_without_a_trend():
    source, spins = ring(10), random_spins(10, seed=5)
    run = simulate(
        source,
        spins,
        dt=0.1,
        n_steps=400,
        damping=0.0,
        integrator="spherical_midpoint",
        observers={"energy": lambda state: source.energy(state.spins)},
    )
    error = run.observables["energy"] - run.observables["energy"][0]
    assert abs(error).max() < 0.02
    assert abs(error[200:].mean() - error[:200].mean()) < 1e-3
    # isotropic exchange keeps the total spin, a quadratic invariant of the midpoint rule
    torch.testing.assert_close(run.spins.sum(0), spins.sum(0), atol=1e-9, rtol=0)


def test_spherical_midpoint_reports_its_residual():
    state = State(random_spins(4, seed=0))
    loose = StepParameters(dt=0.1, damping=0.1, tolerance=1e-3)
    assert 1e-10 < gs.dynamics.spherical_midpoint_step(state, ring(4), loose).residual <= 1e-3
    assert gs.dynamics.spherical_midpoint_step(state, ring(4), StepParameters(dt=0.1, damping=0.1)).residual <= 1e-12
    with pytest.raises(ConvergenceError, match=r"step 1: .* use a smaller dt than 20"):
        gs.dynamics.spherical_midpoint_step(state, ring(4), StepParameters(dt=20.0, damping=0.1))


@pytest.mark.parametrize("integrator", ALL)
def test_zero_field_and_uniform_state_do_not_move(integrator):
    spins = normalize(torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64)).expand(4, 3)
    end = final_spins(ring(4), spins, integrator, 0.1, 1.0, damping=0.3)
    torch.testing.assert_close(end, spins, atol=1e-14, rtol=0)
    end = final_spins(zeeman(4, 0.0), random_spins(4, seed=0), integrator, 0.1, 1.0, damping=0.3)
    torch.testing.assert_close(end, random_spins(4, seed=0), atol=1e-14, rtol=0)
