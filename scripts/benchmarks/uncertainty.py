"""Error bars of single models: coverage, rank correlation with the true torque error, and cost.

    python scripts/benchmarks/uncertainty.py [tetrahedral_fast triangular_120 ...] [--write FOLDER]

Each model is calibrated on exactly labelled snapshots of its own runs and judged on others: other seeds (in
distribution), and states that it is not made for (shifted): runs at other temperature and damping, and perturbed
ferromagnetic, stripe and other orders. `--write` saves the models with their error bars. One thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import gnnspin as gs
from gnnspin.force_fields.calibration import rank_correlation
from gnnspin.force_fields.uncertainty import errors_and_scores, exact_deviation

AMPLITUDES = (0.05, 0.1, 0.2, 0.4, 0.8)


class Case:
    """A pretrained model with its exact source, and the states of its own runs and of others."""

    def __init__(
        self, name: str, system: gs.systems.SpinSystem, exact: gs.core.FieldSource, own: dict[str, Any]
    ) -> None:
        self.name, self.system, self.exact, self.own = name, system, exact, own
        self.model = gs.load(f"pretrained:{name}", system)

    def run(self, seed: int, times: tuple[float, ...], replicas: int = 3, **other: Any) -> Tensor:
        """Snapshots (R, N, 3) of runs under the model from random spins."""
        options = self.own | other
        spins = gs.core.random_spins(self.system.n_sites, replicas=(replicas,), seed=seed)
        now, found = 0.0, []
        for moment in times:
            steps = round((moment - now) / options["dt"])
            spins = gs.dynamics.simulate(
                self.model, spins, n_steps=steps, seed=1000 * seed + int(moment), progress=False, **options
            ).spins
            now = moment
            found.append(spins)
        return torch.cat(found)

    def orders(self, names: tuple[str, ...]) -> Tensor:
        """Orders with noise of several amplitudes."""
        return torch.stack(
            [
                gs.observables.perturbed(gs.observables.reference_order(name, self.system), amplitude, seed=k)
                for k, (name, amplitude) in enumerate((n, a) for n in names for a in AMPLITUDES)
            ]
        )

    def labels(self, spins: Tensor) -> gs.datasets.LabelsInMemory:
        """Exact labels of snapshots."""
        fields = torch.cat([self.exact.field(each[None]) for each in spins])
        return gs.datasets.from_arrays(self.system, spins, fields)


def tetrahedral(name: str) -> tuple[Case, Callable[[Case], Iterator[tuple[str, Tensor]]]]:
    """Quenches at kT = 0.01 and damping 0.1 of the tetrahedral system."""
    system = gs.systems.triangular(24, 24)
    hamiltonian = gs.electrons.SDHamiltonian(system, J=3.0)
    exact = gs.electrons.PoleExpansion(hamiltonian, kT=0.01, mu=-3.2, tolerance=1e-2)

    def states(case: Case) -> Iterator[tuple[str, Tensor]]:
        yield "calibration", case.run(11, (4, 10, 20, 40, 80, 160, 320, 640), replicas=6)
        yield "other seeds", case.run(12, (6, 14, 30, 60, 120, 240, 480))
        yield "shifted: kT = 0.001, damping 0.5", case.run(13, (50, 150, 400, 800), kT=0.001, damping=0.5)
        yield "shifted: kT = 0.04", case.run(14, (20, 60, 120), kT=0.04)
        yield "shifted: orders with noise", case.orders(("ferromagnet", "120-degree", "stripe", "tetrahedral"))

    return Case(name, system, exact, {"dt": 2.0, "damping": 0.1, "kT": 0.01}), states


def triangular_120(name: str) -> tuple[Case, Callable[[Case], Iterator[tuple[str, Tensor]]]]:
    """Relaxation at kT = 0.002 and damping 0.3 to 120-degree order."""
    system = gs.systems.triangular(12, 12)
    hamiltonian = gs.electrons.SDHamiltonian(system, J=6.0)
    exact = gs.electrons.ExactDiagonalization(hamiltonian, kT=0.002, filling=0.5)

    def states(case: Case) -> Iterator[tuple[str, Tensor]]:
        yield "calibration", case.run(21, (1, 4, 10, 20, 40, 80, 160), replicas=6)
        yield "other seeds", case.run(22, (2, 6, 15, 30, 60, 120))
        yield "shifted: kT = 0, damping 1", case.run(23, (5, 20, 60, 200), kT=0.0, damping=1.0)
        yield "shifted: kT = 0.05", case.run(24, (10, 30, 60), kT=0.05)
        yield "shifted: orders with noise", case.orders(("ferromagnet", "stripe", "tetrahedral"))

    return Case(name, system, exact, {"dt": 0.5, "damping": 0.3, "kT": 0.002}), states


def double_exchange(name: str) -> tuple[Case, Callable[[Case], Iterator[tuple[str, Tensor]]]]:
    """Thermal quenches to kT = 0.022 of double exchange at fixed electron number."""
    system = gs.systems.square(24, 24)
    hamiltonian = gs.electrons.SDHamiltonian(system, J=6.0)
    exact = gs.electrons.PoleExpansion(hamiltonian, kT=0.003, filling=0.485, tolerance=1e-2)

    def states(case: Case) -> Iterator[tuple[str, Tensor]]:
        yield "calibration", case.run(31, (6, 20, 60, 120, 240), replicas=4)
        yield "other seeds", case.run(32, (10, 40, 90, 180), replicas=3)
        yield "shifted: kT = 0.005", case.run(33, (40, 100, 200), replicas=2, kT=0.005)
        yield "shifted: kT = 0.06", case.run(34, (40, 100), replicas=2, kT=0.06)
        yield "shifted: orders with noise", case.orders(("ferromagnet", "neel"))

    return Case(name, system, exact, {"dt": 2.0, "damping": 0.1, "kT": 0.022}), states


CASES = {
    "tetrahedral_fast": tetrahedral,
    "tetrahedral_poles": tetrahedral,
    "triangular_120": triangular_120,
    "double_exchange_square": double_exchange,
    "double_exchange_poles": double_exchange,
}


def report(name: str, folder: Path | None) -> None:
    """Print the table of one model."""
    case, states = CASES[name](name)
    labels = {name: case.labels(spins) for name, spins in states(case)}
    begin = time.process_time()
    gs.force_fields.calibrate(case.model, labels["calibration"])
    spent = time.process_time() - begin
    print(f"\n{case.name}: calibrated on {len(labels['calibration'])} snapshots in {spent:.0f} s\n")
    print("| states | snapshots | error / torque | rank correlation | 50 % | 90 % | 95 % | exact: rank | 90 % |")
    print("|---|---|---|---|---|---|---|---|---|")
    scored = {name: errors_and_scores(case.model, each) for name, each in labels.items()}
    exact = {
        name: [exact_deviation(case.model, spins[None])[0].numpy() for spins in each.stacked().spins]
        for name, each in labels.items()
    }
    base = np.concatenate(scored["calibration"][0]) / np.concatenate(exact["calibration"])
    factor, calibration = float(np.quantile(base, 0.9)), case.model.require_calibration()
    shifted = [name for name in labels if name.startswith("shifted")]
    for title, names in [*((name, [name]) for name in labels), ("shifted, all", shifted)]:
        errors, scores = (np.concatenate([x for n in names for x in scored[n][k]]) for k in (0, 1))
        slow = np.concatenate([x for n in names for x in exact[n]])
        torque = torch.cat([labels[n].stacked().torque for n in names]).square().sum(-1).mean().sqrt()
        shares = [(errors <= calibration.factor(level) * scores).mean() for level in (0.5, 0.9, 0.95)]
        print(
            f"| {title} | {sum(len(labels[n]) for n in names)} | {np.sqrt((errors**2).mean()) / float(torque):.3f} | "
            f"{rank_correlation(scores, errors):.2f} | {' | '.join(f'{share:.1%}' for share in shares)} | "
            f"{rank_correlation(slow, errors):.2f} | {(errors <= factor * slow).mean():.1%} |",
            flush=True,
        )
    print_cost(case.model)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        print(f"wrote {gs.save(case.model, folder / f'{case.name}.safetensors')}")


def cost(function: Callable[[], Any], count: int) -> float:
    """Seconds of processor time of a call, after a first one."""
    function()
    begin = time.process_time()
    for _ in range(count):
        function()
    return (time.process_time() - begin) / count


def compared_cost(model: gs.ForceField, spins: Tensor) -> tuple[float, float, float]:
    """Microseconds per site of a torque and of one with error bars, and the share by which the latter costs more."""
    pairs = [
        (cost(lambda: model.torque(spins), 3), cost(lambda: model.torque_with_error_bar(spins), 3)) for _ in range(7)
    ]
    plain, barred = (float(np.median([pair[k] for pair in pairs])) * 1e6 / len(spins) for k in (0, 1))
    return plain, barred, float(np.median([pair[1] / pair[0] for pair in pairs])) - 1


def print_cost(model: gs.ForceField) -> None:
    """Print processor time per site of a torque and of one with error bars, by native code and in torch."""
    print("\n| lattice | by | torque, us per site | with error bars | more |\n|---|---|---|---|---|")
    vectors = model.system.primitive_vectors
    kind = gs.systems.square if abs(vectors[0] @ vectors[1]) < 1e-9 else gs.systems.triangular
    for size in (24, 96):
        system = kind(size, size)
        for native in (True, False) if model.model.compiles else (False,):
            moved = model.on(system).native(native)
            plain, barred, more = compared_cost(moved, gs.core.random_spins(system.n_sites, seed=0))
            by = "native code" if native or not model.model.compiles else "torch"
            print(f"| {size}x{size} | {by} | {plain:.1f} | {barred:.1f} | {more:+.0%} |", flush=True)
    if not model.model.hidden_units:
        return
    spins = gs.core.random_spins(model.system.n_sites, seed=0)
    passes = cost(lambda: exact_deviation(model, spins[None]), 2) / cost(lambda: model.native(False).torque(spins), 3)
    print(f"\nvariance by backward passes: {passes:.0f} times a torque in torch")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(CASES), metavar="MODEL")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--cost", type=Path, help="folder of calibrated models, of which the cost alone is measured")
    given = parser.parse_args()
    if not set(given.models) <= set(CASES):
        parser.error(f"models {given.models}; choose from {', '.join(CASES)}")
    torch.set_num_threads(1)
    for name in (each for each in CASES if each in given.models):
        if given.cost is None:
            report(name, given.write)
        else:
            print(f"\n{name}")
            print_cost(gs.load(given.cost / f"{name}.safetensors", CASES[name](name)[0].system))


if __name__ == "__main__":
    main()
