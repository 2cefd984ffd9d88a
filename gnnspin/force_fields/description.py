"""Description of a force field: everything but its weights, which it names by their digest."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

import torch
from pydantic import Field, ValidationInfo, field_validator

from gnnspin.core.described import Recipe
from gnnspin.core.parameter_types import DType
from gnnspin.models import architecture
from gnnspin.models.base import SpinModel


class ForceFieldParameters(Recipe):
    """Description of a learned field source: everything but the weights, which it names by their digest."""

    kind: Literal["force_field"] = "force_field"
    model: str = Field(description="name of the architecture")
    hyperparameters: dict[str, Any] = Field(description="hyperparameters of the architecture")
    graph: dict[str, Any] = Field(description="graph specification")
    weights: str = Field(description="SHA-256 of the weights")
    dtype: DType = Field(default=torch.float32, description="precision of the evaluation")
    max_sites: int | None = Field(default=None, ge=1, description="sites per window; default: the whole system at once")

    @field_validator("hyperparameters")
    @classmethod
    def _complete(cls, given: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        """All hyperparameters, those that the architecture got after the description was written included."""
        return architecture(info.data["model"]).Hyperparameters(**given).model_dump(mode="json")


def weights_digest(model: SpinModel) -> str:
    """SHA-256 of the names and values of a model's parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
