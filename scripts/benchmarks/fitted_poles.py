"""Torque error of fitted poles by their number, on quenches that they were not fitted to, and what a field costs.

    python scripts/benchmarks/fitted_poles.py [CASE ...] [--most 4]

For every system a few quenches under the exact field, and random spins: the first are fitted to, the last is tested.
Costs are processor time per site of one thread on the lattice of the labels, beside the exact expansion's.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch

import gnnspin as gs
from gnnspin.analysis.cost import source_cost
from gnnspin.labels import GenerateConfig, generate
from gnnspin.training import TrainingConfig, evaluate, fit
from gnnspin.training.job import ModelConfig

CASES: dict[str, dict[str, Any]] = {
    "tetrahedral": {
        "systems": [{"kind": "triangular", "shape": [24, 24]}],
        "hamiltonian": {"J": 3.0},
        "solver": {"kT": 0.01, "mu": -3.2},
        "relaxation": {"n_steps": 300, "save_every": 30, "dt": 2.0, "damping": 0.1, "kT": 0.01},
    },
    "skyrmion crystal": {
        "systems": [{"kind": "triangular", "shape": [24, 24]}],
        "hamiltonian": {"hopping": {"kind": "shells", "amplitudes": [1.0, 0.0, -0.85]}, "J": 0.5},
        "solver": {"kT": 0.01, "mu": -3.5},
        "relaxation": {"n_steps": 150, "save_every": 15, "dt": 15.0, "damping": 0.5, "kT": 0.002},
    },
    "double exchange": {
        "systems": [{"kind": "square", "shape": [24, 24]}],
        "hamiltonian": {"J": 6.0},
        "solver": {"kT": 0.003, "filling": 0.485},
        "relaxation": {"n_steps": 100, "save_every": 10, "dt": 2.0, "damping": 0.1, "kT": 0.022},
    },
    "square metal": {
        "systems": [{"kind": "square", "shape": [24, 24]}],
        "hamiltonian": {"J": 2.0},
        "solver": {"kT": 0.02, "filling": 0.3},
        "relaxation": {"n_steps": 100, "save_every": 10, "dt": 2.0, "damping": 0.1, "kT": 0.02},
    },
    "kagome": {
        "systems": [{"kind": "kagome", "shape": [14, 14]}],
        "hamiltonian": {"J": 4.0},
        "solver": {"kT": 0.02, "filling": 1 / 3},
        "relaxation": {"n_steps": 100, "save_every": 10, "dt": 2.0, "damping": 0.1, "kT": 0.02},
    },
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"some of {', '.join(CASES)}; default: all")
    parser.add_argument("--most", type=int, default=4, help="largest number of poles")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| system | poles | random spins | first half of the quench | second half | µs per site | exact |")
    print("|---|---|---|---|---|---|---|")
    for name in given.cases or CASES:
        with tempfile.TemporaryDirectory() as folder:
            measure(name, CASES[name], given.most, Path(folder))


def measure(name: str, case: dict[str, Any], most: int, folder: Path) -> None:
    """Rows of one system."""
    solver = {"kind": "pole_expansion", "tolerance": 1e-3, **case["solver"]}
    sets = {}
    for seed, count in (("train", 2), ("test", 1)):
        samplers = [{"kind": "random", "count": 4}, {"kind": "relaxation", "count": count, **case["relaxation"]}]
        values = {key: case[key] for key in ("systems", "hamiltonian")} | {"solver": solver, "samplers": samplers}
        config = GenerateConfig.model_validate({**values, "seed": 1 if seed == "train" else 2})
        sets[seed] = generate(config, folder / f"{seed}.h5", progress=False)
    test, system = sets["test"], sets["test"].systems[0]
    sampler = [test[k].provenance["sampler"] for k in range(len(test))]
    last = max(each.get("time", 0.0) for each in sampler)
    groups = {
        "random": [k for k, each in enumerate(sampler) if each["kind"] == "random"],
        "first": [k for k, each in enumerate(sampler) if 0 < each.get("time", 0.0) <= last / 2],
        "second": [k for k, each in enumerate(sampler) if each.get("time", 0.0) > last / 2],
    }
    hamiltonian = gs.electrons.SDHamiltonian.recipe(case["hamiltonian"]).build(system)
    exact = gs.electrons.PoleExpansion(hamiltonian, tolerance=1e-2, **case["solver"])
    for poles in range(1 if "mu" in case["solver"] else 3, most + 1):
        chosen = ModelConfig(name="fitted_poles", cutoff=1.0, hyperparameters={"poles": poles})
        model = chosen.build(system, sets["train"])
        found = fit(
            model, sets["train"], test, TrainingConfig(), directory=folder / f"fit_{poles}", progress=False
        ).force_field
        errors = [evaluate(found, test.subset(own)) for own in groups.values()]
        shares = " | ".join(f"{each.torque_rmse / each.torque_rms:.1%}" for each in errors)
        spins = test[len(test) - 1].spins
        print(
            f"| {name} | {poles} | {shares} | {source_cost(found, spins):.1f} | {source_cost(exact, spins):.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
