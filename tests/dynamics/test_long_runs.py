"""Long runs: energy without a trend, memory without growth; and the weak order of the noise."""

from __future__ import annotations

import gc
import math
import os
import shutil

import numpy as np
import pytest
import torch
from sources import Paramagnet, ring

import gnnspin as gs
from gnnspin.core import State, random_spins
from gnnspin.dynamics import INTEGRATORS, StepParameters, simulate
from gnnspin.dynamics.timestep import fastest_rate

STEPS = sorted(set(INTEGRATORS) - {"adaptive"})


def learned(n: int) -> gs.ForceField:
    """A small calibrated model on an n x n triangular lattice, float64, fastest rate 1."""
    torch.manual_seed(0)
    system = gs.systems.triangular(n, n)
    spec = gs.graphs.GraphSpec.for_system(system, cutoff=1.5)
    model = gs.models.build("spin_cluster_expansion", spec, layers=1, channels=4, hidden=8, max_degree=2)
    geometry = model.prepare(system).to("cpu", torch.float32)
    model.calibrate(geometry, random_spins(n * n, replicas=(20,), seed=1, dtype=torch.float32))
    spins = random_spins(n * n, seed=0)
    model.energy_scale.div_(fastest_rate(gs.ForceField(model, system).to(dtype=torch.float64), spins))
    return gs.ForceField(model, system).to(dtype=torch.float64)


def energy_error(force_field: gs.ForceField, n_steps: int, every: int) -> np.ndarray:
    """Energy minus its initial value along an undamped run of the spherical midpoint."""
    run = simulate(
        force_field,
        random_spins(force_field.system.n_sites, seed=0),
        dt=0.1,
        n_steps=n_steps,
        damping=0.0,
        integrator="spherical_midpoint",
        tolerance=1e-9,
        observers={"energy": lambda state: force_field.energy(state.spins)},
        observe_every=every,
        progress=False,
    )
    return run.observables["energy"] - run.observables["energy"][0]


def check_no_trend(error: np.ndarray, bound: float) -> None:
    """Bounded, and a straight line through it is flat within three standard errors of its slope (of block means)."""
    assert abs(error).max() < bound
    blocks = error[: len(error) // 10 * 10].reshape(10, -1).mean(1)
    x = np.linspace(-1, 1, 10)
    slope = (x * blocks).sum() / (x * x).sum()
    noise = (blocks - blocks.mean() - slope * x).std(ddof=2) / math.sqrt((x * x).sum())
    assert abs(slope) < 3 * noise + 1e-3 * bound


def test_learned_model_keeps_its_energy():
    error = energy_error(learned(3), 60, 2)
    assert 1e-8 < abs(error).max() < 0.003


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_learned_model_keeps_its_energy_over_a_hundred_thousand_steps():
    check_no_trend(energy_error(learned(6).compile(), 100_000, 50), 0.005)


def resident_bytes() -> int:
    """Memory of this process that is in use now."""
    with open("/proc/self/statm", encoding="utf-8") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
@pytest.mark.parametrize(("kind", "n_steps"), [("ring", 1000), pytest.param("model", 10_000, marks=pytest.mark.slow)])
def test_memory_per_step_is_flat(kind, n_steps):
    source = ring(16) if kind == "ring" else learned(3)
    memory = []

    def watch(state):
        gc.collect()
        memory.append(resident_bytes())
        return 0

    gc.freeze()  # what other tests hold need not be searched
    try:
        simulate(
            source, random_spins(source.system.n_sites, seed=0), dt=0.1, n_steps=n_steps, damping=0.1, kT=0.01,
            observers=[watch], observe_every=n_steps // 10,
        )  # fmt: skip
    finally:
        gc.unfreeze()
    assert max(memory[5:]) - memory[3] < 1_000_000


@pytest.mark.parametrize("integrator", STEPS)
def test_noise_has_weak_order_one(integrator):
    # free spins: <S(t).S(0)> = exp(-2 lambda kT t); the factor of one step is measured on many spins
    n_sites, damping, kT = 1_000_000, 0.5, 1.0
    source = Paramagnet(gs.systems.chain(1), 0.0)
    source.system = Sites(n_sites)
    spins = torch.zeros(n_sites, 3, dtype=torch.float32)
    spins[:, 2] = 1.0
    errors = []
    for dt in (0.4, 0.2):
        parameters = StepParameters(dt=dt, damping=damping, kT=kT, tolerance=1e-5)
        mean = np.mean([
            float(INTEGRATORS[integrator](State(spins, step=k), source, parameters).spins[:, 2].double().mean())
            for k in range(2)
        ])  # fmt: skip
        errors.append(-math.log(mean) / dt - 2 * damping * kT)
    ratio = errors[0] / errors[1]
    assert abs(errors[1]) < 0.12
    assert ratio == pytest.approx(2.0, abs=0.8)


class Sites:
    """A bare number of sites."""

    n_graphs = 1

    def __init__(self, n_sites: int) -> None:
        self.n_sites = n_sites
