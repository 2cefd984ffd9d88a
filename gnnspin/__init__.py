"""gnnspin: machine-learned force fields of itinerant magnets."""

from gnnspin import core, graphs, systems

__version__ = "0.1.0"
__all__ = ["core", "graphs", "systems"]
