"""Order parameters, topological charge, walls and vortices: closed forms, symmetries, other states."""

import numpy as np
import pytest
import torch

from gnnspin.core import InvalidInput, normalize, random_rotation, random_spins
from gnnspin.observables import (
    chirality_vortices,
    edwards_anderson_overlap,
    high_symmetry_points,
    mean_overlap,
    reference_order,
    scalar_chirality,
    structure_factor_at,
    tetrahedral_order,
    three_sublattice_order,
    topological_charge,
    topological_charge_density,
    triangles,
    triple_q_order,
    two_time_correlation,
    vector_chirality,
    wall_length,
    wave_vectors,
)
from gnnspin.observables.observable import Observable
from gnnspin.systems import SpinSystem, honeycomb, kagome, square, triangular

CHI = 4 / (3 * np.sqrt(3))


def belavin_polyakov(system, radius, charge=1):
    """``w = ((x + iy) / R)^charge`` stereographically, made periodic by a smooth step to the ferromagnet."""
    centre = system.cell[:2].sum(0) / 2 + [0.21, 0.13, 0]
    z = (system.positions - centre)[:, :2] @ [1, 1j]
    w = (z / radius) ** charge if charge > 0 else (np.conj(z) / radius) ** -charge
    spins = np.stack([2 * w.real, 2 * w.imag, np.abs(w) ** 2 - 1], axis=1) / (1 + np.abs(w) ** 2)[:, None]
    far = np.clip((np.abs(z) - 16) / 12, 0, 1)[:, None]
    return normalize(torch.from_numpy((1 - far) * spins + far * [0, 0, 1.0]))


@pytest.mark.parametrize("lattice", [square, triangular])
def test_charge_of_a_belavin_polyakov_skyrmion(lattice):
    system = lattice(64, 64)
    for charge in (1, -1, 2):
        found = topological_charge(system, belavin_polyakov(system, 4.0, charge))
        assert abs(found.item() + charge) < 1e-10
    density = topological_charge_density(system, belavin_polyakov(system, 4.0))
    away = np.linalg.norm(triangles(system, tiling=True).centers.numpy() - system.cell[:2].sum(0) / 2, axis=1)
    assert density[torch.from_numpy(away < 8)].sum() == pytest.approx(-64 / 80, abs=0.05)  # R^2 / (r^2 + R^2) is left


@pytest.mark.parametrize("system", [square(12, 10), triangular(9, 7), kagome(6, 6), honeycomb(5, 6)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_charge_of_random_spins_is_an_integer_and_odd_under_time_reversal(system, dtype):
    spins = random_spins(system.n_sites, replicas=(2, 2), seed=1, dtype=dtype)
    charge = topological_charge(system, spins)
    assert charge.shape == (2, 2)
    assert (charge - charge.round()).abs().max() < 1e-10
    torch.testing.assert_close(topological_charge(system, -spins), -charge, atol=1e-10, rtol=0)
    assert charge.abs().max() > 0.5


def test_tetrahedral_order_is_the_handedness():
    system = triangular(8, 6)
    spins = reference_order("tetrahedral", system) @ random_rotation(0).T
    for sign in (1, -1):
        assert (scalar_chirality(system, sign * spins).abs() - CHI).abs().max() < 1e-10
        assert tetrahedral_order(system, sign * spins).item() == pytest.approx(sign)
        shifted = sign * spins.reshape(8, 6, 3).roll((3, 1), (0, 1)).reshape(-1, 3)
        assert tetrahedral_order(system, shifted).item() == pytest.approx(sign)
    assert tetrahedral_order(system, reference_order("stripe", system)).abs() < 1e-12
    stack = torch.stack([spins, reference_order("ferromagnet", system)])
    torch.testing.assert_close(tetrahedral_order(system, stack), torch.tensor([1.0, 0.0]).double(), atol=1e-12, rtol=0)


def test_orders_know_the_lattice_by_its_geometry():
    """A turned lattice in other units has the same order parameters."""
    system = triangular(6, 6)
    turn = 2.5 * np.array([[0.6, -0.8, 0], [0.8, 0.6, 0], [0, 0, 1]])
    shape = system.lattice_shape
    turned = SpinSystem(system.positions @ turn.T, system.cell @ turn.T, pbc=system.pbc, lattice_shape=shape)
    spins = normalize(reference_order("tetrahedral", system) + 0.3 * random_spins(36, seed=0))
    for order in (tetrahedral_order, three_sublattice_order, triple_q_order):
        assert order(turned, spins).item() == pytest.approx(order(system, spins).item())


def test_three_sublattice_order_is_the_peak_at_k():
    system = triangular(9, 6)
    up_up_down = torch.zeros(54, 3, dtype=torch.float64)
    up_up_down[:, 2] = torch.tensor([1.0, 1.0, -1.0])[(np.arange(54) // 6 - np.arange(54) % 6) % 3]
    values = {"120-degree": 1.0, "ferromagnet": 0.0}
    for name, value in values.items():
        assert three_sublattice_order(system, reference_order(name, system)).item() == pytest.approx(value, abs=1e-12)
    assert three_sublattice_order(system, up_up_down).item() == pytest.approx(np.sqrt(8 / 9))
    spins = random_spins(54, replicas=(3,), seed=2)
    peak = structure_factor_at(system, spins, high_symmetry_points(system)["K"])
    torch.testing.assert_close(three_sublattice_order(system, spins), (2 * peak / 54).sqrt())
    assert three_sublattice_order(kagome(4, 4), reference_order("q0", kagome(4, 4))).item() == pytest.approx(1)


def test_triple_q_order():
    system = triangular(12, 12)
    assert triple_q_order(system, reference_order("tetrahedral", system)).item() == pytest.approx(1)
    assert triple_q_order(system, reference_order("stripe", system)).abs() < 1e-4
    q = wave_vectors(system)[2, 0, 0]
    phases = [system.positions @ (np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ q)
              for c, s in [(np.cos(a), np.sin(a)) for a in 2 * np.pi / 3 * np.arange(3)]]  # fmt: skip
    spiral = torch.from_numpy(np.stack([np.cos(phases[0]), np.sin(phases[0]), 0 * phases[0]], axis=1))
    assert triple_q_order(system, spiral, q).abs() < 1e-4
    triple = normalize(torch.from_numpy(np.stack([np.sin(p + 0.4) for p in phases], axis=1)))
    single = structure_factor_at(system, triple, q) / 72
    assert triple_q_order(system, triple, q).item() == pytest.approx(3 * single.item(), rel=1e-6)
    with pytest.raises(InvalidInput, match="does not fit"):
        triple_q_order(system, triple, q * 1.1)


def test_length_of_straight_walls():
    """Two walls along bonds of a lattice of 12 x 8: 2 x 12, wherever they are; and none without domains."""
    system = triangular(8, 12)
    row = triangles(system).centers[:, 1] / (np.sqrt(3) / 2)
    values = torch.where((row > 3) & (row < 7), -1.0, 1.0)
    assert wall_length(system, values).item() == pytest.approx(2 * 8)
    assert wall_length(system, torch.ones(2, 192)).tolist() == [0, 0]
    tetrahedral = reference_order("tetrahedral", system)
    assert wall_length(system, scalar_chirality(system, tetrahedral)).item() == 0
    flipped = torch.stack([tetrahedral, -tetrahedral])
    torch.testing.assert_close(
        wall_length(system, scalar_chirality(system, flipped)), torch.zeros(2, dtype=torch.float64)
    )
    cut = triangles(square(8, 6), tiling=True)
    halves = torch.where(cut.centers[:, 0] < 4, 1.0, -1.0)
    assert wall_length(square(8, 6), halves, tiling=True).item() == pytest.approx(2 * 6)
    with pytest.raises(InvalidInput, match="one per triangle"):
        wall_length(system, torch.ones(5))


def vortex_pair(system, distance):
    """The 120-degree order turned in its plane by the angle of a vortex and an antivortex, `distance` cells apart."""
    spins = reference_order("120-degree", system)
    middle = system.cell[:2].sum(0) / 2
    z = (system.positions - middle)[:, :2] @ [1, 1j]
    turn = np.angle(z - distance / 2 - 0.1j) - np.angle(z + distance / 2 - 0.1j)
    c, s = (torch.from_numpy(f(turn)) for f in (np.cos, np.sin))
    return torch.stack([c * spins[:, 0] - s * spins[:, 1], s * spins[:, 0] + c * spins[:, 1], spins[:, 2]], dim=1)


def test_vortices_of_the_local_frame():
    system = triangular(24, 24)
    perfect = reference_order("120-degree", system)
    assert not chirality_vortices(system, perfect).any()
    pair = vortex_pair(system, 8.0) @ random_rotation(4).T
    found = chirality_vortices(system, pair)
    away = triangles(system).centers.numpy() - system.cell[:2].sum(0) / 2
    cores = [torch.from_numpy(np.linalg.norm(away - [x, 0, 0], axis=1) < 3) for x in (-4, 4)]
    assert [found[core].sum().item() % 2 for core in cores] == [1, 1]
    assert found.sum() == found[cores[0] | cores[1]].sum() <= 6
    noisy = random_spins(576, replicas=(4,), seed=0)
    assert (chirality_vortices(system, noisy).sum(-1) % 2 == 0).all()
    assert chirality_vortices(system, noisy).sum() > 100
    assert torch.equal(chirality_vortices(system, noisy @ random_rotation(1).T), chirality_vortices(system, noisy))
    assert vector_chirality(system, pair).norm(dim=-1).median() > 0.9


def test_lattices_that_do_not_fit_are_named():
    spins = random_spins(35, seed=0)
    for order, system in [
        (tetrahedral_order, triangular(5, 7)),
        (three_sublattice_order, triangular(5, 7)),
        (triple_q_order, triangular(5, 7)),
        (chirality_vortices, triangular(5, 7)),
        (tetrahedral_order, square(5, 7)),
        (chirality_vortices, square(5, 7)),
    ]:
        with pytest.raises(InvalidInput, match=r"lattice|cell"):
            order(system, spins)
    with pytest.raises(InvalidInput, match="open"):
        chirality_vortices(triangular(6, 6, pbc=False), random_spins(36, seed=0))


def test_correlations_of_two_times_and_two_replicas():
    spins = random_spins(2000, replicas=(2,), seed=0)
    angle = torch.tensor([[[0.3]], [[1.2]]], dtype=torch.float64)
    other = torch.linalg.cross(spins, random_spins(2000, seed=5).expand_as(spins))
    turned = normalize(spins) * angle.cos() + normalize(other) * angle.sin()
    torch.testing.assert_close(two_time_correlation(turned, spins), angle.flatten().cos())
    rotation = random_rotation(3)
    same = edwards_anderson_overlap(spins[0], spins[0] @ rotation.T)
    assert same.item() == pytest.approx(1 / np.sqrt(3), abs=0.02)
    up = reference_order("ferromagnet", square(10, 10))
    assert edwards_anderson_overlap(up, up @ rotation.T).item() == pytest.approx(1)
    assert edwards_anderson_overlap(spins[0], spins[1]) < 5 / np.sqrt(2000)
    three = torch.stack([spins[0], spins[1], spins[0] @ rotation.T])
    overlaps = mean_overlap(three)
    expected = [(edwards_anderson_overlap(three[0], three[k])).item() for k in (1, 2)]
    assert overlaps[0].item() == pytest.approx(np.mean(expected))
    with pytest.raises(InvalidInput, match="two replicas"):
        mean_overlap(spins[0])


def test_charge_per_magnetic_cell_and_its_magnitude():
    """Skyrmions of charge -1 and +2 in systems of 4096 sites: so many per cell, whatever their sign."""
    system = triangular(64, 64)
    spins = torch.stack([belavin_polyakov(system, 4.0), belavin_polyakov(system, 4.0, -2)])
    observable = Observable.recipe(kind="topological_charge", reduce="magnitude", sites=1024).build()
    torch.testing.assert_close(observable(system, spins), torch.tensor([1 / 4, 2 / 4], dtype=torch.float64))
    with pytest.raises(InvalidInput, match="sites=0"):
        Observable.recipe(kind="topological_charge", sites=0)
    with pytest.raises(InvalidInput, match="sites=48"):
        Observable.recipe(kind="topological_charge", sites=48, reduce="none")
