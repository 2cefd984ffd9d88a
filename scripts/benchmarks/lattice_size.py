"""How far the torque of one pattern of spins depends on the size of the torus that it fills.

A random pattern of 12x12 spins is repeated m x m times. Its electrons on that torus are those of one pattern at m^2
twists of its boundary (Bloch's theorem), so that lattices far beyond the exact solver cost m^2 small diagonalisations:

    python scripts/benchmarks/lattice_size.py

The deviation from the largest torus is what a local model cannot learn from labels of a smaller one.
"""

from __future__ import annotations

from itertools import product
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor

import gnnspin as gs

EDGE = 12


def mean_torque(spins: Tensor, repeats: int, kT: float) -> Tensor:
    """Torque (144, 3) of the repeated pattern in the study of skyrmion crystals: the mean over all twists."""
    system = gs.systems.triangular(EDGE, EDGE)
    hopping = gs.electrons.ShellHopping((1.0, 0.0, -0.85))
    torques = []
    for twist in product(2 * np.pi * np.arange(repeats) / repeats, repeat=2):
        twisted = gs.electrons.TwistedHopping(hopping, (*twist, 0.0))
        h = gs.electrons.SDHamiltonian(system, hopping=twisted, J=0.5)
        torques.append(gs.electrons.ExactDiagonalization(h, kT=kT, mu=-3.5).torque(spins))
    return torch.stack(torques).mean(0)


def main(
    kT: Annotated[float, typer.Option(help="Temperature of the electrons.")] = 0.01,
    largest: Annotated[int, typer.Option(help="Repeats of the pattern that count as infinite.")] = 6,
) -> None:
    """Print the torque and its deviation from that of the largest torus."""
    spins = gs.core.random_spins(EDGE**2, seed=5)
    reference = mean_torque(spins, largest, kT)
    typer.echo(f"edge {EDGE * largest}: torque rms {reference.square().mean().sqrt():.5f}")
    for repeats in range(2, largest):
        torque = mean_torque(spins, repeats, kT)
        deviation = (torque - reference).norm() / reference.norm()
        typer.echo(f"edge {EDGE * repeats}: torque rms {torque.square().mean().sqrt():.5f}, deviation {deviation:.3f}")


if __name__ == "__main__":
    typer.run(main)
