"""The exchange by shifted arrays is the sum over bonds."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

import gnnspin as gs
from gnnspin.classical.lattice_exchange import LatticeExchange
from gnnspin.core import random_spins
from gnnspin.graphs.shells import shell_bonds

SYSTEMS = {
    "chain": gs.systems.chain(7),
    "open chain": gs.systems.chain(7, pbc=False),
    "two sites": gs.systems.chain(2, pbc=False),
    "square": gs.systems.square(5, 6),
    "narrow square": gs.systems.square(2, 5),
    "open in x": gs.systems.square(5, 4, pbc=(False, True, False)),
    "triangular": gs.systems.triangular(5, 6),
    "open triangular": gs.systems.triangular(4, 5, pbc=False),
    "cubic": gs.systems.simple_cubic(3, 4, 5),
    "bcc": gs.systems.bcc(3, 3, 4),
    "fcc": gs.systems.fcc(3, 4, 3),
}


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("exchange", [[0.7], [1.0, -0.3, 0.2]])
def test_field_is_the_sum_over_bonds(name, exchange):
    system = SYSTEMS[name]
    lattice = LatticeExchange.of(system, np.array(exchange))
    if lattice is None:
        pytest.skip("more than one site per cell")
    spins = random_spins(system.n_sites, replicas=(3,), seed=1)
    bonds = shell_bonds(system, n_shells=len(exchange))
    expected = torch.zeros_like(spins)
    weights = torch.tensor(exchange, dtype=torch.float64)[bonds.shell]
    expected.index_add_(1, torch.from_numpy(bonds.site), weights[:, None] * spins[:, bonds.neighbor])
    torch.testing.assert_close(lattice(spins), expected, atol=1e-14, rtol=0)
    strided = spins.movedim(-1, 0).contiguous().movedim(0, -1)
    torch.testing.assert_close(lattice(strided), expected, atol=1e-14, rtol=0)
    assert lattice(spins.float()).dtype == torch.float32


@pytest.mark.parametrize("name", SYSTEMS)
@pytest.mark.parametrize("compiler", ["none", pytest.param("real", marks=pytest.mark.slow)])
def test_what_is_compiled_is_the_same_sum(name, compiler, monkeypatch):
    """The code that would be compiled, run as it is; slow: compiled."""
    if compiler == "none":
        monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    elif shutil.which("g++") is None:
        pytest.skip("needs a C++ compiler")
    source = gs.classical.Heisenberg(SYSTEMS[name], J=(1.0, -0.3))
    other = gs.classical.Heisenberg(SYSTEMS[name], J=(1.0, -0.3)) + gs.classical.Zeeman(SYSTEMS[name], (0.0, 0.1, 0.2))
    spins = random_spins(SYSTEMS[name].n_sites, replicas=(3,), seed=1)
    expected, both = source.field(spins), other.field(spins)
    torch.testing.assert_close(source.compile().field(spins), expected, atol=1e-14, rtol=0)
    torch.testing.assert_close(other.compile().field(spins), both, atol=1e-14, rtol=0)


def test_systems_without_a_bravais_lattice_are_left_to_the_bonds():
    square = gs.systems.square(3, 3)
    moved = gs.systems.SpinSystem(
        square.positions + 0.01 * np.arange(27).reshape(9, 3), square.cell, square.pbc, lattice_shape=(3, 3, 1)
    )
    amorphous = gs.systems.amorphous(n_sites=10, box=5.0, min_distance=0.5, seed=0)
    union = gs.systems.union([square, square])
    for system in (gs.systems.honeycomb(3, 3), amorphous, union, moved):
        assert LatticeExchange.of(system, np.ones(1)) is None
