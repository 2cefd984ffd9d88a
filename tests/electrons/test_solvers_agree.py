"""Every conservative solver gives the torque of exact diagonalisation, on every kind of system."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gnnspin as gs
from gnnspin.core import random_spins
from gnnspin.electrons import (
    ExactDiagonalization,
    ExponentialHopping,
    KernelPolynomial,
    NearestNeighborHopping,
    PeierlsHopping,
    PoleExpansion,
    RashbaHopping,
    SDHamiltonian,
)

SYSTEMS = {
    "square": SDHamiltonian(gs.systems.square(8, 8), J=3.0),
    "triangular": SDHamiltonian(gs.systems.triangular(8, 8), J=3.0),
    "kagome": SDHamiltonian(gs.systems.kagome(4, 4), J=3.0),
    "pyrochlore": SDHamiltonian(gs.systems.pyrochlore(2, 2, 2), J=3.0),
    "spin-orbit": SDHamiltonian(gs.systems.square(6, 6), NearestNeighborHopping() + RashbaHopping(0.4), J=2.0),
    "flux": SDHamiltonian(gs.systems.square(6, 6), PeierlsHopping(NearestNeighborHopping(), 1 / 6), J=2.0),
    "amorphous": SDHamiltonian(gs.systems.amorphous(60, 4.2, 0.5, seed=0), ExponentialHopping(), J=6.0),
    "dilute": SDHamiltonian(gs.systems.square(8, 8), J=np.where(np.arange(64) % 3 == 0, 0.0, 4.0)),
}


@pytest.mark.parametrize("solver", [PoleExpansion, KernelPolynomial])
@pytest.mark.parametrize("ensemble", [{"mu": -0.7}, {"filling": 0.3}], ids=["mu", "filling"])
@pytest.mark.parametrize("name", list(SYSTEMS))
def test_torque_within_the_tolerance(name: str, ensemble: dict[str, float], solver: type) -> None:
    hamiltonian, kT = SYSTEMS[name], 0.08
    spins = random_spins(hamiltonian.system.n_sites, seed=1)
    exact = ExactDiagonalization(hamiltonian, kT, **ensemble).torque(spins)
    assert float(exact.square().mean().sqrt()) > 1e-3
    found = solver(hamiltonian, kT, tolerance=1e-8, **ensemble).torque(spins)
    assert float((found - exact).norm(dim=-1).max()) < 1e-8


@pytest.mark.parametrize("name", list(SYSTEMS))
def test_symmetries_of_equilibrium(name: str) -> None:
    """H(-S) = -H(S) without complex orbital hopping; no total torque without spin-orbit terms."""
    hamiltonian = SYSTEMS[name]
    source = ExactDiagonalization(hamiltonian, 0.08, mu=-0.7)
    spins = random_spins(hamiltonian.system.n_sites, seed=1)
    field = source.field(spins)
    odd = torch.allclose(source.field(-spins), -field, atol=1e-10)
    assert odd is hamiltonian.time_reversal
    total = source.torque(spins).sum(0).norm()
    assert bool(total < 1e-10) is (name != "spin-orbit")
