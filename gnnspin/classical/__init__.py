"""Classical field sources: energy terms, torques of currents; and effective couplings read off any source."""

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
from gnnspin.classical.spin_torques import SlonczewskiTorque, SpinOrbitTorque
from gnnspin.classical.term import ClassicalSource, ClassicalTerm
from gnnspin.classical.waveform import Harmonic, Pulse, Sampled, Waveform
from gnnspin.classical.zeeman import Zeeman
from gnnspin.classical.zhang_li import ZhangLi

__all__ = [
    "RKKY",
    "Biquadratic",
    "BondExchange",
    "BondList",
    "ClassicalSource",
    "ClassicalTerm",
    "CubicAnisotropy",
    "DzyaloshinskiiMoriya",
    "EffectiveExchange",
    "FourSpin",
    "Harmonic",
    "Heisenberg",
    "PairExchange",
    "Pulse",
    "RingExchange",
    "Sampled",
    "SlonczewskiTorque",
    "SpinOrbitTorque",
    "UniaxialAnisotropy",
    "Waveform",
    "Zeeman",
    "ZhangLi",
    "effective_exchange",
    "parallelograms",
    "shell_bond_list",
]
