"""Aging: correlations of two times, against the time since the waiting time and in units of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.plotting import style

#: Part of the sequential colours that curves of successive waiting times take.
_LATEST = 0.85


def aging(
    times: Tensor | ArrayLike,
    correlations: Tensor | ArrayLike,
    waiting_times: Tensor | ArrayLike,
    path: str | Path | None = None,
    *,
    errors: Tensor | ArrayLike | None = None,
    ax: tuple[Axes, Axes] | None = None,
) -> tuple[Figure, tuple[Axes, Axes]]:
    """Draw C(t, t_w) against ``t - t_w``, and against ``(t - t_w) / t_w``, where full aging puts all curves on one.

    Parameters
    ----------
    times : (T,)
        Times t in 1/(gamma t).
    correlations : (T, W)
        Means of the correlation with each waiting time, such as ``found.mean("two_time_correlation")``; points before
        the waiting time are left out.
    waiting_times : (W,)
    path : path, optional
        File to write.
    errors : (T, W), optional
        Standard errors, drawn as bands.
    ax : two Axes, optional
        Where to draw; default: a figure of its own.

    Returns
    -------
    figure, (by time, by waiting time)
        A waiting time of zero has no curve in the second.

    Raises
    ------
    InvalidInput
        If the shapes differ, or no time follows a waiting time.
    """
    t, values, waits = style.as_array(times), style.as_array(correlations), np.atleast_1d(style.as_array(waiting_times))
    spread = np.full_like(values, np.nan) if errors is None else style.as_array(errors)
    if values.shape != (len(t), len(waits)) or spread.shape != values.shape:
        raise InvalidInput(
            f"times have shape {t.shape}, waiting_times {waits.shape}, correlations {values.shape} and errors "
            f"{spread.shape}; expected (T,), (W,) and (T, W)"
        )
    later = (t[:, None] > waits) & np.isfinite(values)
    if not later.any():
        raise InvalidInput(f"no time follows a waiting time of {waits.tolist()}; the last one is {t.max():g}")
    with style.figure(path, 6.6, 2.8, panels=2, ax=ax) as (drawing, (by_time, by_wait)):
        for k, wait in enumerate(waits):
            color = colormaps[style.SEQUENTIAL](_LATEST * k / max(len(waits) - 1, 1))
            rows = later[:, k]
            since, mean, error = t[rows] - wait, values[rows, k], spread[rows, k]
            scaled = ((by_time, 1.0),) if wait == 0 else ((by_time, 1.0), (by_wait, wait))
            for axes, unit in scaled:
                axes.plot(since / unit, mean, color=color, label=f"$t_w$ = {wait:g}")
                axes.fill_between(since / unit, mean - error, mean + error, color=color, alpha=0.25, lw=0)
        by_time.set(xlabel=r"$t - t_w$ ($1/\gamma t$)", ylabel=r"$C(t, t_w)$")
        by_wait.set(xlabel=r"$(t - t_w) / t_w$", ylabel=r"$C(t, t_w)$")
        for axes in (by_time, by_wait):
            if axes.has_data():
                style.logarithmic(axes.xaxis)
        by_time.legend(loc="best")
    return drawing, (by_time, by_wait)
