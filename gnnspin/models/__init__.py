"""Model architectures over shared blocks; build one by name with `build`."""

from __future__ import annotations

from typing import Any

import pydantic

from gnnspin.core.config import Config
from gnnspin.core.errors import InvalidInput
from gnnspin.graphs import GraphSpec
from gnnspin.models.base import SpinModel
from gnnspin.models.behler_parrinello import BehlerParrinello
from gnnspin.models.committee import Committee
from gnnspin.models.convolutional import Convolutional
from gnnspin.models.equivariant_tensor_network import EquivariantTensorNetwork
from gnnspin.models.invariant_message_passing import InvariantMessagePassing
from gnnspin.models.linear_cluster_expansion import LinearClusterExpansion
from gnnspin.models.moment_network import MomentNetwork
from gnnspin.models.moment_network_layers import MomentClusterExpansion
from gnnspin.models.nonconservative import Nonconservative
from gnnspin.models.oriented_cluster_expansion import OrientedClusterExpansion
from gnnspin.models.pretrained import model_card, pretrained
from gnnspin.models.spin_cluster_expansion import SpinClusterExpansion
from gnnspin.models.vector_message_passing import VectorMessagePassing
from gnnspin.systems import SpinSystem

_REGISTRY: dict[str, type[SpinModel]] = {
    model.name: model
    for model in (
        BehlerParrinello,
        Convolutional,
        EquivariantTensorNetwork,
        InvariantMessagePassing,
        LinearClusterExpansion,
        MomentClusterExpansion,
        MomentNetwork,
        Nonconservative,
        OrientedClusterExpansion,
        SpinClusterExpansion,
        VectorMessagePassing,
    )
}


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


def for_system(name: str, system: SpinSystem, cutoff: float, **values: Any) -> SpinModel:
    """Build a model for systems like `system`.

    Parameters
    ----------
    name : str
        One of `available()`.
    system : SpinSystem
        Gives the shells of the graph, and hyperparameters that follow from the lattice (unit cell, kinds of sites).
    cutoff : float
        Radius of the graph.
    **values
        Hyperparameters of the architecture; see `hyperparameters`.

    Raises
    ------
    InvalidInput
        If a name or value is unknown or out of range, or does not fit the system.

    Examples
    --------
    >>> import gnnspin as gs
    >>> gs.models.for_system("oriented_cluster_expansion", gs.systems.triangular(6, 6), cutoff=2.0).receptive_radius
    3.0
    """
    return build(name, GraphSpec.for_system(system, cutoff), **architecture(name).for_system(system, dict(values)))


def architecture(name: str) -> type[SpinModel]:
    """Class of an architecture by name; InvalidInput if unknown."""
    if name not in _REGISTRY:
        raise InvalidInput(f"unknown model {name!r}; available: {', '.join(available())}")
    return _REGISTRY[name]


def hyperparameters(name: str) -> type[Config]:
    """Documented hyperparameters of an architecture."""
    return architecture(name).Hyperparameters


__all__ = [
    "BehlerParrinello",
    "Committee",
    "Nonconservative",
    "OrientedClusterExpansion",
    "SpinClusterExpansion",
    "SpinModel",
    "architecture",
    "available",
    "build",
    "for_system",
    "hyperparameters",
    "model_card",
    "pretrained",
]
