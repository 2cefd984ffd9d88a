"""Densities of states: sum rules, closed forms, averages."""

import numpy as np
import pytest
import torch

from gnnspin.core import InvalidInput, random_spins
from gnnspin.electrons import (
    CellHopping,
    ExactDiagonalization,
    ExponentialHopping,
    NearestNeighborHopping,
    OnsiteEnergy,
    SDHamiltonian,
    average_density_of_states,
    band_gap,
    bands,
    density_of_states,
    local_density_of_states,
)
from gnnspin.electrons.occupation import gap
from gnnspin.electrons.spectra import line_shape
from gnnspin.systems import SpinSystem, amorphous, chain, honeycomb, square, triangular, union


def integral(values: torch.Tensor, energies: torch.Tensor) -> torch.Tensor:
    return torch.trapezoid(values, energies, dim=-1)


@pytest.mark.parametrize("shape", ["gaussian", "lorentzian"])
def test_isolated_site_has_two_lines(shape):
    """At -J and +J, one state each."""
    energies = torch.linspace(-4, 4, 9, dtype=torch.float64)
    hamiltonian = SDHamiltonian(SpinSystem([[0, 0, 0]]), J=2.0)
    found = density_of_states(hamiltonian, random_spins(1, seed=0), energies, 0.3, shape=shape)
    expected = line_shape(energies - 2, 0.3, shape) + line_shape(energies + 2, 0.3, shape)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def test_line_shapes_are_normalised_with_the_stated_width():
    energies = torch.linspace(-2000, 2000, 4_000_001, dtype=torch.float64)
    for shape, fraction in [("gaussian", np.exp(-0.5)), ("lorentzian", 0.5)]:
        line = line_shape(energies, 0.5, shape)
        assert integral(line, energies).item() == pytest.approx(1, abs=3e-4)
        peak, shoulder = line_shape(torch.tensor([0.0, 0.5], dtype=torch.float64), 0.5, shape)
        assert shoulder / peak == pytest.approx(fraction)


def test_sum_rules():
    """The density of states integrates to two per orbital, its first moment is Tr H / N, the mean LDOS is the DOS."""
    system = honeycomb(3, 3)
    onsite = np.array([np.diag([0.3, -0.2, 0.4])])
    rule = CellHopping([[0, 0, 0]], onsite, [0, 1, 1])
    bonds = CellHopping([[1, 0, 0], [-1, 0, 0]], np.ones((2, 3, 3)), [0, 1, 1])
    hamiltonian = SDHamiltonian(system, rule + bonds, J=1.5)
    spins, energies = random_spins(18, replicas=(2,), seed=1), torch.linspace(-12, 12, 4001, dtype=torch.float64)
    total = density_of_states(hamiltonian, spins, energies, 0.1)
    local = local_density_of_states(hamiltonian, spins, energies, 0.1)
    assert total.shape == (2, 4001)
    assert local.shape == (2, 18, 4001)
    torch.testing.assert_close(local.mean(-2), total, atol=1e-12, rtol=0)
    expected = torch.tensor([2.0, 4.0] * 9, dtype=torch.float64).expand(2, 18)
    torch.testing.assert_close(integral(local, energies), expected, atol=1e-9, rtol=0)
    trace = (hamiltonian.one_body.trace() / 18).item()
    torch.testing.assert_close(integral(total * energies, energies), torch.full((2,), trace, dtype=torch.float64))


def test_filled_local_density_is_the_electron_density():
    """int_{-inf}^{mu} LDOS dE = n_i, for a narrow line and mu in a gap."""
    system, spins = square(4, 4), random_spins(16, seed=2)
    hamiltonian = SDHamiltonian(system, J=8.0)
    state = ExactDiagonalization(hamiltonian, kT=0.0, filling=0.5).solve(spins)
    energies = torch.linspace(-14, 0, 4001, dtype=torch.float64)
    local = local_density_of_states(hamiltonian, spins, energies, 0.02)
    torch.testing.assert_close(integral(local, energies), state.density, atol=1e-8, rtol=0)


def test_ferromagnetic_chain_in_closed_form():
    """Density of a long chain, 1 / (pi sqrt(4 - e^2)) per spin, broadened by quadrature."""
    energies = torch.linspace(-3, 3, 41, dtype=torch.float64)
    spins = torch.tensor([0.0, 0, 1], dtype=torch.float64).expand(400, 3)
    found = density_of_states(SDHamiltonian(chain(400), J=0.5), spins, energies, 0.15)
    k = (torch.arange(20000, dtype=torch.float64) + 0.5) * np.pi / 20000
    band = -2 * torch.cos(k)
    expected = sum(line_shape(energies[:, None] - band - shift, 0.15).mean(-1) for shift in (-0.5, 0.5))
    torch.testing.assert_close(found, expected, atol=1e-8, rtol=0)


def test_energies_from_the_chemical_potential():
    """At half filling of a particle-hole symmetric spectrum mu is 0; a constant onsite energy drops out."""
    spins, energies = random_spins(16, seed=3), torch.linspace(-2, 2, 21, dtype=torch.float64)
    shift = SDHamiltonian(square(4, 4), NearestNeighborHopping() + OnsiteEnergy([0.7] * 16), J=3.0)
    plain = SDHamiltonian(square(4, 4), J=3.0)
    absolute = density_of_states(plain, spins, energies, 0.1)
    torch.testing.assert_close(density_of_states(plain, spins, energies, 0.1, filling=0.5), absolute)
    torch.testing.assert_close(density_of_states(shift, spins, energies, 0.1, filling=0.5), absolute)
    local = local_density_of_states(shift, spins, energies, 0.1, filling=0.5)
    torch.testing.assert_close(local.mean(0), absolute)


def test_unions_and_averages_over_packings():
    systems = [amorphous(12, 3.0, 0.5, seed=seed) for seed in range(3)]
    energies = torch.linspace(-8, 8, 33, dtype=torch.float64)
    spins = random_spins(36, seed=0)
    joined = density_of_states(SDHamiltonian(union(systems), ExponentialHopping(), 6.0), spins, energies, 0.2)
    assert joined.shape == (3, 33)
    samples = [
        (SDHamiltonian(system, ExponentialHopping(), 6.0), piece)
        for system, piece in zip(systems, spins.split(12), strict=True)
    ]
    for k, (hamiltonian, piece) in enumerate(samples):
        torch.testing.assert_close(joined[k], density_of_states(hamiltonian, piece, energies, 0.2))
    average = average_density_of_states(iter(samples), energies, 0.2)
    assert average.n_samples == 3
    torch.testing.assert_close(average.mean, joined.mean(0))
    torch.testing.assert_close(average.standard_error, joined.std(0) / 3**0.5)
    half = average_density_of_states(samples, energies, 0.2, filling=0.5)
    assert float(half.mean[16]) < 0.1 * float(half.mean.max())  # the gap of half filling is at the chemical potential
    with pytest.raises(InvalidInput, match="at least one sample"):
        average_density_of_states([], energies, 0.2)


def test_amorphous_metal_has_its_peak_at_the_fermi_level():
    """Random packings without spins at half filling: gapless, with a pronounced peak near mu (glass paper, fig. 2)."""
    up = torch.tensor([0.0, 0, 1], dtype=torch.float64).expand(100, 3)
    samples = (
        (SDHamiltonian(amorphous(100, 5.0, 0.5, seed=seed), ExponentialHopping(), J=0.0), up) for seed in range(6)
    )
    energies = torch.linspace(-6, 12, 181, dtype=torch.float64)
    average = average_density_of_states(samples, energies, 0.1, filling=0.5)
    assert abs(float(energies[average.mean.argmax()])) < 0.5
    at_mu = float(average.mean[60])
    assert at_mu > 0.7 * float(average.mean.max())
    assert float(average.standard_error[60]) < 0.1 * at_mu


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"broadening": 0.0}, r"broadening=0\.0"),
        ({"energies": []}, "list of finite numbers"),
        ({"energies": [[0.0]]}, "list of finite numbers"),
        ({"energies": [float("nan")]}, "list of finite numbers"),
        ({"filling": 1.0}, r"filling=1\.0"),
        ({"shape": "box"}, "shape='box'"),
    ],
)
def test_bad_arguments(changed, reason):
    arguments = {"energies": [0.0], "broadening": 0.1, **changed}
    with pytest.raises(InvalidInput, match=reason):
        density_of_states(SDHamiltonian(chain(3)), random_spins(3, seed=0), **arguments)


def test_gap_of_levels():
    levels = torch.tensor([[-2.0, -1.0, 0.5, 3.0], [-2.0, -1.0, -1.0, 3.0]], dtype=torch.float64)
    assert gap(levels, n_electrons=2).tolist() == [1.5, 0.0]
    assert gap(levels, n_electrons=3).tolist() == [2.5, 4.0]
    assert gap(levels, n_electrons=1.5).tolist() == [0.0, 0.0]
    assert gap(levels, n_electrons=0).tolist() == [float("inf")] * 2
    assert gap(levels, n_electrons=4).tolist() == [float("inf")] * 2
    assert gap(levels, mu=0.0).tolist() == [1.5, 4.0]
    assert gap(levels, mu=-1.0).tolist() == [0.0, 0.0]
    assert gap(levels, mu=-5.0).tolist() == [float("inf")] * 2
    with pytest.raises(InvalidInput, match="exactly one"):
        gap(levels)


@pytest.mark.parametrize("ensemble", [{"mu": -1.1}, {"filling": 0.3}])
def test_density_matrix_of_the_solver(ensemble):
    """Hermitian, commutes with H, its blocks give the solver's density and field, its energy <H>."""
    hamiltonian, spins = SDHamiltonian(triangular(3, 4), J=2.0), random_spins(12, replicas=(3,), seed=0)
    ed = ExactDiagonalization(hamiltonian, kT=0.2, **ensemble)
    matrix, state, energy = ed.density_matrix(spins), ed.solve(spins), hamiltonian.dense(spins)
    torch.testing.assert_close(matrix, matrix.mH, atol=1e-13, rtol=0)
    torch.testing.assert_close(matrix @ energy, energy @ matrix, atol=1e-11, rtol=0)
    blocks = matrix.unflatten(-1, (12, 2)).unflatten(-3, (12, 2)).diagonal(dim1=-4, dim2=-2).movedim(-1, -3)
    torch.testing.assert_close(blocks.diagonal(dim1=-2, dim2=-1).real.sum(-1), state.density, atol=1e-12, rtol=0)
    up_down = blocks[..., 1, 0]
    field = 2.0 * torch.stack([2 * up_down.real, 2 * up_down.imag, (blocks[..., 0, 0] - blocks[..., 1, 1]).real], -1)
    torch.testing.assert_close(field, state.field, atol=1e-12, rtol=0)
    internal = (matrix @ energy).diagonal(dim1=-2, dim2=-1).sum(-1).real
    torch.testing.assert_close(internal, state.internal_energy, atol=1e-10, rtol=0)


def test_levels_and_gap_of_the_solver():
    spins = random_spins(16, replicas=(2,), seed=0)
    ed = ExactDiagonalization(SDHamiltonian(square(4, 4), J=6.0), kT=0.01, filling=0.5)
    levels = ed.levels(spins)
    torch.testing.assert_close(levels, torch.linalg.eigvalsh(ed.hamiltonian.dense(spins)))
    torch.testing.assert_close(ed.gap(spins), levels[:, 16] - levels[:, 15])
    joined = ExactDiagonalization(SDHamiltonian(union([square(4, 4)] * 2), J=6.0), kT=0.01, filling=0.5)
    both = joined.gap(spins.reshape(32, 3))
    torch.testing.assert_close(both, ed.gap(spins))
    for method in (joined.levels, joined.density_matrix):
        with pytest.raises(InvalidInput, match="no single matrix"):
            method(spins.reshape(32, 3))


def test_bands_of_the_square_lattice_in_closed_form():
    """Neel order: e = -+ sqrt(J^2 + 4 (cos kx + cos ky)^2), twice each; the gap of the crystal is 2 J."""
    system = square(2, 2)
    signs = torch.tensor([1.0, -1, -1, 1], dtype=torch.float64)
    spins = signs[:, None] * torch.tensor([0.0, 0, 1], dtype=torch.float64)
    hamiltonian = SDHamiltonian(system, J=0.7)
    q = np.random.default_rng(0).uniform(-3, 3, (4, 3))
    folded = [q, q + np.array([np.pi, 0, 0])]
    energy = [np.sqrt(0.49 + 4 * (np.cos(k[:, 0]) + np.cos(k[:, 1])) ** 2) for k in folded]
    expected = np.sort(np.concatenate([s * e[:, None] * np.ones(2) for s in (-1, 1) for e in energy], axis=1), axis=1)
    np.testing.assert_allclose(bands(hamiltonian, spins, q), expected, atol=1e-12)
    assert band_gap(hamiltonian, spins, 4, grid=8) == pytest.approx(1.4)
    assert band_gap(SDHamiltonian(chain(1), J=0.5), spins[:1], 1, grid=8) == pytest.approx(-3.0)
    with pytest.raises(InvalidInput, match="n_occupied=8"):
        band_gap(hamiltonian, spins, 8)


def test_the_gap_of_a_cluster_is_not_that_of_its_crystal():
    """A ferromagnetic ring of six has levels apart; those of the chain close as momenta fill in."""
    hamiltonian, spins = SDHamiltonian(chain(6), J=0.5), torch.tensor([[0.0, 0, 1]]).double().expand(6, 3)
    ed = ExactDiagonalization(hamiltonian, kT=0.0, n_electrons=4)
    assert ed.cluster_gap(spins).item() == ed.gap(spins).item() > 0.4
    assert band_gap(hamiltonian, spins, 4, grid=240) < 0.01
