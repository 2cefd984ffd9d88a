"""Clusters: connected regions of sites, across periodic boundaries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import as_spins
from gnnspin.observables.correlations import neighbor_bonds
from gnnspin.systems.system import IntArray, SpinSystem


@dataclass(frozen=True, eq=False)
class Clusters:
    """Connected regions of each replica, the largest first.

    Attributes
    ----------
    labels : (..., N) int64
        Number of each site's cluster, 0 the largest of its replica; -1 outside all of them.
    sizes : (..., K) int64
        Sites of each cluster; K is the largest number of clusters of a replica, the rest are zeros.
    dimension : int
        Of space, 1 to 3: the directions along which the sites extend.
    """

    labels: Tensor
    sizes: Tensor
    dimension: int

    @property
    def count(self) -> Tensor:
        """Number of clusters (...)."""
        return (self.sizes > 0).sum(-1)

    @property
    def largest(self) -> Tensor:
        """Sites of the largest cluster (...)."""
        return self.sizes.amax(-1) if self.sizes.shape[-1] else self.count

    @property
    def mean_size(self) -> Tensor:
        """Mean ``<s>`` of the sizes over clusters (...), each counted once; 0 where there is none."""
        return self.sizes.sum(-1).to(torch.float64) / self.count.clamp(min=1)

    @property
    def mean_size_of_a_site(self) -> Tensor:
        """Mean ``sum s^2 / sum s`` of the size of the cluster that a site belongs to (...); 0 where there is none."""
        sizes = self.sizes.to(torch.float64)
        return sizes.square().sum(-1) / sizes.sum(-1).clamp(min=1)

    @property
    def length(self) -> Tensor:
        """Linear size ``L = <s>^(1/d)`` (...), in lattice spacings for one site per unit volume."""
        return self.mean_size ** (1 / self.dimension)


def clusters(system: SpinSystem, mask: Tensor | ArrayLike, cutoff: float | None = None) -> Clusters:
    """Clusters of the sites where `mask` is true: neighbours belong together.

    Parameters
    ----------
    system : SpinSystem
    mask : (..., N) bool
        Which sites belong to clusters; leading dimensions are replicas.
    cutoff : float, optional
        Distance of neighbours; default: that of nearest neighbours on a lattice, 1 elsewhere.

    Raises
    ------
    InvalidInput
        If the mask is not boolean or does not fit the system, or no site has a neighbour.

    Examples
    --------
    >>> import gnnspin as gs
    >>> ring = gs.systems.chain(8)
    >>> gs.observables.clusters(ring, [True, True, False, True, False, False, False, True]).sizes
    tensor([3, 1])
    """
    chosen = torch.as_tensor(mask)
    if chosen.dtype != torch.bool or chosen.ndim < 1 or chosen.shape[-1] != system.n_sites:
        raise InvalidInput(
            f"mask has shape {tuple(chosen.shape)} and type {chosen.dtype}; expected booleans (..., {system.n_sites})"
        )
    bonds = torch.from_numpy(neighbor_bonds(system, cutoff)).to(chosen.device)
    return _connected(system, chosen, bonds, chosen[..., bonds[0]] & chosen[..., bonds[1]])


def ferromagnetic_clusters(
    system: SpinSystem, spins: Tensor | ArrayLike, threshold: float = 0.5, cutoff: float | None = None
) -> Clusters:
    """Ferromagnetic clusters: sites joined by bonds with ``S_i . S_j > threshold``, at least two of them.

    ``length`` is the characteristic length ``L = <s>^(1/2)`` of phase separation in the double-exchange model on the
    square lattice: regions whose nearest-neighbour bonds exceed 0.5 (figure 5 of the review "Machine-learning
    force-field models for dynamical simulations of metallic magnets"; Zhang, Saha and Chern, arXiv:2006.04205).

    Parameters
    ----------
    system : SpinSystem
    spins : (..., N, 3)
        Unit spins.
    threshold : float
        Smallest ``S_i . S_j`` of a ferromagnetic bond, between -1 and 1.
    cutoff : float, optional
        Distance of neighbours, as in `clusters`.

    Raises
    ------
    InvalidInput
        If the threshold is out of range, the spins do not fit the system, or no site has a neighbour.
    """
    if not -1 <= threshold <= 1:
        raise InvalidInput(f"threshold={threshold} must be between -1 and 1, as S_i . S_j is")
    checked = as_spins(spins, system.n_sites)
    bonds = torch.from_numpy(neighbor_bonds(system, cutoff)).to(checked.device)
    flat = checked.reshape(-1, *checked.shape[-2:])
    parallel = torch.stack([(each[bonds[0]] * each[bonds[1]]).sum(-1) > threshold for each in flat])
    parallel = parallel.reshape(*checked.shape[:-2], -1)
    inside = torch.zeros(checked.shape[:-1], dtype=torch.int64, device=checked.device)
    for end in bonds:
        inside = inside.index_add(-1, end, parallel.long())
    return _connected(system, inside > 0, bonds, parallel)


def _connected(system: SpinSystem, inside: Tensor, bonds: Tensor, joined: Tensor) -> Clusters:
    """Clusters of the sites `inside` (..., N), joined by the bonds (2, B) where `joined` (..., B) is true."""
    flat = inside.reshape(-1, system.n_sites).cpu().numpy()
    replica, bond = np.nonzero(joined.reshape(len(flat), -1).cpu().numpy())
    i, j = bonds.cpu().numpy()[:, bond] + replica * system.n_sites
    graph = coo_array((np.ones(len(i), dtype=np.int8), (i, j)), shape=(flat.size, flat.size))
    _, component = connected_components(graph, directed=False)
    labels = np.full(flat.shape, -1, dtype=np.int64)
    sizes = [
        _ranked(row, mask, out) for row, mask, out in zip(component.reshape(flat.shape), flat, labels, strict=True)
    ]
    padded = np.zeros((len(flat), max((len(each) for each in sizes), default=0)), dtype=np.int64)
    for row, each in zip(padded, sizes, strict=True):
        row[: len(each)] = each
    leading, device = inside.shape[:-1], inside.device
    return Clusters(
        torch.from_numpy(labels).reshape(inside.shape).to(device),
        torch.from_numpy(padded).reshape(*leading, padded.shape[1]).to(device),
        _dimension(system),
    )


def _ranked(component: IntArray, mask: NDArray[np.bool_], labels: IntArray) -> IntArray:
    """Write the labels of one replica, ordered by size, and return the sizes."""
    _, number, counts = np.unique(component[mask], return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    labels[mask] = rank[number]
    return np.asarray(counts[order], dtype=np.int64)


def _dimension(system: SpinSystem) -> int:
    """Directions along which the sites of the system extend."""
    offsets = np.concatenate([part.positions - part.positions[0] for part in system.parts])
    return max(1, int(np.linalg.matrix_rank(offsets, tol=1e-6 * system.spacing)))
