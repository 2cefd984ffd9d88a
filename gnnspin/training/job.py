"""A training described in a configuration file: model, labels, trainer, and the files it leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, model_validator

from gnnspin.core.config import Config
from gnnspin.datasets.conditions import require_varied
from gnnspin.datasets.labels import LabelSet
from gnnspin.datasets.splits import holdout, open_labels
from gnnspin.force_fields.calibration import require_enough
from gnnspin.force_fields.files import load, save
from gnnspin.force_fields.last_layer import require_uncertain_weights
from gnnspin.force_fields.uncertainty import calibrate
from gnnspin.models import for_system
from gnnspin.models.architectures.family import Family
from gnnspin.models.base import SpinModel
from gnnspin.models.registry import architecture
from gnnspin.runs import run_folder, write_json
from gnnspin.systems import SpinSystem
from gnnspin.training.config import TrainingConfig
from gnnspin.training.evaluate import Evaluation, evaluate
from gnnspin.training.fit import FitResult, fit
from gnnspin.training.symmetries import fitting_hyperparameters, label_symmetries

MODEL_FILE = "model.safetensors"


class ModelConfig(Config):
    """An architecture and its hyperparameters."""

    name: str = Field(default="spin_cluster_expansion", description="architecture; `gnnspin info` lists them")
    cutoff: float = Field(gt=0, description="radius of the graph, in lattice spacings")
    hyperparameters: dict[str, Any] = Field(default_factory=dict, description="see `gnnspin info`")
    conditions: dict[str, tuple[float, float]] | None = Field(
        default=None,
        description="a family of models: parameters of the Hamiltonian, with their ranges, that the weights depend on; "
        "the labels must record them",
        examples=[{"J": [1.0, 6.0], "filling": [0.1, 0.5]}],
    )
    seed: int = Field(default=0, ge=0, description="seed of the initial weights")

    def build(self, system: SpinSystem, labels: LabelSet | None = None) -> SpinModel:
        """The untrained model for systems like `system`.

        With `labels` whose Hamiltonian is known, symmetries that it lacks are left out of the model, unless
        `hyperparameters` say otherwise: ``mirrors`` and ``time_reversal`` become false in a field, for instance.
        """
        name, values = self.name, self.hyperparameters
        if self.conditions is not None:
            if labels is not None:
                require_varied(labels, tuple(self.conditions))
            values = {"model": name, "hyperparameters": values, "conditions": self.conditions}
            name = Family.name
        if labels is not None:
            values = architecture(name).for_labels(labels, dict(values))
            values = fitting_hyperparameters(name, system, values, label_symmetries(labels))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return for_system(name, system, self.cutoff, **values)


class DataConfig(Config):
    """Labels: paths of label stores, or `published:NAME`; several of them are joined."""

    train: str | tuple[str, ...] = Field(
        description="labels to train on", examples=["labels.h5", "published:kondo_square_random"]
    )
    validation: float | str | tuple[str, ...] = Field(
        default=0.15, description="labels to validate on, or the share of the training labels to set aside for it"
    )
    seed: int = Field(default=0, ge=0, description="seed of the split")

    def load(self) -> tuple[LabelSet, LabelSet]:
        """Training and validation labels."""
        train = open_labels(self.train)
        if not isinstance(self.validation, float):
            return train, open_labels(self.validation)
        return holdout(train, self.validation, seed=self.seed)


class TrainJob(Config):
    """Configuration of `gnnspin train`."""

    data: DataConfig
    model: ModelConfig | None = Field(default=None, description="a new model; or give start_from")
    start_from: str | None = Field(
        default=None, description="model file or pretrained:NAME to train further, with its feature statistics"
    )
    training: TrainingConfig = TrainingConfig()
    error_bars: bool = Field(
        default=False, description="make error bars of the torques from the validation labels, as `calibrate` does"
    )

    @model_validator(mode="after")
    def _one_model(self) -> TrainJob:
        if (self.model is None) == (self.start_from is None):
            raise ValueError("give either model (a new one) or start_from (one to train further)")
        return self

    def build(self, labels: LabelSet) -> SpinModel:
        """The model that the training on `labels` starts from."""
        system = labels.systems[0]
        if self.model is not None:
            return self.model.build(system, labels)
        assert self.start_from is not None
        return load(self.start_from, system).model


@dataclass(frozen=True)
class TrainedModel:
    """Result of `train`: the fit, its errors on the validation labels, and the model's file."""

    fit: FitResult
    validation: Evaluation
    path: Path


def train(job: TrainJob, directory: str | Path, *, resume: bool = False, progress: bool = True) -> TrainedModel:
    """Run a training job; leaves ``model.safetensors``, ``job.json``, ``validation.json``, log and checkpoints.

    Parameters
    ----------
    job : TrainJob
    directory : path
        New or empty, unless `resume`.
    resume : bool
        Continue an interrupted job in `directory`.
    progress : bool

    Raises
    ------
    StoreError
        If `directory` is not empty and `resume` is false, or it holds another job.
    InvalidInput
        If labels and model do not fit together, or error bars are asked for and the model has no last linear layer or
        the validation labels have fewer than 200 spins.
    """
    directory = Path(directory)
    with run_folder(directory / "job.json", job, resume=resume, kind="training"):
        return _train(job, directory, resume=resume, progress=progress)


def _train(job: TrainJob, directory: Path, *, resume: bool, progress: bool) -> TrainedModel:
    labels, validation = job.data.load()
    model = job.build(labels)
    if job.error_bars:
        require_uncertain_weights(model)
        require_enough(sum(len(own) * system.n_sites for system, own in validation.by_system().items()))
    result = fit(
        model,
        labels,
        validation,
        job.training,
        directory=directory,
        trained=job.start_from is not None,
        resume=resume,
        progress=progress,
    )
    evaluation = evaluate(result.force_field, validation)
    if job.error_bars and not result.interrupted:
        calibrate(result.force_field, validation)
    result.force_field.provenance.update(validation=evaluation.numbers(), data=job.data.model_dump(mode="json"))
    path = save(result.force_field, directory / MODEL_FILE)
    write_json(directory / "validation.json", {**evaluation.numbers(), **evaluation.parts()})
    return TrainedModel(result, evaluation, path)
