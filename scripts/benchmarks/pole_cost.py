"""Processor time of pole fields per site against size and tolerance, and how much of it single precision saves.

    python scripts/benchmarks/pole_cost.py [--sizes 24 48 96] [--tolerances 1e-1 1e-2 1e-4 1e-8]

Triangular lattice, J = 3, mu = -3.2, kT = 0.01, random spins, one thread; the least of several evaluations. "field" is
what dynamics asks for, in single precision where the tolerance allows; "energy and field" is always in double. The
last line is the rate of a 1024^3 float32 matrix product, by which machines compare.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

import gnnspin as gs


def processor_time(work: Callable[[], object], repetitions: int) -> float:
    """The least processor time of several calls, in seconds."""
    times = []
    for _ in range(repetitions):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[24, 48, 96])
    parser.add_argument("--tolerances", type=float, nargs="+", default=[1e-1, 1e-2, 1e-4, 1e-8])
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("| size | tolerance | poles | field, µs per site | energy and field | torque error, relative |")
    print("|---|---|---|---|---|---|")
    for size in given.sizes:
        hamiltonian = gs.electrons.SDHamiltonian(gs.systems.triangular(size, size), J=3.0)
        spins = gs.core.random_spins(size**2, seed=0)
        best: torch.Tensor | None = None
        for tolerance in sorted(given.tolerances):
            poles = gs.electrons.PoleExpansion(hamiltonian, kT=0.01, mu=-3.2, tolerance=tolerance)
            torque = poles.torque(spins)
            best = torque if best is None else best
            error = float((torque - best).norm() / best.norm())
            repetitions = 5 if size < 64 else 2
            field, both = (
                processor_time(lambda: ask(spins), repetitions) / size**2 * 1e6  # noqa: B023
                for ask in (poles.field, poles.energy_and_field)
            )
            print(f"| {size}x{size} | {tolerance:g} | {poles.n_poles} | {field:.0f} | {both:.0f} | {error:.1e} |")
    matrix = torch.randn(1024, 1024)
    seconds = processor_time(lambda: matrix @ matrix, 5)
    print(f"\n1024^3 float32 product: {2 * 1024**3 / seconds / 1e9:.0f} GFLOP/s")


if __name__ == "__main__":
    main()
