"""Time-reversed and spin-rotated labels, to teach a model without these symmetries what the electrons obey."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from gnnspin.core.numbers import seed_number, whole_at_least
from gnnspin.datasets.joined import JoinedLabels
from gnnspin.datasets.labels import COPY, Label, LabelSet, StackedLabels
from gnnspin.systems.system import SpinSystem

_ROTATED, _REVERSED = "spins rotated", "time reversed"


def time_reversed(labels: LabelSet) -> LabelSet:
    """View of `labels` with all spins and fields inverted; energies and densities are the same.

    True of electrons in equilibrium with a real hopping, no external field and no spin-orbit coupling:
    ``E(-S) = E(S)`` and ``H(-S) = -H(S)``.
    """
    return _TimeReversed(labels)


def with_time_reversed(labels: LabelSet) -> LabelSet:
    """`labels` followed by their `time_reversed` copies: the data augmentation of the glass paper (below eq. 16).

    Split into training and validation sets first; copies are not divided, lest one of a training label is validated on.
    """
    return JoinedLabels([labels, time_reversed(labels)])


def spin_rotated(labels: LabelSet, copies: int = 4, *, seed: int = 0) -> LabelSet:
    """`copies` of every label, each with all spins and fields turned by a random rotation of its own.

    True of electrons without spin-orbit coupling and external field: ``E(R S) = E(S)`` and ``H(R S) = R H(S)``. The
    unrotated labels are not among the copies. Split into training and validation sets first: copies are not divided.

    Parameters
    ----------
    labels : LabelSet
    copies : int
    seed : int
        Of the rotations, which are uniform over all proper rotations.

    Raises
    ------
    InvalidInput
        If `copies` is less than 1.
    """
    return _SpinRotated(labels, whole_at_least(copies, 1, "copies"), seed)


class _SpinRotated(LabelSet):
    """Copies of the labels of another set with rotated spins and fields; copy c of label k is number c n + k."""

    def __init__(self, parent: LabelSet, copies: int, seed: int) -> None:
        self.parent, self.copies = parent, copies
        rotations = Rotation.random(copies * len(parent), np.random.default_rng(seed_number(seed)))
        self.rotations = torch.from_numpy(rotations.as_matrix())

    def __len__(self) -> int:
        return self.copies * len(self.parent)

    @property
    def systems(self) -> tuple[SpinSystem, ...]:
        return self.parent.systems

    @property
    def system_index(self) -> NDArray[np.int64]:
        return np.tile(self.parent.system_index, self.copies)

    def _label(self, index: int) -> Label:
        label, turn = self.parent._label(index % len(self.parent)), self.rotations[index].T
        provenance = {**label.provenance, COPY: _ROTATED}
        return replace(label, spins=label.spins @ turn, field=label.field @ turn, provenance=provenance)

    def _provenances(self, indices: NDArray[np.int64]) -> list[Mapping[str, Any]]:
        return [{**known, COPY: _ROTATED} for known in self.parent._provenances(indices % len(self.parent))]

    def _stacked(self, indices: NDArray[np.int64]) -> StackedLabels:
        stacked, turn = self.parent._stacked(indices % len(self.parent)), self.rotations[indices].mT
        return replace(stacked, spins=stacked.spins @ turn, field=stacked.field @ turn)


class _TimeReversed(LabelSet):
    """The labels of another set with inverted spins and fields."""

    def __init__(self, parent: LabelSet) -> None:
        self.parent = parent

    def __len__(self) -> int:
        return len(self.parent)

    @property
    def systems(self) -> tuple[SpinSystem, ...]:
        return self.parent.systems

    @property
    def system_index(self) -> NDArray[np.int64]:
        return self.parent.system_index

    def _label(self, index: int) -> Label:
        label = self.parent._label(index)
        provenance = {**label.provenance, COPY: _REVERSED}
        return replace(label, spins=-label.spins, field=-label.field, provenance=provenance)

    def _provenances(self, indices: NDArray[np.int64]) -> list[Mapping[str, Any]]:
        return [{**known, COPY: _REVERSED} for known in self.parent._provenances(indices)]

    def _stacked(self, indices: NDArray[np.int64]) -> StackedLabels:
        stacked = self.parent._stacked(indices)
        return replace(stacked, spins=-stacked.spins, field=-stacked.field)
