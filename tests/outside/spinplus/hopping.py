"""A hopping rule: amplitudes that fall exponentially with the distance up to a cutoff."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import gnnspin as gs
from gnnspin.electrons.hopping.rules import HoppingRule, Hops


@dataclass(frozen=True)
class ExponentialHopping(HoppingRule, kind="spinplus_exponential"):
    """``h_ij = -t exp(-(r_ij - a) / length)`` up to `cutoff`; a is the shortest distance.

    Parameters
    ----------
    t : float
        Hopping amplitude at the shortest distance, the unit of energy.
    length : float
        Decay length.
    cutoff : float
        Largest distance.
    """

    t: float = 1.0
    length: float = 0.5
    cutoff: float = 1.5

    time_reversal = translation = isotropic = True
    has_onsite = False

    def part_hops(self, system: gs.systems.SpinSystem) -> Hops:
        """Hops of one system that is not a union; both directions of every bond."""
        graph = gs.graphs.radius_graph(system, self.cutoff)
        neighbor, site = graph.edge_index.numpy()
        distance = graph.edge_distance.numpy()
        amplitude = -self.t * np.exp(-(distance - distance.min()) / self.length)
        return Hops(site, neighbor, graph.edge_vector.numpy(), amplitude)
