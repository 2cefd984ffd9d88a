"""Pole expansion: against diagonalisation, the gradient, ensembles and the rules of the protocol."""

import json

import numpy as np
import pytest
import torch
from helpers import gradient_error, ordered
from scipy import sparse

from gnnspin.core import ConvergenceError, InvalidInput, normalize, random_spins
from gnnspin.core import torque as torque_of
from gnnspin.electrons import ExactDiagonalization, ExponentialHopping, NearestNeighborHopping, SDHamiltonian
from gnnspin.electrons.poles import pole_sums as module
from gnnspin.electrons.poles.pole_expansion import PoleExpansion
from gnnspin.electrons.poles.pole_sums import spectral_bounds
from gnnspin.electrons.poles.selected_inverse import SelectedInverse
from gnnspin.systems import amorphous, honeycomb, simple_cubic, square, triangular, union

ENSEMBLES = [{"mu": -1.1}, {"filling": 0.31}, {"n_electrons": 43.3}]


def two_orbitals():
    """Random two-orbital Hamiltonian with spin-orbit terms on a 6 x 6 square lattice; the second orbital has no J."""
    system, generator = square(6, 6), np.random.default_rng(3)
    bonds = abs(NearestNeighborHopping().matrix(system)) + sparse.eye_array(36)
    pattern = sparse.kron(bonds, np.ones((4, 4))).tocoo()
    values = generator.normal(size=pattern.nnz) + 1j * generator.normal(size=pattern.nnz)
    matrix = sparse.csr_array(sparse.coo_array((values, pattern.coords), shape=pattern.shape))
    return SDHamiltonian(system, (matrix + matrix.conj().T) / 4, J=np.tile([2.0, 0.0], 36), orbitals=2)


HAMILTONIANS = {
    "square": lambda: SDHamiltonian(square(8, 8), J=3.0),
    "triangular": lambda: SDHamiltonian(triangular(8, 8), J=3.0),
    "honeycomb": lambda: SDHamiltonian(honeycomb(6, 5), J=2.0),
    "cubic": lambda: SDHamiltonian(simple_cubic(4, 4, 4), J=2.0),
    "amorphous": lambda: SDHamiltonian(amorphous(60, 4.2, 0.5, seed=0), ExponentialHopping(), J=6.0),
    "two orbitals": two_orbitals,
}


@pytest.mark.parametrize("ensemble", ENSEMBLES)
@pytest.mark.parametrize(
    ("name", "tolerance"),
    [
        *[(name, 1e-8) for name in HAMILTONIANS],
        *[pytest.param(name, 1e-5, marks=() if name == "square" else pytest.mark.slow) for name in HAMILTONIANS],
    ],
)
def test_fields_agree_with_diagonalisation_to_the_tolerance(name, ensemble, tolerance):
    hamiltonian = HAMILTONIANS[name]()
    n_sites = hamiltonian.system.n_sites
    spins = random_spins(n_sites, replicas=(2,), seed=2)
    exact = ExactDiagonalization(hamiltonian, kT=0.02, **ensemble).solve(spins)
    state = PoleExpansion(hamiltonian, kT=0.02, tolerance=tolerance, **ensemble).solve(spins)
    assert (state.field - exact.field).norm(dim=-1).max() < tolerance
    assert (torque_of(spins, state.field - exact.field)).norm(dim=-1).max() < tolerance
    assert (state.density - exact.density).abs().max() < tolerance
    assert (state.energy - exact.energy).abs().max() < tolerance * n_sites
    assert (state.internal_energy - exact.internal_energy).abs().max() < 10 * tolerance * n_sites
    assert (state.entropy - exact.entropy).abs().max() < 10 * tolerance * n_sites / 0.02
    torch.testing.assert_close(state.mu, exact.mu, atol=3 * tolerance, rtol=0)
    torch.testing.assert_close(state.n_electrons, exact.n_electrons, atol=tolerance * n_sites, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("ensemble", [{"mu": -3.2}, {"filling": 0.41}])
@pytest.mark.parametrize("lattice", [square, triangular])
def test_fields_of_24_by_24_agree_with_diagonalisation(lattice, ensemble):
    hamiltonian, spins = SDHamiltonian(lattice(24, 24), J=3.0), random_spins(576, seed=2)
    exact = ExactDiagonalization(hamiltonian, kT=0.01, **ensemble).field(spins)
    assert (PoleExpansion(hamiltonian, kT=0.01, **ensemble).field(spins) - exact).norm(dim=-1).max() < 1e-8


@pytest.mark.parametrize("ensemble", ENSEMBLES)
@pytest.mark.parametrize(("name", "kT", "tolerance"), [("square", 0.003, 1e-2), ("two orbitals", 0.02, 1e-3)])
def test_fields_in_single_precision_are_right_far_below_the_tolerance(name, kT, tolerance, ensemble):
    hamiltonian = HAMILTONIANS[name]()
    poles = PoleExpansion(hamiltonian, kT=kT, tolerance=tolerance, **ensemble)
    spins = random_spins(hamiltonian.system.n_sites, replicas=(2,), seed=2)
    difference = (poles.field(spins) - poles.energy_and_field(spins)[1]).norm(dim=-1).max()
    assert 0 < difference < 0.05 * tolerance


def test_tight_tolerances_and_low_temperatures_take_double_precision():
    hamiltonian, spins = HAMILTONIANS["square"](), random_spins(64, seed=2)
    for kT, tolerance in ((0.02, 1e-5), (1e-3, 1e-3)):
        poles = PoleExpansion(hamiltonian, kT=kT, mu=-1.1, tolerance=tolerance)
        assert torch.equal(poles.field(spins), poles.energy_and_field(spins)[1])


@pytest.mark.slow
def test_amorphous_magnet_of_100_sites_at_low_temperature():
    hamiltonian = SDHamiltonian(amorphous(100, 5.0, 0.5, seed=0), ExponentialHopping(), J=6.0)
    spins, given = random_spins(100, seed=2), {"kT": 0.001, "filling": 0.5}
    poles = PoleExpansion(hamiltonian, **given)
    assert poles.dense
    assert (poles.field(spins) - ExactDiagonalization(hamiltonian, **given).field(spins)).norm(dim=-1).max() < 1e-8


@pytest.mark.parametrize("kT", [0.05, 0.3])
@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_field_is_the_gradient_of_the_potential(kT, ensemble):
    poles = PoleExpansion(SDHamiltonian(triangular(5, 6), J=2.0), kT=kT, tolerance=1e-9, **ensemble)
    assert gradient_error(poles, random_spins(30, seed=1), n_sites=2) < 1e-6


def test_field_is_the_gradient_even_of_a_coarse_expansion():
    """Determinants and Green's functions share their poles: consistent far below the error of either."""
    poles = PoleExpansion(SDHamiltonian(triangular(5, 6), J=2.0), kT=0.02, mu=-1.1, tolerance=1e-2)
    exact = ExactDiagonalization(poles.hamiltonian, kT=0.02, mu=-1.1)
    spins = random_spins(30, seed=1)
    assert (poles.field(spins) - exact.field(spins)).abs().max() > 1e-4
    assert gradient_error(poles, spins) < 1e-6


def test_field_is_the_gradient_with_spin_orbit_terms():
    poles = PoleExpansion(two_orbitals(), kT=0.05, mu=-0.4)
    assert gradient_error(poles, random_spins(36, seed=1), n_sites=2) < 1e-6


def test_energy_alone_equals_energy_with_the_field():
    spins = random_spins(64, replicas=(2,), seed=0)
    for ensemble in ENSEMBLES:
        poles = PoleExpansion(HAMILTONIANS["square"](), kT=0.05, **ensemble)
        energy, field = poles.energy_and_field(spins)
        torch.testing.assert_close(poles.energy(spins), energy, rtol=0, atol=1e-8)
        torch.testing.assert_close(poles.solve(spins).field, field, rtol=0, atol=1e-8)


def test_fields_at_fixed_number_do_not_depend_on_what_was_solved_before():
    hamiltonian, spins = HAMILTONIANS["triangular"](), random_spins(64, seed=0)
    fresh = PoleExpansion(hamiltonian, kT=0.02, filling=0.31).solve(spins)
    used = PoleExpansion(hamiltonian, kT=0.02, filling=0.31)
    used.field(ordered(hamiltonian.system, "ferromagnet"))
    again = used.solve(spins)
    assert torch.equal(again.field, fresh.field)
    assert torch.equal(again.energy, fresh.energy)
    assert torch.equal(again.mu, fresh.mu)
    among = used.solve(torch.stack([spins, ordered(hamiltonian.system, "ferromagnet")]))
    assert (among.field[0] - fresh.field).abs().max() < 1e-13


@pytest.fixture
def inversions(monkeypatch):
    """Number of matrices inverted in every call."""
    counts, original = [], SelectedInverse.__call__

    def counted(self, shifts, exchange, **given):
        counts.append(len(shifts))
        return original(self, shifts, exchange, **given)

    monkeypatch.setattr(SelectedInverse, "__call__", counted)
    return counts


def test_a_start_near_the_answer_saves_evaluations(inversions):
    hamiltonian, spins = HAMILTONIANS["triangular"](), random_spins(64, seed=0)
    poles = PoleExpansion(hamiltonian, kT=0.05, filling=0.31)
    state = poles.solve(spins)
    cold = sum(inversions)
    near = PoleExpansion(hamiltonian, kT=0.05, filling=0.31, mu_start=float(state.mu))
    moved = normalize(spins + 1e-3 * random_spins(64, seed=1))
    field = near.field(moved)
    assert sum(inversions) - cold < min(cold, 1.5 * near.n_poles)
    assert (field - poles.field(moved)).norm(dim=-1).max() < 1e-8


def cold_metals_and_insulators():
    """Hamiltonian, spins, filling, kT: staircases N(mu), gaps, bands that are nearly empty and nearly full."""
    double_exchange, frustrated = SDHamiltonian(square(8, 8), J=6.0), SDHamiltonian(triangular(6, 6), J=3.0)
    ferromagnet, tetrahedral = (ordered(frustrated.system, name) for name in ("ferromagnet", "tetrahedral"))
    amorphous_magnet = SDHamiltonian(amorphous(36, 3.5, 0.5, seed=0), ExponentialHopping(), J=6.0)
    for kT in (0.002, 0.05):
        yield double_exchange, random_spins(64, seed=0), 0.485, kT
        yield double_exchange, random_spins(64, seed=0), 0.02, kT
        yield frustrated, random_spins(36, seed=1), 0.97, kT
        yield frustrated, normalize(tetrahedral + 0.1 * random_spins(36, seed=2)), 0.25, kT
        yield frustrated, ferromagnet, 0.41, kT
        yield amorphous_magnet, random_spins(36, seed=3), 0.5, kT


@pytest.mark.parametrize("tolerance", [1e-2, 1e-6])
def test_fixed_number_takes_few_evaluations_and_agrees_with_diagonalisation(inversions, tolerance):
    ratios = []
    for hamiltonian, spins, filling, kT in cold_metals_and_insulators():
        poles = PoleExpansion(hamiltonian, kT=kT, filling=filling, tolerance=tolerance)
        inversions.clear()
        state = poles.solve(spins)
        ratios.append(sum(inversions) / poles.n_poles)
        exact = ExactDiagonalization(hamiltonian, kT=kT, filling=filling).solve(spins)
        assert (state.field - exact.field).norm(dim=-1).max() < tolerance
        assert abs(state.energy - exact.energy) < tolerance * len(spins)
        assert (state.density.sum() - state.n_electrons).abs() < tolerance
    assert max(ratios) < 5
    assert np.mean(ratios) < 3


@pytest.mark.parametrize("distance", [-3.0, 0.3, 0.02])
def test_any_start_leads_to_the_same_field(inversions, distance):
    hamiltonian, spins = SDHamiltonian(square(8, 8), J=6.0), random_spins(64, seed=5)
    exact = ExactDiagonalization(hamiltonian, kT=0.003, filling=0.485).solve(spins)
    start = float(exact.mu) + distance
    poles = PoleExpansion(hamiltonian, kT=0.003, filling=0.485, tolerance=1e-4, mu_start=start)
    assert (poles.field(spins) - exact.field).norm(dim=-1).max() < 1e-4
    assert sum(inversions) < 5 * poles.n_poles


def test_replicas_at_fixed_number_equal_single_evaluations(monkeypatch):
    system = square(8, 8)
    spins = torch.stack([random_spins(64, seed=0), ordered(system, "ferromagnet"), random_spins(64, seed=1)])
    poles = PoleExpansion(SDHamiltonian(system, J=6.0), kT=0.003, filling=0.485, tolerance=1e-4)
    together = poles.solve(spins)
    monkeypatch.setitem(module.CHUNK_BYTES, "cpu", 1)
    for r, one in enumerate(spins):
        alone = poles.solve(one)
        torch.testing.assert_close(together.field[r], alone.field, rtol=0, atol=1e-10)
        torch.testing.assert_close(together.energy[r], alone.energy, rtol=0, atol=1e-9)


def test_gapped_state_at_fixed_number():
    """Any mu in the gap is right: field and free energy are those of diagonalisation, found in few steps."""
    hamiltonian = SDHamiltonian(triangular(8, 8), J=3.0)
    spins = normalize(ordered(hamiltonian.system, "tetrahedral") + 0.05 * random_spins(64, seed=0))
    exact = ExactDiagonalization(hamiltonian, kT=0.01, filling=0.25).solve(spins)
    state = PoleExpansion(hamiltonian, kT=0.01, filling=0.25).solve(spins)
    assert (state.field - exact.field).norm(dim=-1).max() < 1e-8
    assert abs(state.energy - exact.energy) < 1e-6


def test_replicas_and_chunks_equal_single_evaluations(monkeypatch):
    poles, spins = PoleExpansion(HAMILTONIANS["square"](), kT=0.05, mu=-1.1), random_spins(64, replicas=(2, 2), seed=4)
    together = poles.field(spins)
    monkeypatch.setitem(module.CHUNK_BYTES, "cpu", 1)
    apart = torch.stack([poles.field(one) for one in spins.view(-1, 64, 3)]).view_as(spins)
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-12)


@pytest.mark.parametrize("ensemble", [{"mu": -1.0}, {"filling": 0.31}])
def test_union_equals_its_parts(ensemble):
    parts = [square(4, 4), triangular(4, 5)]
    joint = PoleExpansion(SDHamiltonian(union(parts), J=2.0), kT=0.05, **ensemble)
    spins = random_spins(36, replicas=(2,), seed=0)
    state = joint.solve(spins)
    for part, sites, graph in ((parts[0], slice(0, 16), 0), (parts[1], slice(16, 36), 1)):
        alone = PoleExpansion(SDHamiltonian(part, J=2.0), kT=0.05, **ensemble).solve(spins[:, sites])
        torch.testing.assert_close(state.field[:, sites], alone.field, rtol=0, atol=1e-9)
        torch.testing.assert_close(state.energy[:, graph], alone.energy, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("number", "density"), [(0, 0.0), (72, 2.0)])
def test_empty_and_full_levels(number, density):
    hamiltonian, spins = SDHamiltonian(square(6, 6), J=3.0), random_spins(36, seed=0)
    state = PoleExpansion(hamiltonian, kT=0.02, n_electrons=number).solve(spins)
    exact = ExactDiagonalization(hamiltonian, kT=0.02, n_electrons=number).solve(spins)
    assert not state.field.any()
    torch.testing.assert_close(state.density, torch.full((36,), density, dtype=torch.float64))
    torch.testing.assert_close(state.energy, exact.energy, atol=1e-10, rtol=0)


def test_sites_without_a_spin_feel_no_field():
    couplings = np.full(36, 3.0)
    couplings[5] = 0.0
    poles = PoleExpansion(SDHamiltonian(square(6, 6), J=couplings), kT=0.05, mu=-1.0)
    assert not poles.field(random_spins(36, seed=0))[5].any()
    free = PoleExpansion(SDHamiltonian(square(6, 6), J=0.0), kT=0.05, mu=-1.0)
    assert not free.field(random_spins(36, seed=0)).any()


@pytest.mark.parametrize("name", HAMILTONIANS)
def test_levels_lie_within_the_bounds(name):
    hamiltonian = HAMILTONIANS[name]()
    low, high = spectral_bounds(hamiltonian)
    levels = torch.linalg.eigvalsh(hamiltonian.dense(random_spins(hamiltonian.system.n_sites, seed=0)))
    assert low < levels.min() < levels.max() < high


def test_relative_work_falls_with_size_and_names_dense_graphs():
    work = [PoleExpansion(SDHamiltonian(square(n, n), J=3.0), kT=0.05, mu=0.0).relative_work for n in (4, 16, 48)]
    assert work[0] > 1 > 10 * work[2]
    assert work[0] > work[1] > work[2]
    dense = PoleExpansion(HAMILTONIANS["amorphous"](), kT=0.05, mu=0.0)
    assert dense.dense
    assert dense.relative_work == dense.n_poles


def test_specification_identifies_the_source():
    poles = PoleExpansion(SDHamiltonian(square(4, 4), J=2.0), kT=0.05, filling=0.3, tolerance=1e-6)
    assert json.loads(json.dumps(poles.specification())) == poles.specification()
    assert {"kT": 0.05, "filling": 0.3, "tolerance": 1e-6}.items() <= poles.specification().items()
    assert "tolerance=1e-06" in repr(poles)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"kT": 0.0, "mu": 0.0}, "ExactDiagonalization"),
        ({"kT": -1.0, "mu": 0.0}, "kT=-1.0"),
        ({"tolerance": 0.0, "mu": 0.0}, r"tolerance=0\.0"),
        ({}, "exactly one"),
        ({"mu": 0.0, "filling": 0.2}, "exactly one"),
        ({"filling": 1.2}, r"filling=1\.2"),
        ({"tolerance": 1e-13, "mu": 0.0}, "tolerance=1e-13"),
    ],
)
def test_bad_arguments_are_named(given, message):
    with pytest.raises(InvalidInput, match=message):
        PoleExpansion(SDHamiltonian(square(4, 4), J=2.0), **given)


def test_tolerance_out_of_reach_at_very_low_temperature():
    with pytest.raises(ConvergenceError, match="raise kT or tolerance"):
        PoleExpansion(SDHamiltonian(square(4, 4), J=2.0), kT=1e-5, mu=0.0, tolerance=1e-10)
