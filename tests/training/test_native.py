"""Trainings by native code: the same gradients as in torch, for models and for families."""

from __future__ import annotations

import pytest
import torch

import gnnspin as gs
from gnnspin.core import move_arrays
from gnnspin.core.native_library import _compiler
from gnnspin.datasets import JoinedLabels, from_arrays
from gnnspin.models.native import NoCompiler
from gnnspin.training import TrainingConfig
from gnnspin.training.batches import SnapshotTable
from gnnspin.training.job import ModelConfig
from gnnspin.training.module import FieldFitting

try:
    _compiler()
except NoCompiler:
    pytest.skip("there is no C++ compiler", allow_module_level=True)

SYSTEM = gs.systems.square(10, 10)
SMALL = {"layers": 2, "channels": 2, "scalars": 2, "hidden": 6}


def labels() -> JoinedLabels:
    """Labels of Heisenberg models of two strengths, which their records call J."""
    members = []
    for strength in (0.5, 1.5):
        source = gs.classical.Heisenberg(SYSTEM, J=strength)
        spins = gs.core.random_spins(SYSTEM.n_sites, replicas=(2,), seed=3)
        record = {"hamiltonian": {"J": strength}}
        members.append(from_arrays(SYSTEM, spins, source.field(spins), source.energy(spins), provenance=record))
    return JoinedLabels(members)


@pytest.mark.parametrize("conditions", [None, {"J": (0.1, 2.0)}], ids=["model", "family"])
def test_a_step_has_the_gradients_of_torch(conditions, monkeypatch) -> None:
    """Loss of torques and energies, in float32; with random modulation in a family."""
    data = labels()
    model = ModelConfig(cutoff=2.0, hyperparameters=SMALL, conditions=conditions).build(SYSTEM, data)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.05 * torch.randn(weight.shape, generator=generator)
    table = SnapshotTable(data, model, 2, torch.float32)
    batch = table.batch([(0, 0), (0, 1)])
    model.calibrate(batch.data, batch.spins)
    fitting = FieldFitting(model, TrainingConfig(energy_weight=0.1), table.statistics, total_steps=1)
    gradients, used = [], []
    original = type(fitting._native).energies_and_fields

    def counted(self, *given, **options):
        found = original(self, *given, **options)
        used.append(found is not None)
        return found

    monkeypatch.setattr(type(fitting._native), "energies_and_fields", counted)
    for switch in ("1", "0"):
        monkeypatch.setenv("GNNSPIN_NATIVE", switch)
        loss = fitting.loss(fitting.errors(batch, create_graph=True), 0)
        weights = list(model.parameters())
        found = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
        gradients.append(torch.cat([gradient.flatten() for gradient in found]))
    assert used == [True, False]
    assert float((gradients[0] - gradients[1]).norm() / gradients[1].norm()) < 5e-3


def test_small_batches_and_unions_stay_in_torch() -> None:
    small = gs.systems.square(4, 4)
    source = gs.classical.Heisenberg(small, J=1.0)
    spins = gs.core.random_spins(16, replicas=(4,), seed=3)
    data = from_arrays(small, spins, source.field(spins))
    model = ModelConfig(cutoff=1.1, hyperparameters=SMALL).build(small, data)
    table = SnapshotTable(data, model, 4, torch.float32)
    fitting = FieldFitting(model, TrainingConfig(), table.statistics, total_steps=1)
    batch = table.batch([(0, k) for k in range(4)])
    assert fitting._native.energies_and_fields(batch, create_graph=True) is None


def test_validation_sees_the_present_weights() -> None:
    data = labels()
    model = ModelConfig(cutoff=2.0, hyperparameters=SMALL).build(SYSTEM, data)
    table = SnapshotTable(data, model, 2, torch.float32)
    fitting = FieldFitting(model, TrainingConfig(), table.statistics, total_steps=1)
    batch = table.batch([(0, 0), (0, 1)])
    fitting.predict(batch, create_graph=False)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1.1)
    expected = model.energies_and_fields(move_arrays(model.prepare(SYSTEM), dtype=torch.float32), batch.spins)[1]
    torch.testing.assert_close(fitting.predict(batch, create_graph=False)[1], expected, rtol=1e-4, atol=1e-5)
