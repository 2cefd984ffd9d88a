"""Kernel polynomial method: exactness of traces and gradient, statistics of the probes, cost."""

import json
import time

import numpy as np
import pytest
import torch
from helpers import gradient_error
from scipy import sparse

from gnnspin.core import FieldSource, InvalidInput, random_rotation, random_spins
from gnnspin.core.spins import torque
from gnnspin.electrons import ExactDiagonalization, ExponentialHopping, NearestNeighborHopping, SDHamiltonian
from gnnspin.electrons.polynomials.chebyshev_moments import doubled_moments
from gnnspin.electrons.polynomials.kernel_polynomial import KernelPolynomial
from gnnspin.systems import SpinSystem, amorphous, honeycomb, square, triangular, union


def peierls(length=6):
    """Square lattice with random Peierls phases."""
    system = square(length, length)
    matrix = NearestNeighborHopping().matrix(system).toarray().astype(complex)
    phase = np.random.default_rng(0).uniform(-1, 1, matrix.shape)
    return SDHamiltonian(system, sparse.csr_array(matrix * np.exp(1j * (phase - phase.T))), J=2.0)


def spin_orbit(n_sites=18, density=0.1):
    """Random Hermitian K of two orbitals per site that mixes the spins; the second orbital couples weakly."""
    generator = np.random.default_rng(1)
    size = 4 * n_sites
    dense = generator.normal(size=(size, size)) + 1j * generator.normal(size=(size, size))
    dense *= generator.random((size, size)) < density
    system = SpinSystem(np.column_stack([np.arange(n_sites), np.zeros((n_sites, 2))]))
    return SDHamiltonian(system, sparse.csr_array(dense + dense.conj().T), J=np.tile([2.0, 0.5], n_sites), orbitals=2)


def twisted():
    """Triangular lattice with the same phase on every bond along a1: complex and translation invariant."""
    system = triangular(6, 4)
    sites = np.arange(24).reshape(6, 4)
    row, column = sites.ravel(), np.roll(sites, -1, axis=0).ravel()
    bonds = sparse.coo_array((np.full(24, np.exp(0.3j) + 1), (row, column)), shape=(24, 24))
    hopping = NearestNeighborHopping().matrix(system).astype(complex) + bonds + bonds.conj().T
    return SDHamiltonian(system, sparse.csr_array(hopping), J=1.5)


HAMILTONIANS = {
    "square": lambda: SDHamiltonian(square(8, 8), J=2.0),
    "triangular": lambda: SDHamiltonian(triangular(8, 8), J=3.0),
    "honeycomb": lambda: SDHamiltonian(honeycomb(4, 5), J=3.0),
    "amorphous": lambda: SDHamiltonian(amorphous(30, 3.5, 0.5, seed=0), ExponentialHopping(), J=6.0),
    "dilute": lambda: SDHamiltonian(square(6, 6), J=np.where(np.arange(36) % 3, 2.0, 0.0)),
    "peierls": peierls,
    "spin-orbit": spin_orbit,
    "twisted": twisted,
}
ENSEMBLES = [{"mu": -1.2}, {"filling": 0.31}]


def solver(hamiltonian=None, kT=0.1, **arguments):
    if not {"mu", "filling", "n_electrons"} & set(arguments):
        arguments["mu"] = -1.2
    return KernelPolynomial(hamiltonian or SDHamiltonian(triangular(6, 6), J=3.0), kT, **arguments)


def relative(found, exact):
    return float((found - exact).square().mean().sqrt() / exact.square().mean().sqrt())


@pytest.mark.parametrize("name", HAMILTONIANS)
@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_deterministic_probes_equal_diagonalisation(name, ensemble):
    hamiltonian = HAMILTONIANS[name]()
    spins = random_spins(hamiltonian.system.n_sites, seed=1)
    exact = ExactDiagonalization(hamiltonian, kT=0.1, **ensemble).solve(spins)
    state = solver(hamiltonian, tolerance=1e-10, **ensemble).solve(spins)
    for quantity in ("energy", "field", "density", "mu", "n_electrons", "internal_energy"):
        torch.testing.assert_close(getattr(state, quantity), getattr(exact, quantity), atol=1e-8, rtol=1e-10)
    torch.testing.assert_close(state.entropy, exact.entropy, atol=1e-7, rtol=0)


@pytest.mark.parametrize("name", ["square", "triangular", "honeycomb", "dilute", "twisted"])
@pytest.mark.parametrize("probes", [{}, {"probes": "colored", "n_colors": 8}])
def test_stencil_equals_sparse_matrix(name, probes):
    hamiltonian = HAMILTONIANS[name]()
    spins = random_spins(hamiltonian.system.n_sites, seed=1)
    rows, shifts = (solver(hamiltonian, product=p, n_moments=100, **probes).solve(spins) for p in ("sparse", "stencil"))
    torch.testing.assert_close(shifts.field, rows.field, atol=1e-11, rtol=0)
    torch.testing.assert_close(shifts.energy, rows.energy, atol=1e-10, rtol=0)


PROBES = [
    {},
    {"probes": "colored", "n_colors": 9},
    {"probes": "random", "n_colors": 9},
    {"probes": "colored", "n_colors": 9, "kernel": "jackson"},
    {"kernel": "jackson"},
]


@pytest.mark.parametrize("probes", PROBES)
@pytest.mark.parametrize("ensemble", [*ENSEMBLES, {"n_electrons": 20.5}])
@pytest.mark.parametrize("n_moments", [30, pytest.param(90, marks=pytest.mark.slow)])
def test_field_is_the_gradient_of_the_estimated_energy(probes, ensemble, n_moments):
    """Also for a series that is far from converged and probes that are far from exact."""
    source = solver(n_moments=n_moments, **probes, **ensemble)
    assert gradient_error(source, random_spins(36, seed=2)) < 1e-6


@pytest.mark.parametrize("name", ["amorphous", "dilute", "peierls", "spin-orbit"])
@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_field_is_the_gradient_for_any_hamiltonian(name, ensemble):
    hamiltonian = HAMILTONIANS[name]()
    source = solver(hamiltonian, n_moments=60, probes="colored", n_colors=6, **ensemble)
    assert gradient_error(source, random_spins(hamiltonian.system.n_sites, seed=2)) < 1e-6


@pytest.mark.parametrize("n_moments", [4, 6, 64])
def test_exact_gradient_equals_reverse_recursion(n_moments, monkeypatch):
    """The short cut of unit vectors and the general adjoint are the same derivative."""
    spins = random_spins(36, seed=3)
    for kernel in ("none", "jackson"):
        source = solver(n_moments=n_moments, kernel=kernel)
        short = source.field(spins)
        with monkeypatch.context() as patch:
            patch.setattr("gnnspin.electrons.polynomials.probing.Probes.exact", False)
            torch.testing.assert_close(source.field(spins), short, atol=1e-12, rtol=0)


def test_moments_by_doubling_equal_traces_of_polynomials():
    source, spins = solver(n_moments=40), random_spins(36, seed=4)
    part = source._parts[0]
    interval = part.expansion.interval
    scaled = (torch.linalg.eigvalsh(source.hamiltonian.dense(spins)) - interval.center) / interval.half_width
    expected = torch.cos(torch.arange(40).unsqueeze(1) * torch.arccos(scaled)).sum(1)
    problem = source._problem(part, source._probe_set(part, 0))
    local = torch.cat([torch.zeros(36, 1), -3.0 * spins / interval.half_width], 1)
    moments, _ = doubled_moments(problem.hamiltonian.at(local), problem.block(0, 72), 40)
    torch.testing.assert_close(moments, expected, atol=1e-11, rtol=0)


def test_the_downward_recursion_is_stable():
    """After 2000 products up and 2000 down the probes come back to rounding."""
    source, spins = solver(kT=0.01, n_moments=4000, probes="colored", n_colors=9), random_spins(36, seed=4)
    part = source._parts[0]
    problem = source._problem(part, source._probe_set(part, 0))
    matrix = problem.hamiltonian.at(
        torch.cat([torch.zeros(36, 1), -3.0 * spins / part.expansion.interval.half_width], 1)
    )
    start = problem.block(0, 18)
    _, (low, high) = doubled_moments(matrix, start.clone(), 4000)
    for _ in range(1999):
        low, high = matrix.recur(low, high), low
    torch.testing.assert_close(low, start, atol=1e-10, rtol=0)


def test_truncation_falls_exponentially_without_a_kernel_and_slowly_with_jackson():
    hamiltonian, spins = SDHamiltonian(triangular(8, 8), J=3.0), random_spins(64, seed=1)
    exact = torque(spins, ExactDiagonalization(hamiltonian, kT=0.05, mu=-3.2).field(spins))
    errors = {
        (kernel, count): relative(
            solver(hamiltonian, 0.05, mu=-3.2, n_moments=count, kernel=kernel).torque(spins), exact
        )
        for kernel in ("none", "jackson")
        for count in (200, 400, 600)
    }
    width = solver(hamiltonian, 0.05, mu=-3.2)._parts[0].expansion.interval.half_width
    for count in (200, 400):
        decay = np.log(errors["none", count] / errors["none", count + 200]) / 200
        assert decay == pytest.approx(np.pi * 0.05 / width, rel=0.25)
    assert errors["none", 400] < errors["jackson", 600] / 10


@pytest.mark.parametrize("name", ["square", "triangular", "honeycomb", "amorphous", "peierls", "spin-orbit"])
@pytest.mark.parametrize("tolerance", [1e-3, 1e-6])
@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_tolerance_is_met_and_not_wasted(name, tolerance, ensemble):
    hamiltonian = HAMILTONIANS[name]()
    spins = random_spins(hamiltonian.system.n_sites, seed=1)
    exact = torque(spins, ExactDiagonalization(hamiltonian, kT=0.05, **ensemble).field(spins))
    error = relative(solver(hamiltonian, 0.05, tolerance=tolerance, **ensemble).torque(spins), exact)
    assert error < tolerance
    if "mu" in ensemble:  # where mu is not known in advance, the worst case is assumed
        assert error > tolerance * 1e-3


@pytest.mark.slow
def test_stochastic_error_follows_its_own_estimate():
    """The exact torque lies within the scatter of probe sets: squared error over squared estimate averages to one."""
    hamiltonian, spins = SDHamiltonian(triangular(12, 12), J=3.0), random_spins(144, seed=1)
    exact = torque(spins, ExactDiagonalization(hamiltonian, kT=0.1, mu=-3.2).field(spins))
    for n_colors in (9, 36):
        arguments = {"mu": -3.2, "tolerance": 1e-6, "probes": "colored", "n_colors": n_colors}
        estimate = solver(hamiltonian, seed=100, **arguments).estimate_error(spins, n_sets=16)
        deviations = torch.stack([solver(hamiltonian, seed=s, **arguments).torque(spins) - exact for s in range(4)])
        ratio = deviations.square().mean() / estimate.torque.square().mean()
        assert 0.8 < float(ratio) < 1.25
        assert relative(deviations[0] + exact, exact) == pytest.approx(estimate.relative, rel=0.25)
        # no bias: the mean over sets is closer by the square root of their number
        assert relative(deviations.mean(0) + exact, exact) == pytest.approx(estimate.relative / 2, rel=0.3)


def test_more_colors_are_better_and_uncolored_probes_useless():
    hamiltonian, spins = SDHamiltonian(triangular(12, 12), J=3.0), random_spins(144, seed=1)
    exact = torque(spins, ExactDiagonalization(hamiltonian, kT=0.1, mu=-3.2).field(spins))

    def error(**probes):
        return relative(solver(hamiltonian, mu=-3.2, tolerance=1e-4, **probes).torque(spins), exact)

    errors = [error(probes="colored", n_colors=c * c) for c in (2, 4, 6)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]
    assert error(probes="random", n_colors=36) > 10 * errors[2]
    assert error(probes="colored", n_colors=144) < 1e-4


def test_spin_rotation_and_time_reversal():
    """Exact probes respect them; equal vectors for both spin directions break neither beyond the noise."""
    source, spins, rotation = solver(n_moments=150, filling=0.3), random_spins(36, seed=3), random_rotation(4)
    state, turned, reversed_ = source.solve(spins), source.solve(spins @ rotation.T), source.solve(-spins)
    torch.testing.assert_close(turned.field, state.field @ rotation.T, atol=1e-10, rtol=0)
    torch.testing.assert_close(reversed_.field, -state.field, atol=1e-10, rtol=0)
    torch.testing.assert_close(source.torque(spins).sum(0), torch.zeros(3, dtype=torch.float64), atol=1e-10, rtol=0)


@pytest.mark.parametrize("probes", [{}, {"probes": "colored", "n_colors": 9}])
def test_single_precision(probes):
    spins = random_spins(36, seed=5)
    double, single = (solver(n_moments=300, dtype=dtype, **probes) for dtype in (torch.float64, torch.float32))
    assert relative(single.torque(spins), double.torque(spins)) < 1e-4
    assert single.energy(spins).item() == pytest.approx(double.energy(spins).item(), rel=1e-6)
    assert single.field(spins).dtype == torch.float64


@pytest.mark.parametrize("probes", [{}, {"probes": "colored", "n_colors": 9}])
@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_batch_equals_single_and_calls_are_pure(probes, ensemble):
    source, spins = solver(n_moments=60, **probes, **ensemble), random_spins(36, replicas=(2, 2), seed=0)
    assert isinstance(source, FieldSource)
    state = source.solve(spins)
    assert state.field.shape == (2, 2, 36, 3)
    assert state.energy.shape == (2, 2)
    energy, field = source.energy_and_field(spins)
    torch.testing.assert_close(energy, state.energy, atol=1e-10, rtol=0)
    torch.testing.assert_close(source.energy(spins), energy, atol=1e-10, rtol=0)
    torch.testing.assert_close(field, state.field, atol=1e-12, rtol=0)
    torch.testing.assert_close(source.field(spins[1, 0]), field[1, 0], atol=0, rtol=0)
    torch.testing.assert_close(source.field(spins[1, 0], time=3.0), field[1, 0], atol=0, rtol=0)
    assert not any(tensor.requires_grad for tensor in (energy, field, *vars(state).values()))


@pytest.mark.parametrize("ensemble", [{"mu": -1.1}, {"filling": 0.31}, {"n_electrons": [5, 20.5, 11]}])
def test_union_equals_its_parts(ensemble):
    parts, couplings = [square(3, 4), honeycomb(2, 4), amorphous(9, 4.0, 0.5, seed=3)], [1.0, 2.0, 3.0]
    joined = SDHamiltonian(union(parts), J=np.repeat(couplings, [part.n_sites for part in parts]))
    spins = random_spins(37, replicas=(2,), seed=0)
    state = solver(joined, n_moments=80, probes="colored", n_colors=4, **ensemble).solve(spins)
    assert state.energy.shape == (2, 3)
    for k, (part, piece) in enumerate(zip(parts, spins.split([12, 16, 9], dim=1), strict=True)):
        own = {key: value[k] if isinstance(value, list) else value for key, value in ensemble.items()}
        hamiltonian = SDHamiltonian(part, J=couplings[k])
        alone = solver(hamiltonian, n_moments=80, probes="colored", n_colors=4, **own).solve(piece)
        here = torch.from_numpy(joined.system.graph_index == k)
        torch.testing.assert_close(state.energy[:, k], alone.energy, atol=1e-10, rtol=0)
        torch.testing.assert_close(state.field[:, here], alone.field, atol=1e-10, rtol=0)


def test_cost_is_linear_in_the_number_of_sites():
    """Number of products, each linear in N, does not depend on N; colours do not either."""
    sources = [solver(SDHamiltonian(triangular(n, n), J=3.0), probes="colored", n_colors=16) for n in (8, 16, 32)]
    assert {source.n_vectors for source in sources} == {32}
    assert [source.n_moments for source in sources] == pytest.approx([sources[0].n_moments] * 3, rel=0.02)
    entries = [source._parts[0].matrix._values.numel() / source.system.n_sites for source in sources]
    assert max(entries) == pytest.approx(min(entries))


@pytest.mark.slow
def test_exponent_of_the_cost():
    sizes, seconds = [16, 32, 64], []
    for n in sizes:
        source = solver(SDHamiltonian(triangular(n, n), J=3.0), n_moments=200, probes="colored", n_colors=16)
        spins, elapsed = random_spins(n * n, seed=0), []
        for _ in range(3):
            start = time.process_time()
            source.field(spins)
            elapsed.append(time.process_time() - start)
        seconds.append(min(elapsed))
    exponent = np.polyfit(np.log(np.square(sizes)), np.log(seconds), 1)[0]
    assert 0.8 < exponent < 1.25


def test_a_gap_has_its_chemical_potential_in_the_middle():
    """Tetrahedral state at quarter filling: gap -4.000 .. -2.6056."""
    system = triangular(8, 8)
    n1, n2, _ = np.indices(system.lattice_shape)
    signs = np.stack([(-1.0) ** n1, (-1.0) ** n2, (-1.0) ** (n1 + n2)], axis=-1).reshape(-1, 3) / np.sqrt(3)
    spins = torch.from_numpy(signs)
    exact = ExactDiagonalization(SDHamiltonian(system, J=3.0), kT=0.05, filling=0.25).solve(spins)
    state = solver(SDHamiltonian(system, J=3.0), 0.05, filling=0.25, tolerance=1e-10).solve(spins)
    assert state.mu.item() == pytest.approx(exact.mu.item(), abs=1e-3)
    torch.testing.assert_close(state.field, exact.field, atol=1e-8, rtol=0)
    torch.testing.assert_close(state.energy, exact.energy, atol=1e-8, rtol=0)


def test_specification_identifies_the_source():
    colored = {"probes": "colored", "n_colors": 9}
    first = solver(**colored, n_moments=50).specification()
    assert json.loads(json.dumps(first)) == first
    assert first == solver(**colored, n_moments=49).specification()
    others = [
        solver(**colored, n_moments=60),
        solver(**colored, n_moments=50, seed=1),
        solver(n_moments=50),
        solver(**colored, n_moments=50, kernel="jackson"),
        solver(probes="colored", n_colors=4, n_moments=50),
        solver(**colored, n_moments=50, dtype=torch.float32),
        solver(**colored, n_moments=50, mu=0.0),
    ]
    assert all(first != other.specification() for other in others)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"kT": 0.0}, r"kT=0.0.*ExactDiagonalization"),
        ({"kT": -1.0}, "kT=-1.0"),
        ({"kT": float("nan")}, "kT=nan"),
        ({"n_moments": 3}, "n_moments=3"),
        ({"n_moments": 100, "tolerance": 1e-3}, "n_moments=100 and tolerance=0.001"),
        ({"tolerance": 0.0}, "tolerance=0.0"),
        ({"kernel": "jackson"}, r"jackson.*n_moments"),
        ({"kernel": "lorentz"}, "lorentz"),
        ({"probes": "colored"}, r"colored.*n_colors"),
        ({"n_colors": 4}, r"deterministic.*n_colors=4"),
        ({"probes": "colored", "n_colors": 0}, "n_colors=0"),
        ({"probes": "hadamard"}, "hadamard"),
        ({"seed": -1, "n_moments": 10}, "seed=-1"),
        ({"dtype": torch.float16}, "float16"),
        ({"product": "fourier"}, "fourier"),
        ({"filling": 0.0}, "n_electrons=0.0.*chemical potential"),
        ({"n_electrons": 72}, "n_electrons=72.*chemical potential"),
        ({"mu": 0.0, "filling": 0.5}, "mu and filling.*exactly one"),
    ],
)
def test_bad_arguments(arguments, reason):
    with pytest.raises(InvalidInput, match=reason):
        solver(**arguments)


@pytest.mark.parametrize("name", ["amorphous", "peierls", "spin-orbit"])
def test_no_stencil_without_translation_invariance(name):
    with pytest.raises(InvalidInput, match=r"stencil.*product='sparse'"):
        solver(HAMILTONIANS[name](), product="stencil")


def test_one_set_gives_no_error_estimate():
    with pytest.raises(InvalidInput, match="n_sets=1"):
        solver(n_moments=10).estimate_error(random_spins(36, seed=0), n_sets=1)
    assert solver(n_moments=10).estimate_error(random_spins(36, seed=0), n_sets=2).relative == 0


@pytest.mark.parametrize("kT", [100.0, 5e3, 1e6])
def test_temperatures_of_many_bandwidths(kT):
    """All levels hold the same share: mu = kT ln(f / (1 - f)) to order bandwidth, and S = -2N sum f ln f."""
    hamiltonian = SDHamiltonian(triangular(3, 4), J=3.0)
    state = solver(hamiltonian, kT=kT, filling=0.3, probes="deterministic").solve(random_spins(12, seed=0))
    exact = ExactDiagonalization(hamiltonian, kT=kT, filling=0.3).solve(random_spins(12, seed=0))
    assert state.mu.item() == pytest.approx(exact.mu.item(), rel=1e-9)
    assert state.mu.item() == pytest.approx(kT * np.log(3 / 7), abs=9)
    torch.testing.assert_close(state.density, exact.density, atol=1e-7, rtol=0)
