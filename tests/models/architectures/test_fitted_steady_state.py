"""Fitted steady states: what labels have to record, families of voltages, unions, files and refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gnnspin as gs
from gnnspin.core import ExtrapolationWarning, InvalidInput, random_spins
from gnnspin.datasets import Label, LabelStore
from gnnspin.electrons import DrivenSteadyState, ExactDiagonalization, SDHamiltonian
from gnnspin.training import TrainingConfig, evaluate, fit
from gnnspin.training.job import ModelConfig

RIBBON = gs.systems.square(8, 3, pbc=(False, True))
LEADS: dict[str, Any] = {"contacts": ("left", "right", "all"), "gamma": (2.0, 2.0, 0.1), "kT": 0.05, "mu": -2.0}
FAMILY = {"voltage.0": (0.1, 0.3)}


def driven(shift: float, system: gs.SpinSystem = RIBBON, **options: Any) -> DrivenSteadyState:
    contacts = ("left", "right") if "leads" in options else LEADS["contacts"]
    values = {**LEADS, "contacts": contacts, "voltage": (shift, -shift, 0.0)[: len(contacts)], **options}
    return DrivenSteadyState(SDHamiltonian(system, J=2.0), **values)


def record(source: Any) -> dict[str, Any]:
    solver = source.specification()
    solver.pop("hamiltonian")
    return {"hamiltonian": source.hamiltonian.specification(), "solver": solver}


def labels(path: Path, sources: list[Any], count: int = 8, seed: int = 0) -> LabelStore:
    store = LabelStore.create(path)
    for k in range(count):
        for source in sources:
            spins = random_spins(source.system.n_sites, seed=100 * seed + k)
            store.append(Label(source.system, spins, source.field(spins), provenance=record(source)))
    return store


def fitted(
    tmp_path: Path, sources: list[Any], conditions: dict[str, Any] | None = None, **values: Any
) -> gs.ForceField:
    train = labels(tmp_path / "train.h5", sources)
    config = ModelConfig(name="fitted_steady_state", cutoff=1.0, conditions=conditions, hyperparameters=values)
    model = config.build(RIBBON, train)
    return fit(model, train, train, TrainingConfig(), directory=tmp_path / "fit", progress=False).force_field


def test_learned_from_few_labels_it_is_good_on_others(tmp_path: Path) -> None:
    """Torques of other states, and of a longer ribbon, within some per cent; after storing, too."""
    field = fitted(tmp_path, [driven(0.3)])
    found = evaluate(field, labels(tmp_path / "test.h5", [driven(0.3)], seed=1))
    assert found.torque_rmse < 0.03 * found.torque_rms
    longer = gs.systems.square(12, 3, pbc=(False, True))
    gs.save(field, tmp_path / "model.safetensors")
    moved, exact = gs.load(tmp_path / "model.safetensors", longer), driven(0.3, longer)
    spins = random_spins(36, replicas=(2,), seed=3)
    wrong = moved.torque(spins) - exact.torque(spins)
    assert float(wrong.square().mean() / exact.torque(spins).square().mean()) < 0.03**2
    assert not moved.has_energy
    with pytest.raises(gs.core.NoEnergyError, match="not a gradient"):
        moved.energy(spins)


@pytest.mark.parametrize(
    "leads",
    [
        {},
        {"contacts": ("left", "right", "all"), "gamma": (2.0, 2.0, 0.02), "kT": 0.01},
        {"leads": gs.electrons.SemiInfiniteLead(), "gamma": 1.0},
    ],
)
def test_between_its_voltages_a_family_gives_the_mean_of_their_fields(tmp_path: Path, leads: dict[str, Any]) -> None:
    """Without voltage, too, and with levels of any width: fits are not unique, and their numbers must not mix."""
    sources = [driven(shift, **leads) for shift in (0.0, 0.1, 0.2)]
    family = fitted(tmp_path, sources, {"voltage.0": (0.0, 0.2)})
    spins = random_spins(24, replicas=(2,), seed=8)
    ends = [family.at(**{"voltage.0": shift}).field(spins) for shift in (0.0, 0.1, 0.2)]
    for shift, first, second, share in ((0.05, 0, 1, 0.5), (0.125, 1, 2, 0.25)):
        between = family.at(**{"voltage.0": shift}).field(spins)
        assert torch.allclose(between, (1 - share) * ends[first] + share * ends[second], atol=1e-6)
        exact = driven(shift, **leads)
        wrong = torch.linalg.cross(spins, between) - exact.torque(spins)
        assert float(wrong.square().mean() / exact.torque(spins).square().mean()) < 0.2**2


def test_members_of_a_family_of_voltages(tmp_path: Path) -> None:
    """Good at the voltages of the labels and between them; outside a warning, and the nearest of them."""
    family = fitted(tmp_path, [driven(0.1), driven(0.2), driven(0.3)], FAMILY)
    for shift, bound in ((0.1, 0.03), (0.2, 0.03), (0.3, 0.03), (0.15, 0.04), (0.25, 0.04)):
        exact = driven(shift)
        spins = random_spins(24, replicas=(4,), seed=7)
        wrong = family.at(**{"voltage.0": shift}).torque(spins) - exact.torque(spins)
        assert float(wrong.square().mean() / exact.torque(spins).square().mean()) < bound**2, shift
    with pytest.warns(ExtrapolationWarning, match=r"voltage.0=0.5"):
        far = family.at(**{"voltage.0": 0.5})
    assert torch.equal(far.field(spins), family.at(**{"voltage.0": 0.3}).field(spins))
    gs.save(family, tmp_path / "family.safetensors")
    member = gs.load(tmp_path / "family.safetensors", RIBBON, at={"voltage.0": 0.1})
    gs.save(member, tmp_path / "member.safetensors")
    again = gs.load(tmp_path / "member.safetensors", RIBBON)
    assert torch.equal(again.field(spins), family.at(**{"voltage.0": 0.1}).field(spins))


def test_parts_of_a_union_are_solved_by_themselves() -> None:
    other = gs.systems.square(6, 4, pbc=(False, True))
    values = {"hamiltonian": {"J": 2.0}, "solver": record(driven(0.3))["solver"]}
    model = gs.models.for_system("fitted_steady_state", RIBBON, cutoff=1.0, **values)
    spins = random_spins(48, replicas=(2,), seed=5)
    whole = gs.ForceField(model, gs.systems.union([RIBBON, other])).field(spins)
    single = [gs.ForceField(model, RIBBON).field(spins[:, :24]), gs.ForceField(model, other).field(spins[:, 24:])]
    assert torch.allclose(whole, torch.cat(single, 1), atol=1e-6)


def test_labels_that_do_not_say_enough_are_refused(tmp_path: Path) -> None:
    config = ModelConfig(name="fitted_steady_state", cutoff=1.0)
    equilibrium = ExactDiagonalization(SDHamiltonian(RIBBON, J=2.0), 0.1, mu=-1.0)
    with pytest.raises(InvalidInput, match="between leads"):
        config.build(RIBBON, labels(tmp_path / "a.h5", [equilibrium], 1))
    with pytest.raises(InvalidInput, match="conditions"):
        config.build(RIBBON, labels(tmp_path / "b.h5", [driven(0.1), driven(0.2)], 1))
    with pytest.raises(InvalidInput, match="2 different"):
        config.build(RIBBON, labels(tmp_path / "c.h5", [driven(0.1), driven(0.1, mu=-1.0)], 1))
    with pytest.raises(InvalidInput, match="needs hamiltonian, solver"):
        config.build(RIBBON)
    wrong = ModelConfig(name="fitted_steady_state", cutoff=1.0, conditions={"mu": (-2.0, -1.0)})
    several = labels(tmp_path / "d.h5", [driven(0.1), driven(0.1, mu=-1.0)], 1)
    with pytest.raises(InvalidInput, match="2 different"):
        wrong.build(RIBBON, several)
    values = {
        "hamiltonian": {"J": 2.0},
        "solver": record(driven(0.3))["solver"],
        "voltages": [(0.1, 0, 0), (0.2, 0, 0)],
    }
    with pytest.raises(InvalidInput, match="no voltage"):
        ModelConfig(
            name="fitted_steady_state", cutoff=1.0, conditions={"mu": (-2.0, -1.0)}, hyperparameters=values
        ).build(RIBBON)


def test_conditions_beyond_the_labels_are_refused(tmp_path: Path) -> None:
    """All members there would be the same."""
    train = labels(tmp_path / "train.h5", [driven(0.1), driven(0.3)], 1)
    wide = ModelConfig(name="fitted_steady_state", cutoff=1.0, conditions={"voltage.0": (0.0, 0.3)})
    with pytest.raises(InvalidInput, match=r"from 0 to 0.3, the labels from 0.1 to 0.3"):
        wide.build(RIBBON, train)


def test_a_training_goes_on_with_labels_of_the_same_leads_alone(tmp_path: Path) -> None:
    """Other leads, another Hamiltonian, or a voltage without labels, are refused by name."""
    model = fitted(tmp_path, [driven(0.3)]).model
    for name, source, text in (
        ("leads", driven(0.3, gamma=(1.0, 1.0, 0.1)), "leads"),
        ("mu", driven(0.3, mu=-1.0), "leads"),
        ("voltage", driven(0.2), r"no labels at voltage \(0.3.*have \(0.2"),
        ("J", DrivenSteadyState(SDHamiltonian(RIBBON, J=1.0), **LEADS, voltage=(0.3, -0.3, 0.0)), "the model is of"),
    ):
        other = labels(tmp_path / f"{name}.h5", [source], 2)
        with pytest.raises(InvalidInput, match=text):
            fit(model, other, other, directory=tmp_path / name, trained=True, progress=False)


def test_nothing_is_left_to_train() -> None:
    values = {"hamiltonian": {"J": 2.0}, "solver": record(driven(0.3))["solver"]}
    model = gs.models.for_system("fitted_steady_state", RIBBON, cutoff=1.0, **values)
    with pytest.raises(InvalidInput, match="solved for"):
        model.fields(model.prepare(RIBBON), random_spins(24, replicas=(1,), seed=0), create_graph=True)
    with pytest.raises(InvalidInput, match="voltages"):
        gs.models.for_system("fitted_steady_state", RIBBON, cutoff=1.0, **values, voltages=[(0.1, 0, 0), (0.2, 0, 0)])


def test_no_label_is_left_out_before_the_fit(tmp_path: Path) -> None:
    """Of two voltages in turn, more labels than other models start from: both are fitted to."""
    sources = [driven(0.1), driven(0.3)]
    train = labels(tmp_path / "many.h5", sources, count=25)
    model = ModelConfig(name="fitted_steady_state", cutoff=1.0, conditions={"voltage.0": (0.1, 0.3)})
    values = TrainingConfig()
    family = fit(
        model.build(RIBBON, train), train, train, values, directory=tmp_path / "fit", progress=False
    ).force_field
    assert evaluate(family, train).torque_r2 > 0.99


def test_one_state_written_in_two_ways_is_one(tmp_path: Path) -> None:
    """A number and the shifts of two leads; another state with the same first shift is not."""
    leads = {"contacts": ("left", "right"), "gamma": 2.0}
    same = [driven(0.1, **leads, voltage=0.2), driven(0.1, **leads, voltage=(0.1, -0.1))]
    model = ModelConfig(name="fitted_steady_state", cutoff=1.0).build(RIBBON, labels(tmp_path / "a.h5", same, 2))
    assert len(model.voltages) == 1  # type: ignore[attr-defined]
    other = labels(tmp_path / "b.h5", [driven(0.1, **leads, voltage=(0.2, 0.2))], 2)
    with pytest.raises(InvalidInput, match="no labels at voltage"):
        fit(model, other, other, directory=tmp_path / "fit", progress=False)


def test_labels_at_zero_temperature_are_fitted_to(tmp_path: Path) -> None:
    field = fitted(tmp_path, [driven(0.3, kT=0.0, method="dense")])
    found = evaluate(field, labels(tmp_path / "test.h5", [driven(0.3, kT=0.0, method="dense")], seed=1))
    assert found.torque_rmse < 0.1 * found.torque_rms


def test_leads_with_a_spin_of_their_own_break_its_rotation() -> None:
    hopping, split = np.eye(6), np.kron(np.eye(3), np.diag([0.5, -0.5]))
    for cell, kept in ((np.eye(6), {"spin_rotation"}), (split, set())):
        lead = gs.electrons.PeriodicLead(cell, hopping)
        solver = record(driven(0.3, leads=lead, gamma=1.0))["solver"]
        model = gs.models.for_system("fitted_steady_state", RIBBON, cutoff=1.0, hamiltonian={"J": 2.0}, solver=solver)
        assert model.symmetries == kept


def test_labels_that_record_nothing_are_those_of_the_leads_that_are_given(tmp_path: Path) -> None:
    source, train = driven(0.3), LabelStore.create(tmp_path / "bare.h5")
    for k in range(6):
        spins = random_spins(24, seed=k)
        train.append(Label(RIBBON, spins, source.field(spins)))
    values = {"hamiltonian": {"J": 2.0}, "solver": record(source)["solver"], "poles": 3, "energies": 3}
    model = ModelConfig(name="fitted_steady_state", cutoff=1.0, hyperparameters=values).build(RIBBON, train)
    field = fit(model, train, train, TrainingConfig(), directory=tmp_path / "fit", progress=False).force_field
    assert evaluate(field, train).torque_r2 > 0.99
    with pytest.raises(InvalidInput, match="give hamiltonian and solver"):
        ModelConfig(name="fitted_steady_state", cutoff=1.0).build(RIBBON, train)


def test_new_weights_are_those_of_the_next_field() -> None:
    """What was read of the weights before does not outlive them."""
    values = {"hamiltonian": {"J": 2.0}, "solver": record(driven(0.3))["solver"]}
    model = gs.models.for_system("fitted_steady_state", RIBBON, cutoff=1.0, **values)
    data, spins = model.prepare(RIBBON), random_spins(24, replicas=(1,), seed=0)
    before = model.fields(data, spins)
    with torch.no_grad():
        model.weights.mul_(2.0)  # type: ignore[operator]
        model.rates.zero_()  # type: ignore[operator]
    after = model.fields(data, spins)
    state = {name: value / 2 if name == "weights" else value for name, value in model.state_dict().items()}
    model.load_state_dict(state)
    again = model.fields(data, spins)
    assert torch.allclose(after, 2 * again, rtol=1e-4, atol=1e-6)
    assert float((before - again).abs().max()) > 1e-4
