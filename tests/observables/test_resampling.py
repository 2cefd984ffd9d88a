"""Errors of means and the jackknife against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from gnnspin.observables.resampling import jackknife_values, mean_and_error


def test_samples_without_a_value_are_left_out_of_mean_and_error() -> None:
    samples = np.array([[1.0, 2.0, np.nan, 6.0], [np.nan, 5.0, np.nan, np.nan], [np.nan] * 4])
    mean, error = mean_and_error(samples)
    np.testing.assert_allclose(mean, [3.0, 5.0, np.nan])
    assert error[0] == pytest.approx(np.std([1.0, 2.0, 6.0], ddof=1) / np.sqrt(3))
    assert np.isnan(error[1:]).all()


def test_jackknife_of_a_mean_is_the_samples_and_of_a_square_has_the_error_of_its_slope() -> None:
    samples = np.random.default_rng(0).normal(3.0, 0.1, (1, 400))
    np.testing.assert_allclose(jackknife_values(samples, lambda mean: mean), samples, rtol=1e-9)
    values = jackknife_values(samples, np.square)
    mean, error = mean_and_error(values)
    assert mean[0] == pytest.approx(samples.mean() ** 2, rel=1e-12)
    assert error[0] == pytest.approx(2 * samples.mean() * mean_and_error(samples)[1][0], rel=1e-2)


def test_jackknife_of_profiles_ignores_bins_that_a_sample_lacks() -> None:
    samples = np.array([[[1.0, np.nan], [3.0, 2.0], [5.0, 4.0]]])
    values = jackknife_values(samples, lambda mean: mean.sum(-1))
    assert values.mean() == pytest.approx(3.0 + 3.0)
    assert jackknife_values(samples[:, :1], lambda mean: mean[..., 0]).tolist() == [[1.0]]
