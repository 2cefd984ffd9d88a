"""Torque error against the number of training snapshots, for the models and labels of a configuration.

    python scripts/learning_curves.py scripts/learning_curves.yaml --output runs/learning_curves

The configuration is that of `gnnspin compare`; every set of labels needs `sizes`. The labels of the reported errors are
set aside before anything else. `max_epochs` holds for the largest size; smaller ones see their snapshots more often, so
that all take equally many steps. Finished trainings are not repeated, one cut short goes on.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Annotated, Any

import matplotlib

matplotlib.use("Agg")

import typer

from gnnspin.cli import read_config
from gnnspin.core.errors import InvalidInput
from gnnspin.plotting import style
from gnnspin.training.comparison import RESULT_FILE, ComparisonConfig, by_data, compare

COLUMNS = (
    *("data", "model", "n_training", "seed", "parameters", "test_n_snapshots", "test_torque_rms", "test_torque_rmse"),
    *("test_torque_mse_per_spin", "test_torque_r2", "test_torque_sigma", "test_field_rmse", "training_seconds"),
    "microseconds_per_site",
)


def main(
    config: Annotated[Path, typer.Argument(help="YAML file; `gnnspin info compare` documents its keys.")],
    output: Annotated[Path, typer.Option(help="Folder for trainings, table and figure.")] = Path(
        "runs/learning_curves"
    ),
    data: Annotated[list[str] | None, typer.Option(help="Only this set of labels; may be given several times.")] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only this model; may be given several times.")] = None,
    size: Annotated[list[int] | None, typer.Option(help="Only this size; may be given several times.")] = None,
) -> None:
    """Train, then write learning_curves.csv and learning_curves.png; what is not trained now is read if it is there."""
    settings = read_config(config, ComparisonConfig)
    for run in runs(settings):
        [one] = run.runs()
        if (data and one.data not in data) or (model and one.model not in model) or (size and one.size not in size):
            continue
        [row] = compare(run, output, progress=False)
        typer.echo(f"{one.data}, {one.model}, {one.size} labels: torque RMSE {row['test_torque_rmse']:.5f}")
    files = [output / run.folder / RESULT_FILE for run in settings.runs()]
    rows = [json.loads(file.read_text()) for file in files if file.exists()]
    if not rows:
        raise InvalidInput(
            f"{output} holds no finished training; choose among the models, labels and sizes of {config}"
        )
    write(rows, output / "learning_curves.csv")
    draw(rows, output / "learning_curves.png")
    typer.echo(f"wrote {output / 'learning_curves.csv'} and {output / 'learning_curves.png'}")


def runs(settings: ComparisonConfig) -> list[ComparisonConfig]:
    """One configuration per training, smallest sets first, with the epochs of its size."""
    found = []
    for run in settings.runs():
        arena, competitor = settings.data[run.data], settings.models[run.model]
        if not arena.sizes:
            raise InvalidInput(f"{run.data}: give `sizes`, the numbers of training labels")
        factor = max(arena.sizes) / run.size
        training = competitor.training
        changes = {key: max(1, round(factor * getattr(training, key))) for key in ("max_epochs", "validate_every")}
        found.append(
            ComparisonConfig(
                models={run.model: competitor.model_copy(update={"training": training.model_copy(update=changes)})},
                data={run.data: arena.model_copy(update={"sizes": (run.size,)})},
                seeds=(run.seed,),
            )
        )
    return found


def write(rows: list[dict[str, Any]], path: Path) -> None:
    """One line per training."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """One panel per set of labels; the dashed line is the torque's own root mean square."""
    panels = list(by_data(rows))
    with style.figure(path, 2.9 * len(panels), 2.9, panels=len(panels)) as (_, all_axes):
        for axes, (name, own) in zip(all_axes, panels, strict=True):
            for k, label in enumerate(sorted({row["model"] for row in own})):
                curve = sorted((row["n_training"], row["test_torque_rmse"]) for row in own if row["model"] == label)
                axes.plot(*zip(*curve, strict=True), "os^Dv"[k % 5] + "-", color=style.PALETTE[k % 6], label=label)
            axes.axhline(own[0]["test_torque_rms"], color="0.5", linestyle="--", linewidth=1)
            axes.set(xscale="log", yscale="log", title=name, xlabel="training snapshots", ylabel="torque RMSE (t)")
            axes.legend()


if __name__ == "__main__":
    typer.run(main)
