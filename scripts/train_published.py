"""Train a spin cluster expansion on a published data set and print its errors on snapshots it was not trained on.

    python scripts/train_published.py kondo_square_random --output runs/kondo

A share of the set is held out before anything else; a part of the rest steers the learning and picks the weights.
Interrupt with Ctrl-C; the same command with --resume goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import gnnspin as gs
from gnnspin.datasets import holdout, published
from gnnspin.training import TrainingConfig
from gnnspin.training.job import ModelConfig


def main(
    name: Annotated[str, typer.Argument(help="Name of a published set, see `gnnspin info`.")] = "kondo_square_random",
    output: Annotated[Path, typer.Option(help="Folder for model and log.")] = Path("runs/published"),
    epochs: Annotated[int, typer.Option(help="Passes over the training snapshots.")] = 60,
    cutoff: Annotated[float, typer.Option(help="Radius of the graph.")] = 3.0,
    channels: Annotated[int, typer.Option(help="Vector channels.")] = 8,
    field_weight: Annotated[float, typer.Option(help="Weight of the field beside the torque in the loss.")] = 0.1,
    held_out: Annotated[float, typer.Option(help="Share of the snapshots for the final figures.")] = 0.15,
    resume: Annotated[bool, typer.Option("--resume", help="Continue in the output folder.")] = False,
) -> None:
    """Train, then print errors on the held-out snapshots."""
    rest, test = holdout(published.load(name), held_out, seed=0)
    train, validation = holdout(rest, 0.1, seed=1)
    model = ModelConfig(cutoff=cutoff, hyperparameters={"channels": channels}).build(train.systems[0])
    config = TrainingConfig(loss="mixed", field_weight=field_weight, max_epochs=epochs, batch_size=5)
    result = gs.training.fit(model, train, validation, config, directory=output, resume=resume)
    gs.save(result.force_field, output / "model.safetensors")
    typer.echo(f"{model.n_parameters} parameters, {len(train)} training snapshots, {result.seconds:.0f} s")
    typer.echo(f"held out, never used in training:\n{gs.training.evaluate(result.force_field, test)}")


if __name__ == "__main__":
    typer.run(main)
