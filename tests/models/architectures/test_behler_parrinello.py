"""Laws of Behler-Parrinello networks over the papers' descriptors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import gnnspin as gs
from gnnspin.core import InvalidInput, random_rotation, random_spins
from gnnspin.models.architectures.behler_parrinello import PAPER_WIDTHS
from gnnspin.systems import SpinSystem
from gnnspin.testing import ModelPhysics, force_field
from gnnspin.training import RECIPES
from gnnspin.training.job import ModelConfig
from gnnspin.training.recipes import RecipeName

#: A few broad symmetry functions that reach every neighbour within the suite's cutoff.
BROAD = {
    "kind": "magnetic_acsf",
    "radial": [(0.8, 0.5), (1.4, 0.5), (2.0, 0.5)],
    "separation": [(1.0, 1.0)],
    "chirality": "even",
    "chiral_radial": [(0.9, 0.5), (1.6, 0.5)],
}
IRREPS = {"kind": "group_irreps", "pairs": "centre", "triple_range": 1.5}


class TestMagneticACSF(ModelPhysics):
    name = "behler_parrinello"
    hyperparameters = {"descriptor": BROAD, "hidden": (12, 8)}  # noqa: RUF012


class TestGroupIrreps(ModelPhysics):
    name = "behler_parrinello"
    hyperparameters = {"descriptor": IRREPS, "hidden": (12, 8), "activation": "softplus"}  # noqa: RUF012
    systems = ("square", "triangular", "honeycomb", "simple_cubic")


@pytest.mark.parametrize("descriptor", [BROAD, IRREPS], ids=["magnetic_acsf", "group_irreps"])
def test_relu_network_of_the_papers(descriptor: dict[str, object]) -> None:
    """Eight ReLU layers: energies invariant, fields equivariant and odd, and minus the gradient of the energy."""
    system = gs.systems.triangular(6, 6)
    source = force_field("behler_parrinello", system, descriptor=descriptor, hidden=(32, *[16] * 7), activation="relu")
    spins, rotation = random_spins(36, seed=1), random_rotation(2)
    energy, field = source.energy_and_field(spins)
    turned_energy, turned = source.energy_and_field(spins @ rotation.T)
    assert float(field.square().mean()) > 1e-4
    assert torch.allclose(turned, field @ rotation.T, atol=1e-10)
    assert float(turned_energy) == pytest.approx(float(energy), abs=1e-9)
    assert torch.allclose(source.field(-spins), -field, atol=1e-10)
    step = torch.randn(36, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    h = 1e-7
    slope = (source.energy(spins + h * step) - source.energy(spins - h * step)) / (2 * h)
    assert float(slope) == pytest.approx(-float((field * step).sum()), rel=1e-5)


@pytest.mark.parametrize("paper", list(PAPER_WIDTHS))
def test_networks_of_the_papers(paper: str) -> None:
    """Layer widths as printed; the glass network on the 450 features of the paper."""
    system = gs.systems.amorphous(20, 3.0, 0.5, seed=0)
    spec = gs.graphs.GraphSpec.for_system(system, 2.5)
    descriptor = {"kind": "magnetic_acsf", "preset": "paper"}
    model = gs.models.build("behler_parrinello", spec, descriptor=descriptor, hidden=paper, activation="relu")
    linear = [layer for layer in model.network if isinstance(layer, torch.nn.Linear)]
    assert [layer.in_features for layer in linear] == [450, *PAPER_WIDTHS[paper]]
    assert linear[-1].out_features == 1
    assert sum(isinstance(layer, torch.nn.ReLU) for layer in model.network) == len(PAPER_WIDTHS[paper])


def test_printed_chiralities_are_switched_off() -> None:
    """The 200 features that vanish identically get no weight: the network does not depend on them."""
    system = gs.systems.amorphous(40, 3.6, 0.5, seed=0)
    spec = gs.graphs.GraphSpec.for_system(system, 2.5)
    model = gs.models.build("behler_parrinello", spec, descriptor={"kind": "magnetic_acsf", "preset": "paper"})
    model.calibrate(model.prepare(system).to("cpu", torch.float32), random_spins(40, seed=0).float()[None])
    assert int((model.standardization.inverse_spread[250:] != 0).sum()) == 0
    assert int((model.standardization.inverse_spread[:250] != 0).sum()) > 200


def test_standardised_features_have_unit_spread() -> None:
    source = force_field("behler_parrinello", gs.systems.square(8, 8), descriptor=IRREPS, hidden=(8,))
    model = source.model
    spins = random_spins(64, replicas=(2,), seed=5)
    features = model.standardization(model.descriptor(source.data, spins)).reshape(-1, model.descriptor.n_features)
    used = model.standardization.inverse_spread > 0
    assert bool(used.any())
    assert torch.allclose(features[:, used].std(0), torch.ones(int(used.sum()), dtype=torch.float64))
    assert float(features.mean(0).abs().max()) < 1e-10


def test_many_sites_pass_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    source = force_field("behler_parrinello", gs.systems.square(7, 7), descriptor=BROAD, hidden=(8, 8))
    spins = random_spins(49, replicas=(3,), seed=0)
    energy, field = source.energy_and_field(spins)
    monkeypatch.setattr("gnnspin.models.architectures.behler_parrinello.SITES_AT_ONCE", 40)
    parts_energy, parts = source.energy_and_field(spins)
    assert torch.allclose(parts, field, atol=1e-12)
    assert torch.allclose(parts_energy, energy, atol=1e-12)


def test_configuration_takes_the_lattice_from_the_system() -> None:
    """No primitive vectors in a configuration; the saved hyperparameters hold them."""
    config = ModelConfig(name="behler_parrinello", cutoff=1.5, hyperparameters={"descriptor": IRREPS})
    square, triangular = (config.build(s) for s in (gs.systems.square(6, 6), gs.systems.triangular(6, 6)))
    assert square.hyperparameters.descriptor.lattice != triangular.hyperparameters.descriptor.lattice
    with pytest.raises(InvalidInput, match="lattice"):
        gs.models.build("behler_parrinello", square.spec, descriptor=IRREPS)


@pytest.mark.parametrize("descriptor", [BROAD, IRREPS], ids=["magnetic_acsf", "group_irreps"])
def test_saved_and_loaded_is_the_same(tmp_path: Path, descriptor: dict[str, object]) -> None:
    source = force_field("behler_parrinello", gs.systems.square(6, 6), descriptor=descriptor).to(dtype=torch.float32)
    large = gs.systems.square(9, 8)
    loaded = gs.load(gs.save(source, tmp_path / "model.safetensors"), large)
    spins = random_spins(72, seed=0)
    assert torch.equal(loaded.field(spins), source.on(large).field(spins))


@pytest.mark.parametrize(
    ("recipe", "system", "features"),
    [
        ("review_torque", gs.systems.triangular(9, 9), 1806),
        ("review_torque_energy", gs.systems.triangular(9, 9), 1806),
        ("double_exchange", gs.systems.square(9, 9), 554),
        ("glass", gs.systems.amorphous(20, 3.0, 0.5, seed=0), 450),
    ],
)
def test_recipes_have_the_networks_of_the_papers(recipe: RecipeName, system: SpinSystem, features: int) -> None:
    model = ModelConfig(**RECIPES[recipe].model).build(system)
    assert model.descriptor.n_features == features
    assert model.network[0].in_features == features
    assert isinstance(model.network[1], torch.nn.ReLU)


def test_unknown_values_are_named() -> None:
    spec = gs.graphs.GraphSpec.for_system(gs.systems.square(4, 4), 1.5)
    with pytest.raises(InvalidInput, match="descriptor"):
        gs.models.build("behler_parrinello", spec, descriptor={"kind": "soap"})
    with pytest.raises(InvalidInput, match="hidden"):
        gs.models.build("behler_parrinello", spec, descriptor=BROAD, hidden=(0,))
    with pytest.raises(InvalidInput, match="activation"):
        gs.models.build("behler_parrinello", spec, descriptor=BROAD, activation="step")
