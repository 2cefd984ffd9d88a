"""Temperatures that change with time."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from sources import Paramagnet, ring

from gnnspin.core import InvalidInput, random_spins
from gnnspin.dynamics import Anneal, Quench, Ramp, Table, resume, simulate
from gnnspin.dynamics.protocols import protocol_from
from gnnspin.trajectories import Trajectory

PROTOCOLS = [
    (Quench(before=1.0, after=0.1, time=2.0), {1.9: 1.0, 2.0: 0.1, 5.0: 0.1}),
    (Ramp(start=1.0, end=0.0, duration=4.0, begin=1.0), {0.0: 1.0, 2.0: 0.75, 5.0: 0.0, 9.0: 0.0}),
    (Anneal(start=1.0, end=0.01, duration=4.0), {0.0: 1.0, 2.0: 0.1, 4.0: 0.01, 9.0: 0.01}),
    (Table((0.0, 1.0, 3.0), (0.5, 0.1, 0.3)), {-1.0: 0.5, 0.5: 0.3, 1.0: 0.1, 2.0: 0.2, 4.0: 0.3}),
]


@pytest.mark.parametrize(("protocol", "values"), PROTOCOLS)
def test_values_and_round_trip(protocol, values):
    for time, value in values.items():
        assert protocol(time) == pytest.approx(value)
    assert protocol_from(json.loads(json.dumps(protocol.specification()))) == protocol


@pytest.mark.parametrize("protocol", [protocol for protocol, _ in PROTOCOLS])
def test_resume_continues_the_protocol_bit_for_bit(tmp_path, protocol):
    options = {"dt": 0.1, "damping": 0.2, "kT": protocol, "seed": 3}
    spins = random_spins(6, replicas=(2,), seed=0)
    simulate(ring(6), spins, n_steps=12, trajectory=tmp_path / "a.h5", **options)
    continued = resume(tmp_path / "a.h5", ring(6), n_steps=20)
    assert torch.equal(continued.spins, simulate(ring(6), spins, n_steps=32, **options).spins)
    with Trajectory(tmp_path / "a.h5") as trajectory:
        assert trajectory.settings["kT"] == json.loads(json.dumps(protocol.specification()))


def heating(time: float) -> list[float]:
    """One temperature per replica."""
    return [0.1 * time, 0.5]


def test_any_function_of_time_also_per_replica(tmp_path):
    spins = random_spins(6, replicas=(2,), seed=0)
    options = {"dt": 0.1, "damping": 0.2, "seed": 3}
    simulate(ring(6), spins, n_steps=5, kT=heating, trajectory=tmp_path / "a.h5", **options)
    with pytest.raises(InvalidInput, match=r"function '.*heating'.* give it as kT="):
        resume(tmp_path / "a.h5", ring(6), n_steps=5)
    with pytest.raises(InvalidInput, match="the stored run has"):
        resume(tmp_path / "a.h5", ring(6), n_steps=5, kT=lambda _: 0.1)
    continued = resume(tmp_path / "a.h5", ring(6), n_steps=5, kT=heating)
    whole = simulate(ring(6), spins, n_steps=10, kT=heating, **options).spins
    assert torch.equal(continued.spins, whole)
    alone = simulate(ring(6), spins[1:], n_steps=10, kT=0.5, replicas=[1], **options).spins
    torch.testing.assert_close(whole[1:], alone, atol=1e-12, rtol=0)


def test_quench_equals_two_runs_and_a_slow_ramp_follows_equilibrium():
    spins = random_spins(4000, seed=1)
    source, options = Paramagnet(4000, 1.0), {"dt": 0.1, "damping": 0.5, "seed": 2}
    quenched = simulate(source, spins, n_steps=8, kT=Quench(1.0, 0.0, time=0.4 - 1e-9), **options)
    hot = simulate(source, spins, n_steps=4, kT=1.0, **options)
    cold = simulate(source, hot.spins, n_steps=4, kT=0.0, **options)
    torch.testing.assert_close(quenched.spins, cold.spins, atol=1e-12, rtol=0)
    run = simulate(source, spins, n_steps=600, kT=Ramp(2.0, 0.5, duration=60.0), **options)
    langevin = 1 / math.tanh(2.0) - 0.5
    assert float(run.spins[:, 2].mean()) == pytest.approx(langevin, abs=0.03)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Quench(-1.0, 0.0), "before=-1.0"),
        (lambda: Ramp(1.0, 0.0, 0.0), "duration=0.0"),
        (lambda: Anneal(1.0, 0.0, 1.0), "Ramp goes to zero"),
        (lambda: Table((0.0, 0.0), (1.0, 1.0)), "ascend"),
        (lambda: Table((0.0,), (1.0, 1.0)), "as many values"),
        (lambda: Table((0.0,), (np.nan,)), r"values\[0\]=nan"),
        (lambda: simulate(ring(4), random_spins(4, seed=0), dt=0.1, n_steps=1, damping=0.1, kT=lambda _: -1.0), "kT="),
    ],
)
def test_bad_protocols(call, message):
    with pytest.raises(InvalidInput, match=message):
        call()
