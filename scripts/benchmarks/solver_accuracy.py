"""Torque error of every solver against exact diagonalisation, by requested tolerance, on many kinds of systems.

OMP_NUM_THREADS=1 python scripts/benchmarks/solver_accuracy.py
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from scipy import sparse

import gnnspin as gs
from gnnspin.core import FieldSource, random_spins
from gnnspin.electrons import (
    ExactDiagonalization,
    ExponentialHopping,
    KernelPolynomial,
    NearestNeighborHopping,
    PoleExpansion,
    SDHamiltonian,
)


def two_orbitals(system: gs.systems.SpinSystem, seed: int = 0) -> SDHamiltonian:
    """Two orbitals per site, random hopping between neighbours with spin-orbit terms; only one orbital is coupled."""
    rng = np.random.default_rng(seed)
    bonds = NearestNeighborHopping(t=1.0).matrix(system).tocoo()
    dense = np.zeros((4 * system.n_sites,) * 2, dtype=complex)
    for i, j in zip(bonds.row, bonds.col, strict=True):
        block = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
        dense[4 * i : 4 * i + 4, 4 * j : 4 * j + 4] += 0.3 * block
    hermitian = sparse.csr_array(dense + dense.conj().T)
    return SDHamiltonian(system, hermitian, J=np.tile([2.0, 0.0], system.n_sites), orbitals=2)


def cases(large: bool) -> dict[str, tuple[SDHamiltonian, float, float]]:
    """Hamiltonian, kT and filling of every case."""
    lattices = {
        "square 8x8": gs.systems.square(8, 8),
        "triangular 8x8": gs.systems.triangular(8, 8),
        "kagome 5x5": gs.systems.kagome(5, 5),
        "pyrochlore 3x3x3": gs.systems.pyrochlore(3, 3, 3),
    }
    if large:
        lattices |= {"square 24x24": gs.systems.square(24, 24), "triangular 24x24": gs.systems.triangular(24, 24)}
    found = {name: (SDHamiltonian(system, J=3.0), 0.05, 0.3) for name, system in lattices.items()}
    found["two orbitals, spin-orbit"] = (two_orbitals(gs.systems.square(6, 6)), 0.05, 0.3)
    packing = gs.systems.amorphous(100, 5.0, 0.5, seed=0)
    found["amorphous 100"] = (SDHamiltonian(packing, ExponentialHopping(), J=6.0), 0.05, 0.5)
    return found


def error(source: FieldSource, exact: FieldSource, spins: torch.Tensor) -> float:
    """Largest deviation of a torque."""
    return float((source.torque(spins) - exact.torque(spins)).norm(dim=-1).max())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="leave out 24x24")
    arguments = parser.parse_args()
    print("largest torque error against diagonalisation, units of the hopping; kT = 0.05")
    print(f"{'system':26s} {'ensemble':8s} {'poles 1e-4':>11s} {'poles 1e-8':>11s} {'KPM 1e-4':>11s} {'KPM 1e-8':>11s}")
    for name, (h, kT, filling) in cases(not arguments.small).items():
        spins = random_spins(h.system.n_sites, seed=1)
        mu = float(ExactDiagonalization(h, kT, filling=filling).solve(spins).mu)
        ensembles: dict[str, dict[str, Any]] = {"mu": {"mu": mu}, "filling": {"filling": filling}}
        for label, ensemble in ensembles.items():
            exact = ExactDiagonalization(h, kT, **ensemble)
            errors = [
                error(solver(h, kT, tolerance=tolerance, **ensemble), exact, spins)
                for solver in (PoleExpansion, KernelPolynomial)
                for tolerance in (1e-4, 1e-8)
            ]
            print(f"{name:26s} {label:8s} " + " ".join(f"{e:11.1e}" for e in errors), flush=True)


if __name__ == "__main__":
    main()
