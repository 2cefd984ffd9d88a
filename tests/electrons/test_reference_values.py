"""Energies of ordered states, from dense matrices and, as a second solver, from their Bloch bands."""

import numpy as np
import pytest
import torch
from helpers import ordered

from gnnspin.electrons import ExactDiagonalization, SDHamiltonian
from gnnspin.electrons.occupation import occupy
from gnnspin.systems import square, triangular

TRIANGULAR = {  # Omega/N, electrons per site; 24x24, J=3, mu=-3.2, kT=0.01
    "tetrahedral": (-1.0238234295, 0.5),
    "ferromagnet": (-0.9551179433, 0.3663207765),
    "120": (-0.9713388423, 0.6232638261),
    "stripe": (-1.0001716735, None),
}
CELL = {"tetrahedral": 2, "ferromagnet": 1, "120": 3, "stripe": 2, "neel": 2}
NEIGHBORS = {"triangular": [(1, 0), (0, 1), (-1, 1)], "square": [(1, 0), (0, 1)]}
PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


def bloch_levels(lattice, length, name, coupling):
    """All levels of an ordered state on a length x length lattice from its magnetic unit cell."""
    cell, kind = CELL[name], {"triangular": triangular, "square": square}[lattice]
    spins = ordered(kind(max(cell, 3), max(cell, 3)), name).numpy().reshape(max(cell, 3), max(cell, 3), 3)
    k = 2 * np.pi * np.arange(length // cell) / length
    levels = []
    for k1 in k:
        for k2 in k:
            matrix = np.zeros((cell, cell, 2, cell, cell, 2), dtype=complex)
            for a, b in np.ndindex(cell, cell):
                matrix[a, b, :, a, b, :] -= coupling * np.einsum("x,xab->ab", spins[a, b], PAULI)
                for d1, d2 in NEIGHBORS[lattice]:
                    phase = np.exp(1j * (k1 * d1 + k2 * d2))
                    c, d = (a + d1) % cell, (b + d2) % cell
                    matrix[a, b, :, c, d, :] -= phase * np.eye(2)
                    matrix[c, d, :, a, b, :] -= np.conj(phase) * np.eye(2)
            levels.append(np.linalg.eigvalsh(matrix.reshape(2 * cell**2, 2 * cell**2)))
    return torch.from_numpy(np.sort(np.concatenate(levels)))


@pytest.mark.parametrize("name", TRIANGULAR)
def test_triangular_orders(name):
    energy, electrons = TRIANGULAR[name]
    system = triangular(24, 24)
    ed = ExactDiagonalization(SDHamiltonian(system, J=3.0), kT=0.01, mu=-3.2)
    assert ed.energy(ordered(system, name)).item() / 576 == pytest.approx(energy, abs=1e-8)
    bands = occupy(bloch_levels("triangular", 24, name, 3.0), 0.01, mu=-3.2)
    assert bands.potential.item() / 576 == pytest.approx(energy, abs=1e-8)
    if electrons is not None:
        assert bands.n_electrons.item() / 576 == pytest.approx(electrons, abs=1e-8)


def test_tetrahedral_gap():
    levels = bloch_levels("triangular", 24, "tetrahedral", 3.0)
    assert levels[287].item() == pytest.approx(-4.0, abs=1e-9)
    assert levels[288].item() == pytest.approx(-2.6056, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "coupling", "energy", "tolerance"),
    [
        ("neel", 7.0, -7.0658154173, 1e-8),
        ("ferromagnet", 7.0, -6.9044474227, 1e-8),
        ("neel", 6.0, -6.13705, 1e-5),
        ("ferromagnet", 6.0, -5.93445, 1e-5),
    ],
)
def test_square_orders_at_fixed_filling(name, coupling, energy, tolerance):
    bands = occupy(bloch_levels("square", 30, name, coupling), 0.022, n_electrons=0.485 * 1800)
    assert bands.potential.item() / 900 == pytest.approx(energy, abs=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["neel", "ferromagnet"])
@pytest.mark.parametrize("coupling", [7.0, 6.0])
def test_square_orders_by_dense_matrices(name, coupling):
    system = square(30, 30)
    ed = ExactDiagonalization(SDHamiltonian(system, J=coupling), kT=0.022, filling=0.485)
    bands = occupy(bloch_levels("square", 30, name, coupling), 0.022, n_electrons=873)
    assert ed.energy(ordered(system, name)).item() == pytest.approx(bands.potential.item(), abs=1e-8)
