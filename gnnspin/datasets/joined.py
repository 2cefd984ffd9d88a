"""Several sets of labels as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gnnspin.core.errors import InvalidInput
from gnnspin.datasets.labels import Label, LabelSet, StackedLabels
from gnnspin.systems import SpinSystem

_COLUMNS = ("energy", "internal_energy", "entropy", "mu", "n_electrons", "density")


class JoinedLabels(LabelSet):
    """The labels of several sets, one after the other; equal systems are one system.

    Parameters
    ----------
    members : sequence of LabelSet

    Raises
    ------
    InvalidInput
        If there is no member.
    """

    def __init__(self, members: Sequence[LabelSet]) -> None:
        if not members:
            raise InvalidInput("give at least one set of labels to join")
        self.members = tuple(members)
        self._first = np.cumsum([0, *(len(member) for member in members)])
        self._systems = tuple(dict.fromkeys(system for member in members for system in member.systems))
        position = {system: k for k, system in enumerate(self._systems)}
        own = [np.array([position[system] for system in member.systems])[member.system_index] for member in members]
        self._system_index = np.concatenate(own).astype(np.int64)

    def __len__(self) -> int:
        return int(self._first[-1])

    @property
    def systems(self) -> tuple[SpinSystem, ...]:
        """The distinct systems of all members, each once."""
        return self._systems

    @property
    def system_index(self) -> NDArray[np.int64]:
        """For each label, its position in `systems`, shape (len,)."""
        return self._system_index

    def _label(self, index: int) -> Label:
        member = int(np.searchsorted(self._first, index, side="right")) - 1
        return self.members[member]._label(index - int(self._first[member]))

    def _labels_at(self, indices: NDArray[np.int64]) -> list[Label]:
        return self._gathered(indices, lambda member, own: member._labels_at(own))

    def _provenances(self, indices: NDArray[np.int64]) -> list[Mapping[str, Any]]:
        return self._gathered(indices, lambda member, own: member._provenances(own))

    def _gathered(
        self, indices: NDArray[np.int64], read: Callable[[LabelSet, NDArray[np.int64]], list[Any]]
    ) -> list[Any]:
        """Results of `read`, one for each of `indices`; `read` is called once for each member concerned."""
        owner = np.searchsorted(self._first, indices, side="right") - 1
        found: dict[int, Any] = {}
        for m in np.unique(owner):
            places = np.flatnonzero(owner == m)
            found |= zip(places.tolist(), read(self.members[m], indices[places] - self._first[m]), strict=True)
        return [found[place] for place in range(len(indices))]

    def _stacked(self, indices: NDArray[np.int64]) -> StackedLabels:
        owner = np.searchsorted(self._first, indices, side="right") - 1
        present = np.unique(owner)
        parts = [self.members[m]._stacked(indices[owner == m] - self._first[m]) for m in present]
        order = np.argsort(np.concatenate([np.flatnonzero(owner == m) for m in present]))
        rows = torch.from_numpy(order)
        columns = {name: [getattr(part, name) for part in parts] for name in _COLUMNS}
        return StackedLabels(
            system=parts[0].system,
            spins=torch.cat([part.spins for part in parts])[rows],
            field=torch.cat([part.field for part in parts])[rows],
            **{
                name: None if any(value is None for value in values) else torch.cat(values)[rows]
                for name, values in columns.items()
            },
        )
