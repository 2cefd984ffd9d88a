"""Spins of one system with their hidden units and the derivatives of their torques by the last weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gnnspin.core.containers import move_arrays
from gnnspin.force_fields.force_field import ForceField
from gnnspin.force_fields.last_layer import Surroundings, hidden_of, recorded, torque_jacobian
from gnnspin.systems import SpinSystem


@dataclass
class Part:
    """Spins of one system with what is computed of them.

    Attributes
    ----------
    force_field : ForceField
    system : SpinSystem
    data : Any
        What the model prepared of the system.
    given, spins : (R, N, 3)
        In the precision given, and in that of the force field.
    surroundings : Surroundings
    hidden : (R, N, P)
    jacobian : (R, N, 3, P')
        Of the torque by the weights of mixed hidden units; empty before `differentiate`.
    """

    force_field: ForceField
    system: SpinSystem
    data: Any
    given: Tensor
    spins: Tensor
    surroundings: Surroundings
    hidden: Tensor
    jacobian: Tensor

    @classmethod
    def of(cls, force_field: ForceField, system: SpinSystem, spins: Tensor) -> Part:
        """Hidden units of spins (R, N, 3) on a system."""
        model = force_field.model
        data = move_arrays(model.prepare(system), force_field.device, force_field.dtype)
        given = spins.to(force_field.device, force_field.dtype)
        around = Surroundings.of(system, model.spec)
        return cls(force_field, system, data, spins, given, around, _hidden(model, data, given), torch.empty(0))

    def of_states(self, spins: Tensor) -> Part:
        """The same for other spins (R, N, 3)."""
        given = spins.to(self.spins)
        hidden = _hidden(self.force_field.model, self.data, given)
        return Part(self.force_field, self.system, self.data, spins, given, self.surroundings, hidden, torch.empty(0))

    def differentiate(self, mixing: Tensor) -> None:
        """Jacobians of the torque, one snapshot after the other."""
        model = self.force_field.model
        found = [torque_jacobian(model, self.data, each[None], mixing)[0].cpu() for each in self.spins]
        self.jacobian = torch.cat(found)


def _hidden(model: Any, data: Any, spins: Tensor) -> Tensor:
    with recorded(model) as seen:
        model.site_energies(data, spins)
    return hidden_of(model, seen, spins).cpu()
