"""Occupations and thermodynamics of given levels."""

import numpy as np
import pytest
import torch

from gnnspin.core.errors import InvalidInput
from gnnspin.electrons.occupation import chemical_potential, fermi, occupy

LEVELS = torch.sort(torch.randn(3, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3).values


@pytest.mark.parametrize("kT", [1e-4, 0.01, 0.3, 5.0, 300.0])
@pytest.mark.parametrize("number", [0.3, 1, 7.96, 20, 20.5, 39, 39.7])
def test_chemical_potential_holds_the_electrons(kT, number):
    mu = chemical_potential(LEVELS, number, kT)
    held = fermi(LEVELS, mu, kT).sum(-1)
    torch.testing.assert_close(held, torch.full_like(held, number), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("kT", [1e-5, 1e-3, 0.01])
def test_gap_puts_mu_in_the_middle_shifted_by_the_degeneracies(kT):
    """2 levels at -1 below 6 at +1: mu = kT/2 ln(2/6), where N(mu) is flat beyond double precision."""
    levels = torch.tensor([-1.0] * 2 + [1.0] * 6, dtype=torch.float64)
    assert chemical_potential(levels, 2, kT).item() == pytest.approx(kT / 2 * np.log(2 / 6), abs=1e-14)


def test_filling_just_off_an_integer_by_rounding_is_that_integer():
    levels = torch.linspace(-8, 8, 1800, dtype=torch.float64)
    exact, rounded = chemical_potential(levels, 873, 1e-3), chemical_potential(levels, 873 + 1e-10, 1e-3)
    assert rounded.item() == exact.item()


def test_step_shares_a_degenerate_level():
    levels = torch.tensor([-2.0, -1.0, -1.0 + 1e-14, -1.0, 3.0], dtype=torch.float64)
    weights = occupy(levels, 0.0, n_electrons=2).weights
    torch.testing.assert_close(weights, torch.tensor([1, 1 / 3, 1 / 3, 1 / 3, 0], dtype=torch.float64))
    state = occupy(levels, 0.0, n_electrons=2.5)
    torch.testing.assert_close(state.weights[1:4], torch.full((3,), 0.5, dtype=torch.float64))
    assert state.mu.item() == pytest.approx(-1)
    assert state.entropy.item() == pytest.approx(3 * np.log(2))
    at_level = occupy(levels, 0.0, mu=3.0)
    assert at_level.weights[-1] == 0.5
    assert at_level.potential.item() == pytest.approx(-5 - 3 * 4)


@pytest.mark.parametrize("constraint", [{"mu": -0.4}, {"n_electrons": 17}, {"n_electrons": 17.3}])
@pytest.mark.parametrize("kT", [0.0, 0.02, 1.0])
def test_potential_is_internal_energy_minus_heat(constraint, kT):
    state = occupy(LEVELS, kT, **constraint)
    expected = state.internal_energy - kT * state.entropy
    if "mu" in constraint:
        expected = expected - state.mu * state.n_electrons
    torch.testing.assert_close(state.potential, expected, rtol=1e-11, atol=1e-11)


def test_derivatives_of_the_potentials():
    """-dOmega/dmu = N, dF/dN = mu, -dOmega/dkT = S."""
    kT, mu, d = 0.2, -0.4, 1e-4
    state = occupy(LEVELS, kT, mu=mu)
    slope = (occupy(LEVELS, kT, mu=mu + d).potential - occupy(LEVELS, kT, mu=mu - d).potential) / (2 * d)
    torch.testing.assert_close(-slope, state.n_electrons, rtol=1e-6, atol=0)
    slope = (occupy(LEVELS, kT + d, mu=mu).potential - occupy(LEVELS, kT - d, mu=mu).potential) / (2 * d)
    torch.testing.assert_close(-slope, state.entropy, rtol=1e-6, atol=0)
    fixed = [occupy(LEVELS, kT, n_electrons=17.3 + s).potential for s in (d, -d)]
    torch.testing.assert_close((fixed[0] - fixed[1]) / (2 * d), chemical_potential(LEVELS, 17.3, kT), rtol=1e-6, atol=0)


@pytest.mark.parametrize("kT", [0.0, 0.1])
def test_empty_and_full_levels(kT):
    empty, full = occupy(LEVELS, kT, n_electrons=0), occupy(LEVELS, kT, n_electrons=40)
    assert not empty.weights.any()
    assert not empty.potential.any()
    torch.testing.assert_close(full.potential, LEVELS.sum(-1))
    assert bool((full.weights == 1).all())


def test_cold_limit_is_the_step():
    cold, step = occupy(LEVELS, 1e-7, n_electrons=11), occupy(LEVELS, 0.0, n_electrons=11)
    torch.testing.assert_close(cold.weights, step.weights)
    torch.testing.assert_close(cold.mu, step.mu, rtol=0, atol=1e-12)


def test_bad_numbers():
    with pytest.raises(InvalidInput, match="n_electrons=41"):
        chemical_potential(LEVELS, 41, 0.1)
    with pytest.raises(InvalidInput, match="exactly one"):
        occupy(LEVELS, 0.1)


@pytest.mark.parametrize("kT", [1e-6, 1e-9, 1e-10, 1e-11, 1e-13, 1e-16, 1e-300, 0.0])
@pytest.mark.parametrize("number", [24, 25.4, 26])
def test_no_electron_is_lost_at_the_lowest_temperatures(kT, number):
    """A level of six that rounding has split, partly filled: equal shares at every temperature far above the split."""
    levels = torch.cat([torch.linspace(-8, -1, 22, dtype=torch.float64), 0.3 + torch.arange(6).double() * 4e-16])
    levels = torch.cat([levels, torch.linspace(1, 8, 22, dtype=torch.float64)]).expand(2, -1)
    state = occupy(levels, kT, n_electrons=number)
    torch.testing.assert_close(state.weights.sum(-1), torch.full((2,), number, dtype=torch.float64), atol=1e-12, rtol=0)
    share = torch.full((2, 6), (number - 22) / 6, dtype=torch.float64)
    torch.testing.assert_close(state.weights[:, 22:28], share, atol=1e-5, rtol=0)
    assert state.mu.tolist() == pytest.approx([0.3, 0.3], abs=5 * kT + 1e-14)


@pytest.mark.parametrize("default", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("constraint", [{"n_electrons": 2}, {"n_electrons": 2.1}, {"mu": -1.0}])
def test_the_default_dtype_has_no_say(default, constraint):
    """Three equal levels hold thirds of an electron, exactly to double precision."""
    levels = torch.tensor([-2.0, -1.0, -1.0, -1.0, 3.0], dtype=torch.float64)
    before = torch.get_default_dtype()
    torch.set_default_dtype(default)
    try:
        state = occupy(levels, 0.0, **constraint)
    finally:
        torch.set_default_dtype(before)
    share = (constraint["n_electrons"] - 1) / 3 if "n_electrons" in constraint else 0.5
    assert state.weights.dtype == state.internal_energy.dtype == torch.float64
    torch.testing.assert_close(state.weights[1:4], torch.full((3,), share, dtype=torch.float64), atol=1e-15, rtol=0)


def test_a_colder_replica_does_not_change_its_neighbor():
    """Replicas of very different scales: what is cold for one is not for the other."""
    together = torch.stack([LEVELS[0], 1e9 * LEVELS[0]])
    state = occupy(together, 1e-3, n_electrons=20.5)
    for k in range(2):
        alone = occupy(together[k], 1e-3, n_electrons=20.5)
        torch.testing.assert_close(state.weights[k], alone.weights, atol=1e-14, rtol=0)
