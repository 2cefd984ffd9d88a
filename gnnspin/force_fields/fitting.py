"""Windows of the learned models inside a source, so that a run fits in memory and goes on alike elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gnnspin.core.source import FieldSource
from gnnspin.force_fields.force_field import ForceField


def fit_in_memory(source: FieldSource, replicas: int, memory: float | None = None) -> None:
    """Let every learned model inside a source run in windows if its field would not fit; see `ForceField.fit`."""
    for part in source.inside():
        if isinstance(part, ForceField):
            part.fit(memory, replicas)


def tile_alike(source: FieldSource, specification: Any) -> None:
    """Let the learned models inside a source run in the windows that those of a description run in."""
    parts = [part for part in source.inside() if isinstance(part, ForceField)]
    stored = list(_described_force_fields(specification))
    if len(parts) == len(stored):
        for part, described in zip(parts, stored, strict=True):
            most = described.get("max_sites")
            if most is not None and part.specification() == {**described, "max_sites": None}:
                part.tile(most)


def _described_force_fields(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, Mapping):
        if value.get("kind") == ForceField.kind:
            yield value
        for each in value.values():
            yield from _described_force_fields(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _described_force_fields(each)
