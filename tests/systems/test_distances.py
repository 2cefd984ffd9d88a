"""Minimum images and closest pairs in sheared cells against brute force, and the independence of the unit of length."""

from __future__ import annotations

import numpy as np
import pytest
from ase.geometry import find_mic

import gnnspin as gs
from gnnspin.core.errors import InvalidInput
from gnnspin.graphs import GraphSpec, radius_graph
from gnnspin.graphs.shells import shell_bonds
from gnnspin.systems import SpinSystem
from gnnspin.systems.distances import closest_distance, distances_from, minimum_image_vectors, pairs_within
from gnnspin.systems.lattice import is_ideal_lattice, is_lattice
from gnnspin.systems.symmetry import site_symmetry

#: A cell that is nearly rectangular, and vectors of the same lattice sheared by many of its own lengths.
CELL = np.array([[1.0, 0.1, 0], [-0.2, 1.4, 0.1], [0.3, 0.2, 0.9]])
SHEARS = {
    "none": np.eye(3, dtype=int),
    "by one plane": np.array([[1, 0, 0], [4, 1, 0], [0, 0, 1]]),
    "far": np.array([[1, 0, 0], [-37, 1, 0], [29, 21, 1]]),
}
PERIODIC = [(True, True, True), (True, True, False), (True, False, False), (False, True, True), (False, False, False)]
LENGTHS = [5e-9, 2e-6, 1e-2, 1e6]


def sheared(name: str, pbc: tuple[bool, bool, bool]) -> tuple[SpinSystem, SpinSystem]:
    """The same sites in the cell and in the sheared one; periodic vectors are sheared by periodic ones alone."""
    positions = np.random.default_rng(3).uniform(-1.0, 2.0, (7, 3)) @ CELL
    shear = np.where(np.array(pbc)[:, None] & ~np.array(pbc), 0, SHEARS[name])
    return SpinSystem(positions, CELL, pbc), SpinSystem(positions, shear @ CELL, pbc)


def brute_force(system: SpinSystem) -> np.ndarray:
    """Distances (N, N, M) to all images up to five cells away."""
    axes = [np.arange(-5, 6) if p else [0] for p in system.pbc]
    images = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3) @ system.cell
    difference = system.positions[None] - system.positions[:, None]
    return np.linalg.norm(difference[:, :, None] + images, axis=-1)


@pytest.mark.parametrize("name", list(SHEARS))
@pytest.mark.parametrize("pbc", PERIODIC)
def test_minimum_images_and_closest_pairs_in_sheared_cells(name: str, pbc: tuple[bool, bool, bool]) -> None:
    plain, system = sheared(name, pbc)
    images = brute_force(plain)
    shortest = images.min(-1)
    vectors = minimum_image_vectors(system)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), shortest, atol=1e-9)
    np.testing.assert_array_equal(vectors, -vectors.swapaxes(0, 1))
    np.testing.assert_allclose(distances_from(system, 2), shortest[2], atol=1e-9)
    assert closest_distance(system) == pytest.approx(images[images > 1e-9].min(), rel=1e-9)


@pytest.mark.parametrize("name", list(SHEARS))
def test_minimum_images_agree_with_ase(name: str) -> None:
    system = sheared(name, (True, True, True))[1]
    expected = find_mic(system.positions - system.positions[0], system.cell, system.pbc)[1]
    np.testing.assert_allclose(distances_from(system, 0), expected, atol=1e-9, rtol=0)


def scaled(system: SpinSystem, a: float) -> SpinSystem:
    return SpinSystem(
        a * system.positions, a * system.cell, system.pbc, system.species, lattice_shape=system.lattice_shape
    )


SYSTEMS = {
    "chain": gs.systems.chain(6),
    "strip": gs.systems.triangular(4, 5, pbc=(True, False)),
    "kagome": gs.systems.kagome(3, 3),
    "fcc": gs.systems.fcc(2, 2, 3),
    "cluster": SpinSystem([[0, 0, 0], [1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]]),
    "packing": gs.systems.amorphous(20, 3.0, 0.5, seed=1),
}


@pytest.mark.parametrize("a", LENGTHS)
@pytest.mark.parametrize("name", list(SYSTEMS))
def test_graphs_shells_and_symmetry_do_not_know_the_unit_of_length(name: str, a: float) -> None:
    system = SYSTEMS[name]
    other = scaled(system, a)
    assert other.spacing == pytest.approx(a * system.spacing, rel=1e-12)
    assert is_lattice(other) == is_lattice(system)
    own, given = radius_graph(system, 2.0), radius_graph(other, 2.0 * a)
    assert given.edge_index.tolist() == own.edge_index.tolist()
    assert given.edge_shell.tolist() == own.edge_shell.tolist()
    np.testing.assert_allclose(given.edge_vector / a, own.edge_vector, atol=1e-9)
    bonds, expected = shell_bonds(other, 2), shell_bonds(system, 2)
    np.testing.assert_array_equal(bonds.neighbor, expected.neighbor)
    np.testing.assert_array_equal(bonds.shell, expected.shell)
    spec, reference = GraphSpec.for_system(other, 2.0 * a), GraphSpec.for_system(system, 2.0)
    assert spec.dimension == reference.dimension
    assert (spec.shells is None) == (reference.shells is None)
    np.testing.assert_allclose(np.array(spec.shells or ()) / a, reference.shells or (), rtol=1e-9)
    group, same = site_symmetry(other, 1), site_symmetry(system, 1)
    assert group.name == same.name
    np.testing.assert_allclose(group.rotations, same.rotations, atol=1e-9)


@pytest.mark.parametrize("a", LENGTHS)
def test_six_neighbors_at_every_lattice_constant(a: float) -> None:
    """The first shell of a triangular lattice, with and without its shape known."""
    lattice = scaled(gs.systems.triangular(6, 6), a)
    for system in (lattice, SpinSystem(lattice.positions, lattice.cell, lattice.pbc)):
        assert set(np.bincount(shell_bonds(system).site).tolist()) == {6}


def test_very_long_cells_are_not_singular() -> None:
    chain = gs.systems.chain(1_000_000)
    assert chain.spacing == pytest.approx(1.0)
    assert SpinSystem([[0, 0, 0]], cell=np.diag([1e-9, 1e6, 1.0]), pbc=True).spacing == pytest.approx(1e-9)
    for cell in (np.ones((3, 3)), 1e-9 * np.ones((3, 3)), np.diag([1.0, 0, 1]), [[1, 0, 0], [1, 1e-13, 0], [0, 0, 1]]):
        with pytest.raises(InvalidInput, match="singular"):
            SpinSystem([[0, 0, 0]], cell=cell)


@pytest.mark.parametrize(("shift", "lattice"), [(1e-8, True), (5e-6, False), (2e-5, False)])
@pytest.mark.parametrize("a", [5e-9, 1.0, 1e6])
def test_one_measure_of_what_is_a_lattice(shift: float, lattice: bool, a: float) -> None:
    perfect = gs.systems.square(5, 5)
    moved = perfect.positions.copy()
    moved[7, 0] += shift
    system = scaled(SpinSystem(moved, perfect.cell, perfect.pbc, lattice_shape=perfect.lattice_shape), a)
    assert is_lattice(system) is is_ideal_lattice(system) is lattice


@pytest.mark.parametrize("a", [5e-9, 1.0, 1e6])
def test_coinciding_sites_are_refused_at_every_length(a: float) -> None:
    system = SpinSystem(
        a * np.array([[0.0, 0, 0], [1, 0, 0], [3, 0, 0]]), a * np.diag([3.0, 1, 1]), (True, False, False)
    )
    with pytest.raises(InvalidInput, match="distinct"):
        _ = system.spacing
    with pytest.raises(InvalidInput, match="distinct"):
        radius_graph(system, 2.0 * a)


@pytest.mark.parametrize("pbc", [(True, True, False), (True, True, True), (False, False, False)])
@pytest.mark.parametrize("cutoff", [1e-3, 0.02, 0.3])
def test_thin_systems_and_tiny_radii(pbc: tuple[bool, bool, bool], cutoff: float) -> None:
    """Where a box is a thousand times longer than wide; every site has one partner at 0.9 of the radius."""
    grid = np.stack(np.meshgrid(np.arange(12), np.arange(12), indexing="ij"), -1).reshape(-1, 2)
    positions = np.column_stack([grid, np.zeros(len(grid))])
    both = np.concatenate([positions, positions + np.array([0.9 * cutoff, 0, 0])])
    i, j, shift = pairs_within(SpinSystem(both, np.diag([12.0, 12, 0.35]), pbc), cutoff)
    flat = (shift[:, 2] == 0) & (i != j)
    assert sorted(i[flat].tolist()) == list(range(len(both)))
    assert (np.abs(i - j)[flat] == len(grid)).all()
