"""One labelled spin configuration, and the interface every set of them has."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.spins import as_spins, torque
from gnnspin.systems.system import SpinSystem

#: The numbers a label may carry; None where the source does not know them.
SCALARS = ("energy", "internal_energy", "entropy", "mu", "n_electrons")

#: Bytes of labels that are in memory at a time during an iteration.
_BLOCK_BYTES = 1 << 22

#: Key of the provenance of labels made from another label, with how.
COPY = "copy"


@dataclass(frozen=True, eq=False)
class Label:
    """Spins with the exact field of a source, float64 on the CPU.

    Parameters
    ----------
    system : SpinSystem
        Where the N spins sit; not a union.
    spins, field : (N, 3)
        Unit spins and effective field ``H_i = -dE/dS_i``, unprojected, in units of the hopping.
    energy : float, optional
        The potential whose gradient the field is: grand potential at fixed mu, free energy at fixed electron number.
    internal_energy, entropy : float, optional
        ``<H>`` and the electronic entropy (k_B = 1).
    mu, n_electrons : float, optional
        Chemical potential and number of electrons.
    density : (N,), optional
        Electrons per site, 0 to 2.
    provenance : mapping
        JSON-able record of where the label comes from.

    Raises
    ------
    InvalidInput
        If a shape is wrong, spins are not unit vectors, or a value is not finite.
    """

    system: SpinSystem
    spins: Tensor
    field: Tensor
    energy: float | None = None
    internal_energy: float | None = None
    entropy: float | None = None
    mu: float | None = None
    n_electrons: float | None = None
    density: Tensor | None = None
    provenance: Mapping[str, Any] = dataclass_field(default_factory=dict)

    def __post_init__(self) -> None:
        n_sites = self.system.n_sites
        if self.system.n_graphs > 1:
            raise InvalidInput("a label belongs to one system; make one label for each part of a union")
        object.__setattr__(self, "spins", _float64(as_spins(self.spins, n_sites), "spins", (n_sites, 3)))
        object.__setattr__(self, "field", _float64(self.field, "field", (n_sites, 3)))
        if self.density is not None:
            object.__setattr__(self, "density", _float64(self.density, "density", (n_sites,)))
        for name in SCALARS:
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, float(value))
                if not np.isfinite(float(value)):
                    raise InvalidInput(f"{name}={value} of a label is not finite")

    @property
    def torque(self) -> Tensor:
        """Torque ``S_i x H_i`` (N, 3)."""
        return torque(self.spins, self.field)


@dataclass(frozen=True, eq=False)
class StackedLabels:
    """R labels of one system as arrays; a number that any of them lacks is None.

    Attributes
    ----------
    system : SpinSystem
    spins, field : (R, N, 3)
    energy, internal_energy, entropy, mu, n_electrons : (R,) or None
    density : (R, N) or None
    """

    system: SpinSystem
    spins: Tensor
    field: Tensor
    energy: Tensor | None = None
    internal_energy: Tensor | None = None
    entropy: Tensor | None = None
    mu: Tensor | None = None
    n_electrons: Tensor | None = None
    density: Tensor | None = None

    def __len__(self) -> int:
        return len(self.spins)

    @property
    def torque(self) -> Tensor:
        """Torque ``S_i x H_i`` (R, N, 3)."""
        return torque(self.spins, self.field)


class LabelSet(ABC):
    """An ordered set of labels; what training, evaluation and plots take.

    ``labels[i]`` is a `Label`, ``labels[a:b]`` a view, ``len`` and iteration as for a list.
    """

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def systems(self) -> tuple[SpinSystem, ...]:
        """The distinct systems, each once."""

    @property
    @abstractmethod
    def system_index(self) -> NDArray[np.int64]:
        """For each label, its position in `systems`, shape (len,)."""

    @abstractmethod
    def _label(self, index: int) -> Label:
        """Label number `index`, 0 <= index < len."""

    @abstractmethod
    def _stacked(self, indices: NDArray[np.int64]) -> StackedLabels:
        """Labels of one system, in the order of `indices`, which is not empty."""

    @overload
    def __getitem__(self, index: int) -> Label: ...
    @overload
    def __getitem__(self, index: slice) -> LabelSubset: ...
    def __getitem__(self, index: int | slice) -> Label | LabelSubset:
        if isinstance(index, slice):
            return self.subset(range(*index.indices(len(self))))
        position = int(index) + (len(self) if index < 0 else 0)
        if not 0 <= position < len(self):
            raise IndexError(f"label {index} of a set of {len(self)}")
        return self._label(position)

    def __iter__(self) -> Iterator[Label]:
        largest = max((system.n_sites for system in self.systems), default=1)
        block = max(1, _BLOCK_BYTES // (56 * largest))
        for first in range(0, len(self), block):
            yield from self._labels_at(np.arange(first, min(first + block, len(self))))

    def _labels_at(self, indices: NDArray[np.int64]) -> list[Label]:
        """Labels `indices`, read together where that is faster."""
        return [self._label(int(index)) for index in indices]

    @property
    def provenances(self) -> list[Mapping[str, Any]]:
        """Where each label comes from, as in `Label.provenance`; spins and fields are not read."""
        return self._provenances(np.arange(len(self)))

    def _provenances(self, indices: NDArray[np.int64]) -> list[Mapping[str, Any]]:
        """Provenance of the labels `indices`."""
        return [label.provenance for label in self._labels_at(indices)]

    def subset(self, indices: Sequence[int] | ArrayLike) -> LabelSubset:
        """View of the labels `indices`, in that order; nothing is copied.

        Raises
        ------
        InvalidInput
            If an index is out of range.
        """
        return LabelSubset(self, _checked_indices(indices, len(self)))

    def stacked(self, indices: Sequence[int] | ArrayLike | None = None) -> StackedLabels:
        """Labels of ONE system as arrays, in the order of `indices` (default: all).

        Raises
        ------
        InvalidInput
            If there are no labels, an index is out of range, or the labels belong to different systems; use
            `by_system` then.
        """
        chosen = _checked_indices(np.arange(len(self)) if indices is None else indices, len(self))
        if len(chosen) == 0:
            raise InvalidInput("no labels to stack; the set or the list of indices is empty")
        found = np.unique(self.system_index[chosen])
        if len(found) > 1:
            raise InvalidInput(f"the labels belong to {len(found)} systems; stack each of by_system() by itself")
        return self._stacked(chosen)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the number of labels, their systems, and spins and fields of up to 64 of them, spread evenly.

        Tells another set, another order and another split apart without reading all labels.
        """
        digest = hashlib.sha256(f"{len(self)} {self.system_index.tolist()}".encode())
        for system in self.systems:
            digest.update(system.fingerprint.encode())
        for index in np.unique(np.linspace(0, len(self) - 1, min(64, len(self))).round().astype(int)):
            label = self[int(index)]
            digest.update(label.spins.contiguous().numpy().tobytes() + label.field.contiguous().numpy().tobytes())
        return digest.hexdigest()

    def by_system(self) -> dict[SpinSystem, NDArray[np.int64]]:
        """For each system that occurs, the indices of its labels."""
        index = self.system_index
        return {self.systems[k]: np.flatnonzero(index == k) for k in np.unique(index)}


class LabelSubset(LabelSet):
    """View of some labels of another set; made by `LabelSet.subset`."""

    def __init__(self, parent: LabelSet, indices: NDArray[np.int64]) -> None:
        self.parent, self.indices = parent, indices

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def systems(self) -> tuple[SpinSystem, ...]:
        """The distinct systems among these labels."""
        return tuple(self.parent.systems[k] for k in np.unique(self.parent.system_index[self.indices]))

    @property
    def system_index(self) -> NDArray[np.int64]:
        """For each label, its position in `systems`, shape (len,)."""
        return np.unique(self.parent.system_index[self.indices], return_inverse=True)[1].astype(np.int64)

    def _label(self, index: int) -> Label:
        return self.parent._label(int(self.indices[index]))

    def _labels_at(self, indices: NDArray[np.int64]) -> list[Label]:
        return self.parent._labels_at(self.indices[indices])

    def _provenances(self, indices: NDArray[np.int64]) -> list[Mapping[str, Any]]:
        return self.parent._provenances(self.indices[indices])

    def _stacked(self, indices: NDArray[np.int64]) -> StackedLabels:
        return self.parent._stacked(self.indices[indices])


def optional_column(values: NDArray[np.float64]) -> Tensor | None:
    """Tensor of `values`, or None where one of them is missing (NaN)."""
    return None if np.isnan(values).any() else torch.from_numpy(np.ascontiguousarray(values))


def _checked_indices(indices: Sequence[int] | ArrayLike, length: int) -> NDArray[np.int64]:
    chosen = np.array(indices)
    if chosen.ndim != 1 or (len(chosen) and not np.issubdtype(chosen.dtype, np.integer)):
        raise InvalidInput(f"indices must be a list of integers; got an array of {chosen.dtype}, shape {chosen.shape}")
    wrong = (chosen < -length) | (chosen >= length)
    if wrong.any():
        raise InvalidInput(f"index {chosen[wrong][0]} is out of range for a set of {length} labels")
    return np.where(chosen < 0, chosen + length, chosen).astype(np.int64)


@independent_of_modes
def _float64(values: Tensor | ArrayLike, name: str, shape: tuple[int, ...]) -> Tensor:
    tensor = torch.as_tensor(values).detach().to("cpu", torch.float64)
    if tensor.shape != shape:
        raise InvalidInput(f"{name} of a label has shape {tuple(tensor.shape)}; expected {shape}")
    if not bool(torch.isfinite(tensor).all()):
        raise InvalidInput(f"{name} of a label contains values that are not finite")
    return tensor
