"""Exact and learned runs beside each other: means over replicas, and their difference in units of its error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.observables.resampling import mean_and_error
from gnnspin.plotting import style
from gnnspin.systems.system import FloatArray

#: Heights of the curves and of their difference.
_HEIGHTS = (2.2, 1.0)


def difference_in_errors(exact: Tensor | ArrayLike, learned: Tensor | ArrayLike) -> FloatArray:
    """Difference of two means over replicas in units of its standard error, at every time.

    ``z = (<learned> - <exact>) / sqrt(s_exact^2 / R_exact + s_learned^2 / R_learned)`` with the variances s^2 over
    replicas (Welch, Biometrika 34, 28 (1947), doi:10.1093/biomet/34.1-2.28). Of two equal processes about two thirds
    of the values lie within 1 and 95 % within 2 where there are many replicas; with few the tails are longer (Student).
    Values at different times of the same replicas are correlated.

    Parameters
    ----------
    exact : (R_exact, T)
        One row per replica.
    learned : (R_learned, T)

    Returns
    -------
    (T,)
        NaN where all replicas of both agree to the last digit, infinite where only their means differ.

    Raises
    ------
    InvalidInput
        If the shapes do not fit, or either has fewer than two replicas.
    """
    mean, error = _mean_and_error(exact, "exact")
    other_mean, other_error = _mean_and_error(learned, "learned")
    if mean.shape != other_mean.shape:
        raise InvalidInput(f"exact has {len(mean)} times and learned {len(other_mean)}; give values at the same ones")
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray((other_mean - mean) / np.hypot(error, other_error), dtype=np.float64)


def exact_against_learned(
    times: Tensor | ArrayLike,
    exact: Tensor | ArrayLike,
    learned: Tensor | ArrayLike,
    path: str | Path | None = None,
    *,
    ylabel: str = "",
    labels: tuple[str, str] = ("exact", "learned"),
    ax: Sequence[Axes] | None = None,
) -> tuple[Figure, tuple[Axes, Axes]]:
    """Draw an observable of exact and learned runs, and beneath it their difference in units of its standard error.

    Parameters
    ----------
    times : (T,)
        In 1/(gamma t), common to both.
    exact : (R_exact, T)
        One row per replica, such as ``run.observables[name].T``.
    learned : (R_learned, T)
    path : path, optional
        File to write.
    ylabel : str
        Name of the observable, with its unit.
    labels : (str, str)
        Names of the two.
    ax : two Axes, optional
        Above and beneath; default: a figure of its own.

    Returns
    -------
    figure, (curves, difference)
        Means with bands of one standard error; `difference_in_errors`, with bands at one and two.

    Raises
    ------
    InvalidInput
        If the shapes do not fit, or either has fewer than two replicas.
    """
    t, z = style.as_array(times), difference_in_errors(exact, learned)
    if t.shape != z.shape:
        raise InvalidInput(f"times have shape {t.shape}; exact and learned have {len(z)} times")
    with style.figure(path, 4.2, 3.9, panels=2, heights=_HEIGHTS, ax=ax) as (drawing, (curves, beneath)):
        looks = ((exact, style.BLUE, "-"), (learned, style.RED, "--"))
        for label, (values, color, dashes) in zip(labels, looks, strict=True):
            mean, error = _mean_and_error(values, label)
            curves.plot(t, mean, color=color, linestyle=dashes, label=label)
            curves.fill_between(t, mean - error, mean + error, color=color, alpha=0.25, lw=0)
        for reach, shade in ((2, "0.93"), (1, "0.84")):
            beneath.axhspan(-reach, reach, color=shade, lw=0)
        beneath.axhline(0.0, color="0.4", linewidth=0.8)
        beneath.plot(t, z, color="black", marker="o", markersize=2.5, linewidth=0.8)
        curves.set_ylabel(ylabel)
        curves.tick_params(labelbottom=False)
        curves.legend(loc="best")
        limit = max(3.0, 1.1 * float(np.abs(z[np.isfinite(z)]).max(initial=0.0)))
        beneath.set(xlabel=r"time ($1/\gamma t$)", ylabel="difference\n(std. errors)", ylim=(-limit, limit))
        beneath.set_xlim(curves.get_xlim())
    return drawing, (curves, beneath)


def exact_against_learned_profile(
    distances: Tensor | ArrayLike,
    exact: Tensor | ArrayLike,
    learned: Tensor | ArrayLike,
    times: Tensor | ArrayLike,
    path: str | Path | None = None,
    *,
    ylabel: str = "",
    ax: Axes | None = None,
) -> tuple[Figure, Axes]:
    """Draw profiles such as C(r, t) of exact and learned runs at several times: lines with bands, and points.

    Parameters
    ----------
    distances : (D,)
        In units of the lattice spacing or the packing's unit of length.
    exact : (T, R_exact, D)
        Independent samples at each time, drawn as a line with a band of one standard error of the mean. Values that
        are NaN are left out.
    learned : (T, R_learned, D)
        Drawn as points with bars of one standard error.
    times : (T,)
        In 1/(gamma t), at most six.
    path : path, optional
        File to write.
    ylabel : str
        Name of the observable, with its unit.
    ax : Axes, optional
        Where to draw; default: a figure of its own.

    Raises
    ------
    InvalidInput
        If the shapes do not fit, or there are too many times.
    """
    r, t = style.as_array(distances), np.atleast_1d(style.as_array(times))
    samples = [style.as_array(each) for each in (exact, learned)]
    if any(each.ndim != 3 or each.shape[::2] != (len(t), len(r)) for each in samples) or len(t) > len(style.PALETTE):
        raise InvalidInput(
            f"distances have shape {r.shape}, times {t.shape}, exact {samples[0].shape} and learned "
            f"{samples[1].shape}; expected (D,), (T,) and (T, R, D), with at most {len(style.PALETTE)} times"
        )
    with style.figure(path, 4.6, 3.4, ax=ax) as (drawing, (axes,)):
        axes.axhline(0.0, color="0.6", linewidth=0.8)
        for k, (time, color) in enumerate(zip(t, style.PALETTE, strict=False)):
            (line, band), (points, bars) = ((each[k] for each in mean_and_error(values)) for values in samples)
            axes.plot(r, line, color=color, label=f"$t$ = {time:g}")
            axes.fill_between(r, line - band, line + band, color=color, alpha=0.25, lw=0)
            axes.errorbar(r, points, bars, color=color, fmt="o", ms=2.5, elinewidth=0.8)
        axes.set(xlabel="$r$", ylabel=ylabel)
        axes.legend(loc="best", title="exact: lines, learned: points")
    return drawing, axes


def _mean_and_error(values: Tensor | ArrayLike, name: str) -> tuple[FloatArray, FloatArray]:
    """Mean over replicas and its standard error (T,)."""
    samples = style.as_array(values)
    if samples.ndim != 2 or len(samples) < 2:
        raise InvalidInput(
            f"{name} has shape {samples.shape}; expected (replicas, times) with at least two replicas, whose spread is "
            "the error"
        )
    return samples.mean(0), samples.std(0, ddof=1) / np.sqrt(len(samples))
