"""Training of families: parameters from the labels, members that count alike, and the whole path of a user."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

import gnnspin as gs
from gnnspin.cli import app
from gnnspin.core import InvalidInput
from gnnspin.datasets import JoinedLabels, from_arrays
from gnnspin.models import Family
from gnnspin.training import TrainingConfig, evaluate, fit
from gnnspin.training.batches import SnapshotTable
from gnnspin.training.job import ModelConfig
from gnnspin.training.module import FieldFitting

SYSTEM = gs.systems.square(4, 4)
SMALL = {"layers": 1, "channels": 2, "scalars": 0, "hidden": 6}
RANGES = {"J": (0.1, 2.0)}


def exchange(values: tuple[float, ...], count: int = 4, system: gs.systems.SpinSystem = SYSTEM) -> JoinedLabels:
    """Labels of Heisenberg models of several strengths, which their records call J."""
    members = []
    for k, strength in enumerate(values):
        source = gs.classical.Heisenberg(system, J=strength)
        spins = gs.core.random_spins(system.n_sites, replicas=(count,), seed=k)
        record = {"hamiltonian": {"J": strength}}
        members.append(from_arrays(system, spins, source.field(spins), source.energy(spins), provenance=record))
    return JoinedLabels(members)


def model(labels: gs.datasets.LabelSet, ranges: dict[str, tuple[float, float]] = RANGES) -> Family:
    made = ModelConfig(cutoff=1.1, hyperparameters=SMALL, conditions=ranges).build(labels.systems[0], labels)
    assert isinstance(made, Family)
    return made


def test_a_family_learns_how_the_field_depends_on_a_parameter(tmp_path: Path) -> None:
    """Exchange J at strengths that were never trained on, to a few per cent; a single model cannot."""
    labels, between = exchange((0.1, 0.4, 0.8, 1.2, 1.6, 2.0), 6), exchange((0.45, 1.25, 1.75), 3)
    config = TrainingConfig(max_epochs=8, batch_size=3, learning_rate=1e-2)
    result = fit(model(labels), labels, labels, config, directory=tmp_path / "family", progress=False)
    errors = evaluate(result.force_field, between)
    assert errors.torque_rmse < 0.08 * errors.torque_rms
    member = result.force_field.at(J=1.25)
    exact = gs.classical.Heisenberg(SYSTEM, J=1.25)
    spins = gs.core.random_spins(16, seed=50)
    assert float((member.torque(spins) - exact.torque(spins)).norm() / exact.torque(spins).norm()) < 0.08
    single = ModelConfig(cutoff=1.1, hyperparameters=SMALL).build(SYSTEM, labels)
    config = config.model_copy(update={"max_epochs": 2})
    alone = fit(single, labels, labels, config, directory=tmp_path / "single", progress=False)
    assert evaluate(alone.force_field, between).torque_rmse > 0.2 * errors.torque_rms


def test_relative_errors_of_all_members_count_alike() -> None:
    """Errors of a member ten times as strong weigh as those of the weak one, alone and joined in one batch."""
    labels = exchange((0.2, 2.0), 2)
    made = model(labels)
    for size in (2, 4):
        table = SnapshotTable(labels, made, size, torch.float32)
        made.fit_units(*table.units())
        fitting = FieldFitting(made, TrainingConfig(), table.statistics, 10)
        torch.nn.init.zeros_(made.base.layers[0].linear_energy)  # type: ignore[arg-type, union-attr]
        for parameter in made.base.parameters():
            torch.nn.init.zeros_(parameter)
        losses = [float(fitting.loss(fitting.errors(table.batch(m), create_graph=False), 0)) for m in table.plan(None)]
        assert losses == pytest.approx([1.0] * len(losses), rel=0.05)  # no field: the error is the torque itself


def test_systems_of_a_batch_have_the_parameters_of_their_labels() -> None:
    """Single snapshots of different systems and strengths are joined, each with its own weights."""
    systems = [gs.systems.amorphous(12, 2.5, 0.5, seed=s) for s in (1, 2)]
    labels = JoinedLabels([exchange((strength,), 1, s) for s, strength in zip(systems, (0.5, 1.5), strict=True)])
    made = model(labels)
    torch.nn.init.normal_(made.modulation.head)
    table = SnapshotTable(labels, made, 2, torch.float64)
    made.double()
    made.fit_units(*table.units())
    (members,) = table.plan(None)
    batch = table.batch(members)
    fields = made.fields(batch.data, batch.spins)[0].split(12)
    for (group, _), field in zip(members, fields, strict=True):
        (strength,) = table.parameters_of([(group, 0)])[0].tolist()
        member = gs.ForceField(made, systems[group], dtype=torch.float64).at(J=strength)
        expected = member.field(labels[group].spins)
        torch.testing.assert_close(field, expected, rtol=1e-10, atol=1e-10 * float(expected.abs().max()))


def test_what_does_not_fit_is_refused_before_the_training(tmp_path: Path) -> None:
    labels = exchange((0.3, 1.0))
    with pytest.raises(InvalidInput, match=r"labels with J=1 are outside of the family, J from 0.1 to 0.5; widen"):
        fit(model(labels, {"J": (0.1, 0.5)}), labels, labels, directory=tmp_path / "a", progress=False)
    with pytest.raises(InvalidInput, match="no parameter 'kT'"):
        model(labels, {"kT": (0.0, 1.0)})
    with pytest.raises(InvalidInput, match=r"all 4 labels have J=0\.3"):
        model(exchange((0.3,)))
    assert not (tmp_path / "a").exists()


def test_energies_are_those_of_the_labels_on_average(tmp_path: Path) -> None:
    """Of every member, though each has a mean energy of its own."""
    members = []
    for strength in (0.2, 0.6, 1.0, 1.4, 1.8):
        source = gs.classical.Heisenberg(SYSTEM, J=strength)
        spins = gs.core.random_spins(16, replicas=(4,), seed=3)
        energies = source.energy(spins) + 16 * (5 - 3 * strength)
        record = {"hamiltonian": {"J": strength}}
        members.append(from_arrays(SYSTEM, spins, source.field(spins), energies, provenance=record))
    labels = JoinedLabels(members)
    result = fit(model(labels), labels, labels, TrainingConfig(max_epochs=3), directory=tmp_path / "t", progress=False)
    for label in labels:
        member = result.force_field.at(J=label.provenance["hamiltonian"]["J"])
        assert abs(float(member.energy(label.spins)) - label.energy) / 16 < 0.3


def test_commands_from_hamiltonian_to_run(tmp_path: Path) -> None:
    """Generate over a range, train, evaluate and simulate, with the files that a user writes."""

    def command(name: str, config: dict[str, Any], output: str, *options: str) -> None:
        path = tmp_path / f"{output}.yaml"
        path.write_text(yaml.safe_dump(config))
        result = CliRunner().invoke(app, [name, str(path), "-o", str(tmp_path / output), *options])
        assert result.exit_code == 0, result.output

    labels = {
        "systems": [{"kind": "triangular", "shape": [3, 3]}],
        "hamiltonian": {"J": 3.0},
        "solver": {"kT": 0.2, "mu": -2.0},
        "family": {"ranges": {"J": [1.0, 4.0], "mu": [-3.0, -1.0]}, "count": 4},
        "samplers": [{"kind": "random", "count": 2}],
    }
    command("generate", labels, "labels.h5", "--workers", "1")
    training = {
        "data": {"train": str(tmp_path / "labels.h5"), "validation": 0.25},
        "model": {"cutoff": 1.1, "hyperparameters": SMALL, "conditions": labels["family"]["ranges"]},  # type: ignore[index]
        "training": {"max_epochs": 1},
    }
    command("train", training, "training")
    model_file = str(tmp_path / "training" / "model.safetensors")
    evaluated = CliRunner().invoke(app, ["evaluate", model_file, str(tmp_path / "labels.h5")])
    assert evaluated.exit_code == 0, evaluated.output
    assert "by parameters\n" in evaluated.output
    assert "J = 3.2939, mu = -2.58096: torque RMSE" in evaluated.output
    simulation = {
        "system": {"kind": "triangular", "shape": [4, 4]},
        "source": {"kind": "model", "path": model_file, "at": {"J": 2.0, "mu": -2.5}},
        "dt": 0.1,
        "n_steps": 2,
        "damping": 0.1,
    }
    command("simulate", simulation, "run.h5")
    driven = {"kind": "relaxation", "count": 1, "n_steps": 2, "save_every": 1, "dt": 1.0, "force_field": model_file}
    command("generate", labels | {"samplers": [driven], "seed": 1}, "driven.h5", "--workers", "1")
    found = gs.datasets.LabelStore(tmp_path / "driven.h5")
    first = found[0].provenance
    member = gs.load(model_file, found.systems[0], at=first["parameters"])
    assert first["sampler"]["weights"] == member.specification()["weights"]
    described = gs.core.FieldSource.recipe(simulation["source"])
    assert described.build(gs.systems.triangular(4, 4)).model.name == "spin_cluster_expansion"
