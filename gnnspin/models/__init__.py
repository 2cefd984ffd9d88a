"""Model architectures over shared blocks; build one by name with `build`."""

from __future__ import annotations

from typing import Any

import pydantic

from gnnspin.core.config import Config
from gnnspin.core.errors import InvalidInput
from gnnspin.graphs import GraphSpec
from gnnspin.models.base import SpinModel
from gnnspin.models.pretrained import model_card, pretrained
from gnnspin.models.spin_cluster_expansion import SpinClusterExpansion

_REGISTRY: dict[str, type[SpinModel]] = {model.name: model for model in (SpinClusterExpansion,)}


def available() -> tuple[str, ...]:
    """Names of all architectures."""
    return tuple(sorted(_REGISTRY))


def build(name: str, spec: GraphSpec, **values: Any) -> SpinModel:
    """Build a model by name.

    Parameters
    ----------
    name : str
        One of `available()`.
    spec : GraphSpec
        The graph the model sees.
    **values
        Hyperparameters of the architecture; see `hyperparameters`.

    Raises
    ------
    InvalidInput
        If the name or a hyperparameter is unknown or out of range.
    """
    model = architecture(name)
    try:
        return model(spec, model.Hyperparameters(**values))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        known = ", ".join(model.Hyperparameters.model_fields)
        raise InvalidInput(f"{name}: hyperparameter {place}: {first['msg']}; known: {known}") from error


def architecture(name: str) -> type[SpinModel]:
    """Class of an architecture by name; InvalidInput if unknown."""
    if name not in _REGISTRY:
        raise InvalidInput(f"unknown model {name!r}; available: {', '.join(available())}")
    return _REGISTRY[name]


def hyperparameters(name: str) -> type[Config]:
    """Documented hyperparameters of an architecture."""
    return architecture(name).Hyperparameters


__all__ = [
    "SpinClusterExpansion",
    "SpinModel",
    "architecture",
    "available",
    "build",
    "hyperparameters",
    "model_card",
    "pretrained",
]
