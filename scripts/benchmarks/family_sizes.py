"""Errors of a family of models on random spins of lattices of several sizes, against exact diagonalisation.

python scripts/benchmarks/family_sizes.py
"""

from __future__ import annotations

import typer

import gnnspin as gs
from gnnspin.core import random_spins

SIZES = (9, 12, 15, 18)
POINTS = ((2.0, 0.2), (4.5, 0.35), (2.5, 0.4), (5.0, 0.45))


def main(model: str = "pretrained:triangular_sd", kT: float = 0.05) -> None:
    """Print the error over the torque, and the share of spins within their 90 % error bar, by size, J and filling."""
    for length in SIZES:
        system = gs.systems.triangular(length, length)
        family, spins = gs.load(model, system), random_spins(length**2, seed=11)
        for coupling, filling in POINTS:
            electrons = gs.electrons.SDHamiltonian(system, J=coupling)
            exact = gs.electrons.ExactDiagonalization(electrons, kT=kT, filling=filling).torque(spins)
            learned, radius = family.at(J=coupling, filling=filling).torque_with_error_bar(spins, 0.9)
            error = learned - exact
            within = float((error.norm(dim=-1) <= radius).double().mean())
            share = float(error.norm() / exact.norm())
            typer.echo(f"{length}x{length}, J = {coupling:g}, filling {filling:g}: {share:.0%}, within {within:.0%}")


if __name__ == "__main__":
    typer.run(main)
