r"""Error bars of models whose fields are linear in few weights that were solved for, such as fitted poles.

The torque on a spin is :math:`T_i = J_i w` with a 3 x P matrix that the evaluation of the field has at hand, so that
weights of covariance C give it the variance :math:`\mathrm{tr}\, J_i C J_i^T`. The errors of such a model are those of
its form, not of the data: C and a variance that all sites share are those that make the errors on labels most likely.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gnnspin.core.spins import torque
from gnnspin.datasets.labels import LabelSet
from gnnspin.force_fields.calibration import Calibration

#: What the names of its tensors in a model file begin with.
PREFIX = "uncertainty."

#: Steps of the optimiser; least part of the mean variance that all sites share; ridge relative to the mean diagonal.
_STEPS, _FLOOR, _RIDGE = 200, 1e-3, 1e-6
#: Labels that are used at most.
_LABELS = 64


@dataclass(frozen=True)
class WeightUncertainty:
    """Covariance of the weights, the variance that all sites share, and the calibration that makes error bars of them.

    Attributes
    ----------
    covariance : (P, P) float64
    shared : () float64
    calibration : Calibration or None
        None while it is being made.
    """

    covariance: Tensor
    shared: Tensor
    calibration: Calibration | None

    def fields_and_scores(self, model: Any, data: Any, spins: Tensor) -> tuple[Tensor, Tensor]:
        """Fields (R, N, 3) of spins (R, N, 3), and deviations (R, N) of their torques."""
        fields, columns = model.fields_and_columns(data, spins)
        products = _torque_columns(spins, columns) @ torch.linalg.cholesky(self.covariance).to(spins)
        return fields, (products.square().sum((-1, -2)) + self.shared.to(spins)).sqrt()

    @classmethod
    def fitted(cls, model: Any, labels: LabelSet) -> WeightUncertainty:
        """The covariance that makes the errors of a model on labels most likely, without a calibration."""
        jacobians, squares = [], []
        for system, indices in labels.by_system().items():
            data = model.prepare(system).to(model.constant.device)
            stack = labels.stacked(indices[:: -(-len(indices) // max(1, _LABELS // len(labels.systems)))])
            for spins, field in zip(stack.spins, stack.field, strict=True):
                given = model.fields_and_columns(data, spins[None].to(model.constant.device))
                found, columns = (each.cpu() for each in given)
                jacobians.append(_torque_columns(spins[None], columns)[0])
                squares.append(torque(spins, found[0] - field).square().sum(-1))
        return cls._most_likely(torch.cat(jacobians), torch.cat(squares))

    @classmethod
    @torch.enable_grad()
    def _most_likely(cls, jacobians: Tensor, squares: Tensor) -> WeightUncertainty:
        """From J (N, 3, P) and squared errors (N,): Gaussian errors of three components with their mean variance."""
        normal = torch.einsum("nxa,nxb->ab", jacobians, jacobians)
        normal += _RIDGE * normal.diagonal().mean() * torch.eye(len(normal), dtype=normal.dtype)
        root = torch.linalg.cholesky(torch.linalg.inv(normal))
        size = squares.mean()
        root = root * (size / (jacobians @ root).square().sum((-1, -2)).mean()).sqrt()
        basis = torch.eye(len(root), dtype=root.dtype).requires_grad_()
        logarithm = (0.1 * size).log().requires_grad_()
        optimizer = torch.optim.LBFGS([basis, logarithm], max_iter=_STEPS, line_search_fn="strong_wolfe")

        def variance() -> Tensor:
            return (jacobians @ (root @ basis)).square().sum((-1, -2)) + logarithm.exp() + _FLOOR * size

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = (1.5 * squares / variance() + 1.5 * (variance() / size).log()).mean()
            loss.backward()
            return loss

        optimizer.step(closure)
        with torch.no_grad():
            found = root @ basis
            covariance = found @ found.T
            covariance += _RIDGE * covariance.diagonal().mean() * torch.eye(len(found), dtype=found.dtype)
            return cls(covariance, logarithm.exp() + _FLOOR * size, None)

    def tensors(self) -> dict[str, Tensor]:
        """Tensors of a model file."""
        return {PREFIX + "covariance": self.covariance, PREFIX + "shared": self.shared}

    def header(self) -> dict[str, Any]:
        """Part of the JSON header of a model file."""
        assert self.calibration is not None
        return {"weights": len(self.covariance), **self.calibration.to_dict()}

    @classmethod
    def restored(cls, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> WeightUncertainty:
        """The inverse of `header` and `tensors`, of which others than its own are ignored."""
        values = {name: value for name, value in header.items() if name != "weights"}
        return cls(tensors[PREFIX + "covariance"], tensors[PREFIX + "shared"], Calibration.from_dict(values))


def _torque_columns(spins: Tensor, columns: Tensor) -> Tensor:
    """S_i x column (R, N, 3, P) of spins (R, N, 3) and field columns (R, N, 3, P)."""
    return torch.linalg.cross(spins[..., None].to(columns).expand_as(columns), columns, dim=-2)
