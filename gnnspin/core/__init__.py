"""The field-source protocol, spin utilities, counter-based noise, registries and errors."""

from gnnspin.core.dilution import Diluted
from gnnspin.core.errors import (
    ConvergenceError,
    GnnspinError,
    InvalidInput,
    NoEnergyError,
    SimulationError,
    StoreError,
    SymmetryWarning,
)
from gnnspin.core.noise import thermal_noise
from gnnspin.core.registry import Registry
from gnnspin.core.source import FieldSource, SumSource
from gnnspin.core.spins import as_spins, normalize, project_tangent, random_rotation, random_spins, torque
from gnnspin.core.state import State

__all__ = [
    "ConvergenceError",
    "Diluted",
    "FieldSource",
    "GnnspinError",
    "InvalidInput",
    "NoEnergyError",
    "Registry",
    "SimulationError",
    "State",
    "StoreError",
    "SumSource",
    "SymmetryWarning",
    "as_spins",
    "normalize",
    "project_tangent",
    "random_rotation",
    "random_spins",
    "thermal_noise",
    "torque",
]
