"""Steady states without diagonalisation: against the dense path, closed forms, conservation, published labels."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from helpers import published, sites, unit
from scipy.integrate import quad

from gnnspin.core import InvalidInput, random_rotation, random_spins
from gnnspin.electrons import RashbaHopping, SDHamiltonian
from gnnspin.electrons.driven.driven_steady_state import DrivenSteadyState
from gnnspin.electrons.driven.leads import PeriodicLead, SemiInfiniteLead
from gnnspin.electrons.driven.slices import SliceRecursion
from gnnspin.electrons.driven.window import WindowMap
from gnnspin.electrons.hopping.rules import NearestNeighborHopping, ShellHopping
from gnnspin.systems import chain, square, triangular

SQUARE = SDHamiltonian(square(6, 3, pbc=(False, True)), J=3.0)
TRIANGULAR = SDHamiltonian(triangular(5, 4, pbc=False), J=2.0)
RASHBA = SDHamiltonian(square(5, 3, pbc=(False, True)), NearestNeighborHopping() + RashbaHopping(0.4), J=1.5)
TWO_SHELLS = SDHamiltonian(square(6, 4, pbc=(False, True)), ShellHopping((1.0, 0.3)), J=2.0)
HAMILTONIANS = {"square": SQUARE, "triangular": TRIANGULAR, "Rashba": RASHBA, "two shells": TWO_SHELLS}


def ends(hamiltonian: SDHamiltonian) -> tuple[list[int], list[int], list[int]]:
    """First column, last column, every site."""
    n_y, n = hamiltonian.system.lattice_shape[1], hamiltonian.system.n_sites
    return list(range(n_y)), list(range(n - n_y, n)), list(range(n))


def pair(hamiltonian: SDHamiltonian, **options) -> tuple[DrivenSteadyState, DrivenSteadyState]:
    """The same source by both methods."""
    given = {"kT": 0.02, "mu": -1.0, **options}
    return tuple(DrivenSteadyState(hamiltonian, **given, method=method) for method in ("dense", "sparse"))


def largest_differences(first: DrivenSteadyState, second: DrivenSteadyState, spins: torch.Tensor) -> list[float]:
    """Of spin density, density and currents."""
    one, other = first.solve(spins), second.solve(spins)
    names = ("spin_density", "density", "currents")
    return [float((getattr(one, name) - getattr(other, name)).abs().max()) for name in names]


@pytest.mark.parametrize("tolerance", [1e-4, 1e-8])
@pytest.mark.parametrize("bottom", [None, -20.0])
@pytest.mark.parametrize("name", HAMILTONIANS)
def test_with_a_bath_equal_to_the_closed_form(name, bottom, tolerance):
    """Three reservoirs; both ways to treat the window of a lead, the tail and the bottom."""
    h = HAMILTONIANS[name]
    options = {"gamma": (2.0, 1.3, 0.05), "voltage": (0.3, -0.2, 0.0), "bottom": bottom, "tolerance": tolerance}
    dense, sparse = pair(h, contacts=ends(h), **options)
    errors = largest_differences(dense, sparse, random_spins(h.system.n_sites, replicas=(2,), seed=0))
    assert max(errors) < tolerance


@pytest.mark.parametrize("voltage", [0.0, 0.4])
@pytest.mark.parametrize("name", HAMILTONIANS)
def test_without_a_bath_equal_to_the_closed_form(name, voltage):
    h = HAMILTONIANS[name]
    dense, sparse = pair(h, contacts=ends(h)[:2], gamma=(1.0, 0.7), voltage=voltage, tolerance=1e-7)
    assert max(largest_differences(dense, sparse, random_spins(h.system.n_sites, seed=1))) < 1e-7


@pytest.mark.parametrize("voltage", [0.0, 0.4])
def test_lattice_leads_equal_the_dense_contour(voltage):
    cell = SQUARE.one_body[:6][:, :6].toarray()
    leads = [SemiInfiniteLead(coupling=0.8), PeriodicLead(cell, -np.eye(6), broadening=1e-4)]
    dense, sparse = pair(SQUARE, contacts=ends(SQUARE)[:2], leads=leads, voltage=voltage, kT=0.05, tolerance=1e-5)
    assert max(largest_differences(dense, sparse, random_spins(18, seed=2))) < 1e-5


def test_single_precision_keeps_the_tolerance():
    dense, sparse = pair(SQUARE, contacts=ends(SQUARE), gamma=(2.0, 2.0, 0.1), voltage=(0.2, -0.2, 0), tolerance=1e-3)
    spins = random_spins(18, seed=3)
    single, double = sparse.field(spins), sparse.solve(spins).field
    assert 0 < float((single - double).abs().max()) < 1e-4
    assert float((single - dense.field(spins)).abs().max()) < 2 * 3.0 * 1e-3


def test_baths_on_every_site_at_different_potentials():
    """No lead touches few rows: columns of one of them are all of G."""
    everywhere = list(range(18))
    options = {"contacts": (everywhere, everywhere, [0]), "gamma": (0.1, 0.2, 1.0), "voltage": (0.2, -0.3, 0.1)}
    dense, sparse = pair(SQUARE, **options, tolerance=1e-8)
    assert max(largest_differences(dense, sparse, random_spins(18, seed=4))) < 1e-8


def test_sites_that_no_hopping_reaches():
    """A chain that is cut: the far part feels the second lead only, and the middle none at all."""
    hopping = SDHamiltonian(chain(8, pbc=False)).hopping_matrix.tolil()
    for a, b in ((2, 3), (4, 5)):
        hopping[a, b] = hopping[b, a] = 0.0
    h = SDHamiltonian(chain(8, pbc=False), hopping.tocsr(), J=1.0)
    dense, sparse = pair(h, contacts=([0], [7]), voltage=0.5, tolerance=1e-7)
    assert max(largest_differences(dense, sparse, random_spins(8, seed=5))) < 1e-7


def test_currents_are_conserved_and_rotating_spins_rotates_the_field():
    _, sparse = pair(SQUARE, contacts=ends(SQUARE), gamma=(2.0, 1.0, 0.1), voltage=(0.4, -0.3, 0.0))
    spins, rotation = random_spins(18, seed=6), random_rotation(7)
    currents = sparse.solve(spins).currents
    assert float(currents.abs().max()) > 1e-3
    assert abs(float(currents.sum())) < 1e-14
    torch.testing.assert_close(sparse.field(spins @ rotation.T), sparse.field(spins) @ rotation.T, atol=1e-7, rtol=0)


def test_landauer_current_of_one_site_in_closed_form():
    """I = 2/(2 pi) int Gamma^2 (f_L - f_R) / (E^2 + Gamma^2), by scipy's quadrature."""
    dot, gamma, kT = SDHamiltonian(chain(1, pbc=False), J=0.0), 0.4, 0.05

    def integrand(energy: float) -> float:
        left, right = ((1 + math.tanh((mu - energy) / (2 * kT))) / 2 for mu in (0.3, -0.3))
        return gamma**2 * (left - right) / (energy**2 + gamma**2) / math.pi

    exact = quad(integrand, -3, 3, epsabs=1e-13)[0]
    for method in ("dense", "sparse"):
        source = DrivenSteadyState(dot, ([0], [0]), gamma, 0.6, kT, method=method, tolerance=1e-9)
        assert float(source.solve(random_spins(1, seed=0)).currents[0]) == pytest.approx(exact, abs=1e-9)


def test_currents_of_three_leads_without_time_reversal():
    """Noncoplanar spins: the transmission from p to q is not that from q to p, and both count."""
    h = SDHamiltonian(triangular(2, 2, pbc=False), J=2.0)
    contacts, spins = ([0], [1], [2]), random_spins(4, seed=3)
    matrix = h.dense(spins).numpy() - 0.5j * np.diag(np.repeat([1.0, 1.0, 1.0, 0.0], 2))
    potentials = np.array([0.4, 0.0, -0.3])

    def flow(energy: float, lead: int) -> float:
        green = np.linalg.inv(energy * np.eye(8) - matrix)
        passed = [np.sum(np.abs(green[2 * lead : 2 * lead + 2, 2 * q : 2 * q + 2]) ** 2) for q in range(3)]
        fermi = (1 - np.tanh((energy - potentials) / 0.1)) / 2
        return float(np.sum(passed * (fermi[lead] - fermi))) / (2 * math.pi)

    exact = [quad(flow, -2.5, 2.5, args=(p,), epsabs=1e-10, limit=200)[0] for p in range(3)]
    for source in pair(h, contacts=contacts, gamma=1.0, voltage=potentials, mu=0.0, kT=0.05, tolerance=1e-8):
        np.testing.assert_allclose(source.solve(spins).currents.numpy(), exact, atol=1e-8)


def test_slices_give_the_inverse_of_any_sparse_matrix():
    """Roots and joined rows in any order, dense self-energies on them."""
    h, root, joined = TRIANGULAR, np.array([3, 2, 0, 1, 4]), np.array([39, 30, 31, 38])
    plan = SliceRecursion(h.one_body, root, [joined])
    shifts = torch.tensor([1 + 0.1j, -2 + 0.02j, 3j], dtype=torch.complex128)
    generator = torch.Generator().manual_seed(0)
    energies = 0.1 * torch.randn(3, 4, 4, generator=generator, dtype=torch.complex128) - 0.5j * torch.eye(4)
    spins = random_spins(20, replicas=(3,), seed=0)
    matrix = shifts[:, None, None] * torch.eye(40) - h.dense(spins)
    matrix[:, joined[:, None], joined] -= energies
    green = torch.linalg.inv(matrix)

    def blocks(full: torch.Tensor) -> torch.Tensor:
        return full.view(3, 20, 2, 20, 2).diagonal(dim1=1, dim2=3).movedim(-1, 1)

    exchange = h.exchange_blocks(spins)
    found = plan.diagonal_blocks(shifts, exchange, [energies])
    torch.testing.assert_close(found, blocks(green), atol=1e-11, rtol=0)
    factor = torch.randn(5, 2, generator=generator, dtype=torch.complex128)
    injected, (at_joined,) = plan.injected(shifts, exchange, factor, [energies])
    columns = green[:, :, root] @ factor
    torch.testing.assert_close(injected, blocks(columns @ columns.mH), atol=1e-10, rtol=0)
    torch.testing.assert_close(at_joined, columns[:, joined], atol=1e-11, rtol=0)


@pytest.mark.parametrize(("kT", "gamma"), [(0.001, 0.1), (0.05, 0.02)])
def test_nodes_of_the_window_converge_geometrically(kT, gamma):
    """Difference of Fermi functions times a Lorentzian of the least width."""
    window = WindowMap((0.0, 0.3), kT, gamma, 40.0)

    def integrand(energy):
        fermi = [(1 + np.tanh((mu - energy) / (2 * kT))) / 2 for mu in (0.3, 0.0)]
        return (fermi[0] - fermi[1]) * gamma / ((energy - 0.1) ** 2 + gamma**2 / 4)

    exact = quad(integrand, *window.ends, points=(0.0, 0.1, 0.3), epsabs=1e-13, limit=500)[0]
    errors = []
    for count in (80, 160, 320, 640, 1280, 2560):
        energies, weights = window.rule(count)
        errors.append(abs(weights @ integrand(energies) - exact))
    for coarse, fine in pairwise(errors):
        assert fine < 0.5 * coarse**1.6 + 1e-11
    assert errors[-1] < 1e-10


def test_choice_of_the_method():
    ribbon = SDHamiltonian(square(16, 8, pbc=(False, True)), J=3.0)
    options = {"gamma": (2.0, 2.0, 0.05), "voltage": (0.1, -0.1, 0.0), "mu": -1.0}
    assert DrivenSteadyState(ribbon, ends(ribbon), **options).sparse
    assert not DrivenSteadyState(ribbon, ends(ribbon), **options, method="dense").sparse
    assert not DrivenSteadyState(ribbon, ends(ribbon)[:2], voltage=0.2, mu=-1.0).sparse
    assert DrivenSteadyState(ribbon, ends(ribbon)[:2], mu=-1.0).sparse
    assert not DrivenSteadyState(ribbon, ends(ribbon), kT=0.0, **options).sparse
    assert not DrivenSteadyState(SQUARE, ends(SQUARE), **options).sparse


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"method": "fast"}, "method"),
        ({"method": "sparse", "kT": 0.0}, "kT=0"),
        ({"method": "sparse", "bottom": -6.0}, "bottom"),
        ({"method": "sparse", "tolerance": 0.5}, "tolerance"),
    ],
)
def test_errors(options, match):
    with pytest.raises(InvalidInput, match=match):
        DrivenSteadyState(SQUARE, ends(SQUARE)[:2], **{"kT": 0.02, "mu": -1.0, **options})


@pytest.mark.parametrize(("name", "least"), [("c0", 0.9998), ("c500", 0.99998)])
def test_published_driven_wall(name, least):
    """The whole ribbon, 32 x 24; with the parameters that were fitted to these labels before."""
    data = published(f"driven_wall_negf/{name}.npz")
    spins, field = unit(sites(data["spins"])), torch.from_numpy(sites(data["field"]))
    h = SDHamiltonian(square(32, 24, pbc=(False, True)), J=3.8)
    options = {"gamma": (2.0, 2.0, 0.02), "voltage": (0.1, -0.1, 0.0), "kT": 0.0025, "mu": -3.2, "bottom": -8.5}
    source = DrivenSteadyState(h, ends(h), **options, tolerance=1e-4)
    assert source.sparse
    computed, stored = (torch.linalg.cross(spins, value) for value in (source.field(spins), field))
    assert np.corrcoef(computed.flatten().numpy(), stored.flatten().numpy())[0, 1] > least
