"""Growth laws: exact laws, coverage of the intervals, and which law is preferred."""

import numpy as np
import pytest

from gnnspin.core import InvalidInput
from gnnspin.observables import compare_growth_laws, correlation_length, fit_growth, scalar_structure_factor
from gnnspin.observables.growth import LAWS
from gnnspin.systems import square

TIMES = np.geomspace(2, 2000, 40)


def walks(n_replicas, seed, strength=0.05, times=TIMES, memory=1.2):
    """Noise of L(t) that remembers: of an Ornstein-Uhlenbeck process in ln t, correlated over half a decade."""
    rng = np.random.default_rng(seed)
    steps = np.exp(-np.diff(np.log(times)) / memory)
    noise = [rng.standard_normal(n_replicas)]
    for each in steps:
        noise.append(each * noise[-1] + np.sqrt(1 - each**2) * rng.standard_normal(n_replicas))
    return strength * np.stack(noise, axis=1)


@pytest.mark.parametrize(
    ("law", "curve", "amplitude", "second"),
    [
        ("power", 2.5 * TIMES**0.31, 2.5, 0.31),
        ("linear", 3.0 + 0.2 * TIMES, 0.2, 3.0),
        ("linear", -0.3 + 0.2 * TIMES, 0.2, -0.3),
        ("square_root", 1.0 + 0.7 * np.sqrt(TIMES), 0.7, 1.0),
        ("logarithmic", 0.5 + 1.3 * np.log(TIMES), 1.3, 0.5),
        ("stretched_log", 1.7 * np.log(TIMES) ** 0.11, 1.7, 0.11),
    ],
)
def test_an_exact_law_returns_its_parameters_and_is_preferred(law, curve, amplitude, second):
    fit = fit_growth(TIMES, np.stack([curve, curve]), law, n_bootstrap=10)
    assert fit.amplitude.value == pytest.approx(amplitude, rel=1e-6)
    assert (fit.exponent or fit.offset).value == pytest.approx(second, rel=1e-6)
    assert (fit.exponent is None) is not LAWS[law].scales
    np.testing.assert_allclose(fit.curve(TIMES), curve, rtol=1e-8)
    noisy = curve * np.exp(walks(16, seed=3, strength=0.01))
    assert compare_growth_laws(TIMES, noisy, n_bootstrap=100).preferred == law


@pytest.mark.parametrize("n_replicas", [4, 12])
def test_the_interval_of_the_exponent_holds_it_in_95_of_100_draws(n_replicas):
    """400 draws, noise correlated along each replica; within three standard deviations of a binomial around 95 %."""
    noise = walks(400 * n_replicas, seed=n_replicas).reshape(400, n_replicas, -1)
    fits = [fit_growth(TIMES, 2 * TIMES**0.4 * np.exp(each), n_bootstrap=200) for each in noise]
    inside = np.mean([fit.exponent.low < 0.4 < fit.exponent.high for fit in fits])
    assert abs(inside - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 400) + 0.01
    spread = np.std([fit.exponent.value for fit in fits])
    assert np.sqrt(np.mean([fit.exponent.error**2 for fit in fits])) == pytest.approx(spread, rel=0.15)


def test_one_replica_is_resampled_in_blocks_and_says_so():
    """Its errors are of the size of the spread between runs, where the noise forgets within the window."""
    times = np.geomspace(2, 2e6, 200)
    noise = walks(200, seed=1, times=times, memory=0.3)
    fits = [fit_growth(times, 2 * times**0.4 * np.exp(each), n_bootstrap=200) for each in noise]
    assert {fit.resampling for fit in fits} == {"blocks"}
    assert "blocks" in str(fits[0])
    spread = np.std([fit.exponent.value for fit in fits])
    assert np.median([fit.exponent.error for fit in fits]) == pytest.approx(spread, rel=0.35)
    inside = np.mean([fit.exponent.low < 0.4 < fit.exponent.high for fit in fits])
    assert inside > 0.85


def test_linear_against_square_root_is_decided_or_left_open():
    times = np.linspace(20, 1600, 80)
    noise = walks(8, seed=0, strength=0.03, times=times)
    straight = compare_growth_laws(times, (5 + 0.02 * times) * np.exp(noise), ("square_root", "linear"))
    assert straight.preferred == "linear"
    assert straight.support["linear"] > 0.99
    bent = compare_growth_laws(times, (5 + 0.8 * np.sqrt(times)) * np.exp(noise), ("square_root", "linear"))
    assert bent.preferred == "square_root"
    unsure = compare_growth_laws(times, (5 + 0.0002 * times) * np.exp(noise), ("square_root", "linear"))
    assert max(unsure.support.values()) < 0.99
    assert sum(unsure.support.values()) == pytest.approx(1)


def test_a_fit_is_a_function_of_its_arguments_and_of_its_window_alone():
    data = 2 * TIMES**0.4 * np.exp(walks(5, seed=2))
    broken = data.copy()
    broken[:, :4] = 0.0
    window = (TIMES[4], TIMES[-1])
    first, second = (fit_growth(TIMES, each, window=window) for each in (data, broken))
    assert first.exponent == second.exponent
    assert first.window == pytest.approx(window)
    assert fit_growth(TIMES, data, seed=1).exponent != fit_growth(TIMES, data).exponent
    with pytest.raises(InvalidInput, match="the value at time 2 is"):
        fit_growth(TIMES, broken)
    with pytest.raises(InvalidInput, match="holds 2 times"):
        fit_growth(TIMES, data, window=(TIMES[3], TIMES[4]))
    with pytest.raises(InvalidInput, match="'cubic' is unknown"):
        fit_growth(TIMES, data, "cubic")
    with pytest.raises(InvalidInput, match="expected"):
        fit_growth(TIMES[1:], data)


def test_length_of_a_stripe_pattern_of_known_period():
    """Stripes of width 6, period 12, in a chirality-like map: P / 2 pi."""
    system = square(48, 48)
    values = np.cos(2 * np.pi * system.positions[:, 0] / 12)
    assert correlation_length(system, scalar_structure_factor(system, values)).item() == pytest.approx(12 / (2 * np.pi))
