"""Laws of the convolutional baseline: translations and time reversal hold, spin rotation and point group do not."""

from __future__ import annotations

import pytest
import torch

import gnnspin as gs
from gnnspin.core import InvalidInput, random_rotation, random_spins
from gnnspin.datasets.augmentation import spin_rotated
from gnnspin.datasets.labels import StackedLabels
from gnnspin.datasets.published import PublishedLabels
from gnnspin.testing.models import EXACT, SYSTEMS, ModelPhysics, force_field
from gnnspin.testing.permutations import site_symmetries

NAME = "convolutional"
SMALL = {"channels": 4, "hidden": 8}


class TestConvolutional(ModelPhysics):
    name = NAME
    hyperparameters = {"layers": 2, **SMALL}  # noqa: RUF012
    systems = ("square", "triangular", "honeycomb", "simple_cubic")

    def test_spin_rotation(self, key: str) -> None:
        source, rotation = self.source(key), random_rotation(3)
        assert source.model.symmetries == {"time_reversal", "translation"}
        spins = random_spins(source.system.n_sites, seed=1)
        field = source.field(spins)
        assert float((source.field(spins @ rotation.T) - field @ rotation.T).abs().max()) > 1e-2

    @pytest.mark.parametrize("lattice", ["square", "honeycomb"])
    def test_point_group(self, lattice: str) -> None:
        source = self.source(lattice)
        spins = random_spins(source.system.n_sites, seed=1)
        field, breaking = source.field(spins), 0.0
        for image in site_symmetries(source.system, 0):
            moved = torch.empty_like(spins).index_copy(0, image, spins)
            breaking = max(breaking, float((source.field(moved)[image] - field).abs().max()))
        assert breaking > 1e-2

    def test_one_kernel_for_all_sizes(self) -> None:
        source = self.source("honeycomb")
        spins = random_spins(source.system.n_sites, seed=1)
        larger = gs.systems.honeycomb(10, 5)
        field = source.on(larger).field(torch.cat([spins, spins]))
        assert float((field[: len(spins)] - source.field(spins)).abs().max()) < EXACT


def test_open_boundaries_are_empty_space() -> None:
    source = force_field(NAME, gs.systems.square(7, 7, pbc=False), layers=1, **SMALL)
    spins = random_spins(49, seed=1)
    inner = force_field(NAME, gs.systems.square(7, 7), layers=1, **SMALL)
    inner.model.load_state_dict(source.model.state_dict())
    site = [f.model.site_energies(f.data, spins) for f in (source, inner)]
    assert torch.allclose(site[0][24], site[1][24])
    assert not torch.allclose(site[0][0], site[1][0])


def test_without_time_reversal_energies_are_not_even() -> None:
    source = force_field(NAME, SYSTEMS["square"], time_reversal=False, **SMALL)
    spins = random_spins(49, seed=1)
    assert float((source.field(-spins) + source.field(spins)).abs().max()) > 1e-3


def test_other_lattices_are_refused() -> None:
    source = force_field(NAME, SYSTEMS["square"], **SMALL)
    with pytest.raises(InvalidInput, match="another unit cell"):
        source.on(gs.systems.triangular(7, 7))
    with pytest.raises(InvalidInput, match="lattices"):
        source.on(SYSTEMS["amorphous"])
    with pytest.raises(InvalidInput, match="reaches"):
        source.on(gs.systems.square(1, 7))
    with pytest.raises(InvalidInput, match="unit_cell"):
        gs.models.build(NAME, source.model.spec)


def test_rotated_labels_are_labels_of_a_rotated_system() -> None:
    system = gs.systems.square(4, 4)
    exact = gs.classical.Heisenberg(system)
    spins = random_spins(16, replicas=(3,), seed=2)
    labels = PublishedLabels("exact", StackedLabels(system, spins, exact.field(spins)), [{}] * 3)
    turned = spin_rotated(labels, 2, seed=1)
    stacked = turned.stacked()
    assert len(turned) == 6
    assert torch.allclose(exact.field(stacked.spins), stacked.field)
    assert torch.equal(turned[4].spins, stacked.spins[4])
    assert not torch.allclose(stacked.spins[0], stacked.spins[3])
