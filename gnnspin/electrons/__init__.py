"""Electrons: hopping rules, the s-d Hamiltonian, occupations, exact field sources, spectra and topology."""

from gnnspin.electrons.driven.driven_steady_state import DrivenState, DrivenSteadyState
from gnnspin.electrons.driven.leads import Lead, PeriodicLead, SemiInfiniteLead
from gnnspin.electrons.ensemble import Ensemble
from gnnspin.electrons.exact_diagonalization import ExactDiagonalization
from gnnspin.electrons.hamiltonian import SDHamiltonian
from gnnspin.electrons.hopping.haldane import HaldaneHopping
from gnnspin.electrons.hopping.matrix import MatrixHopping
from gnnspin.electrons.hopping.onsite import OnsiteDisorder, OnsiteEnergy, diluted_coupling
from gnnspin.electrons.hopping.phases import PeierlsHopping, TwistedHopping
from gnnspin.electrons.hopping.rashba import RashbaHopping
from gnnspin.electrons.hopping.rules import (
    ExponentialHopping,
    HoppingRule,
    NearestNeighborHopping,
    ShellHopping,
    SumHopping,
)
from gnnspin.electrons.hopping.wannier import CellHopping, Wannier90Hopping, wannier90_hopping
from gnnspin.electrons.poles.pole_expansion import PoleExpansion
from gnnspin.electrons.polynomials.kernel_polynomial import KernelPolynomial
from gnnspin.electrons.spectra import (
    average_density_of_states,
    band_gap,
    bands,
    density_of_states,
    local_density_of_states,
)
from gnnspin.electrons.state import ElectronicState
from gnnspin.electrons.topology import chern_number, hall_conductivity

__all__ = [
    "CellHopping",
    "DrivenState",
    "DrivenSteadyState",
    "ElectronicState",
    "Ensemble",
    "ExactDiagonalization",
    "ExponentialHopping",
    "HaldaneHopping",
    "HoppingRule",
    "KernelPolynomial",
    "Lead",
    "MatrixHopping",
    "NearestNeighborHopping",
    "OnsiteDisorder",
    "OnsiteEnergy",
    "PeierlsHopping",
    "PeriodicLead",
    "PoleExpansion",
    "RashbaHopping",
    "SDHamiltonian",
    "SemiInfiniteLead",
    "ShellHopping",
    "SumHopping",
    "TwistedHopping",
    "Wannier90Hopping",
    "average_density_of_states",
    "band_gap",
    "bands",
    "chern_number",
    "density_of_states",
    "diluted_coupling",
    "hall_conductivity",
    "local_density_of_states",
    "wannier90_hopping",
]
