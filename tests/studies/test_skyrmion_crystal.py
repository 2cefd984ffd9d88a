"""The skyrmion crystal's electrons are those of the literature: filling and susceptibility, from the bands alone."""

from __future__ import annotations

import numpy as np
import pytest

from gnnspin.studies import read_study, study_file
from gnnspin.studies.study import Study
from gnnspin.systems import triangular

EDGE = 48


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study(study_file("skyrmion-crystal"), "small")


@pytest.fixture(scope="module")
def bands(study: Study) -> np.ndarray:
    """Levels (L, L) without spins: Fourier transform of the first row of the hopping matrix."""
    hopping = study.labels.hamiltonian.build(triangular(EDGE, EDGE)).hopping_matrix
    return np.fft.fft2(np.asarray(hopping[[0]].todense()).reshape(EDGE, EDGE)).real


def test_filling(study: Study, bands: np.ndarray) -> None:
    assert (bands < study.exact.arguments()["mu"]).mean() == pytest.approx(0.199, abs=0.003)


def test_susceptibility_peaks_where_the_study_looks_for_its_waves(study: Study, bands: np.ndarray) -> None:
    """The largest ``chi(q) = -sum_k (f_k+q - f_k) / (e_k+q - e_k)`` lies at |q| = pi / 3 along the bonds."""
    kT, mu = 0.05, study.exact.arguments()["mu"]
    e = bands - mu
    chi = np.zeros_like(e)
    for n1, n2 in np.ndindex(*e.shape):
        other = np.roll(e, (-n1, -n2), axis=(0, 1))
        mean, half = (e + other) / 2, np.abs(other - e) / 2
        # -(f(m + d) - f(m - d)) / 2d with f the Fermi function, without dividing by zero
        slope = np.where(half > 1e-9, np.tanh((mean + half) / 2 / kT) - np.tanh((mean - half) / 2 / kT), 0.0)
        smooth = 1 / np.cosh(mean / 2 / kT) ** 2 / (4 * kT)
        chi[n1, n2] = np.where(half > 1e-9, slope / 4 / np.maximum(half, 1e-9), smooth).mean()
    chi[0, 0] = 0.0  # the uniform response is no wave
    reciprocal = 2 * np.pi * np.linalg.inv(triangular(EDGE, EDGE).primitive_vectors[:2, :2]).T
    numbers = (np.array(np.unravel_index(chi.argmax(), chi.shape)) + EDGE // 2) % EDGE - EDGE // 2
    peak = numbers / EDGE @ reciprocal
    [order] = [each for each in study.analyses["anneal"].observables.values() if hasattr(each, "wave_vector")]
    assert np.linalg.norm(peak) == pytest.approx(np.linalg.norm(order.wave_vector), rel=0.03)
    assert np.sin(3 * np.arctan2(peak[1], peak[0])) == pytest.approx(0, abs=1e-9)
