"""Local Chebyshev moments against dense matrices, closed forms and an exact solver."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.polynomial import chebyshev
from scipy import sparse
from torch import Tensor

import gnnspin as gs
from gnnspin.core import random_spins
from gnnspin.electrons import (
    ExactDiagonalization,
    ExponentialHopping,
    NearestNeighborHopping,
    SDHamiltonian,
    ShellHopping,
)
from gnnspin.electrons.hopping.phases import PeierlsHopping
from gnnspin.electrons.hopping.rules import HoppingRule
from gnnspin.models.blocks.bases import AngularBasis
from gnnspin.models.moments import HoppingTerms, ScaledHamiltonian, WalkGeometry, local_moments, prepare_walks
from gnnspin.models.moments.fields import trace_fields
from gnnspin.models.moments.hamiltonian import angular_matrices
from gnnspin.models.moments.recursion import moments_and_bonds
from gnnspin.systems import SpinSystem

CASES = {
    "square, bipartite": (gs.systems.square(6, 6), NearestNeighborHopping(), 4),
    "square, odd": (gs.systems.square(5, 6), NearestNeighborHopping(), 4),
    "square, open": (gs.systems.square(5, 5, pbc=False), NearestNeighborHopping(), 3),
    "honeycomb": (gs.systems.honeycomb(4, 4), NearestNeighborHopping(t=0.7), 3),
    "triangular, two shells": (gs.systems.triangular(5, 5), ShellHopping((1.0, 0.3)), 2),
    "amorphous": (gs.systems.amorphous(25, 3.1, 0.5, seed=0), ExponentialHopping(), 2),
    "square in a magnetic field": (gs.systems.square(6, 6), PeierlsHopping(NearestNeighborHopping(), 1 / 6), 3),
    "union": (gs.systems.union([gs.systems.chain(7), gs.systems.chain(8, pbc=False)]), NearestNeighborHopping(), 4),
}
J = 3.5
SIGMA = torch.tensor(np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]]))


def hopping_terms(system: SpinSystem, rule: HoppingRule) -> HoppingTerms:
    matrix = rule.matrix(system)
    imaginary = sparse.csr_array(matrix.imag) if np.iscomplexobj(matrix) else None
    return HoppingTerms((sparse.csr_array(matrix.real),), imaginary)


def scaled(terms: HoppingTerms, center: float = 0.0) -> ScaledHamiltonian:
    half_width = max(map(abs, terms.bounds(np.ones(1)))) + J + abs(center)
    number = torch.tensor([J, center, half_width], dtype=torch.float64)
    return ScaledHamiltonian(number[0], torch.ones(1, dtype=torch.float64), number[1], number[2])


def dense_moments(system: SpinSystem, rule: HoppingRule, h: ScaledHamiltonian, spins: Tensor, degree: int) -> Tensor:
    """Traces of the local blocks of T_n with 1 and sigma, (R, 4, degree + 1, N), by the recursion of full matrices."""
    matrix = SDHamiltonian(system, rule, J=J).dense(spins)
    one = torch.eye(matrix.shape[-1], dtype=matrix.dtype)
    matrix = (matrix - h.center * one) / h.half_width
    powers = [one.expand_as(matrix), matrix]
    for _ in range(2, degree + 1):
        powers.append(2 * matrix @ powers[-1] - powers[-2])
    stacked = torch.stack(powers, 1).unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2))
    blocks = stacked.diagonal(dim1=2, dim2=4)  # (R, n, a, b, N)
    return torch.einsum("rnabi,sba->rsni", blocks, SIGMA).real


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest) -> tuple[SpinSystem, HoppingRule, int]:
    return CASES[request.param]


def small(lattice: bool = True, **options: int) -> tuple[WalkGeometry, ScaledHamiltonian, Tensor]:
    """Balls of two hops on a 4 x 4 square lattice, and spins that require gradients."""
    system = gs.systems.square(4, 4)
    terms = hopping_terms(system, NearestNeighborHopping())
    spins = random_spins(16, replicas=(2,), seed=3).requires_grad_()
    return prepare_walks(system, terms, 2, lattice=lattice, **options), scaled(terms), spins


@pytest.mark.parametrize("lattice", [True, False])
def test_moments_are_those_of_the_dense_matrix(case: tuple[SpinSystem, HoppingRule, int], lattice: bool) -> None:
    system, rule, hops = case
    terms = hopping_terms(system, rule)
    spins = random_spins(system.n_sites, replicas=(2,), seed=0)
    for center in (0.0, 0.4):
        geometry = prepare_walks(system, terms, hops, lattice=lattice, shifted=center != 0)
        h = scaled(terms, center)
        scalar, vector = local_moments(geometry, h, spins, 2 * hops + 1)
        exact = dense_moments(system, rule, h, spins, 2 * hops + 1)
        assert float((scalar - exact[:, 0]).abs().max()) < 1e-12
        assert float((vector - exact[:, 1:]).abs().max()) < 1e-12


def test_which_systems_take_which_path() -> None:
    expected = {"square, bipartite": (True, True), "square, odd": (True, False), "square, open": (False, True)}
    for key, (lattice, bipartite) in expected.items():
        system, rule, hops = CASES[key]
        geometry = prepare_walks(system, hopping_terms(system, rule), hops)
        assert (geometry.is_lattice, geometry.tables[0].bipartite) == (lattice, bipartite)


def test_sum_of_local_moments_is_the_trace() -> None:
    system, rule, hops = CASES["honeycomb"]
    h = scaled(hopping_terms(system, rule))
    spins = random_spins(system.n_sites, replicas=(1,), seed=1)
    scalar, _ = local_moments(prepare_walks(system, hopping_terms(system, rule), hops), h, spins, 7)
    levels = torch.linalg.eigvalsh(SDHamiltonian(system, rule, J=J).dense(spins[0])) / h.half_width
    for n in range(8):
        assert float(scalar[0, n].sum()) == pytest.approx(float(torch.cos(n * torch.arccos(levels)).sum()), abs=1e-10)


def test_closed_forms_of_low_degrees() -> None:
    """Tr of T_1 vanishes, [H^2]_ii = z t^2 + J^2, and a ferromagnet's moments are those of two shifted bands."""
    geometry, h, spins = small()
    scalar, vector = local_moments(geometry, h, spins.detach(), 5)
    assert float(scalar[:, 1].abs().max()) < 1e-14
    assert torch.allclose(vector[:, :, 1], -2 * J / h.half_width * spins.detach().transpose(1, 2))
    second = 2 * (2 * (4 + J**2) / h.half_width**2 - 1)
    assert torch.allclose(scalar[:, 2], second.expand(2, 16))
    k = 2 * np.pi * np.arange(4) / 4
    band = -2 * (np.cos(k)[:, None] + np.cos(k))
    up = torch.zeros(1, 16, 3, dtype=torch.float64)
    up[..., 2] = 1
    scalar, vector = local_moments(geometry, h, up, 5)
    for n in range(6):
        parts = [np.cos(n * np.arccos((band + s * J) / float(h.half_width))).mean() for s in (-1, 1)]
        assert float(scalar[0, n, 0]) == pytest.approx(sum(parts), abs=1e-12)
        assert float(vector[0, 2, n, 0]) == pytest.approx(parts[0] - parts[1], abs=1e-12)


@pytest.mark.parametrize("shifted", [False, True])
def test_first_and_second_derivatives(shifted: bool) -> None:
    system = gs.systems.chain(5, pbc=not shifted)
    terms = hopping_terms(system, NearestNeighborHopping())
    h, geometry = scaled(terms), prepare_walks(system, terms, 2, shifted=shifted)
    spins = random_spins(5, replicas=(1,), seed=3).requires_grad_()

    def moments(spins: Tensor, coupling: Tensor) -> tuple[Tensor, Tensor]:
        now = ScaledHamiltonian(coupling, h.amplitudes, h.center, h.half_width)
        return local_moments(geometry, now, spins, 5)

    inputs = (spins, torch.tensor(1.5, dtype=torch.float64, requires_grad=True))
    assert torch.autograd.gradcheck(moments, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(moments, inputs, fast_mode=True)


def test_fields_of_traces_need_no_differentiation() -> None:
    geometry, h, spins = small()
    scalar, vector = local_moments(geometry, h, spins, 5)
    fields = trace_fields(vector, h, 5)
    for n in range(2, 6):
        (gradient,) = torch.autograd.grad(scalar[:, n].sum(), spins, retain_graph=True)
        assert torch.allclose(fields[:, n - 2], -gradient, atol=1e-12)


@pytest.mark.parametrize("lattice", [True, False])
def test_chunks_change_nothing(lattice: bool) -> None:
    def results(geometry: WalkGeometry, h: ScaledHamiltonian, spins: Tensor, limit: int) -> list[Tensor]:
        scalar, vector = local_moments(geometry, h, spins, 5, pairs_per_chunk=limit)
        loss = scalar.square().sum() + vector.pow(4).sum()
        (first,) = torch.autograd.grad(loss, spins, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), spins)
        return [scalar, vector, first, second]

    whole = results(*small(), 1 << 20)
    geometry, h, spins = small(lattice, pairs_per_chunk=40)
    assert lattice or len(geometry.tables) > 1
    for a, b in zip(whole, results(geometry, h, spins, 40), strict=True):
        assert torch.allclose(a, b, atol=1e-12)


def test_polynomial_of_the_fermi_function_is_exact_diagonalization() -> None:
    """With Chebyshev coefficients of -kT ln(1 + exp(-(e - mu)/kT)) the linear part is the exact grand potential."""
    kT, mu, degree = 0.8, -1.0, 61
    system = gs.systems.square(4, 4)
    terms = hopping_terms(system, NearestNeighborHopping())
    h, spins = scaled(terms), random_spins(16, seed=2)
    width = float(h.half_width)
    coefficients = torch.from_numpy(
        chebyshev.chebinterpolate(lambda x: -kT * np.logaddexp(0, -(width * x - mu) / kT), degree)
    )
    scalar, vector = local_moments(prepare_walks(system, terms, degree // 2), h, spins[None], degree)
    energy, field = ExactDiagonalization(SDHamiltonian(system, J=J), kT=kT, mu=mu).energy_and_field(spins)
    assert float(coefficients @ scalar[0].sum(-1)) == pytest.approx(float(energy), abs=1e-6)
    linear = torch.einsum("d,dnx->nx", coefficients[2:], trace_fields(vector, h, degree)[0])
    assert float((linear - field).abs().max()) < 1e-6


@pytest.mark.parametrize("name", [name for name in CASES if "magnetic" not in name])
@pytest.mark.parametrize("lattice", [True, False])
def test_sums_over_bonds_are_those_of_the_dense_matrix(name: str, lattice: bool) -> None:
    """``sum_j h_ij Y_m(r_ij)`` times trace and center's component of the blocks between neighbours."""
    system, rule, hops = CASES[name]
    n_sites, degree, hop = system.n_sites, hops + 1, rule.hops(system)
    basis = AngularBasis(3 if name == "amorphous" else 2, 2)
    angular = angular_matrices(basis, hop.row, hop.column, hop.vector, hop.amplitude, n_sites)
    terms = HoppingTerms(hopping_terms(system, rule).real, None, (angular,))
    h, spins = scaled(terms), random_spins(n_sites, replicas=(2,), seed=1)
    matrix = SDHamiltonian(system, rule, J=J).dense(spins) / h.half_width
    powers = [torch.eye(2 * n_sites, dtype=matrix.dtype).expand_as(matrix), matrix]
    for _ in range(2, degree + 1):
        powers.append(2 * matrix @ powers[-1] - powers[-2])
    blocks = torch.stack(powers[2:], 1).unflatten(-1, (-1, 2)).unflatten(-3, (-1, 2))  # (R, n, j, a, i, b)
    traces = torch.einsum("rnjaib,sba->rnsji", blocks, SIGMA).real / 2
    weights = torch.from_numpy(np.stack([one.toarray() for one in angular])) / h.half_width
    expected = [
        torch.einsum("mij,rnji->rnmi", weights, traces[:, :, 0]),
        torch.einsum("mij,rnsji,ris->rnmi", weights, traces[:, :, 1:], spins),
    ]
    _, bonds = moments_and_bonds(prepare_walks(system, terms, hops, lattice=lattice), h, spins, 2 * hops + 1, degree)
    torch.testing.assert_close(bonds, torch.stack(expected, 2).flatten(1, 2), rtol=0, atol=1e-12)
    assert float(bonds[:, :, 1:].abs().max()) > 1e-3
