"""Rational Fermi function: error, poles and the potential that belongs to it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from gnnspin.core import InvalidInput
from gnnspin.electrons.poles.rational import fermi_poles, rounded_width


@pytest.mark.parametrize("width", [4.0, 60.0, 1000.0, 2e4])
@pytest.mark.parametrize("tolerance", [1e-4, 1e-8, 1e-10])
def test_error_stays_below_the_tolerance_everywhere(width, tolerance):
    poles = fermi_poles(width, tolerance)
    x = np.concatenate([np.linspace(-width, width, 100_001), np.linspace(-20, 20, 10_001)])
    x = x[np.abs(x) <= width]
    assert np.abs(poles.occupation(x) - expit(-x)).max() <= 1.01 * tolerance


def test_poles_are_few():
    """Best rational approximation converges exponentially; the Matsubara sum would need thousands of terms."""
    counts = [len(fermi_poles(1000.0, tolerance).frequencies) for tolerance in (1e-4, 1e-6, 1e-8, 1e-10)]
    assert counts == sorted(counts)
    assert counts[-1] <= 16


def test_lowest_pole_is_the_first_matsubara_frequency():
    poles = fermi_poles(1000.0, 1e-10)
    assert poles.frequencies[0] == pytest.approx(np.pi, abs=1e-6)
    assert poles.residues[0] == pytest.approx(2.0, abs=1e-6)
    assert (poles.residues > 0).all()


@pytest.mark.parametrize("width", [30.0, 1000.0])
def test_occupation_is_the_derivative_of_the_potential(width):
    poles, step = fermi_poles(width, 1e-8), 1e-3
    x = np.linspace(-width, width, 501)
    slope = (poles.potential(x + step) - poles.potential(x - step)) / (2 * step)
    np.testing.assert_allclose(slope, poles.occupation(x), atol=5e-8)
    np.testing.assert_allclose(poles.potential(x), -np.logaddexp(0, -x), atol=1e-8 * width)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.01, 1e5))
def test_rounded_widths_are_few_and_sufficient(width):
    assert rounded_width(width) >= width * (1 - 1e-8)
    assert rounded_width(width) <= max(width * 1.5, 4.01)
    assert rounded_width(rounded_width(width)) == pytest.approx(rounded_width(width))


@pytest.mark.parametrize(
    ("width", "tolerance", "message"), [(0.0, 1e-8, "width=0"), (10.0, 1e-13, "tolerance"), (10.0, 0.5, "tolerance")]
)
def test_bad_numbers_are_named(width, tolerance, message):
    with pytest.raises(InvalidInput, match=message):
        fermi_poles(width, tolerance)
