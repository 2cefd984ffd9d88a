"""The spin temperature is that of the bath; residuals are what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sources import Paramagnet

from gnnspin.classical import CubicAnisotropy, Heisenberg, UniaxialAnisotropy, Zeeman
from gnnspin.core import InvalidInput, NoEnergyError, State, random_spins
from gnnspin.dynamics import simulate
from gnnspin.dynamics.thermometry import energy_per_site, spin_temperature, temperature_terms, torque_residual
from gnnspin.sampling.sampler import sample
from gnnspin.sampling.updates import HeatBath, Metropolis
from gnnspin.systems import chain, square, triangular, union


def measured(terms) -> tuple[float, float]:
    """Temperature and its error over independent replicas (T, R, 2)."""
    per_replica = terms.mean(0)
    kT = float(spin_temperature(per_replica))
    residual = per_replica[:, 0] - kT * per_replica[:, 1]
    return kT, residual.std(ddof=1) / math.sqrt(len(residual)) / per_replica[:, 1].mean()


@pytest.mark.parametrize(
    ("kT", "curvature"),
    [
        (0.2, True),
        (0.5, False),
        (1.2, True),
        *[pytest.param(kT, kT == 0.5, marks=pytest.mark.slow) for kT in (0.2, 0.5, 1.2)],
    ],
)
def test_heat_bath_ensemble_has_the_temperature_of_the_bath(kT, curvature):
    system = triangular(6, 6)
    source = Heisenberg(system, J=-1.0) + Zeeman(system, [0, 0, 0.4])
    run = sample(
        HeatBath(source, kT, overrelaxation=1, seed=1),
        random_spins(36, replicas=(40,), seed=0),
        n_sweeps=90,
        observe_every=3,
        observers={"terms": temperature_terms(source, curvature=curvature, seed=5)},
    )
    found, error = measured(run.observables["terms"][10:])
    assert error < 0.02 * kT
    assert abs(found - kT) < 3 * error


@pytest.mark.parametrize(
    ("term", "n_sweeps"), [(UniaxialAnisotropy, 150), pytest.param(CubicAnisotropy, 90, marks=pytest.mark.slow)]
)
def test_anisotropy_needs_the_curvature(term, n_sweeps):
    system, kT = square(4, 4), 0.6
    source = Heisenberg(system) + term(system, 1.5)
    observers = {
        "plain": temperature_terms(source),
        "full": temperature_terms(source, curvature=True, probes=2, seed=3),
    }
    run = sample(
        Metropolis(source, kT, width=1.0, seed=2),
        random_spins(16, replicas=(60,), seed=0),
        n_sweeps=n_sweeps,
        observe_every=5,
        observers=observers,
    )
    found, error = measured(run.observables["full"][6:])
    assert error < 0.03 * kT
    assert abs(found - kT) < 3 * error
    wrong, error = measured(run.observables["plain"][6:])
    assert abs(wrong - kT) > 3 * error


def test_langevin_dynamics_reaches_the_temperature_of_its_bath():
    system, kT, pairs = square(8, 8), 0.5, []
    source = Heisenberg(system)
    for seed, dt in enumerate((0.08, 0.04)):
        run = simulate(
            source,
            random_spins(64, replicas=(16,), seed=0),
            dt=dt,
            n_steps=round(24 / dt),
            damping=0.5,
            kT=kT,
            seed=seed,
            observers=[temperature_terms(source)],
            observe_every=round(0.8 / dt),
        )
        pairs.append(measured(run.observables["spin_temperature_terms"][15:]))
    found = 2 * pairs[1][0] - pairs[0][0]
    error = math.hypot(2 * pairs[1][1], pairs[0][1])
    assert error < 0.03 * kT
    assert abs(found - kT) < 3 * error


def test_probed_laplacian_is_unbiased():
    """E = -K sum (n.S)^2: Laplace E / N = -2K (1 - 3 <(n.S)^2>); single precision too."""
    system, K = chain(200), 0.7
    source = UniaxialAnisotropy(system, K)
    spins = random_spins(200, seed=1)
    exact = -2 * K * (1 - 3 * float(spins[:, 2].square().mean()))
    for dtype in (torch.float64, torch.float32):
        terms = temperature_terms(source, curvature=True, probes=400, seed=2)(State(spins.to(dtype), 0.0, 0))
        assert float(terms[1]) == pytest.approx(exact, abs=0.02)
    assert float(terms[0]) == pytest.approx(float(source.torque(spins).square().sum()) / 200, rel=1e-5)


def test_probes_are_a_function_of_seed_and_step():
    source, spins = CubicAnisotropy(chain(6), 1.0), random_spins(6, replicas=(2,), seed=0)
    terms = temperature_terms(source, curvature=True, seed=1)
    first, again, other = (terms(State(spins, 0.0, step)) for step in (4, 4, 5))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.shape == (2, 2)


def test_energy_and_torque_residuals_fall_during_relaxation():
    system = square(6, 6)
    source = Heisenberg(system)
    run = simulate(
        source,
        random_spins(36, replicas=(2,), seed=0),
        dt=0.05,
        n_steps=400,
        damping=0.5,
        observers=[energy_per_site(source), torque_residual(source)],
        observe_every=50,
    )
    assert (np.diff(run.observables["energy_per_site"], axis=0) < 0).all()
    residual = run.observables["torque_residual"]
    assert residual.shape == (9, 2, 2)
    assert (residual[..., 1] <= residual[..., 0]).all()
    assert (residual[-1] < 0.2 * residual[0]).all()
    exact = source.torque(run.spins).norm(dim=-1)
    np.testing.assert_allclose(residual[-1, :, 0], exact.amax(-1))
    np.testing.assert_allclose(residual[-1, :, 1], exact.square().mean(-1).sqrt())


def test_energy_per_site_of_a_union_counts_each_part():
    system = union([chain(4), square(4, 4)])
    up = torch.tensor([0.0, 0, 1]).double().expand(20, 3)
    assert energy_per_site(Heisenberg(system))(State(up)).tolist() == [-1.0, -2.0]


class Driven(Paramagnet):
    has_energy = False


def test_bad_input():
    with pytest.raises(InvalidInput, match="probes=0"):
        temperature_terms(Paramagnet(4, 1.0), probes=0)
    with pytest.raises(InvalidInput, match="terms have shape"):
        spin_temperature(np.ones((5, 3)))
    with pytest.raises(NoEnergyError):
        energy_per_site(Driven(4, 1.0))
