"""Bootstrap of curves: over independent replicas, or over blocks of one curve's residuals."""

from __future__ import annotations

import numpy as np

from gnnspin.systems.system import FloatArray

#: Fewest blocks that one curve is cut into.
_FEWEST_BLOCKS = 4


def independent_points(deviations: FloatArray) -> float:
    """Number of independent points of curves with deviations (R, T) from their mean, between 2 and T.

    ``T / (1 + 2 sum_k rho_k)`` with the autocorrelation rho along T, summed up to its first value below zero.
    """
    length = deviations.shape[1]
    centred = deviations - deviations.mean(1, keepdims=True)
    power = np.abs(np.fft.rfft(centred, 2 * length)) ** 2
    correlation = np.fft.irfft(power.sum(0))[:length] / np.arange(length, 0, -1)
    if correlation[0] <= 0:
        return float(length)
    negative = np.flatnonzero(correlation < 0)
    last = int(negative[0]) if len(negative) else length
    time = 1 + 2 * float(correlation[1:last].sum() / correlation[0])
    return float(np.clip(length / time, 2, length))


def replica_means(curves: FloatArray, n_samples: int, rng: np.random.Generator) -> FloatArray:
    """Means (B, T) of R curves drawn with replacement from curves (R, T)."""
    counts = rng.multinomial(len(curves), np.full(len(curves), 1 / len(curves)), size=n_samples)
    return np.asarray(counts @ curves / len(curves), dtype=np.float64)


def residual_blocks(
    residuals: FloatArray, points: float, n_samples: int, rng: np.random.Generator
) -> tuple[FloatArray, int]:
    """Residuals (B, T) made of blocks drawn from those of one curve (T,), and the number of blocks of a curve.

    Blocks are twice as long as an independent point, at most a quarter of the curve; ends are joined (circular blocks:
    Politis and Romano, in Exploring the Limits of Bootstrap, 1992).
    """
    length = len(residuals)
    block = int(np.clip(np.ceil(2 * length / points), 1, max(1, length // _FEWEST_BLOCKS)))
    n_blocks = -(-length // block)
    starts = rng.integers(0, length, size=(n_samples, n_blocks))
    index = (starts[..., None] + np.arange(block)) % length
    drawn = residuals[index.reshape(n_samples, -1)[:, :length]]
    fitted = min(2.0, points / 2)  # two parameters took their share of the residuals
    return drawn * np.sqrt(points / (points - fitted)), n_blocks
