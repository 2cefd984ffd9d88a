"""Architectures by name: register, list, build."""

from __future__ import annotations

from typing import Any

import pydantic

from gnnspin.core.config import Config
from gnnspin.core.errors import InvalidInput
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.registry import Registry
from gnnspin.graphs import GraphSpec
from gnnspin.models.base import SpinModel
from gnnspin.systems import SpinSystem

#: All architectures, those of other packages included (entry points of the group ``gnnspin.models``).
ARCHITECTURES: Registry[type[SpinModel]] = Registry("model", "gnnspin.models")


def register(model: type[SpinModel]) -> type[SpinModel]:
    """Class decorator: make an architecture known by its ``name``.

    Raises
    ------
    InvalidInput
        If the name is empty or belongs to another architecture.
    """
    return ARCHITECTURES.register(model.name, model)


def available() -> tuple[str, ...]:
    """Names of all architectures."""
    return ARCHITECTURES.names()


@independent_of_modes
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


@independent_of_modes
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
    return ARCHITECTURES[name]


def hyperparameters(name: str) -> type[Config]:
    """Documented hyperparameters of an architecture."""
    return architecture(name).Hyperparameters
