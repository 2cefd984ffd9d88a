"""Clusters: droplets of known size, boundaries, replicas and symmetries."""

import numpy as np
import pytest
import torch

from gnnspin.core import InvalidInput, random_rotation, random_spins
from gnnspin.observables import bond_order, clusters, ferromagnetic_clusters, reference_order
from gnnspin.systems import amorphous, chain, simple_cubic, square, triangular, union


def droplets(system, centers, radius):
    """Neel order with discs in which all spins are up."""
    spins = reference_order("neel", system)
    for center in centers:
        away = system.positions - np.asarray(center)
        away -= np.round(away @ np.linalg.inv(system.cell)) @ system.cell
        spins[np.linalg.norm(away, axis=1) <= radius] = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    return spins


def test_two_ferromagnetic_droplets_in_an_antiferromagnet_one_across_the_corner():
    system = square(20, 20)
    found = ferromagnetic_clusters(system, droplets(system, [(0, 0, 0), (10, 10, 0)], 2))
    # the 13 sites within 2; the ring around them, at sqrt(5), is down
    assert found.sizes.tolist() == [13, 13]
    assert found.count.item() == 2
    assert found.length.item() == pytest.approx(np.sqrt(13))
    assert (found.labels >= 0).sum() == 26
    assert found.labels[0] == found.labels[19] == found.labels[19 * 20]


def test_clusters_close_across_periodic_boundaries_and_not_across_open_ones():
    mask = torch.zeros(12, dtype=torch.bool)
    mask[[0, 1, 10, 11, 5]] = True
    assert clusters(chain(12), mask).sizes.tolist() == [4, 1]
    assert clusters(chain(12, pbc=False), mask).sizes.tolist() == [2, 2, 1]
    assert clusters(chain(12), mask).labels.tolist() == [0, 0, -1, -1, -1, 1, -1, -1, -1, -1, 0, 0]


def test_sizes_of_replicas_are_those_of_each_alone():
    system = triangular(9, 7)
    masks = torch.rand(2, 3, system.n_sites, generator=torch.Generator().manual_seed(0)) < 0.45
    masks[0, 0] = False
    together = clusters(system, masks)
    for a in range(2):
        for b in range(3):
            alone = clusters(system, masks[a, b])
            assert torch.equal(together.labels[a, b], alone.labels)
            assert together.sizes[a, b][together.sizes[a, b] > 0].tolist() == alone.sizes.tolist()
    assert torch.equal(together.sizes.sum(-1), masks.sum(-1))
    assert together.mean_size[0, 0] == together.largest[0, 0] == together.length[0, 0] == 0
    assert (together.mean_size_of_a_site >= together.mean_size).all()


def test_mean_sizes_and_dimension():
    mask = [True, True, True, False, True, False, False, False]
    found = clusters(chain(8), mask)
    assert found.mean_size.item() == 2
    assert found.mean_size_of_a_site.item() == pytest.approx((9 + 1) / 4)
    assert found.length.item() == 2
    cube = clusters(simple_cubic(4, 4, 4), torch.ones(64, dtype=torch.bool))
    assert cube.length.item() == pytest.approx(4)


def test_ferromagnetic_clusters_know_no_global_rotation_and_no_site_numbers():
    system = square(10, 8)
    spins = random_spins(system.n_sites, seed=3)
    found = ferromagnetic_clusters(system, spins)
    turned = ferromagnetic_clusters(system, spins @ random_rotation(1).T)
    assert torch.equal(found.labels, turned.labels)
    shifted = spins.reshape(10, 8, 3).roll((3, 5), (0, 1)).reshape(-1, 3)
    assert found.sizes.tolist() == ferromagnetic_clusters(system, shifted).sizes.tolist()
    assert found.sizes[found.sizes > 0].min() >= 2
    assert ferromagnetic_clusters(system, reference_order("neel", system)).count == 0


def test_packings_and_unions_have_clusters():
    packing = amorphous(n_sites=30, box=4.0, min_distance=0.5, seed=0)
    everywhere = torch.ones(60, dtype=torch.bool)
    found = clusters(union([packing, packing]), everywhere)
    assert found.sizes[:2].tolist() == [found.sizes[0].item()] * 2


def test_bond_order_tells_the_phases_apart():
    system = square(8, 8)
    assert bond_order(system, reference_order("neel", system)).tolist() == pytest.approx([-1] * 64)
    assert bond_order(system, droplets(system, [(4, 4, 0)], 2))[4 * 8 + 4] == pytest.approx(1)


def test_bad_input_names_the_value():
    with pytest.raises(InvalidInput, match=r"threshold=2"):
        ferromagnetic_clusters(chain(4), random_spins(4, seed=0), threshold=2)
    with pytest.raises(InvalidInput, match="booleans"):
        clusters(chain(4), [1, 0, 1, 0])
    with pytest.raises(InvalidInput, match="booleans"):
        clusters(chain(4), [True])
