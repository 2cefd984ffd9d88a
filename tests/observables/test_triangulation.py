"""Triangles and chiralities of planar lattices: areas, Euler's formula, closed forms, and whole topological charges."""

import numpy as np
import pytest
import torch

from gnnspin.core import InvalidInput, random_spins
from gnnspin.observables import (
    delaunay_cells,
    perturbed,
    reference_order,
    scalar_chirality,
    site_average,
    skyrmion,
    solid_angle,
    staggered_vector_chirality,
    topological_charge,
    triangles,
    vector_chirality,
)
from gnnspin.systems import SpinSystem, chain, honeycomb, kagome, pyrochlore, square, triangular
from gnnspin.systems.distances import shortest_images
from gnnspin.systems.lattices import bravais


def packing(n_sites, seed):
    """A planar packing in a sheared periodic box."""
    rng = np.random.default_rng(seed)
    cell = np.array([[6.0, 0, 0], [1.5, 5, 0], [0, 0, 1]])
    return SpinSystem(rng.random((n_sites, 3)) * [1, 1, 0] @ cell, cell, pbc=(True, True, False))


def areas(system, found):
    """Signed area of each triangle, from the shortest images of its sides."""
    corners = system.positions[found.sites.numpy()]
    sides = shortest_images(system, np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]]))
    return (sides[0, :, 0] * sides[1, :, 1] - sides[0, :, 1] * sides[1, :, 0]) / 2


LATTICES = {
    "square": square(5, 4),
    "triangular": triangular(5, 4),
    "honeycomb": honeycomb(4, 3),
    "kagome": kagome(3, 4),
    "rectangular": bravais((5, 4), np.diag([1.0, 1.7, 1.0])),
    "oblique": bravais((6, 6), [[1, 0, 0], [0.3, 1.2, 0], [0, 0, 1]]),
    "metres": bravais((4, 4), 3e-10 * np.eye(3)),
    "packing": packing(60, 0),
}


@pytest.mark.parametrize("system", LATTICES.values(), ids=LATTICES.keys())
def test_the_tiling_covers_a_torus_once(system):
    """Areas are positive and add up to the cell; Euler: 2N triangles with N corners; every edge has two triangles."""
    found = triangles(system, tiling=True)
    area = areas(system, found)
    assert len(found.sites) == 2 * system.n_sites
    assert (area > 0).all()
    assert area.sum() == pytest.approx(abs(np.linalg.det(system.cell[:2, :2])))
    edges = np.concatenate([found.sites[:, [0, 1]], found.sites[:, [1, 2]], found.sites[:, [2, 0]]])
    directed, count = np.unique(edges, axis=0, return_counts=True)
    opposite = {(j, i): n for (i, j), n in zip(directed.tolist(), count, strict=True)}
    assert all(opposite[i, j] == n for (i, j), n in zip(directed.tolist(), count, strict=True))


@pytest.mark.parametrize(
    ("system", "corners", "count"),
    [
        (square(4, 4), [4], 32),
        (triangular(4, 4), [3, 3], 32),
        (honeycomb(4, 4), [6], 64),
        (kagome(4, 4), [3, 3, 6], 32),
    ],
)
def test_cells_of_the_common_lattices(system, corners, count):
    assert sorted(len(cell.basis) for cell in delaunay_cells(system)) == corners
    found = triangles(system)
    assert len(found.sites) == count
    assert found.orientation.sum() == (-32 if corners == [6] else 0)
    assert (found.orientation[:-1] >= found.orientation[1:]).all()


def test_triangles_of_the_kagome_lattice_are_those_of_nearest_neighbours():
    system = kagome(3, 3, pbc=False)
    found = triangles(system)
    corners = system.positions[found.sites]
    assert np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=-1) == pytest.approx(np.ones((9 + 4, 3)))
    assert found.centers.numpy() == pytest.approx(corners.mean(1))
    up = set(map(tuple, np.sort(found.sites[found.orientation > 0], axis=1).tolist()))
    assert up == {(3 * k, 3 * k + 1, 3 * k + 2) for k in range(9)}


def test_chiralities_of_the_kagome_orders():
    """Up against down: vector chirality equal in q0, opposite in sqrt3; coplanar triangles in all but cuboc2."""
    system = kagome(6, 6)
    sign = triangles(system).orientation[:, None]
    for order, relative in (("q0", 1), ("sqrt3", sign)):
        kappa = vector_chirality(system, perturbed(reference_order(order, system), 0.0, seed=1))
        assert (kappa * relative - kappa[0]).abs().max() < 1e-12
        assert kappa[0].norm().item() == pytest.approx(1)
    assert scalar_chirality(system, reference_order("cuboc1", system)).abs().max() < 1e-12
    chirality = scalar_chirality(system, reference_order("cuboc2", system))
    assert chirality.abs().tolist() == pytest.approx([np.sqrt(1 / 2)] * 72)
    assert staggered_vector_chirality(system, reference_order("sqrt3", system)).norm(dim=-1).min() > 1 - 1e-12


def test_sites_without_a_triangle_have_no_average():
    average = site_average(kagome(2, 1, pbc=False), torch.tensor([1.0, 3.0]))
    assert average.tolist() == [1, 1, 1, 3, 3, 3]
    system = honeycomb(2, 2, pbc=False)
    average = site_average(system, torch.ones(len(triangles(system).sites)))
    assert average.isnan().sum() == 2
    assert average.nansum() == 6
    open_square = square(2, 2, pbc=False)
    cut = triangles(open_square)
    assert len(cut.sites) == 2
    assert torch.bincount(cut.sites.flatten()).tolist() == [2, 1, 1, 2]


@pytest.mark.parametrize("system", LATTICES.values(), ids=LATTICES.keys())
def test_the_topological_charge_is_whole_for_any_spins(system):
    spins = random_spins(system.n_sites, replicas=(3, 2), seed=0)
    charge = topological_charge(system, spins)
    assert charge.shape == (3, 2)
    assert (charge - charge.round()).abs().max() < 1e-9
    assert (topological_charge(system, -spins) + charge).abs().max() < 1e-9
    assert charge[1, 1].item() == pytest.approx(topological_charge(system, spins[1, 1]).item())
    assert solid_angle(system, spins).shape == (3, 2, 2 * system.n_sites)


@pytest.mark.parametrize("system", [square(16, 16), triangular(16, 16), honeycomb(10, 10), kagome(10, 10)])
@pytest.mark.parametrize("vorticity", [1, -1, 2])
@pytest.mark.parametrize("helicity", [0.0, np.pi / 2])
def test_charge_of_skyrmions(system, vorticity, helicity):
    spins = skyrmion(system, vorticity=vorticity, helicity=helicity)
    assert topological_charge(system, spins).item() == pytest.approx(-vorticity)


def test_the_registered_skyrmion_has_charge_minus_one():
    for system in (square(12, 12), triangular(14, 10), kagome(8, 8)):
        assert topological_charge(system, reference_order("skyrmion", system)).item() == pytest.approx(-1)


def test_octant_of_the_sphere():
    """Three orthogonal spins span an eighth of the sphere."""
    system = triangular(2, 2, pbc=False)
    spins = torch.eye(3, dtype=torch.float64)[[0, 2, 1, 1]]
    first = triangles(system, tiling=True).sites[0].tolist()
    assert solid_angle(system, spins)[0].abs().item() == pytest.approx(np.pi / 2)
    assert sorted(first) == [0, 1, 2]


@pytest.mark.parametrize(
    ("system", "message"),
    [
        (chain(6), "too narrow"),
        (pyrochlore(2, 2, 2), "xy plane"),
        (SpinSystem([[0, 0, 0], [1, 0, 0], [0, 1, 0]]), "xy plane"),
    ],
)
def test_what_has_no_triangles_says_why(system, message):
    with pytest.raises(InvalidInput, match=message):
        triangles(system)
