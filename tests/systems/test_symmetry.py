"""Point groups of sites."""

from __future__ import annotations

import numpy as np
import pytest

from gnnspin import systems
from gnnspin.core.errors import InvalidInput
from gnnspin.systems import SpinSystem
from gnnspin.systems.lattice import repeated_directions
from gnnspin.systems.symmetry import CrystalSymmetry, schoenflies, site_symmetry

GROUPS = {
    "chain": (systems.chain(12), "m", 2),
    "square": (systems.square(24, 24), "4mm", 8),
    "torus_without_the_fourfold_axis": (systems.square(24, 12), "4mm", 8),
    "triangular": (systems.triangular(24, 24), "6mm", 12),
    "honeycomb": (systems.honeycomb(5, 5), "3m", 6),
    "kagome": (systems.kagome(4, 4), "mm2", 4),
    "simple_cubic": (systems.simple_cubic(4, 4, 4), "m-3m", 48),
    "bcc": (systems.bcc(4, 4, 4), "m-3m", 48),
    "fcc": (systems.fcc(4, 4, 4), "m-3m", 48),
    "pyrochlore": (systems.pyrochlore(3, 3, 3), "-3m", 12),
    "amorphous": (systems.amorphous(40, 3.7, 0.5, seed=0), "1", 1),
    "cluster": (SpinSystem([[0, 0, 0], [1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]]), "4mm", 8),
}


@pytest.mark.parametrize("name", list(GROUPS))
def test_known_groups(name: str) -> None:
    system, symbol, order = GROUPS[name]
    group = site_symmetry(system, 0)
    assert (group.name, group.order) == (symbol, order)


@pytest.mark.parametrize("name", list(GROUPS))
def test_closed_orthogonal_group(name: str) -> None:
    group = site_symmetry(GROUPS[name][0], 0)
    assert np.allclose(group.rotations[0], np.eye(3))
    assert np.allclose(group.rotations @ group.rotations.transpose(0, 2, 1), np.eye(3), atol=1e-12)
    products = np.einsum("gij,hjk->ghik", group.rotations, group.rotations)
    assert np.allclose(products, group.rotations[group.product], atol=1e-12)


@pytest.mark.parametrize("name", ["square", "triangular", "honeycomb", "kagome", "simple_cubic", "pyrochlore"])
def test_neighbors_are_mapped_on_neighbors(name: str) -> None:
    """Independent of spglib: each rotation permutes the neighbours of its site."""
    system = GROUPS[name][0]
    for site in range(system.n_basis):
        difference = system.positions - system.positions[site]
        fractional = difference @ np.linalg.inv(system.cell)
        vectors = (fractional - np.round(fractional)) @ system.cell
        vectors = vectors[np.linalg.norm(vectors, axis=1) < 1.9]
        for rotation in site_symmetry(system, site).rotations:
            distance = np.linalg.norm((vectors @ rotation.T)[:, None] - vectors, axis=-1)
            assert distance.min(1).max() < 1e-9


@pytest.mark.parametrize(
    ("site", "order"), [(12, 8), (0, 2), (2, 2), (11, 2), (7, 2)], ids=["middle", "corner", "edge", "off", "off2"]
)
def test_open_lattice_has_what_its_edges_leave(site: int, order: int) -> None:
    group = site_symmetry(systems.square(5, 5, pbc=False), site)
    assert group.order == order


def test_strip_keeps_the_mirrors() -> None:
    strip = systems.square(6, 5, pbc=(True, False))
    assert [site_symmetry(strip, site).order for site in (2, 1, 0)] == [4, 2, 2]


def test_species_break_symmetry() -> None:
    checkerboard = systems.bravais((4, 4), [[1, 1, 0], [1, -1, 0], [0, 0, 1]], basis=[[0, 0, 0], [1, 0, 0]])
    stripes = systems.bravais((4, 4), [[2, 0, 0], [0, 1, 0], [0, 0, 1]], basis=[[0, 0, 0], [1, 0, 0]])
    for system, order in ((checkerboard, 8), (stripes, 4)):
        kinds = SpinSystem(
            system.positions,
            system.cell,
            system.pbc,
            np.arange(system.n_sites) % 2,
            lattice_shape=system.lattice_shape,
        )
        assert site_symmetry(system).order == 8
        assert site_symmetry(kinds).order == order


def test_a_larger_cell_has_the_same_group() -> None:
    """Cells of 2 and 6 sites of the triangular lattice, the latter without the lattice's sixfold axis."""
    vectors = systems.triangular(1, 1).primitive_vectors
    for shape in ((2, 1), (3, 2)):
        piece = systems.bravais(shape, vectors)
        cell = SpinSystem(piece.positions, piece.cell, piece.pbc)
        assert {site_symmetry(cell, site).order for site in range(cell.n_sites)} == {12}


def test_union_asks_the_part() -> None:
    joint = systems.union([systems.square(4, 4), systems.triangular(4, 4)])
    assert site_symmetry(joint, 3).name == "4mm"
    assert site_symmetry(joint, 20).name == "6mm"


@pytest.mark.parametrize("name", ["honeycomb", "kagome", "pyrochlore"])
def test_frames_carry_the_surroundings_along(name: str) -> None:
    system = GROUPS[name][0]
    first = system.positions[: system.n_basis]
    crystal = CrystalSymmetry.of(system.primitive_vectors, first, repeated_directions(system))
    representative, frames = crystal.frames()
    assert not representative.any()

    def surroundings(site: int) -> np.ndarray:
        fractional = (system.positions - system.positions[site]) @ np.linalg.inv(system.cell)
        vectors = (fractional - np.round(fractional)) @ system.cell
        return vectors[np.linalg.norm(vectors, axis=1) < 1.9]

    for site, frame in enumerate(frames):
        distance = np.linalg.norm((surroundings(0) @ frame.T)[:, None] - surroundings(site), axis=-1)
        assert distance.min(1).max() < 1e-9


def test_schoenflies() -> None:
    assert [schoenflies(name) for name in ("4mm", "6mm", "m-3m", "1")] == ["C4v", "C6v", "Oh", "C1"]
    with pytest.raises(InvalidInput, match="5mm"):
        schoenflies("5mm")


def test_no_such_site() -> None:
    with pytest.raises(InvalidInput, match="site=9"):
        site_symmetry(systems.square(3, 3), 9)
