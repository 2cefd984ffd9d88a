"""Cost of one field of electrons between leads: dense steady states against poles and recursive Green's functions.

Ribbons with both end columns coupled to leads and a weak bath on every site, parameters as of the published driven wall
(see `driven_wall_labels.py`); the spins are a noisy wall between Neel and ferromagnetic order. Seconds are processor
seconds of the best of a few evaluations, errors the largest of any spin's torque against the dense path (where that
is too large, against tolerance 1e-8). Run it on one thread::

    OMP_NUM_THREADS=1 python scripts/benchmarks/steady_state_cost.py --sizes 16x12 32x24 64x24 128x24 64x48
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gnnspin.core import normalize, torque
from gnnspin.electrons import DrivenSteadyState, SDHamiltonian
from gnnspin.systems import square

TOLERANCES = (1e-3, 1e-5, 1e-8)


def noisy_wall(hamiltonian: SDHamiltonian, seed: int) -> Tensor:
    """Neel order on the left, ferromagnetic order on the right, in between a wall of width 2, all with noise."""
    positions = hamiltonian.system.positions
    share = 1 / (1 + np.exp((positions[:, 0].mean() - positions[:, 0]) / 2))
    stagger = (-1.0) ** np.round(positions.sum(1))
    mixed = np.outer((1 - share) * stagger, [0, 0, 1]) + np.outer(share, [1, 0, 0])
    return normalize(torch.from_numpy(mixed + 0.2 * np.random.default_rng(seed).standard_normal(mixed.shape)))


def source(hamiltonian: SDHamiltonian, options: argparse.Namespace, **values: Any) -> DrivenSteadyState:
    """Leads on the first and the last column, and a bath unless it is 0."""
    n_x, n_y, _ = hamiltonian.system.lattice_shape or (0, 0, 0)
    n, half = n_x * n_y, options.voltage / 2
    contacts, gamma, shifts = [range(n_y), range(n - n_y, n)], [options.gamma] * 2, [half, -half]
    if options.bath:
        contacts, gamma, shifts = [*contacts, range(n)], [*gamma, options.bath], [*shifts, 0.0]
    given = {"kT": options.kT, "mu": options.mu, "bottom": options.bottom, **values}
    return DrivenSteadyState(hamiltonian, contacts, gamma, shifts, **given)


def seconds(one: DrivenSteadyState, spins: Tensor, repeats: int) -> tuple[float, Tensor]:
    """Least processor time of a field of every replica, and the torques; plans are made before."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        field = one.field(spins)
        times.append(time.process_time() - start)
    return min(times), torque(spins, field)


def row(size: str, options: argparse.Namespace) -> tuple[float, float]:
    """One line of the table; sites, and seconds at the middle tolerance."""
    n_x, n_y = (int(part) for part in size.split("x"))
    hamiltonian = SDHamiltonian(square(n_x, n_y, pbc=(False, True)), J=options.J)
    spins = noisy_wall(hamiltonian, 0)
    found: list[tuple[float, Tensor]] = []
    for tolerance in TOLERANCES:
        one = source(hamiltonian, options, method="sparse", tolerance=tolerance)
        if not found:
            one.field(spins)
        found.append(seconds(one, spins, options.repeats))
    several = torch.stack([noisy_wall(hamiltonian, seed) for seed in range(options.replicas)])
    batched = seconds(source(hamiltonian, options, method="sparse", tolerance=TOLERANCES[1]), several, 1)[0]
    dense, exact = np.nan, found[-1][1]
    if n_x * n_y <= options.dense_up_to:
        dense, exact = seconds(source(hamiltonian, options, method="dense"), spins, 1)
    cells = [f"{size:>8} {dense:9.2f}"]
    for spent, torques in found:
        cells.append(f"{spent:8.2f} {float((torques - exact).norm(dim=-1).max()):8.1e} {dense / spent:7.1f}")
    print(" ".join(cells) + f" {batched / options.replicas:9.2f}", flush=True)
    return float(n_x * n_y), found[1][0]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["16x12", "32x24", "64x24", "128x24", "64x48"])
    parser.add_argument("--dense-up-to", type=int, default=768, help="most sites for the dense path")
    parser.add_argument("--J", type=float, default=3.8)
    parser.add_argument("--gamma", type=float, default=2.0, help="level width at the end columns")
    parser.add_argument("--bath", type=float, default=0.02, help="level width on every site, at the mean mu; 0: none")
    parser.add_argument("--voltage", type=float, default=0.2)
    parser.add_argument("--kT", type=float, default=0.0025)
    parser.add_argument("--mu", type=float, default=-3.2)
    parser.add_argument("--bottom", type=float, default=-8.5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--replicas", type=int, default=4, help="replicas in the last column")
    options = parser.parse_args()
    print(f"{options}; threads {torch.get_num_threads()}; processor seconds per field, largest torque error, ratio")
    print(
        f"{'size':>8} {'dense':>9} "
        + " ".join(f"{f'at {tolerance:.0e}':>8} {'error':>8} {'dense/':>7}" for tolerance in TOLERANCES)
        + f" {'batched':>9}"
    )
    results = [row(size, options) for size in options.sizes]
    if len(results) > 1:
        sites, spent = np.array(results).T
        print(f"time at tolerance {TOLERANCES[1]:.0e} ~ N^{np.polyfit(np.log(sites), np.log(spent), 1)[0]:.2f}")


if __name__ == "__main__":
    main()
