"""Classical field sources: one file per energy term; and effective couplings read off any source."""

from gnnspin.classical.anisotropy import UniaxialAnisotropy
from gnnspin.classical.biquadratic import Biquadratic
from gnnspin.classical.bond_exchange import BondExchange
from gnnspin.classical.bonds import BondList, parallelograms, shell_bond_list
from gnnspin.classical.cubic_anisotropy import CubicAnisotropy
from gnnspin.classical.dzyaloshinskii_moriya import DzyaloshinskiiMoriya
from gnnspin.classical.effective_exchange import EffectiveExchange, effective_exchange
from gnnspin.classical.four_spin import FourSpin
from gnnspin.classical.heisenberg import Heisenberg
from gnnspin.classical.pair_exchange import PairExchange
from gnnspin.classical.ring_exchange import RingExchange
from gnnspin.classical.rkky import RKKY
from gnnspin.classical.term import ClassicalTerm
from gnnspin.classical.zeeman import Zeeman

__all__ = [
    "RKKY",
    "Biquadratic",
    "BondExchange",
    "BondList",
    "ClassicalTerm",
    "CubicAnisotropy",
    "DzyaloshinskiiMoriya",
    "EffectiveExchange",
    "FourSpin",
    "Heisenberg",
    "PairExchange",
    "RingExchange",
    "UniaxialAnisotropy",
    "Zeeman",
    "effective_exchange",
    "parallelograms",
    "shell_bond_list",
]
