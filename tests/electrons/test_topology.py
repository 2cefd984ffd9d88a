"""Chern numbers and Hall conductivities against closed forms, symmetry and each other."""

import numpy as np
import pytest
import torch
from helpers import ordered

from gnnspin.core import InvalidInput, random_rotation
from gnnspin.core.errors import ConvergenceError
from gnnspin.electrons import (
    CellHopping,
    HaldaneHopping,
    NearestNeighborHopping,
    OnsiteEnergy,
    RashbaHopping,
    SDHamiltonian,
    ShellHopping,
    TwistedHopping,
    band_gap,
    chern_number,
    hall_conductivity,
)
from gnnspin.systems import SpinSystem, honeycomb, kagome, square, triangular

TETRAHEDRAL = ordered(triangular(2, 2), "tetrahedral")


def qi_wu_zhang(mass: float) -> SDHamiltonian:
    """h(k) = sin k1 sigma_x + sin k2 sigma_y + (mass + cos k1 + cos k2) sigma_z in orbital space, no coupled spin."""
    sx, sy, sz = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])
    cells = [[0, 0, 0], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]]
    one, two = sx / 2j + sz / 2, sy / 2j + sz / 2
    rule = CellHopping(cells, [mass * sz, one, one.conj().T, two, two.conj().T], [0, 0])
    return SDHamiltonian(square(1, 1), rule, J=0.0)


def winding(mass: float, grid: int = 400) -> float:
    """(1/4pi) int d.(d_1 d x d_2 d), the lower band's Chern number: its Berry curvature is half the solid angle."""
    k1, k2 = np.meshgrid(*[2 * np.pi * (np.arange(grid) + 0.5) / grid] * 2, indexing="ij")
    d = np.stack([np.sin(k1), np.sin(k2), mass + np.cos(k1) + np.cos(k2)], -1)
    first = np.stack([np.cos(k1), 0 * k1, -np.sin(k1)], -1)
    second = np.stack([0 * k1, np.cos(k2), -np.sin(k2)], -1)
    density = (d * np.cross(first, second)).sum(-1) / np.linalg.norm(d, axis=-1) ** 3
    return float(density.mean() * (2 * np.pi) ** 2 / (4 * np.pi))


@pytest.mark.parametrize("mass", [-2.5, -1.0, 1.0, 2.5])
def test_two_band_model_in_closed_form(mass):
    """Sign and size; the two spin directions are degenerate, so the occupied space has two bands."""
    expected = 2 * round(winding(mass))
    assert winding(mass) == pytest.approx(expected / 2, abs=1e-6)
    spins = torch.tensor([[0.0, 0, 1]], dtype=torch.float64)
    assert chern_number(qi_wu_zhang(mass), spins, 2) == expected
    assert hall_conductivity(qi_wu_zhang(mass), spins, kT=0.0, mu=0.0, grid=48) == pytest.approx(expected, abs=1e-6)


def test_tetrahedral_state_of_the_triangular_lattice():
    """Quantised at one quarter and three quarters filling, opposite for opposite chirality, zero at half filling."""
    hamiltonian = SDHamiltonian(triangular(2, 2), J=3.0)
    low = chern_number(hamiltonian, TETRAHEDRAL, 2)
    assert abs(low) == 1
    assert chern_number(hamiltonian, -TETRAHEDRAL, 2) == -low
    assert chern_number(hamiltonian, TETRAHEDRAL, 4) == 0
    assert chern_number(hamiltonian, TETRAHEDRAL, 6) == -low
    conductivity = hall_conductivity(hamiltonian, TETRAHEDRAL, kT=0.01, mu=-3.2)
    assert conductivity == pytest.approx(low, abs=1e-6)
    assert hall_conductivity(hamiltonian, -TETRAHEDRAL, kT=0.01, mu=-3.2) == pytest.approx(-low, abs=1e-6)


def test_cell_and_spin_frame_do_not_matter():
    """A larger cell of the same state, turned spins, another periodic axis order (which reverses the sign)."""
    hamiltonian = SDHamiltonian(triangular(2, 2), J=3.0)
    value = chern_number(hamiltonian, TETRAHEDRAL, 2)
    large = triangular(4, 2)
    assert chern_number(SDHamiltonian(large, J=3.0), ordered(large, "tetrahedral"), 4) == value
    assert chern_number(hamiltonian, TETRAHEDRAL @ random_rotation(3).T, 2) == value
    assert chern_number(hamiltonian, TETRAHEDRAL, 2, axes=(1, 0)) == -value
    turned = hall_conductivity(hamiltonian, TETRAHEDRAL @ random_rotation(3).T, kT=0.05, mu=-2.0, grid=8)
    assert turned == pytest.approx(hall_conductivity(hamiltonian, TETRAHEDRAL, kT=0.05, mu=-2.0, grid=8), abs=1e-10)


def test_coplanar_states_have_none():
    """A ferromagnet and a stripe: reversing all spins is a rotation, so the Hall conductivity vanishes."""
    for name in ("ferromagnet", "stripe"):
        hamiltonian = SDHamiltonian(triangular(2, 2), J=3.0)
        value = hall_conductivity(hamiltonian, ordered(triangular(2, 2), name), kT=0.05, mu=-2.7, grid=8)
        assert abs(value) < 1e-10
    stripe = ordered(triangular(2, 2), "ferromagnet")
    assert chern_number(SDHamiltonian(triangular(2, 2), J=15.0), stripe, 4) == 0


def test_rashba_ferromagnet_is_a_quantum_anomalous_hall_state():
    """Out-of-plane spins with strong exchange: opposite for opposite magnetisation, zero without spin-orbit terms."""
    spins = torch.tensor([[0.0, 0, 1]], dtype=torch.float64)
    rule = NearestNeighborHopping() + RashbaHopping(0.8)
    values = [
        hall_conductivity(SDHamiltonian(square(1, 1), rule, J=1.0), s, kT=0.1, mu=-3.0, grid=24)
        for s in (spins, -spins)
    ]
    assert values[0] == pytest.approx(-values[1], abs=1e-10)
    assert abs(values[0]) > 0.1
    none = SDHamiltonian(square(1, 1), NearestNeighborHopping(), J=1.0)
    assert abs(hall_conductivity(none, spins, kT=0.02, mu=-3.0)) < 1e-12


def middle_of_gap(hamiltonian, spins, number):
    """Of the band structure on a fine grid of twists."""
    twists = 2 * np.pi * np.arange(12) / 12
    levels = []
    for a, b in np.array(np.meshgrid(twists, twists)).reshape(2, -1).T:
        rule = TwistedHopping(hamiltonian.hopping, (a, b, 0))
        twisted = SDHamiltonian(hamiltonian.system, rule, hamiltonian.orbital_coupling)
        levels.append(torch.linalg.eigvalsh(twisted.dense(spins)).numpy())
    below, above = np.max(levels, axis=0)[number - 1], np.min(levels, axis=0)[number]
    assert above > below
    return float(below + above) / 2


@pytest.mark.slow
def test_kagome_chiral_state_agrees_between_methods():
    """Canted spins on the kagome lattice: every gap's Chern number is the Hall conductivity in it, to its sign."""
    angle = 2 * np.pi * np.arange(3) / 3
    spins = np.stack([0.8 * np.cos(angle), 0.8 * np.sin(angle), 0.6 + 0 * angle], axis=1)
    hamiltonian = SDHamiltonian(kagome(1, 1), ShellHopping((1.0, 0.1)), J=8.0)
    found = [chern_number(hamiltonian, spins, n) for n in (1, 2)]
    assert any(found)
    for number, value in zip((1, 2), found, strict=True):
        mu = middle_of_gap(hamiltonian, spins, number)
        assert hall_conductivity(hamiltonian, spins, kT=0.0, mu=mu, grid=24) == pytest.approx(value, abs=1e-3)
    flipped = spins * [1, 1, -1]
    assert [chern_number(hamiltonian, flipped, n) for n in (1, 2)] == [-value for value in found]


def test_hall_conductivity_does_not_depend_on_the_choice_of_cell_boundary():
    """In a metal: moving sites by cell vectors moves the boundary, not the physics."""
    system = triangular(2, 2)
    jumps = np.array([[1, 0, 0], [0, -1, 0], [2, 1, 0], [0, 0, 0]])
    moved = SpinSystem(system.positions + jumps @ system.cell, system.cell, system.pbc)
    values = [
        hall_conductivity(SDHamiltonian(s, J=3.0), TETRAHEDRAL, kT=0.1, mu=-1.5, grid=12) for s in (system, moved)
    ]
    assert values[0] == pytest.approx(values[1], abs=1e-10)
    assert abs(values[0]) > 0.01


def test_hall_conductivity_meets_its_tolerance_where_the_answer_is_zero():
    """Neel order in Haldane's model, gap 2 (J - 3 sqrt3 t2) = 0.44: trivial, but with sharp curvature."""
    spins = torch.tensor([[0.0, 0, 1], [0, 0, -1]], dtype=torch.float64)
    hamiltonian = SDHamiltonian(honeycomb(1, 1), NearestNeighborHopping() + HaldaneHopping(0.15), J=1.0)
    assert band_gap(hamiltonian, spins, 2) == pytest.approx(2 - 0.9 * 3**0.5, abs=1e-6)
    assert chern_number(hamiltonian, spins, 2) == 0
    found = hall_conductivity(hamiltonian, spins, kT=0.0, mu=0.0)
    assert abs(found) <= found.error <= 1e-3
    coarse = hall_conductivity(hamiltonian, spins, kT=0.0, mu=0.0, grid=24)
    assert 1e-3 < abs(coarse) <= coarse.error


@pytest.mark.parametrize("mass", [-1.9, -0.2, 1.7])
def test_small_gaps_are_resolved_by_themselves(mass):
    """Near a transition the curvature is sharp: the grid grows until the quantised value stands within its error."""
    spins = torch.tensor([[0.0, 0, 1]], dtype=torch.float64)
    found = hall_conductivity(qi_wu_zhang(mass), spins, kT=0.0, mu=0.0)
    assert abs(found - 2 * round(winding(mass))) <= found.error <= 1e-3
    coarse = hall_conductivity(qi_wu_zhang(mass), spins, kT=0.0, mu=0.0, grid=6)
    assert coarse.grid == 6
    assert coarse.error > 0.1 or abs(coarse - found) < 0.1


def test_a_cold_metal_says_that_it_has_not_converged():
    spins = torch.tensor([[0.0, 0, 1]], dtype=torch.float64)
    with pytest.raises(ConvergenceError, match="larger kT"):
        hall_conductivity(qi_wu_zhang(1.0), spins, kT=0.0, mu=1.4, tolerance=1e-9)


def test_bad_arguments():
    hamiltonian = SDHamiltonian(triangular(2, 2), J=3.0)
    matrix = SDHamiltonian(triangular(2, 2), hamiltonian.hopping_matrix, J=3.0)
    for call, reason in [
        (lambda: chern_number(matrix, TETRAHEDRAL, 2), "hopping rule"),
        (lambda: chern_number(hamiltonian, TETRAHEDRAL, 0), "n_occupied=0"),
        (lambda: chern_number(hamiltonian, TETRAHEDRAL, 8), "n_occupied=8"),
        (lambda: chern_number(hamiltonian, TETRAHEDRAL, 2, grid=1), "grid=1"),
        (lambda: chern_number(hamiltonian, TETRAHEDRAL, 2, axes=(0, 2)), "periodic directions"),
        (lambda: chern_number(hamiltonian, TETRAHEDRAL, 2, axes=(0, 0)), "different"),
        (lambda: chern_number(hamiltonian, TETRAHEDRAL.expand(2, 4, 3), 2), "one spin configuration"),
        (lambda: hall_conductivity(hamiltonian, TETRAHEDRAL, kT=-1.0, mu=0.0), "kT=-1.0"),
        (lambda: hall_conductivity(hamiltonian, TETRAHEDRAL, kT=0.1, mu=0.0, grid=1), "grid=1"),
        (lambda: hall_conductivity(hamiltonian, TETRAHEDRAL, kT=0.1, mu=0.0, tolerance=0.0), "tolerance=0.0"),
    ]:
        with pytest.raises(InvalidInput, match=reason):
            call()
    with pytest.raises(ConvergenceError, match="closes at the twist"):
        chern_number(hamiltonian, TETRAHEDRAL, 1)


def test_onsite_potential_makes_the_state_trivial():
    """A strong staggered potential localises the electrons: the Chern number is lost through a closing gap."""
    energies = OnsiteEnergy([-20.0, 20.0, 20.0, 20.0])
    hamiltonian = SDHamiltonian(triangular(2, 2), NearestNeighborHopping() + energies, J=3.0)
    assert chern_number(hamiltonian, TETRAHEDRAL, 2) == 0
