"""The trainer learns, stops, resumes, and refuses what makes no sense."""

from __future__ import annotations

import math
import shutil
import signal
from pathlib import Path

import pydantic
import pytest
import torch

import gnnspin as gs
from gnnspin.classical import Heisenberg
from gnnspin.core import InvalidInput, StoreError, random_spins
from gnnspin.datasets import Label, LabelStore
from gnnspin.models import SpinModel
from gnnspin.systems import SpinSystem
from gnnspin.training import EnergyWeight, TrainingConfig, evaluate, fit
from gnnspin.training.batches import SnapshotTable
from gnnspin.training.identity import TrainingRun
from gnnspin.training.job import TrainJob
from gnnspin.training.job import train as train_job
from gnnspin.training.module import FieldFitting

EXCHANGE = [-1.0, 0.4]


def labels(path: Path, systems: list[SpinSystem], count: int, seed: int = 0, energy: bool = True) -> LabelStore:
    """Labels of a classical model: nearest and next-nearest exchange."""
    store = LabelStore.create(path)
    for k in range(count):
        system = systems[k % len(systems)]
        spins = random_spins(system.n_sites, seed=1000 * seed + k)
        source = Heisenberg(system, EXCHANGE)
        value, field = source.energy_and_field(spins)
        store.append(Label(system, spins, field, energy=float(value) if energy else None))
    return store


def model(system: SpinSystem, **hyperparameters: object) -> SpinModel:
    torch.manual_seed(0)
    small = {"layers": 1, "channels": 3, "hidden": 8, "max_degree": 1} | hyperparameters
    return gs.models.build("spin_cluster_expansion", gs.graphs.GraphSpec.for_system(system, 1.5), **small)


@pytest.fixture
def square() -> SpinSystem:
    return gs.systems.square(6, 6)


def test_learns_a_classical_model(tmp_path: Path, square: SpinSystem) -> None:
    """The exact answer lies in the model's linear part: torque and energy must become accurate."""
    train, test = labels(tmp_path / "a.h5", [square], 24), labels(tmp_path / "b.h5", [square], 6, seed=1)
    config = TrainingConfig(max_epochs=14, learning_rate=0.02, energy_weight=0.1, batch_size=2)
    result = fit(model(square), train, test, config, directory=tmp_path / "run", progress=False)
    errors = evaluate(result.force_field, test)
    assert errors.torque_r2 > 0.999
    assert errors.energy_rmse_per_site is not None
    assert errors.energy_rmse_per_site < 0.02
    assert not result.interrupted
    assert result.history["epoch"] == list(range(14))
    assert result.history["train_loss"][-1] < 0.01 * result.history["train_loss"][0]


@pytest.mark.parametrize("loss", ["field", "mixed"])
def test_field_losses_fix_the_parallel_part(tmp_path: Path, square: SpinSystem, loss: str) -> None:
    train = labels(tmp_path / "a.h5", [square], 12)
    config = TrainingConfig(max_epochs=6, learning_rate=0.02, loss=loss, field_weight=1.0)
    result = fit(model(square), train, train, config, directory=tmp_path / "run", progress=False)
    assert evaluate(result.force_field, train).field_r2 > 0.99


def test_trains_on_many_amorphous_systems(tmp_path: Path) -> None:
    """One snapshot per packing: batches are unions, and the held-out packing is predicted."""
    packings = [gs.systems.amorphous(20, 3.0, 0.6, seed=s) for s in range(7)]
    store = LabelStore.create(tmp_path / "a.h5")
    teacher_model = model(packings[0], channels=1, hidden=2)
    for k, system in enumerate(packings):
        spins = random_spins(20, seed=k)
        energy, field = gs.ForceField(teacher_model, system).energy_and_field(spins)
        store.append(Label(system, spins, field, energy=float(energy)))
    student = model(packings[0], channels=1, hidden=2)
    result = fit(student, store[:6], store[6:], TrainingConfig(max_epochs=1), directory=tmp_path / "r", progress=False)
    assert math.isfinite(result.history["validation_loss"][-1])
    assert result.history["validation_energy_mse"][-1] >= 0


def test_union_batch_has_the_loss_of_its_parts(tmp_path: Path) -> None:
    from gnnspin.training.batches import SnapshotTable

    packings = [gs.systems.amorphous(20, 3.0, 0.6, seed=s) for s in range(2)]
    store = LabelStore.create(tmp_path / "a.h5")
    for k, system in enumerate(packings):
        spins = random_spins(20, seed=k)
        store.append(Label(system, spins, torch.randn(20, 3, dtype=torch.float64), energy=float(k)))
    net = model(packings[0]).double()
    table = SnapshotTable(store, net, batch_size=2, dtype=torch.float64)
    module = FieldFitting(net, TrainingConfig(), table.statistics, total_steps=1)
    joint = module.errors(table.batch([(0, 0), (1, 0)]), create_graph=False)
    alone = [module.errors(table.batch([(g, 0)]), create_graph=False) for g in (0, 1)]
    for name in ("torque", "field", "energy"):
        assert joint[name].item() == pytest.approx(sum(a[name].item() for a in alone) / 2, rel=1e-10)


def test_interrupted_and_resumed_equals_uninterrupted(
    tmp_path: Path, square: SpinSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the fourth epoch, then resume: the same weights, bit for bit, and one log."""
    train, test = labels(tmp_path / "a.h5", [square], 8), labels(tmp_path / "b.h5", [square], 2, seed=1)
    config = TrainingConfig(max_epochs=6, batch_size=2, validate_every=1)
    whole = fit(model(square), train, test, config, directory=tmp_path / "whole", progress=False)

    step, handler = FieldFitting.training_step, signal.default_int_handler
    before = signal.signal(signal.SIGINT, handler)  # a background job may start with it ignored

    def interrupting(self: FieldFitting, batch: object, index: int) -> torch.Tensor:
        if self.current_epoch == 3 and index == 1:
            signal.raise_signal(signal.SIGINT)
        return step(self, batch, index)  # type: ignore[arg-type]

    monkeypatch.setattr(FieldFitting, "training_step", interrupting)
    first = fit(model(square), train, test, config, directory=tmp_path / "cut", progress=False)
    monkeypatch.setattr(FieldFitting, "training_step", step)
    assert first.interrupted
    assert first.history["epoch"] == [0, 1, 2]
    assert signal.getsignal(signal.SIGINT) is handler
    signal.signal(signal.SIGINT, before)
    second = fit(model(square), train, test, config, directory=tmp_path / "cut", resume=True, progress=False)
    assert not second.interrupted
    assert {**second.history, "seconds": None} == {**whole.history, "seconds": None}
    assert second.seconds == pytest.approx(sum(second.history["seconds"]))
    assert len(second.history["seconds"]) == 6
    state = whole.force_field.model.state_dict()
    for name, tensor in second.force_field.model.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def test_existing_training_is_not_overwritten(tmp_path: Path, square: SpinSystem) -> None:
    train = labels(tmp_path / "a.h5", [square], 2)
    config = TrainingConfig(max_epochs=1)
    fit(model(square), train, train, config, directory=tmp_path / "run", progress=False)
    with pytest.raises(StoreError, match="resume"):
        fit(model(square), train, train, config, directory=tmp_path / "run", progress=False)


def test_a_training_goes_on_with_its_own_labels_alone(tmp_path: Path, square: SpinSystem) -> None:
    """Labels that grew in between would move what was held out into what is trained on."""
    config = TrainingConfig(max_epochs=1)
    train = labels(tmp_path / "a.h5", [square], 4)
    fit(model(square), train[:2], train[2:], config, directory=tmp_path / "run", progress=False)
    fit(model(square), train[:2], train[2:], config, directory=tmp_path / "run", resume=True, progress=False)
    with pytest.raises(StoreError, match=r"training_labels=.*validation_labels="):
        fit(model(square), train[1:3], train[3:], config, directory=tmp_path / "run", resume=True, progress=False)


def test_the_last_epoch_is_validated_whatever_the_interval(tmp_path: Path, square: SpinSystem) -> None:
    train = labels(tmp_path / "a.h5", [square], 2)
    config = TrainingConfig(max_epochs=5, validate_every=3)
    losses = fit(model(square), train, train, config, directory=tmp_path / "run", progress=False).history
    assert [math.isnan(loss) for loss in losses["validation_loss"]] == [True, True, False, True, False]


def test_validation_weighs_every_snapshot_alike(tmp_path: Path) -> None:
    """Five packings in unions of four and one; no step is taken worth mentioning."""
    store = LabelStore.create(tmp_path / "a.h5")
    for k in range(5):
        system = gs.systems.amorphous(20, 3.0, 0.6, seed=k)
        size = 1.0 + 9.0 * (k == 4)
        store.append(Label(system, random_spins(20, seed=k), size * torch.randn(20, 3, dtype=torch.float64)))
    config = TrainingConfig(max_epochs=1, batch_size=4, validate_every=1, learning_rate=1e-12, final_learning_rate=0)
    result = fit(model(store[0].system), store, store, config, directory=tmp_path / "run", progress=False)
    error = evaluate(result.force_field, store).torque_mse_per_spin
    assert result.history["validation_torque_mse"][-1] == pytest.approx(error, rel=1e-4)


def test_validation_keeps_one_objective(tmp_path: Path, square: SpinSystem) -> None:
    """The weight of energies rises in training; what chooses the weights counts them from the start."""
    train = labels(tmp_path / "a.h5", [square], 4)
    config = TrainingConfig(
        max_epochs=4, validate_every=1, energy_weight=EnergyWeight(final=1.0, start_epoch=3, ramp_epochs=1)
    )
    log = fit(model(square), train, train, config, directory=tmp_path / "run", progress=False).history
    unit = SnapshotTable(train, model(square), 4, torch.float32).statistics.torque
    for loss, torques, energies in zip(
        *(log[f"validation_{name}"] for name in ("loss", "torque_mse", "energy_mse")), strict=True
    ):
        assert loss == pytest.approx((torques + energies) / unit, rel=1e-4)


def test_labels_without_torque_are_refused(tmp_path: Path, square: SpinSystem) -> None:
    store = LabelStore.create(tmp_path / "a.h5")
    up = torch.zeros(36, 3, dtype=torch.float64)
    up[:, 2] = 1
    store.append(Label(square, up, 2 * up))
    with pytest.raises(InvalidInput, match="no torque"):
        fit(model(square), store, store, TrainingConfig(loss="field"), directory=tmp_path / "run", progress=False)


def test_a_training_of_version_0_1_had_its_own_defaults() -> None:
    """It wrote down what differed from them."""
    written = {
        "model": ["spin_cluster_expansion", {"cutoff": 1.5}, {"layers": 1}],
        "training labels": "a",
        "validation labels": "b",
        "configuration": {"learning_rate": 0.02, "batch_size": 1},
    }
    read = TrainingRun.model_validate(written).configuration
    assert (read.max_epochs, read.batch_size, read.optimizer, read.ema) == (200, 1, "adamw", None)
    assert (read.learning_rate, read.validate_every) == (0.02, 5)


def test_only_models_that_compile_are_compiled(tmp_path: Path, square: SpinSystem) -> None:
    train = labels(tmp_path / "a.h5", [square], 2)
    for name, values in (("equivariant_tensor_network", {}), ("nonconservative", {"head": "vectors"})):
        other = gs.models.for_system(name, square, 1.5, **values)
        with pytest.raises(InvalidInput, match="set compiled to false"):
            fit(other, train, train, TrainingConfig(compiled=True), directory=tmp_path / "run", progress=False)
    with pytest.raises(InvalidInput, match=r"torch\.compile"):
        gs.ForceField(gs.models.for_system("moment_network", square, 1.5, J=1.0), square).compile()


def test_early_stopping_and_time_limit(tmp_path: Path, square: SpinSystem) -> None:
    train = labels(tmp_path / "a.h5", [square], 2)
    stuck = TrainingConfig(max_epochs=50, learning_rate=1e-12, final_learning_rate=0, patience=2, validate_every=1)
    result = fit(model(square), train, train, stuck, directory=tmp_path / "a", progress=False)
    assert len(result.history["epoch"]) < 50
    short = TrainingConfig(max_epochs=10_000, max_minutes=1e-6)
    result = fit(model(square), train, train, short, directory=tmp_path / "b", progress=False)
    assert result.history["epoch"] == [0]


def test_energy_weight_schedule() -> None:
    schedule = TrainingConfig(energy_weight=EnergyWeight(final=0.01, start_epoch=10, ramp_epochs=4))
    weights = [schedule.energy_weight_at(epoch) for epoch in (0, 9, 10, 11, 13, 100)]
    assert weights == pytest.approx([0, 0, 0.0025, 0.005, 0.01, 0.01])


def test_energy_loss_needs_energies(tmp_path: Path, square: SpinSystem) -> None:
    train = labels(tmp_path / "a.h5", [square], 2, energy=False)
    with pytest.raises(InvalidInput, match="energy_weight"):
        fit(model(square), train, train, TrainingConfig(energy_weight=0.1), directory=tmp_path / "r", progress=False)


def test_empty_sets_are_refused(tmp_path: Path, square: SpinSystem) -> None:
    store = labels(tmp_path / "a.h5", [square], 2)
    with pytest.raises(InvalidInput, match="empty"):
        fit(model(square), store[:0], store, directory=tmp_path / "r", progress=False)
    with pytest.raises(InvalidInput, match="empty"):
        evaluate(Heisenberg(square), store[:0])


def test_configuration_errors_name_the_key() -> None:
    with pytest.raises(pydantic.ValidationError, match=r"final_learning_rate=0\.1 exceeds"):
        TrainingConfig(final_learning_rate=0.1, learning_rate=0.01)
    with pytest.raises(pydantic.ValidationError, match="epochs"):
        TrainingConfig(epochs=3)  # type: ignore[call-arg]


def test_evaluation_of_the_teacher_is_exact(tmp_path: Path, square: SpinSystem) -> None:
    """Any field source can be evaluated; the source of the labels has no error, one of twice the strength all of it."""
    store = labels(tmp_path / "a.h5", [square], 3)
    exact = evaluate(Heisenberg(square, EXCHANGE), store)
    assert exact.torque_rmse < 1e-12
    assert exact.torque_r2 == pytest.approx(1)
    double = evaluate(Heisenberg(square, [2 * J for J in EXCHANGE]), store)
    assert double.torque_rmse == pytest.approx(double.torque_rms)
    assert double.torque_mse_per_spin == pytest.approx(3 * double.torque_rmse**2)
    assert double.torque_r2 == pytest.approx(0, abs=0.01)
    with pytest.raises(InvalidInput, match="lives on"):
        evaluate(Heisenberg(gs.systems.square(4, 4)), store)


@pytest.mark.parametrize("name", ["spin_cluster_expansion", "vector_message_passing", "oriented_cluster_expansion"])
def test_compiled_training_takes_the_same_steps(
    name: str, tmp_path: Path, square: SpinSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The function that is compiled, run as it is: it takes the gradient by another route than the plain one."""
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    train = labels(tmp_path / "a.h5", [square], 4)
    weights = []
    for compiled in (False, True):
        torch.manual_seed(0)
        values = gs.models.architecture(name).for_system(square, {"hidden": 8, "channels": 3})
        trained = gs.models.build(name, gs.graphs.GraphSpec.for_system(square, 1.5), **values)
        config = TrainingConfig(max_epochs=3, batch_size=2, optimizer="adamw", energy_weight=0.1, compiled=compiled)
        fit(trained, train, train, config, directory=tmp_path / str(compiled), progress=False)
        weights.append(torch.cat([p.detach().flatten() for p in trained.parameters()]))
    torch.testing.assert_close(*weights, atol=1e-4, rtol=0)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
def test_compiled_gradients_of_the_loss_are_the_plain_ones(tmp_path: Path, square: SpinSystem) -> None:
    train = labels(tmp_path / "a.h5", [square], 2)
    gradients = []
    for compiled in (False, True):
        trained = model(square)
        config = TrainingConfig(max_epochs=1, batch_size=2, energy_weight=0.1, compiled=compiled)
        table = SnapshotTable(train, trained, 2, torch.float32)
        trained.calibrate(*((batch := table.batch([(0, 0), (0, 1)])).data, batch.spins))
        module = FieldFitting(trained, config, table.statistics, total_steps=1)
        loss = module.loss(module.errors(batch, create_graph=True), epoch=0)
        gradients.append(torch.autograd.grad(loss, list(trained.parameters()), allow_unused=True))
    for plain, fast in zip(*gradients, strict=True):
        if plain is not None:
            torch.testing.assert_close(fast, plain, atol=1e-5 * float(plain.abs().max()) + 1e-7, rtol=1e-4)


def test_training_further_starts_from_the_model_as_it_is(tmp_path: Path, square: SpinSystem) -> None:
    """With hardly a step the fields stay, on labels of another size of torques: no statistics are measured anew."""
    train, other = labels(tmp_path / "a.h5", [square], 4), LabelStore.create(tmp_path / "b.h5")
    for label in train:
        other.append(Label(square, label.spins, 7 * label.field))
    path = gs.save(
        fit(
            model(square), train, train, TrainingConfig(max_epochs=2), directory=tmp_path / "1", progress=False
        ).force_field,
        tmp_path / "model.safetensors",
    )
    before = gs.load(path, square)
    spins = random_spins(36, seed=5)
    for count, (rate, same) in enumerate(((1e-9, True), (1e-2, False))):
        job = TrainJob.model_validate(
            {
                "data": {"train": str(tmp_path / "b.h5"), "validation": str(tmp_path / "b.h5")},
                "start_from": str(path),
                "training": {"max_epochs": 1, "learning_rate": rate, "final_learning_rate": 0},
            }
        )
        after = train_job(job, tmp_path / f"further{count}", progress=False).fit.force_field
        assert torch.allclose(after.field(spins), before.field(spins), atol=1e-5) is same


def test_a_job_has_a_new_model_or_one_to_train_further() -> None:
    data = {"train": "published:kondo_square_random"}
    for extra in ({}, {"model": {"cutoff": 1.0}, "start_from": "pretrained:tetrahedral"}):
        with pytest.raises(pydantic.ValidationError, match="either model"):
            TrainJob.model_validate({"data": data, **extra})
