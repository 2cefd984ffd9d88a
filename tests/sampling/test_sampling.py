"""Samplers against exact statistical mechanics, and the machinery that makes them fast."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest

import gnnspin as gs
from gnnspin.classical import (
    Biquadratic,
    CubicAnisotropy,
    DzyaloshinskiiMoriya,
    Heisenberg,
    UniaxialAnisotropy,
    Zeeman,
)
from gnnspin.core import InvalidInput, random_spins
from gnnspin.sampling.coloring import check_colors, color_sites, coupled_sites
from gnnspin.sampling.energy_change import arc_change, energy_difference, linear_change, quadratic_change
from gnnspin.sampling.sampler import SamplerState, sample
from gnnspin.sampling.updates import HeatBath, Langevin, Metropolis, heat_bath_spins
from gnnspin.systems import amorphous, chain, honeycomb, simple_cubic, square, triangular, union


def langevin(x: float) -> float:
    return 1 / math.tanh(x) - 1 / x


def mean_and_error(samples) -> tuple[float, float]:
    values = np.asarray(samples, dtype=float).ravel()
    return values.mean(), values.std(ddof=1) / math.sqrt(len(values))


def sampler_named(name, source, kT):
    if name == "Langevin":
        return Langevin(source, kT, dt=0.1, n_steps=2, seed=7)
    if name == "heat bath":
        return HeatBath(source, kT, seed=3)
    if name == "with over-relaxation":
        return HeatBath(source, kT, overrelaxation=2, seed=4)
    return Metropolis(source, kT, width=1.0, sequential=name == "sequential", seed=5)


NAMES = ["heat bath", "with over-relaxation", "Metropolis", "sequential"]


@pytest.mark.parametrize("kT", [0.3, 1.0])
@pytest.mark.parametrize("name", NAMES)
def test_pair_has_the_boltzmann_distribution_of_energies(name, kT):
    """P(E) = exp(-E/kT) / [2 kT sinh(J/kT)] on -J .. J: flat density of states."""
    source = Heisenberg(chain(2, pbc=False))
    run = sample(sampler_named(name, source, kT), random_spins(2, replicas=(6000,), seed=1), n_sweeps=40)
    energy = source.energy(run.spins).numpy()
    cumulative = np.expm1(-(energy + 1) / kT) / np.expm1(-2 / kT)
    assert kstest(cumulative, "uniform").pvalue > 0.003
    mean, error = mean_and_error(energy)
    assert abs(mean + langevin(1 / kT)) < 3 * error


@pytest.mark.parametrize("name", NAMES[:3])
def test_paramagnet_follows_the_langevin_function(name):
    kT = torch.tensor([2.0, 1.0, 0.5, 0.2]).double()[:, None]
    source = Zeeman(chain(20), B=[0.0, 0.6, 0.8])
    sampler = sampler_named(name, source, kT)
    run = sample(sampler, random_spins(20, replicas=(4, 200), seed=2), n_sweeps=30)
    along = run.spins @ torch.tensor([0.0, 0.6, 0.8]).double()
    for values, temperature in zip(along, kT[:, 0].tolist(), strict=True):
        mean, error = mean_and_error(values)
        assert error < 0.01
        assert abs(mean - langevin(1 / temperature)) < 3 * error


@pytest.mark.parametrize("name", NAMES[:3])
def test_open_chain_has_the_exact_correlations(name):
    """<S_i.S_j> = L(J/kT)^|i-j| at three temperatures."""
    kT = torch.tensor([[0.3], [0.6], [1.2]]).double()
    source = Heisenberg(chain(12, pbc=False))
    run = sample(sampler_named(name, source, kT), random_spins(12, replicas=(3, 1000), seed=3), n_sweeps=80)
    for spins, temperature in zip(run.spins, kT[:, 0].tolist(), strict=True):
        for distance in (1, 2, 5):
            products = (spins[:, distance:] * spins[:, :-distance]).sum(-1).mean(-1)
            mean, error = mean_and_error(products)
            assert error < 0.02
            assert abs(mean - langevin(1 / temperature) ** distance) < 3 * error


def test_samplers_agree_on_a_chiral_lattice():
    system = triangular(6, 6)
    source = Heisenberg(system, J=-1.0) + DzyaloshinskiiMoriya(system, 0.4) + Zeeman(system, [0, 0, 0.5])
    found = {}
    for name in ("with over-relaxation", "Metropolis"):
        run = sample(
            sampler_named(name, source, 0.4),
            random_spins(36, replicas=(40,), seed=5),
            n_sweeps=80,
            observers={"energy": lambda state: source.energy(state.spins) / 36},
        )
        found[name] = mean_and_error(run.observables["energy"][30:].mean(0))
    (a, da), (b, db) = found.values()
    assert math.hypot(da, db) < 0.015
    assert abs(a - b) < 3 * math.hypot(da, db)


def test_anisotropic_spins_by_metropolis():
    """<S_z^2> = int z^2 exp(K z^2 / kT) / int exp(K z^2 / kT), quadratic rule; cubic anisotropy by the arc rule."""
    system, z = chain(20), np.linspace(-1, 1, 4001)
    sampler = Metropolis(UniaxialAnisotropy(system, 1.0), 0.5, width=2.0, seed=1)
    assert sampler.energy_change is quadratic_change
    mean, error = mean_and_error(
        sample(sampler, random_spins(20, replicas=(300,), seed=0), n_sweeps=40).spins[..., 2] ** 2
    )
    weights = np.exp(z**2 / 0.5)
    assert abs(mean - (weights * z**2).sum() / weights.sum()) < 3 * error
    cubic = CubicAnisotropy(system, 1.0)
    sampler = Metropolis(cubic, 0.3, width=2.0, seed=1)
    assert sampler.energy_change is arc_change
    spins = sample(sampler, random_spins(20, replicas=(300,), seed=0), n_sweeps=40).spins
    energies = cubic_energy(spins.reshape(-1, 3))
    uniform = random_spins(10**6, seed=9)
    weight = torch.exp(-cubic_energy(uniform) / 0.3)
    mean, error = mean_and_error(energies)
    assert abs(mean - float((weight * cubic_energy(uniform)).sum() / weight.sum())) < 3 * error


def cubic_energy(spins):
    squares = spins.square()
    return squares[:, 0] * squares[:, 1] + squares[:, 1] * squares[:, 2] + squares[:, 2] * squares[:, 0]


def test_langevin_sampling_extrapolates_to_the_pair_correlation():
    kT, source = 0.7, Heisenberg(chain(2, pbc=False))
    values = []
    for number, dt in enumerate((0.1, 0.05)):
        sampler = Langevin(source, kT, dt=dt, damping=0.5, n_steps=round(1 / dt), seed=number)
        run = sample(
            sampler,
            random_spins(2, replicas=(1500,), seed=4),
            n_sweeps=24,
            observers={"product": lambda state: (state.spins[:, 0] * state.spins[:, 1]).sum(-1)},
        )
        values.append(mean_and_error(run.observables["product"][12:].mean(0)))
    mean = 2 * values[1][0] - values[0][0]
    error = math.hypot(2 * values[1][1], values[0][1])
    assert error < 0.02
    assert abs(mean - langevin(1 / kT)) < 3 * error


def test_heat_bath_formula_in_its_limits():
    noise = torch.randn(3, 20000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weak = heat_bath_spins(torch.zeros_like(noise), 1.0, noise)
    assert weak.mean(1).abs().max() < 0.02
    assert kstest(weak[2].numpy(), "uniform", args=(-1, 2)).pvalue > 0.003
    field = torch.tensor([0.0, 0.0, 1e9]).double()[:, None].expand(3, 20000)
    strong = heat_bath_spins(field, 1.0, noise)
    assert ((1 - strong[2]).abs() < 1e-7).all()
    assert (strong[:2] * math.sqrt(1e9)).std().item() == pytest.approx(1.0, abs=0.02)
    assert torch.isfinite(heat_bath_spins(field.float(), 1e-3, noise.float())).all()


def test_overrelaxation_keeps_the_energy():
    source = Heisenberg(triangular(6, 6), J=[-1.0, 0.4])
    spins = random_spins(36, replicas=(2,), seed=0)
    bath, more = HeatBath(source, 0.5, seed=2), HeatBath(source, 0.5, overrelaxation=3, seed=2)
    a, b = (sampler.sweep(sampler.start(spins)).spins for sampler in (bath, more))
    assert (a - b).abs().max() > 0.1
    torch.testing.assert_close(source.energy(a), source.energy(b), atol=1e-11, rtol=0)


@pytest.mark.parametrize(
    ("system", "J", "n_colors"),
    [
        (chain(8), 1.0, 2),
        (square(6, 8), 1.0, 2),
        (simple_cubic(4, 4, 4), 1.0, 2),
        (honeycomb(4, 4), 1.0, 2),
        (triangular(6, 6), 1.0, 3),
        (square(5, 5), [1.0, 0.5], None),
        (amorphous(40, 4.0, 0.5, seed=0), [1.0] * 8, None),
        (union([chain(4), square(4, 4)]), 1.0, 2),
    ],
)
def test_colors_are_independent_sets(system, J, n_colors):
    source = Heisenberg(system, J=J)
    pairs = coupled_sites(source)
    colors = color_sites(pairs)
    assert sorted(torch.cat(colors).tolist()) == list(range(system.n_sites))
    for sites in colors:
        assert pairs[sites.numpy()][:, sites.numpy()].nnz == 0
    assert len(colors) <= pairs.sum(1).max() + 1
    if n_colors is not None:
        assert len(colors) == n_colors
    check_colors(source, colors)


def test_probed_pairs_are_the_bonds():
    system = triangular(5, 4)
    found = coupled_sites(Heisenberg(system))
    given = coupled_sites(Heisenberg(system), cutoff=1.1)
    assert (found != given).nnz == 0


def test_cutoff_that_is_too_short_is_noticed():
    source = Heisenberg(square(6, 6), J=[1.0, 0.5])
    for kind in (HeatBath, Metropolis):
        with pytest.raises(InvalidInput, match="act on each other"):
            kind(source, 1.0, cutoff=1.1)
        kind(source, 1.0, cutoff=1.5)


@pytest.mark.parametrize(
    ("term", "rule"),
    [
        (lambda s: DzyaloshinskiiMoriya(s, 0.3) + Zeeman(s, [0, 0.1, 0]), linear_change),
        (lambda s: Biquadratic(s, 0.7) + UniaxialAnisotropy(s, 0.3), quadratic_change),
        (lambda s: CubicAnisotropy(s, 0.5), arc_change),
    ],
)
def test_energy_changes_are_those_of_single_moves(term, rule):
    system = square(4, 4)
    source = Heisenberg(system) + term(system)
    sampler = Metropolis(source, 1.0)
    assert sampler.energy_change is rule
    spins, new = (random_spins(16, replicas=(2,), seed=s).movedim(-1, 0) for s in (0, 1))
    for sites in sampler.colors:
        together = rule(source, spins, sites, new[..., sites])
        alone = [energy_difference(source, spins, site[None], new[..., site[None]]) for site in sites]
        torch.testing.assert_close(together, torch.cat(alone, -1), atol=1e-9, rtol=0)


def test_every_spin_coupled_to_all_is_sampled_one_by_one():
    system = gs.systems.chain(4, pbc=False)
    h = gs.electrons.SDHamiltonian(system, hopping=gs.electrons.NearestNeighborHopping(t=1.0), J=2.0)
    source = gs.electrons.ExactDiagonalization(h, kT=0.2, filling=0.25)
    sampler = Metropolis(source, 0.05, width=1.0, seed=0)
    assert sampler.sequential
    spins = random_spins(4, replicas=(20,), seed=0)
    run = sample(sampler, spins, n_sweeps=10)
    assert run.state.step == 10
    assert ((run.state.acceptance > 0) & (run.state.acceptance < 1)).all()
    assert source.energy(run.spins).mean() < source.energy(spins).mean()


def test_anisotropy_has_no_heat_bath():
    system = square(4, 4)
    with pytest.raises(InvalidInput, match="use Metropolis"):
        HeatBath(Heisenberg(system) + UniaxialAnisotropy(system, 0.1), 1.0)


@pytest.mark.parametrize("name", [*NAMES, "Langevin"])
def test_chain_is_restartable_and_independent_of_the_batch(name, tmp_path):
    source = Heisenberg(square(4, 4))
    spins = random_spins(16, replicas=(3,), seed=1)
    kT = torch.tensor([0.4, 0.6, 0.8], dtype=torch.float64)

    def sampler(temperature, replicas=None):
        made = sampler_named(name, source, temperature)
        made.replicas = replicas
        return made

    whole = sample(sampler(kT), spins, n_sweeps=6)
    first = sample(sampler(kT), spins, n_sweeps=2).state
    np.savez(tmp_path / "state.npz", **first.arrays())
    with np.load(tmp_path / "state.npz") as stored:
        again = SamplerState.from_arrays(stored)
    continued = sample(sampler(kT), again, n_sweeps=4)
    assert torch.equal(continued.spins, whole.spins)
    assert torch.equal(continued.state.accepted, whole.state.accepted)
    batch, alone = sample(sampler(kT), spins, n_sweeps=1), sample(sampler(0.8, [2]), spins[2], n_sweeps=1)
    torch.testing.assert_close(alone.spins, batch.spins[2], atol=1e-12, rtol=0)
    assert not torch.equal(sample(sampler(kT).at(0.1), spins, n_sweeps=1).spins, batch.spins)


def test_observations_are_stacked():
    source = Heisenberg(chain(4))
    bath = HeatBath(source, 1.0)
    run = sample(bath, random_spins(4, seed=0), n_sweeps=7, observe_every=3, observers={"sweeps": lambda s: s.time})
    assert run.steps.tolist() == [3, 6]
    assert run.observables["sweeps"].tolist() == [3.0, 6.0]
    assert run.state.step == 7


def test_single_precision_is_kept():
    source = Heisenberg(square(4, 4))
    run = sample(HeatBath(source, 0.5, overrelaxation=1), random_spins(16, seed=0, dtype=torch.float32), n_sweeps=20)
    assert run.spins.dtype == torch.float32
    assert (run.spins.norm(dim=-1) - 1).abs().max() < 1e-6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s: HeatBath(s, 0.0), "kT=0.0 must be positive"),
        (lambda s: HeatBath(s, [1.0, -1.0]), "kT="),
        (lambda s: HeatBath(s, 1.0, overrelaxation=-1), "overrelaxation=-1"),
        (lambda s: Metropolis(s, 1.0, width=0.0), "width=0.0"),
        (lambda s: Langevin(s, 1.0, dt=0.1, n_steps=0), "n_steps=0"),
        (lambda s: HeatBath(s, [1.0, 2.0]).start(random_spins(4, seed=0)), "does not fit replicas"),
        (lambda s: HeatBath(s, 1.0, replicas=[1]).start(random_spins(4, replicas=(2,), seed=0)), "replicas="),
        (lambda s: sample(HeatBath(s, 1.0), random_spins(4, seed=0), n_sweeps=-1), "n_sweeps=-1"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(InvalidInput, match=message):
        make(Heisenberg(chain(4)))
