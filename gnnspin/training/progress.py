"""Progress of a training on the terminal, and a Lightning that only speaks when something is wrong."""

from __future__ import annotations

import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

import lightning
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class TrainingProgress(Callback):
    """One line: epochs done, rate, remaining time, last losses."""

    def __init__(self) -> None:
        self.bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("epochs"),
            TimeElapsedColumn(),
            TextColumn("remaining"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[losses]}"),
            console=Console(stderr=True),
        )

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.bar.start()
        self.task = self.bar.add_task("", total=trainer.max_epochs, completed=trainer.current_epoch, losses="")

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Advance the bar and show the last losses."""
        metrics = trainer.callback_metrics
        shown = [
            f"{stage} {float(metrics[f'{stage}_loss']):.5f}"
            for stage in ("train", "validation")
            if f"{stage}_loss" in metrics
        ]
        self.bar.update(self.task, completed=trainer.current_epoch + 1, losses="loss: " + ", ".join(shown))

    def teardown(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        self.bar.stop()


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


class _Interrupted(BaseException):
    """Raised by Ctrl-C inside `stoppable`."""


@dataclass
class Stop:
    """Whether the user asked to stop."""

    interrupted: bool = False


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Turn Ctrl-C into an orderly end of the block; the caller finds out from `Stop.interrupted`.

    Lightning's own handling would end the process.
    """
    stop = Stop()

    def handler(signum: int, frame: FrameType | None) -> None:
        raise _Interrupted

    in_main = threading.current_thread() is threading.main_thread()
    previous = signal.signal(signal.SIGINT, handler) if in_main else None
    try:
        yield stop
    except _Interrupted:
        stop.interrupted = True
    finally:
        if in_main:
            signal.signal(signal.SIGINT, previous)
