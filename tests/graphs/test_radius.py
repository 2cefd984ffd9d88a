"""Radius graphs against a brute-force search over periodic images."""

import numpy as np
import pytest
import torch

from gnnspin.core.errors import InvalidInput
from gnnspin.graphs import GraphSpec, radius_graph, shell_distances
from gnnspin.systems import SpinSystem, amorphous, chain, honeycomb, simple_cubic, square, triangular, union

CELLS = {
    "cubic": np.eye(3) * 3.0,
    "flat": np.diag([4.0, 2.5, 1.5]),
    "skew": np.array([[2.0, 0, 0], [3.1, 1.8, 0], [-0.7, 1.1, 2.2]]),
    "left-handed": np.array([[0, 2.0, 0], [2.5, 0, 0], [0.3, 0, 3.0]]),
}
PBC = [(False,) * 3, (True, False, False), (False, True, True), (True, True, False), (True,) * 3]


def brute_force(system: SpinSystem, cutoff: float) -> list[tuple]:
    """All (j, i, r_j - r_i) within `cutoff`, over enough images for any position."""
    heights = 1 / np.linalg.norm(np.linalg.inv(system.cell), axis=0)
    spread = np.ptp(system.positions @ np.linalg.inv(system.cell), axis=0)
    reach = np.where(system.pbc, np.ceil(cutoff / heights + spread) + 1, 0).astype(int)
    axes = [np.arange(-n, n + 1) for n in reach]
    images = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3) @ system.cell
    pairs = []
    for i, center in enumerate(system.positions):
        vectors = system.positions[:, None] + images - center
        distance = np.linalg.norm(vectors, axis=-1)
        for j, k in zip(*np.nonzero((distance <= cutoff) & (distance > 1e-9)), strict=True):
            pairs.append((int(j), i, *np.round(vectors[j, k], 6)))
    return sorted(pairs)


def edges(graph) -> list[tuple]:
    rows = zip(graph.edge_index.T.tolist(), np.round(graph.edge_vector.numpy(), 6), strict=True)
    return sorted((j, i, *vector) for (j, i), vector in rows)


def assert_same_edges(found: list[tuple], expected: list[tuple]) -> None:
    assert [edge[:2] for edge in sorted(found)] == [edge[:2] for edge in expected]
    np.testing.assert_allclose(np.array(sorted(found)), np.array(expected), atol=3e-6)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("pbc", PBC)
@pytest.mark.parametrize("cutoff", [0.9, 2.3, 5.1])
@pytest.mark.parametrize("spread", [1.0, 4.0])
def test_same_edges_as_brute_force(cell, pbc, cutoff, spread):
    """Skew and left-handed cells, cutoffs beyond the cell, sites outside it."""
    fractional = np.random.default_rng(7).uniform(0.5 - spread / 2, 0.5 + spread / 2, (6, 3))
    system = SpinSystem(fractional @ CELLS[cell], cell=CELLS[cell], pbc=pbc)
    assert_same_edges(edges(radius_graph(system, cutoff)), brute_force(system, cutoff))


def test_one_site_is_a_neighbor_of_its_own_images():
    graph = radius_graph(chain(1), 3.0)
    assert graph.edge_index.tolist() == [[0] * 6, [0] * 6]
    assert sorted(graph.edge_vector[:, 0].tolist()) == [-3, -2, -1, 1, 2, 3]


def test_graph_is_ordered_symmetric_and_consistent():
    graph = radius_graph(amorphous(40, 4.0, 0.5, seed=0), 1.7)
    assert bool((graph.edge_index[1].diff() >= 0).all())
    forward = sorted(
        (j, i, *np.round(v, 6))
        for (j, i), v in zip(graph.edge_index.T.tolist(), graph.edge_vector.numpy(), strict=True)
    )
    backward = sorted(
        (i, j, *np.round(-v, 6))
        for (j, i), v in zip(graph.edge_index.T.tolist(), graph.edge_vector.numpy(), strict=True)
    )
    np.testing.assert_allclose(np.array(forward), np.array(backward), atol=1e-9)
    torch.testing.assert_close(graph.edge_vector.norm(dim=1), graph.edge_distance)
    assert graph.edge_distance.max() <= 1.7
    assert graph.n_sites == graph.num_nodes == 40


@pytest.mark.parametrize(
    ("system", "counts", "squared"),
    [
        (chain(9), [2, 2, 2], [1, 4, 9]),
        (square(8, 8), [4, 4, 4, 8, 4], [1, 2, 4, 5, 8]),
        (triangular(8, 9), [6, 6, 6, 12, 6], [1, 3, 4, 7, 9]),
        (honeycomb(6, 6), [3, 6, 3, 6], [1, 3, 4, 7]),
        (simple_cubic(5, 5, 5), [6, 12, 8, 6], [1, 2, 3, 4]),
    ],
)
def test_shells_of_lattices(system, counts, squared):
    graph = radius_graph(system, np.sqrt(squared[-1]))
    np.testing.assert_allclose(shell_distances(graph.edge_distance.numpy()) ** 2, squared, atol=1e-9)
    per_site = torch.zeros(system.n_sites, len(counts), dtype=torch.long)
    per_site.index_put_((graph.edge_index[1], graph.edge_shell), torch.tensor(1), accumulate=True)
    assert bool((per_site == torch.tensor(counts)).all())


def test_union_is_the_disjoint_union_of_graphs():
    a, b = square(3, 4), honeycomb(2, 3)
    joined = radius_graph(union([a, b]), 1.8)
    shifted = [(j + 12, i + 12, *v) for j, i, *v in edges(radius_graph(b, 1.8))]
    assert edges(joined) == sorted(edges(radius_graph(a, 1.8)) + shifted)
    # one numbering of shells: 1, sqrt 2 (square only), sqrt 3 (honeycomb only)
    assert sorted(set(joined.edge_shell.tolist())) == [0, 1, 2]


@pytest.mark.parametrize("cutoff", [0.0, -1.0, float("nan"), float("inf"), "2", None])
def test_bad_cutoff(cutoff):
    with pytest.raises(InvalidInput, match="cutoff="):
        radius_graph(chain(4), cutoff)
    with pytest.raises(InvalidInput, match="cutoff="):
        GraphSpec(cutoff=cutoff)


def test_coinciding_sites_are_refused():
    with pytest.raises(InvalidInput, match="distinct"):
        radius_graph(SpinSystem([[0, 0, 0], [1, 0, 0], [1, 0, 0]]), 2.0)


def test_specification_of_a_lattice_fixes_its_shells():
    spec = GraphSpec.for_system(triangular(6, 6), 2.1)
    assert spec.dimension == 2
    np.testing.assert_allclose(spec.shells, [1, np.sqrt(3), 2])
    assert GraphSpec(**spec.to_dict()) == spec
    graph = spec.graph(triangular(9, 7))
    np.testing.assert_allclose(np.array(spec.shells)[graph.edge_shell], graph.edge_distance)
    # an open chain has the shells 1 and 2 only: they keep the numbers of the specification
    short = spec.graph(triangular(5, 1, pbc=False))
    assert sorted(set(short.edge_shell.tolist())) == [0, 2]


def test_specification_of_a_packing_is_continuous_and_three_dimensional():
    spec = GraphSpec.for_system(amorphous(30, 4.0, 0.5, seed=0), 1.5)
    assert spec.shells is None
    assert spec.dimension == 3


def test_specification_refuses_what_it_was_not_made_for():
    spec = GraphSpec.for_system(square(6, 6), 1.5)
    with pytest.raises(InvalidInput, match=r"none of the shells.*for_system"):
        GraphSpec.for_system(triangular(6, 6), 1.8).graph(square(6, 6))
    with pytest.raises(InvalidInput, match="planar"):
        spec.graph(simple_cubic(4, 4, 4))
    with pytest.raises(InvalidInput, match=r"cutoff=0\.5; increase"):
        GraphSpec.for_system(square(6, 6), 0.5)
    with pytest.raises(InvalidInput, match="dimension=1"):
        GraphSpec(cutoff=1.0, dimension=1)


def test_a_cutoff_without_neighbours_tells_the_closest_distance() -> None:
    wide = SpinSystem(positions=3.9 * square(4, 4).positions, cell=np.diag([15.6, 15.6, 10.0]), pbc=(True, True, False))
    for system in (wide, union([wide, wide])):
        with pytest.raises(InvalidInput, match=r"cutoff=1\.5; increase the cutoff: the closest sites are 3\.9 apart"):
            GraphSpec.for_system(system, 1.5)
