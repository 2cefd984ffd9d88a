"""Bonds by neighbour shell, found without a cutoff from the user."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gnnspin.graphs import radius_graph, shell_distances
from gnnspin.systems.lattice import cell_neighbors, is_lattice
from gnnspin.systems.system import FloatArray, IntArray, SpinSystem


@dataclass(frozen=True)
class Bonds:
    """Directed bonds of one system: every bond appears as (i, j) and as (j, i).

    Attributes
    ----------
    site, neighbor : (E,)
        Ends i and j. A pair that is joined by several periodic images appears once per image; a site may be its own
        neighbour on a lattice of length 1.
    shell : (E,)
        Rank of the bond's distance, 0 for the first shell.
    vector : (E, 3)
        r_j - r_i to the image of j that the bond joins.
    """

    site: IntArray
    neighbor: IntArray
    shell: IntArray
    vector: FloatArray


def shell_bonds(system: SpinSystem, n_shells: int = 1) -> Bonds:
    """Bonds of the first `n_shells` neighbour shells; each part of a union has its own shells.

    An open system with fewer shells gives those it has, an isolated site none.
    """
    found = [_part_bonds(part, n_shells) for part in system.parts]
    offsets = np.cumsum([0] + [part.n_sites for part in system.parts[:-1]])
    return Bonds(
        site=np.concatenate([bonds.site + offset for bonds, offset in zip(found, offsets, strict=True)]),
        neighbor=np.concatenate([bonds.neighbor + offset for bonds, offset in zip(found, offsets, strict=True)]),
        shell=np.concatenate([bonds.shell for bonds in found]),
        vector=np.concatenate([bonds.vector for bonds in found]),
    )


def shell_cutoff(system: SpinSystem, n_shells: int = 1) -> float:
    """Radius that holds the first `n_shells` neighbour shells of a system and not many more; 0 without neighbours."""
    largest = _largest_useful_cutoff(system)
    cutoff = min(largest, system.spacing)
    while 0 < cutoff < largest and len(shell_distances(_distances(system, cutoff))) < n_shells:
        cutoff = min(1.5 * cutoff, largest)
    return cutoff


def _part_bonds(system: SpinSystem, n_shells: int) -> Bonds:
    cutoff = shell_cutoff(system, n_shells)
    if cutoff == 0:
        nothing = np.empty(0, dtype=np.int64)
        return Bonds(nothing, nothing, nothing, np.empty((0, 3)))
    graph = radius_graph(system, cutoff)
    neighbor, site = graph.edge_index.numpy()
    shell = graph.edge_shell.numpy()
    kept = shell < n_shells
    return Bonds(site[kept], neighbor[kept], shell[kept], graph.edge_vector.numpy()[kept])


def _distances(system: SpinSystem, cutoff: float) -> FloatArray:
    """Distances up to `cutoff` that occur, of one unit cell where that tells all."""
    if is_lattice(system):
        return np.linalg.norm(cell_neighbors(system, cutoff)[3], axis=1)
    return np.asarray(radius_graph(system, cutoff).edge_distance.numpy())


def _largest_useful_cutoff(system: SpinSystem) -> float:
    """Distance that no pair exceeds; infinite for a periodic system, which has every number of shells."""
    return np.inf if any(system.pbc) else float(np.linalg.norm(np.ptp(system.positions, axis=0)))
