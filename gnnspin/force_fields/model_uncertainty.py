"""The uncertainty of one force field as its file keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gnnspin.force_fields.calibration import Calibration
from gnnspin.force_fields.last_layer import VarianceNetwork

#: What the names of its tensors in a model file begin with.
PREFIX = "uncertainty."


@dataclass(frozen=True)
class TorqueUncertainty:
    """Posterior deviation of the torque as a network, and the calibration that makes error bars of it.

    Attributes
    ----------
    network : VarianceNetwork
    calibration : Calibration or None
        None while it is being made.
    """

    network: VarianceNetwork
    calibration: Calibration | None

    def tensors(self) -> dict[str, Tensor]:
        """Tensors of a model file."""
        return {PREFIX + name: tensor for name, tensor in self.network.state_dict().items()}

    def header(self) -> dict[str, Any]:
        """Part of the JSON header of a model file."""
        assert self.calibration is not None
        return {"n_hidden": len(self.network.mixing), **self.calibration.to_dict()}

    @classmethod
    def restored(cls, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> TorqueUncertainty:
        """The inverse of `header` and `tensors`, of which others than its own are ignored."""
        values = dict(header)
        network = VarianceNetwork(values.pop("n_hidden"))
        own = {name.removeprefix(PREFIX): tensor for name, tensor in tensors.items() if name.startswith(PREFIX)}
        network.load_state_dict(own)
        return cls(network.requires_grad_(False).eval(), Calibration.from_dict(values))
