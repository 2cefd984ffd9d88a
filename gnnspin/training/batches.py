"""Labels as tensors in memory, and the batches a trainer draws from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnnspin.core.containers import TensorContainer, move_arrays
from gnnspin.core.errors import InvalidInput
from gnnspin.datasets.conditions import label_groups
from gnnspin.datasets.labels import LabelSet
from gnnspin.models.architectures.family import Family
from gnnspin.models.base import SpinModel
from gnnspin.systems import SpinSystem, union


@dataclass(frozen=True)
class Batch(TensorContainer):
    """R snapshots of one system, or one snapshot of a union of systems.

    Attributes
    ----------
    system : SpinSystem
    data : Any
        What `model.prepare(system)` returned.
    spins, field : (R, N, 3)
    energy : (R, n_graphs) or None
    scale : (n_graphs,) or None
        Of a family of Hamiltonians, what errors are divided by: the torque expected at the parameters of each system
        over that of the whole set.
    """

    system: SpinSystem
    data: Any
    spins: Tensor
    field: Tensor
    energy: Tensor | None
    scale: Tensor | None = None

    @property
    def n_snapshots(self) -> int:
        """Snapshots in the batch, of one system or of many."""
        return len(self.spins) * self.system.n_graphs


@dataclass(frozen=True)
class LabelStatistics:
    """Mean squares of a label set, the units of the loss.

    Attributes
    ----------
    torque, field : float
        Mean squares per spin.
    energy_mean : float
        Mean energy per site; 0 where labels have no energy.
    """

    torque: float
    field: float
    energy_mean: float


class SnapshotTable:
    """All labels of a set as float tensors, grouped by system (and parameters), with batches of equal geometry.

    Systems with at least `batch_size` snapshots give dense batches; the snapshots of all others (amorphous packings,
    one or few each) are joined, `batch_size` at a time, into unions of systems.

    A model of a family of Hamiltonians gets with every batch the parameters that the labels record.

    Raises
    ------
    InvalidInput
        If the set is empty, or labels lack a parameter of the family or have it outside of its range.
    """

    def __init__(self, labels: LabelSet, model: SpinModel, batch_size: int, dtype: torch.dtype) -> None:
        if len(labels) == 0:
            raise InvalidInput("the set of labels is empty")
        self._model = model
        self._batch_size = batch_size
        found = list(label_groups(labels, model.parameter_names))
        self._groups = [labels.stacked(indices) for indices, _ in found]
        self._family = model if isinstance(model, Family) else None
        self._parameters = torch.tensor(np.array([point for _, point in found]))
        if self._family is not None:
            _require_inside(self._family, self._parameters)
        self._dtype = dtype
        self._prepared: dict[str, Any] = {}
        self.statistics = self._statistics()

    def _statistics(self) -> LabelStatistics:
        sites = sum(g.spins[..., 0].numel() for g in self._groups)
        square = sum(float(g.torque.square().sum()) for g in self._groups) / sites
        field = sum(float(g.field.square().sum()) for g in self._groups) / sites
        energies = [g.energy for g in self._groups]
        known = [float(e.sum()) for e in energies if e is not None]
        return LabelStatistics(square, field, sum(known) / sites if len(known) == len(energies) else 0.0)

    def units(self) -> tuple[Tensor, Tensor]:
        """Parameters (n, P) and root mean square torques per spin (n,), one row for every group of labels."""
        squares = [g.torque.square().sum(-1).mean() for g in self._groups]
        return self._parameters, torch.stack(squares).sqrt().double()

    @property
    def has_energy(self) -> bool:
        """Whether every label has an energy."""
        return all(g.energy is not None for g in self._groups)

    def plan(self, generator: torch.Generator | None) -> list[list[tuple[int, int]]]:
        """Batches as lists of (group, snapshot), shuffled by `generator` or in order without one."""
        batches: list[list[tuple[int, int]]] = []
        scattered: list[tuple[int, int]] = []
        for g, group in enumerate(self._groups):
            order = _order(len(group), generator)
            members = [(g, k) for k in order]
            if len(group) < self._batch_size and len(self._groups) > 1:
                scattered += members
            else:
                batches += _chunks(members, self._batch_size)
        scattered = [scattered[k] for k in _order(len(scattered), generator)]
        batches += _chunks(scattered, self._batch_size)
        return [batches[k] for k in _order(len(batches), generator)]

    def batch(self, members: list[tuple[int, int]]) -> Batch:
        """Assemble one batch."""
        if len({g for g, _ in members}) == 1:
            group = self._groups[members[0][0]]
            index = torch.tensor([k for _, k in members])
            energy = None if group.energy is None else group.energy[index][:, None]
            return self._batch(group.system, group.spins[index], group.field[index], energy, members[:1])
        groups = [self._groups[g] for g, _ in members]
        spins = torch.cat([group.spins[k] for group, (_, k) in zip(groups, members, strict=True)])
        field = torch.cat([group.field[k] for group, (_, k) in zip(groups, members, strict=True)])
        energies = [group.energy[k] for group, (_, k) in zip(groups, members, strict=True) if group.energy is not None]
        energy = torch.stack(energies)[None] if len(energies) == len(groups) else None
        return self._batch(union([group.system for group in groups]), spins[None], field[None], energy, members)

    def parameters_of(self, members: list[tuple[int, int]]) -> Tensor:
        """Parameters (n, P) of the Hamiltonian behind (group, snapshot)."""
        return self._parameters[[g for g, _ in members]]

    def _batch(
        self, system: SpinSystem, spins: Tensor, field: Tensor, energy: Tensor | None, members: list[tuple[int, int]]
    ) -> Batch:
        cache = system.n_graphs == 1
        data = self._prepared.get(system.fingerprint) if cache else None
        if data is None:
            self._model.check_species(system)
            data = move_arrays(self._model.prepare(system), "cpu", self._dtype)
            if cache:
                self._prepared[system.fingerprint] = data
        scale = None
        if self._family is not None:
            parameters = self.parameters_of(members)
            data = self._family.with_parameters(data, parameters)
            scale = (self._family.torque_scale(parameters) / self.statistics.torque**0.5).to(self._dtype)
        return Batch(system, data, spins.to(self._dtype), field.to(self._dtype), energy, scale)


def _require_inside(family: Family, parameters: Tensor) -> None:
    """InvalidInput if labels are outside of the ranges of a family."""
    for point in parameters.unique(dim=0).tolist():
        if far := family.outside(dict(zip(family.parameter_names, point, strict=True))):
            name, value = next(iter(far.items()))
            raise InvalidInput(
                f"labels with {name}={value:g} are outside of the family, {family.range_text}; widen the range of "
                f"{name} in `conditions`, or leave these labels out"
            )


def _order(length: int, generator: torch.Generator | None) -> list[int]:
    return (torch.arange(length) if generator is None else torch.randperm(length, generator=generator)).tolist()


def _chunks(members: list[tuple[int, int]], size: int) -> list[list[tuple[int, int]]]:
    return [members[k : k + size] for k in range(0, len(members), size)]
