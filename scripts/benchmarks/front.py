"""Error of a torque against the cost of its field: the exact solver at its tolerances, and the pretrained models.

    python scripts/benchmarks/front.py tetrahedral --length 48 --output runs/front
    python scripts/benchmarks/front.py double-exchange --length 24
    python scripts/benchmarks/front.py cubic --length 10

Spins are snapshots of a quench from uncorrelated spins with a seed of its own, under the exact field or, with --own,
under the field of the first model: states that its own runs visit. Errors are root
mean squares per component of the torque against poles at tolerance 1e-8. Costs are processor time per site of one
thread, the shortest of several calls; the product that is printed tells how they scale to other machines. With
--output, a table (JSON) and a figure.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import gnnspin as gs
from gnnspin.analysis.cost import product_rate, source_cost
from gnnspin.core import FieldSource
from gnnspin.plotting import style
from gnnspin.runs import write_json


@dataclass(frozen=True)
class Case:
    """A Hamiltonian, how its quench is run, and the models made for it."""

    lattice: Callable[[int], gs.systems.SpinSystem]
    J: float
    ensemble: dict[str, float]
    quench: dict[str, Any]
    times: tuple[float, ...]
    models: tuple[str, ...]


CASES = {
    "tetrahedral": Case(
        lambda n: gs.systems.triangular(n, n),
        3.0,
        {"kT": 0.01, "mu": -3.2},
        {"dt": 2.0, "damping": 0.1, "kT": 0.01},
        (20, 60, 200),
        (
            "tetrahedral_poles",
            "tetrahedral",
            "tetrahedral_medium",
            "tetrahedral_fast",
            "tetrahedral_small",
            "tetrahedral_tiny",
        ),
    ),
    "double-exchange": Case(
        lambda n: gs.systems.square(n, n),
        6.0,
        {"kT": 0.003, "filling": 0.485},
        {"dt": 2.0, "damping": 0.1, "kT": 0.022},
        (20, 60, 200),
        ("double_exchange_poles", "double_exchange_square"),
    ),
    "cubic": Case(
        lambda n: gs.systems.simple_cubic(n, n, n),
        6.0,
        {"kT": 0.05, "mu": -6.0},
        {"dt": 1.0, "damping": 0.2, "kT": 0.05},
        (8, 30, 80),
        ("cubic_double_exchange",),
    ),
}
TOLERANCES = (1e-3, 1e-2, 1e-1)


def main() -> None:
    """Measure, print the table, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--length", type=int, default=24, help="sites along each side")
    parser.add_argument("--seed", type=int, default=101)
    parser.add_argument("--own", action="store_true", help="the first model drives the quench")
    parser.add_argument("--output", type=Path, help="folder of the table and the figure")
    given = parser.parse_args()
    torch.set_num_threads(1)
    case = CASES[given.case]
    system = case.lattice(given.length)

    def poles(tolerance: float) -> FieldSource:
        hamiltonian = gs.electrons.SDHamiltonian(system, J=case.J)
        return gs.electrons.PoleExpansion(hamiltonian, tolerance=tolerance, **case.ensemble)  # type: ignore[arg-type]

    driver = gs.load(f"pretrained:{case.models[0]}", system) if given.own else poles(1e-2)
    snapshots = quench(case, driver, given.seed)
    exact = torque(poles(1e-8), snapshots)
    sources: dict[str, FieldSource] = {f"poles, tolerance {t:g}": poles(t) for t in TOLERANCES}
    for name in case.models:
        sources[name] = gs.load(f"pretrained:{name}", system)
        if "compiles" in sources[name].model.capabilities:  # type: ignore[attr-defined]
            sources[f"{name}, in torch"] = gs.load(f"pretrained:{name}", system).native(False)
    print(f"{system}; torque {rms(exact):.4f}; {product_rate():.0f} GFLOP/s in a float32 product of 1024^3")
    by_time = [
        f"{rms(torque(driver, spins[None]) - exact[k]) / rms(exact[k]):.1%}" for k, spins in enumerate(snapshots)
    ]
    print(f"error of the driver over the torque at times {case.times}: {', '.join(by_time)}")
    print("| source | torque error | µs per site |\n|---|---|---|")
    rows = []
    for name, source in sources.items():
        row = {
            "source": name,
            "error": rms(torque(source, snapshots) - exact),
            "cost": source_cost(source, snapshots[-1]),
        }
        rows.append(row)
        print(f"| {name} | {row['error']:.2g} | {row['cost']:.1f} |", flush=True)
    if given.output is not None:
        name = f"{given.case}_{given.length}"
        write_json(given.output / f"{name}.json", {"torque": rms(exact), "rows": rows})
        draw(rows, rms(exact), f"{given.case}, {system.n_sites} sites", given.output / f"{name}.png")


def quench(case: Case, source: FieldSource, seed: int) -> Tensor:
    """Snapshots (T, N, 3) at the times of the case."""
    spins = gs.core.random_spins(source.system.n_sites, seed=seed)
    snapshots, now = [], 0.0
    for moment in case.times:
        steps = round((moment - now) / case.quench["dt"])
        run = gs.dynamics.simulate(source, spins, n_steps=steps, seed=seed + steps, progress=False, **case.quench)
        spins, now = run.spins, moment
        snapshots.append(spins)
    return torch.stack(snapshots)


def torque(source: FieldSource, snapshots: Tensor) -> Tensor:
    """Torques (T, N, 3)."""
    return torch.stack([torch.linalg.cross(spins, source.field(spins).to(spins)) for spins in snapshots])


def rms(values: Tensor) -> float:
    """Root mean square of all components."""
    return float(values.square().mean().sqrt())


def draw(rows: list[dict[str, Any]], signal: float, title: str, path: Path) -> None:
    """Figure of the front."""
    shown = [row for row in rows if not row["source"].endswith("in torch")]
    costs = [row["cost"] for row in shown]
    with style.figure(path, 4.6, 3.4) as (_, [axes]):
        for row in shown:
            left = row["cost"] ** 2 > min(costs) * max(costs)
            at = (row["cost"], row["error"] / signal)
            axes.plot(*at, "o", color="C0" if row["source"].startswith("poles") else "C1")
            side, offset = ("right", -7) if left else ("left", 7)
            axes.annotate(
                row["source"], at, xytext=(offset, 0), textcoords="offset points", ha=side, va="center", fontsize=7
            )
        axes.set(xscale="log", yscale="log", xlabel="processor time per site, µs", ylabel="torque error / torque")
        axes.set_title(title)


if __name__ == "__main__":
    main()
