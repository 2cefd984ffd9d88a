"""Rounds of a study: labels on the states that its model visits, and further trainings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gnnspin as gs
from gnnspin.datasets import open_labels
from gnnspin.force_fields.files import load
from gnnspin.learning.ladder import FIELDS_PER_STEP
from gnnspin.studies import Study, reproduce
from gnnspin.studies.prediction import predicted_seconds

HAMILTONIAN = {"J": 6.0}
SOLVER = {"kind": "pole_expansion", "kT": 0.1, "mu": 0.5}
SYSTEM = {"kind": "triangular", "shape": [6, 6]}
QUENCH = {"kind": "relaxation", "count": 2, "n_steps": 6, "save_every": 2, "dt": 0.5, "damping": 0.1}
SMALL = {"layers": 1, "channels": 2, "scalars": 2, "hidden": 4, "max_degree": 1}


def _labels(seed: int, *samplers: dict[str, Any]) -> dict[str, Any]:
    return {
        "systems": [SYSTEM], "hamiltonian": HAMILTONIAN, "solver": SOLVER, "samplers": list(samplers), "seed": seed
    }  # fmt: skip


def _study(**changes: Any) -> Study:
    model = {"cutoff": 1.1, "hyperparameters": SMALL}
    values = {
        "title": "", "question": "",
        "labels": _labels(1, {"kind": "random", "count": 10}),
        "held_out": _labels(2, {"kind": "random", "count": 4}),
        "model": model, "training": {"max_epochs": 2},
        "rounds": [
            {"labels": _labels(3, QUENCH, {"kind": "random", "count": 2})},
            {"labels": _labels(4, QUENCH), "training": {"max_epochs": 1}},
        ],
        "rivals": {"alike": {"model": model}},
        "exact": SOLVER,
        "runs": {
            "quench": {"source": "learned", "system": SYSTEM, "n_steps": 4, "dt": 0.5, "damping": 0.1, "save_every": 2}
        },
        "errors": {"quench": [0, 2]},
    }  # fmt: skip
    return Study.model_validate(values | changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rounds") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gnnspin.studies.engine.default_workers", lambda: 1)
        reproduce(_study(), folder, progress=False)
    return folder


def test_labels_of_a_round_are_states_of_the_model_before_it_solved_exactly(finished: Path, tmp_path: Path) -> None:
    for number, before in ((1, "training"), (2, "rounds/1/training")):
        labels = open_labels(str(finished / "rounds" / str(number) / "labels.h5"))
        config = _study().rounds[number - 1].labels.model_dump(mode="json")
        config["samplers"][0]["force_field"] = str(finished / before / "model.safetensors")
        own = gs.labels.generate(
            gs.labels.GenerateConfig.model_validate(config), tmp_path / f"{number}.h5", progress=False
        )
        assert len(labels) == len(own)
        solver = gs.electrons.PoleExpansion(gs.electrons.SDHamiltonian(labels.systems[0], **HAMILTONIAN), 0.1, mu=0.5)
        for mine, theirs in zip(own, labels, strict=True):
            assert np.array_equal(mine.spins, theirs.spins)
            exact = solver.field(torch.as_tensor(theirs.spins))
            assert torch.allclose(torch.as_tensor(theirs.field), exact.to(torch.float64), atol=1e-6)


def test_each_training_goes_on_from_the_one_before_with_all_labels_so_far(finished: Path) -> None:
    stores = [str(finished / name) for name in ("labels.h5", "rounds/1/labels.h5", "rounds/2/labels.h5")]
    folders = ["training", "rounds/1/training", "rounds/2/training"]
    jobs = [json.loads((finished / folder / "job.json").read_text()) for folder in folders]
    starts = [job["start_from"] for job in jobs]
    assert starts == [None, *(str(finished / folder / "model.safetensors") for folder in folders[:2])]
    assert [job["data"]["train"] for job in jobs] == [stores[0], stores[:2], stores]
    assert [job["training"]["max_epochs"] for job in jobs] == [2, 2, 1]
    rival = json.loads((finished / "rivals" / "alike" / "job.json").read_text())
    assert rival["data"]["train"] == stores
    assert rival["start_from"] is None


def test_runs_are_driven_by_the_model_of_the_last_round(finished: Path) -> None:
    stored = json.loads((finished / "errors_quench.json").read_text())
    with gs.trajectories.Trajectory(finished / "runs" / "quench.h5") as run:
        spins, system = run[2], run.system
    exact = gs.electrons.PoleExpansion(gs.electrons.SDHamiltonian(system, **HAMILTONIAN), 0.1, mu=0.5).torque(spins)
    errors = [
        float((load(finished / folder / "model.safetensors", system).torque(spins) - exact).square().mean().sqrt())
        for folder in ("rounds/2/training", "rounds/1/training")
    ]
    assert stored["2"]["torque_rmse"] == pytest.approx(errors[0], rel=1e-5)
    assert errors[1] != pytest.approx(errors[0], rel=1e-5)


def test_nothing_is_done_twice(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gnnspin.studies.engine.default_workers", lambda: 1)
    kept = {path: path.read_bytes() for path in [*finished.rglob("labels.h5"), *finished.rglob("*.safetensors")]}
    assert sum(predicted_seconds(_study(), finished, finished / "rounds/2/training/model.safetensors").values()) == 0
    reproduce(_study(), finished, resume=True, progress=False)
    assert all(path.read_bytes() == content for path, content in kept.items())


def test_predicted_times_count_a_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One solve per label, as the model drives; trainings on all labels so far."""
    monkeypatch.setattr("gnnspin.studies.prediction._Clock._timed", lambda *_: 1.0)
    monkeypatch.setattr("gnnspin.studies.prediction.default_workers", lambda: 1)
    seconds = predicted_seconds(_study(), tmp_path, tmp_path / "rounds/2/training/model.safetensors")
    assert (seconds["labels"], seconds["rounds/1/labels"], seconds["rounds/2/labels"]) == (10, 2 * 3 + 2, 2 * 3)
    per_label = 0.9 * FIELDS_PER_STEP
    assert seconds["round 1 training"] == pytest.approx(2 * 18 * per_label)
    assert seconds["round 2 training"] == pytest.approx(24 * per_label)
    assert seconds["rival alike"] == pytest.approx(2 * 24 * per_label)


def test_seeds_and_rounds_are_refused_together() -> None:
    with pytest.raises(ValueError, match="seeds repeat one training and rounds go on with it"):
        _study(seeds=[1])
    with pytest.raises(ValueError, match="rounds, rivals, seeds, curls need a study that learns"):
        _study(labels=None, held_out=None, model=None, rivals={}, errors={}, runs={})
