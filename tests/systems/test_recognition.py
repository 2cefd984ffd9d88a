"""Shuffled lattices are found again, with the permutation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gnnspin as gs
from gnnspin.core.errors import InvalidInput
from gnnspin.systems import SpinSystem, as_lattice
from gnnspin.systems.distances import shortest_images
from gnnspin.systems.lattice import is_ideal_lattice

LATTICES = {
    "chain": gs.systems.chain(7),
    "open_chain": gs.systems.chain(6, pbc=False),
    "rectangle": gs.systems.square(4, 6),
    "strip": gs.systems.triangular(4, 5, pbc=(True, False)),
    "open": gs.systems.triangular(3, 4, pbc=False),
    "honeycomb": gs.systems.honeycomb(3, 4),
    "kagome": gs.systems.kagome(3, 3, pbc=(False, True)),
    "bcc": gs.systems.bcc(3, 2, 3),
    "pyrochlore": gs.systems.pyrochlore(2, 2, 3),
}


@pytest.mark.parametrize("name", list(LATTICES))
def test_a_lattice_in_its_own_order_is_itself(name: str) -> None:
    lattice = LATTICES[name]
    found = as_lattice(SpinSystem(lattice.positions, lattice.cell, lattice.pbc))
    assert found.system.lattice_shape == lattice.lattice_shape
    np.testing.assert_array_equal(found.permutation, np.arange(lattice.n_sites))
    np.testing.assert_allclose(found.system.positions, lattice.positions, atol=1e-12)


@pytest.mark.parametrize("a", [5e-9, 1.0, 1e6])
@pytest.mark.parametrize("name", list(LATTICES))
def test_shuffled_and_wrapped_sites_are_put_in_order(name: str, a: float) -> None:
    """Random order and images of the sites, shifted as a whole: the permutation carries positions and spins over."""
    lattice, generator = LATTICES[name], np.random.default_rng(5)
    order = generator.permutation(lattice.n_sites)
    images = generator.integers(-2, 3, (lattice.n_sites, 3)) * np.array(lattice.pbc)
    moved = lattice.positions[order] + images @ lattice.cell + [0.3, -0.2, 0.0]
    given = SpinSystem(a * moved, a * lattice.cell, lattice.pbc)
    found = as_lattice(given)
    assert found.system.lattice_shape == lattice.lattice_shape
    assert is_ideal_lattice(found.system)
    assert sorted(found.permutation.tolist()) == list(range(lattice.n_sites))
    away = shortest_images(given, found.system.positions - given.positions[found.permutation])
    assert np.abs(away).max() < 1e-9 * a
    spins = gs.core.random_spins(lattice.n_sites, seed=0)
    plain, ordered = gs.classical.Heisenberg(given), gs.classical.Heisenberg(found.system)
    permutation = torch.from_numpy(found.permutation)
    torch.testing.assert_close(ordered.field(spins[permutation]), plain.field(spins)[permutation])


def test_species_and_larger_cells_count() -> None:
    """A checkerboard of two species repeats with two sites per cell; a rectangular cell of a triangular lattice too."""
    square = gs.systems.square(4, 6)
    kinds = square.positions[:, :2].sum(1).astype(int) % 2
    found = as_lattice(SpinSystem(square.positions, square.cell, square.pbc, kinds)).system
    assert is_ideal_lattice(found)
    assert found.n_basis == 4
    rows = gs.systems.bravais((4, 3), np.diag([1.0, np.sqrt(3), 1]), [[0, 0, 0], [0.5, np.sqrt(0.75), 0]])
    triangular = as_lattice(SpinSystem(rows.positions[::-1], rows.cell, rows.pbc)).system
    assert triangular.lattice_shape == (4, 3, 1)
    assert triangular.n_basis == 2


def test_rounded_positions_need_a_tolerance_and_others_are_refused() -> None:
    lattice = gs.systems.triangular(6, 6)
    rounded = SpinSystem(np.round(lattice.positions, 3), lattice.cell, lattice.pbc)
    with pytest.raises(InvalidInput, match="no lattice"):
        as_lattice(SpinSystem(np.round(lattice.positions, 3) + 1e-3 * np.eye(36, 3), lattice.cell, lattice.pbc))
    assert as_lattice(rounded, tolerance=5e-3).system.lattice_shape == (6, 6, 1)
    with pytest.raises(InvalidInput, match="no lattice"):
        as_lattice(gs.systems.amorphous(12, 3.0, 0.5, seed=0))
    with pytest.raises(InvalidInput, match="parts"):
        as_lattice(gs.systems.union([lattice, lattice]))
