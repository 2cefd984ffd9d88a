"""Gradients over neighbours are exact for linear variation, everywhere."""

from __future__ import annotations

import numpy as np
import pytest

import gnnspin as gs
from gnnspin.graphs.gradient import neighbor_gradient, spanned_directions

OPEN = {
    "chain": lambda pbc: gs.systems.chain(7, pbc=pbc),
    "square": lambda pbc: gs.systems.square(6, 5, pbc=pbc),
    "triangular": lambda pbc: gs.systems.triangular(6, 5, pbc=pbc),
    "honeycomb": lambda pbc: gs.systems.honeycomb(4, 5, pbc=pbc),
    "kagome": lambda pbc: gs.systems.kagome(4, 5, pbc=pbc),
    "simple_cubic": lambda pbc: gs.systems.simple_cubic(4, 5, 4, pbc=pbc),
    "bcc": lambda pbc: gs.systems.bcc(4, 4, 5, pbc=pbc),
    "fcc": lambda pbc: gs.systems.fcc(4, 4, 5, pbc=pbc),
    "pyrochlore": lambda pbc: gs.systems.pyrochlore(3, 3, 4, pbc=pbc),
}


def gradient(system: gs.systems.SpinSystem, values: np.ndarray, n_shells: int) -> np.ndarray:
    bonds, weight = neighbor_gradient(system, n_shells)
    found = np.zeros((system.n_sites, 3))
    np.add.at(found, bonds.site, weight * (values[bonds.neighbor] - values[bonds.site])[:, None])
    return found


@pytest.mark.parametrize("n_shells", [1, 2])
@pytest.mark.parametrize("name", OPEN)
def test_linear_variation_is_exact_on_every_lattice_at_its_boundary_too(name: str, n_shells: int) -> None:
    """Where the neighbours of a site span fewer directions, of the part of the slope in these."""
    system, slope = OPEN[name](False), np.array([0.3, -0.7, 0.4])
    bonds, _ = neighbor_gradient(system, n_shells)
    found = gradient(system, system.positions @ slope, n_shells)
    expected = np.tile(spanned_directions(bonds) @ slope, (system.n_sites, 1))
    vectors = [bonds.vector[bonds.site == site] for site in range(system.n_sites)]
    rank = [np.linalg.matrix_rank(each) for each in vectors]
    whole = np.array(rank) == max(rank)
    assert whole.mean() > 0.5
    np.testing.assert_allclose(found[whole], expected[whole], atol=1e-12)
    for site in np.flatnonzero(~whole):
        np.testing.assert_allclose(vectors[site] @ found[site], vectors[site] @ slope, atol=1e-12)


@pytest.mark.parametrize("name", ["chain", "square", "triangular", "simple_cubic", "bcc", "fcc"])
def test_a_wave_on_a_bravais_lattice_has_the_gradient_of_a_symmetric_difference(name: str) -> None:
    """``grad sin(k.r) = sum_j w_ij sin(k.r_ij) cos(k.r_i)`` across periodic boundaries: no part from second order."""
    system = OPEN[name](True)
    k = 2 * np.pi * np.linalg.inv(system.cell)[:, 0]
    phase = system.positions @ k
    bonds, weight = neighbor_gradient(system)
    first = bonds.site == 0
    rate = (weight[first] * np.sin(bonds.vector[first] @ k)[:, None]).sum(0)
    np.testing.assert_allclose(gradient(system, np.sin(phase), 1), np.cos(phase)[:, None] * rate, atol=1e-12)
    np.testing.assert_allclose(gradient(system, np.ones(system.n_sites), 1), 0, atol=1e-15)
