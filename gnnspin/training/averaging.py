"""Exponential moving average of the weights during training."""

from __future__ import annotations

from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor


class MovingAverage(WeightAveraging):
    r"""Average :math:`\bar w \leftarrow d_n \bar w + (1 - d_n) w` after every optimiser step n.

    :math:`d_n = \min(d, (1 + n) / (10 + n))`: a short training forgets its initial weights. Lightning validates and
    checkpoints the averaged weights, keeps the running ones beside them, and restores both on resume.

    Parameters
    ----------
    decay : float
        d, between 0 and 1.
    """

    def __init__(self, decay: float) -> None:
        def average(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
            steps = int(count)
            return averaged.lerp(current, 1 - min(decay, (1 + steps) / (10 + steps)))

        super().__init__(use_buffers=False, avg_fn=average)
