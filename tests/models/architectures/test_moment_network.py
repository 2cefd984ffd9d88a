"""Moment networks: the laws of every model, and what the Hamiltonian adds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import published
from torch import Tensor

import gnnspin as gs
from gnnspin.classical import Heisenberg
from gnnspin.core import InvalidInput, random_spins
from gnnspin.datasets import Label, LabelStore
from gnnspin.datasets.labels import LabelSet, StackedLabels
from gnnspin.datasets.published import PublishedLabels
from gnnspin.electrons import ExponentialHopping, NearestNeighborHopping, OnsiteDisorder, ShellHopping
from gnnspin.electrons.hopping.phases import PeierlsHopping
from gnnspin.electrons.hopping.rashba import RashbaHopping
from gnnspin.electrons.hopping.wannier import CellHopping
from gnnspin.graphs import GraphSpec
from gnnspin.models import SpinModel
from gnnspin.models.architectures.moment_network import MomentModel, moment_invariants
from gnnspin.systems import SpinSystem
from gnnspin.testing import ModelPhysics, close, force_field
from gnnspin.testing.permutations import translations
from gnnspin.training import TrainingConfig, fit


class TestMomentNetwork(ModelPhysics):
    name = "moment_network"
    hyperparameters = {"hops": 3, "hidden": 16, "linear_degree": 6, "J": 2.0}  # noqa: RUF012


class TestMomentClusterExpansion(ModelPhysics):
    name = "moment_cluster_expansion"
    hyperparameters = {  # noqa: RUF012
        "hops": 2,
        "hidden": 16,
        "linear_degree": 8,
        "J": 2.0,
        "layers": 2,
        "channels": 4,
        "scalars": 3,
        "max_degree": 2,
    }


class TestMomentClusterExpansionWithBonds(ModelPhysics):
    name = "moment_cluster_expansion"
    hyperparameters = {**TestMomentClusterExpansion.hyperparameters, "bond_moments": True}  # noqa: RUF012


class TestKnownHoppingOfInfiniteRange(ModelPhysics):
    """Exponential hopping between all pairs, switched off at the cutoff."""

    name = "moment_network"
    hyperparameters = {  # noqa: RUF012
        "hops": 2,
        "hidden": 8,
        "J": 2.0,
        "hopping": ExponentialHopping(t0=1.0, length=1.0),
    }
    systems = ("amorphous",)


SQUARE = gs.systems.square(12, 12)
RULE = NearestNeighborHopping(t=1.0)


def build(name: str = "moment_network", system: SpinSystem = SQUARE, cutoff: float = 1.5, **values: Any) -> MomentModel:
    """A calibrated float64 model with random weights."""
    model = force_field(name, system, cutoff=cutoff, **({"hopping": RULE, "J": 3.5, "hidden": 8} | values)).model
    assert isinstance(model, MomentModel)
    return model


def linear_labels(coefficients: Tensor, degree: int) -> LabelSet:
    """Fields of a trace of a polynomial of H, by automatic differentiation of the model's linear part."""
    model = build(hops=degree // 2, hidden=1)
    with torch.no_grad():
        model.linear.zero_()
        model.base_coefficients[: len(coefficients)] = coefficients
        for parameter in model.network.parameters():
            parameter.zero_()
    spins = random_spins(SQUARE.n_sites, replicas=(2,), seed=9)
    field = gs.ForceField(model, SQUARE, dtype=torch.float64).field(spins)
    return PublishedLabels("polynomial", StackedLabels(system=SQUARE, spins=spins, field=field), [{}, {}])


@pytest.mark.parametrize("name", ["moment_network", "moment_cluster_expansion"])
def test_deep_linear_part_needs_no_differentiation(name: str) -> None:
    """Fields from the vectors of the moments equal minus the gradient of the energy; weights get the same gradients."""
    model = build(name, hops=1, linear_degree=9).requires_grad_(True)
    data = model.prepare(SQUARE).to("cpu", torch.float64)
    spins = random_spins(SQUARE.n_sites, replicas=(2,), seed=4)
    results = []
    for method in (model.energies_and_fields, lambda *a, **k: SpinModel.energies_and_fields(model, *a, **k)):
        site, field = method(data, spins, create_graph=True)
        (gradient,) = torch.autograd.grad(field.square().sum() + site.sum(), model.linear)
        results.append((site.detach(), field.detach(), gradient))
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-9 * float(b.abs().max()))


@pytest.mark.parametrize("name", ["moment_network", "moment_cluster_expansion"])
@pytest.mark.parametrize("system", [SQUARE, gs.systems.triangular(7, 6), gs.systems.honeycomb(5, 6)], ids=repr)
def test_translated_balls_equal_listed_pairs(name: str, system: SpinSystem) -> None:
    model = build(name, system, cutoff=1.8, hops=2, linear_degree=7)
    spins = random_spins(system.n_sites, replicas=(2,), seed=4)
    fields = [
        model.fields(model.prepare(system, lattice=lattice).to("cpu", torch.float64), spins)
        for lattice in (True, False)
    ]
    assert close(fields[0], fields[1], fields[1])


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("moment_network", {"hops": 3}, 6.0),
        ("moment_network", {"hops": 1, "linear_degree": 10}, 4.0),
        ("moment_network", {"hops": 2, "linear_degree": 13}, 5.0),
        ("moment_cluster_expansion", {"hops": 4, "layers": 1, "linear_degree": 5}, 4.0),
    ],
)
def test_torque_receptive_radius(name: str, values: dict[str, int], expected: float) -> None:
    """Fields depend on spins up to the stated distance, and on none beyond."""
    system = gs.systems.chain(41)
    model = build(name, system, cutoff=2.0, **values)
    assert model.torque_receptive_radius == expected
    data = model.prepare(system).to("cpu", torch.float64)
    spins = random_spins(41, seed=1).requires_grad_()
    site = model.site_energies(data, spins)
    (gradient,) = torch.autograd.grad(site.sum(), spins, create_graph=True)
    (response,) = torch.autograd.grad((gradient[20] * random_spins(1, seed=2)[0]).sum(), spins)
    reach = torch.arange(41).sub(20).abs()[response.norm(dim=-1) > 1e-12].max()
    assert int(reach) == int(expected)


def test_least_squares_recover_a_polynomial() -> None:
    exact = torch.tensor([0.7, 0.0, -0.4, 0.0, 0.25, 0.0], dtype=torch.float64)
    labels = linear_labels(exact, 7)
    model = build(linear_degree=7, hops=1)
    with torch.no_grad():
        model.linear.zero_()
    assert model.fit_linear_part(labels, ridge=1e-14) < 1e-7
    assert torch.allclose(model.base_coefficients, exact, atol=1e-5)


def test_linear_part_survives_calibration() -> None:
    """The trainer sets energy units and feature statistics after the least squares."""
    labels = linear_labels(torch.tensor([0.7, 0.0, -0.4, 0.0], dtype=torch.float64), 5)
    model = build(linear_degree=5, hops=1)
    with torch.no_grad():
        for parameter in (model.linear, *model.network.parameters()):
            parameter.zero_()
    model.fit_linear_part(labels)
    model.energy_scale.fill_(0.1)
    stack = labels.stacked([0, 1])
    model.calibrate(model.prepare(SQUARE).to("cpu", torch.float64), stack.spins)
    field = gs.ForceField(model, SQUARE, dtype=torch.float64).field(stack.spins)
    assert torch.allclose(field, stack.field, atol=1e-4)


def test_features_are_standard_on_systems_of_several_sizes(tmp_path: Path) -> None:
    """The bounds of the spectrum are those of all systems before anything is measured in their units."""
    store = LabelStore.create(tmp_path / "labels.h5")
    for k in range(8):
        system = gs.systems.square(*((6, 6) if k % 2 else (8, 8)))
        spins = random_spins(system.n_sites, seed=k)
        store.append(Label(system, spins, Heisenberg(system, 1.0).field(spins)))
    model = build(system=store[0].system, hopping=RULE, hops=1).float()
    config = TrainingConfig(max_epochs=1, batch_size=2, learning_rate=1e-12, final_learning_rate=0)
    model = fit(model, store, store, config, directory=tmp_path / "run", progress=False).force_field.model
    for system, indices in store.by_system().items():
        data = model.prepare(system).to("cpu", torch.float32)
        spins = store.stacked(indices).spins.float()
        moments = model._closure_moments(data, spins)
        features = moment_invariants(spins, moments.scalar, moments.vector).transpose(1, 2)
        standard = model.standardization(features).flatten(0, 1)
        varies = model.standardization.inverse_spread > 0
        assert float(standard.mean(0)[varies].abs().max()) < 0.5
        assert 0.5 < float(standard.std(0)[varies].min()) <= float(standard.std(0)[varies].max()) < 2


def test_hops_end_within_the_cutoff() -> None:
    """The receptive radius follows from the cutoff where the rule does not tell it."""
    with pytest.raises(InvalidInput, match="hops as far as 2"):
        build(hopping=ShellHopping((1.0, 0.5, 0.4)), J=1.0, hops=1)


def test_without_a_linear_part() -> None:
    model = build(linear_degree=0, hops=2)
    assert len(model.linear) == 0
    with pytest.raises(InvalidInput, match="linear_degree=0"):
        model.fit_linear_part(linear_labels(torch.ones(2, dtype=torch.float64), 3))


def test_complex_hopping_breaks_time_reversal() -> None:
    system = gs.systems.square(6, 6)
    model = build(system=system, hopping=PeierlsHopping(RULE, 1 / 6), hops=3)
    spins = random_spins(36, seed=1)
    source = gs.ForceField(model, system, dtype=torch.float64)
    assert not model.time_reversal
    assert build(hopping=RULE).time_reversal
    assert float((source.field(-spins) + source.field(spins)).abs().max()) > 1e-3


def test_files_keep_the_hamiltonian(tmp_path: Path) -> None:
    model = build(hopping=ShellHopping((1.0, 0.2)), hops=2, linear_degree=7)
    source = gs.ForceField(model, SQUARE, dtype=torch.float64)
    loaded = gs.load(gs.save(source, tmp_path / "model.safetensors"), SQUARE)
    spins = random_spins(SQUARE.n_sites, seed=1)
    assert loaded.model.hyperparameters == model.hyperparameters
    assert torch.allclose(loaded.to(dtype=torch.float64).field(spins), source.field(spins), atol=1e-5)


def test_an_unknown_hamiltonian_is_learned() -> None:
    system = gs.systems.amorphous(40, 3.6, 0.5, seed=1)
    spec = GraphSpec.for_system(system, 1.6)
    model = gs.models.build("moment_network", spec, hops=1, hidden=8).double()
    data = model.prepare(system).to("cpu", torch.float64)
    spins = random_spins(40, replicas=(2,), seed=1)
    model.calibrate(data, spins)
    _, field = model.energies_and_fields(data, spins, create_graph=True)
    field.square().sum().backward()
    for parameter in (model.hamiltonian.amplitudes, model.hamiltonian.coupling):
        assert parameter.grad is not None
        assert float(parameter.grad.abs().max()) > 0


def test_hamiltonians_without_spin_symmetry_are_refused() -> None:
    spec = GraphSpec.for_system(SQUARE, 1.5)
    with pytest.raises(InvalidInput, match="spin-orbit"):
        gs.models.build("moment_network", spec, hopping=RULE + RashbaHopping(0.2), J=1.0)


def test_a_model_takes_any_rule_and_claims_the_symmetries_that_it_declares(tmp_path: Path) -> None:
    spec, spins = GraphSpec.for_system(SQUARE, 1.5), random_spins(SQUARE.n_sites, seed=2)
    along_x = CellHopping([[1, 0, 0], [-1, 0, 0]], -np.ones((2, 1, 1)), [0])
    model = gs.models.build("moment_network", spec, hopping=along_x, J=1.0, linear_degree=4)
    assert model.symmetries == {"spin_rotation", "translation", "time_reversal"}
    model.base_coefficients.fill_(1.0)
    force_field = gs.ForceField(model, SQUARE)
    gs.save(force_field, tmp_path / "model.safetensors")
    again = gs.load(tmp_path / "model.safetensors", system=SQUARE)
    assert again.model.hyperparameters == model.hyperparameters
    assert torch.equal(again.field(spins), force_field.field(spins))
    disorder = gs.models.build("moment_network", spec, hopping=RULE + OnsiteDisorder(1.0, seed=0), J=1.0)
    assert disorder.symmetries == {"spin_rotation", "time_reversal"}
    assert disorder.hamiltonian.hop_length == 1.0


@pytest.mark.slow
def test_linear_part_on_published_fields() -> None:
    """Torque error per component of the linear part alone; the published network reaches 0.0231."""
    published("kondo_square_random/train.npz")
    labels = gs.datasets.published.load("kondo_square_random")
    rest, _ = gs.datasets.holdout(labels, 0.15, seed=0)
    for degree, error in ((5, 0.0286), (9, 0.0232), (13, 0.0217), (17, 0.0179)):
        model = gs.models.build(
            "moment_network", GraphSpec.for_system(labels.systems[0], 1.0), hopping=RULE, J=3.5, linear_degree=degree
        )
        assert model.fit_linear_part(rest.subset(range(20)), field_weight=0.0) == pytest.approx(error, rel=0.06)


def test_bond_moments_matter_and_need_real_hopping() -> None:
    """Without them the same weights give another energy; hopping with phases has no invariant blocks."""
    options = {"hops": 2, "layers": 1, "channels": 3, "bond_moments": True}
    model = build("moment_cluster_expansion", **options)
    spins = random_spins(SQUARE.n_sites, replicas=(1,), seed=4)
    data = model.prepare(SQUARE).to("cpu", torch.float64)
    energy = model.site_energies(data, spins)
    with torch.no_grad():
        model.bond_scale.zero_()  # type: ignore[operator]
    assert float((model.site_energies(data, spins) - energy).abs().max()) > 1e-6
    rule = PeierlsHopping(NearestNeighborHopping(), 1 / 6)
    with pytest.raises(InvalidInput, match="bond moments need real hopping"):
        build("moment_cluster_expansion", hopping=rule, **options)


def test_flux_through_a_torus_has_no_translations_to_claim() -> None:
    """Walks around a torus enclose a flux that depends on where they run: 0.013 of the field with six hops."""
    system = gs.systems.square(6, 6)
    rule = PeierlsHopping(NearestNeighborHopping(), 1 / 36)
    model = gs.models.build(
        "moment_network", GraphSpec.for_system(system, 1.5), hopping=rule.specification(), J=2.0, hops=6
    )
    source = gs.ForceField(model, system).to(dtype=torch.float64)
    spins, image = random_spins(36, seed=1), translations(system)[0]
    change = (source.field(spins[image]) - source.field(spins)[image]).norm() / source.field(spins).norm()
    assert change > 1e-3
    assert model.symmetries == {"spin_rotation"}
    with pytest.raises(InvalidInput, match="cannot run in tiles"):
        source.tile(16)
