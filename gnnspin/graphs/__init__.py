"""Radius graphs and their specification."""

from gnnspin.graphs.radius import GraphSpec, radius_graph, shell_distances

__all__ = ["GraphSpec", "radius_graph", "shell_distances"]
