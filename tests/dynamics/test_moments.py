"""Moments of different size: each spin precesses at its own rate, all have one temperature, and runs go on as begun."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import gnnspin as gs
from gnnspin.core import InvalidInput, random_spins
from gnnspin.dynamics import INTEGRATORS, resume, simulate, suggest_timestep
from gnnspin.dynamics.job import SimulationConfig
from gnnspin.trajectories import Trajectory

NOISY = sorted(set(INTEGRATORS) - {"adaptive"})
SYSTEM = gs.systems.chain(6)
MOMENTS = torch.tensor([1.0, 4.0, 1.0, 4.0, 2.0, 0.5], dtype=torch.float64)
SOURCE = gs.classical.Heisenberg(SYSTEM, 0.7) + gs.classical.Zeeman(SYSTEM, (0.0, 0.2, 0.3))


@pytest.mark.parametrize("integrator", sorted(INTEGRATORS))
def test_damped_precession_at_the_rate_of_each_moment(integrator: str) -> None:
    """``phi = -B t / mu``, ``S_z = tanh(lambda B t / mu)`` side by side."""
    field, damping, duration, dt = 1.3, 0.2, 1.5, 0.03
    source = gs.classical.Zeeman(gs.systems.chain(3, pbc=False), (0.0, 0.0, field))
    moments = torch.tensor([1.0, 4.0, 0.7], dtype=torch.float64)
    spins = torch.tensor([[1.0, 0.0, 0.0]] * 3, dtype=torch.float64)
    options = {"dt": dt, "n_steps": round(duration / dt), "damping": damping, "integrator": integrator}
    end = simulate(source, spins, moments=moments, **options).spins
    turn = field * duration / moments
    across = 1 / torch.cosh(damping * turn)
    exact = torch.stack([across * torch.cos(turn), -across * torch.sin(turn), torch.tanh(damping * turn)], -1)
    torch.testing.assert_close(end, exact, atol=2 * dt**2, rtol=0)


@pytest.mark.parametrize("integrator", NOISY)
def test_a_moment_scales_the_time_noise_included(integrator: str) -> None:
    spins = random_spins(6, replicas=(2,), seed=1)
    options = {"n_steps": 12, "damping": 0.3, "kT": 0.4, "integrator": integrator, "noise": "both", "tolerance": 1e-9}
    light = simulate(SOURCE, spins, dt=0.05, **options).spins
    for moments in (4.0, np.full(6, 4.0), np.full((2, 6), 4.0)):
        heavy = simulate(SOURCE, spins, dt=0.2, moments=moments, **options).spins
        torch.testing.assert_close(heavy, light, atol=1e-9, rtol=0)


def both_species(n_sites: int, duration: float, integrator: str, kT: float = 1.0) -> list[tuple[float, float, float]]:
    """Mean of S_z, its standard error and the Langevin function, for moments 1 and 4 in one field."""
    moments = torch.where(torch.arange(n_sites) < n_sites // 2, 1.0, 4.0).double()
    field = torch.zeros(n_sites, 3, dtype=torch.float64)
    field[:, 2] = 0.8 * moments
    source, found = gs.classical.Zeeman(gs.systems.chain(n_sites), field), []
    for seed, dt in enumerate((0.1, 0.05)):
        options = {"damping": 0.5, "kT": kT, "moments": moments, "seed": seed, "integrator": integrator}
        run = simulate(
            source,
            random_spins(n_sites, seed=5),
            dt=dt,
            n_steps=round(duration / dt),
            observers={"z": lambda state: state.spins[:, 2]},
            observe_every=round(1.0 / dt),
            **options,
        )
        values = run.observables["z"]
        found.append(values[len(values) // 2 :].mean(0).reshape(2, -1))
    coarse, fine = found
    result = []
    for k, mu in enumerate((1.0, 4.0)):
        x = 0.8 * mu / kT
        mean = 2 * fine[k].mean() - coarse[k].mean()
        error = math.hypot(2 * fine[k].std(ddof=1), coarse[k].std(ddof=1)) / math.sqrt(n_sites // 2)
        result.append((mean, error, 1 / math.tanh(x) - 1 / x))
    return result


@pytest.mark.parametrize(
    ("integrator", "n_sites", "duration", "largest"),
    [
        ("semi_implicit", 4000, 14.0, 0.015),
        *(pytest.param(name, 20000, 72.0, 0.003, marks=pytest.mark.slow) for name in NOISY),
    ],
)
def test_moments_1_and_4_at_one_temperature(integrator: str, n_sites: int, duration: float, largest: float) -> None:
    """Both species follow ``L(mu B / kT)``, extrapolated to dt = 0."""
    for mean, error, exact in both_species(n_sites, duration, integrator):
        assert error < largest
        assert abs(mean - exact) < 3 * error


@pytest.mark.parametrize("integrator", sorted(INTEGRATORS))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_resumed_run_keeps_its_moments_bit_for_bit(integrator: str, dtype: torch.dtype, tmp_path) -> None:
    spins = random_spins(6, replicas=(2,), seed=3, dtype=dtype)
    kT = 0.0 if integrator == "adaptive" else 0.2
    options = {"dt": 0.1, "damping": 0.1, "kT": kT, "integrator": integrator, "moments": MOMENTS}
    whole = simulate(SOURCE, spins, n_steps=9, **options).spins
    simulate(SOURCE, spins, n_steps=4, trajectory=tmp_path / "a.h5", **options)
    assert torch.equal(resume(tmp_path / "a.h5", n_steps=5).spins, whole)
    with Trajectory(tmp_path / "a.h5") as stored:
        np.testing.assert_allclose(stored.moments, MOMENTS)
    other = simulate(SOURCE, spins, n_steps=9, **(options | {"moments": 1.0})).spins
    assert float((other - whole).abs().max()) > 1e-3


def test_moments_in_a_configuration(tmp_path) -> None:
    """The keys say what the call says, and a continued run may not have others."""
    given = {
        "system": {"kind": "chain", "shape": [6]}, "source": {"kind": "heisenberg", "J": 0.7}, "dt": 0.1, "n_steps": 6,
        "damping": 0.2, "kT": 0.1, "moments": MOMENTS.tolist(),
    }  # fmt: skip
    run = SimulationConfig.model_validate(given).run(tmp_path / "a.h5", progress=False)
    source, spins = gs.classical.Heisenberg(SYSTEM, 0.7), random_spins(6, seed=0)
    same = simulate(source, spins, dt=0.1, n_steps=6, damping=0.2, kT=0.1, moments=MOMENTS)
    assert torch.equal(run.spins, same.spins)
    with pytest.raises(gs.core.GnnspinError, match="moments"):
        SimulationConfig.model_validate(given | {"moments": 2.0}).run(
            tmp_path / "a.h5", continue_run=True, progress=False
        )


def test_time_steps_follow_the_lightest_moment() -> None:
    up = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64).expand(6, 3)
    field = gs.classical.Zeeman(SYSTEM, (0.0, 0.0, 1.3))
    assert suggest_timestep(field, up, moments=4.0) == pytest.approx(4 * suggest_timestep(field, up), rel=1e-6)
    spins = random_spins(6, seed=0)
    plain = simulate(SOURCE, spins, dt="auto", n_steps=1, damping=0.1).state.time
    heavy = simulate(SOURCE, spins, dt="auto", n_steps=1, damping=0.1, moments=np.full(6, 3.0)).state.time
    assert heavy == pytest.approx(3 * plain, rel=1e-6)


@pytest.mark.parametrize(
    ("moments", "message"),
    [(0.0, "moments=0.0"), ([1.0] * 5, "moments have shape"), ([1.0] * 5 + [-1.0], "positive"), (math.nan, "finite")],
)
def test_moments_that_are_none(moments: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        simulate(SOURCE, random_spins(6, seed=0), dt=0.1, n_steps=1, damping=0.1, moments=moments)
