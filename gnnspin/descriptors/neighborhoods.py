"""Padded neighbour tables in blocks of sites: the geometry of descriptors that multiply dense matrices per site."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import Data

from gnnspin.core.containers import TensorContainer

#: Largest number of neighbour pairs in one block.
_PAIRS = 2**20


@dataclass(frozen=True)
class NeighborBlock(TensorContainer):
    """Neighbours of n sites, padded to J each.

    Attributes
    ----------
    sites : (n,) int64
    neighbors : (n, J) int64
    vector : (n, J, 3)
        ``r_j - r_i``; zero for padding.
    distance : (n, J)
        Infinite for padding, where every radial function vanishes.
    """

    sites: Tensor
    neighbors: Tensor
    vector: Tensor
    distance: Tensor


def neighbor_blocks(graph: Data, shortest: float, longest: float) -> list[NeighborBlock]:
    """Tables of the neighbours at distances between `shortest` and `longest`; every site is in one block.

    Sites with similar numbers of neighbours share a block, so that padding is small.
    """
    chosen = ((graph.edge_distance >= shortest) & (graph.edge_distance <= longest)).nonzero()[:, 0]
    neighbor, centre = graph.edge_index[:, chosen]
    counts = torch.bincount(centre, minlength=graph.n_sites)
    first = counts.cumsum(0) - counts
    order = counts.argsort(stable=True)
    blocks, start = [], 0
    while start < len(order):
        widths = counts[order[start:]].clamp(min=1)
        fits = widths.square() * torch.arange(1, len(widths) + 1) <= _PAIRS
        size = max(1, int(fits.sum()))
        sites = order[start : start + size]
        column = torch.arange(int(widths[size - 1]))
        padding = column >= counts[sites, None]
        edge = (first[sites, None] + column).masked_fill(padding, 0)
        source = chosen[edge] if len(chosen) else None
        blocks.append(_block(graph, sites, neighbor, edge, source, padding))
        start += size
    return blocks


def _block(
    graph: Data, sites: Tensor, neighbor: Tensor, edge: Tensor, source: Tensor | None, padding: Tensor
) -> NeighborBlock:
    if source is None:
        shape = edge.shape
        empty = torch.full(shape, torch.inf, dtype=torch.float64)
        return NeighborBlock(sites, torch.zeros(shape, dtype=torch.long), torch.zeros(*shape, 3).double(), empty)
    return NeighborBlock(
        sites=sites,
        neighbors=neighbor[edge],
        vector=graph.edge_vector[source].masked_fill(padding[..., None], 0.0),
        distance=graph.edge_distance[source].masked_fill(padding, torch.inf),
    )
