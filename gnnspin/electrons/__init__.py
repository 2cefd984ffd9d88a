"""Electrons: hopping rules, the s-d Hamiltonian, occupations, exact field sources, spectra and topology."""

from gnnspin.electrons.exact_diagonalization import ExactDiagonalization
from gnnspin.electrons.hamiltonian import SDHamiltonian
from gnnspin.electrons.hopping import (
    ExponentialHopping,
    HoppingRule,
    NearestNeighborHopping,
    ShellHopping,
    SumHopping,
)
from gnnspin.electrons.kernel_polynomial import KernelPolynomial
from gnnspin.electrons.onsite import OnsiteDisorder, OnsiteEnergy, diluted_coupling
from gnnspin.electrons.phases import PeierlsHopping, TwistedHopping
from gnnspin.electrons.pole_expansion import PoleExpansion
from gnnspin.electrons.rashba import RashbaHopping
from gnnspin.electrons.spectra import average_density_of_states, density_of_states, local_density_of_states
from gnnspin.electrons.state import ElectronicState
from gnnspin.electrons.topology import chern_number, hall_conductivity
from gnnspin.electrons.wannier import CellHopping, wannier90_hopping

__all__ = [
    "CellHopping",
    "ElectronicState",
    "ExactDiagonalization",
    "ExponentialHopping",
    "HoppingRule",
    "KernelPolynomial",
    "NearestNeighborHopping",
    "OnsiteDisorder",
    "OnsiteEnergy",
    "PeierlsHopping",
    "PoleExpansion",
    "RashbaHopping",
    "SDHamiltonian",
    "ShellHopping",
    "SumHopping",
    "TwistedHopping",
    "average_density_of_states",
    "chern_number",
    "density_of_states",
    "diluted_coupling",
    "hall_conductivity",
    "local_density_of_states",
    "wannier90_hopping",
]
