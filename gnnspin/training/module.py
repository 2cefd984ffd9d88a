"""The Lightning module all models share: loss, optimiser, schedules."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset, Sampler

from gnnspin.core.errors import ConvergenceError
from gnnspin.core.spins import torque
from gnnspin.force_fields.evaluation import sum_over_graphs
from gnnspin.models.base import SpinModel
from gnnspin.training.batches import Batch, LabelStatistics, SnapshotTable
from gnnspin.training.config import TrainingConfig
from gnnspin.training.native import NativeTraining
from gnnspin.training.soap import SOAP


class FieldFitting(lightning.LightningModule):
    """Fit a model's fields (and energies) to labels; see `TrainingConfig` for the loss."""

    def __init__(self, model: SpinModel, config: TrainingConfig, units: LabelStatistics, total_steps: int) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.units = units
        self.total_steps = total_steps
        self._native = NativeTraining(model)
        self._compiled = torch.compile(_energies_and_fields, dynamic=False) if config.compiled else None

    def predict(self, batch: Batch, *, create_graph: bool) -> tuple[Tensor | None, Tensor]:
        """Energies (R, n_graphs), None for a model without, and fields (R, N, 3)."""
        site: Tensor | None
        if self._compiled is not None and create_graph:
            site, field = self._compiled(self.model, batch.data, batch.spins)
        elif (found := self._native.energies_and_fields(batch, create_graph=create_graph)) is not None:
            site, field = found
        else:
            site, field = self.model.energies_and_fields(batch.data, batch.spins, create_graph=create_graph)
        return None if site is None else sum_over_graphs(batch.system, site), field

    def errors(self, batch: Batch, *, create_graph: bool) -> dict[str, Tensor]:
        """Mean square errors per spin of torque and field, and per site of the energy, in units of `Batch.scale`."""
        energy, field = self.predict(batch, create_graph=create_graph)
        error = field - batch.field
        if batch.scale is not None:
            error = error / batch.scale[torch.as_tensor(batch.system.graph_index, device=error.device), None]
        result = {
            "torque": torque(batch.spins, error).square().sum(-1).mean(),
            "field": error.square().sum(-1).mean(),
        }
        if batch.energy is not None and energy is not None:
            sites = torch.tensor([part.n_sites for part in batch.system.parts], device=energy.device)
            squares = (energy - batch.energy).square() / sites
            squares = squares if batch.scale is None else squares / batch.scale.square()
            result["energy"] = squares.mean().to(error.dtype)
        return result

    def loss(self, errors: dict[str, Tensor], epoch: int) -> Tensor:
        """Weighted sum of the errors in units of the mean square torque, with the energy weight of `epoch`."""
        weight_torque, weight_field = self.config.weights
        total = weight_torque * errors["torque"] + weight_field * errors["field"]
        eta = self.config.energy_weight_at(epoch)
        if eta > 0:
            total = total + eta * errors["energy"]
        return total / self.units.torque

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """One step of gradient descent; ConvergenceError where the loss is not finite."""
        errors = self.errors(batch, create_graph=True)
        loss = self.loss(errors, self.current_epoch)
        if not bool(torch.isfinite(loss)):
            raise ConvergenceError(
                f"the training loss became {float(loss.detach())} in epoch {self.current_epoch}; train anew with a "
                f"learning_rate below {self.config.learning_rate:g}, or gradient_clip below {self.config.gradient_clip}"
            )
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=batch.n_snapshots)
        self._log("train", batch, errors)
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Errors on validation labels, all epochs by the objective of the last one."""
        errors = self.errors(batch, create_graph=False)
        loss = self.loss(errors, self.config.max_epochs - 1)
        self.log("validation_loss", loss, batch_size=batch.n_snapshots)
        self._log("validation", batch, errors)

    def _log(self, stage: str, batch: Batch, errors: dict[str, Tensor]) -> None:
        means = {f"{stage}_{name}_mse": value for name, value in errors.items()}
        self.log_dict(means, on_step=False, on_epoch=True, batch_size=batch.n_snapshots)

    def backward(self, loss: Tensor, *args: object, **kwargs: object) -> None:
        """Gradient with respect to the weights alone: nobody needs second derivatives with respect to spins."""
        super().backward(loss, *args, inputs=[p for p in self.parameters() if p.requires_grad], **kwargs)

    def configure_optimizers(self) -> dict[str, object]:
        """AdamW or SOAP with linear warm-up, then cosine or constant."""
        config = self.config
        kind: type[torch.optim.Optimizer] = SOAP if config.optimizer == "soap" else torch.optim.AdamW
        optimizer = kind(self.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)  # type: ignore[call-arg]
        floor = config.final_learning_rate / config.learning_rate

        def factor(step: int) -> float:
            """Learning rate of a step relative to the largest."""
            if step < config.warmup_steps:
                return (step + 1) / config.warmup_steps
            if config.schedule == "constant":
                return 1.0
            progress = min(1.0, step / max(1, self.total_steps))
            return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))

        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}}

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move a batch."""
        del dataloader_idx
        return batch if device.type == "cpu" else batch.to(device)


def _energies_and_fields(model: SpinModel, data: Any, spins: Tensor) -> tuple[Tensor, Tensor]:
    """`SpinModel.energies_and_fields` as a function that `torch.compile` sees through, the gradient included."""

    def energy(spins: Tensor) -> tuple[Tensor, Tensor]:
        site = model.site_energies(data, spins)
        return site.sum(), site

    gradient, site = torch.func.grad(energy, has_aux=True)(spins)
    return site, -gradient


class BatchDataset(Dataset[Batch]):
    """Batches of a table by their members."""

    def __init__(self, table: SnapshotTable) -> None:
        self.table = table

    def __getitem__(self, members: list[tuple[int, int]]) -> Batch:
        return self.table.batch(members)


class EpochPlan(Sampler[list[tuple[int, int]]]):
    """Members of each batch of an epoch; their order in epoch k is a function of (seed, k), also after a resume."""

    def __init__(self, table: SnapshotTable, seed: int | None, first_epoch: int = 0) -> None:
        self.table = table
        self.seed = seed
        self.epoch = first_epoch

    def __len__(self) -> int:
        return len(self.table.plan(None))

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this before each one but the first."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        if self.seed is None:
            return iter(self.table.plan(None))
        return iter(self.table.plan(torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)))


def loader(table: SnapshotTable, seed: int | None, first_epoch: int = 0) -> DataLoader[Batch]:
    """Loader of a table's batches, shuffled by `seed` or in order without one."""
    return DataLoader(BatchDataset(table), sampler=EpochPlan(table, seed, first_epoch), batch_size=None)
