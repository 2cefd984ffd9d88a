"""Classical field sources: one file per energy term."""

from gnnspin.classical.heisenberg import Heisenberg
from gnnspin.classical.term import ClassicalTerm
from gnnspin.classical.zeeman import Zeeman

__all__ = ["ClassicalTerm", "Heisenberg", "Zeeman"]
