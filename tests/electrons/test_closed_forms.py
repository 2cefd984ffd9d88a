"""Levels and energies that can be written down: three sites, the ferromagnet's and the Neel state's bands."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gnnspin.electrons import ExactDiagonalization, SDHamiltonian
from gnnspin.observables import reference_order
from gnnspin.systems import chain, square


@pytest.mark.parametrize("J", [0.0, 0.7, 3.0])
def test_three_sites_at_120_degrees(J: float) -> None:
    """In the frame that turns with the spins momentum is conserved; a full turn makes spinors antiperiodic.

    e = (a + b)/2 +- sqrt((a - b)^2/4 + J^2), a, b = -2 t cos(k -+ pi/3), k = pi/3, pi, 5 pi/3.
    """
    angle = 2 * np.pi / 3 * np.arange(3)
    spins = torch.from_numpy(np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1))
    k = np.pi / 3 * np.array([1, 3, 5])
    a, b = -2 * np.cos(k - np.pi / 3), -2 * np.cos(k + np.pi / 3)
    root = np.sqrt((a - b) ** 2 / 4 + J**2)
    expected = np.sort(np.concatenate([(a + b) / 2 + root, (a + b) / 2 - root]))
    levels = ExactDiagonalization(SDHamiltonian(chain(3), J=J), 0.1, mu=0.0).levels(spins)
    np.testing.assert_allclose(levels.numpy(), expected, atol=1e-12)


def square_band(length: int) -> np.ndarray:
    """-2 (cos kx + cos ky) on the periodic square lattice."""
    k = 2 * np.pi * np.arange(length) / length
    return -2 * np.add.outer(np.cos(k), np.cos(k)).ravel()


@pytest.mark.parametrize(
    ("order", "bands"),
    [
        ("ferromagnet", lambda e, J: np.concatenate([e - J, e + J])),
        ("neel", lambda e, J: np.concatenate([np.sqrt(e**2 + J**2), -np.sqrt(e**2 + J**2)])),
    ],
    ids=["ferromagnet", "neel"],
)
def test_bands_of_collinear_orders(order: str, bands: object) -> None:
    """Ferromagnet: e(k) -+ J; Neel: +- sqrt(e(k)^2 + J^2), each momentum of the full zone counted once per sign."""
    system, J, kT, mu = square(6, 6), 2.5, 0.3, -0.8
    expected = bands(square_band(6), J)  # type: ignore[operator]
    source = ExactDiagonalization(SDHamiltonian(system, J=J), kT, mu=mu)
    spins = reference_order(order, system)
    np.testing.assert_allclose(source.levels(spins).numpy(), np.sort(expected), atol=1e-12)
    omega = -kT * np.logaddexp(0, -(expected - mu) / kT).sum()
    assert float(source.energy(spins)) == pytest.approx(omega, abs=1e-10)
