"""Regularised least squares for models that are linear in their coefficients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gnnspin.core.spins import torque
from gnnspin.force_fields.evaluation import sum_over_graphs
from gnnspin.models.architectures.linear_cluster_expansion import LinearSpinModel
from gnnspin.training.batches import Batch, SnapshotTable
from gnnspin.training.config import TrainingConfig

#: Ridge strengths tried, relative to the mean diagonal of the normal equations.
RIDGES = tuple(10.0 ** (k / 2) for k in range(-20, 1))

#: Features differentiated at once.
CHUNK = 8


@dataclass(frozen=True)
class NormalEquations:
    r"""Squared loss :math:`|y - Xw|^2 = y^2 - 2 b\cdot w + w\cdot A w` of coefficients w, averaged over the labels.

    Attributes
    ----------
    matrix : (F, F)
        A = X^T X.
    right : (F,)
        b = X^T y.
    square : float
        y^T y.
    """

    matrix: Tensor
    right: Tensor
    square: float

    def loss(self, coefficients: Tensor) -> float:
        """Loss of coefficients (F,)."""
        return float(self.square - 2 * self.right @ coefficients + coefficients @ self.matrix @ coefficients)

    def solutions(self, ridges: tuple[float, ...]) -> list[Tensor]:
        """Coefficients (F,) for each ridge strength; the penalty is on coefficients scaled to equal columns of X."""
        diagonal = self.matrix.diagonal()
        used = diagonal > 1e-12 * diagonal.max()
        scale = torch.where(used, diagonal.clamp_min(1e-300).rsqrt(), torch.zeros_like(diagonal))
        values, vectors = torch.linalg.eigh(scale[:, None] * self.matrix * scale)
        projected = vectors.T @ (scale * self.right)
        return [scale * (vectors @ (projected / (values.clamp_min(0) + ridge))) for ridge in ridges]


def normal_equations(model: LinearSpinModel, table: SnapshotTable, config: TrainingConfig) -> NormalEquations:
    """Accumulate the normal equations of the loss of `config` batch by batch, in float64."""
    size = model.coefficients.numel()
    matrix, right = torch.zeros(size, size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64)
    square, count = 0.0, 0
    for members in table.plan(None):
        for member in members:
            batch = table.batch([member])
            for rows, target in _weighted_rows(model, batch, config):
                matrix += (rows @ rows.T) / table.statistics.torque
                right += (rows @ target) / table.statistics.torque
                square += float(target @ target) / table.statistics.torque
            count += 1
    return NormalEquations(matrix / count, right / count, square / count)


def fit_linear(
    model: LinearSpinModel, train: SnapshotTable, validation: SnapshotTable, config: TrainingConfig
) -> dict[str, float]:
    """Solve for the model's coefficients; the ridge strength is the one with the smallest validation loss.

    Parameters
    ----------
    model : LinearSpinModel
        Changed in place; its features are standardised already.
    train, validation : SnapshotTable
    config : TrainingConfig
        Only the loss and the last energy weight matter.

    Returns
    -------
    dict
        ``train_loss`` and ``validation_loss``, each in units of the mean square torque of its own set, and ``ridge``.
    """
    equations = normal_equations(model, train, config)
    held_out = normal_equations(model, validation, config)
    candidates = equations.solutions(RIDGES)
    best = min(range(len(RIDGES)), key=lambda k: held_out.loss(candidates[k]))
    with torch.no_grad():
        model.coefficients.copy_(candidates[best])
    return {
        "train_loss": equations.loss(candidates[best]),
        "validation_loss": held_out.loss(candidates[best]),
        "ridge": RIDGES[best],
    }


def _weighted_rows(model: LinearSpinModel, batch: Batch, config: TrainingConfig) -> list[tuple[Tensor, Tensor]]:
    """Columns (F, n) and targets (n,) of each term of the loss of one snapshot, times the root of its weight."""
    energies, fields = _feature_fields(model, batch)
    weight_torque, weight_field = config.weights
    n_sites = batch.spins.shape[-2]
    pairs = []
    if weight_torque > 0:
        columns = torque(batch.spins.expand_as(fields), fields)
        pairs.append((columns, torque(batch.spins, batch.field), weight_torque))
    if weight_field > 0:
        pairs.append((fields, batch.field, weight_field))
    rows = [
        ((weight / n_sites) ** 0.5 * x.flatten(1).double(), (weight / n_sites) ** 0.5 * y.flatten().double())
        for x, y, weight in pairs
    ]
    eta = config.energy_weight_at(config.max_epochs - 1)
    if eta > 0 and batch.energy is not None:
        sites = torch.tensor([part.n_sites for part in batch.system.parts], dtype=torch.float64)
        weight = (eta / sites / len(sites)).sqrt()
        target = batch.energy[0].double() - model.energy_shift.double() * sites
        rows.append((energies * weight, target * weight))
    return rows


def _feature_fields(model: LinearSpinModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """Energies (F, n_graphs) and fields (F, R, N, 3) of each standardised feature with coefficient one."""
    spins = batch.spins.detach().requires_grad_(True)
    groups = model.feature_groups(batch.data, spins)
    gradients = []
    for group in groups:
        totals = group.sum((0, 1))
        for unit in torch.eye(len(totals), dtype=totals.dtype).split(CHUNK):
            (gradient,) = torch.autograd.grad(totals, spins, unit, retain_graph=True, is_grads_batched=True)
            gradients.append(gradient)
    scale = model.energy_scale * model.standardization.inverse_spread
    features = torch.cat([group.detach() for group in groups], dim=-1)
    standardised = model.energy_scale * model.standardization(features)
    energies = sum_over_graphs(batch.system, standardised[0].T)
    return energies, -scale[:, None, None, None] * torch.cat(gradients)
