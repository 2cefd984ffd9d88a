"""Colourings and probe vectors."""

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.sparse.csgraph import shortest_path

from gnnspin.core import InvalidInput
from gnnspin.electrons import ExponentialHopping, SDHamiltonian
from gnnspin.electrons.polynomials.probing import (
    colored_probes,
    distance_colors,
    lattice_tiles,
    random_probes,
    site_adjacency,
    site_colors,
    unit_probes,
)
from gnnspin.systems import amorphous, chain, honeycomb, simple_cubic, square, triangular
from gnnspin.systems.distances import minimum_image_distances


def projector(probes):
    """sum_r r r+ (D, D)."""
    block = probes.block(0, probes.n_vectors, torch.float64, torch.device("cpu")).numpy()
    vectors = block[0::2] + 1j * block[1::2]
    return vectors @ vectors.conj().T


def closest_of_one_color(system, colors):
    distances = minimum_image_distances(system)
    same = colors[:, None] == colors[None, :]
    np.fill_diagonal(same, False)
    return distances[same].min(initial=np.inf)


@pytest.mark.parametrize("system", [square(12, 12), triangular(12, 24), square(12, 13, pbc=(True, False))])
@pytest.mark.parametrize("c", [2, 3, 4, 6])
def test_tiles_of_a_lattice_keep_equal_colors_c_apart(system, c):
    colors = site_colors(SDHamiltonian(system), c * c)
    assert len(np.unique(colors)) == c * c
    assert closest_of_one_color(system, colors) == pytest.approx(c)


def test_tiles_with_a_basis_and_in_other_dimensions():
    assert closest_of_one_color(honeycomb(6, 6), lattice_tiles(honeycomb(6, 6), 18)) == pytest.approx(3 * np.sqrt(3))
    assert closest_of_one_color(simple_cubic(4, 4, 4), lattice_tiles(simple_cubic(4, 4, 4), 8)) == pytest.approx(2)
    assert closest_of_one_color(chain(12), lattice_tiles(chain(12), 5)) == pytest.approx(4)
    assert lattice_tiles(square(11, 11), 16) is None
    assert lattice_tiles(amorphous(9, 4.0, 0.5, seed=3), 3) is None


@pytest.mark.parametrize("distance", [1, 2, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_greedy_colors_of_any_graph(distance, seed):
    generator = np.random.default_rng(seed)
    dense = generator.random((80, 80)) < 0.03
    graph = sparse.csr_array(dense | dense.T)
    colors = distance_colors(graph, distance)
    near = shortest_path(graph, unweighted=True) <= distance
    np.fill_diagonal(near, False)
    assert near.any()
    assert not (near & (colors[:, None] == colors[None, :])).any()
    assert colors.max() <= near.sum(1).max()


def test_a_lattice_that_no_tile_fits_is_colored_as_a_graph():
    hamiltonian = SDHamiltonian(square(11, 11))
    colors = site_colors(hamiltonian, 25)
    assert colors.max() < 25
    hops = shortest_path(site_adjacency(hamiltonian), unweighted=True)
    np.fill_diagonal(hops, np.inf)
    assert hops[colors[:, None] == colors[None, :]].min() >= 3


def test_all_pairs_hopping_is_colored_by_distance():
    system = amorphous(100, 5.0, 0.5, seed=0)
    hamiltonian = SDHamiltonian(system, ExponentialHopping())
    few, many = site_colors(hamiltonian, 10), site_colors(hamiltonian, 40)
    assert few.max() < 10
    assert many.max() < 40
    assert 0.5 < closest_of_one_color(system, few) < closest_of_one_color(system, many)


@pytest.mark.parametrize("orbitals", [1, 2])
def test_colored_probes_resolve_everything_but_distant_sites(orbitals):
    system = square(6, 6)
    hamiltonian = SDHamiltonian(system, sparse.csr_array((36 * orbitals,) * 2), orbitals=orbitals)
    colors = site_colors(hamiltonian, 9)
    probes = colored_probes(hamiltonian, colors, seed=3)
    assert probes.n_vectors == 9 * 2 * orbitals
    matrix = projector(probes)
    np.testing.assert_allclose(np.diag(matrix), 1, atol=1e-14)
    site, component = np.divmod(np.arange(72 * orbitals), 2 * orbitals)
    shared = (colors[site][:, None] == colors[site][None, :]) & (component[:, None] == component[None, :])
    np.testing.assert_allclose(np.abs(matrix), shared, atol=1e-14)


def test_probes_are_keyed_by_the_seed():
    hamiltonian = SDHamiltonian(square(4, 4))
    one, two, other = (colored_probes(hamiltonian, site_colors(hamiltonian, 4), seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.phases, two.phases)
    assert np.abs(one.phases - other.phases).min() > 0


def test_unit_probes_and_colors_of_their_own_are_exact():
    hamiltonian = SDHamiltonian(square(4, 4))
    own = colored_probes(hamiltonian, site_colors(hamiltonian, 16), seed=0)
    assert own.exact
    assert unit_probes(32).exact
    np.testing.assert_array_equal(projector(own), np.eye(32))
    assert not colored_probes(hamiltonian, site_colors(hamiltonian, 8), seed=0).exact


def test_random_probes_are_normalised():
    matrix = projector(random_probes(40, 400, seed=0))
    np.testing.assert_allclose(np.diag(matrix), 1, atol=1e-12)
    off = np.abs(matrix - np.eye(40))
    assert np.sqrt((off**2).sum() / (40 * 39)) == pytest.approx(1 / np.sqrt(400), rel=0.1)


def test_bad_number_of_colors():
    with pytest.raises(InvalidInput, match="n_colors=0"):
        site_colors(SDHamiltonian(square(4, 4)), 0)
