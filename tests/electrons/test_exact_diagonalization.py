"""Exact diagonalisation: state laws, closed forms and the gradient."""

import json

import numpy as np
import pytest
import torch
from helpers import gradient_error
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from gnnspin.core import FieldSource, InvalidInput, random_rotation, random_spins
from gnnspin.electrons import ExactDiagonalization, ExponentialHopping, NearestNeighborHopping, SDHamiltonian
from gnnspin.electrons import exact_diagonalization as module
from gnnspin.systems import SpinSystem, amorphous, chain, honeycomb, square, triangular, union

ENSEMBLES = [{"mu": -1.1}, {"filling": 0.31}, {"n_electrons": 17}]


def oracle(kT=0.05, system=None, J=2.0, **ensemble):
    return ExactDiagonalization(SDHamiltonian(system or triangular(5, 6), J=J), kT=kT, **(ensemble or {"mu": -1.1}))


@pytest.mark.parametrize("kT", [0.01, 0.3])
@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_field_is_the_gradient_of_the_potential(kT, ensemble):
    assert gradient_error(oracle(kT, **ensemble), random_spins(30, seed=1)) < 1e-6


def test_field_is_the_gradient_at_zero_temperature():
    assert gradient_error(oracle(0.0, n_electrons=17), random_spins(30, seed=1)) < 1e-6
    assert gradient_error(oracle(0.0, mu=-1.1), random_spins(30, seed=1)) < 1e-6


def test_field_is_the_gradient_on_an_amorphous_magnet_with_a_site_without_spin():
    couplings = np.full(40, 6.0)
    couplings[7] = 0.0
    system = amorphous(40, 4.0, 0.5, seed=0)
    ed = ExactDiagonalization(SDHamiltonian(system, ExponentialHopping(), couplings), kT=0.01, filling=0.5)
    spins = random_spins(40, seed=2)
    assert gradient_error(ed, spins) < 1e-6
    assert not ed.field(spins)[7].any()


def test_internal_energy_is_not_the_potential():
    """<H> at kT > 0 has another gradient: the trap that the free energy avoids."""
    ed, spins, step = oracle(0.3, filling=0.31), random_spins(30, seed=1), 1e-4
    shift = torch.zeros_like(spins)
    shift[4, 0] = step
    slope = (ed.solve(spins + shift).internal_energy - ed.solve(spins - shift).internal_energy) / (2 * step)
    assert abs(float(-slope - ed.field(spins)[4, 0])) > 1e-3


@settings(max_examples=25, deadline=None)
@given(st.floats(0, np.pi), st.floats(0.1, 8), st.floats(0.01, 2), st.floats(-4, 4))
def test_two_sites_in_closed_form(angle, coupling, kT, mu):
    """Levels of two sites at angle theta: e = s1 sqrt(t^2 + J^2 + s2 2 t J cos(theta/2))."""
    spins = torch.tensor([[0, 0, 1], [np.sin(angle), 0, np.cos(angle)]], dtype=torch.float64)
    state = oracle(kT, chain(2, pbc=False), coupling, mu=mu).solve(spins)
    root = np.sqrt(1 + coupling**2 + 2 * coupling * np.cos(angle / 2) * np.array([1, -1]))
    levels = np.concatenate([root, -root])
    assert state.energy.item() == pytest.approx(-kT * np.logaddexp(0, (mu - levels) / kT).sum(), abs=1e-11)
    occupation = 1 / (np.exp(np.clip((levels - mu) / kT, -700, 700)) + 1)
    slope = np.array([-1, 1]) * coupling * np.sin(angle / 2) / 2 / root
    expected = -(occupation * np.concatenate([slope, -slope])).sum()
    tangent = torch.tensor([np.cos(angle), 0, -np.sin(angle)], dtype=torch.float64)
    assert float(state.field[1] @ tangent) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(("number", "field"), [(0, 0.0), (0.5, 1.25), (1, 2.5), (1.25, 1.875), (2, 0.0)])
@pytest.mark.parametrize("kT", [0.0, 1e-3])
def test_isolated_site(number, field, kT):
    """One electron aligns with the spin and acts with J; two act with nothing."""
    spins = random_spins(1, seed=5)
    state = oracle(kT, SpinSystem([[0, 0, 0]]), 2.5, n_electrons=number).solve(spins)
    torch.testing.assert_close(state.field, field * spins, atol=1e-12, rtol=0)
    assert state.density.item() == pytest.approx(number, abs=1e-12)


@pytest.mark.parametrize("ensemble", ENSEMBLES)
@pytest.mark.parametrize("kT", [0.0, 0.05])
def test_spin_rotation_time_reversal_and_total_torque(ensemble, kT):
    ed, spins, rotation = oracle(kT, **ensemble), random_spins(30, seed=3), random_rotation(4)
    state, turned, reversed_ = ed.solve(spins), ed.solve(spins @ rotation.T), ed.solve(-spins)
    torch.testing.assert_close(turned.field, state.field @ rotation.T, atol=1e-11, rtol=0)
    torch.testing.assert_close(reversed_.field, -state.field, atol=1e-11, rtol=0)
    torch.testing.assert_close(turned.energy, state.energy, atol=1e-11, rtol=0)
    torch.testing.assert_close(turned.density, state.density, atol=1e-11, rtol=0)
    assert ed.torque(spins).abs().max() > 0.05
    torch.testing.assert_close(ed.torque(spins).sum(0), torch.zeros(3, dtype=torch.float64), atol=1e-11, rtol=0)


def test_complex_hopping_breaks_time_reversal_but_keeps_the_gradient():
    system = square(4, 4)
    matrix = NearestNeighborHopping().matrix(system).toarray().astype(complex)
    phase = np.random.default_rng(0).uniform(-1, 1, matrix.shape)
    matrix = matrix * np.exp(1j * (phase - phase.T))
    hamiltonian = SDHamiltonian(system, sparse.csr_array(matrix), J=2.0)
    ed, spins = ExactDiagonalization(hamiltonian, kT=0.05, mu=-1.0), random_spins(16, seed=0)
    assert not hamiltonian.time_reversal
    assert SDHamiltonian(system).time_reversal
    assert gradient_error(ed, spins) < 1e-6
    assert (ed.field(spins) + ed.field(-spins)).abs().max() > 1e-3


def test_electrons_are_counted():
    state = oracle(0.05, filling=0.31).solve(random_spins(30, replicas=(2,), seed=0))
    expected = torch.full((2,), 0.31 * 60, dtype=torch.float64)
    torch.testing.assert_close(state.n_electrons, expected)
    torch.testing.assert_close(state.density.sum(-1), expected, rtol=1e-12, atol=0)
    at_mu = oracle(0.05, mu=state.mu[0].item()).solve(random_spins(30, replicas=(2,), seed=0))
    assert at_mu.n_electrons[0].item() == pytest.approx(0.31 * 60, abs=1e-10)


def test_sum_over_holes_equals_sum_over_electrons():
    """Particle-hole pair: with h -> -h and S -> -S, filling f and 1 - f have equal and opposite fields."""
    system, spins = triangular(4, 5), random_spins(20, seed=6)
    plus, minus = (SDHamiltonian(system, NearestNeighborHopping(t), J=2.0) for t in (1.0, -1.0))
    for kT in (0.0, 0.1):
        few = ExactDiagonalization(plus, kT, filling=0.25).solve(spins)
        many = ExactDiagonalization(minus, kT, filling=0.75).solve(-spins)
        torch.testing.assert_close(many.field, -few.field, atol=1e-12, rtol=0)
        torch.testing.assert_close(many.density, 2 - few.density, atol=1e-12, rtol=0)


@pytest.mark.parametrize("ensemble", [{"mu": -1.1}, {"filling": 0.31}])
def test_batch_equals_single_whatever_the_chunk(ensemble, monkeypatch):
    ed, spins = oracle(**ensemble), random_spins(30, replicas=(2, 3), seed=0)
    together = ed.solve(spins)
    monkeypatch.setitem(module.CHUNK_BYTES, "cpu", 1)
    chunked = ed.solve(spins)
    assert together.field.shape == (2, 3, 30, 3)
    assert together.energy.shape == (2, 3)
    for a in range(2):
        for b in range(3):
            single = ed.solve(spins[a, b])
            for state in (together, chunked):
                torch.testing.assert_close(state.field[a, b], single.field, atol=1e-12, rtol=0)
                torch.testing.assert_close(state.energy[a, b], single.energy, atol=1e-12, rtol=0)
                torch.testing.assert_close(state.density[a, b], single.density, atol=1e-12, rtol=0)


@pytest.mark.parametrize("ensemble", [{"mu": -1.1}, {"filling": 0.31}, {"n_electrons": [5, 20.5, 11]}])
def test_union_equals_its_parts(ensemble):
    parts = [square(3, 4), honeycomb(2, 4), amorphous(9, 4.0, 0.5, seed=3)]
    couplings = [1.0, 2.0, 3.0]
    joined_couplings = np.repeat(couplings, [part.n_sites for part in parts])
    joined = ExactDiagonalization(SDHamiltonian(union(parts), J=joined_couplings), kT=0.05, **ensemble)
    spins = random_spins(37, replicas=(2,), seed=0)
    state = joined.solve(spins)
    assert state.energy.shape == (2, 3)
    for k, (part, piece) in enumerate(zip(parts, spins.split([12, 16, 9], dim=1), strict=True)):
        own = {key: value[k] if isinstance(value, list) else value for key, value in ensemble.items()}
        alone = ExactDiagonalization(SDHamiltonian(part, J=couplings[k]), kT=0.05, **own).solve(piece)
        here = torch.from_numpy(joined.system.graph_index == k)
        torch.testing.assert_close(state.energy[:, k], alone.energy, atol=1e-12, rtol=0)
        torch.testing.assert_close(state.mu[:, k], alone.mu, atol=1e-12, rtol=0)
        torch.testing.assert_close(state.field[:, here], alone.field, atol=1e-12, rtol=0)
        torch.testing.assert_close(state.density[:, here], alone.density, atol=1e-12, rtol=0)


def test_protocol():
    ed, spins = oracle(), random_spins(30, seed=0).requires_grad_()
    assert isinstance(ed, FieldSource)
    state = ed.solve(spins)
    energy, field = ed.energy_and_field(spins)
    torch.testing.assert_close(energy, state.energy, atol=1e-12, rtol=0)
    torch.testing.assert_close(ed.energy(spins), state.energy, atol=1e-12, rtol=0)
    torch.testing.assert_close(field, state.field, atol=0, rtol=0)
    assert not any(tensor.requires_grad for tensor in (energy, field, *vars(state).values()))
    single = oracle().solve(spins.detach().float())
    assert single.field.dtype == torch.float32
    assert single.energy.dtype == torch.float64
    assert ed.field(spins.detach().numpy()).equal(state.field)


def test_specification_identifies_the_source():
    first = oracle(filling=0.3).specification()
    assert json.loads(json.dumps(first)) == first
    assert first == oracle(filling=0.3).specification()
    others = [oracle(filling=0.31), oracle(0.06, filling=0.3), oracle(mu=0.3), oracle(J=2.1, filling=0.3)]
    assert all(first != other.specification() for other in others)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"kT": -0.1, "mu": 0.0}, "kT=-0.1"),
        ({"kT": float("nan"), "mu": 0.0}, "kT=nan"),
        ({"filling": 1.2}, "filling=1.2"),
        ({"filling": -0.1}, "filling=-0.1"),
        ({"filling": float("nan")}, "filling=nan"),
        ({"n_electrons": 61}, "n_electrons=61.* 60"),
        ({"n_electrons": [3, 4]}, "one per part"),
        ({"mu": float("inf")}, "mu=inf"),
        ({}, "none of mu"),
        ({"mu": 0.0, "filling": 0.5}, "mu and filling.*exactly one"),
    ],
)
def test_bad_arguments(arguments, reason):
    with pytest.raises(InvalidInput, match=reason):
        ExactDiagonalization(SDHamiltonian(triangular(5, 6)), **arguments)
