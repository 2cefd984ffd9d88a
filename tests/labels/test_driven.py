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
