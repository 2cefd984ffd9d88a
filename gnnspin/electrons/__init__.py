"""Electrons: hopping rules, the s-d Hamiltonian, occupations and exact field sources."""

from gnnspin.electrons.exact_diagonalization import ExactDiagonalization
from gnnspin.electrons.hamiltonian import SDHamiltonian
from gnnspin.electrons.hopping import ExponentialHopping, HoppingRule, NearestNeighborHopping
from gnnspin.electrons.state import ElectronicState

__all__ = [
    "ElectronicState",
    "ExactDiagonalization",
    "ExponentialHopping",
    "HoppingRule",
    "NearestNeighborHopping",
    "SDHamiltonian",
]
