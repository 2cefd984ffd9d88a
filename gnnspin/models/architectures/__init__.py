"""One file per architecture; importing this package registers them all."""

from gnnspin.models.architectures.behler_parrinello import BehlerParrinello
from gnnspin.models.architectures.convolutional import Convolutional
from gnnspin.models.architectures.equivariant_tensor_network import EquivariantTensorNetwork
from gnnspin.models.architectures.family import Family
from gnnspin.models.architectures.fitted_poles import FittedPoles
from gnnspin.models.architectures.fitted_steady_state import FittedSteadyState
from gnnspin.models.architectures.gatv2 import GATv2
from gnnspin.models.architectures.invariant_message_passing import InvariantMessagePassing
from gnnspin.models.architectures.linear_cluster_expansion import LinearClusterExpansion
from gnnspin.models.architectures.moment_cluster_expansion import MomentClusterExpansion
from gnnspin.models.architectures.moment_network import MomentNetwork
from gnnspin.models.architectures.nonconservative import Nonconservative
from gnnspin.models.architectures.oriented_cluster_expansion import OrientedClusterExpansion
from gnnspin.models.architectures.pyg import PyGModel
from gnnspin.models.architectures.schnet import SchNet
from gnnspin.models.architectures.spin_cluster_expansion import SpinClusterExpansion
from gnnspin.models.architectures.vector_message_passing import VectorMessagePassing

__all__ = [
    "BehlerParrinello",
    "Convolutional",
    "EquivariantTensorNetwork",
    "Family",
    "FittedPoles",
    "FittedSteadyState",
    "GATv2",
    "InvariantMessagePassing",
    "LinearClusterExpansion",
    "MomentClusterExpansion",
    "MomentNetwork",
    "Nonconservative",
    "OrientedClusterExpansion",
    "PyGModel",
    "SchNet",
    "SpinClusterExpansion",
    "VectorMessagePassing",
]
