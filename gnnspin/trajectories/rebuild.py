"""Rebuild a field source from the specification and the model weights that a trajectory file holds."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import safetensors.torch
import torch

from gnnspin import classical, electrons
from gnnspin.core.described import renewed_specification
from gnnspin.core.dilution import Diluted
from gnnspin.core.errors import GnnspinError, InvalidInput
from gnnspin.core.source import FieldSource, SumSource
from gnnspin.force_fields import Committee
from gnnspin.force_fields.force_field import ForceField
from gnnspin.graphs import GraphSpec
from gnnspin.models import architecture, build
from gnnspin.systems.system import SpinSystem


@dataclass(frozen=True)
class StoredSource:
    """What a file holds of a source.

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

    def part(self, specification: dict[str, Any]) -> StoredSource:
        """The same with another specification, for a source inside the source."""
        return StoredSource(specification, self.system, self.weights, self.device)


Rebuilder: TypeAlias = Callable[[StoredSource], FieldSource]

_REBUILDERS: dict[str, Rebuilder] = {}


def register_rebuilder(class_name: str, rebuilder: Rebuilder) -> None:
    """Teach `rebuild_source` a class of field sources: a function from what is stored to a source."""
    _REBUILDERS[class_name] = rebuilder


def rebuild_source(stored: StoredSource) -> FieldSource:
    """Rebuild a field source and make sure that it is the stored one.

    Learned models come from their stored weights; sources of `gnnspin.classical` and `gnnspin.electrons` from their
    class and parameters; sums, dilutions and classes known to `register_rebuilder` likewise.

    Raises
    ------
    InvalidInput
        If the class is unknown, a parameter is not stored in full (a matrix, a function), or the rebuilt source
        differs from the stored one.
    """
    name = str(stored.specification.get("class", stored.specification.get("kind")))
    try:
        source = _REBUILDERS[name](stored) if name in _REBUILDERS else _construct(stored.specification, stored)
    except (GnnspinError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise InvalidInput(f"the stored source {name} cannot be rebuilt ({error}); give it as source=") from error
    if not isinstance(source, FieldSource):
        raise InvalidInput(f"the stored source {name} is not a field source; give it as source=")
    require_same_source(source, stored.specification)
    return source


def require_same_source(source: FieldSource, specification: dict[str, Any]) -> None:
    """Raise InvalidInput unless `source` has the stored specification; names what differs."""
    given, specification = plain(source.specification()), _completed(renewed_specification(specification))
    if specification.get("kind"):
        specification = _written_out(specification)
    if given != specification:
        keys = sorted(key for key in given.keys() | specification.keys() if given.get(key) != specification.get(key))
        differences = ", ".join(
            f"{key} ({_short(given.get(key))}, stored {_short(specification.get(key))})" for key in keys
        )
        raise InvalidInput(f"the source is not the stored one: they differ in {differences}")


def _written_out(specification: dict[str, Any]) -> dict[str, Any]:
    """A stored description with every parameter, those that came later included; as it is where that fails."""
    try:
        return plain(FieldSource.recipe(specification).model_dump(mode="json"))
    except InvalidInput:
        return specification


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _completed(value: Any) -> Any:
    """A stored specification with every hyperparameter of its models spelled out, those that came later included."""
    if isinstance(value, list):
        return [_completed(each) for each in value]
    if not isinstance(value, dict):
        return value
    value = {key: _completed(each) for key, each in value.items()}
    if value.get("class") == "ForceField":
        known = architecture(value["model"]).Hyperparameters(**value["hyperparameters"])
        value["hyperparameters"] = known.model_dump(mode="json")
    return value


def plain(specification: dict[str, Any]) -> dict[str, Any]:
    """The specification as a file gives it back."""
    return json.loads(json.dumps(specification))


def model_weights(source: FieldSource) -> dict[str, bytes]:
    """Safetensors of every learned model in `source`, by digest."""
    return {
        force_field.specification()["weights"]: safetensors.torch.save(
            {name: tensor.detach().cpu().contiguous() for name, tensor in force_field.model.state_dict().items()}
        )
        for force_field in _force_fields(source)
    }


def _force_fields(source: Any) -> Iterator[ForceField]:
    if isinstance(source, ForceField):
        yield source
    inside = (*getattr(source, "terms", ()), *getattr(source, "members", ()), getattr(source, "source", None))
    for part in inside:
        if isinstance(part, FieldSource):
            yield from _force_fields(part)


def _rebuild_force_field(stored: StoredSource) -> ForceField:
    given = stored.specification
    if given["weights"] not in stored.weights:
        raise InvalidInput(f"the weights {given['weights']} are not in the file")
    model = build(given["model"], GraphSpec(**given["graph"]), **given["hyperparameters"])
    force_field = ForceField(model, stored.system).to(stored.device, getattr(torch, given["dtype"]))
    force_field.model.load_state_dict(safetensors.torch.load(stored.weights[given["weights"]]))
    return force_field.tile(given["max_sites"]) if "max_sites" in given else force_field


def _rebuild_sum(stored: StoredSource) -> FieldSource:
    return SumSource([rebuild_source(stored.part(term)) for term in stored.specification["terms"]])


def _rebuild_committee(stored: StoredSource) -> FieldSource:
    return Committee([_rebuild_force_field(stored.part(member)) for member in stored.specification["members"]])


def _rebuild_diluted(stored: StoredSource) -> FieldSource:
    vacant = np.zeros(stored.system.n_sites, dtype=bool)
    vacant[stored.specification["vacant"]] = True
    return Diluted(rebuild_source(stored.part(stored.specification["source"])), vacant)


register_rebuilder("ForceField", _rebuild_force_field)
register_rebuilder("SumSource", _rebuild_sum)
register_rebuilder("Committee", _rebuild_committee)
register_rebuilder("Diluted", _rebuild_diluted)


def _construct(value: Any, stored: StoredSource) -> Any:
    """Turn every description ``{"class": ..., parameters}`` into an object of `gnnspin.classical` or `.electrons`."""
    if isinstance(value, list):
        return [_construct(item, stored) for item in value]
    if isinstance(value, dict):
        value = renewed_specification(value)
        if value.get("kind"):
            return FieldSource.from_specification(value, stored.system, stored.device)
    if not isinstance(value, dict) or "class" not in value:
        return value
    name = value["class"]
    kind = getattr(classical, name, None) or getattr(electrons, name, None)
    if kind is None:
        raise InvalidInput(f"{name} is not stored in full, or not a class of gnnspin.classical or gnnspin.electrons")
    known = inspect.signature(kind).parameters
    arguments = {key: _construct(item, stored) for key, item in value.items() if key not in ("class", "system")}
    if "system" in known:
        arguments["system"] = stored.system
    if "device" in known and issubclass(kind, FieldSource):
        arguments["device"] = stored.device
    if isinstance(arguments.get("dtype"), str):
        arguments["dtype"] = getattr(torch, arguments["dtype"])
    return kind(**{key: _single(item) if key == "n_moments" else item for key, item in arguments.items()})


def _single(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value
