"""Triplets: a centre and two of its neighbours, each unordered pair of edges once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data


class TripletGraph(Data):
    """A radius graph with ``triplet_index (2, T)``, positions in the list of edges.

    Column t holds the edges ``(j, i)`` and ``(k, i)`` of a centre i; the first edge comes before the second in the
    list. Joining graphs with `torch_geometric.data.Batch` shifts the indices as it must.
    """

    def __inc__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        """Shift of `key` when graphs are joined."""
        return self.num_edges if key == "triplet_index" else super().__inc__(key, value, *args, **kwargs)


def with_triplets(graph: Data) -> TripletGraph:
    """`graph` of `radius_graph` and all its triplets."""
    return TripletGraph(**graph.to_dict(), triplet_index=triplets(graph))


def n_triplets(graph: Data) -> int:
    """Number T of triplets of a graph, without making them."""
    degree = torch.bincount(graph.edge_index[1], minlength=graph.n_sites)
    return int((degree * (degree - 1) // 2).sum())


def triplets(graph: Data) -> Tensor:
    """All pairs of edges that share their centre.

    Periodic images count as neighbours of their own: two images of one site are a pair, and so are a site's own
    images.

    Parameters
    ----------
    graph : Data
        From `radius_graph`: edges (neighbour, centre), sorted by centre.

    Returns
    -------
    (2, T) int64
        Positions of both edges in ``graph.edge_index``, sorted by centre, first edge, second edge. A site with n
        neighbours has n (n - 1) / 2 triplets: the memory is theirs, 16 bytes each. See `triplet_chunks`.
    """
    found = torch.empty(2, n_triplets(graph), dtype=torch.long, device=graph.edge_index.device)
    start = 0
    for part in triplet_chunks(graph):
        found[:, start : start + part.shape[1]] = part
        start += part.shape[1]
    return found


def triplet_chunks(graph: Data, size: int = 2**20) -> Iterator[Tensor]:
    """The columns of `triplets` in order, in chunks of whole centres with at most about `size` triplets.

    Parameters
    ----------
    graph : Data
        See `triplets`.
    size : int
        A chunk is larger only where a single centre has more.
    """
    centre = graph.edge_index[1]
    degree = torch.bincount(centre, minlength=graph.n_sites)
    total = torch.cat([degree.new_zeros(1), (degree * (degree - 1) // 2).cumsum(0)])
    last = degree.cumsum(0)
    start = 0
    while start < graph.n_sites:
        stop = int(torch.searchsorted(total, total[start] + size, right=True)) - 1
        stop = min(max(stop, start + 1), graph.n_sites)
        yield _pairs_of_edges(centre, last, start, stop)
        start = stop


def _pairs_of_edges(centre: Tensor, last: Tensor, start: int, stop: int) -> Tensor:
    """Pairs of edges of the centres from `start` to `stop`, whose edges end at `last`: each with all later ones."""
    begin = int(last[start - 1]) if start else 0
    end = int(last[stop - 1]) if stop else 0
    edge = torch.arange(begin, end, device=centre.device)
    later = last[centre[begin:end]] - edge - 1
    first = edge.repeat_interleave(later)
    offset = torch.arange(len(first), device=centre.device) - (later.cumsum(0) - later).repeat_interleave(later)
    return torch.stack([first, first + 1 + offset])
