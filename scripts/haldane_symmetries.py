"""Train one architecture on Haldane's model with and without the mirrors that flux breaks, and print the errors.

    python scripts/haldane_symmetries.py --output runs/haldane

Labels come from exact diagonalisation on random spins. The part of the torque that is odd under time reversal is out of
reach of a model that imposes time reversal, and equally of one that imposes mirrors, as here the two break together.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Annotated

import typer

import gnnspin as gs
from gnnspin.core import SymmetryWarning
from gnnspin.labels import GenerateConfig, generate
from gnnspin.training import ModelConfig, TrainingConfig
from gnnspin.training.symmetries import label_symmetries


def main(
    output: Annotated[Path, typer.Option(help="Folder for labels and trainings.")] = Path("runs/haldane"),
    architecture: Annotated[str, typer.Option(help="Architecture with the flag mirrors.")] = "linear_cluster_expansion",
    length: Annotated[int, typer.Option(help="Unit cells along each side.")] = 6,
    t2: Annotated[float, typer.Option(help="Second-neighbour hopping, of phase pi/2.")] = 0.15,
    snapshots: Annotated[int, typer.Option(help="Labels; a quarter is held out.")] = 120,
    epochs: Annotated[int, typer.Option(help="Passes over the training labels.")] = 16,
    cutoff: Annotated[float, typer.Option(help="Radius of the graph.")] = 2.1,
) -> None:
    """Make labels, train with and without mirrors, and print torque errors per component."""
    hopping = {"kind": "sum", "rules": [{"kind": "nearest_neighbor"}, {"kind": "haldane", "t2": t2}]}
    config = GenerateConfig.model_validate(
        {
            "systems": [{"kind": "honeycomb", "shape": [length, length]}],
            "hamiltonian": {"hopping": hopping, "J": 1.0},
            "solver": {"kT": 0.1, "mu": 0.0},
            "samplers": [{"kind": "random", "count": snapshots}],
        }
    )
    output.mkdir(parents=True, exist_ok=True)
    labels = generate(config, output / "labels.h5", resume=True)
    train, held_out = gs.datasets.holdout(labels, 0.25, seed=0)
    (found,) = label_symmetries(labels)
    typer.echo(str(found))
    system, exact = labels.systems[0], held_out.stacked()
    rule = gs.electrons.NearestNeighborHopping(t=1.0) + gs.electrons.HaldaneHopping(t2)
    electrons = gs.electrons.SDHamiltonian(system, hopping=rule, J=1.0)
    reversed_torque = gs.electrons.ExactDiagonalization(electrons, kT=0.1, mu=0.0).torque(-exact.spins)
    signal, odd = (float(part.square().mean().sqrt()) for part in (exact.torque, (exact.torque - reversed_torque) / 2))
    typer.echo(f"held-out labels: torque {signal:.4f}, its part odd in time {odd:.4f}")
    training = TrainingConfig(
        optimizer="adamw", learning_rate=5e-3, batch_size=4, max_epochs=epochs, validate_every=epochs
    )
    for values in ({"mirrors": True}, {}):
        model = ModelConfig(name=architecture, cutoff=cutoff, hyperparameters=values).build(system, labels)
        flags = model.hyperparameters.model_dump(include={"time_reversal", "mirrors"})
        name = "_".join(f"{key}-{value}" for key, value in sorted(flags.items()))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SymmetryWarning)  # the floors are what this program shows
            folder = output / architecture / name
            result = gs.training.fit(model, train, held_out, training, directory=folder, resume=True)
        error = gs.training.evaluate(result.force_field, held_out).numbers()["torque_rmse"]
        chosen = "" if values else " (chosen for these labels)"
        typer.echo(f"{flags}{chosen}: {model.n_parameters} parameters, {result.seconds:.0f} s, torque RMSE {error:.4f}")


if __name__ == "__main__":
    typer.run(main)
