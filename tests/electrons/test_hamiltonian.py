"""The s-d Hamiltonian: matrices against their definition, several orbitals per site, spin-orbit terms."""

import inspect
import json

import numpy as np
import pytest
import torch
from helpers import gradient_error
from scipy import sparse

from gnnspin.core import InvalidInput, random_rotation, random_spins
from gnnspin.electrons import ExactDiagonalization, NearestNeighborHopping, SDHamiltonian
from gnnspin.systems import chain, square, triangular, union

PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


def hermitian(size: int, seed: int, *, real: bool = False) -> sparse.csr_array:
    generator = np.random.default_rng(seed)
    matrix = generator.normal(size=(size, size)) + (0 if real else 1j) * generator.normal(size=(size, size))
    matrix[generator.random((size, size)) < 0.7] = 0
    return sparse.csr_array(matrix + matrix.conj().T)


def two_orbitals(seed=0):
    """Two orbitals per site of a square lattice; the second one is not coupled; spin-orbit terms everywhere."""
    return SDHamiltonian(square(3, 4), 0.2 * hermitian(48, seed), J=np.tile([3.0, 0.0], 12), orbitals=2)


def written_out(hamiltonian, one_body, spins):
    """K - sum_m J_m S_site(m) . sigma, orbital by orbital."""
    matrix = one_body.astype(complex)
    for m, (site, coupling) in enumerate(zip(hamiltonian.orbital_site, hamiltonian.orbital_coupling, strict=True)):
        matrix[2 * m : 2 * m + 2, 2 * m : 2 * m + 2] -= coupling * np.einsum("x,xab->ab", spins[site], PAULI)
    return matrix


def uneven(seed=0):
    """One, two or no orbitals per site."""
    counts = [1, 2, 0, 1, 3]
    return SDHamiltonian(chain(5), hermitian(7, seed), J=np.arange(1.0, 8.0), orbitals=counts), counts


def test_matrices_follow_the_definition():
    simple = SDHamiltonian(triangular(3, 4), J=np.linspace(0, 2, 12))
    irregular, counts = uneven()
    for hamiltonian in (simple, two_orbitals(), irregular):
        one_body = hamiltonian.one_body.toarray()
        spins = random_spins(hamiltonian.system.n_sites, replicas=(2,), seed=1)
        dense = hamiltonian.dense(spins)
        for k in range(2):
            expected = written_out(hamiltonian, one_body, spins[k].numpy())
            np.testing.assert_allclose(dense[k], expected, atol=1e-15)
            np.testing.assert_allclose(hamiltonian.sparse(spins[k]).toarray(), expected, atol=1e-15)
    assert irregular.orbital_site.tolist() == np.repeat(np.arange(5), counts).tolist()
    np.testing.assert_array_equal(simple.one_body.toarray(), np.kron(simple.hopping_matrix.toarray(), np.eye(2)))


def test_spin_independent_matrix_is_recognised():
    hopping = hermitian(12, 3)
    small = SDHamiltonian(square(3, 4), hopping, J=2.0)
    large = SDHamiltonian(square(3, 4), sparse.kron(hopping, np.eye(2)), J=2.0)
    assert small.spin_diagonal
    assert large.spin_diagonal
    assert small.specification() == large.specification()
    np.testing.assert_array_equal(large.hopping_matrix.toarray(), hopping.toarray())
    assert not two_orbitals().spin_diagonal
    with pytest.raises(InvalidInput, match="one_body"):
        _ = two_orbitals().hopping_matrix


@pytest.mark.parametrize("ensemble", [{"mu": -0.4}, {"filling": 0.3}])
def test_field_is_the_gradient_with_orbitals_and_spin_orbit_terms(ensemble):
    for hamiltonian in (two_orbitals(), uneven()[0]):
        ed = ExactDiagonalization(hamiltonian, kT=0.1, **ensemble)
        assert gradient_error(ed, random_spins(hamiltonian.system.n_sites, seed=2)) < 1e-6
    state = ExactDiagonalization(two_orbitals(), kT=0.1, **ensemble).solve(random_spins(12, seed=2))
    torch.testing.assert_close(state.density.sum(-1), state.n_electrons, rtol=1e-12, atol=0)


def test_site_sums():
    hamiltonian, counts = uneven()
    spin, density = torch.randn(2, 7, 3, dtype=torch.float64), torch.randn(2, 7, dtype=torch.float64)
    field, sites = hamiltonian.site_field(spin), hamiltonian.site_density(density)
    for i, (first, count) in enumerate(zip(np.cumsum([0, *counts]), counts, strict=False)):
        here = slice(first, first + count)
        weights = torch.arange(1.0, 8.0, dtype=torch.float64)[here, None]
        torch.testing.assert_close(field[:, i], (weights * spin[:, here]).sum(1))
        torch.testing.assert_close(sites[:, i], density[:, here].sum(1))
    assert not field[:, 2].any()


def test_decoupled_orbitals_change_nothing_but_the_count():
    """A second, disconnected orbital on every site adds its own electrons and no field."""
    system, spins = triangular(3, 4), random_spins(12, seed=0)
    bonds = NearestNeighborHopping().matrix(system)
    both = SDHamiltonian(system, sparse.kron(bonds, np.diag([1.0, 0.5])), np.tile([2.0, 0.0], 12), orbitals=2)
    one = ExactDiagonalization(SDHamiltonian(system, J=2.0), kT=0.1, mu=-1.0).solve(spins)
    two = ExactDiagonalization(both, kT=0.1, mu=-1.0).solve(spins)
    other = ExactDiagonalization(SDHamiltonian(system, 0.5 * bonds, J=0.0), kT=0.1, mu=-1.0).solve(spins)
    torch.testing.assert_close(two.field, one.field, atol=1e-12, rtol=0)
    torch.testing.assert_close(two.energy, one.energy + other.energy, atol=1e-11, rtol=0)
    torch.testing.assert_close(two.density, one.density + other.density, atol=1e-12, rtol=0)


def test_union_of_orbitals_equals_its_parts():
    hamiltonians = [two_orbitals(0), two_orbitals(1)]
    joined = SDHamiltonian(
        union([h.system for h in hamiltonians]),
        sparse.block_diag([h.one_body for h in hamiltonians]),
        np.concatenate([h.orbital_coupling for h in hamiltonians]),
        orbitals=2,
    )
    spins = random_spins(24, seed=0)
    state = ExactDiagonalization(joined, kT=0.1, filling=0.3).solve(spins)
    for k, (hamiltonian, piece) in enumerate(zip(hamiltonians, spins.split(12), strict=True)):
        alone = ExactDiagonalization(hamiltonian, kT=0.1, filling=0.3).solve(piece)
        torch.testing.assert_close(state.energy[k], alone.energy, atol=1e-11, rtol=0)
        torch.testing.assert_close(state.field[12 * k : 12 * k + 12], alone.field, atol=1e-11, rtol=0)
    with pytest.raises(InvalidInput, match="different parts"):
        SDHamiltonian(joined.system, hermitian(96, 0), J=1.0, orbitals=2)


def test_time_reversal_is_recognised_and_acts_on_the_field():
    """K = a 1 + b.sigma hopping with real a, imaginary b is time-reversal invariant; other terms are not."""
    generator = np.random.default_rng(0)
    even = np.kron(np.diag(np.arange(4.0)), np.eye(2)).astype(complex)
    a = generator.normal(size=(4, 4))
    b = generator.normal(size=(4, 4, 3))
    even += np.kron(a + a.T, np.eye(2))
    even += np.einsum("ijx,xab->iajb", 1j * (b - b.transpose(1, 0, 2)), PAULI).reshape(8, 8)
    odd = even + np.kron(np.diag([0.5, 0, 0, 0]), PAULI[2])
    spins = random_spins(4, seed=0)
    for matrix, invariant in ((even, True), (odd, False)):
        hamiltonian = SDHamiltonian(chain(4), sparse.csr_array(matrix), J=1.5)
        assert hamiltonian.time_reversal is invariant
        field, reversed_ = (ExactDiagonalization(hamiltonian, kT=0.1, mu=0.2).field(s) for s in (spins, -spins))
        assert bool((field + reversed_).abs().max() < 1e-11) is invariant
    real = sparse.csr_array(np.kron(np.eye(4), PAULI[0].real))
    assert not SDHamiltonian(chain(4), real).time_reversal


def test_spin_rotation_turns_the_spin_orbit_terms_too():
    """With spin-orbit terms only the joint rotation of K and of the spins is a symmetry."""
    hamiltonian, rotation = two_orbitals(), random_rotation(1)
    spins = random_spins(12, seed=3)
    ed = ExactDiagonalization(hamiltonian, kT=0.1, mu=-0.3)
    assert (ed.field(spins @ rotation.T) - ed.field(spins) @ rotation.T).abs().max() > 1e-2
    angle = np.arccos((np.trace(rotation.numpy()) - 1) / 2)
    r = rotation.numpy()
    axis = np.array([r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]]) / (2 * np.sin(angle))
    turn = np.cos(angle / 2) * np.eye(2) - 1j * np.sin(angle / 2) * np.einsum("x,xab->ab", axis, PAULI)
    unitary = sparse.kron(sparse.eye_array(24), turn)
    turned = SDHamiltonian(
        hamiltonian.system, unitary @ hamiltonian.one_body @ unitary.conj().T, hamiltonian.orbital_coupling, orbitals=2
    )
    after = ExactDiagonalization(turned, kT=0.1, mu=-0.3).field(spins @ rotation.T)
    torch.testing.assert_close(after, ed.field(spins) @ rotation.T, atol=1e-11, rtol=0)


def test_specification():
    first = two_orbitals().specification()
    assert json.loads(json.dumps(first)) == first
    assert first == two_orbitals().specification()
    assert first != two_orbitals(1).specification()
    assert first["hopping"]["orbitals"] == 2
    assert uneven()[0].specification()["hopping"]["orbitals"] == [1, 2, 0, 1, 3]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"orbitals": 1.5}, "orbitals=1.5"),
        ({"orbitals": -1}, "orbitals=-1"),
        ({"orbitals": [1, 2]}, r"orbitals has shape \(2,\)"),
        ({"orbitals": 0}, "at least one orbital"),
        ({"orbitals": 2}, "the rule knows"),
        ({"hopping": hermitian(32, 0), "orbitals": 3}, r"\(32, 32\)"),
        ({"hopping": hermitian(10, 0)}, "several orbitals"),
        ({"hopping": hermitian(32, 0), "orbitals": 2, "J": np.ones(5)}, r"\(16,\) for one per site or \(32,\)"),
        ({"J": np.ones(5)}, r"J has shape \(5,\)"),
        ({"J": np.nan}, "not finite"),
    ],
)
def test_bad_arguments(arguments, reason):
    with pytest.raises(InvalidInput, match=reason):
        SDHamiltonian(square(4, 4), **arguments)


def test_sparse_takes_one_configuration():
    with pytest.raises(InvalidInput, match="one configuration"):
        SDHamiltonian(chain(3)).sparse(random_spins(3, replicas=(2,), seed=0))


def test_a_coupling_left_out_is_that_of_the_constructor():
    default = inspect.signature(SDHamiltonian).parameters["J"].default
    assert default == SDHamiltonian.recipe({"hopping": {"kind": "nearest_neighbor"}}).J == SDHamiltonian(chain(4)).J
