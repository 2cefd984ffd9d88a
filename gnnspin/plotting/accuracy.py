"""Parity plot and error histogram of a learned torque."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeWarning, curve_fit
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.plotting import style

#: Half-width of the histogram in standard deviations.
_RANGE = 5.0


@dataclass(frozen=True)
class ErrorStatistics:
    """Errors ``predicted - exact`` per component.

    Attributes
    ----------
    rmse : float
        Root mean square.
    r2 : float
        ``1 - sum of squared errors / sum of squared deviations of the exact values from their mean``.
    mean, sigma : float
        Centre and standard deviation of the Gaussian fitted to the error histogram; sigma below the RMSE means tails.
    """

    rmse: float
    r2: float
    mean: float
    sigma: float


def parity_and_histogram(
    predicted_torque: Tensor | ArrayLike,
    exact_torque: Tensor | ArrayLike,
    path: str | Path | None = None,
    *,
    quantity: str = "torque component",
    unit: str = "t",
    ax: Sequence[Axes] | None = None,
) -> tuple[Figure, tuple[Axes, Axes]]:
    """Draw predicted against exact values and the histogram of the error with a Gaussian fit.

    Parameters
    ----------
    predicted_torque, exact_torque : (..., 3) or any equal shapes
        Every component is one point.
    path : path, optional
        File to write; the ending decides the format.
    quantity, unit : str
        For the axis labels.
    ax : two Axes, optional
        Where to draw; default: a figure of its own.

    Returns
    -------
    figure, (parity, histogram)
        The numbers printed in it are those of `error_statistics`.

    Raises
    ------
    InvalidInput
        If the shapes differ, a value is not finite, or all exact values are equal.
    """
    predicted, exact = style.as_array(predicted_torque), style.as_array(exact_torque)
    statistics = error_statistics(predicted, exact)
    with style.figure(path, 7.0, 3.1, panels=2, ax=ax) as (drawing, (left, right)):
        _parity(drawing, left, predicted.ravel(), exact.ravel(), statistics)
        left.set_xlabel(f"exact {quantity} (${unit}$)")
        left.set_ylabel(f"predicted {quantity} (${unit}$)")
        _histogram(right, (predicted - exact).ravel(), statistics)
        right.set_xlabel(f"error of the {quantity} (${unit}$)")
        right.set_ylabel(f"probability density (${unit}^{{-1}}$)")
    return drawing, (left, right)


def error_statistics(predicted: Tensor | ArrayLike, exact: Tensor | ArrayLike) -> ErrorStatistics:
    """The numbers of `parity_and_histogram`, same parameters and errors."""
    p, e = style.as_array(predicted), style.as_array(exact)
    if p.shape != e.shape or p.size < 2:
        raise InvalidInput(f"predicted and exact values have shapes {p.shape} and {e.shape}; expected equal shapes")
    if not (np.isfinite(p).all() and np.isfinite(e).all()):
        raise InvalidInput("predicted or exact values are not finite")
    spread = np.square(e - e.mean()).sum()
    if spread == 0:
        raise InvalidInput("all exact values are equal; R2 is not defined")
    errors = (p - e).ravel()
    mean, sigma = _fit_gaussian(errors)
    return ErrorStatistics(
        rmse=float(np.sqrt(np.square(errors).mean())),
        r2=float(1 - np.square(errors).sum() / spread),
        mean=mean,
        sigma=sigma,
    )


def _fit_gaussian(errors: NDArray[np.float64]) -> tuple[float, float]:
    """Least-squares fit to the histogram; the moments where that fails or the errors are all equal."""
    mean, sigma = float(errors.mean()), float(errors.std())
    if sigma == 0:
        return mean, sigma
    density, edges = np.histogram(errors, bins=_edges(errors), density=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", OptimizeWarning)
            (center, width), _ = curve_fit(_gaussian, (edges[1:] + edges[:-1]) / 2, density, p0=(mean, sigma))
    except (RuntimeError, OptimizeWarning):
        return mean, sigma
    return float(center), abs(float(width))


def _gaussian(x: NDArray[np.float64], mean: float, sigma: float) -> NDArray[np.float64]:
    return np.exp(-((x - mean) ** 2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * abs(sigma))


def _edges(errors: NDArray[np.float64]) -> NDArray[np.float64]:
    half = _RANGE * float(errors.std()) or 1.0
    return np.linspace(-half, half, int(np.clip(2 * errors.size ** (1 / 3), 11, 101)) | 1) + errors.mean()


def _parity(
    drawing: Figure, axes: Axes, predicted: NDArray[np.float64], exact: NDArray[np.float64], statistics: ErrorStatistics
) -> None:
    limit = 1.05 * float(max(np.abs(predicted).max(), np.abs(exact).max()))
    extent = (-limit, limit, -limit, limit)
    density = axes.hexbin(exact, predicted, gridsize=90, extent=extent, bins="log", mincnt=1, cmap=style.SEQUENTIAL)
    style.aligned_colorbar(drawing, axes, density, "components")
    axes.plot([-limit, limit], [-limit, limit], color=style.RED, linewidth=0.9, linestyle="--")
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    text = f"RMSE = {statistics.rmse:.3g} $t$\n$R^2$ = {_r2_text(statistics.r2)}\n{exact.size:,} components"
    axes.text(0.04, 0.96, text, transform=axes.transAxes, va="top", fontsize=8)


def _r2_text(r2: float) -> str:
    """Enough digits to see the distance from one, never rounded up to it."""
    digits = 4 if r2 < 0.999 else min(8, 1 + int(np.ceil(-np.log10(max(1 - r2, 1e-8)))))
    return f"{np.floor(r2 * 10**digits) / 10**digits:.{digits}f}"


def _histogram(axes: Axes, errors: NDArray[np.float64], statistics: ErrorStatistics) -> None:
    edges = _edges(errors)
    axes.hist(
        errors, bins=edges.tolist(), density=True, color=style.SKY, edgecolor="white", linewidth=0.3, label="errors"
    )
    if statistics.sigma > 0:
        x = np.linspace(edges[0], edges[-1], 400)
        label = f"Gaussian fit\nmean = {statistics.mean:.1e} $t$\n$\\sigma$ = {statistics.sigma:.3g} $t$"
        axes.plot(x, _gaussian(x, statistics.mean, statistics.sigma), color=style.RED, label=label)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 1.4 * axes.get_ylim()[1])
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.legend(loc="upper right", handlelength=1.2)
