"""Lengths and other observables against time, and correlations against distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.plotting import style

#: Dashes of the laws that are drawn in.
_DASHES = ("--", "-.", ":", (0, (5, 1)), (0, (1, 1)))

#: Largest number of points that are marked one by one.
_MARKED = 30

#: Largest number of curves that a legend names.
_CURVES = 12

#: Part of the sequential colours that curves of successive times take: none too light to be seen on white.
_LATEST = 0.85

#: How far a guide runs above the highest point beside it.
_GUIDE = 1.25


def length_against_time(
    times: Tensor | ArrayLike,
    lengths: Tensor | ArrayLike,
    path: str | Path | None = None,
    *,
    errors: Tensor | ArrayLike | None = None,
    label: str = "",
    ylabel: str = r"$L = 1/\langle|\mathbf{q}-\mathbf{Q}|\rangle$ ($a$)",
    scale: str = "log",
    power_law: float | None = None,
    ax: Axes | None = None,
) -> tuple[Figure, Axes]:
    """Draw L(t).

    The length of `correlation_length` is the inverse width of a peak in q, without a factor 2 pi: domains that repeat
    with the period P read ``L = P / 2 pi``. Multiply lengths by 2 pi, and say so in `ylabel`, to draw the period.

    Parameters
    ----------
    times : (T,)
        In 1/(gamma t). A point at time zero is left out on logarithmic axes.
    lengths : (T,)
        In units of the lattice spacing.
    path : path, optional
        File to write.
    errors : (T,), optional
        Standard errors, drawn as a band.
    label, ylabel : str
        Name of the curve and of the vertical axis.
    scale : {"log", "linear"}
        Of both axes.
    power_law : float, optional
        Draw a guide ``t^power_law`` over the later half of the curve, above all of its points.
    ax : Axes, optional
        Where to draw; default: a figure of its own.

    Returns
    -------
    figure, axes

    Raises
    ------
    InvalidInput
        If the shapes differ, the scale is unknown, or fewer than two points can be drawn.
    """
    t, length = style.as_array(times), style.as_array(lengths)
    spread = None if errors is None else style.as_array(errors)
    if t.ndim != 1 or t.shape != length.shape or (spread is not None and spread.shape != t.shape):
        raise InvalidInput(f"times have shape {t.shape} and lengths {length.shape}; expected equal shapes (T,)")
    if scale not in ("log", "linear"):
        raise InvalidInput(f"scale {scale!r} is unknown; known: log, linear")
    shown = np.isfinite(length) & ((scale == "linear") | ((t > 0) & (length > 0)))
    if shown.sum() < 2:
        raise InvalidInput("fewer than two points can be drawn; give finite, positive times and lengths")
    t, length = t[shown], length[shown]
    with style.figure(path, 3.8, 3.0, ax=ax) as (drawing, (axes,)):
        axes.plot(t, length, "o-", color=style.BLUE, markersize=3.5, label=label or None)
        top = length if spread is None else length + spread[shown]
        if spread is not None:
            axes.fill_between(t, length - spread[shown], top, color=style.BLUE, alpha=0.25, lw=0)
        if power_law is not None:
            late = t >= (np.sqrt(t[0] * t[-1]) if scale == "log" else t[-1] / 2)
            guide = _GUIDE * (top[late] / t[late] ** power_law).max() * t[late] ** power_law
            axes.plot(t[late], guide, "--", color=style.RED, label=rf"$\propto t^{{{power_law:g}}}$")
        axes.set(xlabel=r"time ($1/\gamma t$)", ylabel=ylabel)
        if scale == "log":
            style.logarithmic(axes.xaxis)
            style.logarithmic(axes.yaxis)
        if label or power_law is not None:
            axes.legend(loc="upper left")
    return drawing, axes


def against_time(
    times: Tensor | ArrayLike,
    means: Tensor | ArrayLike,
    path: str | Path | None = None,
    *,
    errors: Tensor | ArrayLike | None = None,
    labels: Sequence[str] | None = None,
    laws: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    ylabel: str = "",
    scale: str = "linear",
    ax: Axes | None = None,
) -> tuple[Figure, Axes]:
    """Draw observables against time, with bands of one standard error and fitted laws.

    Parameters
    ----------
    times : (T,)
        In 1/(gamma t). A point at time zero is left out on logarithmic axes.
    means : (T,) or (C, T)
        One curve or several; points that are not finite are left out.
    path : path, optional
        File to write.
    errors : same shape as means, optional
        Standard errors; no band where they are not finite.
    labels : sequence of C str, optional
        Names of the curves.
    laws : mapping of str to (times, values), optional
        Curves of fitted laws by their labels.
    ylabel : str
        Name of the vertical axis.
    scale : {"linear", "log"}
        Of both axes.
    ax : Axes, optional
        Where to draw; default: a figure of its own.

    Returns
    -------
    figure, axes

    Raises
    ------
    InvalidInput
        If the shapes differ, the scale is unknown, or nothing can be drawn.
    """
    t, curves = style.as_array(times), np.atleast_2d(style.as_array(means))
    spread = np.full_like(curves, np.nan) if errors is None else np.atleast_2d(style.as_array(errors))
    if t.ndim != 1 or curves.shape[1:] != t.shape or spread.shape != curves.shape:
        raise InvalidInput(
            f"times have shape {t.shape}, means {curves.shape} and errors {spread.shape}; expected (T,) and (C, T)"
        )
    if labels is not None and len(labels) != len(curves):
        raise InvalidInput(f"{len(labels)} labels for {len(curves)} curves; give one each")
    if scale not in ("log", "linear"):
        raise InvalidInput(f"scale {scale!r} is unknown; known: log, linear")
    shown = np.isfinite(curves) & ((scale == "linear") | ((t > 0) & (curves > 0)))
    if not shown.any():
        raise InvalidInput("nothing can be drawn; give finite values, positive ones on logarithmic axes")
    with style.figure(path, 4.2, 3.0, ax=ax) as (drawing, (axes,)):
        for k, (curve, error, inside) in enumerate(zip(curves, spread, shown, strict=True)):
            color = style.PALETTE[k % len(style.PALETTE)]
            marker = "o" if inside.sum() <= _MARKED else ""
            label = labels[k] if labels else None
            axes.plot(t[inside], curve[inside], marker=marker, ms=2.5, color=color, label=label)
            band = inside & np.isfinite(error) & ((scale == "linear") | (curve > error))
            axes.fill_between(t[band], (curve - error)[band], (curve + error)[band], color=color, alpha=0.25, lw=0)
        for k, (label, (x, y)) in enumerate((laws or {}).items()):
            color = style.PALETTE[(k + len(curves)) % len(style.PALETTE)]
            axes.plot(np.asarray(x), np.asarray(y), color=color, ls=_DASHES[k % len(_DASHES)], label=label)
        axes.set(xlabel=r"time ($1/\gamma t$)", ylabel=ylabel)
        if scale == "log":
            style.logarithmic(axes.xaxis)
            style.logarithmic(axes.yaxis)
        if labels or laws:
            axes.legend(loc="best")
    return drawing, axes


def correlation_against_distance(
    distances: Tensor | ArrayLike,
    correlations: Tensor | ArrayLike,
    path: str | Path | None = None,
    *,
    times: Tensor | ArrayLike | None = None,
    ylabel: str = r"$C(r) = \langle\mathbf{S}_i\cdot\mathbf{S}_j\rangle$",
    ax: Axes | None = None,
) -> tuple[Figure, Axes]:
    """Draw C(r, t): one curve per time, the mean over replicas with a band of one standard error.

    Parameters
    ----------
    distances : (D,)
        In units of the lattice spacing or the packing's unit of length.
    correlations : (R, D) or (T, R, D)
        Of R replicas, such as ``found.samples("pair_correlation")`` of an analysed trajectory, or the observable of a
        run. Bins without a pair, which hold NaN, are left out.
    path : path, optional
        File to write.
    times : (T,), optional
        In 1/(gamma t), for the legend; needed with more than one.
    ylabel : str
        Name of the vertical axis.
    ax : Axes, optional
        Where to draw; default: a figure of its own.

    Returns
    -------
    figure, axes
        Without a band where there is one replica.

    Raises
    ------
    InvalidInput
        If the shapes do not fit, or there are more than 12 times.
    """
    r, samples = style.as_array(distances), style.as_array(correlations)
    samples = samples[None] if samples.ndim == 2 else samples
    t = None if times is None else np.atleast_1d(style.as_array(times))
    if samples.ndim != 3 or samples.shape[2:] != r.shape or not 0 < len(samples) <= _CURVES:
        raise InvalidInput(
            f"distances have shape {r.shape} and correlations {samples.shape}; expected (D,) and (T, R, D), "
            f"with at most {_CURVES} times: choose some"
        )
    if (t is None and len(samples) > 1) or (t is not None and t.shape != samples.shape[:1]):
        raise InvalidInput(f"times are {t}; give one for each of the {len(samples)} curves")
    with style.figure(path, 4.2, 3.0, ax=ax) as (drawing, (axes,)):
        axes.axhline(0.0, color="0.6", linewidth=0.8)
        for k, each in enumerate(samples):
            mean, n = each.mean(0), len(each)
            error = each.std(0, ddof=1) / np.sqrt(n) if n > 1 else np.full_like(mean, np.nan)
            color = colormaps[style.SEQUENTIAL](_LATEST * k / max(len(samples) - 1, 1))
            shown = np.isfinite(mean)
            label = None if t is None else f"$t$ = {t[k]:g}"
            axes.plot(r[shown], mean[shown], color=color, marker="o", ms=2.0, label=label)
            band = shown & np.isfinite(error)
            axes.fill_between(r[band], (mean - error)[band], (mean + error)[band], color=color, alpha=0.3, lw=0)
        axes.set(xlabel="$r$ ($a$)", ylabel=ylabel)
        if t is not None:
            axes.legend(loc="best")
    return drawing, axes
