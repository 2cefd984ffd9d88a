"""Labels of driven electrons, and trajectories that start from an order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

import gnnspin as gs
from gnnspin.core import StoreError
from gnnspin.labels import GenerateConfig, generate
from gnnspin.labels.plan import make_plan
from gnnspin.training.symmetries import label_symmetries

RIBBON = gs.systems.square(5, 3, pbc=(False, True))
LEFT, RIGHT = [0, 1, 2], [12, 13, 14]
LEADS = {"contacts": [LEFT, RIGHT], "gamma": 1.5, "voltage": 0.6, "kT": 0.05, "mu": -1.0}


def configuration(samplers: list[dict[str, Any]], **changes: Any) -> GenerateConfig:
    return GenerateConfig.model_validate(
        {
            "systems": [{"kind": "square", "shape": [5, 3], "pbc": [False, True]}],
            "hamiltonian": {"J": 2.0},
            "solver": {"kind": "driven_steady_state", **LEADS},
            "samplers": samplers,
            **changes,
        }
    )


def test_driven_labels_are_those_of_the_steady_state_and_have_no_energy(tmp_path: Path) -> None:
    store = generate(configuration([{"kind": "random", "count": 2}]), tmp_path / "labels.h5", progress=False)
    driven = gs.electrons.DrivenSteadyState(gs.electrons.SDHamiltonian(RIBBON, J=2.0), **LEADS)
    for label in store:
        state = driven.solve(label.spins)
        torch.testing.assert_close(label.field, state.field, atol=1e-12, rtol=0)
        torch.testing.assert_close(label.density, state.density, atol=1e-12, rtol=0)
        assert label.energy is None
        assert label.n_electrons == pytest.approx(float(state.n_electrons), abs=1e-12)


def test_a_voltage_breaks_the_symmetries_of_the_labels(tmp_path: Path) -> None:
    """The ribbon in equilibrium has a mirror between its ends and time reversal; the current has neither."""
    driven = generate(configuration([{"kind": "random", "count": 1}]), tmp_path / "driven.h5", progress=False)
    still = {"kind": "driven_steady_state", **LEADS, "voltage": 0.0}
    at_rest = configuration([{"kind": "random", "count": 1}], solver=still)
    equal = generate(at_rest, tmp_path / "still.h5", progress=False)
    (moved,), (calm,) = label_symmetries(driven), label_symmetries(equal)
    assert "time_reversal" in moved.broken
    assert "time_reversal" not in calm.broken


def test_trajectories_start_from_the_given_spins(tmp_path: Path) -> None:
    spins = gs.core.random_spins(15, seed=8)
    np.save(tmp_path / "start.npy", spins.numpy())
    sampler = {
        "kind": "relaxation",
        "count": 1,
        "n_steps": 2,
        "save_every": 1,
        "dt": 0.05,
        "order": str(tmp_path / "start.npy"),
    }
    store = generate(configuration([sampler]), tmp_path / "labels.h5", progress=False)
    driven = gs.electrons.DrivenSteadyState(gs.electrons.SDHamiltonian(RIBBON, J=2.0), **LEADS)
    for label in store:
        moved = gs.dynamics.simulate(driven, spins, dt=0.05, n_steps=1, damping=0.1, progress=False)
        spins = moved.spins
        torch.testing.assert_close(label.spins, spins, atol=1e-12, rtol=0)
    np.save(tmp_path / "start.npy", gs.core.random_spins(15, seed=9).numpy())
    with pytest.raises(StoreError, match="other spins"):
        generate(configuration([sampler]), tmp_path / "labels.h5", progress=False, resume=True)


def test_an_unknown_order_at_the_start_is_named() -> None:
    with pytest.raises(ValidationError, match="order 'wall' is unknown"):
        configuration([{"kind": "relaxation", "count": 1, "n_steps": 2, "save_every": 1, "order": "wall"}])


def test_contacts_by_name_are_the_ends(tmp_path: Path) -> None:
    spins = gs.core.random_spins(15, seed=3)
    h = gs.electrons.SDHamiltonian(RIBBON, J=2.0)
    named = gs.electrons.DrivenSteadyState(h, **{**LEADS, "contacts": ["left", "right"]})
    listed = gs.electrons.DrivenSteadyState(h, **LEADS)
    torch.testing.assert_close(named.field(spins), listed.field(spins), atol=0, rtol=0)
    assert named.specification()["contacts"] == ["left", "right"]


def test_boundaries_are_drawn_from_their_ranges_and_start_trajectories(tmp_path: Path) -> None:
    """Spins are those of the recorded boundary, noisy and turned; a trajectory's first frame follows from its own."""
    ranges = {"place": [0.3, 0.7], "width": [1.0, 2.0], "wave": [0.0, 0.5], "amplitude": [0.1, 0.2]}
    system = {"kind": "square", "shape": [6, 4], "pbc": [False, True]}
    solver = {"kind": "driven_steady_state", "contacts": ["left", "right"], "voltage": 0.6, "kT": 0.05, "mu": -1.0}
    samplers = [
        {"kind": "boundary", "count": 3, **ranges},
        {"kind": "relaxation", "count": 1, "n_steps": 2, "save_every": 1, "boundary": ranges},
    ]
    config = configuration(samplers, systems=[system], solver=solver)
    store = generate(config, tmp_path / "labels.h5", progress=False)
    assert len(store) == 5
    for label in list(store)[:3]:
        drawn = label.provenance["sampler"]["boundary"]
        perfect = gs.observables.BoundaryConfig(**drawn).build(label.system)
        bonds = gs.observables.bond_order(label.system, perfect)
        noisy = gs.observables.bond_order(label.system, label.spins)
        assert 0.3 <= drawn["place"] <= 0.7
        assert float((bonds - noisy).abs().max()) < 0.6
        assert float((perfect - label.spins).abs().max()) > 0.5
    job = make_plan(config).jobs[-1]
    boundary, amplitude = config.samplers[1].boundary.drawn(job.seed)
    start = gs.observables.perturbed(boundary.build(store[3].system), amplitude, seed=job.seed)
    driven = config.solver.build(hamiltonian=config.hamiltonian.build(store[3].system))
    moved = gs.dynamics.simulate(driven, start, dt=0.1, n_steps=1, damping=0.1, progress=False)
    torch.testing.assert_close(store[3].spins, moved.spins, atol=1e-12, rtol=0)
    with pytest.raises(ValidationError, match="place="):
        configuration([{"kind": "boundary", "count": 1, "place": [0.7, 0.3]}])
