"""Field evaluations by pole expansion against exact diagonalisation: time, memory, accuracy and their growth.

Run with the number of threads that you want to compare, for example ``OMP_NUM_THREADS=1``::

    python scripts/benchmarks/pole_against_dense.py --dense-up-to 32
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np
import torch

from gnnspin.core import FieldSource, normalize, random_spins
from gnnspin.electrons import ExactDiagonalization, SDHamiltonian
from gnnspin.electrons.pole_expansion import PoleExpansion
from gnnspin.systems import SpinSystem, square, triangular

LATTICES: dict[str, Callable[[int, int], SpinSystem]] = {"triangular": triangular, "square": square}


def seconds(source: FieldSource, spins: torch.Tensor, repeats: int) -> tuple[float, torch.Tensor]:
    """Shortest time of one field evaluation, and the field."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        field = source.field(spins)
        times.append(time.perf_counter() - start)
    return min(times), field


def peak_memory() -> float:
    """Largest resident memory of this process so far, GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def row(length: int, arguments: argparse.Namespace) -> tuple[float, float]:
    """Measure and print one size; seconds of poles and of diagonalisation (nan where it is too large)."""
    system = LATTICES[arguments.lattice](length, length)
    hamiltonian, spins = SDHamiltonian(system, J=arguments.J), random_spins(system.n_sites, seed=0)
    start = time.perf_counter()
    poles = PoleExpansion(hamiltonian, arguments.kT, mu=arguments.mu, tolerance=arguments.tolerance)
    plan = time.perf_counter() - start
    fast, field = seconds(poles, spins, arguments.repeats)
    memory = peak_memory()
    number = PoleExpansion(hamiltonian, arguments.kT, filling=0.4, tolerance=arguments.tolerance)
    number.field(spins)
    step = normalize(spins + 0.01 * random_spins(system.n_sites, seed=1))
    warm, _ = seconds(number, step, 1)
    slow, error, signal = np.nan, np.nan, np.nan
    if length <= arguments.dense_up_to:
        exact = ExactDiagonalization(hamiltonian, arguments.kT, mu=arguments.mu)
        slow, reference = seconds(exact, spins, arguments.repeats if length <= 24 else 1)
        error = float(torch.linalg.cross(spins, field - reference).norm(dim=-1).max())
        signal = float(torch.linalg.cross(spins, reference).norm(dim=-1).max())
    print(
        f"{length:3d}x{length:<3d} {poles.n_poles:5d} {plan:7.2f} {fast:9.3f} {warm:9.3f} {slow:9.2f}"
        f" {slow / fast:8.1f} {error:10.1e} {signal:8.2f} {memory:8.2f}",
        flush=True,
    )
    return fast, slow


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lattice", choices=sorted(LATTICES), default="triangular")
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 12, 16, 24, 32, 48, 64])
    parser.add_argument("--dense-up-to", type=int, default=32, help="largest size to diagonalise")
    parser.add_argument("--J", type=float, default=3.0)
    parser.add_argument("--kT", type=float, default=0.01)
    parser.add_argument("--mu", type=float, default=-3.2)
    parser.add_argument("--tolerance", type=float, default=1e-8)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{arguments}; threads {torch.get_num_threads()}; seconds per field, memory in GB")
    print("  size   poles    plan  poles(mu) warm(fill)      dense    ratio  torque err   torque   memory")
    times = np.array([row(length, arguments) for length in sorted(arguments.sizes)])
    sites = np.sort(np.array(arguments.sizes)) ** 2.0
    for name, column in zip(("poles", "dense"), times.T, strict=True):
        used = np.isfinite(column) & (sites >= 256)
        if used.sum() > 1:
            print(f"{name}: time ~ N^{np.polyfit(np.log(sites[used]), np.log(column[used]), 1)[0]:.2f} from 16x16 up")


if __name__ == "__main__":
    main()
