"""Hopping rules against the bands and sums they must reproduce."""

import numpy as np
import pytest
from scipy import sparse

from gnnspin.core.errors import InvalidInput
from gnnspin.electrons import (
    ExponentialHopping,
    HoppingRule,
    NearestNeighborHopping,
    OnsiteEnergy,
    SDHamiltonian,
    ShellHopping,
)
from gnnspin.systems import (
    SpinSystem,
    amorphous,
    bcc,
    chain,
    fcc,
    honeycomb,
    kagome,
    pyrochlore,
    simple_cubic,
    square,
    triangular,
    union,
)
from gnnspin.systems.distances import minimum_image_distances, minimum_image_vectors


def momenta(shape):
    return np.meshgrid(*[2 * np.pi * np.arange(n) / n for n in shape], indexing="ij")


def band(kind, shape):
    k = momenta(shape)
    if kind is triangular:
        return -2 * (np.cos(k[0]) + np.cos(k[1]) + np.cos(k[0] - k[1]))
    if kind is honeycomb:
        f = np.abs(1 + np.exp(1j * k[0]) + np.exp(1j * k[1]))
        return np.concatenate([f.reshape(-1), -f.reshape(-1)])
    if kind is bcc:
        return -2 * (sum(np.cos(axis) for axis in k) + np.cos(k[0] + k[1] + k[2]))
    if kind is fcc:
        return -2 * (sum(np.cos(axis) for axis in k) + sum(np.cos(k[a] - k[b]) for a, b in [(0, 1), (0, 2), (1, 2)]))
    if kind is kagome:
        root = np.sqrt(np.abs(3 + 2 * (np.cos(k[0]) + np.cos(k[1]) + np.cos(k[0] - k[1]))))
        return np.concatenate([np.full(root.size, 2.0), (-1 + root).reshape(-1), (-1 - root).reshape(-1)])
    if kind is pyrochlore:
        root = np.sqrt(np.abs(4 + 2 * (band(fcc, shape) / -2)))
        return np.concatenate([np.full(2 * root.size, 2.0), (-2 + root).reshape(-1), (-2 - root).reshape(-1)])
    return -2 * sum(np.cos(axis) for axis in k)


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        (chain, (7,)),
        (chain, (2,)),
        (chain, (1,)),
        (square, (5, 6)),
        (square, (2, 1)),
        (triangular, (5, 6)),
        (triangular, (2, 2)),
        (triangular, (1, 3)),
        (honeycomb, (4, 3)),
        (honeycomb, (1, 2)),
        (simple_cubic, (3, 2, 4)),
        (bcc, (3, 4, 5)),
        (fcc, (3, 4, 5)),
        (kagome, (4, 5)),
        (kagome, (1, 2)),
        (pyrochlore, (3, 3, 4)),
    ],
)
def test_nearest_neighbor_levels_are_those_of_the_band(kind, shape):
    """Also on lattices of length 1 and 2, where several images join one pair and their amplitudes add."""
    levels = np.linalg.eigvalsh(NearestNeighborHopping().matrix(kind(*shape)).toarray())
    np.testing.assert_allclose(levels, np.sort(band(kind, shape).reshape(-1)), atol=1e-12)


def test_open_chain_levels():
    levels = np.linalg.eigvalsh(NearestNeighborHopping(t=0.7).matrix(chain(9, pbc=False)).toarray())
    np.testing.assert_allclose(levels, np.sort(-1.4 * np.cos(np.pi * np.arange(1, 10) / 10)), atol=1e-12)


def test_nearest_neighbors_do_not_depend_on_the_length_scale():
    cell = np.diag([37.0, 1.0, 1.0])
    stretched = SpinSystem(np.arange(5)[:, None] * [7.4, 0, 0], cell=cell, pbc=(True, False, False))
    assert abs(NearestNeighborHopping().matrix(stretched) - NearestNeighborHopping().matrix(chain(5))).max() == 0


def test_single_isolated_site_has_no_hopping():
    assert NearestNeighborHopping().matrix(SpinSystem([[0, 0, 0]])).nnz == 0


@pytest.mark.parametrize("rule", [NearestNeighborHopping(), ExponentialHopping()])
def test_union_is_block_diagonal(rule: HoppingRule):
    a, b = square(3, 4), amorphous(9, 4.0, 0.5, seed=3)
    joined = rule.matrix(union([a, b])).toarray()
    np.testing.assert_array_equal(joined[:12, :12], rule.matrix(a).toarray())
    np.testing.assert_array_equal(joined[12:, 12:], rule.matrix(b).toarray())
    assert not joined[:12, 12:].any()
    assert not joined[12:, :12].any()


@pytest.mark.parametrize(
    ("cell", "pbc"),
    [
        (np.diag([4.0, 5.0, 6.0]), (True, True, True)),
        ([[4.0, 0, 0], [11.0, 3.0, 0], [-7.0, 5.0, 2.0]], (True, True, True)),
        ([[4.0, 0, 0], [3.9, 0.5, 0], [0, 0, 1.0]], (True, True, False)),
        ([[2.0, 1.0, 0], [0, 1, 0], [0, 0, 1.0]], (True, False, False)),
    ],
)
def test_exponential_hopping_uses_the_nearest_image(cell, pbc):
    """Brute force over many images, sites outside the cell included."""
    positions = np.random.default_rng(1).uniform(-3, 3, (6, 3))
    system = SpinSystem(positions, cell=cell, pbc=pbc)
    ranges = [np.arange(-30, 31) if p else np.arange(1) for p in pbc]
    shifts = np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 3) @ np.asarray(cell)
    difference = positions[None, :] - positions[:, None]
    shortest = np.array([[np.linalg.norm(d + shifts, axis=1).min() for d in row] for row in difference])
    np.testing.assert_allclose(minimum_image_distances(system), shortest, atol=1e-10)
    expected = 0.8 * np.exp(-shortest / 1.5)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(ExponentialHopping(0.8, 1.5).matrix(system).toarray(), expected, atol=1e-12)


def test_minimum_image_vectors_are_antisymmetric_even_where_images_tie():
    for system in (square(4, 4), triangular(2, 6), amorphous(20, 3.0, 0.5, seed=0)):
        vectors = minimum_image_vectors(system)
        np.testing.assert_array_equal(vectors, -vectors.swapaxes(0, 1))
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), minimum_image_distances(system), atol=1e-12)
        shift = vectors - (system.positions[None] - system.positions[:, None])
        cells = shift @ np.linalg.inv(system.cell)
        np.testing.assert_allclose(cells, np.round(cells), atol=1e-12)


def test_shells_of_the_square_lattice():
    """E(k) of first, second and third neighbours; also where the cell is smaller than the range."""
    for shape in ((5, 6), (2, 3)):
        k1, k2 = momenta(shape)
        expected = -2 * (np.cos(k1) + np.cos(k2)) + 0.6 * (np.cos(k1 + k2) + np.cos(k1 - k2))
        expected -= 0.2 * (np.cos(2 * k1) + np.cos(2 * k2))
        levels = np.linalg.eigvalsh(ShellHopping((1.0, -0.3, 0.1)).matrix(square(*shape)).toarray())
        np.testing.assert_allclose(levels, np.sort(expected.reshape(-1)), atol=1e-12)
    first = ShellHopping((0.7,)).matrix(kagome(2, 3)) - NearestNeighborHopping(0.7).matrix(kagome(2, 3))
    assert abs(first).max() == 0


def test_rules_add():
    system = union([square(3, 4), square(3, 4)])
    energies = np.linspace(-1, 1, 24)
    total = NearestNeighborHopping() + ShellHopping((0.0, 0.3)) + OnsiteEnergy(energies)
    parts = [rule.matrix(system) for rule in total.rules]
    assert len(parts) == 3
    assert abs(total.matrix(system) - parts[0] - parts[1] - parts[2]).max() < 1e-15
    np.testing.assert_array_equal(total.matrix(system).diagonal(), energies)
    with pytest.raises(InvalidInput, match="different numbers of orbitals"):
        (NearestNeighborHopping() + OnsiteEnergy(energies, orbitals_per_site=2)).matrix(system)
    with pytest.raises(InvalidInput, match="at least one number"):
        ShellHopping(())


def test_raw_matrix_equals_rule_and_is_identified_by_its_values():
    system = square(4, 4)
    matrix = NearestNeighborHopping(t=1.3).matrix(system)
    raw, rule = SDHamiltonian(system, matrix, J=2.0), SDHamiltonian(system, NearestNeighborHopping(t=1.3), J=2.0)
    assert abs(raw.hopping_matrix - rule.hopping_matrix).max() == 0
    same = SDHamiltonian(system, sparse.coo_matrix(matrix), J=2.0)
    other = SDHamiltonian(system, matrix * 1.0000001, J=2.0)
    assert raw.specification() == same.specification()
    assert raw.specification() != other.specification()


def test_bad_hopping_is_refused_with_the_reason():
    system = union([chain(3), chain(4)])
    skew = sparse.csr_array(np.triu(np.ones((7, 7))))
    crossing = sparse.csr_array(np.ones((7, 7)))
    for matrix, reason in [
        (sparse.csr_array(np.eye(6)), r"\(6, 6\).*\(7, 7\)"),
        (skew, "not Hermitian.*1.000e"),
        (crossing, "different parts"),
        (np.eye(7), "ndarray.*scipy.sparse"),
        (sparse.csr_array(np.diag([np.nan] * 7)), "not finite"),
    ]:
        with pytest.raises(InvalidInput, match=reason):
            SDHamiltonian(system, matrix, J=1.0)
    with pytest.raises(InvalidInput, match="length=0"):
        ExponentialHopping(length=0)
    with pytest.raises(InvalidInput, match="t=nan"):
        NearestNeighborHopping(t=float("nan"))
    with pytest.raises(InvalidInput, match=r"J has shape \(3,\)"):
        SDHamiltonian(chain(4), J=[1.0, 2.0, 3.0])
    with pytest.raises(InvalidInput, match="J contains"):
        SDHamiltonian(chain(4), J=float("inf"))
