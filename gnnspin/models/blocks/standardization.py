"""Standardised features and the small networks that act on them site by site."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from gnnspin.models.base import HiddenUnits


class Standardization(nn.Module):
    """Features (..., F) with zero mean and unit spread, measured once on typical spins.

    A feature that does not vary (a bond sum that symmetry makes zero, a constant) is switched off: its inverse spread
    is zero.

    Parameters
    ----------
    n_features : int
    centered : bool
        False leaves the mean where it is: for features that a symmetry maps to minus themselves.
    """

    mean: Tensor
    inverse_spread: Tensor

    def __init__(self, n_features: int, *, centered: bool = True) -> None:
        super().__init__()
        self.centered = centered
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("inverse_spread", torch.ones(n_features))

    def forward(self, features: Tensor, *, calibrate: bool = False) -> Tensor:
        """Standardised features (..., F); with `calibrate`, mean and spread of these features are stored first."""
        if calibrate:
            self.measure(features)
        return (features - self.mean) * self.inverse_spread

    @torch.no_grad()
    def measure(self, features: Tensor) -> None:
        """Store mean and inverse spread of features (..., F)."""
        flat = features.reshape(-1, features.shape[-1]).double()
        mean, spread = flat.mean(0), flat.std(0)
        size = flat.square().mean(0).sqrt()
        varies = (spread > 1e-4 * size) & (spread > 1e-6 * spread.max())
        if self.centered:
            self.mean.copy_(mean)
        self.inverse_spread.copy_(torch.where(varies, 1 / spread.clamp_min(1e-30), torch.zeros_like(spread)))


def site_network(sizes: Sequence[int]) -> nn.Sequential:
    """Fully connected network through layers of the given widths, SiLU between them, linear at the end."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.SiLU()]
    return nn.Sequential(*layers[:-1])


def standardized_outputs(
    network: nn.Sequential, standardization: Standardization, linear: Tensor, features: Tensor
) -> tuple[Tensor, Tensor]:
    """Linear energy (..., N) and network outputs (..., *, N) of standardised features, given raw as (..., F, N).

    The standardisation and the linear weights (F,) are part of the network's first matrix product.
    """
    first, *others = network
    assert isinstance(first, nn.Linear)
    weight = torch.cat([first.weight, linear[None]]) * standardization.inverse_spread
    bias = nn.functional.pad(first.bias, (0, 1)) - weight @ standardization.mean
    hidden, energy = (weight @ features + bias[:, None]).split([first.out_features, 1], dim=-2)
    for layer in others:
        hidden = layer.weight @ hidden + layer.bias[:, None] if isinstance(layer, nn.Linear) else layer(hidden)
    return energy.squeeze(-2), hidden


def last_hidden(layers: Iterable[nn.Module]) -> tuple[HiddenUnits, ...]:
    """Last hidden units of the site network of every layer, whose outputs have the sites last."""
    return tuple(HiddenUnits(cast(nn.Sequential, layer.network)[-2], sites_last=True) for layer in layers)
