"""A family of models against models that were trained at one point of its parameters alone, and tested there.

    python scripts/family_alone.py runs/pretrained/triangular_sd/triangular_sd.safetensors \
        scripts/pretrained/triangular_sd_test.yaml --point 0 --labels 200 --output runs/alone

Takes a point of the family's test labels, makes labels there with the same samplers and another seed, trains the
family's architecture on them alone with the recipe of the family for as many steps as asked for, and prints the errors
of both on the test labels of that point.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

import gnnspin as gs
from gnnspin.cli import read_config
from gnnspin.labels import GenerateConfig, generate
from gnnspin.training import TrainingConfig, evaluate, fit
from gnnspin.training.job import ModelConfig

#: Seed of the labels to train on, unlike those of the recipes.
SEED = 1000


def single_point(config: GenerateConfig, values: dict[str, float], per_sampler: int, seed: int) -> GenerateConfig:
    """The configuration at one point of the family, every sampler `per_sampler` times as often."""
    written = config.model_dump(mode="json")
    samplers: list[dict[str, Any]] = [{**each, "count": each["count"] * per_sampler} for each in written["samplers"]]
    family = {"points": [values]}
    return GenerateConfig.model_validate({**written, "samplers": samplers, "family": family, "seed": seed})


def main(
    family: Annotated[Path, typer.Argument(help="Model file of the family.")],
    test: Annotated[Path, typer.Argument(help="Configuration of the family's test labels.")],
    point: Annotated[int, typer.Option(help="Which of its points, from 0.")] = 0,
    labels: Annotated[int, typer.Option(help="Labels to train on at that point, about.")] = 200,
    steps: Annotated[int, typer.Option(help="Steps of the training, of two labels each.")] = 1500,
    output: Annotated[Path, typer.Option(help="Folder for labels and trainings.")] = Path("runs/alone"),
) -> None:
    """Print the errors of the family and of the single model."""
    config = read_config(test, GenerateConfig)
    values = config.points()[point]
    system = config.systems[0].build()
    source = gs.load(family, system)
    output.mkdir(parents=True, exist_ok=True)
    one = single_point(config, values, 1, config.seed)
    tested = generate(one, output / f"test_{point}.h5", resume=True, progress=False)
    several = single_point(config, values, max(1, round(labels / len(tested))), SEED)
    trained = generate(several, output / f"labels_{point}_{labels}.h5", resume=True, progress=False)
    train, validation = gs.datasets.holdout(trained, 0.1)
    h = source.model.hyperparameters
    inner = {name: value for name, value in h.hyperparameters.items() if name != "n_kinds"}  # type: ignore[attr-defined]
    model = ModelConfig(name=h.model, cutoff=source.model.spec.cutoff, hyperparameters=inner).build(system, trained)  # type: ignore[attr-defined]
    epochs = max(1, round(2 * steps / len(train)))
    training = TrainingConfig(**{**source.provenance["training"], "max_epochs": epochs})
    folder = output / f"training_{point}_{labels}"
    alone = fit(model, train, validation, training, directory=folder, resume=True, progress=False).force_field
    typer.echo(f"{values}, {len(train)} labels, {epochs} epochs")
    for name, force_field in (("family", source.at(**values)), ("alone", alone)):
        errors = evaluate(force_field, tested)
        share = errors.torque_rmse / errors.torque_rms
        typer.echo(f"{name}: torque RMSE {errors.torque_rmse:.4f} of {errors.torque_rms:.4f}, {share:.1%}")


if __name__ == "__main__":
    typer.run(main)
