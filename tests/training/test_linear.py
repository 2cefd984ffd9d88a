"""Regularised least squares: a linear model finds the Hamiltonian its labels come from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import gnnspin as gs
from gnnspin.core import random_spins
from gnnspin.datasets.labels import StackedLabels
from gnnspin.datasets.published import PublishedLabels
from gnnspin.models.architectures.linear_cluster_expansion import LinearClusterExpansion, LinearClusterHyperparameters
from gnnspin.training import TrainingConfig
from gnnspin.training.batches import SnapshotTable
from gnnspin.training.linear import normal_equations
from gnnspin.training.module import FieldFitting

SYSTEM = gs.systems.square(6, 6)


def exact_labels(seed: int) -> PublishedLabels:
    """Labels of bilinear exchange on two shells and biquadratic exchange on one."""
    source = gs.classical.Heisenberg(SYSTEM, J=(1.0, -0.3)) + gs.classical.Biquadratic(SYSTEM, B=0.2)
    spins = random_spins(SYSTEM.n_sites, replicas=(12,), seed=seed)
    energy, field = source.energy_and_field(spins)
    return PublishedLabels("exact", StackedLabels(SYSTEM, spins, field, energy), [{}] * 12)


def linear_model() -> LinearClusterExpansion:
    spec = gs.graphs.GraphSpec.for_system(SYSTEM, 1.5)
    return LinearClusterExpansion(spec, LinearClusterHyperparameters(max_degree=1))


@pytest.mark.parametrize("loss", ["torque", "field"])
def test_the_hamiltonian_of_the_labels_is_found(tmp_path: Path, loss: str) -> None:
    model = linear_model()
    config = TrainingConfig(loss=loss)  # type: ignore[arg-type]
    result = gs.training.fit(model, exact_labels(0), exact_labels(1), config, directory=tmp_path, progress=False)
    evaluation = gs.training.evaluate(result.force_field, exact_labels(2))
    assert evaluation.torque_rmse < 1e-3 * evaluation.torque_rms
    if loss == "field":
        assert evaluation.field_rmse < 1e-3
    assert result.history["validation_loss"][0] < 1e-6
    with pytest.raises(gs.core.StoreError, match="resume"):
        gs.training.fit(model, exact_labels(0), exact_labels(1), config, directory=tmp_path, progress=False)
    again = gs.training.fit(
        model, exact_labels(0), exact_labels(1), config, directory=tmp_path, resume=True, progress=False
    )
    spins = random_spins(SYSTEM.n_sites, seed=3)
    assert torch.allclose(again.force_field.field(spins), result.force_field.field(spins), atol=1e-6)


def test_normal_equations_are_the_loss_of_the_trainer() -> None:
    """The quadratic form equals the loss of gradient descent, energies included, for any coefficients."""
    model = linear_model().double()
    config = TrainingConfig(loss="mixed", field_weight=0.3, energy_weight=0.1, batch_size=12)
    table = SnapshotTable(exact_labels(0), model, 12, torch.float64)
    batch = table.batch(table.plan(None)[0])
    model.energy_scale.fill_(0.7)
    model.energy_shift.fill_(-0.4)
    model.calibrate(batch.data, batch.spins)
    equations = normal_equations(model, table, config)
    with torch.no_grad():
        model.coefficients.normal_(generator=torch.Generator().manual_seed(0))
    module = FieldFitting(model, config, table.statistics, total_steps=1)
    expected = float(module.loss(module.errors(batch, create_graph=False), epoch=0).detach())
    assert equations.loss(model.coefficients.detach()) == pytest.approx(expected, rel=1e-9)
