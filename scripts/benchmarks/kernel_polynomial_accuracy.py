"""Accuracy and cost of the kernel polynomial method on the triangular lattice (J = 3, mu = -3.2, kT = 0.01).

Prints: torque error against the number of moments and of probe vectors, probe noise against its own estimate, time at
a relative torque error of 1e-3, and the exponent of the cost against the number of sites. Errors are relative to the
root mean square torque of random spins; diagonalisation is the reference. Run with ``--help`` for the sizes.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

import gnnspin as gs
from gnnspin.core import random_spins
from gnnspin.core.spins import torque
from gnnspin.electrons.polynomials.kernel_polynomial import KernelPolynomial

MU, KT, COUPLING = -3.2, 0.01, 3.0


def solver(length: int, **arguments: Any) -> KernelPolynomial:
    """KPM source on the length x length lattice."""
    hamiltonian = gs.electrons.SDHamiltonian(gs.systems.triangular(length, length), J=COUPLING)
    return KernelPolynomial(hamiltonian, kT=KT, mu=MU, **arguments)


def exact_torque(length: int, spins: Tensor) -> tuple[Tensor, float]:
    """Torque by diagonalisation, and its time."""
    hamiltonian = gs.electrons.SDHamiltonian(gs.systems.triangular(length, length), J=COUPLING)
    return timed(gs.electrons.ExactDiagonalization(hamiltonian, kT=KT, mu=MU), spins)


def timed(source: Any, spins: Tensor) -> tuple[Tensor, float]:
    """Torque and seconds of one field evaluation."""
    start = time.perf_counter()
    field = source.field(spins)
    seconds = time.perf_counter() - start
    return torque(spins, field), seconds


def error(found: Tensor, exact: Tensor) -> float:
    """Root mean square error relative to the root mean square torque."""
    return float((found - exact).square().mean().sqrt() / exact.square().mean().sqrt())


def truncation(length: int) -> None:
    """Error against the number of moments, exact traces."""
    spins = random_spins(length**2, seed=1)
    exact, _ = exact_torque(length, spins)
    print(f"\nTruncation, {length} x {length}, unit vectors")
    print(f"{'moments':>8} {'kernel':>8} {'precision':>10} {'error':>10} {'s':>7}")
    rows = [(500, "none"), (1000, "none"), (1500, "none"), (2000, "none"), (2000, "jackson")]
    for n_moments, kernel in rows:
        for dtype in (torch.float64, torch.float32):
            found, seconds = timed(solver(length, n_moments=n_moments, kernel=kernel, dtype=dtype), spins)
            name = str(dtype).removeprefix("torch.")
            print(f"{n_moments:8d} {kernel:>8} {name:>10} {error(found, exact):10.2e} {seconds:7.2f}", flush=True)


def probing(length: int, n_sets: int) -> None:
    """Error against the number of probe vectors, with the solver's own estimate."""
    spins = random_spins(length**2, seed=1)
    exact, _ = exact_torque(length, spins)
    print(f"\nProbes, {length} x {length}, 1000 moments, float32")
    print(f"{'probes':>8} {'vectors':>8} {'error':>10} {'estimate':>10} {'s':>7}")
    for probes, tile in [("random", 6), ("colored", 4), ("colored", 6), ("colored", 8), ("colored", 12)]:
        source = solver(length, n_moments=1000, probes=probes, n_colors=tile**2, dtype=torch.float32)
        found, seconds = timed(source, spins)
        estimate = source.estimate_error(spins, n_sets).relative
        print(
            f"{probes:>8} {source.n_vectors:8d} {error(found, exact):10.3f} {estimate:10.3f} {seconds:7.2f}", flush=True
        )


def equal_accuracy(lengths: list[int]) -> None:
    """Cheapest setting that reaches a relative torque error of 1e-3: unit vectors, single precision, no kernel."""
    print(f"\nTime at 1e-3\n{'lattice':>8} {'moments':>8} {'vectors':>8} {'error':>10} {'KPM s':>8} {'diag. s':>8}")
    for length in lengths:
        spins = random_spins(length**2, seed=1)
        exact, reference = exact_torque(length, spins)
        source = solver(length, n_moments=1100, dtype=torch.float32)
        found, seconds = timed(source, spins)
        row = f"{length:5d}^2  {source.n_moments:8d} {source.n_vectors:8d} {error(found, exact):10.2e}"
        print(f"{row} {seconds:8.2f} {reference:8.2f}", flush=True)


def scaling(lengths: list[int]) -> None:
    """Time of 64 colours and 200 moments, energy and field, against the number of sites."""
    print(f"\nScaling, 64 colours, 200 moments, float32\n{'lattice':>8} {'energy s':>9} {'field s':>9}")
    times = []
    for length in lengths:
        source = solver(length, n_moments=200, probes="colored", n_colors=64, dtype=torch.float32)
        spins = random_spins(length**2, seed=1)
        start = time.perf_counter()
        source.energy(spins)
        energy = time.perf_counter() - start
        times.append(timed(source, spins)[1])
        print(f"{length:5d}^2  {energy:9.3f} {times[-1]:9.3f}", flush=True)
    exponent = np.polyfit(np.log(np.square(lengths)), np.log(times), 1)[0]
    print(f"field time grows like N^{exponent:.2f}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--length", type=int, default=24, help="lattice of the accuracy tables, a multiple of 24")
    parser.add_argument(
        "--equal", type=int, nargs="*", default=[24, 32], help="lattices of the table at equal accuracy"
    )
    parser.add_argument("--scaling", type=int, nargs="*", default=[24, 48, 96], help="lattices of the scaling table")
    parser.add_argument("--sets", type=int, default=4, help="probe sets of the error estimate")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    truncation(arguments.length)
    probing(arguments.length, arguments.sets)
    equal_accuracy(arguments.equal)
    scaling(arguments.scaling)


if __name__ == "__main__":
    main()
