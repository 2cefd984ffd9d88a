"""Correlation lengths against peaks and fields of known width."""

import numpy as np
import pytest
import torch

from gnnspin.core import InvalidInput, normalize, random_spins
from gnnspin.observables import (
    PairCorrelation,
    correlation_length,
    high_symmetry_points,
    pair_correlation_length,
    reference_order,
    scalar_structure_factor,
    shortest_equivalent,
    structure_factor,
    wave_vectors,
)
from gnnspin.systems import chain, simple_cubic, square, triangular

LATTICE = triangular(96, 96)
K = high_symmetry_points(LATTICE)["K"]
GAMMA = np.zeros(3)


def distance_to(system, *peaks):
    grid = wave_vectors(system)
    return torch.tensor(np.min([np.linalg.norm(shortest_equivalent(system, grid - q), axis=-1) for q in peaks], axis=0))


def gaussian(system, length, *peaks):
    return torch.exp(-(distance_to(system, *peaks) ** 2) * length**2 / 2)


@pytest.mark.parametrize("peaks", [(GAMMA,), (K, -K)])
@pytest.mark.parametrize("length", [4.0, 8.0])
def test_inverse_width_of_a_gaussian_peak(peaks, length):
    measured = correlation_length(LATTICE, gaussian(LATTICE, length, *peaks), peaks[0])
    assert measured.item() == pytest.approx(length * np.sqrt(2 / np.pi), rel=0.02)


def test_inverse_width_in_one_and_three_dimensions():
    assert correlation_length(chain(400), gaussian(chain(400), 8.0, GAMMA)).item() == pytest.approx(
        8 * np.sqrt(np.pi / 2), rel=0.01
    )
    cubic = simple_cubic(24, 24, 24)
    assert correlation_length(cubic, gaussian(cubic, 2.5, GAMMA)).item() == pytest.approx(
        2.5 * np.sqrt(np.pi / 8), rel=0.02
    )


def test_a_uniform_background_does_not_change_the_width():
    peak = gaussian(LATTICE, 6.0, K, -K)
    plain, raised = (correlation_length(LATTICE, peak + background, K) for background in (0.0, 0.3))
    assert raised.item() == pytest.approx(plain.item(), rel=1e-6)


@pytest.mark.parametrize("length", [3.0, 10.0])
def test_second_moment_is_exact_for_a_lorentzian(length):
    structure = 1 / (1 + (length * distance_to(LATTICE, K, -K)) ** 2)
    assert correlation_length(LATTICE, structure, K, method="second_moment").item() == pytest.approx(length, rel=1e-9)


def test_lengths_scale_with_a_smoothed_random_field():
    """White noise under a Gaussian filter of width l: S(q) ~ exp(-q^2 l^2), of inverse width 2 l / sqrt(pi)."""
    system = square(128, 128)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(20, 128, 128, 1, generator=generator, dtype=torch.float64)
    q = distance_to(system, GAMMA)
    measured = []
    for length in (2.0, 4.0, 8.0):
        smooth = torch.fft.ifftn(
            torch.fft.fftn(noise, dim=(1, 2, 3)) * torch.exp(-((q * length) ** 2) / 2), dim=(1, 2, 3)
        )
        structure = scalar_structure_factor(system, smooth.real.reshape(20, -1)).mean(0)
        measured.append(correlation_length(system, structure).item() / length)
    assert measured == pytest.approx([2 / np.sqrt(np.pi)] * 3, rel=0.05)


def test_ordered_and_disordered_limits():
    system = triangular(24, 24)
    ordered = structure_factor(system, reference_order("120-degree", system))
    assert correlation_length(system, ordered, high_symmetry_points(system)["K"]).item() > 1e6
    flat = structure_factor(system, random_spins(576, replicas=(400,), seed=0)).mean(0)
    for method in ("inverse_width", "second_moment"):
        assert correlation_length(system, torch.ones(24, 24, 1), K, method=method) == 0
        assert correlation_length(system, flat, K, method=method) < 3


def test_replicas_give_one_length_each():
    spins = normalize(reference_order("ferromagnet", square(12, 12)) + 0.5 * random_spins(144, replicas=(3, 2), seed=0))
    structure = structure_factor(square(12, 12), spins)
    lengths = correlation_length(square(12, 12), structure)
    assert lengths.shape == (3, 2)
    assert lengths[2, 1] == correlation_length(square(12, 12), structure[2, 1])


def test_pair_correlation_length_of_an_exponential():
    r = torch.linspace(0.005, 40, 8000, dtype=torch.float64)
    sign = torch.cos(3 * r).sign()
    for correlation, xi in ((torch.exp(-r / 2), 2.0), (sign * torch.exp(-r / 3), 3.0)):
        pairs = PairCorrelation(r, correlation, torch.ones(8000))
        assert pair_correlation_length(pairs).item() == pytest.approx(xi, rel=5e-3)
    holes = torch.where(torch.arange(8000) % 7 == 0, torch.nan, torch.exp(-r / 2))
    pairs = PairCorrelation(r, holes, (~holes.isnan()).long())
    assert pair_correlation_length(pairs).item() == pytest.approx(2.0, rel=1e-2)


def test_bad_input_is_named():
    with pytest.raises(InvalidInput, match="expected"):
        correlation_length(LATTICE, torch.ones(96, 95, 1))
    with pytest.raises(InvalidInput, match="unknown"):
        correlation_length(LATTICE, torch.ones(96, 96, 1), method="guess")
    with pytest.raises(InvalidInput, match="radius"):
        correlation_length(LATTICE, torch.ones(96, 96, 1), radius=1e-3)
