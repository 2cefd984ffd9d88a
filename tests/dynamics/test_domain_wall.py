"""A relaxed domain wall has its width and energy."""

from __future__ import annotations

import math

import pytest
import torch

import gnnspin as gs
from gnnspin.dynamics import simulate


@pytest.mark.parametrize(
    ("integrator", "dt"),
    [("adaptive", 5.0), ("semi_implicit", 0.25), pytest.param("semi_implicit", 0.125, marks=pytest.mark.slow)],
)
def test_width_and_energy_of_a_relaxed_wall(integrator, dt):
    J, K, n = 1.0, 0.02, 60
    width = math.sqrt(J / (2 * K))  # S_z = -tanh((x - x0) / width), energy 2 sqrt(2 J K)
    system = gs.systems.chain(n, pbc=False)
    source = gs.classical.Heisenberg(system, J=J) + gs.classical.UniaxialAnisotropy(system, K=K)
    x = torch.arange(n, dtype=torch.float64) - (n - 1) / 2
    angle = torch.pi * torch.sigmoid(2 * x)  # much too sharp
    spins = torch.stack([torch.sin(angle), torch.zeros_like(x), torch.cos(angle)], -1)
    run = simulate(source, spins, dt=dt, n_steps=round(150 / dt), damping=1.0, integrator=integrator)
    profile = run.spins[:, 2]
    inner = slice(n // 2 - 8, n // 2 + 8)
    slope = torch.linalg.lstsq(x[inner, None], torch.atanh(-profile[inner, None])).solution.item()
    assert 1 / slope == pytest.approx(width, rel=0.02)
    uniform = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(n, 3)
    energy = float(source.energy(run.spins) - source.energy(uniform))
    assert energy == pytest.approx(2 * math.sqrt(2 * J * K), rel=0.01)
