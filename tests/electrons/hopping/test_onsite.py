"""Onsite energies, disorder, dilution and Rashba terms."""

import numpy as np
import pytest
import torch

from gnnspin.core import InvalidInput, random_spins
from gnnspin.electrons import (
    ExactDiagonalization,
    NearestNeighborHopping,
    OnsiteDisorder,
    OnsiteEnergy,
    RashbaHopping,
    SDHamiltonian,
    diluted_coupling,
)
from gnnspin.systems import SpinSystem, chain, square, triangular, union


def test_disorder_is_reproducible_with_the_stated_moments():
    system = chain(20000)
    for distribution, deviation in [("uniform", 3 / np.sqrt(12)), ("normal", 3.0)]:
        rule = OnsiteDisorder(3.0, seed=1, distribution=distribution)
        energies = rule.matrix(system).diagonal()
        np.testing.assert_array_equal(energies, OnsiteDisorder(3.0, 1, distribution).matrix(system).diagonal())
        assert abs(energies.mean()) < 5 * deviation / np.sqrt(20000)
        assert energies.std() == pytest.approx(deviation, rel=0.03)
        assert (energies != OnsiteDisorder(3.0, 2, distribution).matrix(system).diagonal()).any()
    joined = OnsiteDisorder(1.0, 0).matrix(union([chain(3), chain(4)])).diagonal()
    np.testing.assert_array_equal(joined[3:], OnsiteDisorder(1.0, 0).matrix(chain(4)).diagonal())


def test_onsite_energy_is_conjugate_to_the_density():
    """dOmega/de_i = n_i."""
    system, spins, step = triangular(3, 4), random_spins(12, seed=0), 1e-5

    def solve(shift):
        energies = np.linspace(-0.5, 0.5, 12)
        energies[3] += shift
        rule = NearestNeighborHopping() + OnsiteEnergy(energies)
        return ExactDiagonalization(SDHamiltonian(system, rule, J=1.5), kT=0.1, mu=-0.7).solve(spins)

    slope = (solve(step).energy - solve(-step).energy) / (2 * step)
    assert slope.item() == pytest.approx(solve(0.0).density[3].item(), abs=1e-8)


def test_dilution():
    system = union([square(5, 4), chain(10)])
    couplings = diluted_coupling(system, 3.0, 0.3, seed=1)
    assert sorted(set(couplings.tolist())) == [0.0, 3.0]
    assert (couplings[:20] > 0).sum() == 6
    assert (couplings[20:] > 0).sum() == 3
    np.testing.assert_array_equal(couplings[20:], diluted_coupling(chain(10), 3.0, 0.3, seed=1))
    field = ExactDiagonalization(SDHamiltonian(system, J=couplings), kT=0.1, mu=-1.0).field(random_spins(30, seed=0))
    np.testing.assert_array_equal(field.norm(dim=-1).numpy() > 0, couplings > 0)
    with pytest.raises(InvalidInput, match=r"spin_fraction=1\.5"):
        diluted_coupling(system, 3.0, 1.5, seed=0)


@pytest.mark.parametrize("strength", [0.4, -0.4])
def test_rashba_bands_of_the_square_lattice(strength):
    """E(k) = e(k) +- 2 |strength| sqrt(sin^2 k_x + sin^2 k_y); the helicity has the documented sign."""
    k1, k2 = np.meshgrid(*[2 * np.pi * np.arange(n) / n for n in (5, 6)], indexing="ij")
    band, split = -2 * (np.cos(k1) + np.cos(k2)), 2 * abs(strength) * np.hypot(np.sin(k1), np.sin(k2))
    rule = NearestNeighborHopping() + RashbaHopping(strength)
    found = np.linalg.eigvalsh(rule.matrix(square(5, 6)).toarray())
    np.testing.assert_allclose(found, np.sort(np.concatenate([band + split, band - split], axis=None)), atol=1e-12)
    wave = np.exp(1j * (2 * np.pi / 5) * np.arange(5))
    right = np.kron(np.kron(wave, np.ones(6)), np.array([1, 1j]))  # k along x, sigma_y = +1
    matrix = RashbaHopping(strength).matrix(square(5, 6)).toarray()
    np.testing.assert_allclose(matrix @ right, 2 * strength * np.sin(2 * np.pi / 5) * right, atol=1e-12)


def test_rashba_axis():
    """The axis is normalised, defaults to the system's polar axis, and reverses the strength when reversed."""
    plain = square(4, 4)
    polar = SpinSystem(plain.positions, plain.cell, plain.pbc, polar_axis=[0, 0, -2.0])
    reference = RashbaHopping(0.5).matrix(plain)
    for rule, system in [
        (RashbaHopping(-0.5), polar),
        (RashbaHopping(0.5, (0, 0, 7.0)), polar),
        (RashbaHopping(-0.5, (0, 0, -1.0)), plain),
    ]:
        assert abs(rule.matrix(system) - reference).max() < 1e-15
    with pytest.raises(InvalidInput, match="axis"):
        RashbaHopping(0.5, (0, 0, 0))


def test_rashba_makes_a_chiral_interaction():
    """A spiral and its mirror image differ in energy only with spin-orbit terms, and more with a larger one."""
    angle = 2 * np.pi * np.arange(12) / 12
    spiral = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], axis=1)
    mirrored = spiral * [-1, 1, 1]
    difference = []
    for strength in (0.0, 0.05, 0.1):
        rule = NearestNeighborHopping() + RashbaHopping(strength)
        ed = ExactDiagonalization(SDHamiltonian(chain(12), rule, J=2.0), kT=0.1, mu=-1.5)
        difference.append((ed.energy(spiral) - ed.energy(mirrored)).item())
    assert abs(difference[0]) < 1e-12
    assert difference[2] == pytest.approx(2 * difference[1], rel=0.1)
    assert abs(difference[1]) > 1e-3


def test_total_torque_vanishes_only_without_spin_orbit_terms():
    spins = random_spins(12, seed=0)
    for rule, vanishes in [(NearestNeighborHopping(), True), (NearestNeighborHopping() + RashbaHopping(0.3), False)]:
        ed = ExactDiagonalization(SDHamiltonian(triangular(3, 4), rule, J=2.0), kT=0.1, mu=-1.0)
        assert bool(ed.torque(spins).sum(0).abs().max() < 1e-11) is vanishes
        torch.testing.assert_close(ed.field(-spins), -ed.field(spins), atol=1e-11, rtol=0)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: OnsiteEnergy([0.0, float("inf")]), "finite numbers"),
        (lambda: OnsiteEnergy([0.0]).matrix(chain(3)), "1 onsite energies.*3 sites"),
        (lambda: OnsiteEnergy([0.0], 0), "orbitals_per_site=0"),
        (lambda: OnsiteDisorder(-1.0, 0), "width=-1.0"),
        (lambda: OnsiteDisorder(1.0, -1), "seed=-1"),
        (lambda: OnsiteDisorder(1.0, 0, "box"), "distribution='box'"),
        (lambda: RashbaHopping(float("nan")), "strength=nan"),
    ],
)
def test_bad_arguments(build, reason):
    with pytest.raises(InvalidInput, match=reason):
        build()
