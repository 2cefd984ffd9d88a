"""A block cut from a lattice: the same neighbours, and so the same fields, away from its seam."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gnnspin.classical import Heisenberg
from gnnspin.core import InvalidInput, random_spins
from gnnspin.systems import SpinSystem, amorphous, kagome, simple_cubic, square, triangular
from gnnspin.systems.lattice import is_ideal_lattice, site_cells
from gnnspin.systems.window import lattice_window

CASES = [
    (triangular(9, 8), (6, 5, 1), (7, 2, 0)),
    (kagome(5, 6), (4, 4, 1), (3, 5, 0)),
    (simple_cubic(5, 4, 6), (4, 4, 4), (1, 0, 5)),
    (square(7, 4, pbc=(True, False)), (5, 4, 1), (6, 0, 0)),
]


@pytest.mark.parametrize(("system", "shape", "start"), CASES, ids=lambda each: str(each)[:24])
def test_fields_inside_are_those_of_the_lattice(system: SpinSystem, shape: tuple, start: tuple) -> None:
    window, sites = lattice_window(system, shape, start)
    assert is_ideal_lattice(window)
    spins = random_spins(system.n_sites, seed=1, dtype=torch.float64)
    whole, part = (Heisenberg(each, J=1.0) for each in (system, window))
    cells, lengths = site_cells(window), np.array(shape)
    cut = lengths < np.array(system.lattice_shape)
    inner = ((cells > 0) & (cells < lengths - 1) | ~cut).all(1)
    assert inner.any()
    expected, found = whole.field(spins)[sites][inner], part.field(spins[sites])[inner]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_a_block_as_large_as_the_lattice_is_the_lattice() -> None:
    system = kagome(3, 4)
    window, sites = lattice_window(system, (3, 4, 1))
    assert window == system
    assert np.array_equal(sites, np.arange(system.n_sites))


def test_blocks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"window of \[6, 4, 1\] cells does not fit"):
        lattice_window(square(5, 5), (6, 4, 1))
    with pytest.raises(InvalidInput, match="full length in directions with open ends"):
        lattice_window(square(5, 5, pbc=False), (3, 5, 1))
    with pytest.raises(InvalidInput, match="no lattice"):
        lattice_window(amorphous(20, 4.0, 0.5, seed=0), (1, 1, 1))
