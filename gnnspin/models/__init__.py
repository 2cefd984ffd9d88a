"""Model architectures over shared blocks; build one by name with `build`, add one with `register`."""

from gnnspin.core.moved import moved_names
from gnnspin.models.architectures import (
    BehlerParrinello,
    Family,
    Nonconservative,
    OrientedClusterExpansion,
    SpinClusterExpansion,
)
from gnnspin.models.architectures.pyg import from_pyg, register_network
from gnnspin.models.base import SpinModel
from gnnspin.models.registry import architecture, available, build, for_system, hyperparameters, register

__all__ = [
    "BehlerParrinello",
    "Family",
    "Nonconservative",
    "OrientedClusterExpansion",
    "SpinClusterExpansion",
    "SpinModel",
    "architecture",
    "available",
    "build",
    "for_system",
    "from_pyg",
    "hyperparameters",
    "register",
    "register_network",
]

__getattr__ = moved_names(
    __name__,
    {
        "Committee": "gnnspin.force_fields",
        "model_card": "gnnspin.force_fields",
        "pretrained": "gnnspin.force_fields",
    },
)
