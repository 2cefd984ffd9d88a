"""Torques of currents: signs, closed forms of a macrospin and of walls, units."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

import gnnspin as gs
from gnnspin.classical import Harmonic, Pulse, Sampled, SlonczewskiTorque, SpinOrbitTorque, ZhangLi
from gnnspin.core import FieldSource, InvalidInput, NoEnergyError, random_spins
from gnnspin.dynamics import PhysicalUnits, gilbert_form, simulate
from gnnspin.testing import SourcePhysics

SQUARE = gs.systems.square(6, 6)
UP = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)


class TestZhangLi(SourcePhysics):
    symmetries = frozenset({"spin_rotation", "translation"})

    def source(self) -> FieldSource:
        return ZhangLi(SQUARE, (0.3, -0.1, 0.0), 0.2)


class TestSlonczewski(SourcePhysics):
    symmetries = frozenset({"translation"})

    def source(self) -> FieldSource:
        return SlonczewskiTorque(SQUARE, 0.3, 0.1, asymmetry=1.5)


class TestSpinOrbit(SourcePhysics):
    symmetries = frozenset({"translation"})

    def source(self) -> FieldSource:
        return SpinOrbitTorque(SQUARE, 0.3, 0.1)


def test_adiabatic_torque_carries_a_spiral_with_the_electrons() -> None:
    """At beta = alpha any texture S(x - u t) drifts with u; the sense is that of u."""
    system, alpha, u, duration = gs.systems.chain(24), 0.3, 0.2, 5.0
    x = torch.arange(24, dtype=torch.float64)

    def spiral(shift: float) -> Tensor:
        angle = 2 * torch.pi / 24 * (x - shift)
        return torch.stack([angle.cos(), angle.sin(), 0 * angle], -1)

    run = simulate(ZhangLi(system, (u, 0, 0), alpha), spiral(0.0), dt=0.05, n_steps=100, **gilbert_form(alpha))
    rate = math.sin(2 * math.pi / 24) / (2 * math.pi / 24)  # of the symmetric difference
    torch.testing.assert_close(run.spins, spiral(rate * u * duration), atol=1e-6, rtol=0)


def test_torques_have_the_declared_signs() -> None:
    """Damping-like torques turn towards p, field-like ones precess about p, spins along p stay."""
    spins = random_spins(36, seed=0)
    for source, p in (
        (SlonczewskiTorque(SQUARE, 0.3, polarization=(0, 2, 0)), (0.0, 1.0, 0.0)),
        (SpinOrbitTorque(SQUARE, 0.3, current=(5, 0, 0)), (0.0, 1.0, 0.0)),
        (SpinOrbitTorque(SQUARE, 0.3, current=(0, 1, 0)), (-1.0, 0.0, 0.0)),
    ):
        along = torch.tensor(p, dtype=torch.float64)
        expected = 0.3 * (along - spins * (spins @ along)[:, None])
        torch.testing.assert_close(source.torque(spins), expected, atol=1e-14, rtol=0)
    precession = SlonczewskiTorque(SQUARE, 0.0, 0.4).torque(spins)
    torch.testing.assert_close(precession, gs.classical.Zeeman(SQUARE, (0, 0, 0.4)).torque(spins), atol=1e-14, rtol=0)
    L, z = 1.5, spins[:, 2:]
    ratio = SlonczewskiTorque(SQUARE, 0.3, asymmetry=L).torque(spins) / SlonczewskiTorque(SQUARE, 0.3).torque(spins)
    exact = (2 * L**2 / (L**2 + 1 + (L**2 - 1) * z)).expand_as(ratio)
    torch.testing.assert_close(ratio, exact, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("excess", [-0.4, 0.4])
def test_critical_current_of_a_macrospin(excess: float) -> None:
    """Near +z ``S_perp ~ exp[(a - alpha 2K) t / (1 + alpha^2)]`` with p = -z: it switches above ``a = alpha 2K``."""
    system, K, alpha = gs.systems.chain(1, pbc=False), 0.5, 0.1
    a = (1 + excess) * alpha * 2 * K
    source = gs.classical.UniaxialAnisotropy(system, K) + SlonczewskiTorque(system, a, polarization=(0, 0, -1))
    tilt = 1e-4
    spins = torch.tensor([[math.sin(tilt), 0.0, math.cos(tilt)]], dtype=torch.float64)
    run = simulate(source, spins, dt=0.05, n_steps=200, **gilbert_form(alpha))
    rate = math.log(float(run.spins[0, :2].norm()) / tilt) / 10.0
    assert rate == pytest.approx((a - alpha * 2 * K) / (1 + alpha**2), abs=1e-4)
    tilted = torch.tensor([[math.sin(0.8), 0.0, math.cos(0.8)]], dtype=torch.float64)
    end = simulate(source, tilted, dt=0.3, n_steps=400, **gilbert_form(alpha))
    assert float(end.spins[0, 2]) * math.copysign(1, -excess) > 0.99


def wall_run(width: float, hard: float, u: float, alpha: float, beta: float, n: int, n_steps: int, **options):
    """Position of a Bloch wall in a chain, with a hard axis across it, under a current."""
    system = gs.systems.chain(n, pbc=False)
    x = torch.arange(n, dtype=torch.float64)
    z = -torch.tanh((x - (n - 1) / 2) / width)
    spins = torch.stack([0 * z, (1 - z * z).sqrt(), z], -1)
    easy = gs.classical.UniaxialAnisotropy(system, 1 / (2 * width**2))
    source = gs.classical.Heisenberg(system) + easy + gs.classical.UniaxialAnisotropy(system, -hard, (1, 0, 0))
    source = source + ZhangLi(system, (u, 0, 0), beta)
    options |= {"observers": ["domain_wall"], "progress": False}
    run = simulate(source, spins, dt=0.25, n_steps=n_steps, **options, **gilbert_form(alpha))
    return run.times, run.observables["domain_wall"]


def test_wall_below_breakdown_moves_with_beta_over_alpha_times_u() -> None:
    u, alpha, beta = 0.1, 1.0, 0.5
    times, position = wall_run(6.0, 0.05, u, alpha, beta, 90, 560, observe_every=20)
    velocity = gs.observables.wall_velocity(times, position, window=(90.0, 140.0))
    assert velocity.value == pytest.approx(beta / alpha * u, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("alpha", "beta", "u"), [(0.5, 0.1, 0.06), (0.5, 0.0, 0.08), (0.2, 0.5, 0.06)])
def test_wall_above_breakdown_has_the_average_velocity_of_walkers_solution(alpha: float, beta: float, u: float) -> None:
    """``v = [beta u + w W] / alpha``, ``(1 + alpha^2) W = sqrt[((alpha - beta) u / w)^2 - (alpha K')^2]``.

    W has the sign of alpha - beta.
    """
    width, hard = 4.0, 0.006
    turn = math.sqrt(((alpha - beta) * u / width) ** 2 - (alpha * hard) ** 2) / (1 + alpha**2)
    exact = (beta * u + math.copysign(width * turn, alpha - beta)) / alpha
    period = math.pi / turn
    times, position = wall_run(width, hard, u, alpha, beta, 300, math.ceil(2.1 * period / 0.25), observe_every=4)
    travelled = np.interp([1.05 * period, 2.05 * period], times, position)
    assert (travelled[1] - travelled[0]) / period == pytest.approx(exact, rel=0.05)


def test_moments_divide_the_drift() -> None:
    """A spiral of moments 4 drifts with u / 4."""
    system, x = gs.systems.chain(16), torch.arange(16, dtype=torch.float64)
    angle = 2 * torch.pi / 16 * x
    spins = torch.stack([angle.cos(), angle.sin(), 0 * angle], -1)
    options = {"n_steps": 20, **gilbert_form(0.2)}
    light = simulate(ZhangLi(system, (0.2, 0, 0), 0.2), spins, dt=0.1, **options).spins
    heavy = simulate(ZhangLi(system, (0.2, 0, 0), 0.2), spins, dt=0.4, moments=4.0, **options).spins
    torch.testing.assert_close(light, heavy, atol=1e-12, rtol=0)


def test_waveforms_multiply_the_field() -> None:
    spins, still = random_spins(36, seed=0), ZhangLi(SQUARE, (0.3, 0, 0), 0.1)
    for waveform, values in (
        (Harmonic(0.25, 0.0, 2.0, 1.0), {0.0: 3.0, 1.0: 1.0, 2.0: -1.0}),
        (Pulse(4.0, 1.0, 2.0), {0.9: 0.0, 2.0: 0.5, 4.0: 1.0, 6.0: 0.5, 7.1: 0.0}),
        (Pulse(4.0), {-0.1: 0.0, 0.0: 1.0, 3.9: 1.0, 4.0: 0.0}),
        (Sampled((0.0, 2.0), (1.0, 3.0)), {-1.0: 1.0, 1.0: 2.0, 5.0: 3.0}),
    ):
        driven = ZhangLi(SQUARE, (0.3, 0, 0), 0.1, waveform=waveform)
        assert driven.time_dependent
        for time, value in values.items():
            torch.testing.assert_close(driven.field(spins, time), value * still.field(spins), atol=1e-12, rtol=0)
        with pytest.raises(InvalidInput, match="depends on the time"):
            driven.field(spins)


def test_units_of_currents() -> None:
    """Permalloy, P = 0.4, 10^12 A/m^2: 27 m/s times g/2; 1 mT per 10^10 A/m^2 needs xi = 0.1, M_s t = 0.33 mA."""
    moment, spacing = 1.0, 0.355  # nm; M_s = mu_B / a^3
    units = PhysicalUnits(energy=0.01, moment=moment)
    saturation = 9.2740100783e-24 * moment / (spacing * 1e-9) ** 3
    exact = 2.00231930436256 * 9.2740100783e-24 * 0.4 * 1e12 / (2 * 1.602176634e-19 * saturation)
    u = units.drift_velocity(1e12, 0.4, spacing**3, spacing)
    assert -u * spacing * 1e-9 / (units.picoseconds(1.0) * 1e-12) == pytest.approx(exact, rel=1e-12)
    thickness = 3 * spacing * 1e-9
    field = 1.054571817e-34 * 0.1 * 1e11 / (2 * 1.602176634e-19 * saturation * thickness)
    assert units.tesla(units.spin_torque(1e11, 0.1, spacing**2 / 3)) == pytest.approx(field, rel=1e-12)


def test_no_energy_and_named_in_configurations() -> None:
    source = gs.classical.Heisenberg(SQUARE) + ZhangLi(SQUARE, (0.1, 0, 0))
    with pytest.raises(NoEnergyError, match="ZhangLi"):
        source.energy(random_spins(36, seed=0))
    given = {"kind": "spin_orbit_torque", "damping_like": 0.2, "waveform": {"kind": "pulse", "duration": 3.0}}
    built = FieldSource.from_specification(given, SQUARE)
    assert built.specification()["waveform"] == {"kind": "pulse", "duration": 3.0, "begin": 0.0, "rise": 0.0}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ZhangLi(SQUARE, (0.1, 0.0)), "u has shape"),
        (lambda: ZhangLi(SQUARE, (0.1, 0.0, 0.2)), "no neighbours"),
        (lambda: ZhangLi(SQUARE, (0.1, 0.0, 0.0), math.nan), "beta=nan"),
        (lambda: ZhangLi(SQUARE, (0.1, 0.0, 0.0), n_shells=0), "n_shells=0"),
        (lambda: SlonczewskiTorque(SQUARE, 0.1, polarization=(0, 0, 0)), "polarization"),
        (lambda: SlonczewskiTorque(SQUARE, 0.1, asymmetry=0.0), "asymmetry=0"),
        (lambda: SlonczewskiTorque(SQUARE, [0.1, 0.2]), "damping_like"),
        (lambda: SpinOrbitTorque(SQUARE, 0.1, current=(0, 0, 1)), "along the normal"),
        (lambda: Pulse(1.0, rise=2.0), "rise=2.0"),
        (lambda: Sampled((1.0, 0.0), (1.0, 1.0)), "ascend"),
        (lambda: Harmonic(math.inf), "frequency=inf"),
        (lambda: PhysicalUnits(1.0).drift_velocity(1e12, 1.4, 1.0, 1.0), "polarization=1.4"),
        (lambda: PhysicalUnits(1.0).spin_torque(1e12, 0.4, 0.0), "area=0.0"),
        (lambda: PhysicalUnits(1.0).spin_torque(math.nan, 0.4, 1.0), "current_density=nan"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        call()
