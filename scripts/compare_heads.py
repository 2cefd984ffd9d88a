"""Compare heads on the torques of a driven system, and test what a committee's spread is worth.

    python scripts/compare_heads.py ribbons --output runs/heads
    python scripts/compare_heads.py published --output runs/heads
    python scripts/compare_heads.py committee --output runs/heads

`ribbons`: exact fields of electrons that flow through small ribbons; every head, with and without the direction of the
current. `published`: the two published snapshots of a driven wall, one to train on and one to test. `committee`: models
trained on partly relaxed spins meet random ones.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from scipy.stats import spearmanr

import gnnspin as gs
from gnnspin.core import normalize, random_rotation, random_spins
from gnnspin.datasets import Label, LabelSet, LabelStore, published
from gnnspin.electrons import ExactDiagonalization, SDHamiltonian
from gnnspin.labels import GenerateConfig, RandomSampler, RelaxationSampler
from gnnspin.runs import replaced
from gnnspin.systems.config import LatticeConfig
from gnnspin.training import TrainingConfig, evaluate, fit
from gnnspin.training.job import ModelConfig

app = typer.Typer(no_args_is_help=True, help=__doc__)
Output = Annotated[Path, typer.Option(help="Folder for labels, models and the table.")]
Epochs = Annotated[int, typer.Option(help="Passes over the training snapshots.")]

NETWORK = {"layers": 2, "channels": 4, "scalars": 4, "hidden": 32, "max_degree": 2}
ADAM: dict[str, Any] = {"optimizer": "adamw", "learning_rate": 5e-3, "ema": None}
HEADS = ("energy", "pair", "site_pairs", "vectors")
ALONG_X = (1.0, 0.0, 0.0)


@app.command()
def ribbons(
    output: Output = Path("runs/heads"),
    epochs: Epochs = 60,
    snapshots: Annotated[int, typer.Option(help="Snapshots to train on.")] = 48,
    voltage: Annotated[float, typer.Option(help="Voltage along x, in units of the hopping.")] = 2.0,
) -> None:
    """Electrons between two leads on 14 x 6 ribbons, J = 3.8: random spins and noisy walls."""
    store = ribbon_labels(output / f"ribbons_{voltage:g}_{snapshots}.h5", snapshots + 16, voltage)
    train, test = store[:snapshots], store[snapshots:]
    rows = []
    for drive in (None, ALONG_X):
        for head in HEADS:
            row, evaluation = trained(head, drive, train, test, epochs, output / f"ribbons_{voltage:g}_{snapshots}")
            field = row.pop("force_field")
            walls = evaluate(field, test[1::2])
            own = evaluate(field, train)
            rows.append({**row, "train R2": _r2(own), **figures("test", evaluation), **figures("walls", walls)})
            report(rows[-1])
    write(rows, output / "ribbons.csv")


@app.command(name="published")
def published_wall(output: Output = Path("runs/heads"), epochs: Epochs = 400) -> None:
    """Two published snapshots of a wall driven through 32 x 24 sites: trained on the later, tested on the earlier."""
    labels = published.load("driven_wall_negf")
    early, late = labels[:1], labels[1:]
    rows = []
    for drive in (None, ALONG_X):
        for head in HEADS:
            row, evaluation = trained(head, drive, late, early, epochs, output / "published")
            own = evaluate(row.pop("force_field"), late)
            rows.append({**row, **figures("trained_on", own), **figures("test", evaluation)})
            report(rows[-1])
    write(rows, output / "published.csv")


@app.command()
def committee(
    output: Output = Path("runs/heads"),
    epochs: Epochs = 60,
    members: Annotated[int, typer.Option(help="Models that differ in their first weights and order of snapshots.")] = 4,
    train_on: Annotated[str, typer.Option(help="The ensemble to train on: relaxed or random.")] = "relaxed",
    snapshots: Annotated[int, typer.Option(help="Snapshots to train on.")] = 6,
) -> None:
    """Triangular 12 x 12, J = 6, half filling: trained on one ensemble, tested on it and on one it has not seen."""
    models = trained_committee(output / f"{train_on}_{snapshots}", train_on, snapshots, members, epochs)
    spread, error = {}, {}
    for name in ("relaxed", "random"):
        stack = triangular_labels(output / f"{name}_test.h5", name, 8, seed=2).stacked()
        difference = models.torque(stack.spins) - stack.torque
        spread[name], error[name] = models.spread(stack.spins), difference.norm(dim=-1)
        typer.echo(
            f"{name}: torque RMSE {float(difference.square().mean().sqrt()):.5f}, "
            f"signal {float(stack.torque.square().mean().sqrt()):.5f}, mean spread {float(spread[name].mean()):.5f}; "
            f"rank correlation of spread and error over spins {rank_correlation(spread[name], error[name]):.2f}"
        )
    both = [torch.cat([values["relaxed"], values["random"]]) for values in (spread, error)]
    snapshotwise = rank_correlation(both[0].mean(1), both[1].mean(1))
    typer.echo(f"both together: over spins {rank_correlation(*both):.2f}, over snapshots {snapshotwise:.2f}")


def _r2(errors: gs.training.Evaluation) -> str:
    return "undefined" if errors.torque_r2 is None else f"{errors.torque_r2:.4f}"


def rank_correlation(first: torch.Tensor, second: torch.Tensor) -> float:
    """Spearman's."""
    return float(spearmanr(first.flatten(), second.flatten()).statistic)


def trained_committee(directory: Path, name: str, snapshots: int, members: int, epochs: int) -> gs.Committee:
    """Models of one architecture on the same labels."""
    train = triangular_labels(directory / "train.h5", name, snapshots, seed=1)
    fields = []
    for seed in range(members):
        config = TrainingConfig(**ADAM, batch_size=2, max_epochs=epochs, validate_every=epochs, seed=seed, device="cpu")
        model = ModelConfig(cutoff=1.8, hyperparameters=NETWORK, seed=seed).build(train.systems[0])
        folder = directory / f"{seed}_{epochs}"
        run = fit(model, train, train[:1], config, directory=folder, resume=True, progress=False)
        fields.append(run.force_field)
    return gs.Committee(fields)


def ribbon_labels(path: Path, count: int, voltage: float) -> LabelSet:
    """Exact steady-state fields: random spins (even numbers) and noisy walls (odd numbers)."""
    system = gs.systems.square(14, 6, pbc=(False, True))
    x = system.positions[:, 0]
    source = gs.electrons.DrivenSteadyState(
        gs.electrons.SDHamiltonian(system, J=3.8),
        contacts=(np.flatnonzero(x == 0), np.flatnonzero(x == x.max())),
        voltage=voltage,
        kT=0.05,
        mu=-2.0,
    )
    store = LabelStore(path) if path.exists() else LabelStore.create(path, {})
    for number in range(len(store), count):
        spins = wall(system, number) if number % 2 else random_spins(system.n_sites, seed=number)
        state = source.solve(spins)
        store.append(Label(system=system, spins=spins, field=state.field, density=state.density))
    return store


def wall(system: gs.systems.SpinSystem, seed: int) -> torch.Tensor:
    """A noisy wall between Neel and ferromagnetic order at a random place, either side first."""
    rng = np.random.default_rng(seed)
    x = system.positions[:, 0]
    share = 1 / (1 + np.exp(rng.choice([-1.0, 1.0]) * (x - rng.uniform(2, x.max() - 2)) / rng.uniform(0.5, 2)))
    stagger = (-1.0) ** np.round(system.positions.sum(1))
    mixed = np.outer((1 - share) * stagger, [0, 0, 1]) + np.outer(share, [1, 0, 0])
    noisy = mixed + rng.uniform(0.1, 0.5) * rng.standard_normal(mixed.shape)
    return normalize(torch.from_numpy(noisy)) @ random_rotation(seed).T


def triangular_labels(path: Path, ensemble: str, count: int, *, seed: int) -> LabelSet:
    """Labels as in the 120-degree study, on 12 x 12 sites: random spins, or trajectories cut at times 10 and 20."""
    relaxation = RelaxationSampler(count=(count + 1) // 2, n_steps=20, save_every=10, dt=1.0, damping=0.3, kT=0.002)
    config = GenerateConfig(
        systems=(LatticeConfig(kind="triangular", shape=(12, 12)),),
        hamiltonian=SDHamiltonian.recipe(J=6.0),
        solver=ExactDiagonalization.recipe(kT=0.002, filling=0.5, without=("hamiltonian",)),
        samplers=(relaxation if ensemble == "relaxed" else RandomSampler(count=count),),
        seed=seed,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    return gs.labels.generate(config, path, resume=True, progress=False)


def trained(
    head: str, drive: tuple[float, float, float] | None, train: LabelSet, test: LabelSet, epochs: int, directory: Path
) -> tuple[dict[str, Any], gs.training.Evaluation]:
    """Train one head; the last weights count, no snapshot chooses them."""
    values = {"head": head, "hyperparameters": NETWORK, "drive": drive}
    model = ModelConfig(name="nonconservative", cutoff=2.3, hyperparameters=values).build(train.systems[0])
    config = TrainingConfig(**ADAM, batch_size=4, max_epochs=epochs, validate_every=epochs, device="cpu")
    name = f"{head}_{'directed' if drive else 'symmetric'}_{epochs}"
    result = fit(model, train, train[:1], config, directory=directory / name, resume=True, progress=False)
    row = {
        "head": head,
        "direction known": drive is not None,
        "parameters": model.n_parameters,
        "seconds": round(result.seconds),
        "force_field": result.force_field,
    }
    return row, evaluate(result.force_field, test)


def figures(name: str, evaluation: gs.training.Evaluation) -> dict[str, str]:
    """Columns of one evaluation."""
    return {
        f"{name} RMSE": f"{evaluation.torque_rmse:.5f}",
        f"{name} signal": f"{evaluation.torque_rms:.5f}",
        f"{name} R2": _r2(evaluation),
    }


def report(row: dict[str, Any]) -> None:
    """One line of a table."""
    typer.echo("  ".join(f"{name}: {value}" for name, value in row.items()))


def write(rows: list[dict[str, Any]], path: Path) -> None:
    """Table as CSV."""
    with replaced(path) as new, new.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    torch.set_num_threads(1)
    app()
