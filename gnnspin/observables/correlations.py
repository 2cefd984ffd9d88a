"""Spin correlations in real space."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch_geometric.data import Data

from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import as_spins
from gnnspin.graphs.radius import radius_graph
from gnnspin.systems.distances import LENGTH_TOLERANCE
from gnnspin.systems.system import IntArray, SpinSystem

#: Pairs times replicas handled at once.
_BLOCK = 2**22


def magnetization(spins: Tensor | ArrayLike) -> Tensor:
    """Mean spin ``(1/N) sum_i S_i``, shape (..., 3), of spins (..., N, 3)."""
    return as_spins(spins).mean(-2)


def neighbor_correlation(system: SpinSystem, spins: Tensor | ArrayLike, cutoff: float | None = None) -> Tensor:
    """Mean of ``S_i . S_j`` over the neighbours j of each site within `cutoff`, shape (..., N).

    Parameters
    ----------
    system : SpinSystem
    spins : (..., N, 3)
        Unit spins.
    cutoff : float, optional
        Radius; default: the distance of nearest neighbours on a lattice, 1 elsewhere. A site without neighbours gets
        NaN.

    Raises
    ------
    InvalidInput
        If the spins do not fit the system or no site has a neighbour.
    """
    checked = as_spins(spins, system.n_sites)
    graph = _graph(system, _nearest(system) if cutoff is None else cutoff)
    dots = _bond_products(graph, checked)
    centre = graph.edge_index[1].to(checked.device)
    total = torch.zeros(checked.shape[:-1], dtype=checked.dtype, device=checked.device)
    return total.index_add(-1, centre, dots) / torch.bincount(centre, minlength=system.n_sites)


#: The bond order ``b_i`` of a site, positive in ferromagnetic regions and negative in antiferromagnetic ones.
bond_order = neighbor_correlation


def neighbor_bonds(system: SpinSystem, cutoff: float | None = None) -> IntArray:
    """Pairs of neighbouring sites within `cutoff`, each once, shape (2, B); its default is that of `bond_order`.

    Raises
    ------
    InvalidInput
        If no site has a neighbour.
    """
    i, j = _graph(system, _nearest(system) if cutoff is None else cutoff).edge_index.numpy()
    pairs = np.unique(np.stack([i[i < j], j[i < j]]), axis=1)
    return np.asarray(pairs, dtype=np.int64)


def nearest_neighbor_correlation(system: SpinSystem, spins: Tensor | ArrayLike) -> Tensor:
    """Mean of ``S_i . S_j`` over nearest-neighbour bonds of a lattice, shape (...).

    Perfect orders: 1 ferromagnet, -1 Neel, -1/2 120-degree, -1/3 tetrahedral. Parameters and errors as in
    `neighbor_correlation`.
    """
    return shell_correlation(system, spins, _nearest(system))[1][..., 0]


def shell_correlation(system: SpinSystem, spins: Tensor | ArrayLike, cutoff: float) -> tuple[Tensor, Tensor]:
    """Mean of ``S_i . S_j`` over the bonds of each neighbour shell of a lattice.

    Parameters
    ----------
    system : SpinSystem
    spins : (..., N, 3)
        Unit spins.
    cutoff : float
        Largest distance.

    Returns
    -------
    distances : (n_shells,)
    correlations : (..., n_shells)

    Raises
    ------
    InvalidInput
        If the spins do not fit the system or no site has a neighbour.
    """
    checked = as_spins(spins, system.n_sites)
    graph = _graph(system, cutoff)
    shell = graph.edge_shell.to(checked.device)
    n_shells = int(shell.max()) + 1
    total = torch.zeros(*checked.shape[:-2], n_shells, dtype=checked.dtype, device=checked.device)
    counts = torch.bincount(shell, minlength=n_shells)
    return shell_distances(system, cutoff), total.index_add(-1, shell, _bond_products(graph, checked)) / counts


def shell_distances(system: SpinSystem, cutoff: float) -> Tensor:
    """Distances (n_shells,) of the neighbour shells of a lattice up to `cutoff`, those of `shell_correlation`.

    Raises
    ------
    InvalidInput
        If no site has a neighbour.
    """
    graph = _graph(system, cutoff)
    counts = torch.bincount(graph.edge_shell)
    total = torch.zeros(len(counts), dtype=torch.float64).index_add(0, graph.edge_shell, graph.edge_distance)
    return total / counts


@dataclass(frozen=True, eq=False)
class PairCorrelation:
    """Binned correlation ``C(r)``.

    Attributes
    ----------
    distance : (n_bins,)
        Mean distance of the pairs of a bin (its centre where there are none).
    correlation : (..., n_bins)
        Mean of ``S_i . S_j`` over the pairs of a bin; NaN where there are none.
    pairs : (n_bins,)
        Number of pairs.
    """

    distance: Tensor
    correlation: Tensor
    pairs: Tensor


def pair_correlation(
    system: SpinSystem, spins: Tensor | ArrayLike, bin_width: float, max_distance: float
) -> PairCorrelation:
    """Correlation ``C(r) = <S_i . S_j>`` over pairs whose distance falls in a bin, for amorphous systems.

    Parameters
    ----------
    system : SpinSystem
    spins : (..., N, 3)
        Unit spins.
    bin_width : float
        Width of the bins ``[k w, (k + 1) w)``.
    max_distance : float
        Largest distance; periodic images beyond half the box count as pairs of their own, so stay below that.

    Raises
    ------
    InvalidInput
        If a width is not positive, the spins do not fit the system, or there is no pair.
    """
    checked = as_spins(spins, system.n_sites)
    graph, bins, n_bins = _binned(system, bin_width, max_distance)
    distance, pairs = pair_distances(system, bin_width, max_distance)
    total = torch.zeros(*checked.shape[:-2], n_bins, dtype=checked.dtype, device=checked.device)
    total = total.index_add(-1, bins.to(checked.device), _bond_products(graph, checked))
    return PairCorrelation(distance, total / (2 * pairs).to(checked.device), pairs)


def pair_distances(system: SpinSystem, bin_width: float, max_distance: float) -> tuple[Tensor, Tensor]:
    """Mean distance and number of the pairs of each bin (n_bins,), those of `pair_correlation`.

    Of a union, over the pairs of all parts. Errors are those of `pair_correlation`.
    """
    graph, bins, n_bins = _binned(system, bin_width, max_distance)
    counts = torch.bincount(bins, minlength=n_bins)
    centres = (torch.arange(n_bins, dtype=torch.float64) + 0.5) * bin_width
    distance = torch.zeros(n_bins, dtype=torch.float64).index_add(0, bins, graph.edge_distance) / counts
    return torch.where(counts > 0, distance, centres), counts // 2


def _binned(system: SpinSystem, bin_width: float, max_distance: float) -> tuple[Data, Tensor, int]:
    """Graph of the pairs up to a distance, the bin of each edge, and the number of bins."""
    if not 0 < bin_width <= max_distance:
        raise InvalidInput(f"bin_width={bin_width} must be positive and at most max_distance={max_distance}")
    graph = _graph(system, max_distance)
    n_bins = int(np.ceil(max_distance / bin_width - LENGTH_TOLERANCE))
    return graph, (graph.edge_distance / bin_width).long().clamp(max=n_bins - 1), n_bins


def _nearest(system: SpinSystem) -> float:
    """Distance of nearest neighbours on a lattice, 1 elsewhere: a packing's closest pair is no shell."""
    return system.spacing if all(part.lattice_shape is not None for part in system.parts) else 1.0


@lru_cache(maxsize=16)
def _graph(system: SpinSystem, cutoff: float) -> Data:
    graph = radius_graph(system, cutoff)
    if graph.edge_index.shape[1] == 0:
        raise InvalidInput(f"no site has a neighbour within {cutoff}; use a larger distance")
    return graph


def _bond_products(graph: Data, spins: Tensor) -> Tensor:
    """``S_i . S_j`` of every edge, (..., E)."""
    neighbour, centre = graph.edge_index.to(spins.device)
    flat = spins.reshape(-1, *spins.shape[-2:])
    block = max(1, _BLOCK // len(centre))
    parts = [_products(part.permute(2, 1, 0).contiguous(), centre, neighbour) for part in flat.split(block)]
    return torch.cat(parts, dim=-1).T.reshape(*spins.shape[:-2], len(centre))


def _products(components: Tensor, centre: Tensor, neighbour: Tensor) -> Tensor:
    """Products (E, R) of components (3, N, R): rows of replicas are gathered, which is several times faster."""
    first, *others = (x.index_select(0, centre) * x.index_select(0, neighbour) for x in components)
    for each in others:
        first += each
    return first
