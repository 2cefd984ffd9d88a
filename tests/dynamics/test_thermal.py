"""Equilibrium laws: the noise amplitude is right when the Boltzmann distribution comes out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sources import Paramagnet, open_chain, ring

from gnnspin.core import FieldSource, random_spins
from gnnspin.dynamics import INTEGRATORS, simulate


def langevin(x: float) -> float:
    return 1 / math.tanh(x) - 1 / x


def thermal_average(source: FieldSource, spins: torch.Tensor, observable, *, dt, duration, **options):
    """Mean of `observable` (one value per independent sample) over the second half, and its standard error."""
    run = simulate(
        source,
        spins,
        dt=dt,
        n_steps=round(duration / dt),
        observers={"value": observable},
        observe_every=max(1, round(0.5 / dt)),
        **options,
    )
    values = run.observables["value"]
    samples = values[len(values) // 2 :].mean(0).ravel()
    return samples.mean(), samples.std(ddof=1) / math.sqrt(len(samples))


def extrapolated(coarse: tuple[float, float], fine: tuple[float, float]) -> tuple[float, float]:
    """Linear extrapolation to dt = 0 from dt and dt/2."""
    return 2 * fine[0] - coarse[0], math.hypot(2 * fine[1], coarse[1])


def paramagnet_at_two_steps(
    integrator: str, ratio: float, n_sites: int, duration: float, **options
) -> tuple[float, float]:
    kT = 1.0 / ratio
    spins = random_spins(n_sites, seed=1)
    options |= {"damping": 0.5, "kT": kT, "duration": duration * max(1.0, ratio / 2), "integrator": integrator}
    pair = [
        thermal_average(
            Paramagnet(n_sites, 1.0), spins, lambda s: s.spins[:, 2], dt=dt * min(1, ratio), seed=k, **options
        )
        for k, dt in enumerate((0.2, 0.1))
    ]
    return extrapolated(*pair)


@pytest.mark.parametrize(
    ("integrator", "ratio", "duration"),
    [("heun", 2.0, 20.0), ("rotation", 1.0, 20.0), ("semi_implicit", 2.0, 20.0), ("spherical_midpoint", 0.5, 10.0)],
)
def test_paramagnet_follows_the_langevin_function(integrator, ratio, duration):
    mean, error = paramagnet_at_two_steps(integrator, ratio, 4000, duration, tolerance=1e-6)
    assert error < 0.01
    assert abs(mean - langevin(ratio)) < 3 * error


@pytest.mark.slow
@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("integrator", sorted(set(INTEGRATORS) - {"adaptive"}))
def test_paramagnet_follows_the_langevin_function_closely(integrator, ratio):
    mean, error = paramagnet_at_two_steps(integrator, ratio, n_sites=20_000, duration=40.0)
    assert error < 0.003
    assert abs(mean - langevin(ratio)) < 3 * error


@pytest.mark.parametrize("integrator", ["extrapolated_midpoint", "heun", "semi_implicit"])
def test_pair_correlation_is_that_of_boltzmann(integrator):
    kT, replicas = 0.7, 2000
    spins = random_spins(2, replicas=(replicas,), seed=4)
    pair = [
        thermal_average(
            ring(2),
            spins,
            lambda s: (s.spins[:, 0] * s.spins[:, 1]).sum(-1),
            dt=dt,
            duration=16.0,
            damping=0.5,
            kT=kT,
            seed=k,
            integrator=integrator,
        )
        for k, dt in enumerate((0.1, 0.05))
    ]
    mean, error = extrapolated(*pair)
    assert error < 0.015
    assert abs(mean - langevin(1 / kT)) < 3 * error


def chain_correlations(integrator: str, kT: float, replicas: int, duration: float) -> tuple[list, list]:
    """Extrapolated <S_0.S_k> of an open chain of 5 spins, k = 1 .. 4, and standard errors."""
    source, spins = open_chain(5), random_spins(5, replicas=(replicas,), seed=4)
    means, errors = [], []
    runs = [
        simulate(
            source,
            spins,
            dt=dt,
            n_steps=round(duration / dt),
            damping=0.5,
            kT=kT,
            seed=k,
            integrator=integrator,
            observers={"value": lambda s: (s.spins[:, :1] * s.spins[:, 1:]).sum(-1)},
            observe_every=max(1, round(0.5 / dt)),
        ).observables["value"]
        for k, dt in enumerate((0.1, 0.05))
    ]
    for distance in range(4):
        pair = []
        for values in runs:
            samples = values[len(values) // 2 :, :, distance].mean(0)
            pair.append((samples.mean(), samples.std(ddof=1) / math.sqrt(replicas)))
        mean, error = extrapolated(*pair)
        means.append(mean)
        errors.append(error)
    return means, errors


@pytest.mark.parametrize(
    ("integrator", "kT"),
    [
        ("semi_implicit", 0.3),
        *[
            pytest.param(integrator, kT, marks=pytest.mark.slow)
            for integrator in sorted(set(INTEGRATORS) - {"adaptive"})
            for kT in (0.3, 0.6, 1.2)
        ],
    ],
)
def test_open_chain_correlations_are_powers_of_the_langevin_function(integrator, kT):
    means, errors = chain_correlations(integrator, kT, replicas=400, duration=30.0)
    for distance, (mean, error) in enumerate(zip(means, errors, strict=True), start=1):
        assert error < 0.03
        assert abs(mean - langevin(1 / kT) ** distance) < 3 * error


@pytest.mark.parametrize("integrator", ["rotation", "spherical_midpoint"])
def test_pair_energies_follow_the_boltzmann_density(integrator):
    # P(E) = exp(-E / kT) / (2 kT sinh(1 / kT)) for J = 1: the cumulative distribution of x = S1.S2 = -E
    kT, replicas = 0.7, 2500
    run = simulate(
        ring(2), random_spins(2, replicas=(replicas,), seed=4), dt=0.1, n_steps=100, damping=0.5, kT=kT,
        integrator=integrator, seed=1, tolerance=1e-6,
    )  # fmt: skip
    x = np.sort((run.spins[:, 0] * run.spins[:, 1]).sum(-1).numpy())
    exact = (np.exp(x / kT) - np.exp(-1 / kT)) / (2 * np.sinh(1 / kT))
    distance = np.abs(exact - (np.arange(replicas) + 0.5) / replicas).max()
    assert distance < 1.63 / math.sqrt(replicas)  # Kolmogorov-Smirnov, 1 %


@pytest.mark.parametrize("integrator", sorted(set(INTEGRATORS) - {"adaptive"}))
def test_free_spins_lose_memory_at_the_rate_of_the_noise(integrator):
    # without a field <S(t).S(0)> = exp(-2 lambda gamma kT t): rotational diffusion of the Stratonovich equation
    n_sites, damping, kT, duration = 20_000, 0.5, 1.0, 0.8
    spins = random_spins(n_sites, seed=2)
    cosines = []
    for dt in (0.1, 0.05):
        run = simulate(
            Paramagnet(n_sites, 0.0),
            spins,
            dt=dt,
            n_steps=round(duration / dt),
            damping=damping,
            kT=kT,
            integrator=integrator,
            seed=round(1000 * dt),
        )
        cosine = (run.spins * spins).sum(-1).numpy()
        cosines.append((cosine.mean(), cosine.std() / math.sqrt(n_sites)))
    mean, error = extrapolated(*cosines)
    assert abs(mean - math.exp(-2 * damping * kT * duration)) < 3 * error


def test_temperature_and_damping_may_differ_between_replicas_and_sites():
    n_sites = 3000
    spins = random_spins(n_sites, replicas=(2,), seed=1)
    options = {"dt": 0.1, "n_steps": 20, "seed": 3}
    both = simulate(Paramagnet(n_sites, 1.0), spins, kT=[0.2, 0.8], damping=np.array([0.1, 0.4]), **options)
    for replica, (kT, damping) in enumerate([(0.2, 0.1), (0.8, 0.4)]):
        alone = simulate(
            Paramagnet(n_sites, 1.0), spins[[replica]], kT=kT, damping=damping, replicas=[replica], **options
        )
        torch.testing.assert_close(both.spins[[replica]], alone.spins, atol=1e-12, rtol=0)
    cold = torch.ones(1, n_sites, dtype=torch.float64)
    cold[:, : n_sites // 2] = 0.0
    run = simulate(Paramagnet(n_sites, 0.0), spins, kT=cold, damping=0.2, **options)
    moved = (run.spins - spins).norm(dim=-1)
    assert moved[:, : n_sites // 2].max() < 1e-13
    assert moved[:, n_sites // 2 :].min() > 1e-3
