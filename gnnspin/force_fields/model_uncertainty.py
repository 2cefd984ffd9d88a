"""The uncertainty of one force field, or of a family of them, as its file keeps it."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gnnspin.force_fields.calibration import Calibration
from gnnspin.force_fields.last_layer import VarianceNetwork
from gnnspin.force_fields.weight_uncertainty import PREFIX as PREFIX
from gnnspin.force_fields.weight_uncertainty import WeightUncertainty
from gnnspin.models.architectures.family import Family
from gnnspin.models.blocks.modulation import quadratics


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
        own.setdefault("floor", network.floor)  # came with families
        network.load_state_dict(own)
        return cls(network.requires_grad_(False).eval(), Calibration.from_dict(values))


#: Name in a model file of what only the uncertainty of a family has.
_FACTOR, _WEIGHT = "family_factor", "family_weight"


@dataclass(frozen=True)
class FamilyUncertainty:
    r"""Posterior deviation of the torque of a family of models, from which that of a member follows.

    As far as their uncertainty is concerned, the last weights depend on the scaled parameters x of the Hamiltonian as
    quadratic polynomials, :math:`w(x) = \sum_q \phi_q(x) w_q`. With the joint covariance C of all :math:`w_q`, those
    of a member have :math:`C(x) = \sum_{qr} \phi_q \phi_r C_{qr}`, which is small among the labels and grows outside
    of their range like the square of :math:`\phi`. The network stands in for the deviation over
    :math:`\sqrt{\mathrm{tr}\, C(x) M}`, M being the mean of :math:`J^T J` over labels of all members, and errors count
    in units of the torque expected at x. Outside of the range, where the network has seen few members or none, it may
    raise the deviation over its mean, but not lower it.

    Attributes
    ----------
    network : VarianceNetwork
    factor : (Q P', Q P') float32
        L of ``C = L L^T``.
    weight : (P', P') float64
        M.
    calibration : Calibration or None
        None while it is being made.
    """

    network: VarianceNetwork
    factor: Tensor
    weight: Tensor
    calibration: Calibration | None

    def member_covariance(self, scaled: Tensor) -> Tensor:
        """Covariance (P', P') of the last weights at scaled parameters (P,)."""
        products = quadratics(scaled.double())
        rows = self.factor.double().unflatten(0, (len(products), len(self.weight)))
        own = torch.einsum("q,qak->ak", products, rows)
        return own @ own.T

    def log_size(self, covariance: Tensor) -> float:
        """Logarithm of the root of tr C M."""
        return 0.5 * math.log(max(float((covariance * self.weight).sum()), 1e-300))

    def at(self, family: Family, parameters: Tensor) -> TorqueUncertainty:
        """The uncertainty of the member at parameters (P,): that of an ordinary model."""
        covariance = self.member_covariance(family.scaled(parameters))
        scale = float(family.torque_scale(parameters.to(family.log_scale.device)))
        network = copy.deepcopy(self.network)
        network.covariance.copy_(scale**2 * covariance)
        network.offset += self.log_size(covariance) + math.log(scale)
        if bool((family.scaled(parameters).abs() > 1 + 1e-9).any()):
            network.floor.zero_()
        return TorqueUncertainty(network, self.calibration)

    def tensors(self) -> dict[str, Tensor]:
        """Tensors of a model file."""
        own = {**self.network.state_dict(), _FACTOR: self.factor, _WEIGHT: self.weight}
        return {PREFIX + name: tensor for name, tensor in own.items()}

    def header(self) -> dict[str, Any]:
        """Part of the JSON header of a model file."""
        assert self.calibration is not None
        return {"n_hidden": len(self.network.mixing), "family": True, **self.calibration.to_dict()}

    @classmethod
    def restored(cls, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> FamilyUncertainty:
        """The inverse of `header` and `tensors`, of which others than its own are ignored."""
        plain = {name: value for name, value in header.items() if name != "family"}
        factor, weight = (tensors[PREFIX + name] for name in (_FACTOR, _WEIGHT))
        rest = {name: each for name, each in tensors.items() if name not in (PREFIX + _FACTOR, PREFIX + _WEIGHT)}
        inner = TorqueUncertainty.restored(plain, rest)
        return cls(inner.network, factor, weight, inner.calibration)


def restored_uncertainty(
    header: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> TorqueUncertainty | FamilyUncertainty | WeightUncertainty:
    """The uncertainty in a model file: of one model, of a family, or of weights that were solved for."""
    if "weights" in header:
        return WeightUncertainty.restored(header, tensors)
    kind = FamilyUncertainty if header.get("family") else TorqueUncertainty
    return kind.restored(header, tensors)
