"""Triplets against a plain loop over pairs of edges."""

import pytest
import torch
from torch_geometric.data import Batch

from gnnspin.graphs import GraphSpec, radius_graph, triplet_chunks, triplets
from gnnspin.graphs.triplets import n_triplets, with_triplets
from gnnspin.systems import SpinSystem, amorphous, chain, honeycomb, square, union

SYSTEMS = {
    "amorphous": (amorphous(40, 3.6, 0.5, seed=0), 1.6),
    "own images": (chain(1), 2.1),
    "two images of one site": (square(2, 2), 1.5),
    "isolated site": (SpinSystem([[0, 0, 0], [9, 0, 0], [9, 1, 0], [9, 0, 1]]), 1.6),
    "union": (union([honeycomb(2, 3), amorphous(20, 3.0, 0.5, seed=1)]), 1.8),
}


@pytest.fixture(params=list(SYSTEMS))
def graph(request):
    return radius_graph(*SYSTEMS[request.param])


def loop(graph) -> list[tuple[int, int]]:
    centre = graph.edge_index[1].tolist()
    return [(a, b) for a in range(len(centre)) for b in range(a + 1, len(centre)) if centre[a] == centre[b]]


def test_every_pair_of_edges_of_a_centre_once(graph) -> None:
    assert [tuple(t) for t in triplets(graph).T.tolist()] == loop(graph)
    assert n_triplets(graph) == len(loop(graph)) > 0


@pytest.mark.parametrize("size", [1, 7, 50, 10**6])
def test_chunks_are_the_whole(graph, size: int) -> None:
    parts = list(triplet_chunks(graph, size))
    assert torch.equal(torch.cat(parts, dim=1), triplets(graph))
    degree = torch.bincount(graph.edge_index[1])
    assert max(part.shape[1] for part in parts) <= max(size, int(degree.max()) ** 2)


def test_lattice_counts() -> None:
    """Z neighbours give Z (Z - 1) / 2 triplets a site."""
    graph = GraphSpec.for_system(square(5, 5), 1.5, triplets=True).graph(square(5, 5))
    assert graph.triplet_index.shape == (2, 25 * 8 * 7 // 2)
    assert "triplet_index" not in GraphSpec(1.5).graph(square(5, 5))


def test_joined_graphs_keep_their_triplets() -> None:
    graphs = [with_triplets(radius_graph(*SYSTEMS[key])) for key in ("amorphous", "two images of one site")]
    joined = Batch.from_data_list(graphs)
    assert joined.triplet_index.T.tolist() == [list(t) for t in loop(joined)]
