"""Pinned spins and vacancies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sources import ring

import gnnspin as gs
from gnnspin.core import Diluted, InvalidInput, random_spins
from gnnspin.dynamics import INTEGRATORS, resume, simulate
from gnnspin.trajectories import Trajectory


@pytest.mark.parametrize("integrator", sorted(INTEGRATORS))
def test_pinned_spins_stay_bit_for_bit_and_act_on_the_others(integrator):
    spins = random_spins(6, replicas=(2,), seed=1)
    pinned = np.zeros(6, dtype=bool)
    pinned[[0, 3]] = True
    options = {"dt": 0.1, "damping": 0.2, "kT": 0.0 if integrator == "adaptive" else 0.3, "integrator": integrator}
    start = gs.core.normalize(spins)
    run = simulate(ring(6), spins, n_steps=20, pinned=pinned, **options)
    assert torch.equal(run.spins[:, pinned], start[:, pinned])
    free = simulate(ring(6), spins, n_steps=20, **options)
    assert (run.spins - free.spins)[:, ~pinned].norm(dim=-1).min() > 1e-3
    per_replica = np.stack([pinned, ~pinned])
    run = simulate(ring(6), spins, n_steps=5, pinned=torch.from_numpy(per_replica), **options)
    assert torch.equal(run.spins[torch.from_numpy(per_replica)], start[torch.from_numpy(per_replica)])


def test_pinned_ends_wind_a_chain_uniformly():
    n = 11
    angle = torch.pi * (torch.arange(n, dtype=torch.float64) / (n - 1)) ** 2
    spins = torch.stack([torch.sin(angle), torch.zeros(n), torch.cos(angle)], -1)
    pinned = np.zeros(n, dtype=bool)
    pinned[[0, -1]] = True
    source = gs.classical.Heisenberg(gs.systems.chain(n, pbc=False), J=1.0)
    run = simulate(source, spins, dt=20.0, n_steps=10, damping=1.0, pinned=pinned, integrator="adaptive")
    uniform = torch.pi * torch.arange(n, dtype=torch.float64) / (n - 1)
    torch.testing.assert_close(torch.acos(run.spins[:, 2]), uniform, atol=1e-3, rtol=0)


def test_vacant_classical_sites_neither_act_nor_feel():
    system = gs.systems.chain(5, pbc=False)
    spins, vacant = random_spins(5, seed=0), np.array([False, False, True, False, False])
    whole = gs.classical.Heisenberg(system, J=1.0) + gs.classical.Zeeman(system, [0, 0, 0.3])
    diluted = Diluted(whole, vacant)
    pair = gs.systems.chain(2, pbc=False)
    two = gs.classical.Heisenberg(pair, J=1.0) + gs.classical.Zeeman(pair, [0, 0, 0.3])
    field = diluted.field(spins)
    torch.testing.assert_close(field[:2], two.field(spins[:2]))
    assert (field[2] == 0).all()
    assert float(diluted.energy(spins)) == pytest.approx(float(two.energy(spins[:2]) + two.energy(spins[3:])))
    run = simulate(whole, spins, dt=0.1, n_steps=30, damping=0.1, vacancies=vacant)
    alone = simulate(two, spins[:2], dt=0.1, n_steps=30, damping=0.1)
    torch.testing.assert_close(run.spins[:2], alone.spins, atol=1e-12, rtol=0)


def test_vacant_electronic_sites_belong_into_the_hamiltonian():
    oracle = gs.electrons.ExactDiagonalization(gs.electrons.SDHamiltonian(gs.systems.chain(6), J=2.0), filling=0.5)
    with pytest.raises(InvalidInput, match="J=0 at the vacant sites"):
        Diluted(oracle, np.arange(6) == 2)


def test_masks_are_restored(tmp_path):
    spins = random_spins(6, replicas=(2,), seed=1)
    mask, other = np.arange(6) == 2, np.arange(6) == 4
    options = {"dt": 0.1, "damping": 0.2, "kT": 0.3, "pinned": mask, "vacancies": other}
    source = gs.classical.Heisenberg(gs.systems.chain(6), J=1.0)
    simulate(source, spins, n_steps=4, trajectory=tmp_path / "a.h5", **options)
    with Trajectory(tmp_path / "a.h5") as trajectory:
        np.testing.assert_array_equal(trajectory.pinned, mask | other)
    whole = simulate(source, spins, n_steps=12, **options)
    resume(tmp_path / "a.h5", source, n_steps=4)
    assert torch.equal(resume(tmp_path / "a.h5", n_steps=4).spins, whole.spins)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pinned": [0, 1, 0, 0]}, "pinned holds site numbers twice"),
        ({"pinned": np.zeros(3, dtype=bool)}, r"pinned is torch.bool of shape \(3,\)"),
        ({"vacancies": np.zeros(3, dtype=bool)}, "vacant is bool of shape"),
    ],
)
def test_bad_masks(arguments, message):
    with pytest.raises(InvalidInput, match=message):
        simulate(ring(4), random_spins(4, seed=0), dt=0.1, n_steps=1, damping=0.1, **arguments)
