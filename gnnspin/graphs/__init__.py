"""Radius graphs and their specification."""

from gnnspin.graphs.radius import GraphSpec, radius_graph, shell_distances
from gnnspin.graphs.triplets import triplet_chunks, triplets

__all__ = ["GraphSpec", "radius_graph", "shell_distances", "triplet_chunks", "triplets"]
