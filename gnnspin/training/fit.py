"""The one trainer: fit any model to labels, with checkpoints, resume and a log."""

from __future__ import annotations

import csv
import importlib.util
import math
import time
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import cast

import lightning
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger

from gnnspin.core.errors import InvalidInput
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.spins import torque
from gnnspin.core.version import __version__
from gnnspin.datasets.labels import LabelSet
from gnnspin.force_fields.force_field import ForceField
from gnnspin.models.architectures.family import Family
from gnnspin.models.architectures.linear_cluster_expansion import LinearSpinModel
from gnnspin.models.base import SpinModel
from gnnspin.runs import interruptible, replaced, run_folder
from gnnspin.training.averaging import MovingAverage
from gnnspin.training.batches import Batch, SnapshotTable
from gnnspin.training.config import TrainingConfig
from gnnspin.training.identity import TrainingRun
from gnnspin.training.linear import fit_linear
from gnnspin.training.log import CsvLog, LastValidation, TimeLimit, read_history
from gnnspin.training.module import FieldFitting, loader
from gnnspin.training.progress import StopOnInterrupt, Stopped, TrainingProgress, quiet_lightning
from gnnspin.training.symmetries import check_imposed

_BEST, _LAST = "best", "last"

#: Features are standardised on up to so many snapshots, of up to so many sites together.
CALIBRATION_SNAPSHOTS, CALIBRATION_SITES = 16, 20_000

#: The mean energies of a family are fitted to so many batches of one member each.
FAMILY_SNAPSHOTS = 200

#: Models that start from a solution in closed form see so many snapshots for it.
START_SNAPSHOTS = 40


@dataclass(frozen=True)
class FitResult:
    """Result of `fit`: the trained force field, the history of its training, and the files it left.

    Attributes
    ----------
    force_field : ForceField
        The model with the best validation loss, on the first training system.
    history : dict of lists
        Columns of the log, one entry per logged epoch; missing values are NaN.
    directory : Path
        Holds ``metrics.csv``, ``training.json`` (what it is a training of), the checkpoints ``best.ckpt`` and
        ``last.ckpt``, and ``tensorboard`` if asked for.
    seconds : float
        Wall time of all epochs, those of earlier calls that this one resumed included; of a linear model, of its fit.
    interrupted : bool
        True when the training was stopped by the user; ``fit(..., resume=True)`` continues it.
    """

    force_field: ForceField
    history: dict[str, list[float]]
    directory: Path
    seconds: float
    interrupted: bool


@torch.enable_grad()
@independent_of_modes
def fit(
    model: SpinModel,
    train: LabelSet,
    validation: LabelSet,
    config: TrainingConfig | None = None,
    *,
    directory: str | Path,
    trained: bool = False,
    resume: bool = False,
    progress: bool = True,
) -> FitResult:
    """Fit `model` to labels: by gradient descent, or by regularised least squares where it is linear.

    Parameters
    ----------
    model : SpinModel
        Trained in place; ends with the weights of the best validation loss.
    train, validation : LabelSet
    config : TrainingConfig, optional
    directory : path
        Where log and checkpoints go; must not hold a training unless `resume`.
    trained : bool
        The model has been trained before, ``gs.load(...).model`` for instance: go on from its weights, with its feature
        statistics and energy scale.
    resume : bool
        Continue from ``last.ckpt`` in `directory`; starts afresh where there is none.
    progress : bool
        Show a progress bar.

    Raises
    ------
    InvalidInput
        If a set is empty or has no torque, the loss asks for energies the labels lack, `compiled` is asked for and the
        model does not compile, or TensorBoard and it is not installed.
    StoreError
        If `directory` is a file, or holds a training and `resume` is false or that is another one.

    Warns
    -----
    SymmetryWarning
        If the model imposes a symmetry that the Hamiltonian of the labels, where known, lacks.
    """
    config = config or TrainingConfig()
    directory = Path(directory)
    last = directory / f"{_LAST}.ckpt"
    _check_tensorboard(config)
    if config.device == "cuda" and not torch.cuda.is_available():
        raise InvalidInput("device=cuda, but torch finds no CUDA device here; set it to auto or cpu")
    dtype = torch.float32
    model.to("cpu", dtype)
    table = SnapshotTable(train, model, config.batch_size, dtype)
    valid = SnapshotTable(validation, model, config.batch_size, dtype)
    _check(config, model, table, valid)
    symmetries = check_imposed(model, train)
    run = TrainingRun.of(model, config, train, validation)
    with run_folder(directory / "training.json", run, resume=resume, kind="training", begun=last.exists()):
        interrupted = _fit(model, train, table, valid, config, directory, trained=trained, progress=progress)
    provenance = {
        "gnnspin": __version__,
        "training": config.model_dump(mode="json"),
        "snapshots": len(train),
        "labels": dict(train[0].provenance),
        "symmetries": symmetries,
    }
    history = read_history(directory)
    return FitResult(
        force_field=ForceField(model, train[0].system, provenance),
        history=history,
        directory=directory,
        seconds=sum(seconds for seconds in history.get("seconds", ()) if not math.isnan(seconds)),
        interrupted=interrupted,
    )


def _fit(
    model: SpinModel,
    train: LabelSet,
    table: SnapshotTable,
    valid: SnapshotTable,
    config: TrainingConfig,
    directory: Path,
    *,
    trained: bool,
    progress: bool,
) -> bool:
    """Fit in place, in a folder that is owned; true if the user stopped it."""
    last = directory / f"{_LAST}.ckpt"
    if not any(parameter.requires_grad for parameter in model.parameters()):
        model.requires_grad_(True)  # frozen by the force field it was taken from
    started = time.perf_counter()
    solved = model.solved
    if not trained:
        _scale_energies(model, table)
    if solved or not (trained or last.exists()):  # what is solved for is solved again, with the same result
        some = range(0, len(train), 1 if solved else -(-len(train) // START_SNAPSHOTS))
        model.start_from(train.subset(some))
    if not trained:
        _calibrate(model, table)
    interrupted = False
    if solved:
        losses = {"train_loss": _torque_loss(model, table), "validation_loss": _torque_loss(model, valid)}
        _log_solution(model, losses, time.perf_counter() - started, directory)
    elif "linear" in model.capabilities:
        losses = fit_linear(cast(LinearSpinModel, model), table, valid, config)
        _log_solution(model, losses, time.perf_counter() - started, directory)
    else:
        module, interrupted = _train(model, table, valid, config, directory, last if last.exists() else None, progress)
        _load_best(model, directory, module)
    _settle_energies(model, table)
    return interrupted


def _train(
    model: SpinModel,
    table: SnapshotTable,
    valid: SnapshotTable,
    config: TrainingConfig,
    directory: Path,
    checkpoint: Path | None,
    progress: bool,
) -> tuple[FieldFitting, bool]:
    done = 0 if checkpoint is None else int(torch.load(checkpoint, weights_only=True)["epoch"]) + 1
    batches = loader(table, config.seed, first_epoch=done)
    module = FieldFitting(model, config, table.statistics, total_steps=len(batches) * config.max_epochs)
    with quiet_lightning(), interruptible() as interrupt:
        trainer = lightning.Trainer(
            accelerator={"cuda": "gpu"}.get(config.device, config.device),
            devices=1,
            max_epochs=config.max_epochs,
            gradient_clip_val=config.gradient_clip,
            check_val_every_n_epoch=config.validate_every,
            logger=TensorBoardLogger(directory, name="tensorboard", version="") if config.tensorboard else False,
            callbacks=[*_callbacks(config, directory, progress), StopOnInterrupt(interrupt)],
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            inference_mode=False,
        )
        if interrupt.requested:  # of a run that this one is part of
            return module, True
        try:
            trainer.fit(module, batches, loader(valid, None), ckpt_path=checkpoint, weights_only=checkpoint is not None)
        except Stopped:
            return module, True
    return module, False


@torch.no_grad()
def _torque_loss(model: SpinModel, table: SnapshotTable) -> float:
    """Mean square torque error of some snapshots over the mean square torque of all."""
    members = [member for batch in table.plan(None) for member in batch]
    chosen = members[:: -(-len(members) // START_SNAPSHOTS)]
    batches = (table.batch([member]) for member in chosen)
    errors = [torque(each.spins, model.fields(each.data, each.spins) - each.field).square().mean() for each in batches]
    return float(torch.stack(errors).mean()) / table.statistics.torque


def _log_solution(model: SpinModel, losses: dict[str, float], seconds: float, directory: Path) -> None:
    """Log of one line, and a checkpoint, of a model whose weights were solved for in place of a training."""
    with replaced(directory / "metrics.csv") as new, new.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, CsvLog.columns)
        writer.writeheader()
        known = {name: value for name, value in losses.items() if name in CsvLog.columns}
        writer.writerow({"epoch": 0, "seconds": seconds, **known})
    with replaced(directory / f"{_LAST}.ckpt") as new:
        torch.save({"state_dict": model.state_dict(), "epoch": 0}, new)


def _callbacks(config: TrainingConfig, directory: Path, progress: bool) -> list[Callback]:
    callbacks: list[Callback] = [
        LastValidation(),
        CsvLog(directory / "metrics.csv"),
        ModelCheckpoint(
            directory, filename=_BEST, monitor="validation_loss", save_top_k=1, enable_version_counter=False
        ),
        ModelCheckpoint(directory, filename=_LAST, enable_version_counter=False, save_on_train_epoch_end=True),
    ]
    if config.ema is not None:
        callbacks.append(MovingAverage(config.ema))
    if config.max_minutes is not None:
        callbacks.append(TimeLimit(config.max_minutes))
    if config.patience is not None:
        callbacks.append(EarlyStopping("validation_loss", patience=config.patience))
    if progress:
        callbacks.append(TrainingProgress())
    return callbacks


def _check(config: TrainingConfig, model: SpinModel, *tables: SnapshotTable) -> None:
    statistics = tables[0].statistics
    if statistics.torque <= 1e-20 * statistics.field:
        raise InvalidInput(
            f"the training labels have no torque (mean square {statistics.torque:.1e}, field {statistics.field:.1e}): "
            "states in equilibrium teach a model nothing about forces; add perturbed or random spins"
        )
    if config.compiled and not (model.compiles and model.conservative):
        raise InvalidInput(f"compiled=True: {model.name} does not go through torch.compile; set compiled to false")
    wants = any(config.energy_weight_at(epoch) > 0 for epoch in range(config.max_epochs))
    if wants and not model.conservative:
        raise InvalidInput(f"energy_weight > 0, but the field of {model.name} has no energy. Set energy_weight to 0")
    if wants and not all(table.has_energy for table in tables):
        raise InvalidInput("energy_weight > 0 needs labels with energies; some have none. Set energy_weight to 0")


def _check_tensorboard(config: TrainingConfig) -> None:
    if config.tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise InvalidInput(
            "tensorboard=True needs the package tensorboard: pip install tensorboard, or set it to false"
        )


def _scale_energies(model: SpinModel, table: SnapshotTable) -> None:
    if isinstance(model, Family):
        model.fit_units(*table.units())
        return
    model.energy_scale.fill_(table.statistics.torque**0.5)
    model.energy_shift.fill_(table.statistics.energy_mean)


def _calibrate(model: SpinModel, table: SnapshotTable) -> None:
    """Statistics of features from snapshots of as many systems as possible."""
    batches = table.plan(torch.Generator().manual_seed(0))
    members = [m for turn in zip_longest(*batches) for m in turn if m is not None]
    sites = table.batch(members[:1]).spins.shape[-2]
    batch = table.batch(members[: max(1, min(CALIBRATION_SNAPSHOTS, CALIBRATION_SITES // sites))])
    model.calibrate(batch.data, batch.spins)


@torch.no_grad()
def _settle_energies(model: SpinModel, table: SnapshotTable) -> None:
    """Shift the site energies so that the mean energy is that of the labels; fields leave the constant free."""
    if not (table.has_energy and model.conservative):
        return
    batches = table.plan(torch.Generator().manual_seed(0))
    if isinstance(model, Family):
        chosen = [members for members in batches if len({g for g, _ in members}) == 1][:FAMILY_SNAPSHOTS]
        found = [_missing_energy(model, table.batch(members)) for members in chosen]
        points = [table.parameters_of(members[:1]) for members in chosen]
        if chosen:
            model.shift_energies(torch.cat(points), torch.tensor([missing / n for missing, n in found]))
        return
    found = [_missing_energy(model, table.batch(members)) for members in batches[:CALIBRATION_SNAPSHOTS]]
    model.energy_shift += sum(missing for missing, _ in found) / sum(n for _, n in found)


def _missing_energy(model: SpinModel, batch: Batch) -> tuple[float, int]:
    """Sum of what the energies of a batch lack, and its number of sites."""
    energy = model.site_energies(batch.data, batch.spins).to(torch.float64).sum()
    assert batch.energy is not None
    return float(batch.energy.to(torch.float64).sum() - energy), batch.spins[..., 0].numel()


def _load_best(model: SpinModel, directory: Path, module: FieldFitting) -> None:
    best = directory / f"{_BEST}.ckpt"
    if best.exists():
        state = torch.load(best, map_location="cpu", weights_only=True)["state_dict"]
        module.load_state_dict(state)
    model.to("cpu")
