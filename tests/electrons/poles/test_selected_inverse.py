"""Selected inversion against dense inverses."""

import copy

import numpy as np
import pytest
import torch
from scipy import sparse

from gnnspin.core import random_spins
from gnnspin.core.native_library import NoCompiler, _compiler
from gnnspin.electrons import ExponentialHopping, SDHamiltonian
from gnnspin.electrons.poles.dissection import elimination_cost, nested_dissection
from gnnspin.electrons.poles.selected_inverse import SelectedInverse
from gnnspin.systems import amorphous, chain, honeycomb, simple_cubic, square, triangular


@pytest.fixture(params=["native", "torch"])
def native(request, monkeypatch):
    """Both ways of computing it; without a compiler torch alone."""
    if request.param == "torch":
        monkeypatch.setenv("GNNSPIN_NATIVE", "0")
        return False
    try:
        _compiler()
    except NoCompiler:
        pytest.skip("there is no C++ compiler")
    monkeypatch.setenv("GNNSPIN_NATIVE", "1")
    return True


SHIFTS = torch.tensor([-1 + 0.03j, 2 + 1j, 0.2 + 50j], dtype=torch.complex128)


def compare(hamiltonian, positions=None):
    """Largest errors of the blocks and of log|det| at three shifts."""
    inverse = SelectedInverse(hamiltonian.one_body, hamiltonian.orbital_site, positions)
    spins = random_spins(hamiltonian.system.n_sites, replicas=(3,), seed=1)
    log_det, blocks = inverse(SHIFTS, hamiltonian.exchange_blocks(spins))
    size, orbitals = hamiltonian.n_spin_orbitals, torch.arange(hamiltonian.n_orbitals)
    matrix = SHIFTS[:, None, None] * torch.eye(size) - hamiltonian.dense(spins)
    dense = torch.linalg.inv(matrix).view(3, size // 2, 2, size // 2, 2)[:, orbitals, :, orbitals, :].transpose(0, 1)
    energy_only, nothing = inverse(SHIFTS, hamiltonian.exchange_blocks(spins), inverse=False)
    assert nothing is None
    assert torch.equal(energy_only, log_det)
    errors = (blocks - dense).abs().max(), (log_det - torch.linalg.slogdet(matrix)[1]).abs().max() / size
    return inverse, max(float(error) for error in errors)


@pytest.mark.parametrize("with_positions", [True, False])
@pytest.mark.parametrize(
    "system",
    [
        square(9, 8, pbc=False),
        triangular(7, 11),
        honeycomb(5, 6),
        simple_cubic(4, 3, 5),
        chain(60),
        square(12, 5, pbc=(True, False)),
    ],
    ids=str,
)
def test_blocks_and_determinant_of_lattices(system, with_positions, native):
    inverse, error = compare(SDHamiltonian(system, J=3.0), system.positions if with_positions else None)
    assert error < 1e-12
    assert not inverse.dense
    assert (inverse.native(torch.complex128) is not None) == native


def test_spin_orbit_terms_and_several_orbitals(native):
    system = square(5, 6)
    generator = np.random.default_rng(0)
    bonds = abs(SDHamiltonian(system).one_body[::2, ::2]) + sparse.eye_array(30)
    full = sparse.kron(bonds, np.ones((4, 4))).tocoo()
    values = generator.normal(size=full.nnz) + 1j * generator.normal(size=full.nnz)
    matrix = sparse.csr_array(sparse.coo_array((values, full.coords), shape=full.shape))
    hamiltonian = SDHamiltonian(system, (matrix + matrix.conj().T) / 2, J=2.0, orbitals=2)
    _, error = compare(hamiltonian)
    assert error < 1e-12


def test_graph_that_connects_everything_is_inverted_as_a_dense_matrix(native):
    system = amorphous(30, 3.4, 0.5, seed=0)
    inverse, error = compare(SDHamiltonian(system, ExponentialHopping(), J=6.0), system.positions)
    assert error < 1e-12
    assert inverse.dense
    assert inverse.cost == 60**3


def test_disconnected_sites(native):
    hamiltonian = SDHamiltonian(square(6, 6), sparse.csr_array((36, 36)), J=2.0)
    assert compare(hamiltonian)[1] < 1e-12


@pytest.mark.parametrize("system", [square(16, 16), triangular(15, 17, pbc=False)], ids=str)
def test_fronts_cover_the_graph_and_boundaries_belong_to_ancestors(system):
    adjacency = sparse.csr_array(abs(SDHamiltonian(system).one_body[::2, ::2]))
    fronts = nested_dissection(adjacency, np.full(system.n_sites, 2), system.positions)
    assert sorted(np.concatenate([front.pivots for front in fronts]).tolist()) == list(range(system.n_sites))
    for index, front in enumerate(fronts):
        assert front.parent < index
        ancestors, parent = set(), front.parent
        while parent >= 0:
            ancestors |= set(fronts[parent].pivots.tolist())
            parent = fronts[parent].parent
        assert set(front.boundary.tolist()) <= ancestors


def test_work_grows_as_the_power_three_halves_in_two_dimensions():
    def work(length):
        hamiltonian = SDHamiltonian(square(length, length))
        adjacency, rows = sparse.csr_array(abs(hamiltonian.one_body[::2, ::2])), np.full(length**2, 2)
        return elimination_cost(nested_dissection(adjacency, rows, hamiltonian.system.positions), rows)

    exponent = np.log(work(64) / work(32)) / np.log(4)
    assert 1.3 < exponent < 1.7


def test_a_matrix_has_one_inverse_whatever_is_inverted_beside_it_and_by_however_many_threads():
    system = triangular(10, 12)
    hamiltonian = SDHamiltonian(system, J=3.0)
    inverse = SelectedInverse(hamiltonian.one_body, hamiltonian.orbital_site, system.positions)
    if inverse.native(torch.complex64) is None:
        pytest.skip("there is no C++ compiler")
    shifts = (0.3 + 1j * torch.linspace(0.05, 30, 7)).to(torch.complex64)
    exchange = hamiltonian.exchange_blocks(random_spins(120, replicas=(7,), seed=1)).to(torch.complex64)
    alone = [inverse(shifts[k : k + 1], exchange[k : k + 1]) for k in range(7)]
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        log_dets, blocks = inverse(shifts, exchange)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(blocks, torch.cat([each[1] for each in alone]))
    assert torch.equal(log_dets, torch.cat([each[0] for each in alone]))
    exact, _ = inverse(shifts.to(torch.complex128), exchange.to(torch.complex128), inverse=False)
    assert (log_dets - exact).abs().max() < 1e-5 * 240


def test_single_precision_errs_by_its_rounding_near_the_levels():
    """Levels between -9 and 9, pivots of 0.03 at least: rounding grows by the ratio of width and pivot at most."""
    system = triangular(24, 24)
    hamiltonian = SDHamiltonian(system, J=3.0)
    inverse = SelectedInverse(hamiltonian.one_body, hamiltonian.orbital_site, system.positions)
    shifts = torch.tensor([-3.2 + 0.0314j, -3.2 + 0.1j], dtype=torch.complex128)
    exchange = hamiltonian.exchange_blocks(random_spins(576, replicas=(2,), seed=2))
    exact, found = inverse(shifts, exchange)[1], inverse(shifts.to(torch.complex64), exchange.to(torch.complex64))[1]
    assert (found - exact).abs().max() < (18 / 0.0314) * torch.finfo(torch.float32).eps * exact.abs().max()


def test_a_copy_after_the_first_use_gives_the_same(native):
    hamiltonian = SDHamiltonian(triangular(7, 11), J=3.0)
    inverse = SelectedInverse(hamiltonian.one_body, hamiltonian.orbital_site)
    exchange = hamiltonian.exchange_blocks(random_spins(77, replicas=(3,), seed=2))
    expected = inverse(SHIFTS, exchange)
    found = copy.deepcopy(inverse)(SHIFTS, exchange)
    assert all(torch.equal(*each) for each in zip(found, expected, strict=True))


@pytest.mark.parametrize("system", [square(9, 8, pbc=False), triangular(7, 11), simple_cubic(4, 3, 5)], ids=str)
def test_logarithm_of_the_determinant_has_the_angles_of_all_levels(system, native):
    """Its imaginary part is a sum over levels, with no multiples of 2 pi missing; blocks are the same."""
    hamiltonian = SDHamiltonian(system, J=3.0)
    inverse = SelectedInverse(hamiltonian.one_body, hamiltonian.orbital_site, system.positions)
    exchange = hamiltonian.exchange_blocks(random_spins(system.n_sites, replicas=(3,), seed=2))
    logarithm, blocks = inverse(SHIFTS, exchange, angles=True)
    levels = torch.linalg.eigvalsh(hamiltonian.dense(random_spins(system.n_sites, replicas=(3,), seed=2)))
    exact = torch.log(SHIFTS[:, None] - levels).sum(-1)
    assert torch.allclose(logarithm, exact, rtol=1e-12)
    absolute, others = inverse(SHIFTS, exchange)
    assert torch.allclose(absolute, exact.real, rtol=1e-12)
    assert torch.allclose(blocks, others, atol=1e-12)
