"""The field-source protocol, spin utilities, counter-based noise and errors."""

from gnnspin.core.errors import ConvergenceError, GnnspinError, InvalidInput, NoEnergyError, StoreError
from gnnspin.core.noise import thermal_noise
from gnnspin.core.source import FieldSource, SumSource
from gnnspin.core.spins import as_spins, normalize, project_tangent, random_rotation, random_spins, torque

__all__ = [
    "ConvergenceError",
    "FieldSource",
    "GnnspinError",
    "InvalidInput",
    "NoEnergyError",
    "StoreError",
    "SumSource",
    "as_spins",
    "normalize",
    "project_tangent",
    "random_rotation",
    "random_spins",
    "thermal_noise",
    "torque",
]
