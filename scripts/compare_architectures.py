"""Train, evaluate and time architectures on common labels; write one table and the figures.

    python scripts/compare_architectures.py scripts/comparison.yaml --output runs/comparison --data kondo_square_random

What has finished before is not computed again: run it with more models, labels or seeds as you like.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gnnspin.analysis.comparison import ComparisonConfig
from gnnspin.analysis.comparison_report import run_comparison
from gnnspin.cli import read_config, run


def main(
    config: Annotated[Path, typer.Argument(help="YAML file; `gnnspin info compare` documents its keys.")],
    output: Annotated[Path, typer.Option(help="Folder for trainings, tables and figures.")] = Path("runs/comparison"),
    model: Annotated[list[str] | None, typer.Option(help="Only this model; may be given several times.")] = None,
    data: Annotated[list[str] | None, typer.Option(help="Only this set of labels; may be given several times.")] = None,
    seed: Annotated[
        list[int] | None, typer.Option(help="This seed in place of the file's; several times for more.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Trainings at a time.")] = 1,
) -> None:
    """Compare and print the table."""
    settings = read_config(config, ComparisonConfig)
    typer.echo(
        run_comparison(settings, output, models=model or (), data=data or (), seeds=seed or (), n_workers=workers)
    )


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    run(app)
