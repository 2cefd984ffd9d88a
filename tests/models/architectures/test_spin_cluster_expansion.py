"""Laws of the spin cluster expansion network."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gnnspin as gs
from gnnspin.core import InvalidInput, random_rotation, random_spins
from gnnspin.models import SpinClusterExpansion
from gnnspin.models.blocks.bases import AngularBasis, RadialBasis
from gnnspin.models.blocks.density import NeighborDensity, NeighborGeometry, prepare_geometry
from gnnspin.systems import SpinSystem
from gnnspin.testing import ModelPhysics, assert_paths_agree, force_field


class TestTwoLayers(ModelPhysics):
    name = "spin_cluster_expansion"
    hyperparameters = {"layers": 2, "channels": 3, "scalars": 2, "hidden": 8, "max_degree": 3, "pairs": 4}  # noqa: RUF012


class TestOneLayer(ModelPhysics):
    name = "spin_cluster_expansion"
    hyperparameters = {"layers": 1, "channels": 3, "hidden": 8, "max_degree": 2}  # noqa: RUF012


class TestHanded(ModelPhysics):
    name = "spin_cluster_expansion"
    hyperparameters = {"channels": 3, "scalars": 2, "hidden": 8, "mirrors": False, "time_reversal": False}  # noqa: RUF012
    systems = ("honeycomb", "simple_cubic", "amorphous")


class TestFixedNumber(ModelPhysics):
    name = "spin_cluster_expansion"
    hyperparameters = {"layers": 2, "channels": 3, "hidden": 8, "max_degree": 1, "fixed_number": True}  # noqa: RUF012

    def test_nothing_beyond_the_receptive_field(self) -> None:
        """The chemical potential depends on all spins, but not on how often they are repeated."""
        source = force_field(self.name, gs.systems.chain(40), cutoff=2.3, **self.hyperparameters)
        spins = random_spins(40, seed=1)
        doubled = source.on(gs.systems.chain(80))
        assert torch.allclose(doubled.energy(torch.cat([spins, spins])), 2 * source.energy(spins))
        assert source.model.receptive_radius == float("inf")


@pytest.mark.parametrize(
    "system",
    [
        gs.systems.square(7, 6),
        gs.systems.square(7, 6, pbc=(False, True)),
        gs.systems.square(8, 6, pbc=False),
        gs.systems.triangular(6, 9),
        gs.systems.triangular(3, 3),
        gs.systems.honeycomb(4, 5),
        gs.systems.honeycomb(4, 5, pbc=(True, False)),
        gs.systems.simple_cubic(4, 5, 3),
        gs.systems.chain(9),
        gs.systems.chain(9, pbc=False),
    ],
    ids=repr,
)
def test_lattice_stencil_equals_edge_list(system: SpinSystem) -> None:
    hyperparameters = {"channels": 3, "scalars": 2, "hidden": 8}
    assert_paths_agree(force_field("spin_cluster_expansion", system, **hyperparameters).model, system)


def test_cutoff_beyond_a_tiny_cell_falls_back_to_edges() -> None:
    system = gs.systems.square(2, 2)
    source = force_field("spin_cluster_expansion", system, cutoff=3.0, channels=2, hidden=8)
    assert source.data.stencil is None
    tiled = gs.systems.square(8, 8)
    spins = random_spins(4, seed=0)
    repeated = spins.reshape(2, 2, 3).repeat(4, 4, 1).reshape(64, 3)
    assert torch.allclose(source.on(tiled).field(repeated)[:2], source.field(spins)[:2], atol=1e-10)


def test_unknown_hyperparameter_is_named() -> None:
    spec = gs.graphs.GraphSpec.for_system(gs.systems.square(4, 4), 1.5)
    with pytest.raises(InvalidInput, match="chanels"):
        gs.models.build("spin_cluster_expansion", spec, chanels=3)
    with pytest.raises(InvalidInput, match="layers"):
        gs.models.build("spin_cluster_expansion", spec, layers=0)
    with pytest.raises(InvalidInput, match="known: "):
        gs.models.build("spin_cluster", spec)
    with pytest.raises(InvalidInput, match="cutoff"):
        gs.graphs.GraphSpec.for_system(gs.systems.square(4, 4), 0.0)
    with pytest.raises(InvalidInput, match="no site has a neighbour"):
        gs.graphs.GraphSpec.for_system(gs.systems.square(4, 4), 0.5)


def test_model_refuses_another_lattice() -> None:
    source = force_field("spin_cluster_expansion", gs.systems.square(6, 6), channels=2, hidden=8)
    with pytest.raises(InvalidInput, match="shells"):
        source.on(gs.systems.triangular(6, 6))
    with pytest.raises(InvalidInput, match="outside the xy plane"):
        source.on(gs.systems.simple_cubic(4, 4, 4))


def build(system: SpinSystem, cutoff: float, **options: object) -> tuple[SpinClusterExpansion, NeighborGeometry]:
    """A calibrated float64 model and its geometry; `vector_output` is an option of the model itself."""
    torch.manual_seed(0)
    vector_output = bool(options.pop("vector_output", False))
    spec = gs.graphs.GraphSpec.for_system(system, cutoff)
    values = SpinClusterExpansion.for_system(system, options)
    model = SpinClusterExpansion(spec, SpinClusterExpansion.Hyperparameters(**values), vector_output=vector_output)
    model.double()
    data = model.prepare(system).to("cpu", torch.float64)
    model.calibrate(data, random_spins(system.n_sites, replicas=(2,), seed=5))
    return model, data


@pytest.mark.parametrize("time_reversal", [True, False])
def test_site_vectors_are_odd_and_turn_with_the_spins(time_reversal: bool) -> None:
    system = gs.systems.triangular(5, 5)
    model, data = build(system, 1.8, channels=4, hidden=8, time_reversal=time_reversal, vector_output=True)
    spins, rotation = random_spins(25, replicas=(2,), seed=1), random_rotation(2)
    vectors = model.site_vectors(data, spins)
    assert vectors.shape == (2, 4, 25, 3)
    assert torch.allclose(model.site_vectors(data, spins @ rotation.T), vectors @ rotation.T, atol=1e-10)
    assert torch.allclose(model.site_vectors(data, -spins), -vectors, atol=1e-10) is time_reversal


def test_without_time_reversal_energies_tell_spins_from_reversed_ones() -> None:
    model, data = build(gs.systems.square(6, 6), 2.0, channels=4, hidden=8, time_reversal=False)
    spins = random_spins(36, seed=1)
    assert float((model.site_energies(data, spins) - model.site_energies(data, -spins)).detach().std()) > 1e-2


def test_center_replaces_the_own_spin_of_a_site_alone() -> None:
    """Turning every centre but one changes that site's energy through nothing else than its own spin."""
    model, data = build(gs.systems.square(6, 6), 2.0, channels=4, hidden=8)
    spins = random_spins(36, replicas=(1,), seed=1)
    energies = model.dimensionless_energies(data, spins, spins)
    assert torch.equal(energies, model.dimensionless_energies(data, spins))
    others = random_spins(36, replicas=(1,), seed=2)
    others[:, 7] = spins[:, 7]
    changed = model.dimensionless_energies(data, spins, others)
    assert torch.isclose(changed[0, 7], energies[0, 7])
    assert not torch.isclose(changed[0, 8], energies[0, 8])


def test_kinds_of_sites_are_told_apart() -> None:
    """Exchanging two species changes energies; with one kind for all, species would not be allowed."""
    square = gs.systems.square(6, 6)
    species = np.arange(36) % 2
    mixed, swapped = (
        SpinSystem(square.positions, square.cell, (True, True, False), kinds, lattice_shape=square.lattice_shape)
        for kinds in (species, 1 - species)
    )
    model, data = build(mixed, 2.0, channels=4, hidden=8)
    assert model.hyperparameters.n_kinds == 2
    spins = random_spins(36, seed=1)
    exchanged = model.prepare(swapped).to("cpu", torch.float64)
    assert not torch.allclose(model.site_energies(data, spins), model.site_energies(exchanged, spins))
    order = torch.arange(36).reshape(6, 6).roll(1, 1).flatten()  # by one site along y: where the other species sits
    moved = model.site_energies(exchanged, spins[order])
    assert torch.allclose(moved, model.site_energies(data, spins)[order], atol=1e-10)
    blind, _ = build(square, 2.0, channels=2, hidden=8)
    with pytest.raises(InvalidInput, match="n_kinds=1"):
        blind.prepare(mixed)


def test_basis_sites_are_told_apart_on_request() -> None:
    honeycomb = gs.systems.honeycomb(4, 4)
    assert build(honeycomb, 1.5, channels=2, hidden=8)[0].hyperparameters.n_kinds == 1
    model, data = build(honeycomb, 1.5, channels=2, hidden=8, site_kind="basis")
    assert model.hyperparameters.n_kinds == 2
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(32, 3)
    energies = model.site_energies(data, up)
    assert torch.allclose(energies[::2], energies[0])
    assert not torch.allclose(energies[0], energies[1])


def test_geometry_of_a_lattice_does_not_grow_with_it() -> None:
    """Only the kinds of sites are stored per site; the rest is one unit cell's."""
    small, large = (build(gs.systems.square(size, size), 2.0, channels=2, hidden=8)[1] for size in (6, 24))
    assert large.table is None
    assert small.stencil is not None
    assert large.stencil is not None
    assert torch.equal(small.stencil.kernel, large.stencil.kernel)


@pytest.mark.parametrize("system", [gs.systems.honeycomb(5, 5), gs.systems.amorphous(40, 3.6, 0.5, seed=0)], ids=repr)
def test_separable_weights_are_a_product(system: SpinSystem) -> None:
    """Mixing channels, then one radial function each, is the general density with the product of the two weights."""
    spec = gs.graphs.GraphSpec.for_system(system, 1.8)
    angular, radial = AngularBasis(spec.dimension, 2), RadialBasis(spec, 4)
    data = prepare_geometry(system, spec, radial, angular).to("cpu", torch.float64)
    separable = NeighborDensity(3, 5, radial.size, angular, 8.0, separable=True).double()
    general = NeighborDensity(3, 5, radial.size, angular, 8.0).double()
    assert separable.mixing is not None
    with torch.no_grad():
        general.weight.copy_(separable.weight * separable.mixing[:, :, None, None])
    features = torch.randn(2, 3, system.n_sites, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = general(features, data)
    assert torch.allclose(separable(features, data), expected, atol=1e-12)
    assert torch.allclose(separable(features, data.without_stencil()), expected, atol=1e-12)
