"""Batches of different systems in one call."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gnnspin as gs
from gnnspin.core import InvalidInput, random_spins
from gnnspin.dynamics import per_part, resume, simulate
from gnnspin.dynamics.timestep import fastest_rate


def amorphous(sizes=(5, 9, 7)):
    return [gs.systems.amorphous(n_sites=n, box=2.5, min_distance=0.5, seed=k) for k, n in enumerate(sizes)]


def exact(system):
    rule = gs.electrons.ExponentialHopping(t0=1.0, length=1.0)
    return gs.electrons.ExactDiagonalization(gs.electrons.SDHamiltonian(system, rule, J=3.0), kT=0.05, filling=0.5)


@pytest.mark.parametrize(
    "integrator", ["extrapolated_midpoint", "heun", "rotation", "semi_implicit", "spherical_midpoint"]
)
def test_union_of_amorphous_systems_equals_each_alone(integrator):
    parts = amorphous()
    system = gs.systems.union(parts)
    spins = random_spins(system.n_sites, replicas=(2,), seed=0)
    kT, damping = np.array([[0.1, 0.3, 0.2]]), np.array([[0.1, 0.2, 0.4], [0.3, 0.2, 0.1]])
    options = {"dt": 0.1, "n_steps": 1, "seed": 5, "integrator": integrator}
    run = simulate(exact(system), spins, kT=per_part(system, kT), damping=per_part(system, damping), **options)
    start = 0
    for number, part in enumerate(parts):
        sites = slice(start, start + part.n_sites)
        start += part.n_sites
        for replica in range(2):
            alone = simulate(
                exact(part), spins[replica, sites], kT=kT[0, number], damping=damping[replica, number],
                replicas=[3 * replica + number], **options,
            )  # fmt: skip
            torch.testing.assert_close(alone.spins, run.spins[replica, sites], atol=1e-12, rtol=0)


def test_union_with_given_identities_resumes(tmp_path):
    system = gs.systems.union(amorphous())
    spins = random_spins(system.n_sites, seed=0)
    options = {"dt": 0.1, "seed": 5, "kT": per_part(system, [0.1, 0.3, 0.2]), "damping": 0.2, "replicas": [7, 3, 9]}
    simulate(exact(system), spins, n_steps=3, trajectory=tmp_path / "a.h5", **options)
    whole = simulate(exact(system), spins, n_steps=6, **options)
    assert torch.equal(resume(tmp_path / "a.h5", n_steps=3).spins, whole.spins)


def test_learned_model_on_a_union_conserves_each_part():
    parts = amorphous()
    system = gs.systems.union(parts)
    model = gs.models.build("spin_cluster_expansion", gs.graphs.GraphSpec(cutoff=2.0), channels=4, hidden=8)
    force_field = gs.ForceField(model, system)
    model.calibrate(force_field.data, random_spins(system.n_sites, replicas=(20,), seed=1, dtype=torch.float32))
    force_field.to(dtype=torch.float64)
    spins = random_spins(system.n_sites, seed=0)
    force_field.model.energy_scale.div_(fastest_rate(force_field, spins))
    run = simulate(
        force_field, spins, dt=0.1, n_steps=20, damping=0.0,
        integrator="spherical_midpoint", observers={"energy": lambda state: force_field.energy(state.spins)},
    )  # fmt: skip
    energy = run.observables["energy"]
    assert energy.shape == (21, 3)
    assert (run.spins - spins).abs().max() > 0.1
    assert np.abs(energy - energy[0]).max() < 2e-3


def test_bad_shapes():
    system = gs.systems.union(amorphous())
    with pytest.raises(InvalidInput, match="the union has 3 parts"):
        per_part(system, [0.1, 0.2])
    with pytest.raises(InvalidInput, match="3 distinct numbers, one per replica and part"):
        simulate(exact(system), random_spins(21, seed=0), dt=0.1, n_steps=1, damping=0.1, replicas=[0])
