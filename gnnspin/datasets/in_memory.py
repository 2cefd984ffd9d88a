"""Labels of one system as arrays in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gnnspin.datasets.label_store import LabelStore
from gnnspin.datasets.labels import SCALARS, Label, LabelSet, StackedLabels
from gnnspin.systems.system import SpinSystem


class LabelsInMemory(LabelSet):
    """R snapshots of one system, held as arrays.

    Parameters
    ----------
    labels : StackedLabels
    provenance : sequence of R mappings
        JSON-able record of where each label comes from.
    """

    def __init__(self, labels: StackedLabels, provenance: Sequence[Mapping[str, Any]]) -> None:
        self._stack, self._provenance = labels, list(provenance)

    def __len__(self) -> int:
        return len(self._stack)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} labels of {self._stack.system})"

    @property
    def systems(self) -> tuple[SpinSystem, ...]:
        """The one system."""
        return (self._stack.system,)

    @property
    def system_index(self) -> NDArray[np.int64]:
        """Zeros (len,)."""
        return np.zeros(len(self), dtype=np.int64)

    def save(self, path: str | Path, metadata: Mapping[str, Any] | None = None) -> LabelStore:
        """Write the labels to a new label store, which training, evaluation and plots read.

        Raises
        ------
        StoreError
            If the file exists or cannot be written.
        """
        return save_labels([self], path, metadata)

    def _provenances(self, indices: NDArray[np.int64]) -> list[Mapping[str, Any]]:
        return [self._provenance[index] for index in indices.tolist()]

    def _label(self, index: int) -> Label:
        one = self._stacked(np.array([index]))
        numbers = {name: getattr(one, name) for name in SCALARS}
        return Label(
            system=one.system,
            spins=one.spins[0],
            field=one.field[0],
            density=None if one.density is None else one.density[0],
            provenance=self._provenance[index],
            **{name: None if column is None else float(column[0]) for name, column in numbers.items()},
        )

    def _stacked(self, indices: NDArray[np.int64]) -> StackedLabels:
        rows, stack = torch.from_numpy(indices), self._stack
        columns = {name: getattr(stack, name) for name in ("density", *SCALARS)}
        chosen: Any = {name: None if column is None else column[rows] for name, column in columns.items()}
        return replace(stack, spins=stack.spins[rows], field=stack.field[rows], **chosen)


def save_labels(sets: Sequence[LabelSet], path: str | Path, metadata: Mapping[str, Any] | None = None) -> LabelStore:
    """Write sets of labels one after the other to a new label store.

    Raises
    ------
    StoreError
        If the file exists or cannot be written.
    """
    store = LabelStore.create(path, metadata)
    for labels in sets:
        for label in labels:
            store.append(label)
    store.compact()
    return store
