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
from gnnspin.datasets.labels import Label
from gnnspin.electrons import ExactDiagonalization, SDHamiltonian
from gnnspin.electrons.driven.driven_steady_state import DrivenSteadyState

KT = 0.0025
CLOSED_COLUMNS = slice(8, 19)


@dataclass(frozen=True)
class Guess:
    """Parameters that are not published.

    `bath` is the level width of a reservoir on every site, at the mean mu; `bottom` the lower end of the energies.
    """

    J: float
    gamma: float
    mu_left: float
    mu_right: float
    bath: float = 0.0
    bottom: float | None = None

    def __str__(self) -> str:
        bottom = -np.inf if self.bottom is None else self.bottom
        return (
            f"{self.J:5.2f} {self.gamma:5.1f} {self.mu_left:6.2f} {self.mu_right:6.2f} {self.bath:6.3f} {bottom:6.1f}"
        )

    def source(self, hamiltonian: SDHamiltonian, device: str) -> DrivenSteadyState:
        """Leads on the first and the last column."""
        n_x, n_y, _ = hamiltonian.system.lattice_shape or (0, 0, 0)
        n = n_x * n_y
        contacts, gamma = [range(n_y), range(n - n_y, n)], [self.gamma, self.gamma]
        potentials = [self.mu_left, self.mu_right]
        if self.bath:
            contacts, gamma = [*contacts, range(n)], [*gamma, self.bath]
            potentials = [*potentials, (self.mu_left + self.mu_right) / 2]
        return DrivenSteadyState(hamiltonian, contacts, gamma, potentials, kT=KT, bottom=self.bottom, device=device)


GUESSES = (
    Guess(3.8, 1.0, -3.0, -3.3),
    Guess(3.8, 2.0, -3.3, -3.3),
    Guess(3.8, 2.0, -3.1, -3.3),
    Guess(3.8, 2.0, -3.1, -3.3, bath=0.02),
    Guess(3.8, 2.0, -3.1, -3.3, bath=0.02, bottom=-8.5),
    Guess(3.8, 2.0, -3.05, -3.3, bath=0.02, bottom=-8.5),
    Guess(3.8, 2.0, -3.3, -3.1, bath=0.02, bottom=-8.5),
)


def agreement(computed: Tensor, stored: Tensor) -> str:
    """Correlation and relative error of torques."""
    correlation = np.corrcoef(computed.reshape(-1).numpy(), stored.reshape(-1).numpy())[0, 1]
    error = (computed - stored).square().mean().sqrt() / stored.square().mean().sqrt()
    return f"{correlation:8.5f} {float(error):7.4f}"


def compared(guess: Guess, label: Label, target: Tensor, device: str) -> str:
    """One row: agreement of the torques, current from the left lead, error of the density, time."""
    start = time.perf_counter()
    state = guess.source(SDHamiltonian(label.system, J=guess.J), device).solve(label.spins)
    found = torque(label.spins, state.field).view_as(target)
    parts = [agreement(found[part], target[part]) for part in (slice(None), slice(0, 1), slice(-1, None))]
    assert label.density is not None
    density = float((state.density - label.density).square().mean().sqrt())
    current = float(state.currents[0])
    return f"{' '.join(parts)} {current:8.4f} {density:7.4f} {time.perf_counter() - start:6.1f}"


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

    print("Wide-band leads on both ends: correlation and relative error of the torque in all, first and last columns")
    print(
        f"{'J':>5} {'gamma':>5} {'mu_L':>6} {'mu_R':>6} {'bath':>6} {'bottom':>6} {'file':>5} {'all columns':>16} "
        f"{'first':>16} {'last':>16} {'current':>8} {'rms n':>7} {'time/s':>6}"
    )
    for guess in (GUESSES[row] for row in options.rows):
        for name, label, target in zip(names, labels, stored, strict=True):
            print(f"{guess} {name:>5} {compared(guess, label, target, options.device)}", flush=True)


if __name__ == "__main__":
    main()
