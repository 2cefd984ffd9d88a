"""Rebuild a field source from the specification and the model weights that a trajectory file holds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import gnnspin.classical
import gnnspin.electrons
import gnnspin.force_fields  # noqa: F401  (the three define the kinds of sources)
from gnnspin.core.described import renewed_specification
from gnnspin.core.errors import GnnspinError, InvalidInput
from gnnspin.core.moved import GONE_IN
from gnnspin.core.plain import as_stored, require_same
from gnnspin.core.source import FieldSource
from gnnspin.systems.system import SpinSystem


@dataclass(frozen=True)
class StoredSource:
    """Contents of a file that describe a source.

    Attributes
    ----------
    specification : dict
        What `FieldSource.specification` returned.
    system : SpinSystem
    weights : mapping of str to bytes
        Safetensors of every learned model, by the digest in its specification.
    device : str
        Where the source was evaluated.
    """

    specification: dict[str, Any]
    system: SpinSystem
    weights: Mapping[str, bytes]
    device: str = "cpu"


Rebuilder: TypeAlias = Callable[[StoredSource], FieldSource]

_REBUILDERS: dict[str, Rebuilder] = {}


def register_rebuilder(class_name: str, rebuilder: Rebuilder) -> None:
    """Teach `rebuild_source` a class without a kind: a function from what is stored to a source.

    Deprecated: a class with a kind, ``class MySource(FieldSource, kind="mine")``, needs none.
    """
    warnings.warn(
        f'register_rebuilder ends with version {GONE_IN}; write class {class_name}(FieldSource, kind="...") instead',
        DeprecationWarning,
        stacklevel=2,
    )
    _REBUILDERS[class_name] = rebuilder


def rebuild_source(stored: StoredSource) -> FieldSource:
    """Rebuild a field source and make sure that it is the stored one; learned models have their stored weights.

    Raises
    ------
    InvalidInput
        If the class is unknown or has no kind, a parameter is not stored in full (a function), or the rebuilt source
        differs from the stored one.
    """
    specification = renewed_specification(stored.specification)
    name = str(specification.get("kind") or specification.get("class")).rpartition(".")[2]
    try:
        if name in _REBUILDERS:
            source = _REBUILDERS[name](stored)
        else:
            source = FieldSource.recipe(specification).build(stored.system, stored.device, stored.weights)
    except (GnnspinError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise InvalidInput(f"the stored source {name} cannot be rebuilt ({error}); give it as source=") from error
    require_same_source(source, stored.specification)
    return source


def require_same_source(source: FieldSource, specification: Mapping[str, Any]) -> None:
    """Raise InvalidInput unless `source` has the stored specification; names what differs."""
    require_same(source.specification(), written_out(specification), "source")


def written_out(specification: Mapping[str, Any]) -> dict[str, Any]:
    """A stored specification in today's form, with every parameter, those that came later included.

    One that no recipe fits, because it holds a function or a class without a kind, stays as it is.
    """
    renewed = renewed_specification(specification)
    try:
        return as_stored(FieldSource.recipe(renewed).model_dump(mode="json"))
    except InvalidInput:
        return renewed
