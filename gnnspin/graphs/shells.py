"""Bonds by neighbour shell, found without a cutoff from the user."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gnnspin.graphs import radius_graph, shell_distances
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


def _part_bonds(system: SpinSystem, n_shells: int) -> Bonds:
    """Widen the cutoff until the shells are there, or until every pair of an open system has been seen."""
    largest = _largest_useful_cutoff(system)
    cutoff = min(largest, 1.01)
    while True:
        graph = radius_graph(system, cutoff)
        distance: FloatArray = graph.edge_distance.numpy()
        if len(shell_distances(distance)) >= n_shells or cutoff >= largest:
            neighbor, site = graph.edge_index.numpy()
            shell = graph.edge_shell.numpy()
            kept = shell < n_shells
            return Bonds(site[kept], neighbor[kept], shell[kept], graph.edge_vector.numpy()[kept])
        cutoff = min(1.5 * cutoff, largest)


def _largest_useful_cutoff(system: SpinSystem) -> float:
    """Distance that no pair exceeds; infinite for a periodic system, which has every number of shells."""
    if any(system.pbc):
        return np.inf
    return max(float(np.linalg.norm(np.ptp(system.positions, axis=0))), 1e-3)
