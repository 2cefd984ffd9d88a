r"""Bonds and scalar chiralities of a graph: the spin-rotation invariants of its edges and triplets.

.. math:: b_{jk} = S_j\cdot S_k, \qquad \chi_{ijk} = S_i\cdot S_j\times S_k

(glass paper, below eq. 11; review, above eq. 6). Bonds are even, chiralities odd under time reversal. A chirality
changes sign when two of its sites are exchanged, hence under each operation that does so; space operations have no
other effect on it. In a sum over unordered pairs j, k with a weight symmetric in both it would depend on the order in
which the sites are numbered: weights must be antisymmetric, or features even in the chiralities.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from torch_geometric.data import Data

from gnnspin.core.errors import InvalidInput

#: Edges or triplets that are worked on at a time.
CHUNK = 2**20


def edge_bonds(graph: Data, spins: Tensor, *, chunk: int = CHUNK) -> Tensor:
    """Bonds ``S_i . S_j`` of all edges.

    Parameters
    ----------
    graph : Data
        From `radius_graph` or `GraphSpec.graph`.
    spins : (..., N, 3)
        Leading dimensions are replicas.
    chunk : int
        Edges at a time; intermediates are recomputed in the backward pass, so memory beyond the result is that of
        one chunk.

    Returns
    -------
    (..., E)
    """
    return _chunked(lambda moving, edges: _bonds(moving, *edges), spins, graph.edge_index, chunk)


def triplet_bonds(graph: Data, spins: Tensor, *, chunk: int = CHUNK) -> Tensor:
    """Bonds ``S_j . S_k`` (..., T) between the two neighbours of every triplet; arguments as in `edge_bonds`.

    Raises
    ------
    InvalidInput
        If the graph has no triplets.
    """
    sites = _sites_of(graph)
    return _chunked(lambda moving, part: _bonds(moving, *sites(part)[1:]), spins, graph.triplet_index, chunk)


def triplet_chiralities(graph: Data, spins: Tensor, *, chunk: int = CHUNK) -> Tensor:
    """Chiralities ``S_i . S_j x S_k`` (..., T) of every triplet with centre i; arguments as in `edge_bonds`.

    The sign belongs to the order of the two edges in ``graph.triplet_index``.

    Raises
    ------
    InvalidInput
        If the graph has no triplets.
    """
    sites = _sites_of(graph)
    return _chunked(lambda moving, part: _chiralities(moving, *sites(part)), spins, graph.triplet_index, chunk)


def triplet_sites(graph: Data) -> Tensor:
    """Sites (3, T) of every triplet: centre i, neighbours j and k.

    Raises
    ------
    InvalidInput
        If the graph has no triplets.
    """
    return torch.stack(_sites_of(graph)(graph.triplet_index))


def _sites_of(graph: Data) -> Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]:
    """Function that names the sites i, j, k of some columns of ``triplet_index``."""
    if "triplet_index" not in graph:
        raise InvalidInput("the graph has no triplets; build it with GraphSpec(cutoff, triplets=True).graph(system)")
    neighbor, centre = graph.edge_index

    def sites(part: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first, second = part
        return centre[first], neighbor[first], neighbor[second]

    return sites


def _bonds(spins: Tensor, i: Tensor, j: Tensor) -> Tensor:
    return (spins[..., i, :] * spins[..., j, :]).sum(-1)


def _chiralities(spins: Tensor, i: Tensor, j: Tensor, k: Tensor) -> Tensor:
    return (spins[..., i, :] * torch.linalg.cross(spins[..., j, :], spins[..., k, :])).sum(-1)


def _chunked(function: Callable[[Tensor, Tensor], Tensor], spins: Tensor, columns: Tensor, chunk: int) -> Tensor:
    """`function` of all `columns`, a chunk at a time, recomputed in the backward pass where there are several."""
    if chunk < 1:
        raise InvalidInput(f"chunk={chunk} must be a positive number of edges or triplets")
    if columns.shape[1] <= chunk:
        return function(spins, columns)
    parts = [checkpoint(function, spins, part, use_reentrant=False) for part in columns.split(chunk, dim=1)]
    return torch.cat(parts, dim=-1)
