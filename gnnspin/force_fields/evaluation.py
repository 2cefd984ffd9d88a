"""How a model is evaluated: in torch or by code compiled for this machine; sums over systems."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.modes import ordinary_modes
from gnnspin.models.base import NativeField, SpinModel
from gnnspin.models.native import NoCompiler, native_allowed
from gnnspin.systems import SpinSystem

#: Sites from which on native code is worth building without being asked for.
WORTH_SITES = 400


class NativeChoice:
    """Native code of one model on one system, built when it is first needed and anew when the weights change.

    Attributes
    ----------
    wanted : bool or None
        Whether it is asked for; None: on systems of `WORTH_SITES` or more, where it can be built.
    """

    def __init__(self) -> None:
        self.wanted: bool | None = None
        self._state: tuple[Any, ...] | None = None
        self._field: NativeField | None = None

    def field(self, model: SpinModel, system: SpinSystem, dtype: torch.dtype) -> NativeField | None:
        """Native evaluation of `model` on `system`; None where the model itself is evaluated.

        Raises
        ------
        InvalidInput
            If it is asked for and there is none for this architecture on this system.
        NoCompiler
            If it is asked for and cannot be built.
        """
        if self.wanted is False or not (self.wanted or (native_allowed() and system.n_sites >= WORTH_SITES)):
            return None
        state = (system, dtype, *((t.data_ptr(), t._version) for t in model.state_dict().values()))
        if state != self._state:
            self._field, self._state = self._built(model, system, dtype), state
        return self._field

    def _built(self, model: SpinModel, system: SpinSystem, dtype: torch.dtype) -> NativeField | None:
        try:
            with ordinary_modes():
                found = model.native(system, dtype)
        except NoCompiler:
            if self.wanted:
                raise
            return None
        if self.wanted and found is None:
            raise InvalidInput(
                f"there is no native code of {model.name} on {system}; use compile() or the model itself"
            )
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {"wanted": self.wanted, "_state": None, "_field": None}


def on_this_machine(spins: Tensor) -> bool:
    """Whether the spins are ordinary numbers in the memory of the CPU."""
    return type(spins) is Tensor and spins.device.type == "cpu"


def sum_over_graphs(system: SpinSystem, site_energies: Tensor) -> Tensor:
    """Energies (R, n_graphs) in float64 of site energies (R, N)."""
    sizes = [part.n_sites for part in system.parts]
    parts = site_energies.to(torch.float64).split(sizes, dim=-1)
    return torch.stack([part.sum(-1) for part in parts], dim=-1)
