"""Parallel tempering: right marginals at every temperature, through barriers, reproducibly."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from sources import Paramagnet

from gnnspin.classical import Heisenberg, UniaxialAnisotropy
from gnnspin.core import InvalidInput, NoEnergyError, random_spins
from gnnspin.sampling.sampler import sample
from gnnspin.sampling.tempering import ParallelTempering, TemperingState
from gnnspin.sampling.updates import HeatBath, Metropolis
from gnnspin.systems import chain, square, union

LADDER = [0.2, 0.35, 0.6, 1.0]


def pair_ladder(**options) -> ParallelTempering:
    return ParallelTempering(HeatBath(Heisenberg(chain(2, pbc=False)), 1.0, seed=4), LADDER, **options)


def test_every_temperature_keeps_its_boltzmann_distribution():
    ladder = pair_ladder()
    run = sample(ladder, ladder.random_start(copies=(3000,), seed=0), n_sweeps=30)
    energies = ladder.sampler.source.energy(run.spins).numpy()
    for energy, kT in zip(energies.T, LADDER, strict=True):
        cumulative = np.expm1(-(energy + 1) / kT) / np.expm1(-2 / kT)
        assert kstest(cumulative, "uniform").pvalue > 0.003


def test_swap_rates_are_those_of_two_independent_ensembles():
    """<min(1, exp(dbeta dE))> over exact, independent pair energies of neighbouring temperatures."""
    ladder = pair_ladder()
    run = sample(ladder, ladder.random_start(copies=(2000,), seed=0), n_sweeps=40)
    generator = np.random.default_rng(0)
    energies = [-1 - kT * np.log1p(generator.random(10**6) * np.expm1(-2 / kT)) for kT in LADDER]
    for k in range(3):
        change = (1 / LADDER[k] - 1 / LADDER[k + 1]) * (energies[k] - energies[k + 1])
        exact = np.exp(np.minimum(0, change)).mean()
        rates = run.state.swap_rates[:, k]
        assert float(run.state.attempted[:, k].mean()) == 20
        assert abs(float(rates.mean()) - exact) < 3 * float(rates.std()) / math.sqrt(2000)


def test_barrier_is_crossed_only_with_tempering():
    """Easy-axis spins with a barrier of 25 kT, all up: small moves stay, the ladder brings <S_z> = 0."""
    source = UniaxialAnisotropy(chain(1, pbc=False), 2.5)
    kT = np.geomspace(0.1, 4.0, 9)
    up = torch.tensor([0.0, 0.0, 1.0]).double().expand(400, 9, 1, 3)
    metropolis = Metropolis(source, kT, width=np.sqrt(kT / 5), seed=1)
    stuck = sample(metropolis, up, n_sweeps=150).spins[:, 0, 0, 2]
    assert (stuck > 0.5).all()
    run = sample(ParallelTempering(metropolis, kT), up, n_sweeps=150)
    z = run.spins[:, 0, 0, 2]
    assert abs(float(z.mean())) < 3 * float(z.std()) / 20
    grid = np.linspace(-1, 1, 20001)
    weight = np.exp((grid**2 - 1) * 25)
    square_z = z.square()
    exact = (weight * grid**2).sum() / weight.sum()
    assert abs(float(square_z.mean()) - exact) < 3 * float(square_z.std()) / 20
    assert run.state.round_trips.sum() > 100


def test_walkers_are_permuted_and_spins_follow_them():
    source = UniaxialAnisotropy(chain(1, pbc=False), 1e-9)
    labels = torch.linspace(-0.9, 0.9, 5).double()
    spins = torch.stack([(1 - labels**2).sqrt(), 0 * labels, labels], -1)[:, None, :]
    still = Metropolis(source, 1.0, width=1e-12, seed=3)
    ladder = ParallelTempering(still, [1.0, 2.0, 3.0, 4.0, 5.0])
    run = sample(ladder, spins, n_sweeps=11)
    assert sorted(run.state.walker.tolist()) == list(range(5))
    assert run.state.walker.tolist() != list(range(5))
    torch.testing.assert_close(run.spins[:, 0, 2], labels[run.state.walker], atol=1e-9, rtol=0)
    assert (run.state.swap_rates == 1).all()  # no energy, every swap is accepted


def test_restart_is_bit_for_bit(tmp_path):
    source = Heisenberg(square(4, 4))
    ladder = ParallelTempering(HeatBath(source, 1.0, overrelaxation=1, seed=2), [0.5, 0.6, 0.8], swap_every=2)
    start = ladder.random_start(copies=(2,), seed=1)
    whole = sample(ladder, start, n_sweeps=9).state
    half = sample(ladder, start, n_sweeps=5).state
    np.savez(tmp_path / "state.npz", **half.arrays())
    with np.load(tmp_path / "state.npz") as stored:
        again = sample(ladder, TemperingState.from_arrays(stored), n_sweeps=4).state
    for name, value in whole.arrays().items():
        assert np.array_equal(value, again.arrays()[name]), name
    assert whole.attempted.sum() == 2 * 4
    other = ParallelTempering(HeatBath(source, 1.0, overrelaxation=1, seed=3), [0.5, 0.6, 0.8])
    assert not torch.equal(sample(other, start, n_sweeps=9).spins, whole.spins)


def test_observers_see_all_temperatures():
    ladder = pair_ladder()
    run = sample(
        ladder, ladder.random_start(seed=0), n_sweeps=6, observe_every=2, observers={"swaps": lambda s: s.swap_rates}
    )
    assert run.observables["swaps"].shape == (3, 3)
    assert run.state.acceptance.tolist() == [1.0] * 4


class Driven(Paramagnet):
    has_energy = False


def test_bad_input():
    bath = HeatBath(Heisenberg(chain(4)), 1.0)
    for kT in ([1.0], [1.0, 0.5], [[1.0, 2.0]]):
        with pytest.raises(InvalidInput, match="ascending"):
            ParallelTempering(bath, kT)
    with pytest.raises(InvalidInput, match="swap_every=0"):
        ParallelTempering(bath, [1.0, 2.0], swap_every=0)
    with pytest.raises(InvalidInput, match="union"):
        ParallelTempering(HeatBath(Heisenberg(union([chain(3), chain(4)])), 1.0), [1.0, 2.0])
    with pytest.raises(NoEnergyError):
        ParallelTempering(HeatBath(Driven(4, 1.0), 1.0), [1.0, 2.0])
    with pytest.raises(InvalidInput, match="does not fit"):
        ParallelTempering(bath, [1.0, 2.0]).start(random_spins(4, replicas=(3,), seed=0))
