"""The field-source protocol, spin utilities, counter-based noise, registries and errors; imported at first use."""

from typing import TYPE_CHECKING

from gnnspin.core.errors import (
    ConvergenceError,
    ExtrapolationWarning,
    GnnspinError,
    InvalidInput,
    NoEnergyError,
    SimulationError,
    StoreError,
    SymmetryWarning,
)
from gnnspin.core.lazy import lazy_names

if TYPE_CHECKING:
    from gnnspin.core.containers import TensorContainer, move_arrays
    from gnnspin.core.dilution import Diluted
    from gnnspin.core.noise import thermal_noise
    from gnnspin.core.registry import Registry
    from gnnspin.core.source import FieldSource, SumSource
    from gnnspin.core.spins import as_spins, normalize, project_tangent, random_rotation, random_spins, torque
    from gnnspin.core.state import State

__all__ = [
    "ConvergenceError",
    "Diluted",
    "ExtrapolationWarning",
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
    "TensorContainer",
    "as_spins",
    "move_arrays",
    "normalize",
    "project_tangent",
    "random_rotation",
    "random_spins",
    "thermal_noise",
    "torque",
]

_NAMES = {
    "containers": ("TensorContainer", "move_arrays"),
    "dilution": ("Diluted",),
    "noise": ("thermal_noise",),
    "registry": ("Registry",),
    "source": ("FieldSource", "SumSource"),
    "spins": ("as_spins", "normalize", "project_tangent", "random_rotation", "random_spins", "torque"),
    "state": ("State",),
}

__getattr__ = lazy_names(
    __name__, {name: f"gnnspin.core.{module}" for module, names in _NAMES.items() for name in names}
)


def __dir__() -> list[str]:
    return sorted(__all__)
