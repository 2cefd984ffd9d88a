"""Learned linear mixtures of the channels of a feature, the same on every site."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def mixing_matrix(outputs: int, inputs: int) -> nn.Parameter:
    """Random matrix (outputs, inputs) that keeps the mean square of what it mixes."""
    return nn.Parameter(torch.randn(outputs, inputs) / math.sqrt(max(inputs, 1)))


def mix(matrix: Tensor, features: Tensor) -> Tensor:
    """Mixtures (..., C', m, N) of features (..., C, m, N) by a matrix (C', C)."""
    return (matrix @ features.flatten(-2)).unflatten(-1, features.shape[-2:])
