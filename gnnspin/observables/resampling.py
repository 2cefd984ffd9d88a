"""Errors of means over independent samples, jackknife, and bootstrap over replicas or blocks of residuals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gnnspin.systems.system import FloatArray

#: Fewest blocks that one curve is cut into.
_FEWEST_BLOCKS = 4


def mean_and_error(samples: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and its standard error ``(T, *shape)`` over samples ``(T, M, *shape)``, those that are NaN left out.

    The error is NaN where fewer than two samples are left, and where one is infinite.
    """
    there = ~np.isnan(samples)
    number = there.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(there, samples, 0.0).sum(1) / number
        squares = np.where(there, np.abs(samples - mean[:, None]) ** 2, 0.0).sum(1)
        return np.asarray(mean), np.where(number > 1, np.sqrt(squares / (number - 1) / number), np.nan)


def jackknife_values(samples: FloatArray, read: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """Values (T, M) of a function of means, one for each of the M samples that a mean is over.

    ``theta + (M - 1) (<theta_-k> - theta_-k)`` with theta of the mean of all samples and theta_-k of the mean without
    sample k. Their mean is theta, and the standard error of their mean is the jackknife's of theta (Efron and Stein,
    Ann. Statist. 9, 586 (1981), doi:10.1214/aos/1176345462).

    Parameters
    ----------
    samples : (T, M, *shape)
        NaN where a sample has no value; it is left out of the mean.
    read : callable
        From means ``(..., *shape)`` to values (...).
    """
    there, number = ~np.isnan(samples), samples.shape[1]
    total, count = np.where(there, samples, 0.0).sum(1, keepdims=True), there.sum(1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        whole = np.asarray(read((total / count)[:, 0]))[:, None]
        if number == 1:
            return whole
        without = np.asarray(read((total - np.where(there, samples, 0.0)) / (count - there)))
    return whole + (number - 1) * (without.mean(1, keepdims=True) - without)


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
