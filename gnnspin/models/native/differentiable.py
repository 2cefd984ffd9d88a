"""Site energies and fields as functions of a model's parameters, whose gradients a native kernel computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

#: Root-mean-square and largest step of a spin in the difference that stands for second derivatives, by precision.
_STEPS = {torch.float32: (0.015, 0.15), torch.float64: (1e-4, 1e-3)}


class _Native(Protocol):
    def update(self, parameters: Mapping[str, Tensor] | None = None) -> list[dict[str, Tensor]]: ...
    def __call__(self, spins: Tensor, *, field: bool) -> tuple[Tensor, Tensor | None]: ...
    def weight_gradients(self, spins: Tensor, weights: Tensor) -> list[dict[str, Tensor]]: ...


def trainable(native: _Native, spins: Tensor, parameters: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    r"""Site energies (R, N) and fields (R, N, 3) of spins (R, N, 3) as functions of parameters of the model by name.

    A loss L of the fields :math:`H = -\partial E/\partial S` has the gradient

    .. math:: \frac{\partial L}{\partial\theta} = -\frac{\partial}{\partial\epsilon}\,
       \frac{\partial E}{\partial\theta}\Big(S + \epsilon\,\frac{\partial L}{\partial H}\Big)\Big|_{\epsilon=0},

    taken as a central difference of first derivatives: two passes of the kernel, with weights, in place of second
    derivatives in torch. In float32 spins move by 0.015 radians (root mean square), where truncation and rounding
    together are about a thousandth of the gradient. Gradients of energies are exact.
    """
    energies, fields = _NativeField.apply(native, spins, tuple(parameters), *parameters.values())
    return energies, fields


class _NativeField(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, native: _Native, spins: Tensor, names: tuple[str, ...], *parameters: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Energies and fields; what the kernel copied stays connected with the parameters."""
        wanted = ctx.needs_input_grad[3:]
        with torch.enable_grad():
            ctx.parameters = [p.detach().requires_grad_(w) for p, w in zip(parameters, wanted, strict=True)]
            ctx.weights = native.update(dict(zip(names, ctx.parameters, strict=True)))
        ctx.native, ctx.spins = native, spins
        energies, fields = native(spins, field=True)
        assert fields is not None
        return energies, fields

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_energies: Tensor, d_fields: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of those parameters that want one."""
        spins, weights = _evaluations(ctx.spins, d_energies, d_fields)
        wanted = [k for k, parameter in enumerate(ctx.parameters) if parameter.requires_grad]
        gradients: list[Tensor | None] = [None] * len(ctx.parameters)
        if len(spins) and wanted:
            sums = ctx.native.weight_gradients(spins, weights)
            names = [(k, name) for k, layer in enumerate(sums) for name in layer if ctx.weights[k][name].requires_grad]
            outputs = [ctx.weights[k][name] for k, name in names]
            adjoints = [sums[k][name].to(ctx.weights[k][name].dtype) for k, name in names]
            inputs = [ctx.parameters[k] for k in wanted]
            found = torch.autograd.grad(outputs, inputs, adjoints, allow_unused=True)
            for k, gradient in zip(wanted, found, strict=True):
                gradients[k] = gradient
        return None, None, None, *gradients


def _evaluations(spins: Tensor, d_energies: Tensor, d_fields: Tensor) -> tuple[Tensor, Tensor]:
    """Spins (P, N, 3) and weights (P, N) of site energies whose gradients add up to that of the loss."""
    at, weights = [], []
    if d_energies.count_nonzero():
        at.append(spins)
        weights.append(d_energies)
    if d_fields.count_nonzero():
        usual, largest = _STEPS[spins.dtype]
        size = d_fields.norm(dim=-1)
        step = torch.minimum(usual / size.square().mean(1).sqrt(), largest / size.amax(1))
        step = torch.where(size.amax(1) > 0, step, 1.0)[:, None]
        moved = step[..., None] * d_fields
        at += [spins + moved, spins - moved]
        weights += [(-0.5 / step).expand_as(size), (0.5 / step).expand_as(size)]
    if not at:
        return spins[:0], d_energies[:0]
    return torch.cat(at), torch.cat(weights)
