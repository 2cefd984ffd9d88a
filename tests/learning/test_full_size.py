"""Errors on the intended systems: of the whole lattice, or of windows that have its chemical potential."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gnnspin as gs
from gnnspin.core.spins import normalize
from gnnspin.datasets import LabelStore
from gnnspin.force_fields.files import save
from gnnspin.force_fields.force_field import ForceField
from gnnspin.learning import LearnConfig, full_size
from gnnspin.learning.context import Context, Round
from gnnspin.learning.exact import MeasuredSolver
from gnnspin.learning.full_size import full_size_errors
from gnnspin.learning.places import States
from gnnspin.learning.reach import Reach
from gnnspin.learning.setup import Setup
from gnnspin.learning.visits import Visits, visited
from gnnspin.systems.config import LatticeConfig
from gnnspin.training.job import ModelConfig

CONFIG: dict[str, Any] = {
    "hamiltonian": {"J": 3.0},
    "kT": 0.3,
    "filling": 0.2,
    # Spins that turn from random ones towards a strong field: the chemical potential moves with them.
    "runs": [
        {
            "system": {"kind": "square", "shape": [24, 24]},
            "duration": 6.0,
            "damping": 0.5,
            "terms": [{"kind": "zeeman", "B": [0, 0, 3.0]}],
        }
    ],
    "workers": 1,
}


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A learning at fixed filling with a first round: an untrained model, its run, and tests on 12x12 sites."""
    config = LearnConfig.model_validate(CONFIG)
    labelled = LatticeConfig(kind="square", shape=(12, 12))
    solver = MeasuredSolver({"kind": "pole_expansion", "tolerance": 1e-8}, 0.1, 1e-9)
    setup = Setup((solver,), Reach([4.0], [0.01]), 4.0, (labelled,), (), (0.1,))
    context = Context(config, setup, tmp_path, 1, False)
    this = context.round(0)
    this.folder.mkdir()
    system = labelled.build()
    model = ModelConfig(
        name="spin_cluster_expansion",
        cutoff=1.2,
        hyperparameters={"layers": 1, "channels": 2, "scalars": 0, "max_degree": 0, "hidden": 4},
    ).build(system)
    save(ForceField(model, system), this.model)
    run = visited(config.runs[0], system, ForceField(model, system), 0.1, replicas=1, seed=0, progress=False)
    run.write(this.visits(0))
    _solve_tests(context, this, run)
    return context


def _solve_tests(context: Context, this: Round, run: Visits) -> None:
    times = list(range(1, len(run.times)))
    this.remember([(0, 0, t, 0) for t in times])
    states = States(context.setup.label_systems[0], run.spins[times, 0], run.times[times], {})
    context.solve([states], this.folder, "tests")


def test_windows_at_fixed_filling_have_the_torques_of_the_whole(context: Context) -> None:
    labelled, this = context.setup.label_systems[0], context.round(0)
    system = context.config.runs[0].system.build()
    spins = gs.core.random_spins(system.n_sites, seed=7)
    exact = context.exact(system, {}).torque(spins)
    mu = full_size._potential(context, this, 0, 0)
    assert mu is not None
    for window in full_size._windows_solved(context, system, labelled, {}, mu):
        error = window.torque(spins) - exact[window.sites][window.inner]
        assert error.square().mean().sqrt() < 0.1 * exact.square().mean().sqrt()


def test_the_potential_is_that_of_the_stretch_not_of_the_run(context: Context) -> None:
    potentials = [full_size._potential(context, context.round(0), 0, stretch) for stretch in range(3)]
    visits, tests = Visits.read(context.round(0).visits(0)), LabelStore(context.round(0).tests)
    for stretch, potential in enumerate(potentials):
        own = [label.mu for k, label in enumerate(tests) if visits.stretch(k + 1) == stretch]
        assert min(own) <= potential <= max(own)
    assert abs(potentials[2] - potentials[0]) > 0.1


def test_a_lattice_that_can_be_solved_is_solved_as_a_whole(context: Context) -> None:
    found = full_size_errors(context, 0, 600.0)
    assert [each.n_labels for each in found.errors] == [1, 1, 1]
    run = Visits.read(context.round(0).folder / "full_size_0.npz")
    system = context.config.runs[0].system.build()
    for each in found.errors:
        t = int(np.argmin(np.abs(run.times - each.first)))
        spins = normalize(torch.from_numpy(run.spins[t, 0]).double())
        torques = context.exact(system, {}).torque(spins)
        assert each.torque_rms == pytest.approx(float(torques.square().mean().sqrt()), rel=1e-5)
