"""Local Chebyshev moments of s-d Hamiltonians by message passing with 2x2-matrix messages."""

from gnnspin.models.moments.recursion import ScaledHamiltonian, local_moments
from gnnspin.models.moments.walks import HoppingTerms, WalkGeometry, prepare_walks

__all__ = ["HoppingTerms", "ScaledHamiltonian", "WalkGeometry", "local_moments", "prepare_walks"]
