"""How much of a model's torque error at fixed electron number is a shift of the chemical potential.

    python scripts/benchmarks/chemical_potential.py

For held-out snapshots of `kondo_square_random`: the exact chemical potential, each model's error, and that error
without its projection on dT/dmu (exact diagonalisation at kT = 0.02, a difference over 0.06). The last lines give the
root mean squares and the correlation of the projection with the deviation of mu from its mean.

    python scripts/benchmarks/chemical_potential.py --search

prints what `PoleExpansion` pays for a fixed electron number: matrices inverted per field over those of one evaluation
at a known mu, and processor time per field beside that of diagonalisation.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated

import torch
import typer
from torch import Tensor

import gnnspin as gs
from gnnspin.core import random_spins, torque
from gnnspin.datasets import open_labels
from gnnspin.electrons.poles.selected_inverse import SelectedInverse

KT, STEP = 0.02, 0.03

#: Name, system, coupling, filling and temperature of the searches that are measured.
SEARCHES: list[tuple[str, Callable[[int, int], gs.systems.SpinSystem], int, float, float, float]] = [
    ("double exchange", gs.systems.square, 24, 6.0, 0.485, 0.003),
    ("double exchange", gs.systems.square, 24, 6.0, 0.485, 0.02),
    ("triangular", gs.systems.triangular, 24, 3.0, 0.41, 0.003),
    ("triangular", gs.systems.triangular, 24, 3.0, 0.41, 0.05),
    ("triangular", gs.systems.triangular, 12, 3.0, 0.41, 0.003),
]


def main(
    models: Annotated[list[str] | None, typer.Argument(help="Model files, or pretrained:NAME.")] = None,
    labels: Annotated[
        str, typer.Option(help="Labels of the square lattice at J = 3.5.")
    ] = "published:kondo_square_random",
    first: Annotated[int, typer.Option(help="First snapshot.")] = 90,
    filling: Annotated[float, typer.Option(help="Electrons per spin-orbital.")] = 0.48,
    search: Annotated[bool, typer.Option("--search", help="Measure the search for mu instead.")] = False,
) -> None:
    """Print errors with and without the part along dT/dmu, or the cost of the search for mu."""
    if search:
        print_searches()
        return
    models = models or ["pretrained:kondo_square_random", "pretrained:kondo_square_random_fixed_number"]
    data = open_labels(labels)
    system = data[first].system
    h = gs.electrons.SDHamiltonian(system, hopping=gs.electrons.NearestNeighborHopping(t=1.0), J=3.5)
    sources = [gs.load(name, system=system) for name in models]
    potentials, rows = [], []
    for k in range(first, len(data)):
        spins, field = (torch.as_tensor(each, dtype=torch.float64) for each in (data[k].spins, data[k].field))
        mu = float(gs.electrons.ExactDiagonalization(h, kT=0.0, filling=filling).solve(spins).mu)
        direction = _derivative(h, spins, mu)
        potentials.append(mu)
        rows.append([_split(torque(spins, source.field(spins) - field), direction) for source in sources])
        errors = "   ".join(f"{error:.4f} -> {rest:.4f}" for error, _, rest in rows[-1])
        typer.echo(f"snapshot {k}: mu = {mu:.4f}; torque error and without its part along dT/dmu: {errors}")
    shift = torch.tensor(potentials) - sum(potentials) / len(potentials)
    for name, column in zip(models, torch.tensor(rows).unbind(1), strict=True):
        error, along, rest = column.unbind(1)
        correlation = float(torch.corrcoef(torch.stack([along, shift]))[0, 1])
        typer.echo(f"{name}: {_rms(error):.5f} -> {_rms(rest):.5f}, correlation with mu {correlation:.3f}")


def print_searches(samples: int = 3) -> None:
    """Print evaluations and processor seconds per field, means over random spins."""
    inverted, original = [0], SelectedInverse.__call__

    def counted(self: SelectedInverse, shifts: Tensor, exchange: Tensor, *, inverse: bool = True) -> object:
        inverted[0] += len(shifts)
        return original(self, shifts, exchange, inverse=inverse)

    SelectedInverse.__call__ = counted  # type: ignore[assignment]
    typer.echo("system, size, filling, kT, tolerance: evaluations per field, seconds per field, of diagonalisation")
    for name, lattice, length, coupling, filling, kT in SEARCHES:
        h = gs.electrons.SDHamiltonian(lattice(length, length), J=coupling)
        spins = [random_spins(h.system.n_sites, seed=seed) for seed in range(samples)]
        dense = _processor_seconds(gs.electrons.ExactDiagonalization(h, kT=kT, filling=filling), spins[:1])
        for tolerance in (1e-2, 1e-4, 1e-8):
            poles = gs.electrons.PoleExpansion(h, kT=kT, filling=filling, tolerance=tolerance)
            inverted[0] = 0
            seconds = _processor_seconds(poles, spins)
            evaluations = inverted[0] / poles.n_poles / samples
            typer.echo(
                f"{name} {length}x{length}, {filling}, {kT}, {tolerance:g}:"
                f" {evaluations:.1f}, {seconds:.2f}, {dense:.2f}"
            )


def _processor_seconds(source: gs.core.FieldSource, spins: list[Tensor]) -> float:
    start = time.process_time()
    for each in spins:
        source.field(each)
    return (time.process_time() - start) / len(spins)


def _derivative(h: gs.electrons.SDHamiltonian, spins: Tensor, mu: float) -> Tensor:
    """dT/dmu (N, 3), smoothed over the level spacing."""
    low, high = (gs.electrons.ExactDiagonalization(h, kT=KT, mu=mu + d).field(spins) for d in (-STEP, STEP))
    return torque(spins, high - low) / (2 * STEP)


def _split(error: Tensor, direction: Tensor) -> tuple[float, float, float]:
    """Root mean square of an error (N, 3), its coefficient along a direction, and the root mean square of the rest."""
    along = float((error * direction).sum() / direction.square().sum())
    return float(_rms(error)), along, float(_rms(error - along * direction))


def _rms(values: Tensor) -> Tensor:
    return values.square().mean().sqrt()


if __name__ == "__main__":
    typer.run(main)
