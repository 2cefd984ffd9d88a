"""Conversions: other forms of the equation, physical units."""

from __future__ import annotations

import math

import pytest
import torch
from sources import Paramagnet, ring

from gnnspin.core import InvalidInput, random_spins
from gnnspin.dynamics import PhysicalUnits, gilbert_form, rate_form, review_form, simulate


def gilbert_slope(spins, field, alpha, gamma):
    """Solve ``v = gamma S x H - alpha S x v`` for v, site by site."""
    slopes = []
    for s, h in zip(spins, field, strict=True):
        cross = torch.tensor([[0, -s[2], s[1]], [s[2], 0, -s[0]], [-s[1], s[0], 0]], dtype=torch.float64)
        slopes.append(torch.linalg.solve(torch.eye(3, dtype=torch.float64) + alpha * cross, gamma * cross @ h))
    return torch.stack(slopes)


def test_gilbert_form_has_the_implicit_slope():
    alpha, gamma, dt = 0.4, 1.7, 1e-4
    spins, source = random_spins(6, seed=1), ring(6, field=0.3)
    moved = simulate(source, spins, dt=dt, n_steps=1, **gilbert_form(alpha, gamma)).spins
    slope = gilbert_slope(spins, source.field(spins), alpha, gamma)
    torch.testing.assert_close((moved - spins) / dt, slope, atol=1e-3, rtol=0)


def test_rate_form_has_its_slope():
    alpha, gamma, dt = 0.1, 2.0, 1e-4
    spins, source = random_spins(6, seed=1), ring(6)
    field = source.field(spins)
    torque = torch.linalg.cross(spins, field)
    moved = simulate(source, spins, dt=dt, n_steps=1, **rate_form(alpha, gamma)).spins
    slope = gamma * torque - alpha * torch.linalg.cross(spins, torque)
    torch.testing.assert_close((moved - spins) / dt, slope, atol=1e-3, rtol=0)
    assert rate_form(0.05 * gamma, gamma)["damping"] == pytest.approx(0.05)


@pytest.mark.parametrize("form", [review_form(0.8), gilbert_form(0.8)], ids=["review", "gilbert"])
@pytest.mark.parametrize(
    "integrator", ["extrapolated_midpoint", "heun", "rotation", "semi_implicit", "spherical_midpoint"]
)
def test_noise_in_both_terms_diffuses_like_the_canonical_noise(form, integrator):
    # <S(t).S(0)> = exp(-2 lambda gamma kT t), gamma the one of the Landau-Lifshitz form
    n_sites, kT, duration = 20_000, 1.0, 0.4
    spins, cosines = random_spins(n_sites, seed=2), []
    for dt in (0.1, 0.05):
        run = simulate(
            Paramagnet(n_sites, 0.0), spins, dt=dt, n_steps=round(duration / dt), kT=kT, seed=round(1000 * dt),
            integrator=integrator, **form,
        )  # fmt: skip
        cosine = (run.spins * spins).sum(-1)
        cosines.append((float(cosine.mean()), float(cosine.std()) / math.sqrt(n_sites)))
    (coarse, error), (fine, fine_error) = cosines
    exact = math.exp(-2 * form["damping"] * form["gamma"] * kT * duration)
    assert abs(2 * fine - coarse - exact) < 3 * math.hypot(2 * fine_error, error)


def test_physical_units():
    units = PhysicalUnits(energy=0.001, moment=2.0)
    # one tesla on a free electron spin (1 Bohr magneton): 28.025 GHz
    electron = PhysicalUnits(energy=0.001)
    frequency = electron.field(1.0) / (2 * math.pi) / electron.picoseconds(1.0)
    assert frequency == pytest.approx(0.028024951, rel=1e-6)  # per picosecond
    assert units.field(1.0) / units.picoseconds(1.0) == pytest.approx(electron.field(1.0) / electron.picoseconds(1.0))
    assert units.tesla(1.0) == pytest.approx(electron.tesla(1.0) / 2)
    assert units.kT(300.0) == pytest.approx(25.852, rel=1e-4)
    for there, back in ((units.tesla, units.field), (units.picoseconds, units.time), (units.kelvin, units.kT)):
        assert back(there(0.37)) == pytest.approx(0.37)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gilbert_form(-0.1), "alpha=-0.1"),
        (lambda: review_form(math.nan), "damping=nan"),
        (lambda: rate_form(0.1, 0.0), "gamma=0"),
        (lambda: PhysicalUnits(energy=0.0), "energy=0.0"),
        (lambda: PhysicalUnits(energy=1.0, moment=-1.0), "moment=-1.0"),
    ],
)
def test_bad_numbers(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()


def test_unknown_noise_is_refused():
    with pytest.raises(InvalidInput, match="noise='damping' must be"):
        simulate(ring(4), random_spins(4, seed=0), dt=0.1, n_steps=1, damping=0.1, noise="damping")
