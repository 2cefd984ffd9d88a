"""Laws of the oriented cluster expansion."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gnnspin as gs
from gnnspin.analysis.symmetries import site_permutation, symmetry_violations
from gnnspin.core import InvalidInput, move_arrays, random_rotation, random_spins
from gnnspin.models import OrientedClusterExpansion
from gnnspin.models.blocks.lattice_kernels import (
    LatticeKernel,
    OrientationMixing,
    Orientations,
    unique_displacements,
)
from gnnspin.models.blocks.unit_cell import UnitCell
from gnnspin.systems import SpinSystem
from gnnspin.systems.symmetry import CrystalSymmetry
from gnnspin.testing.models import SYSTEMS, ModelPhysics, close, force_field

NAME = "oriented_cluster_expansion"
SMALL = {"filters": 3, "channels": 2, "scalars": 2, "factors": 3, "hidden": 6}
LATTICES = ("square", "triangular", "honeycomb", "simple_cubic")


class TestTwoLayers(ModelPhysics):
    name = NAME
    hyperparameters = {"layers": 2, **SMALL}  # noqa: RUF012
    systems = LATTICES


class TestOneLayer(ModelPhysics):
    name = NAME
    hyperparameters = {"layers": 1, **SMALL}  # noqa: RUF012
    systems = LATTICES


class TestHanded(ModelPhysics):
    name = NAME
    hyperparameters = {"layers": 2, "mirrors": False, "time_reversal": False, **SMALL}  # noqa: RUF012
    systems = ("honeycomb", "simple_cubic")


class TestDirectionsOfBonds(ModelPhysics):
    name = NAME
    hyperparameters = {"layers": 3, "orientations": "bonds", **SMALL}  # noqa: RUF012
    systems = LATTICES


class TestFixedNumber(ModelPhysics):
    name = NAME
    hyperparameters = {"layers": 2, "fixed_number": True, **SMALL}  # noqa: RUF012
    systems = LATTICES

    def test_nothing_beyond_the_receptive_field(self) -> None:
        """The chemical potential depends on all spins, but not on how often they are repeated."""
        chain = gs.systems.chain(40)
        source = force_field(self.name, chain, cutoff=2.3, **self.hyperparameters)
        spins = random_spins(40, seed=1)
        doubled = source.on(gs.systems.chain(80))
        assert torch.allclose(doubled.energy(torch.cat([spins, spins])), 2 * source.energy(spins))
        assert source.model.receptive_radius == float("inf")
        with pytest.raises(InvalidInput, match="depends on all spins"):
            doubled.tile(30)

    def test_unions_have_one_chemical_potential_each(self) -> None:
        parts = [gs.systems.square(5, 5), gs.systems.square(6, 4)]
        source = force_field(self.name, parts[0], **self.hyperparameters)
        spins = random_spins(49, seed=1)
        energy, field = source.on(gs.systems.union(parts)).energy_and_field(spins)
        for k, (part, own) in enumerate(zip(parts, spins.split([25, 24]), strict=True)):
            assert torch.allclose(energy[k], source.on(part).energy(own))
            piece = source.on(part).field(own)
            assert close(field.split([25, 24])[k], piece, piece)


@pytest.mark.parametrize(
    ("system", "order"),
    [
        (gs.systems.chain(8), 2),
        (gs.systems.square(6, 6), 8),
        (gs.systems.triangular(6, 6), 12),
        (gs.systems.honeycomb(4, 4), 12),
        (gs.systems.kagome(4, 4), 12),
        (gs.systems.simple_cubic(4, 4, 4), 48),
        (gs.systems.pyrochlore(2, 2, 2), 48),
    ],
    ids=repr,
)
def test_orientations_are_the_point_group_of_the_crystal(system: SpinSystem, order: int) -> None:
    cell = UnitCell.of(system)
    found = Orientations(cell)
    assert len(found.matrices) == order
    inverse = np.swapaxes(found.matrices, 1, 2)
    assert np.allclose(found.matrices[found.quotient], np.einsum("gij,hjk->ghik", inverse, found.matrices))
    displacements = unique_displacements(cell, 1.1)
    turned = np.einsum("gij,dj->gdi", found.matrices, displacements).reshape(-1, 1, 3)
    assert np.linalg.norm(turned - displacements, axis=-1).min(1).max() < 1e-9


@pytest.mark.parametrize(
    "system",
    [
        gs.systems.square(7, 6),
        gs.systems.square(7, 6, pbc=(False, True)),
        gs.systems.triangular(6, 9),
        gs.systems.honeycomb(4, 5, pbc=(True, False)),
        gs.systems.simple_cubic(4, 5, 3),
        gs.systems.chain(9, pbc=False),
    ],
    ids=repr,
)
def test_convolution_equals_slots(system: SpinSystem) -> None:
    source = force_field(NAME, system, cutoff=2.1, layers=3, **SMALL)
    assert source.data.stencil
    spins = random_spins(system.n_sites, replicas=(2,), seed=2)
    fast = source.field(spins)
    source.data = source.model.prepare(system, lattice=False).to("cpu", torch.float64)
    assert not source.data.stencil
    assert close(source.field(spins), fast, fast)


@pytest.mark.parametrize(
    ("system", "directions"),
    [
        (gs.systems.chain(8), 2),
        (gs.systems.square(6, 6), 4),
        (gs.systems.triangular(6, 6), 6),
        (gs.systems.honeycomb(4, 4), 6),
        (gs.systems.kagome(4, 4), 6),
        (gs.systems.simple_cubic(4, 4, 4), 6),
        (gs.systems.pyrochlore(3, 3, 3), 12),
    ],
    ids=repr,
)
def test_directions_of_bonds_are_orientations_with_equal_weights(system: SpinSystem, directions: int) -> None:
    """Kernels and mixtures are those of all orientations whose weights are equal under the stabilizer of a bond."""
    cell = UnitCell.of(system)
    cutoff = 2.1 if system.n_basis == 1 else 1.05
    displacements = unique_displacements(cell, cutoff * np.linalg.norm(unique_displacements(cell, 1.1)[0]))
    bond = displacements[0]
    all_of_them, found = Orientations(cell), Orientations(cell, bond=bond)
    assert len(found.matrices) == directions
    assert len(found.matrices) * len(found.stabilizer) == len(all_of_them.matrices)
    length = float(np.linalg.norm(displacements[-1])) * 1.01
    torch.manual_seed(0)
    kernel, mixing = LatticeKernel(2, 3, cell, found, length), OrientationMixing(2, found)
    larger, mixing_larger = LatticeKernel(2, 3, cell, all_of_them, length), OrientationMixing(2, all_of_them)
    ends, images = all_of_them.matrices @ bond, found.matrices @ bond
    direction = torch.from_numpy(np.linalg.norm(ends[:, None] - images, axis=-1).argmin(1))  # of each orientation
    with torch.no_grad():
        larger.weight.copy_(kernel.weight[:, :, found.classes(displacements)])
        numbers = found.quotient[direction][:, direction]
        share = len(found.matrices) / len(all_of_them.matrices)
        for k in range(len(all_of_them.matrices)):
            classes = numbers[all_of_them.quotient == k]
            assert (classes == classes[0]).all()
            mixing_larger.weight[:, :, k] = share * mixing.weight[:, :, classes[0]]
    features = torch.randn(2, directions, 2, system.n_sites)
    geometry = move_arrays(kernel.prepare(system), dtype=torch.float32)
    messages = kernel(features, geometry)
    assert torch.allclose(larger(features[:, direction], geometry), messages[:, direction], atol=1e-5)
    assert torch.allclose(mixing_larger(features[:, direction]), mixing(features)[:, direction], atol=1e-5)


@pytest.mark.parametrize("orientations", ["all", "bonds"])
@pytest.mark.parametrize("lattice", [gs.systems.kagome, gs.systems.pyrochlore])
def test_glides_and_screws(lattice: object, orientations: str) -> None:
    """Operations that exchange sublattices, with translations by parts of a cell where there are any."""
    size = (3, 3) if lattice is gs.systems.kagome else (2, 2, 2)
    system = lattice(*size)  # type: ignore[operator]
    cutoff = 1.05 * gs.graphs.GraphSpec.for_system(system, 1.0).shells[0]
    source = force_field(NAME, system, cutoff=cutoff, orientations=orientations, **SMALL)
    violations = symmetry_violations(source, seed=1)
    assert set(violations) == {"spin_rotation", "time_reversal", "translation", "point_group", "mirrors"}
    assert max(violations.values()) < 1e-9
    spins = random_spins(system.n_sites, seed=3)
    cell = UnitCell.of(system)
    crystal = CrystalSymmetry.of(cell.vectors, cell.basis, cell.extended)
    field, moved_sites = source.field(spins), 0
    for rotation, shift in zip(crystal.rotations, crystal.translations, strict=True):
        image = site_permutation(system, rotation, np.zeros(3), shift)
        if image is not None:
            moved_sites += int((system.basis_index[image.numpy()] != system.basis_index).any())
            moved = torch.empty_like(spins).index_copy(0, image, spins)
            assert close(source.field(moved)[image], field, field)
    assert moved_sites > 0


def test_vacancies_and_small_cells_run_on_the_table() -> None:
    source = force_field(NAME, SYSTEMS["square"], cutoff=3.1, **SMALL)
    square = gs.systems.square(8, 8)
    kept = np.delete(np.arange(64), [10, 33])
    diluted = SpinSystem(square.positions[kept], square.cell, (True, True, False))
    assert not source.on(diluted).data.stencil
    spins = random_spins(4, seed=0)
    tiny = gs.systems.square(2, 2)
    repeated = spins.reshape(2, 2, 3).repeat(4, 4, 1).reshape(64, 3)
    small, large = source.on(tiny), source.on(square)
    assert not small.data.stencil
    assert torch.allclose(large.field(repeated)[:2], small.field(spins)[:2], atol=1e-10)


@pytest.mark.parametrize("time_reversal", [True, False])
def test_site_vectors_are_odd_and_turn_with_the_spins(time_reversal: bool) -> None:
    system = gs.systems.triangular(5, 5)
    values = OrientedClusterExpansion.for_system(system, {"time_reversal": time_reversal, **SMALL})
    torch.manual_seed(0)
    spec = gs.graphs.GraphSpec.for_system(system, 1.8)
    model = OrientedClusterExpansion(spec, OrientedClusterExpansion.Hyperparameters(**values), vector_output=True)
    model.double()
    data = model.prepare(system).to("cpu", torch.float64)
    spins, rotation = random_spins(25, replicas=(2,), seed=1), random_rotation(2)
    model.calibrate(data, spins)
    vectors = model.site_vectors(data, spins)
    assert vectors.shape == (2, 2, 25, 3)
    assert torch.allclose(model.site_vectors(data, spins @ rotation.T), vectors @ rotation.T, atol=1e-10)
    assert torch.allclose(model.site_vectors(data, -spins), -vectors, atol=1e-10) is time_reversal
    energies = model.site_energies(data, spins)
    assert torch.allclose(model.site_energies(data, -spins), energies, atol=1e-10) is time_reversal


def test_kinds_of_sites_are_told_apart() -> None:
    """Exchanging two species changes energies; moving the spins along by one site undoes it."""
    square = gs.systems.square(6, 6)
    species = np.indices((6, 6)).sum(0).flatten() % 2
    mixed, swapped = (
        SpinSystem(square.positions, square.cell, (True, True, False), kinds, lattice_shape=square.lattice_shape)
        for kinds in (species, 1 - species)
    )
    source = force_field(NAME, mixed, **SMALL)
    assert source.model.hyperparameters.n_kinds == 2
    other, spins = source.on(swapped), random_spins(36, seed=1)
    assert not torch.allclose(source.energy(spins), other.energy(spins))
    order = torch.arange(36).reshape(6, 6).roll(1, 1).flatten()
    assert torch.allclose(other.field(spins[order]), source.field(spins)[order], atol=1e-10)
    with pytest.raises(InvalidInput, match="n_kinds=1"):
        force_field(NAME, square, **SMALL).on(mixed)


def test_other_lattices_are_refused() -> None:
    source = force_field(NAME, SYSTEMS["square"], **SMALL)
    with pytest.raises(InvalidInput, match="train a model on this lattice"):
        source.on(gs.systems.triangular(7, 7))
    with pytest.raises(InvalidInput, match="train a model on this lattice"):  # all its neighbours are displacements
        gs.load("pretrained:tetrahedral_fast", gs.systems.kagome(4, 4))
    shifted = gs.systems.square(7, 7).positions + 0.1 * np.eye(49, 3)
    with pytest.raises(InvalidInput, match="none of the displacements"):
        source.on(SpinSystem(shifted, 7 * np.eye(3), (True, True, False)))
    source.on(gs.systems.square(9, 2, pbc=(True, False)))  # a ribbon of the same lattice
    with pytest.raises(InvalidInput, match="lattices"):
        force_field(NAME, SYSTEMS["amorphous"], **SMALL)
    with pytest.raises(InvalidInput, match="unit_cell"):
        gs.models.build(NAME, source.model.spec)
    with pytest.raises(InvalidInput, match="message_cutoff"):
        force_field(NAME, SYSTEMS["square"], message_cutoff=0.5, **SMALL)


@pytest.mark.parametrize("smallest", ["scalars", "factors", "filters", "channels"])
def test_smallest_sizes(smallest: str) -> None:
    source = force_field(NAME, SYSTEMS["square"], **(SMALL | {smallest: 0 if smallest == "scalars" else 1}))
    spins, rotation = random_spins(49, seed=1), random_rotation(2)
    field = source.field(spins)
    assert close(source.field(spins @ rotation.T), field @ rotation.T, field)


def test_saved_and_loaded(tmp_path) -> None:  # type: ignore[no-untyped-def]
    source = force_field(NAME, SYSTEMS["honeycomb"], **SMALL)
    spins = random_spins(50, seed=1)
    loaded = gs.load(gs.save(source, tmp_path / "model.safetensors"), SYSTEMS["honeycomb"]).to(dtype=torch.float64)
    assert torch.allclose(loaded.field(spins), source.field(spins), atol=1e-5)
