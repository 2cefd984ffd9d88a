"""Search for mu on levels that are known: the quadrature, the combinations of poles, and what the search finds."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import expit

from gnnspin.core import ConvergenceError
from gnnspin.electrons.poles.combination import ColumnAndNeighbors
from gnnspin.electrons.poles.number_search import NumberSearch
from gnnspin.electrons.poles.rational import fermi_poles
from gnnspin.electrons.poles.rational_levels import RationalLevels

LEVELS = np.sort(np.random.default_rng(0).uniform(-5, 5, 300))


def traces(points, levels=LEVELS):
    return (1 / (np.asarray(points)[:, None] - levels)).sum(1)


def test_quadrature_reproduces_the_greens_functions_it_is_made_of():
    points = 0.3 + 1j * np.array([0.05, 0.3, 1.0, 4.0])
    found = RationalLevels(points, traces(points), len(LEVELS), LEVELS.sum())
    assert (found.weights > 0).all()
    assert found.weights.sum() == pytest.approx(300, rel=1e-10)
    assert found.weights @ found.levels == pytest.approx(LEVELS.sum(), abs=1e-8)
    rebuilt = (found.weights / (points[:, None] - found.levels)).sum(1)
    np.testing.assert_allclose(rebuilt, traces(points), rtol=1e-9)


def test_quadrature_of_few_levels_is_exact():
    levels, points = np.array([-1.0, 0.2, 0.7]), np.array([0.1j, 0.5j, 0.4 + 0.2j])
    found = RationalLevels(points, traces(points, levels), 3, levels.sum())
    assert found.number(0.4, 0.05) == pytest.approx(expit((0.4 - levels) / 0.05).sum(), abs=1e-9)
    assert 0.2 < found.chemical_potential(2.0, 0.001, (-2, 2), 0.03) < 0.7
    assert found.chemical_potential(2.0, 0.001, (-2, 2), 0.03) == pytest.approx(0.45, abs=1e-6)


@pytest.mark.parametrize(("shift", "neighbors"), [(0.05, 0), (0.5, 1), (1.5, 3), (-4.0, 4)])
def test_combination_is_the_fermi_function_at_the_shift(shift, neighbors):
    """Occupation and potential of every level in the interval, to the error it states."""
    poles, interval = fermi_poles(1000.0, 1e-8), (-900.0, 700.0)
    extra = shift + 1j * poles.frequencies[:neighbors]
    found = ColumnAndNeighbors(poles, extra, interval).at(shift)
    x, z = np.random.default_rng(1).uniform(*interval, 2000), np.concatenate([1j * poles.frequencies, extra])
    x[:1000] /= 100
    occupation = found.constant + (found.coefficients / (z - x[:, None])).real.sum(1)
    assert np.abs(occupation - expit(shift - x)).max() < 1.2 * found.error
    change = found.potential_constant + (found.potential_coefficients / (z - x[:, None])).real.sum(1)
    change += np.log(np.abs(z - x[:, None])) @ found.logarithms
    exact = np.logaddexp(0, -x) - np.logaddexp(0, shift - x)
    assert np.abs(change - exact).max() < 1.2 * found.error


def test_every_neighbor_lowers_the_error_of_a_combination():
    poles = fermi_poles(1000.0, 1e-10)
    errors = [
        ColumnAndNeighbors(poles, 1 + 1j * poles.frequencies[:m], (-900.0, 900.0)).at(1.0).error for m in range(4)
    ]
    assert all(after < before / 10 for before, after in pairwise(errors))


def searched(levels, n_electrons, kT, start=None, tolerance=1e-6):
    poles, bounds = fermi_poles(1e4, tolerance), (levels.min() - 1, levels.max() + 1)
    search = NumberSearch(poles, kT, n_electrons, len(levels), levels.sum(), bounds, tolerance, start)
    while len(search.points):
        distance = search.points[:, None] - levels
        search.receive(np.log(np.abs(distance)).sum(1), (1 / distance).sum(1))
    return search


@pytest.mark.parametrize("start", [None, -4.9, 1.0])
@pytest.mark.parametrize("n_electrons", [1e-3, 0.5, 150.0, 172.37, 299.2])
@pytest.mark.parametrize("kT", [0.002, 0.05])
def test_search_finds_the_number_of_known_levels(n_electrons, kT, start):
    search = searched(LEVELS, n_electrons, kT, start)
    assert expit((search.mu - LEVELS) / kT).sum() == pytest.approx(n_electrons, abs=300e-6)
    assert search.number == pytest.approx(n_electrons, abs=1e-5)
    occupations = expit((search.mu - LEVELS) / kT)
    assert search.band_energy == pytest.approx(occupations @ LEVELS, abs=1e-3)


def test_search_in_a_gap_stays_in_it():
    levels = np.concatenate([np.linspace(-4, -2, 100), np.linspace(1, 5, 100)])
    search = searched(levels, 100.0, 0.01)
    assert -1.9 < search.mu < 0.9
    assert search.combination.error <= 2e-6


def test_search_for_degenerate_levels():
    levels = np.repeat([-1.0, 0.0, 1.0], 40)
    search = searched(levels, 61.0, 0.01)
    assert search.mu == pytest.approx(0.01 * np.log(21 / 19), abs=1e-6)


def test_search_that_is_given_nonsense_ends_with_an_error():
    poles = fermi_poles(1e4, 1e-6)
    search = NumberSearch(poles, 0.01, 150.0, 300, 0.0, (-6.0, 6.0), 1e-6, 0.0)

    def answer_with_noise():
        for step in range(1000):
            assert len(search.points)
            search.receive(np.zeros(len(search.points)), traces(search.points) * (1 + 0.5 * (-1) ** step))

    with pytest.raises(ConvergenceError, match="N is off"):
        answer_with_noise()
