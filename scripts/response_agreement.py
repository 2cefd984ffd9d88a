"""Response of a force field: its derivatives dT_i/dS_j against exact ones, by the distance of i and j.

    python scripts/response_agreement.py pretrained:tetrahedral runs/pretrained/labels/tetrahedral_test.h5

The labels must come from `gnnspin generate`; their solver gives the exact derivatives, four solutions per spin.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

import gnnspin as gs
from gnnspin.analysis import response_agreement
from gnnspin.core.errors import InvalidInput
from gnnspin.labels import GenerateConfig


def main(
    model: Annotated[str, typer.Argument(help="Model file or pretrained:NAME.")],
    labels: Annotated[Path, typer.Argument(help="Label store with the configurations and the exact solver.")],
    snapshots: Annotated[str, typer.Option(help="Positions of configurations.")] = "0 2 4",
    sites: Annotated[int, typer.Option(help="Spins of every configuration, drawn at random.")] = 4,
    distances: Annotated[str, typer.Option(help="Edges of the bins.")] = "0.5 1.2 1.9 3.1 4.1 5.1 6.1 8.1 12.1",
) -> None:
    """Print one row per bin of distances."""
    store = gs.datasets.LabelStore(labels)
    config = GenerateConfig.model_validate(store.metadata["config"])
    chosen = store.subset([int(k) for k in snapshots.split()])
    if len(chosen.systems) != 1:
        raise InvalidInput("choose configurations of one system")
    [system] = chosen.systems
    exact = config.solver.build(hamiltonian=config.hamiltonian.build(system))
    force_field = gs.load(model, system=system).to(dtype=torch.float64)
    spins = torch.stack([label.spins for label in (chosen[k] for k in range(len(chosen)))])
    drawn = np.random.default_rng(0).choice(system.n_sites, sites, replace=False).tolist()
    typer.echo(f"{'distance':>14s} {'exact rms':>11s} {'share':>7s} {'R2':>7s}")
    for row in response_agreement(force_field, exact, spins, drawn, [float(d) for d in distances.split()]):
        typer.echo(f"{row.nearest:6.2f} - {row.farthest:5.2f} {row.exact:11.5f} {row.share:7.3f} {row.r2:7.3f}")


if __name__ == "__main__":
    typer.run(main)
