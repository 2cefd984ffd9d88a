"""The identity of a training: what must be the same when it is gone on with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import model_validator

from gnnspin.core.config import Config
from gnnspin.datasets.labels import LabelSet
from gnnspin.models.base import SpinModel
from gnnspin.models.registry import architecture
from gnnspin.training.config import TrainingConfig

#: Defaults of version 0.1, which wrote down only what differed from them.
_DEFAULTS_OF_VERSION_0_1 = {
    "max_epochs": 200,
    "batch_size": 4,
    "optimizer": "adamw",
    "learning_rate": 5e-3,
    "ema": None,
    "validate_every": 5,
}


class TrainingRun(Config):
    """Identity of a training: the model, how it is fitted, and to which labels."""

    model: str
    graph: dict[str, Any]
    hyperparameters: dict[str, Any]
    configuration: TrainingConfig
    training_labels: str
    validation_labels: str

    @classmethod
    def of(cls, model: SpinModel, config: TrainingConfig, train: LabelSet, validation: LabelSet) -> TrainingRun:
        """Identity of the training of `model` on these labels."""
        return cls(
            model=model.name,
            graph=json.loads(json.dumps(model.spec.to_dict())),
            hyperparameters=model.hyperparameters.model_dump(mode="json"),
            configuration=config,
            training_labels=train.fingerprint,
            validation_labels=validation.fingerprint,
        )

    @model_validator(mode="before")
    @classmethod
    def _of_version_0_1(cls, values: Any) -> Any:
        """Version 0.1 wrote what differed from its defaults, in four entries."""
        if not isinstance(values, Mapping) or "training labels" not in values:
            return values
        name, graph, hyperparameters = values["model"]
        return {
            "model": name,
            "graph": graph,
            "hyperparameters": hyperparameters,
            "configuration": {**_DEFAULTS_OF_VERSION_0_1, **values["configuration"]},
            "training_labels": values["training labels"],
            "validation_labels": values["validation labels"],
        }

    @model_validator(mode="after")
    def _hyperparameters_in_full(self) -> TrainingRun:
        """Options of the architecture that came later have their defaults."""
        full = architecture(self.model).Hyperparameters(**self.hyperparameters).model_dump(mode="json")
        self.hyperparameters.update({name: value for name, value in full.items() if name not in self.hyperparameters})
        return self
