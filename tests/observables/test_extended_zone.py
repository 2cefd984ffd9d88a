"""S(q) of lattices with a basis: the extended zone, its period, its symmetry and the peaks of known orders."""

import numpy as np
import pytest
import torch

from gnnspin.core import InvalidInput, random_spins
from gnnspin.observables import (
    commensurate_wave_vectors,
    correlation_length,
    extended_reciprocal_vectors,
    extended_zones,
    high_symmetry_points,
    reciprocal_vectors,
    reference_order,
    scalar_structure_factor,
    structure_factor,
    structure_factor_at,
    wave_vector_path,
    wave_vectors,
)
from gnnspin.systems import SpinSystem, amorphous, chain, honeycomb, kagome, pyrochlore, square, triangular
from gnnspin.systems.lattices import bravais

LATTICES = [chain(7), square(4, 5), honeycomb(3, 4), kagome(3, 2), pyrochlore(2, 1, 2)]


def buckled(length):
    """A rectangular lattice whose second site is at no simple fraction of the cell."""
    return bravais((length, length), np.diag([2.0, 1.0, 1.0]), basis=[[0, 0, 0], [0.7312345, 0.4141, 0]])


def opposite(values):
    """Values (..., K1, K2, K3) at -q."""
    return values.flip((-3, -2, -1)).roll((1, 1, 1), (-3, -2, -1))


@pytest.mark.parametrize("system", LATTICES)
def test_the_grid_is_that_of_a_direct_sum_and_its_mean_is_one(system):
    spins = random_spins(system.n_sites, replicas=(2,), seed=0)
    grid = wave_vectors(system)
    transformed = structure_factor(system, spins)
    assert transformed.shape == (2, *grid.shape[:3])
    assert (structure_factor_at(system, spins, grid) - transformed).abs().max() < 1e-9
    assert (transformed.mean((-3, -2, -1)) - 1).abs().max() < 1e-12


@pytest.mark.parametrize("system", [*LATTICES, buckled(4)])
@pytest.mark.parametrize("zones", [None, 1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_opposite_wave_vectors_are_exactly_equal(system, zones, dtype):
    if zones is None and system == buckled(4):
        zones = (3, 2, 1)
    spins = random_spins(system.n_sites, seed=1, dtype=dtype)
    structure = structure_factor(system, spins, zones)
    assert torch.equal(structure, opposite(structure))
    there = structure_factor_at(system, spins, -wave_vectors(system, zones))
    assert (there - structure).abs().max() < (1e-4 if dtype == torch.float32 else 1e-10)


@pytest.mark.parametrize(
    ("system", "zones", "volume"),
    [
        (square(4, 5), (1, 1, 1), 1),
        (kagome(3, 2), (2, 2, 1), 4),
        (honeycomb(3, 4), (3, 3, 1), 3),
        (pyrochlore(2, 1, 2), (2, 2, 2), 8),
    ],
)
def test_period_of_the_structure_factor(system, zones, volume):
    """The extended zone holds as many Brillouin zones as the finest lattice through all sites has points per cell."""
    assert extended_zones(system) == zones
    translations = extended_reciprocal_vectors(system)
    n = len(translations)
    gram, primitive = (np.linalg.det(rows @ rows.T) for rows in (translations, reciprocal_vectors(system)[:n]))
    assert np.sqrt(gram / primitive) == pytest.approx(volume)
    spins = random_spins(system.n_sites, seed=2)
    q = np.random.default_rng(0).normal(size=(20, 3)) * [1, 1, n == 3]
    for translation in translations:
        shifted = structure_factor_at(system, spins, q + translation)
        assert (shifted - structure_factor_at(system, spins, q)).abs().max() < 1e-10
    if volume > 1:
        broken = structure_factor_at(system, spins, q + reciprocal_vectors(system)[0])
        assert (broken - structure_factor_at(system, spins, q)).abs().max() > 0.1


def test_honeycomb_neel_order_peaks_outside_the_first_zone():
    """|1 - exp(2 pi i / 3)|^2 = 3: S = 3N/4 at the reciprocal vectors that tell the sublattices apart, 0 at Gamma."""
    system = honeycomb(6, 6)
    structure = structure_factor(system, reference_order("neel", system))
    peak = reciprocal_vectors(system)[0]
    assert structure.max().item() == pytest.approx(54)
    assert structure[0, 0, 0].item() == pytest.approx(0, abs=1e-12)
    assert structure_factor_at(system, reference_order("neel", system), peak).item() == pytest.approx(54)
    assert correlation_length(system, structure, peak).item() > 1e6


def test_correlation_length_around_a_peak_of_the_extended_zone():
    """A Gaussian peak at the Neel vector of a honeycomb lattice reads what the same peak reads without a basis."""
    system, length = honeycomb(48, 48), 6.0
    peak = reciprocal_vectors(system)[0]
    grid = wave_vectors(system)
    steps = np.array(np.meshgrid(*[np.arange(-3, 4)] * 2)).reshape(2, -1).T @ extended_reciprocal_vectors(system)
    nearest = np.min([np.linalg.norm(grid - sign * peak - step, axis=-1) for step in steps for sign in (1, -1)], axis=0)
    measured = correlation_length(system, torch.from_numpy(np.exp(-(nearest**2) * length**2 / 2)), peak)
    assert measured.item() == pytest.approx(length * np.sqrt(2 / np.pi), rel=0.02)


def test_a_basis_at_no_fraction_asks_for_a_window():
    system = buckled(4)
    spins = random_spins(32, seed=0)
    with pytest.raises(InvalidInput, match="give zones"):
        structure_factor(system, spins)
    window = wave_vectors(system, (3, 2, 1))
    assert window.shape == (13, 9, 1, 3)
    assert np.abs(window[-1, -1, 0] + window[1, 1, 0]).max() < 1e-12
    windowed = structure_factor(system, spins, (3, 2, 1))
    assert (structure_factor_at(system, spins, window) - windowed).abs().max() < 1e-10
    assert correlation_length(system, windowed, zones=(3, 2, 1)).isfinite()
    values = spins[:, 2]
    assert (scalar_structure_factor(system, values, (3, 2, 1)) <= windowed + 1e-12).all()
    with pytest.raises(InvalidInput, match="whole numbers"):
        wave_vectors(system, (1.5, 1, 1))


def test_paths_join_points_of_any_zone():
    system = kagome(4, 4)
    outside = 2 * high_symmetry_points(system)["M"]
    q, distance = wave_vector_path(system, ["Gamma", "K", outside], n_points=10)
    assert q.shape == (21, 3)
    assert q[[0, 10, 20]] == pytest.approx(np.array([np.zeros(3), high_symmetry_points(system)["K"], outside]))
    assert distance[10] == pytest.approx(np.linalg.norm(q[10]))
    assert np.diff(distance) == pytest.approx(np.linalg.norm(np.diff(q, axis=0), axis=1))
    assert structure_factor_at(system, random_spins(48, replicas=(3,), seed=0), q).shape == (3, 21)
    with pytest.raises(InvalidInput, match="known: Gamma"):
        wave_vector_path(system, ["Gamma", "Q"])


def test_wave_vectors_of_a_packing():
    """A packing has S(q) at the wave vectors of its box: one of them, as one spin wave, has all the weight."""
    system = amorphous(60, 6.0, 0.5, seed=0)
    q = commensurate_wave_vectors(system, 3.0)
    assert np.linalg.norm(q, axis=1).max() <= 3.0
    assert np.diff(np.linalg.norm(q, axis=1)).min() > -1e-9
    assert (np.abs(np.exp(1j * q @ system.cell.T) - 1) < 1e-9).all()
    count = sum(
        0 < n1**2 + n2**2 + n3**2 <= (3 * 6 / (2 * np.pi)) ** 2
        for n1 in range(-3, 4)
        for n2 in range(-3, 4)
        for n3 in range(-3, 4)
    )
    assert len(q) == count
    angle = torch.from_numpy(system.positions @ q[0])
    spiral = torch.stack([angle.cos(), angle.sin(), torch.zeros_like(angle)], dim=1)
    structure = structure_factor_at(system, spiral, q)
    assert structure[0].item() == pytest.approx(30 * (1 + abs(np.exp(2j * angle.numpy()).mean()) ** 2), rel=1e-9)
    with pytest.raises(InvalidInput, match="use a larger one"):
        commensurate_wave_vectors(system, 0.1)
    with pytest.raises(InvalidInput, match="periodic"):
        commensurate_wave_vectors(SpinSystem([[0, 0, 0], [1, 0, 0]]), 1.0)


def test_displaced_sites_are_no_lattice():
    system = triangular(4, 4)
    moved = system.positions.copy()
    moved[5, 0] += 0.1
    displaced = SpinSystem(moved, system.cell, system.pbc, lattice_shape=system.lattice_shape)
    with pytest.raises(InvalidInput, match="structure_factor_at"):
        structure_factor(displaced, random_spins(16, seed=0))
