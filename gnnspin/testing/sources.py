"""Laws of every field source: inherit `SourcePhysics` and define `source`."""

from __future__ import annotations

import copy
import json
from abc import ABC, abstractmethod

import pytest
import torch
from torch import Tensor

from gnnspin.core.errors import InvalidInput, NoEnergyError
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import random_spins, torque
from gnnspin.force_fields.symmetries import source_symmetries


class SourcePhysics(ABC):
    """Laws of a field source; a subclass defines `source` and says which symmetries the source must have.

    Attributes
    ----------
    symmetries : frozenset of str
        Kinds of operations, named as by `source_symmetries`, that leave the field as it is.
    time : float or None
        Time at which the source is evaluated.
    accuracy : float
        Largest error relative to the largest field, for sources that are not exact to rounding.
    """

    symmetries: frozenset[str] = frozenset()
    time: float | None = None
    accuracy: float = 1e-9

    @abstractmethod
    def source(self) -> FieldSource:
        """A new object of the source under test, on a system of a few dozen sites."""

    def spins(self, source: FieldSource, *, replicas: tuple[int, ...] = (), seed: int = 1) -> Tensor:
        """Random spins of the source's system."""
        return random_spins(source.system.n_sites, replicas=replicas, seed=seed)

    def test_field_is_minus_the_gradient(self) -> None:
        """Of the energy, where there is one; else asking for an energy is an error."""
        source = self.source()
        if source.has_energy:
            assert gradient_error(source, self.spins(source), self.time) < max(1e-7, self.accuracy)
            return
        with pytest.raises(NoEnergyError):
            source.energy(self.spins(source), self.time)

    def test_field_is_a_pure_function(self) -> None:
        """The second evaluation is the first bit for bit, whatever lies between, and the spins are left alone."""
        source, spins = self.source(), self.spins(self.source())
        kept, first = spins.clone(), source.field(spins, self.time)
        source.field(self.spins(source, seed=2), self.time)
        assert torch.equal(source.field(spins, self.time), first)
        assert torch.equal(spins, kept)

    def test_replicas_are_independent(self) -> None:
        """Fields and energies of a replica in a batch are those of the replica alone."""
        source = self.source()
        spins = self.spins(source, replicas=(2, 2))
        fields, scale = source.field(spins, self.time), float(source.field(spins, self.time).abs().max())
        assert fields.shape == spins.shape
        assert float((source.field(spins[1, 0], self.time) - fields[1, 0]).abs().max()) <= self.accuracy * scale
        if source.has_energy:
            energies, alone = source.energy(spins, self.time), source.energy(spins[1, 0], self.time)
            assert float((energies[1, 0] - alone).abs().max()) <= self.accuracy * scale * source.system.n_sites

    def test_results_have_the_promised_types(self) -> None:
        """Fields in the precision of the spins, energies in float64, neither with a graph; the torque is S x H."""
        source = self.source()
        spins = self.spins(source).float().requires_grad_()
        field = source.field(spins, self.time)
        assert field.dtype == torch.float32
        assert not field.requires_grad
        assert torch.equal(source.torque(spins, self.time).detach(), torque(spins, field).detach())
        if source.has_energy:
            energy = source.energy(spins, self.time)
            assert energy.dtype == torch.float64
            assert not energy.requires_grad

    def test_callers_may_be_in_any_mode(self) -> None:
        """Fields are the same in inference mode, without gradients, and under another default device."""
        source, spins = self.source(), self.spins(self.source())
        expected = source.field(spins, self.time)
        for mode in (torch.inference_mode(), torch.no_grad(), torch.device("meta")):
            with mode:
                assert torch.equal(source.field(spins, self.time), expected)

    def test_copies_are_the_same(self) -> None:
        """Fields of a deep copy are the same bit for bit."""
        source, spins = self.source(), self.spins(self.source())
        assert torch.equal(copy.deepcopy(source).field(spins, self.time), source.field(spins, self.time))

    def test_description_rebuilds_the_source(self) -> None:
        """A source built from the description has the same description, and bit for bit the same fields."""
        source, spins = self.source(), self.spins(self.source())
        described = json.loads(json.dumps(source.specification()))
        if not type(source).kind:
            with pytest.raises(InvalidInput):
                FieldSource.from_specification(described, source.system)
            return
        rebuilt = FieldSource.from_specification(described, source.system, source.device)
        assert isinstance(rebuilt, FieldSource)
        assert rebuilt.specification() == source.specification()
        assert torch.equal(rebuilt.field(spins, self.time), source.field(spins, self.time))

    def test_symmetries(self) -> None:
        """Those that the test claims hold; a symmetry that the finite system lacks cannot be claimed."""
        if self.symmetries:
            found = source_symmetries(self.source(), tolerance=max(1e-6, self.accuracy))
            assert self.symmetries <= found.held, str(found)


def gradient_error(source: FieldSource, spins: Tensor, time: float | None = None, step: float = 3e-5) -> float:
    """Largest deviation of -dE/dS_i from the field at three sites, relative to the largest field.

    Fourth-order central differences of all three components; the steps stay within the accepted length of a spin.
    """
    generator = torch.Generator().manual_seed(0)
    field = source.field(spins, time)
    worst = 0.0
    for site in torch.randperm(spins.shape[-2], generator=generator)[:3].tolist():
        for axis in range(3):
            moved = spins.repeat(4, 1, 1)
            moved[:, site, axis] += step * torch.tensor([1, -1, 2, -2], dtype=spins.dtype)
            energy = source.energy(moved, time).reshape(4, -1).sum(-1)
            slope = (8 * (energy[0] - energy[1]) - (energy[2] - energy[3])) / (12 * step)
            worst = max(worst, abs(float(-slope - field[site, axis])))
    return worst / float(field.norm(dim=-1).max())
