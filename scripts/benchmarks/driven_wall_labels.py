"""Reproduce the published torques of a voltage-driven wall (npj Comput. Mater. 9, 32 (2023)) with the driven solver.

Lattice, spins and kT are published; coupling of the leads, voltage and chemical potential are not. Every row of the
table is one guess, compared with the stored torques of both snapshots: correlation and relative root mean square error
over all sites and over the columns next to the leads. Needs the published files (GNNSPIN_DATA).

    python scripts/benchmarks/driven_wall_labels.py [--rows 0 3 4] [--device cpu]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from gnnspin.core import torque
from gnnspin.datasets import published
from gnnspin.electrons import ExactDiagonalization, SDHamiltonian
from gnnspin.electrons.driven_steady_state import DrivenSteadyState

KT = 0.0025
CLOSED_COLUMNS = slice(8, 19)


@dataclass(frozen=True)
class Guess:
    """Parameters that are not published; `bath` is the level width of a reservoir on every site, at the mean mu."""

    J: float
    gamma: float
    mu_left: float
    mu_right: float
    bath: float = 0.0

    def source(self, hamiltonian: SDHamiltonian, device: str) -> DrivenSteadyState:
        """Leads on the first and the last column."""
        n_x, n_y, _ = hamiltonian.system.lattice_shape or (0, 0, 0)
        n = n_x * n_y
        contacts, gamma = [range(n_y), range(n - n_y, n)], [self.gamma, self.gamma]
        potentials = [self.mu_left, self.mu_right]
        if self.bath:
            contacts, gamma = [*contacts, range(n)], [*gamma, self.bath]
            potentials = [*potentials, (self.mu_left + self.mu_right) / 2]
        return DrivenSteadyState(hamiltonian, contacts, gamma, potentials, kT=KT, device=device)


GUESSES = (
    Guess(3.8, 1.0, -3.0, -3.3),
    Guess(3.8, 2.0, -3.3, -3.3),
    Guess(3.8, 2.0, -3.05, -3.05),
    Guess(3.8, 2.0, -3.05, -3.3),
    Guess(3.8, 2.0, -3.05, -3.3, bath=0.01),
    Guess(3.85, 2.0, -3.05, -3.35, bath=0.01),
    Guess(3.8, 2.0, -3.3, -3.05, bath=0.01),
    Guess(3.8, 4.0, -3.05, -3.3, bath=0.01),
)


def agreement(computed: Tensor, stored: Tensor) -> str:
    """Correlation and relative error of torques."""
    correlation = np.corrcoef(computed.reshape(-1).numpy(), stored.reshape(-1).numpy())[0, 1]
    error = (computed - stored).square().mean().sqrt() / stored.square().mean().sqrt()
    return f"{correlation:8.5f} {float(error):7.4f}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=list(range(len(GUESSES))), help="rows of the table")
    parser.add_argument("--device", default="cpu", help="where the matrices are treated")
    options = parser.parse_args()
    labels = published.load("driven_wall_negf")
    names = ("c0", "c500")
    system = labels[0].system
    n_x, n_y, _ = system.lattice_shape or (0, 0, 0)
    stored = [torque(labels[k].spins, labels[k].field).view(n_x, n_y, 3) for k in range(2)]

    closed = ExactDiagonalization(SDHamiltonian(system, J=3.8), kT=KT, filling=0.5, device=options.device)
    inside = closed.torque(labels[0].spins).view(n_x, n_y, 3)[CLOSED_COLUMNS]
    print("Closed system, J = 3.8, half filling, c0 columns 8-18: correlation, relative error")
    print(agreement(inside, stored[0][CLOSED_COLUMNS]), "\n")

    print("Wide-band leads on both ends: correlation and relative error of the torque; all columns, first, last")
    print(
        f"{'J':>5} {'gamma':>5} {'mu_L':>6} {'mu_R':>6} {'bath':>6} {'file':>5} {'all columns':>16} {'first':>16} "
        f"{'last':>16} {'current':>8} {'rms n':>7} {'time/s':>6}"
    )
    for guess in (GUESSES[row] for row in options.rows):
        source = guess.source(SDHamiltonian(system, J=guess.J), options.device)
        for name, label, target in zip(names, labels, stored, strict=True):
            start = time.perf_counter()
            state = source.solve(label.spins)
            found = torque(label.spins, state.field).view(n_x, n_y, 3)
            parts = [agreement(found[part], target[part]) for part in (slice(None), slice(0, 1), slice(-1, None))]
            density = float((state.density - label.density).square().mean().sqrt())
            print(
                f"{guess.J:5.2f} {guess.gamma:5.1f} {guess.mu_left:6.2f} {guess.mu_right:6.2f} {guess.bath:6.3f} "
                f"{name:>5} {' '.join(parts)} {float(state.currents[0]):8.4f} {density:7.4f} "
                f"{time.perf_counter() - start:6.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
