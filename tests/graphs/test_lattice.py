"""Neighbours of a lattice by translation equal those of a search that does not know it is a lattice."""

from __future__ import annotations

import numpy as np
import pytest

import gnnspin as gs
from gnnspin.graphs import radius_graph
from gnnspin.systems import SpinSystem
from gnnspin.systems.lattice import is_lattice

SYSTEMS = [
    gs.systems.chain(7),
    gs.systems.square(5, 4),
    gs.systems.square(2, 3, pbc=(True, False)),
    gs.systems.square(5, 4, pbc=False),
    gs.systems.triangular(1, 6),
    gs.systems.triangular(3, 4, pbc=(False, True)),
    gs.systems.honeycomb(3, 2),
    gs.systems.kagome(2, 3, pbc=(True, False)),
    gs.systems.fcc(2, 2, 3),
    gs.systems.pyrochlore(1, 2, 1),
]


@pytest.mark.parametrize("cutoff", [1.0, 2.3, 4.1])
@pytest.mark.parametrize("system", SYSTEMS, ids=repr)
def test_equals_the_general_search(system: SpinSystem, cutoff: float) -> None:
    assert is_lattice(system)
    plain = SpinSystem(system.positions, cell=system.cell, pbc=system.pbc)
    fast, general = radius_graph(system, cutoff), radius_graph(plain, cutoff)

    def rows(graph: object) -> np.ndarray:
        edges = np.column_stack([graph.edge_index.numpy().T, np.round(graph.edge_vector.numpy(), 6)])  # type: ignore[attr-defined]
        return edges[np.lexsort(edges.T)] + 0.0

    np.testing.assert_allclose(rows(fast), rows(general), atol=1e-6)


def test_displaced_sites_are_not_a_lattice() -> None:
    perfect = gs.systems.square(4, 4)
    moved = perfect.positions.copy()
    moved[5] += 0.1
    system = SpinSystem(moved, cell=perfect.cell, pbc=perfect.pbc, lattice_shape=perfect.lattice_shape)
    assert not is_lattice(system)
    assert len(radius_graph(system, 1.0).edge_distance) < 64


def test_a_large_lattice() -> None:
    graph = radius_graph(gs.systems.square(512, 512), 1.0)
    assert graph.edge_index.shape == (2, 4 * 512**2)


def test_a_large_planar_film_that_is_no_lattice() -> None:
    """Density 1 in a plane: every site has pi neighbours within distance 1 on average."""
    length = 400
    positions = np.random.default_rng(0).random((length**2, 3)) * [length, length, 0]
    graph = radius_graph(SpinSystem(positions, cell=np.diag([length, length, 1.0]), pbc=(True, True, False)), 1.0)
    assert graph.edge_index.shape[1] / length**2 == pytest.approx(np.pi, rel=0.02)
