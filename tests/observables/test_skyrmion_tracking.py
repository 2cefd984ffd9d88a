"""Skyrmions: centre and radius of textures that are known, Thiele's equation, motion with errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import gnnspin as gs
from gnnspin.classical import DzyaloshinskiiMoriya, Heisenberg, UniaxialAnisotropy, Zeeman, ZhangLi
from gnnspin.core import InvalidInput, normalize
from gnnspin.dynamics import gilbert_form, simulate
from gnnspin.observables import (
    dissipation_tensor,
    skyrmion,
    skyrmion_center,
    skyrmion_motion,
    skyrmion_radius,
    thiele_velocity,
    topological_charge,
)


@pytest.mark.parametrize("vorticity", [1, -1])
@pytest.mark.parametrize(
    "system",
    [gs.systems.square(24, 24), gs.systems.triangular(24, 24), gs.systems.square(24, 24, pbc=(True, False))],
    ids=["square", "triangular", "ribbon"],
)
def test_centre_and_radius_wherever_it_is(system: gs.systems.SpinSystem, vorticity: int) -> None:
    """Across periodic boundaries too; the centre within the cell."""
    for center in ((12.0, 9.0), (23.4, 10.2), (11.7, 9.6) if not system.pbc[1] else (3.1, 0.3)):
        spins = skyrmion(system, center=center, radius=4.0, wall=1.5, vorticity=vorticity)
        away = skyrmion_center(system, spins).numpy() - center
        away = gs.systems.distances.shortest_images(system, [*away, 0.0])
        assert np.linalg.norm(away) < 0.05
        assert float(skyrmion_radius(system, spins)) == pytest.approx(4.0, abs=0.1)
    flipped = torch.tensor(spins) * torch.tensor([1.0, 1.0, -1.0])
    assert float(skyrmion_radius(system, flipped)) == pytest.approx(4.0, abs=0.1)
    assert float(skyrmion_radius(system, flipped, polarity=1)) == pytest.approx(4.0, abs=0.1)


def test_far_fluctuations_are_left_out_and_no_skyrmion_is_nan() -> None:
    system = gs.systems.square(32, 32)
    torch.manual_seed(0)
    spins = torch.tensor(skyrmion(system, center=(30.0, 4.0), radius=4.0))
    noisy = normalize(spins + 0.25 * torch.randn(3, *spins.shape, dtype=torch.float64))
    found = skyrmion_center(system, noisy, within=9.0)
    away = gs.systems.distances.shortest_images(system, np.pad(found.numpy() - [30.0, 4.0], [(0, 0), (0, 1)]))
    assert np.linalg.norm(away, axis=-1).max() < 1.0
    up = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64).expand(1024, 3)
    assert skyrmion_center(system, up).isnan().all()
    assert float(skyrmion_radius(system, up)) == 0.0


def test_dissipation_of_a_belavin_polyakov_skyrmion() -> None:
    """``D = 4 pi`` times the identity, in the continuum, whatever the size."""
    system = gs.systems.square(120, 120, pbc=False)
    offset = torch.tensor(system.positions[:, :2] - system.positions[:, :2].mean(0)) / 7.0
    square = offset.square().sum(-1)
    spins = torch.stack([2 * offset[:, 0], 2 * offset[:, 1], square - 1], -1) / (square + 1)[:, None]
    found = dissipation_tensor(system, normalize(spins))
    torch.testing.assert_close(found / (4 * math.pi), torch.eye(2, dtype=torch.float64), atol=0.03, rtol=0)


def test_thieles_equation_in_its_limits() -> None:
    system = gs.systems.square(24, 24)
    spins = skyrmion(system, radius=4.0)
    same = thiele_velocity(system, spins, (0.1, 0.2), alpha=0.3, beta=0.3)
    np.testing.assert_allclose(same, [0.1, 0.2], atol=1e-12)
    found = thiele_velocity(system, spins, (0.1, 0.0), alpha=0.3, beta=0.0)
    ratio = float(dissipation_tensor(system, spins)[0, 0] / (4 * math.pi * topological_charge(system, spins)))
    assert float(found[1] / found[0]) == pytest.approx(-ratio * 0.3, rel=1e-2)  # tan of the Hall angle at beta = 0


def driven_skyrmion(system: gs.systems.SpinSystem, alpha: float, beta: float, u: float, duration: float):
    """Relaxed skyrmion and its motion under a current along x, from the second half of a run."""
    source = Heisenberg(system) + DzyaloshinskiiMoriya(system, 0.25) + Zeeman(system, (0, 0, 0.035))
    source = source + UniaxialAnisotropy(system, 0.02)
    relaxed = gs.sampling.minimize(source, skyrmion(system, radius=5.0, wall=3.0), tolerance=1e-5).spins
    run = simulate(
        source + ZhangLi(system, (u, 0, 0), beta),
        relaxed,
        dt=0.1,
        n_steps=round(duration / 0.1),
        observers=["skyrmion_center"],
        observe_every=40,
        progress=False,
        **gilbert_form(alpha),
    )
    centers = run.observables["skyrmion_center"]
    motion = skyrmion_motion(run.times, centers, (1, 0), system=system, window=(duration / 2, duration))
    return relaxed, run, motion


@pytest.mark.slow
@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 0.0), (0.3, 0.6), (0.1, 0.3)])
def test_a_driven_skyrmion_moves_as_thiele_says(alpha: float, beta: float) -> None:
    """Velocity and Hall angle within 5 %."""
    system, u = gs.systems.square(32, 32), 0.1
    relaxed, run, motion = driven_skyrmion(system, alpha, beta, u, 240.0)
    assert float(topological_charge(system, run.spins)) == pytest.approx(-1.0, abs=1e-6)
    exact = thiele_velocity(system, relaxed, (u, 0.0), alpha=alpha, beta=beta).numpy()
    assert motion.speed.value == pytest.approx(float(np.linalg.norm(exact)), rel=0.05)
    assert motion.hall_angle.value == pytest.approx(math.atan2(exact[1], exact[0]), rel=0.05)


def test_motion_across_boundaries_and_its_errors() -> None:
    system, times, rng = gs.systems.square(12, 12), np.linspace(0, 80, 50), np.random.default_rng(1)
    straight = 6.0 + times[:, None, None] * np.array([0.3, -0.1])
    noisy = straight + rng.normal(0, 0.2, (50, 6, 2))
    found = skyrmion_motion(times, noisy % 12, (1, 0), system=system)
    assert found.n_independent == 6
    assert abs(found.hall_angle.value - math.atan2(-0.1, 0.3)) < 4 * found.hall_angle.error
    assert abs(found.speed.value - math.hypot(0.3, 0.1)) < 4 * found.speed.error
    one = skyrmion_motion(times, (noisy[:, 0]) % 12, (0, 2, 0), system=system)
    assert one.hall_angle.value == pytest.approx(math.atan2(-0.1, 0.3) - math.pi / 2, abs=4 * one.hall_angle.error)
    assert one.velocity[0].low < 0.3 < one.velocity[0].high


SYSTEM = gs.systems.square(8, 8)
SPINS = skyrmion(SYSTEM, radius=2.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: skyrmion_center(SYSTEM, SPINS, within=0.0), "within=0.0"),
        (lambda: skyrmion_radius(SYSTEM, SPINS, polarity=2), "polarity=2"),
        (lambda: skyrmion_radius(SYSTEM, SPINS, axis=(0, 0)), "axis"),
        (lambda: thiele_velocity(SYSTEM, SPINS, (0.1, 0, 0.1), alpha=0.1, beta=0.0), "xy plane"),
        (lambda: thiele_velocity(SYSTEM, SPINS, (0.1, 0), alpha=0.0, beta=0.0), "alpha=0.0"),
        (lambda: skyrmion_motion([0, 1, 2, 3], np.zeros((4, 3)), (1, 0)), "centers have shape"),
        (lambda: skyrmion_motion([0, 1, 2, 3], np.zeros((4, 2)), (0, 0)), "direction"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        call()
