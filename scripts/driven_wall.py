"""A voltage moves the boundary between an antiferromagnet and a ferromagnet; heads learn its torques.

    python scripts/driven_wall.py move --output runs/driven_wall
    python scripts/driven_wall.py heads --output runs/driven_wall

Square ribbons, J = 3.8, leads on both end columns (Gamma = 2), a bath of 0.02 on every site at mu = -3.2, which
reproduce the published torques of such a wall (Zhang and Chern, npj Comput. Mater. 9, 32 (2023)). `move` runs the
Landau-Lifshitz-Gilbert equation under exact steady states at several voltages, tracks the wall and draws it. `heads`
takes labels from these runs, trains every head on all runs of the largest voltage but one, and says what holds for the
run left out, for another voltage, for a ribbon of twice the width, and for a wall that the learned field moves itself.
Both go on where they were interrupted.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import Tensor

import gnnspin as gs
from gnnspin.core import normalize
from gnnspin.datasets import Label, LabelSet, LabelStore
from gnnspin.dynamics import Run
from gnnspin.plotting.style import PALETTE, figure
from gnnspin.runs import replaced
from gnnspin.training import TrainingConfig, evaluate, fit
from gnnspin.training.job import ModelConfig
from gnnspin.trajectories import Trajectory

app = typer.Typer(no_args_is_help=True, help=__doc__)
Output = Annotated[Path, typer.Option(help="Folder for runs, labels, models, tables and figures.")]
Voltages = Annotated[str, typer.Option(help="Voltages in units of the hopping, with commas between them.")]
Replicas = Annotated[int, typer.Option(help="Runs at each voltage, with different noise.")]
Steps = Annotated[int, typer.Option(help="Time steps of 1 / (gamma t).")]

SHAPE = (28, 8)
KT = 0.0025
LLG: dict[str, Any] = {"dt": 1.0, "damping": 0.55, "kT": KT, "integrator": "extrapolated_midpoint", "seed": 0}
BOUNDARY = {"kind": "domain_wall", "order": "bonds"}
SAVE_EVERY = 5
#: Time after which the wall has relaxed and moves steadily.
STEADY = 20.0

NETWORK = {"layers": 2, "channels": 4, "scalars": 4, "hidden": 32, "max_degree": 2}
HEADS = ("energy", "pair", "site_pairs", "vectors")


def ribbon(shape: tuple[int, int], voltage: float, tolerance: float = 1e-3) -> gs.electrons.DrivenSteadyState:
    """Electrons between leads at mu +- V / 2; a bath holds every site at mu."""
    (n_x, n_y), n = shape, shape[0] * shape[1]
    return gs.electrons.DrivenSteadyState(
        gs.electrons.SDHamiltonian(gs.systems.square(n_x, n_y, pbc=(False, True)), J=3.8),
        contacts=(range(n_y), range(n - n_y, n), range(n)),
        gamma=(2.0, 2.0, 0.02),
        voltage=(voltage / 2, -voltage / 2, 0.0),
        kT=KT,
        mu=-3.2,
        bottom=-8.5,
        tolerance=tolerance,
        method="sparse",
    )


def wall(system: gs.systems.SpinSystem, place: float, seed: int, width: float = 1.5, noise: float = 0.1) -> Tensor:
    """Sublattices canted by theta: antiferromagnet (theta = 90 degrees) left of `place`, ferromagnet right of it."""
    x, y, _ = torch.tensor(system.positions).T
    theta = torch.arccos(torch.tanh((x - place) / width)) / 2
    spins = torch.stack([theta.cos(), (-1.0) ** torch.round(x + y) * theta.sin(), 0 * x], -1)
    generator = np.random.default_rng(seed)
    return normalize(spins + noise * torch.from_numpy(generator.standard_normal(spins.shape)))


def moved(output: Path, voltage: float, replicas: int, steps: int) -> Trajectory:
    """Trajectory of a wall at one voltage, from the file if it is there."""
    path, source = output / f"wall_{voltage:g}.h5", ribbon(SHAPE, voltage)
    if not path.exists():
        start = torch.stack([wall(source.system, SHAPE[0] / 2, seed) for seed in range(replicas)])
        path.parent.mkdir(parents=True, exist_ok=True)
        gs.dynamics.simulate(
            source,
            start,
            n_steps=steps,
            **LLG,
            observers={"wall": BOUNDARY},
            trajectory=path,
            save_every=SAVE_EVERY,
            save_dtype="float64",
        )
    elif (done := int(Trajectory(path).steps[-1])) < steps:
        gs.dynamics.resume(path, n_steps=steps - done)
    return Trajectory(path)


def velocity(times: Any, places: Any) -> gs.observables.Estimate:
    """Of the wall once it moves steadily and until it is near the end of the ribbon."""
    near = (np.asarray(places) < 2.5).any(axis=1) & (np.asarray(times) > STEADY)
    last = float(times[np.argmax(near)]) if near.any() else float(times[-1])
    return gs.observables.wall_velocity(times, places, window=(STEADY, last))


@app.command()
def move(
    output: Output = Path("runs/driven_wall"),
    voltages: Voltages = "0.2,0.8",
    replicas: Replicas = 3,
    steps: Steps = 120,
) -> None:
    """Walls under exact steady states: positions, velocities and currents."""
    rows, curves = [], {}
    for voltage in (float(each) for each in voltages.split(",")):
        trajectory = moved(output, voltage, replicas, steps)
        times, places = trajectory.observable_times, trajectory.observables["wall"]
        found, curves[voltage] = velocity(times, places), (times, places)
        state = ribbon(SHAPE, voltage).solve(torch.from_numpy(trajectory[-1]))
        rows.append({"voltage": voltage, "velocity": found.value, "error": found.error})
        rows[-1] |= {"start": places[0].mean(), "end": places[-1].mean(), "current": float(state.currents[:, 0].mean())}
        typer.echo("  ".join(f"{name}: {value:.4g}" for name, value in rows[-1].items()))
    table(rows, output / "velocities.csv")
    drawn(curves, output / "driven_wall.png")


def drawn(curves: dict[float, tuple[Any, Any]], path: Path) -> None:
    """Positions against time, one colour per voltage."""
    with figure(path, 3.6, 2.7) as (_, (axes,)):
        for color, (voltage, (times, places)) in zip(PALETTE, curves.items(), strict=False):
            axes.plot(times, places, color=color, alpha=0.5, linewidth=0.7)
            axes.plot(times, np.mean(places, axis=1), color=color, label=f"V = {voltage:g}")
        axes.set_xlabel(r"time, $1/(\gamma t)$")
        axes.set_ylabel("position of the wall, sites")
        axes.legend()


def labels(path: Path, source: gs.electrons.DrivenSteadyState, snapshots: Tensor) -> LabelSet:
    """Exact fields of snapshots (T, N, 3), those that the file lacks."""
    store = LabelStore(path) if path.exists() else LabelStore.create(path, {})
    for spins in snapshots[len(store) :]:
        state = source.solve(spins)
        store.append(Label(system=source.system, spins=spins, field=state.field, density=state.density))
    return store


def label_sets(output: Path, voltages: list[float], replicas: int, steps: int) -> tuple[LabelSet, dict[str, LabelSet]]:
    """Labels to train on, and sets that say what the models carry over to."""
    sets: dict[str, LabelSet] = {}
    for voltage in voltages:
        frames = torch.from_numpy(moved(output, voltage, replicas, steps)[1:]).transpose(0, 1)
        name = output / f"labels_{voltage:g}"
        sets[f"V = {voltage:g}"] = labels(Path(f"{name}_test.h5"), ribbon(SHAPE, voltage), frames[-1])
        if voltage == max(voltages):
            train = labels(Path(f"{name}_train.h5"), ribbon(SHAPE, voltage), frames[:-1].flatten(0, 1))
    wide = (SHAPE[0], 2 * SHAPE[1])
    source = ribbon(wide, max(voltages))
    places = np.random.default_rng(0).uniform(4, SHAPE[0] - 4, 6)
    prepared = torch.stack([wall(source.system, place, seed) for seed, place in enumerate(places)])
    sets["prepared, twice as wide"] = labels(output / "labels_wide.h5", source, prepared)
    return train, sets


def trained(head: str, train: LabelSet, epochs: int, directory: Path) -> gs.training.FitResult:
    """One head that knows the direction of the current; the last weights count."""
    values = {"head": head, "hyperparameters": NETWORK, "drive": (1.0, 0.0, 0.0)}
    model = ModelConfig(name="nonconservative", cutoff=2.3, hyperparameters=values).build(train.systems[0])
    config = TrainingConfig(
        optimizer="adamw",
        learning_rate=5e-3,
        ema=None,
        batch_size=4,
        max_epochs=epochs,
        validate_every=epochs,
        device="cpu",
    )
    return fit(model, train, train[:1], config, directory=directory, resume=True, progress=False)


def learned_run(force_field: gs.ForceField, start: Tensor, steps: int) -> Run:
    """A wall that the learned field moves, with the noise of the exact run."""
    observers = {"wall": BOUNDARY}
    return gs.dynamics.simulate(force_field, start, n_steps=steps, **LLG, observers=observers, progress=False)


@app.command()
def heads(
    output: Output = Path("runs/driven_wall"),
    voltages: Voltages = "0.2,0.8",
    replicas: Replicas = 3,
    steps: Steps = 120,
    epochs: Annotated[int, typer.Option(help="Passes over the training snapshots.")] = 30,
) -> None:
    """Every head trained on walls at the largest voltage, compared on other walls and as the force of a run."""
    values = [float(each) for each in voltages.split(",")]
    train, sets = label_sets(output, values, replicas, steps)
    exact = moved(output, max(values), replicas, steps)
    start = torch.from_numpy(exact[0])
    reference = velocity(exact.observable_times, exact.observables["wall"])
    typer.echo(f"{len(train)} snapshots; exact velocity {reference}")
    rows = []
    for head in HEADS:
        result = trained(head, train, epochs, output / f"{head}_{epochs}")
        own = evaluate(result.force_field, train)
        row: dict[str, Any] = {"head": head, "parameters": result.force_field.model.n_parameters}
        row |= {"seconds": round(result.seconds), "trained on": own.torque_r2}
        row |= {name: evaluate(result.force_field, labels).torque_r2 for name, labels in sets.items()}
        run = learned_run(result.force_field, start, steps)
        found = velocity(run.times, run.observables["wall"])
        row |= {"velocity": found.value, "error": found.error}
        gap = np.abs(run.observables["wall"] - exact.observables["wall"])[-1].mean()
        rows.append(row | {"final gap": gap})
        typer.echo("  ".join(f"{name}: {_short(value)}" for name, value in rows[-1].items()))
    table(rows, output / "heads.csv")


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float | np.floating) else str(value)


def table(rows: list[dict[str, Any]], path: Path) -> None:
    """Rows as CSV."""
    with replaced(path) as new, new.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    torch.set_num_threads(1)
    app()
