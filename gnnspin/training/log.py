"""The log of a training, and the callbacks that decide when it validates and ends."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback


class LastValidation(Callback):
    """Validate after the last epoch, whatever the interval."""

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Ask for a validation in the last epoch."""
        if trainer.current_epoch + 1 == trainer.max_epochs:
            trainer.check_val_every_n_epoch = 1


class TimeLimit(Callback):
    """Stop at the end of the first epoch that ends after `max_minutes` of this run."""

    def __init__(self, max_minutes: float) -> None:
        self.deadline = time.monotonic() + 60 * max_minutes

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stop if the time is over."""
        trainer.should_stop = trainer.should_stop or time.monotonic() > self.deadline


class CsvLog(Callback):
    """Append one line per epoch to a CSV file; a resumed training continues the file."""

    columns = (
        "epoch",
        "seconds",
        "learning_rate",
        "train_loss",
        "train_torque_mse",
        "train_field_mse",
        "train_energy_mse",
        "validation_loss",
        "validation_torque_mse",
        "validation_field_mse",
        "validation_energy_mse",
    )

    def __init__(self, path: Path) -> None:
        self.path = path
        self._start = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start the clock of the epoch."""
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Append the epoch's line."""
        values: dict[str, Any] = {k: float(v) for k, v in trainer.callback_metrics.items() if k in self.columns}
        values["epoch"] = trainer.current_epoch
        values["seconds"] = time.perf_counter() - self._start
        values["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        if (trainer.current_epoch + 1) % trainer.check_val_every_n_epoch:
            values = {k: v for k, v in values.items() if not k.startswith("validation")}
        new = not self.path.exists()
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns)
            if new:
                writer.writeheader()
            writer.writerow(values)


def read_history(directory: str | Path) -> dict[str, list[float]]:
    """Columns of ``metrics.csv`` in `directory`; an epoch trained twice (after a kill) counts once, the last time."""
    path = Path(directory) / "metrics.csv"
    if not path.exists():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        rows = {row["epoch"]: row for row in csv.DictReader(file)}
    ordered = sorted(rows.values(), key=lambda row: int(row["epoch"]))
    return {name: [float(row.get(name) or "nan") for row in ordered] for name in CsvLog.columns}
