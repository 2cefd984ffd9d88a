"""Rebuild a field source from the specification and the model weights that a trajectory file holds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

import gnnspin.classical
import gnnspin.electrons
import gnnspin.force_fields  # noqa: F401  (the three define the kinds of sources)
from gnnspin.core.described import Described, renewed_specification
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

#: Key of a description that names its content by a hash instead of holding it.
_DIGEST = "digest"

#: Size of the arrays of a system that errors write out.
_SHOWN = 9


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
    _require_contents(specification)
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
    """Raise InvalidInput unless `source` has the stored specification; names what differs.

    A matrix that version 0.1 stored as a hash alone is compared by that hash.
    """
    completed = _completed(renewed_specification(specification), list(source.inside()))
    hashed = [each for each in _mappings(completed) if _DIGEST in each]
    if hashed:
        raise InvalidInput(
            f"the source is not the stored one: the file holds a hopping of kind {hashed[0].get('kind')} with the hash "
            f"{hashed[0][_DIGEST]} (version 0.1 stored no more), and the source has none with this hash"
        )
    require_same(source.specification(), written_out(completed), "source")


def require_same_system(given: SpinSystem, stored: SpinSystem) -> None:
    """Raise InvalidInput unless two systems are equal; names what differs and by how much."""
    if given.fingerprint == stored.fingerprint:
        return
    raise InvalidInput(
        f"the system of the source is not the stored one: they differ in {_system_difference(given, stored)}; "
        "build the source on trajectory.system"
    )


def written_out(specification: Mapping[str, Any]) -> dict[str, Any]:
    """A stored specification in today's form, with every parameter, those that came later included.

    One that no recipe fits, because it holds a function or a class without a kind, stays as it is.
    """
    renewed = renewed_specification(specification)
    try:
        return as_stored(FieldSource.recipe(renewed).model_dump(mode="json"))
    except InvalidInput:
        return renewed


def _require_contents(specification: Any) -> None:
    """Raise InvalidInput where a description names a matrix by its hash alone."""
    hashed = [str(each.get("kind")) for each in _mappings(specification) if _DIGEST in each]
    if hashed:
        raise InvalidInput(
            f"the file holds the hopping ({', '.join(hashed)}) as a hash only, as version 0.1 wrote it; give the "
            "source that the run was started with as source=, its matrix is compared with the hash"
        )


def _completed(stored: Any, objects: Sequence[Described]) -> Any:
    """A description in which what is named by a hash alone is written out, where one of the objects has that hash."""
    if isinstance(stored, list):
        return [_completed(each, objects) for each in stored]
    if not isinstance(stored, Mapping):
        return stored
    if _DIGEST in stored:
        for each in objects:
            if each.completes(stored):
                return each.specification()
    return {name: _completed(value, objects) for name, value in stored.items()}


def _mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    """All mappings inside a description, itself included."""
    if isinstance(value, Mapping):
        yield value
    for each in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _mappings(each)


def _system_difference(given: SpinSystem, stored: SpinSystem) -> str:
    if given.n_graphs != stored.n_graphs:
        return f"the number of parts ({given.n_graphs}, stored {stored.n_graphs})"
    if given.n_sites != stored.n_sites:
        return f"the number of sites ({given.n_sites}, stored {stored.n_sites})"
    found: dict[str, str] = {}
    for new, old in zip(given.parts, stored.parts, strict=True):
        ours, theirs = new.arrays(), old.arrays()
        for name in (*ours, *(name for name in theirs if name not in ours)):
            text = _array_difference(ours.get(name), theirs.get(name))
            if text:
                found.setdefault(name, text)
    return ", ".join(f"{name} ({text})" for name, text in found.items())


def _array_difference(given: Any, stored: Any) -> str:
    """How two arrays differ; empty if they are equal."""
    if given is None or stored is None or given.shape != stored.shape or given.size <= _SHOWN:
        texts = ["none" if each is None else str(each.tolist()) for each in (given, stored)]
        return "" if texts[0] == texts[1] else f"{texts[0]}, stored {texts[1]}"
    if np.array_equal(given, stored):
        return ""
    return f"by up to {np.abs(given - stored).max():.3g}"
