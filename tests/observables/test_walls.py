"""Walls: position, width, angle and tilt of profiles that are known; velocities and their errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

import gnnspin as gs
from gnnspin.core import InvalidInput, normalize
from gnnspin.observables import domain_wall, unwrapped, wall_velocity


def wall(x: Tensor, width: float, angle: float = 0.3, sign: float = 1.0) -> Tensor:
    """Spins of a wall along x about z, at zero."""
    z = sign * torch.tanh(x / width)
    side = (1 - z * z).sqrt()
    return torch.stack([side * math.cos(angle), side * math.sin(angle), z], -1)


def places(system: gs.systems.SpinSystem) -> Tensor:
    return torch.tensor(system.positions)


@pytest.mark.parametrize("method", ["fit", "crossing"])
@pytest.mark.parametrize(("center", "width", "sign"), [(17.3, 3.0, 1.0), (4.9, 1.2, -1.0), (33.0, 6.0, 1.0)])
def test_a_wall_of_tanh_is_found_exactly(method: str, center: float, width: float, sign: float) -> None:
    found = domain_wall(
        gs.systems.chain(40, pbc=False),
        wall(torch.arange(40.0, dtype=torch.float64) - center, width, 0.7, sign),
        method=method,
    )
    values = [float(each) for each in (found.position, found.width, found.angle)]
    assert values == pytest.approx([center, width, 0.7], abs=1e-6)


@pytest.mark.parametrize("reverse", [False, True])
def test_the_boundary_between_ferromagnet_and_antiferromagnet(reverse: bool) -> None:
    """Sublattices canted by theta to either side: bonds along the boundary are cos 2 theta, a tanh as prescribed."""
    system = gs.systems.square(30, 8, pbc=(False, True))
    x, y, _ = places(system).T
    profile = torch.tanh((x - 12.4) / 4.0)
    stagger = (-1.0) ** torch.round(x + y)
    theta = torch.arccos(profile) / 2
    spins = torch.stack([theta.cos(), stagger * theta.sin(), 0 * x], -1)
    if reverse:
        spins = spins.view(30, 8, 3).flip(0).reshape(-1, 3)
    found = domain_wall(system, spins, order="bonds")
    place = 29 - 12.4 if reverse else 12.4
    assert float(found.mean_position()) == pytest.approx(place, abs=0.05)
    assert float(found.width.mean()) == pytest.approx(4.0, rel=0.05)
    assert float(found.roughness()) < 1e-6
    with pytest.raises(InvalidInput, match="order"):
        domain_wall(system, spins, order="neel")


def test_walls_of_either_sense_on_a_ring_each_within_the_period() -> None:
    x = torch.arange(60.0, dtype=torch.float64)
    across = torch.remainder(x - 59.4 + 30, 60) - 30
    spins = torch.where((across.abs() < 15)[:, None], wall(across, 2.0), wall(-(x - 28.2), 2.0))
    ring = gs.systems.chain(60)
    for sense, place in ((1, 59.4), (-1, 28.2)):
        assert float(domain_wall(ring, spins, sense=sense).position) == pytest.approx(place, abs=1e-3)
        moved = spins.roll(7, 0)
        assert float(domain_wall(ring, moved, sense=sense).position) == pytest.approx((place + 7) % 60, abs=1e-3)


def test_a_curved_wall_row_by_row_and_a_tilted_one() -> None:
    system = gs.systems.triangular(60, 12, pbc=(False, True))
    x, y, _ = places(system).T
    bent = 25 + 2 * torch.sin(2 * torch.pi * y / (12 * math.sqrt(0.75)))
    found = domain_wall(system, wall(x - bent, 2.5))
    torch.testing.assert_close(found.position, bent[:12], atol=1e-6, rtol=0)
    assert found.position.shape == (12,)
    assert float(found.mean_position()) == pytest.approx(25.0, abs=1e-6)
    assert float(found.roughness()) < math.sqrt(2)
    square = gs.systems.square(60, 10, pbc=False)
    x, y, _ = places(square).T
    straight = domain_wall(square, wall((x - 30 - 0.4 * y) * math.cos(math.atan(0.4)), 3.0))
    assert float(straight.tilt()) == pytest.approx(math.atan(0.4), abs=1e-6)
    assert float(straight.roughness()) == pytest.approx(0.0, abs=1e-6)


def test_another_axis_and_another_direction() -> None:
    """Turned with the spins and with the lattice, a wall stays where it is."""
    system = gs.systems.square(6, 30, pbc=(True, False))
    rotation = gs.core.spins.random_rotation(3)
    spins = wall(places(system)[:, 1] - 12.7, 2.0) @ rotation.T
    found = domain_wall(system, spins, direction=1, axis=rotation[:, 2])
    torch.testing.assert_close(found.position, torch.full((6,), 12.7, dtype=torch.float64), atol=1e-6, rtol=0)


def test_noise_moves_a_wall_within_its_error_and_no_wall_is_nan() -> None:
    system = gs.systems.square(60, 40, pbc=(False, True))
    torch.manual_seed(1)
    spins = wall(places(system)[:, 0] - 22.4, 3.0)
    noisy = normalize(spins + 0.15 * torch.randn(4, *spins.shape, dtype=torch.float64))
    found = domain_wall(system, noisy)
    assert found.position.shape == (4, 40)
    scatter = found.position.std(-1)
    assert ((found.mean_position() - 22.4).abs() < 4 * scatter / math.sqrt(40)).all()
    assert float(found.width.mean()) == pytest.approx(3.0, rel=0.1)
    assert found.position.isfinite().all()
    uniform = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64).expand(2400, 3)
    assert domain_wall(system, uniform).position.isnan().all()
    assert domain_wall(system, uniform).mean_position().isnan()


def test_a_relaxed_wall_of_an_easy_axis_has_the_width_sqrt_j_over_2k() -> None:
    system, anisotropy = gs.systems.chain(60, pbc=False), 0.02
    source = gs.classical.Heisenberg(system) + gs.classical.UniaxialAnisotropy(system, anisotropy)
    start = wall(torch.arange(60.0, dtype=torch.float64) - 29.5, 2.0)
    relaxed = gs.sampling.minimize(source, start, tolerance=1e-8).spins
    assert float(domain_wall(system, relaxed).width) == pytest.approx(math.sqrt(1 / (2 * anisotropy)), rel=0.02)


def test_velocity_and_its_error_over_replicas_and_of_one_run() -> None:
    """The interval holds the velocity in about 95 of 100 draws of replicas."""
    times, rng = np.linspace(0, 50, 60), np.random.default_rng(0)
    held = []
    for seed in range(60):
        speeds = rng.normal(0.3, 0.02, 8)
        paths = times[:, None] * speeds + rng.normal(0, 0.5, (60, 8))
        found = wall_velocity(times, paths, seed=seed)
        held.append(found.low < 0.3 < found.high)
    assert 0.85 < np.mean(held) <= 1.0
    one = wall_velocity(times, 3.0 + 0.3 * times + rng.normal(0, 0.5, 60), window=(5.0, 45.0))
    assert abs(one.value - 0.3) < 4 * one.error
    ring = wall_velocity(times, (3.0 - 0.3 * times) % 12, period=12.0)
    assert ring.value == pytest.approx(-0.3, abs=1e-9)
    np.testing.assert_allclose(unwrapped((0.7 * times) % 9, 9.0), 0.7 * times, atol=1e-9)


def test_walls_are_observed_in_runs_and_analysed_afterwards(tmp_path) -> None:
    system = gs.systems.chain(30, pbc=False)
    source = gs.classical.Heisenberg(system) + gs.classical.UniaxialAnisotropy(system, 0.05)
    run = gs.dynamics.simulate(
        source + gs.classical.Zeeman(system, (0, 0, 0.02)),
        wall(torch.arange(30.0, dtype=torch.float64) - 14.2, 3.0),
        dt=0.1,
        n_steps=40,
        damping=0.5,
        observers=["domain_wall", {"kind": "domain_wall", "name": "width", "quantity": "width"}],
        trajectory=tmp_path / "a.h5",
        save_every=1,
        save_dtype="float64",
    )
    assert run.observables["domain_wall"].shape == (41,)
    assert run.observables["domain_wall"][-1] < 14.2 - 0.01  # the field along +z makes the domain on the right grow
    found = gs.analysis.analyze_trajectory(tmp_path / "a.h5", ["domain_wall"])
    np.testing.assert_allclose(found.mean("domain_wall"), run.observables["domain_wall"], atol=1e-9)


CHAIN = gs.systems.chain(8)
SPINS = wall(torch.arange(8.0, dtype=torch.float64) - 3.5, 1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: domain_wall(gs.systems.amorphous(8, 3.0, 0.5, seed=0), SPINS), "rows of a lattice"),
        (lambda: domain_wall(CHAIN, SPINS, direction=1), "four or more"),
        (lambda: domain_wall(CHAIN, SPINS, direction=3), "direction=3"),
        (lambda: domain_wall(CHAIN, SPINS, sense=2), "sense=2"),
        (lambda: domain_wall(CHAIN, SPINS, method="tanh"), "method='tanh'"),
        (lambda: domain_wall(CHAIN, SPINS, axis=(0, 0, 0)), "axis"),
        (lambda: unwrapped([1.0, 2.0], 0.0), "period=0.0"),
        (lambda: wall_velocity([0, 1, 2], [0, 1, 2]), "holds 3 times"),
        (lambda: wall_velocity([0, 1, 2, 3], [0, 1, math.nan, 3]), "no position at time 2"),
        (lambda: wall_velocity([0, 1, 2, 3], np.zeros((4, 1, 2))), "positions have shape"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        call()
