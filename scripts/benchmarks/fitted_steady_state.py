"""Torque error of fitted steady states by the number of energies, on walls they were not fitted to, and their cost.

    python scripts/benchmarks/fitted_steady_state.py LABELS HELD_OUT [--numbers 2 3 4 6] [--sizes 48x8 48x24]

LABELS and HELD_OUT are label stores of driven walls at several voltages, ``labels.h5`` and ``held_out.h5`` in the
folder that ``gnnspin reproduce driven-wall`` makes. Errors are over the torque, by voltage, also of the exact solver at
loose tolerances against the stored labels; then what a mean of the exact fields at two voltages errs in the middle, on
noisy walls. Costs are processor time of one thread per site, of a noisy wall.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

import gnnspin as gs
from gnnspin.analysis.cost import source_cost
from gnnspin.core import FieldSource, InvalidInput, normalize
from gnnspin.datasets import LabelSet
from gnnspin.datasets.splits import open_labels
from gnnspin.electrons import DrivenSteadyState, SDHamiltonian
from gnnspin.systems import SpinSystem
from gnnspin.training import TrainingConfig, evaluate, fit
from gnnspin.training.job import ModelConfig

TOLERANCES = (1e-3, 1e-2, 1e-1)
WALLS = 4


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("labels", type=Path)
    parser.add_argument("held_out", type=Path)
    parser.add_argument("--numbers", type=int, nargs="+", default=[2, 3, 4, 6], help="poles, and energies per lead")
    parser.add_argument("--sizes", nargs="+", default=["48x8", "48x24"], help="ribbons on which fields are timed")
    given = parser.parse_args()
    torch.set_num_threads(1)
    labels, held_out = open_labels(str(given.labels)), open_labels(str(given.held_out))
    by_voltage = groups(held_out)
    if not by_voltage:
        raise InvalidInput(f"{given.held_out} holds no labels of electrons between leads; make some by a driven study")
    low, high = min(by_voltage), max(by_voltage)
    print(
        "| source | fit, s |", *(f"error at V = {2 * v:g} |" for v in by_voltage), *(f"{s}, µs |" for s in given.sizes)
    )
    print("|---" * (2 + len(by_voltage) + len(given.sizes)) + "|")
    for number in given.numbers:
        config = ModelConfig(
            name="fitted_steady_state",
            cutoff=1.0,
            conditions={"voltage.0": (low, high)},
            hyperparameters={"poles": number, "energies": number},
        )
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            model = config.build(labels.systems[0], labels)
            found = fit(model, labels, held_out, TrainingConfig(), directory=folder, progress=False).force_field
            seconds = time.process_time() - start
        errors = [evaluate(found, part) for part in by_voltage.values()]
        member = found.at(**{"voltage.0": high})
        costs = [cost(member.on(ribbon(size))) for size in given.sizes]
        print(
            f"| {number} poles, {number} energies | {seconds:.0f} |",
            *(f"{each.torque_rmse / each.torque_rms:.1%} |" for each in errors),
            *(f"{each:.0f} |" for each in costs),
            flush=True,
        )
    for tolerance in TOLERANCES:
        errors = [evaluate(exact(part, part.systems[0], tolerance), only(part)) for part in by_voltage.values()]
        costs = [cost(exact(by_voltage[high], ribbon(size), tolerance)) for size in given.sizes]
        print(
            f"| exact at {tolerance:g} | |",
            *(f"{each.torque_rmse / each.torque_rms:.1%} |" for each in errors),
            *(f"{each:.0f} |" for each in costs),
            flush=True,
        )
    between(labels, list(by_voltage), ribbon(given.sizes[0]))


def between(labels: LabelSet, voltages: Sequence[float], system: SpinSystem) -> None:
    """Print errors of the mean of two exact torques against that of the voltage in the middle."""
    walls = torch.stack([noisy_wall(system, seed) for seed in range(WALLS)])
    for low, high in [*pairwise(voltages), (voltages[0], voltages[-1])]:
        first, second, middle = (
            exact(labels, system, TOLERANCES[0], shift).torque(walls) for shift in (low, high, (low + high) / 2)
        )
        error = ((first + second) / 2 - middle).square().sum() / middle.square().sum()
        print(f"mean of exact fields at V = {2 * low:g} and {2 * high:g}, in the middle: {float(error) ** 0.5:.1%}")


def groups(labels: LabelSet) -> dict[float, LabelSet]:
    """Labels by the shift of the first lead."""
    solvers = [label.provenance.get("solver", {}) for label in labels]
    shifts = [float(solver["voltage"][0]) if "contacts" in solver else None for solver in solvers]
    known = sorted({shift for shift in shifts if shift is not None})
    return {shift: labels.subset([k for k, own in enumerate(shifts) if own == shift]) for shift in known}


def only(labels: LabelSet) -> LabelSet:
    """Labels of the first system."""
    return labels.subset([k for k, index in enumerate(labels.system_index) if index == labels.system_index[0]])


def ribbon(size: str) -> SpinSystem:
    """A square ribbon, open along its first direction."""
    length, width = (int(part) for part in size.split("x"))
    return gs.systems.square(length, width, pbc=(False, True))


def exact(labels: LabelSet, system: SpinSystem, tolerance: float, shift: float | None = None) -> DrivenSteadyState:
    """The solver that labels record, on a system and at a tolerance; or with other shifts of the two ends."""
    record = labels[0].provenance
    hamiltonian = SDHamiltonian.recipe(record["hamiltonian"]).build(system)
    values = {**record["solver"], "tolerance": tolerance}
    if shift is not None:
        values["voltage"] = [shift, -shift, *values["voltage"][2:]]
    recipe = DrivenSteadyState.recipe(values, ("hamiltonian",))
    source: DrivenSteadyState = recipe.build(hamiltonian=hamiltonian)
    return source


def noisy_wall(system: SpinSystem, seed: int) -> Tensor:
    """A wall in the middle, with noise, (N, 3)."""
    wall = gs.observables.order_boundary(system, ("neel", "ferromagnet"), place=0.5)
    return normalize(wall + 0.1 * torch.randn(wall.shape, generator=torch.Generator().manual_seed(seed)))


def cost(source: FieldSource) -> float:
    """Processor time of a field in microseconds per site, of a noisy wall."""
    return source_cost(source, noisy_wall(source.system, 0))


if __name__ == "__main__":
    main()
