"""Closed-form values in perfect orders, and what every observable must respect."""

import numpy as np
import pytest
import torch

from gnnspin.core import InvalidInput, random_rotation, random_spins
from gnnspin.observables import (
    high_symmetry_points,
    magnetization,
    nearest_neighbor_correlation,
    neighbor_correlation,
    pair_correlation,
    perturbed,
    reference_order,
    scalar_chirality,
    scalar_structure_factor,
    shell_correlation,
    site_average,
    staggered_vector_chirality,
    structure_factor,
    structure_factor_at,
    triangles,
    vector_chirality,
    wave_vectors,
)
from gnnspin.systems import amorphous, chain, honeycomb, simple_cubic, square, triangular

CHI = 4 / (3 * np.sqrt(3))
TRIANGULAR = triangular(6, 12)


@pytest.mark.parametrize(
    ("order", "first", "second", "third"),
    [
        ("ferromagnet", 1, 1, 1),
        ("120-degree", -1 / 2, 1, -1 / 2),
        ("tetrahedral", -1 / 3, -1 / 3, 1),
        ("stripe", -1 / 3, -1 / 3, 1),
    ],
)
def test_shell_correlations_of_triangular_orders(order, first, second, third):
    spins = reference_order(order, TRIANGULAR)
    distances, correlations = shell_correlation(TRIANGULAR, spins, 2.0)
    assert distances.tolist() == pytest.approx([1, np.sqrt(3), 2])
    assert correlations.tolist() == pytest.approx([first, second, third])
    assert nearest_neighbor_correlation(TRIANGULAR, spins).item() == pytest.approx(first)
    assert neighbor_correlation(TRIANGULAR, spins).tolist() == pytest.approx([first] * 72) or order == "stripe"


@pytest.mark.parametrize(
    "system", [chain(8), square(4, 6), honeycomb(3, 5), simple_cubic(2, 4, 6), square(5, 3, pbc=False)]
)
def test_neel_order_is_antiparallel_on_every_bond(system):
    spins = reference_order("neel", system)
    assert neighbor_correlation(system, spins).tolist() == pytest.approx([-1] * system.n_sites)
    assert magnetization(spins).norm() < 0.1


@pytest.mark.parametrize(
    ("order", "weights"),
    [
        ("ferromagnet", {"Gamma": 1, "M": 0, "K": 0}),
        ("120-degree", {"Gamma": 0, "M": 0, "K": 1 / 2}),
        ("tetrahedral", {"Gamma": 0, "M": 1 / 3, "K": 0}),
    ],
)
def test_weight_at_high_symmetry_points(order, weights):
    """The 120-degree order has half its weight at K and half at -K; the tetrahedral one a third at each M point."""
    spins = reference_order(order, TRIANGULAR)
    for name, point in high_symmetry_points(TRIANGULAR).items():
        for sign in (1, -1):
            assert structure_factor_at(TRIANGULAR, spins, sign * point).item() / 72 == pytest.approx(
                weights[name], abs=1e-12
            )


def test_neel_and_ferromagnetic_peaks_of_other_lattices():
    assert structure_factor_at(square(4, 4), reference_order("neel", square(4, 4)), [np.pi, np.pi, 0]) == pytest.approx(
        16
    )
    cubic = simple_cubic(2, 2, 4)
    point = high_symmetry_points(cubic)["R"]
    assert structure_factor_at(cubic, reference_order("neel", cubic), point) == pytest.approx(16)
    assert high_symmetry_points(chain(4))["X"] == pytest.approx([np.pi, 0, 0])
    k = high_symmetry_points(honeycomb(3, 3))["K"]
    assert np.linalg.norm(k) == pytest.approx(4 * np.pi / (3 * np.sqrt(3)))


def test_chiralities_of_perfect_orders():
    hundred_twenty = perturbed(reference_order("120-degree", TRIANGULAR), 0.0, seed=3)
    kappa = vector_chirality(TRIANGULAR, hundred_twenty)
    sign = triangles(TRIANGULAR).orientation
    assert kappa.shape == (144, 3)
    assert (kappa.norm(dim=-1) - 1).abs().max() < 1e-12
    assert (kappa * sign[:, None] - kappa[0]).abs().max() < 1e-12
    assert (staggered_vector_chirality(TRIANGULAR, hundred_twenty) - kappa[0]).abs().max() < 1e-12
    assert scalar_chirality(TRIANGULAR, hundred_twenty).abs().max() < 1e-12
    tetrahedral = perturbed(reference_order("tetrahedral", TRIANGULAR), 0.0, seed=4)
    assert (scalar_chirality(TRIANGULAR, tetrahedral) - CHI).abs().max() < 1e-12
    assert (scalar_chirality(TRIANGULAR, -tetrahedral) + CHI).abs().max() < 1e-12
    assert (site_average(TRIANGULAR, scalar_chirality(TRIANGULAR, tetrahedral)) - CHI).abs().max() < 1e-12


def test_triangles_are_small_counter_clockwise_and_complete():
    for system, count in (
        (triangular(4, 5), 40),
        (triangular(4, 5, pbc=False), 24),
        (triangular(4, 5, pbc=(True, False)), 32),
    ):
        found = triangles(system)
        assert len(found.sites) == count
        assert len({tuple(sorted(row)) for row in found.sites.tolist()}) == count
    found, system = triangles(triangular(4, 5, pbc=False)), triangular(4, 5)
    corners = system.positions[found.sites]
    edges = np.roll(corners, -1, axis=1) - corners
    assert np.linalg.norm(edges, axis=-1) == pytest.approx(np.ones((24, 3)))
    assert (np.cross(edges[:, 0], edges[:, 1])[:, 2] > 0).all()
    assert found.centers.numpy() == pytest.approx(corners.mean(1))


@pytest.mark.parametrize("system", [chain(7), square(4, 5), TRIANGULAR, simple_cubic(3, 2, 4)])
def test_sum_rule_and_direct_sum(system):
    spins = random_spins(system.n_sites, replicas=(2, 3), seed=0)
    transformed = structure_factor(system, spins)
    assert transformed.shape == (2, 3, *system.lattice_shape)
    assert (transformed.sum((-3, -2, -1)) / system.n_sites - 1).abs().max() < 1e-12
    direct = structure_factor_at(system, spins, wave_vectors(system).reshape(-1, 3))
    assert (direct.reshape(transformed.shape) - transformed).abs().max() < 1e-10


def test_structure_factor_with_a_basis_uses_true_positions():
    system = honeycomb(3, 4)
    spins = random_spins(system.n_sites, seed=1)
    direct = structure_factor_at(system, spins, wave_vectors(system).reshape(-1, 3))
    assert (direct - structure_factor(system, spins).flatten()).abs().max() < 1e-10


def test_scalar_structure_factor_is_that_of_a_spin_component():
    spins = random_spins(72, replicas=(4,), seed=2)
    parts = sum(scalar_structure_factor(TRIANGULAR, spins[..., k]) for k in range(3))
    assert (parts - structure_factor(TRIANGULAR, spins)).abs().max() < 1e-10


def test_rotation_and_replicas():
    spins = random_spins(72, replicas=(2, 2), seed=5)
    rotation = random_rotation(7)
    turned = spins @ rotation.T
    scalars = (
        lambda s: nearest_neighbor_correlation(TRIANGULAR, s),
        lambda s: structure_factor(TRIANGULAR, s),
        lambda s: scalar_chirality(TRIANGULAR, s),
        lambda s: pair_correlation(TRIANGULAR, s, 0.5, 2.2).correlation.nan_to_num(9),
    )
    for function in scalars:
        assert (function(turned) - function(spins)).abs().max() < 1e-10
        assert (function(spins)[1, 0] - function(spins[1, 0])).abs().max() < 1e-12
    for function in (vector_chirality, staggered_vector_chirality):
        assert (function(TRIANGULAR, turned) - function(TRIANGULAR, spins) @ rotation.T).abs().max() < 1e-12
    assert (magnetization(turned) - magnetization(spins) @ rotation.T).abs().max() < 1e-12


def test_time_reversal_flips_the_scalar_chirality_only():
    spins = random_spins(72, seed=6)
    assert torch.equal(scalar_chirality(TRIANGULAR, -spins), -scalar_chirality(TRIANGULAR, spins))
    assert torch.equal(vector_chirality(TRIANGULAR, -spins), vector_chirality(TRIANGULAR, spins))


def test_pair_correlation_of_an_amorphous_system_against_all_pairs():
    system = amorphous(40, 6.0, 0.5, seed=1)
    spins = random_spins(40, seed=2)
    result = pair_correlation(system, spins, bin_width=0.25, max_distance=2.9)
    delta = system.positions[:, None] - system.positions
    distance = np.linalg.norm(delta - 6 * np.round(delta / 6), axis=-1)[np.triu_indices(40, 1)]
    dots = (spins @ spins.T).numpy()[np.triu_indices(40, 1)]
    assert len(result.distance) == 12
    for k in range(12):
        chosen = (distance >= 0.25 * k) & (distance < min(0.25 * (k + 1), 2.9))
        assert result.pairs[k] == chosen.sum()
        if chosen.any():
            assert result.correlation[k].item() == pytest.approx(dots[chosen].mean())
            assert result.distance[k].item() == pytest.approx(distance[chosen].mean())
        else:
            assert result.correlation[k].isnan()


def test_float32_stays_float32():
    spins = random_spins(72, seed=0, dtype=torch.float32)
    for value in (
        structure_factor(TRIANGULAR, spins),
        structure_factor_at(TRIANGULAR, spins, [1, 0, 0]),
        neighbor_correlation(TRIANGULAR, spins),
        staggered_vector_chirality(TRIANGULAR, spins),
    ):
        assert value.dtype == torch.float32


def test_perturbation_is_small_rotated_and_reproducible():
    order = reference_order("tetrahedral", TRIANGULAR)
    once = perturbed(order, 0.1, seed=1)
    assert torch.equal(once, perturbed(order, 0.1, seed=1))
    assert not torch.allclose(once, perturbed(order, 0.1, seed=2))
    unrotated = perturbed(order, 0.1, seed=1, rotate=False)
    tilt = torch.arccos((unrotated * order).sum(-1).clamp(-1, 1))
    assert tilt.square().mean().sqrt().item() == pytest.approx(0.1 * np.sqrt(2), rel=0.2)
    assert (once - order).norm(dim=-1).max() > 0.5
    with pytest.raises(InvalidInput, match="amplitude"):
        perturbed(order, -0.1, seed=0)


@pytest.mark.parametrize(
    ("order", "system", "message"),
    [
        ("120-degree", triangular(4, 6), "multiples of 3; length 1 is 4"),
        ("tetrahedral", triangular(4, 3), "multiples of 2; length 2 is 3"),
        ("120-degree", square(3, 3), "needs a triangular lattice"),
        ("tetrahedral", honeycomb(2, 2), "needs a triangular lattice"),
        ("neel", triangular(4, 4), "bipartite"),
        ("neel", square(3, 4), "multiples of 2; length 1 is 3"),
        ("neel", amorphous(10, 5.0, 0.5, seed=0), "not a lattice"),
        ("stripe", square(5, 4), "multiples of 2"),
        ("spiral", square(4, 4), "known: 120-degree"),
    ],
)
def test_orders_that_do_not_fit_say_why(order, system, message):
    with pytest.raises(InvalidInput, match=message):
        reference_order(order, system)


def test_bad_input_is_named():
    with pytest.raises(InvalidInput, match="the system has 72"):
        structure_factor(TRIANGULAR, random_spins(71, seed=0))
    with pytest.raises(InvalidInput, match="not a lattice"):
        structure_factor(amorphous(10, 5.0, 0.5, seed=0), random_spins(10, seed=0))
    with pytest.raises(InvalidInput, match="xy plane"):
        scalar_chirality(simple_cubic(3, 3, 3), random_spins(27, seed=0))
    with pytest.raises(InvalidInput, match="bin_width"):
        pair_correlation(TRIANGULAR, random_spins(72, seed=0), 0.0, 2.0)
    with pytest.raises(InvalidInput, match=r"no site has a neighbour within 0\.5"):
        pair_correlation(TRIANGULAR, random_spins(72, seed=0), 0.1, 0.5)
    with pytest.raises(InvalidInput, match="one per site"):
        scalar_structure_factor(TRIANGULAR, torch.ones(71))
