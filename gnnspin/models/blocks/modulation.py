r"""Weights of a network as functions of the parameters of a Hamiltonian.

With parameters :math:`x \in [-1, 1]^P` scaled to their range, and functions :math:`h(x)` of them (x itself and the
standardised hidden units of a small network), every matrix of weights has its rows and its columns rescaled, every
vector is shifted:

.. math:: W_{ab}(x) = W_{ab}\,(1 + r_a\cdot h)(1 + c_b\cdot h), \qquad b_a(x) = b_a + d_a\cdot h .

A bias that depends on x is what x as a further input of a network amounts to; rescaled rows and columns are the gates
of feature-wise linear modulation (Perez et al., AAAI 2018, arXiv:1709.07871).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

_Shape = tuple[int, ...]

#: Factor on the usual initial weights, for functions that are not nearly straight over the range.
_STEEPER = 2.0


class WeightModulation(nn.Module):
    """Changes of the weights of a network with the scaled parameters of a Hamiltonian; none before it is trained.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Shapes of the weights by name.
    n_parameters : int
        Number P of parameters.
    hidden : int
        Width of both hidden layers.
    """

    center: Tensor
    inverse_spread: Tensor

    def __init__(self, shapes: Mapping[str, _Shape], n_parameters: int, hidden: int) -> None:
        super().__init__()
        self.shapes = dict(shapes)
        self.network = nn.Sequential(
            nn.Linear(n_parameters, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )  # fmt: skip
        self.sizes = [size for shape in self.shapes.values() for size in _sizes(shape)]
        self.head = nn.Parameter(torch.zeros(sum(self.sizes), n_parameters + hidden))
        self.register_buffer("center", torch.zeros(hidden))
        self.register_buffer("inverse_spread", torch.ones(hidden))
        self._standardise(n_parameters)

    @torch.no_grad()
    def _standardise(self, n_parameters: int) -> None:
        """Let hidden units curve within the range, and have zero mean and unit spread over it before the training."""
        first, second = self.network[0], self.network[2]
        first.weight.mul_(_STEEPER * n_parameters**0.5)  # type: ignore[operator]
        second.weight.mul_(_STEEPER)  # type: ignore[operator]
        points = 2 * torch.rand(4096, n_parameters, generator=torch.Generator().manual_seed(0)) - 1
        hidden = self.network(points)
        self.center.copy_(hidden.mean(0))
        self.inverse_spread.copy_(1 / hidden.std(0).clamp_min(1e-3))

    def functions(self, scaled: Tensor) -> Tensor:
        """Functions h of scaled parameters (..., P) that change the weights: the parameters and the hidden units."""
        hidden = (self.network(scaled) - self.center) * self.inverse_spread
        return torch.cat([scaled, hidden], dim=-1) * self.head.shape[1] ** -0.5

    def forward(self, scaled: Tensor, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights, of the given names and shapes, at scaled parameters (P,)."""
        changes = iter((self.head @ self.functions(scaled)).split(self.sizes))
        result = {}
        for name, shape in self.shapes.items():
            parts = [next(changes) for _ in _sizes(shape)]
            result[name] = _changed(weights[name], parts)
        return result


def _sizes(shape: _Shape) -> tuple[int, ...]:
    """Numbers that change a tensor: of rows and of columns, or as many as a vector has entries."""
    if len(shape) < 2:
        return (shape[0] if shape else 1,)
    return shape[0], shape[-1]


def _changed(weight: Tensor, parts: list[Tensor]) -> Tensor:
    if weight.ndim < 2:
        return weight + parts[0].reshape(weight.shape)
    rows = parts[0].reshape(-1, *[1] * (weight.ndim - 1))
    return weight * (1 + rows) * (1 + parts[1])


def quadratics(scaled: Tensor) -> Tensor:
    """All products (..., Q) of up to two of the scaled parameters (..., P): 1, x_p, x_p x_q with p <= q."""
    count = scaled.shape[-1]
    products = [scaled[..., p] * scaled[..., q] for p in range(count) for q in range(p, count)]
    return torch.stack([torch.ones_like(scaled[..., 0]), *scaled.unbind(-1), *products], dim=-1)


def fitted_quadratic(scaled: Tensor, values: Tensor, ridge: float = 1e-3) -> Tensor:
    """Coefficients (Q,) of `quadratics` that fit values (n,) at scaled parameters (n, P), with a small ridge."""
    columns, target = quadratics(scaled.double()), values.double()
    penalty = ridge * len(columns) * torch.ones(columns.shape[1], dtype=torch.float64)
    penalty[0] = 0.0
    return torch.linalg.solve(columns.T @ columns + torch.diag(penalty), columns.T @ target)
