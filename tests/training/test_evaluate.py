"""Errors on labels: of the whole, by sampler and by time, and in words where a figure means nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import gnnspin as gs
from gnnspin.classical import Heisenberg
from gnnspin.core import random_spins
from gnnspin.datasets import Label, LabelStore
from gnnspin.force_fields import Committee
from gnnspin.graphs import GraphSpec
from gnnspin.training import evaluate

SYSTEM = gs.systems.square(4, 4)


def store_of(path: Path, samplers: list[dict[str, object]], strengths: list[float]) -> LabelStore:
    """Labels of exchanges of different strength, one per sampler."""
    store = LabelStore.create(path)
    for k, (sampler, strength) in enumerate(zip(samplers, strengths, strict=True)):
        spins = random_spins(16, seed=k)
        field = Heisenberg(SYSTEM, strength).field(spins)
        store.append(Label(SYSTEM, spins, field, provenance={"sampler": sampler}))
    return store


def test_errors_by_sampler_and_by_time(tmp_path: Path) -> None:
    """A source of strength 1 is right on random snapshots and worse and worse along trajectories."""
    samplers: list[dict[str, object]] = [{"kind": "random"}] * 2
    samplers += [{"kind": "relaxation", "step": 10 * k, "time": 1.0 * k} for k in range(8)]
    strengths = [1.0, 1.0, *(1.0 + k for k in range(8))]
    result = evaluate(Heisenberg(SYSTEM, 1.0), store_of(tmp_path / "a.h5", samplers, strengths))
    random, relaxation = result.by_sampler
    assert (random.name, random.n_snapshots, relaxation.name, relaxation.n_snapshots) == ("random", 2, "relaxation", 8)
    assert random.torque_rmse < 1e-12
    assert [part.name for part in result.by_time] == ["t = 0 to 1", "t = 2 to 3", "t = 4 to 5", "t = 6 to 7"]
    assert [part.n_snapshots for part in result.by_time] == [2, 2, 2, 2]
    shares = [part.torque_rmse / part.torque_rms for part in result.by_time]
    assert shares == sorted(shares)
    total = (2 * random.torque_rmse**2 + 8 * relaxation.torque_rmse**2) / 10
    assert result.torque_rmse**2 == pytest.approx(total)
    assert "relaxation: torque RMSE" in str(result)
    assert "t = 6 to 7: torque RMSE" in str(result)
    assert json.loads(json.dumps(result.parts()))["by_time"][3]["n_snapshots"] == 2


def test_labels_without_samplers_have_no_parts(tmp_path: Path) -> None:
    result = evaluate(Heisenberg(SYSTEM, 1.0), store_of(tmp_path / "a.h5", [{}, {}], [1.0, 2.0]))
    assert (result.by_sampler, result.by_time) == ((), ())


def test_r2_without_a_signal_is_undefined(tmp_path: Path) -> None:
    """Fields along the spins exert no torque but of rounding: neither R2 = 1 nor -3e298."""
    store = LabelStore.create(tmp_path / "a.h5")
    spins = random_spins(16, seed=0)
    store.append(Label(SYSTEM, spins, 2.7 * spins))
    result = evaluate(Heisenberg(SYSTEM, 1.0), store)
    assert result.torque_r2 is None
    assert result.field_r2 is not None
    assert "R2 undefined: no signal" in str(result)
    store.append(Label(SYSTEM, spins, Heisenberg(SYSTEM, 1e-3).field(spins)))
    assert evaluate(Heisenberg(SYSTEM, 1e-3), store[1:]).torque_r2 == pytest.approx(1.0)


@pytest.mark.parametrize(("loss", "trained"), [("torque", False), ("field", True), ("mixed", True)])
def test_fields_under_a_torque_loss_are_not_trained(tmp_path: Path, loss: str, trained: bool) -> None:
    store = store_of(tmp_path / "a.h5", [{"kind": "random"}], [1.0])
    torch.manual_seed(0)
    model = gs.models.build("spin_cluster_expansion", GraphSpec(cutoff=1.1), layers=1, channels=2)
    member = gs.ForceField(model, SYSTEM, {"training": {"loss": loss}})
    for source in (member, Committee([member, member])):
        result = evaluate(source, store)
        assert result.field_trained is trained
        assert ("field: not trained" in str(result)) is not trained
    assert evaluate(Heisenberg(SYSTEM, 1.0), store).field_trained
