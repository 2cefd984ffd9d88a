"""Recipes of the papers, averaged weights, TensorBoard, and cross-validation."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pydantic
import pytest
import torch

import gnnspin as gs
from gnnspin.classical import Heisenberg
from gnnspin.core import InvalidInput, StoreError, random_spins
from gnnspin.core.errors import ConvergenceError
from gnnspin.datasets import Label, LabelStore
from gnnspin.models import SpinModel
from gnnspin.training import RECIPES, EnergyWeight, TrainingConfig, cross_validate, evaluate, fit
from gnnspin.training.averaging import MovingAverage
from gnnspin.training.batches import SnapshotTable
from gnnspin.training.job import ModelConfig
from gnnspin.training.module import FieldFitting

SQUARE = gs.systems.square(4, 4)
MODEL = ModelConfig(
    name="behler_parrinello",
    cutoff=1.5,
    hyperparameters={
        "descriptor": {"kind": "magnetic_acsf", "radial": [(1.0, 0.2)], "chirality": "none"},
        "hidden": (6,),
    },
)


def labels(path: Path, count: int, first_seed: int = 0) -> LabelStore:
    """Independent labels of nearest-neighbour exchange."""
    store = LabelStore.create(path)
    source = Heisenberg(SQUARE, [-1.0])
    for seed in range(first_seed, first_seed + count):
        spins = random_spins(SQUARE.n_sites, seed=seed)
        energy, field = source.energy_and_field(spins)
        store.append(Label(SQUARE, spins, field, energy=float(energy)))
    return store


def weights(model: SpinModel) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.named_parameters()}


def test_recipe_sets_values_and_what_is_given_stands() -> None:
    glass = TrainingConfig(recipe="glass", max_epochs=7)
    assert (glass.learning_rate, glass.schedule, glass.patience, glass.energy_weight) == (1e-3, "constant", 20, 0.01)
    assert glass.max_epochs == 7
    assert TrainingConfig(**glass.model_dump()) == glass
    later = TrainingConfig(recipe="review_torque_energy")
    assert isinstance(later.energy_weight, EnergyWeight)
    assert later.energy_weight_at(0) == 0
    assert later.energy_weight_at(later.max_epochs - 1) == 0.01
    assert TrainingConfig(recipe="review_torque").weights == (1.0, 0.0)
    with pytest.raises(pydantic.ValidationError, match="known: review_torque"):
        TrainingConfig(recipe="revue")  # type: ignore[arg-type]
    with pytest.raises(pydantic.ValidationError, match="start_epoch below max_epochs"):
        TrainingConfig(recipe="review_torque_energy", max_epochs=50)


@pytest.mark.parametrize("name", list(RECIPES))
def test_recipes_are_valid(name: str) -> None:
    recipe = RECIPES[name]  # type: ignore[index]
    explicit = TrainingConfig(**recipe.training).model_dump(exclude={"recipe"})
    assert TrainingConfig(recipe=name).model_dump(exclude={"recipe"}) == explicit  # type: ignore[arg-type]
    assert ModelConfig(**recipe.model).name == "behler_parrinello"


def test_loss_is_that_of_the_papers(tmp_path: Path) -> None:
    """Times N and the mean square torque it is sum_i |T - T'|^2 + eta_E |E - E'|^2 (review; glass eq. 19)."""
    store = labels(tmp_path / "a.h5", 1)
    model = MODEL.build(SQUARE).double()
    table = SnapshotTable(store, model, 1, torch.float64)
    module = FieldFitting(model, TrainingConfig(recipe="glass"), table.statistics, total_steps=1)
    loss = module.loss(module.errors(table.batch([(0, 0)]), create_graph=False), epoch=0)
    energy, field = gs.ForceField(model, SQUARE, dtype=torch.float64).energy_and_field(store[0].spins)
    torque_error = torch.linalg.cross(store[0].spins, field) - store[0].torque
    assert store[0].energy is not None
    expected = torque_error.square().sum() + 0.01 * (energy - store[0].energy) ** 2
    assert float(loss.detach()) * SQUARE.n_sites * table.statistics.torque == pytest.approx(float(expected), rel=1e-10)


def test_moving_average_is_the_recursion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The final weights are the average of the weights after every step, by the stated recursion."""
    steps: list[dict[str, torch.Tensor]] = []
    update = MovingAverage.on_train_batch_end

    def recording(self: MovingAverage, trainer: object, module: FieldFitting, *rest: object) -> None:
        steps.append(weights(module.model))
        update(self, trainer, module, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(MovingAverage, "on_train_batch_end", recording)
    store = labels(tmp_path / "a.h5", 6)
    config = TrainingConfig(max_epochs=10, batch_size=2, ema=0.9, validate_every=10)
    result = fit(MODEL.build(SQUARE), store, store, config, directory=tmp_path / "run", progress=False)
    average = steps[0]
    for n, current in enumerate(steps[1:], start=1):
        decay = min(0.9, (1 + n) / (10 + n))
        average = {k: decay * average[k] + (1 - decay) * current[k] for k in current}
    assert len(steps) == 30
    for name, tensor in result.force_field.model.named_parameters():
        assert torch.allclose(tensor, average[name], atol=1e-6), name
    assert not torch.equal(result.force_field.model.network[0].weight, steps[-1]["network.0.weight"])


def test_averaged_training_resumes_bit_for_bit(tmp_path: Path) -> None:
    store = labels(tmp_path / "a.h5", 6)
    config = TrainingConfig(max_epochs=6, batch_size=2, ema=0.9, validate_every=1)

    def run(folder: str, config: TrainingConfig, resume: bool = False) -> dict[str, torch.Tensor]:
        model = MODEL.build(SQUARE)
        fit(model, store, store, config, directory=tmp_path / folder, resume=resume, progress=False)
        return weights(model)

    whole = run("whole", config)
    run("cut", config.model_copy(update={"max_minutes": 1e-9}))
    assert not (tmp_path / "cut" / "metrics.csv").read_text().count("\n5,")
    resumed = run("cut", config, resume=True)
    states = [
        torch.load(tmp_path / folder / "last.ckpt", weights_only=True)["current_model_state"]
        for folder in ("whole", "cut")
    ]
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name
        assert torch.equal(*(state[f"model.{name}"] for state in states)), name


def test_weights_do_not_ask_for_gradients_of_the_spins(tmp_path: Path) -> None:
    """The gradients are those of plain backpropagation."""
    store = labels(tmp_path / "a.h5", 2)
    model = MODEL.build(SQUARE)
    table = SnapshotTable(store, model, 2, torch.float32)
    module = FieldFitting(model, TrainingConfig(), table.statistics, total_steps=1)
    gradients = []
    for backward in (module.backward, torch.Tensor.backward):
        module.zero_grad()
        loss = module.loss(module.errors(table.batch([(0, 0), (0, 1)]), create_graph=True), epoch=0)
        backward(loss)
        gradients.append([None if p.grad is None else p.grad.clone() for p in module.parameters()])
    for ours, plain in zip(*gradients, strict=True):
        assert (ours is None) == (plain is None)
        assert ours is None or torch.equal(ours, plain)


def test_features_are_measured_on_all_packings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packings = [gs.systems.amorphous(12, 2.4, 0.6, seed=s) for s in range(3)]
    store = LabelStore.create(tmp_path / "a.h5")
    for k in range(12):
        system = packings[k % 3]
        spins = random_spins(12, seed=k)
        store.append(Label(system, spins, Heisenberg(system, [-1.0]).field(spins)))
    model = MODEL.build(packings[0])
    seen: list[int] = []
    monkeypatch.setattr(model, "calibrate", lambda _, spins: seen.append(spins.shape[0] * spins.shape[1]))
    fit(model, store, store, TrainingConfig(max_epochs=1), directory=tmp_path / "run", progress=False)
    assert seen == [12 * 12]


def test_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = labels(tmp_path / "a.h5", 2)
    config = TrainingConfig(max_epochs=1, tensorboard=True)
    if importlib.util.find_spec("tensorboard") is not None:
        fit(MODEL.build(SQUARE), store, store, config, directory=tmp_path / "run", progress=False)
        assert list((tmp_path / "run" / "tensorboard").glob("events.*"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InvalidInput, match="pip install tensorboard"):
        fit(MODEL.build(SQUARE), store, store, config, directory=tmp_path / "none", progress=False)
    assert not (tmp_path / "none").exists()


def test_cross_validation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every label is predicted once, by a model that has not seen it; a finished fold is not repeated."""
    store = labels(tmp_path / "a.h5", 20)
    config = TrainingConfig(max_epochs=5, learning_rate=0.02)
    result = cross_validate(MODEL, store, config, folds=3, directory=tmp_path / "cv", progress=False)
    assert sum(fold.n_snapshots for fold in result.folds) == 20
    assert [fold.n_snapshots for fold in result.folds] == [7, 7, 6]
    errors = torch.tensor([fold.torque_rmse for fold in result.folds], dtype=torch.float64)
    assert result.mean["torque_rmse"] == pytest.approx(float(errors.mean()))
    assert result.spread["torque_rmse"] == pytest.approx(float(errors.std()))
    assert result.mean["torque_r2"] > 0.9
    provenance = gs.load(result.paths[0], SQUARE).provenance
    assert provenance["snapshots"] == 12

    trained: list[Path] = []

    def counting(*arguments: object, directory: Path, **options: object) -> object:
        trained.append(directory)
        return fit(*arguments, directory=directory, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("gnnspin.training.cross_validation.fit", counting)
    result.paths[1].unlink()
    again = cross_validate(MODEL, store, config, folds=3, directory=tmp_path / "cv", resume=True, progress=False)
    assert trained == [tmp_path / "cv" / "fold_1"]
    assert again.mean == result.mean
    with pytest.raises(StoreError, match="not empty"):
        cross_validate(MODEL, store, config, folds=3, directory=tmp_path / "cv", progress=False)
    with pytest.raises(StoreError, match="another cross-validation"):
        cross_validate(MODEL, store, config, folds=4, directory=tmp_path / "cv", resume=True, progress=False)


def test_cross_validation_of_any_model(tmp_path: Path) -> None:
    """A callable builds the models; one fold's figures are those of its file on its labels."""
    store = labels(tmp_path / "a.h5", 6)
    result = cross_validate(
        lambda: MODEL.build(SQUARE),
        store,
        TrainingConfig(max_epochs=1),
        folds=2,
        validation=0.3,
        directory=tmp_path / "cv",
        progress=False,
    )
    held_out = gs.datasets.k_folds(store, 2)[1][1]
    assert evaluate(gs.load(result.paths[1], SQUARE), held_out).torque_rmse == result.folds[1].torque_rmse


def test_a_diverging_training_stops_with_the_remedy(tmp_path: Path) -> None:
    train = labels(tmp_path / "labels.h5", 4)
    config = TrainingConfig(
        learning_rate=1e30, final_learning_rate=1e30, warmup_steps=0, gradient_clip=None, max_epochs=5
    )
    with pytest.raises(ConvergenceError, match="learning_rate below 1e\\+30"):
        fit(MODEL.build(SQUARE), train, train, config, directory=tmp_path / "run", progress=False)


def test_cross_validation_goes_on_with_its_own_labels_alone(tmp_path: Path) -> None:
    config = TrainingConfig(max_epochs=1)
    first, second = labels(tmp_path / "a.h5", 6), labels(tmp_path / "b.h5", 6, first_seed=50)
    cross_validate(MODEL, first, config, folds=2, directory=tmp_path / "run", progress=False)
    for model, other in ((MODEL, second), (MODEL.model_copy(update={"seed": 1}), first)):
        with pytest.raises(StoreError, match="another cross-validation"):
            cross_validate(model, other, config, folds=2, directory=tmp_path / "run", resume=True, progress=False)
