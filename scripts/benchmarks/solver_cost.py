"""Cost of one field by pole expansion, diagonalisation and kernel polynomials: time, memory, accuracy, growth.

Run with the number of threads that you want to compare, for example ``OMP_NUM_THREADS=1``::

    python scripts/benchmarks/solver_cost.py --sizes 8 12 16 24 32 48 64 --dense-up-to 48 --polynomial-up-to 32

Poles are timed at a tight tolerance and at one that gives a relative torque error of 1e-3, kernel polynomials at the
number of moments that gives 1e-3 (deterministic, float32). Errors are relative to the root mean square torque, against
diagonalisation where it was run and else against the tight poles.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np
import torch

from gnnspin.core import FieldSource, normalize, random_spins
from gnnspin.electrons import ExactDiagonalization, KernelPolynomial, PoleExpansion, SDHamiltonian
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


def relative_error(spins: torch.Tensor, field: torch.Tensor, reference: torch.Tensor) -> float:
    """Root mean square error of the torque relative to the root mean square torque."""
    error, exact = torch.linalg.cross(spins, field - reference), torch.linalg.cross(spins, reference)
    return float(error.square().mean().sqrt() / exact.square().mean().sqrt())


def row(length: int, arguments: argparse.Namespace) -> tuple[float, float, float]:
    """Measure and print one size; seconds of poles, diagonalisation and polynomials (nan where left out)."""
    system = LATTICES[arguments.lattice](length, length)
    hamiltonian, spins = SDHamiltonian(system, J=arguments.J), random_spins(system.n_sites, seed=0)
    ensemble = {"kT": arguments.kT, "mu": arguments.mu}
    poles = PoleExpansion(hamiltonian, tolerance=arguments.tolerance, **ensemble)
    loose = PoleExpansion(hamiltonian, tolerance=1e-4, **ensemble)
    poles.field(spins)
    tight_time, tight = seconds(poles, spins, arguments.repeats)
    loose_time, coarse = seconds(loose, spins, arguments.repeats)
    number = PoleExpansion(hamiltonian, arguments.kT, filling=0.4, tolerance=arguments.tolerance)
    number.field(spins)
    number_time, _ = seconds(number, normalize(spins + 0.01 * random_spins(system.n_sites, seed=1)), 1)
    memory = peak_memory()
    dense_time, dense_error, reference = np.nan, np.nan, tight
    if length <= arguments.dense_up_to:
        exact = ExactDiagonalization(hamiltonian, **ensemble)
        dense_time, reference = seconds(exact, spins, arguments.repeats if length <= 24 else 1)
        dense_error = relative_error(spins, tight, reference)
    kpm_time, kpm_error = np.nan, np.nan
    if length <= arguments.polynomial_up_to:
        kpm = KernelPolynomial(hamiltonian, n_moments=arguments.moments, dtype=torch.float32, **ensemble)
        kpm_time, field = seconds(kpm, spins, 1)
        kpm_error = relative_error(spins, field, reference)
    coarse_error = relative_error(spins, coarse, reference)
    print(
        f"{length:3d}x{length:<3d} {tight_time:9.3f} {dense_error:8.0e} {loose_time:9.3f} {coarse_error:8.0e}"
        f" {number_time:9.3f} {dense_time:9.2f} {kpm_time:9.2f} {kpm_error:8.0e}"
        f" {dense_time / tight_time:9.1f} {kpm_time / loose_time:9.1f} {memory:7.2f}",
        flush=True,
    )
    return tight_time, dense_time, kpm_time


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lattice", choices=sorted(LATTICES), default="triangular")
    parser.add_argument("--sizes", type=int, nargs="+", default=[8, 12, 16, 24, 32, 48, 64])
    parser.add_argument("--dense-up-to", type=int, default=32, help="largest size to diagonalise")
    parser.add_argument("--polynomial-up-to", type=int, default=32, help="largest size for kernel polynomials")
    parser.add_argument("--moments", type=int, default=1100, help="Chebyshev moments for an error of 1e-3")
    parser.add_argument("--J", type=float, default=3.0)
    parser.add_argument("--kT", type=float, default=0.01)
    parser.add_argument("--mu", type=float, default=-3.2)
    parser.add_argument("--tolerance", type=float, default=1e-8)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{arguments}; threads {torch.get_num_threads()}; seconds per field, memory in GB")
    print(
        "  size   poles s   error   poles s    error   filling s   dense s     KPM s    error dense/poles KPM/poles"
        "  memory"
    )
    times = np.array([row(length, arguments) for length in sorted(arguments.sizes)])
    sites = np.sort(np.array(arguments.sizes)) ** 2.0
    for name, column in zip(("poles", "dense", "KPM"), times.T, strict=True):
        used = np.isfinite(column) & (sites >= 256)
        if used.sum() > 1:
            print(f"{name}: time ~ N^{np.polyfit(np.log(sites[used]), np.log(column[used]), 1)[0]:.2f} from 16x16 up")


if __name__ == "__main__":
    main()
