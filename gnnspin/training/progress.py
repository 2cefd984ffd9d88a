"""Progress and interruption of a training, and a Lightning that only speaks when something is wrong."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import lightning
from lightning.pytorch.callbacks import Callback

from gnnspin.runs import Interrupt, Progress


class TrainingProgress(Callback):
    """One line: epochs done, rate, remaining time, last losses."""

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Open the bar."""
        self.bar = Progress("training", trainer.max_epochs or 0, done=trainer.current_epoch, unit="epochs")
        self.bar.__enter__()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Advance the bar and show the last losses."""
        metrics = trainer.callback_metrics
        shown = [
            f"{stage} {float(metrics[f'{stage}_loss']):.5f}"
            for stage in ("train", "validation")
            if f"{stage}_loss" in metrics
        ]
        self.bar.advance("loss: " + ", ".join(shown))

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        """Close the bar."""
        if hasattr(self, "bar"):
            self.bar.__exit__(None, None, None)


class Stopped(BaseException):
    """The user asked to stop; no KeyboardInterrupt, because Lightning answers that by ending the process."""


class StopOnInterrupt(Callback):
    """Raise `Stopped` after the step in which the user asked to stop; the checkpoint of the last epoch stands."""

    def __init__(self, interrupt: Interrupt) -> None:
        self.interrupt = interrupt

    def on_train_batch_end(self, *_: object) -> None:
        """Look after every step."""
        if self.interrupt.requested:
            raise Stopped

    def on_validation_batch_end(self, *_: object) -> None:
        """Look after every step."""
        if self.interrupt.requested:
            raise Stopped


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's advice on hardware, workers and directories; errors pass."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning.*")
        warnings.filterwarnings(
            "ignore", message=r".*(does not have many workers|Checkpoint directory|has no `__len__`).*"
        )
        try:
            yield
        finally:
            logger.setLevel(level)
