"""A training described in a configuration: error bars of the model that it leaves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import gnnspin as gs
from gnnspin.core import InvalidInput
from gnnspin.datasets import Label, LabelStore
from gnnspin.force_fields import last_layer
from gnnspin.training.job import TrainJob, train

SYSTEM = gs.systems.square(6, 6)


def labels(path: Path, count: int) -> str:
    """Labels of a Heisenberg model."""
    source, store = gs.classical.Heisenberg(SYSTEM, J=1.0), LabelStore.create(path)
    for seed in range(count):
        spins = gs.core.random_spins(SYSTEM.n_sites, seed=seed)
        store.append(Label(SYSTEM, spins, source.field(spins)))
    return str(path)


def job(name: str, train_labels: str, validation: str) -> TrainJob:
    small = {"layers": 1, "channels": 2, "scalars": 0, "hidden": 4} if name == "spin_cluster_expansion" else {}
    return TrainJob.model_validate(
        {
            "data": {"train": train_labels, "validation": validation},
            "model": {"name": name, "cutoff": 1.2, "hyperparameters": small},
            "training": {"max_epochs": 1},
            "error_bars": True,
        }
    )


def test_error_bars_come_from_the_validation_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_layer, "_STEPS", 50)
    trained, held = labels(tmp_path / "labels.h5", 6), labels(tmp_path / "held.h5", 10)
    path = train(job("spin_cluster_expansion", trained, held), tmp_path / "training", progress=False).path
    model = gs.load(path, SYSTEM)
    assert model.calibration is not None
    assert model.calibration.n_snapshots == 10
    exact = gs.classical.Heisenberg(SYSTEM, J=1.0)
    inside = []
    for seed in range(10):
        spins = gs.core.random_spins(SYSTEM.n_sites, seed=seed)
        torque, radius = model.torque_with_error_bar(spins, 0.9)
        inside.append((torque - exact.torque(spins)).norm(dim=-1) <= radius)
    assert float(torch.cat(inside).double().mean()) == pytest.approx(0.9, abs=0.01)


def test_error_bars_that_cannot_be_made_are_refused_before_the_training(tmp_path: Path) -> None:
    trained, few = labels(tmp_path / "labels.h5", 6), labels(tmp_path / "few.h5", 2)
    with pytest.raises(InvalidInput, match="72 spins are too few"):
        train(job("spin_cluster_expansion", trained, few), tmp_path / "a", progress=False)
    held = labels(tmp_path / "held.h5", 6)
    with pytest.raises(InvalidInput, match="no last linear layer"):
        train(job("schnet", trained, held), tmp_path / "b", progress=False)
    assert not (tmp_path / "a" / "last.ckpt").exists()
