"""The orders that come with the library against closed forms, and orders of one's own."""

import numpy as np
import pytest
import torch

from gnnspin.core import InvalidInput, random_spins
from gnnspin.graphs import radius_graph
from gnnspin.observables import (
    available_orders,
    correlation_length,
    high_symmetry_points,
    magnetization,
    nearest_neighbor_correlation,
    neighbor_correlation,
    reciprocal_vectors,
    reference_order,
    register_order,
    shell_correlation,
    skyrmion,
    structure_factor,
    structure_factor_at,
)
from gnnspin.observables.orders import ORDERS
from gnnspin.systems import SpinSystem, amorphous, chain, honeycomb, kagome, simple_cubic, square, triangular
from gnnspin.systems.lattices import bravais

ROOT = np.sqrt(3)
KAGOME = kagome(12, 12)


def moved(system, angle, shift, scale=1.0):
    """The same lattice turned in the plane, shifted and scaled."""
    c, s = np.cos(angle), np.sin(angle)
    turn = scale * np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
    positions = system.positions @ turn + [*shift, 0.0]
    return SpinSystem(positions, system.cell @ turn, system.pbc, lattice_shape=system.lattice_shape)


@pytest.mark.parametrize(
    ("order", "first", "second", "third", "peak"),
    [
        ("q0", -1 / 2, -1 / 2, 1, 192),
        ("sqrt3", -1 / 2, 1, -1 / 2, 216),
        ("cuboc1", -1 / 2, 1 / 2, -1 / 3, 96),
        ("cuboc2", 1 / 2, -1 / 2, -1 / 3, 96),
    ],
)
def test_correlations_and_peaks_of_the_kagome_orders(order, first, second, third, peak):
    """Shell averages of S.S, and the largest S(q) of N = 432 sites: 4N/9, N/2 and twice 2N/9."""
    spins = reference_order(order, KAGOME)
    structure = structure_factor(KAGOME, spins)
    assert structure.max().item() == pytest.approx(peak)
    assert magnetization(spins).norm() < 1e-12
    assert len(np.unique(np.round(spins.numpy(), 6) + 0.0, axis=0)) == {"q0": 3, "sqrt3": 3}.get(order, 12)
    assert correlation_length(KAGOME, structure, high_symmetry_points(KAGOME)["M"]) >= 0
    _, correlations = shell_correlation(KAGOME, spins, 2.0)
    assert correlations.tolist() == pytest.approx([first, second, third], abs=1e-12)


@pytest.mark.parametrize(("order", "angle"), [("q0", 120), ("sqrt3", 120), ("cuboc1", 120), ("cuboc2", 60)])
def test_neighbours_of_the_kagome_orders_enclose_one_angle(order, angle):
    spins = reference_order(order, kagome(6, 6))
    j, i = radius_graph(kagome(6, 6), 1.0).edge_index
    products = (spins[i] * spins[j]).sum(-1)
    assert (products - np.cos(np.deg2rad(angle))).abs().max() < 1e-12


@pytest.mark.parametrize("order", ["cuboc1", "cuboc2"])
def test_cuboc_spins_point_to_the_midpoints_of_a_cube(order):
    spins = np.sort(np.abs(reference_order(order, kagome(2, 2)).numpy()), axis=1)
    assert spins == pytest.approx(np.tile([0, np.sqrt(1 / 2), np.sqrt(1 / 2)], (12, 1)))


@pytest.mark.parametrize(
    ("order", "exchange", "energy"),
    [
        ("q0", (1.0, 0.3, 0.0), -1.3),
        ("sqrt3", (1.0, -0.3, 0.0), -1.6),
        ("cuboc1", (1.0, 0.3, 0.7), -1.4),
        ("cuboc2", (-1.0, 0.6, 0.9), -2.5),
    ],
)
def test_classical_ground_states_of_the_kagome_lattice(order, exchange, energy):
    """No state is below half the lowest eigenvalue of the coupling matrix (Luttinger and Tisza): the orders reach it.

    J1 and J2 couple first and second neighbours, J3 the sites across a hexagon. Energies per site: -J1 - J2 + J3 (q0),
    -J1 + 2 J2 - J3 / 2 (sqrt3), -J1 + J2 - J3 (cuboc1), J1 - J2 - J3 (cuboc2).
    """
    system = kagome(6, 6)
    spins = reference_order(order, system)
    graph = radius_graph(system, 2.0)
    j, i = graph.edge_index
    midpoint = system.positions[i] + graph.edge_vector.numpy() / 2
    offset = (midpoint[:, None] - system.positions) @ np.linalg.inv(system.cell)
    gap = np.linalg.norm((offset - np.round(offset) * system.pbc) @ system.cell, axis=-1).min(1)
    across = torch.from_numpy(gap > 0.75)
    assert int(across.sum()) == 2 * system.n_sites
    shell = graph.edge_shell
    bonds = (shell == 0, shell == 1, across)
    strength = torch.stack([constant * bond.double() for constant, bond in zip(exchange, bonds, strict=True)]).sum(0)
    coupling = torch.zeros(system.n_sites, system.n_sites, dtype=torch.float64)
    coupling.index_put_((i, j), strength, accumulate=True)
    per_site = float((spins * (coupling @ spins)).sum()) / 2 / system.n_sites
    assert per_site == pytest.approx(energy)
    assert per_site == pytest.approx(float(torch.linalg.eigvalsh(coupling)[0]) / 2)


def test_zigzag_order_of_the_honeycomb_lattice():
    """Two of three neighbours are parallel, third neighbours opposite; S is 3N/4 at one M point, 0 at the others."""
    system = honeycomb(4, 6)
    spins = reference_order("zigzag", system)
    _, correlations = shell_correlation(system, spins, 2.0)
    assert correlations.tolist() == pytest.approx([1 / 3, -1 / 3, -1])
    first, second = reciprocal_vectors(system)[:2] / 2
    weights = structure_factor_at(system, spins, [second, first, first - second])
    assert weights.tolist() == pytest.approx([36, 0, 0], abs=1e-9)
    assert structure_factor(system, spins).max().item() == pytest.approx(36)


@pytest.mark.parametrize(
    ("order", "system"),
    [
        ("cuboc1", kagome(4, 4)),
        ("cuboc2", kagome(4, 4)),
        ("sqrt3", kagome(3, 6)),
        ("q0", kagome(3, 2)),
        ("zigzag", honeycomb(4, 4)),
        ("neel", honeycomb(3, 4)),
        ("tetrahedral", triangular(4, 4)),
        ("120-degree", triangular(6, 6)),
    ],
)
@pytest.mark.parametrize(
    ("angle", "shift", "scale"), [(0.3, (0.2, -0.4), 1.0), (np.pi / 2, (0, 0), 3e-9), (2, (1, 1), 7e4)]
)
def test_orders_know_a_lattice_in_any_position(order, system, angle, shift, scale):
    """Correlations of all shells are those of the lattice as the library builds it, turned, shifted or in metres."""
    other = moved(system, angle, np.array(shift) * scale, scale)
    expected = shell_correlation(system, reference_order(order, system), 2.0)[1]
    found = shell_correlation(other, reference_order(order, other), 2.0 * scale)[1]
    assert found.tolist() == pytest.approx(expected.tolist(), abs=1e-9)
    nearest = nearest_neighbor_correlation(other, reference_order(order, other))
    assert nearest.item() == pytest.approx(expected[0].item())
    assert neighbor_correlation(other, reference_order(order, other)).mean().item() == pytest.approx(nearest.item())


def test_kagome_orders_on_other_unit_cells():
    """Vectors at 120 degrees and a basis in another order and at another origin are the same lattice."""
    vectors = [[2, 0, 0], [-1, ROOT, 0], [0, 0, 1]]
    system = bravais((4, 4), vectors, basis=[[1.5, ROOT / 2, 0], [1, 0, 0], [2, 0, 0]])
    for order in ("cuboc1", "cuboc2", "q0"):
        expected = shell_correlation(kagome(4, 4), reference_order(order, kagome(4, 4)), 2.0)[1]
        found = shell_correlation(system, reference_order(order, system), 2.0)[1]
        assert found.tolist() == pytest.approx(expected.tolist(), abs=1e-12)
        assert structure_factor(system, reference_order(order, system)).mean().item() == pytest.approx(1)


def test_each_lattice_has_its_orders():
    expected = {
        kagome(6, 6): {"stripe", "q0", "sqrt3", "cuboc1", "cuboc2", "skyrmion"},
        kagome(5, 5): {"q0", "skyrmion"},
        honeycomb(4, 4): {"neel", "stripe", "zigzag", "skyrmion"},
        triangular(6, 6): {"stripe", "120-degree", "tetrahedral", "skyrmion"},
        simple_cubic(2, 2, 2): {"neel", "stripe"},
        amorphous(20, 4.0, 0.5, seed=0): set(),
    }
    known = {"ferromagnet"}.union(*expected.values())  # examples in the docs register more
    for system, orders in expected.items():
        assert known & set(available_orders(system)) == orders | {"ferromagnet"}


def test_orders_fit_open_lattices_of_any_length():
    for order in ("stripe", "120-degree", "tetrahedral", "ferromagnet"):
        assert reference_order(order, triangular(4, 5, pbc=False)).shape == (20, 3)
    for order in ("q0", "sqrt3", "cuboc1", "cuboc2"):
        assert reference_order(order, kagome(4, 5, pbc=False)).shape == (60, 3)
    assert reference_order("neel", square(5, 3, pbc=False)).shape == (15, 3)
    with pytest.raises(InvalidInput, match="multiples of 2; length 2 is 5"):
        reference_order("cuboc1", kagome(4, 5))


def test_an_order_of_ones_own_is_known_by_name():
    @register_order("spiral-of-4")
    def spiral(system):
        angle = np.pi / 2 * system.positions[:, 0]
        return np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)

    try:
        spins = reference_order("spiral-of-4", chain(8))
        assert structure_factor_at(chain(8), spins, [np.pi / 2, 0, 0]).item() == pytest.approx(4)
        assert "spiral-of-4" in available_orders(chain(8))
        with pytest.raises(InvalidInput, match="belongs to"):
            register_order("spiral-of-4")(lambda system: 2 * spiral(system))
        ORDERS._known["too-long"] = lambda system: 2 * spiral(system)
        with pytest.raises(InvalidInput, match="not a unit vector"):
            reference_order("too-long", chain(8))
        ORDERS._known["too-short"] = lambda system: spiral(system)[1:]
        with pytest.raises(InvalidInput, match=r"expected \(8, 3\)"):
            reference_order("too-short", chain(8))
    finally:
        for name in ("spiral-of-4", "too-long", "too-short"):
            ORDERS._known.pop(name, None)


@pytest.mark.parametrize("suffix", [".npz", ".npy"])
def test_an_order_from_a_file(tmp_path, suffix):
    system, path = kagome(4, 4), tmp_path / f"order{suffix}"
    cuboc, tile = reference_order("cuboc1", system), reference_order("cuboc1", kagome(2, 2)).reshape(2, 2, 1, 3, 3)
    for spins in (cuboc, tile):
        np.savez(path, spins=spins, note=1) if suffix == ".npz" else np.save(path, spins)
        assert (reference_order(path, system) - cuboc).abs().max() < 1e-15
        assert (reference_order(str(path), system) - cuboc).abs().max() < 1e-15
    with pytest.raises(InvalidInput, match="multiples of 2; length 1 is 5"):
        reference_order(path, kagome(5, 4))
    with pytest.raises(InvalidInput, match="3 sites per unit cell"):
        reference_order(path, square(4, 4))
    np.savez(path.with_suffix(".npz"), first=cuboc, second=cuboc)
    with pytest.raises(InvalidInput, match="name that of the spins"):
        reference_order(path.with_suffix(".npz"), system)
    np.save(path.with_suffix(".npy"), random_spins(47, seed=0))
    with pytest.raises(InvalidInput, match=r"shape \(47, 3\); expected \(48, 3\)"):
        reference_order(path.with_suffix(".npy"), system)
    path.write_text("no array")
    with pytest.raises(InvalidInput, match="no readable"):
        reference_order(path, system)
    with pytest.raises(InvalidInput, match="no readable"):
        reference_order(tmp_path / "missing.npz", system)


def test_profile_of_a_skyrmion():
    """Down in the middle, in the plane at the radius, up far away; helicity turns the wall's spins about z."""
    system = square(41, 41, pbc=False)
    spins = skyrmion(system, center=(20, 20), radius=8.0, wall=2.0)
    line = spins.reshape(41, 41, 3)[20:, 20]
    assert line[0, 2] == pytest.approx(-1)
    assert line[8] == pytest.approx([1, 0, 0], abs=1e-12)
    assert line[20, 2] == pytest.approx(1, abs=1e-4)
    angle = np.arctan2(line[1:, 0], line[1:, 2])
    assert np.tan(angle / 2) == pytest.approx(np.sinh(4) / np.sinh(np.arange(1, 21) / 2))
    bloch = skyrmion(system, center=(20, 20), radius=8.0, wall=2.0, helicity=np.pi / 2).reshape(41, 41, 3)
    assert bloch[28, 20] == pytest.approx([0, 1, 0], abs=1e-12)
    with pytest.raises(InvalidInput, match="at least the distance of neighbours"):
        skyrmion(square(3, 3))
    with pytest.raises(InvalidInput, match="planar"):
        skyrmion(simple_cubic(4, 4, 4))
