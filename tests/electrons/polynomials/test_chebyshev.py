"""Chebyshev expansion: kernels, coefficients, bounds and thermodynamics from moments."""

import numpy as np
import pytest
import torch
from numpy.polynomial import chebyshev as reference
from scipy import sparse

from gnnspin.core import InvalidInput, random_spins
from gnnspin.electrons import ExponentialHopping, SDHamiltonian
from gnnspin.electrons.occupation import occupy
from gnnspin.electrons.polynomials.chebyshev import (
    FermiExpansion,
    SpectralInterval,
    derivative_coefficients,
    jackson_kernel,
    moments_for_tolerance,
    spectral_interval,
)
from gnnspin.systems import amorphous, square, triangular

INTERVAL = SpectralInterval(center=0.7, half_width=5.0)


def moments_of(levels, n_moments, interval=INTERVAL):
    angles = np.arccos((levels - interval.center) / interval.half_width)
    return np.cos(np.outer(np.arange(n_moments), angles)).sum(1)


def expansion(kT=0.05, n_moments=1200, kernel="none"):
    return FermiExpansion(INTERVAL, kT, n_moments, kernel)


@pytest.mark.parametrize("ensemble", [{"mu": 0.3}, {"mu": -9.0}, {"n_electrons": 17.0}, {"n_electrons": 23.4}])
def test_thermodynamics_of_known_levels(ensemble):
    levels = np.sort(np.random.default_rng(0).uniform(-4, 5.5, 60))
    found = expansion().equilibrium(moments_of(levels, 1200), **ensemble)
    exact = occupy(torch.from_numpy(levels), 0.05, **ensemble)
    for name in ("potential", "mu", "n_electrons", "internal_energy"):
        assert getattr(found, name) == pytest.approx(getattr(exact, name).item(), abs=1e-10)
    assert found.entropy == pytest.approx(exact.entropy.item(), abs=1e-8)


def test_chemical_potential_in_a_gap():
    """Half-way between the edges, shifted by kT/2 times the logarithm of the ratio of their degeneracies."""
    levels = np.array([-2.0] * 4 + [1.0])
    found = expansion(n_moments=2000).equilibrium(moments_of(levels, 2000), n_electrons=4)
    assert found.mu == pytest.approx(-0.5 + 0.05 / 2 * np.log(4), abs=1e-3)
    assert found.potential == pytest.approx(-8.0, abs=1e-10)


def test_coefficients_are_derivatives_of_the_potential_by_the_moments():
    moments = moments_of(np.linspace(-3, 4, 40), 400)
    direction = np.random.default_rng(1).standard_normal(400) * 1e-5
    direction[0] = 0
    series = expansion(n_moments=400)
    for ensemble in ({"mu": 0.2}, {"n_electrons": 11.3}):
        above, below = (series.equilibrium(moments + sign * direction, **ensemble).potential for sign in (1, -1))
        slope = series.equilibrium(moments, **ensemble).coefficients @ direction
        assert (above - below) / 2 == pytest.approx(slope, rel=1e-6)


def test_coefficients_reproduce_a_function():
    x = np.linspace(-1, 1, 57)
    coefficients = expansion(n_moments=60).coefficients(lambda e: np.exp(0.4 * e) * np.sin(e))
    energies = INTERVAL.center + INTERVAL.half_width * x
    np.testing.assert_allclose(
        reference.chebval(x, coefficients), np.exp(0.4 * energies) * np.sin(energies), atol=1e-11
    )


@pytest.mark.parametrize("length", [2, 3, 8, 11])
def test_derivative(length):
    coefficients = np.random.default_rng(length).standard_normal(length)
    np.testing.assert_allclose(derivative_coefficients(coefficients), reference.chebder(coefficients), atol=1e-12)


def test_jackson_kernel_keeps_the_density_of_states_positive():
    """A single level: the damped series is positive everywhere, the plain one oscillates below zero."""
    damping = jackson_kernel(64)
    assert damping[0] == pytest.approx(1.0)
    assert (np.diff(damping) < 0).all()
    moments = moments_of(np.array([1.3]), 64)
    assert expansion(n_moments=64, kernel="jackson").weights(moments).min() > -1e-15
    assert expansion(n_moments=64).weights(moments).min() < -1e-3


@pytest.mark.parametrize("kT", [0.01, 0.1])
@pytest.mark.parametrize("mu", [0.7, 3.0, 5.2])
def test_tolerance_bounds_the_tail_of_the_fermi_function(kT, mu):
    """Halving the exponent halves the logarithm: the predicted decay is the decay of the coefficients."""
    counts = [moments_for_tolerance(tolerance, kT, INTERVAL, mu) for tolerance in (1e-3, 1e-6)]
    series = FermiExpansion(INTERVAL, kT, max(counts) + 8)
    coefficients = np.abs(series.coefficients(lambda e: 1 / (1 + np.exp(np.clip((e - mu) / kT, -700, 700)))))
    sizes = [coefficients[count : count + 4].max() for count in counts]
    assert np.log10(sizes[0] / sizes[1]) == pytest.approx(3.0, abs=0.5)


@pytest.mark.parametrize(
    "hamiltonian",
    [
        SDHamiltonian(triangular(6, 6), J=3.0),
        SDHamiltonian(square(24, 24), J=2.0),
        SDHamiltonian(amorphous(40, 4.0, 0.5, seed=0), ExponentialHopping(), J=-6.0),
        SDHamiltonian(square(2, 2), sparse.csr_array((4, 4)), J=0.0),
    ],
)
def test_interval_contains_every_level_of_every_spin_configuration(hamiltonian):
    interval = spectral_interval(hamiltonian.one_body, float(np.abs(hamiltonian.orbital_coupling).max()))
    n = hamiltonian.system.n_sites
    aligned = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64).repeat(n, 1)
    for spins in (random_spins(n, seed=0), aligned):
        levels = torch.linalg.eigvalsh(hamiltonian.dense(spins))
        assert ((levels - interval.center).abs() <= interval.half_width).all()
    reach = float((levels - interval.center).abs().max())
    assert interval.half_width < 1.01 * reach or reach == 0


@pytest.mark.parametrize("tolerance", [0.0, 1.0, -1e-3, float("nan")])
def test_bad_tolerance(tolerance):
    with pytest.raises(InvalidInput, match=r"tolerance=.*between 0 and 1"):
        moments_for_tolerance(tolerance, 0.1, INTERVAL)
