"""A characteristic length against time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.plotting import style


def length_against_time(
    times: Tensor | ArrayLike,
    lengths: Tensor | ArrayLike,
    path: str | Path,
    *,
    errors: Tensor | ArrayLike | None = None,
    label: str = "",
    ylabel: str = "correlation length $L$ ($a$)",
    scale: str = "log",
    power_law: float | None = None,
) -> None:
    """Draw L(t).

    Parameters
    ----------
    times : (T,)
        In 1/(gamma t). A point at time zero is left out on logarithmic axes.
    lengths : (T,)
        In units of the lattice spacing.
    path : path
        File to write.
    errors : (T,), optional
        Standard errors, drawn as a band.
    label, ylabel : str
        Name of the curve and of the vertical axis.
    scale : {"log", "linear"}
        Of both axes.
    power_law : float, optional
        Draw a guide ``t^power_law`` above the later half of the curve.

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
    with style.figure(path, 3.8, 3.0) as (_, (axes,)):
        axes.plot(t, length, "o-", color=style.BLUE, markersize=3.5, label=label or None)
        if spread is not None:
            axes.fill_between(t, length - spread[shown], length + spread[shown], color=style.BLUE, alpha=0.25, lw=0)
        if power_law is not None:
            late = t >= (np.sqrt(t[0] * t[-1]) if scale == "log" else t[-1] / 2)
            guide = 1.35 * length[late][0] * (t[late] / t[late][0]) ** power_law
            axes.plot(t[late], guide, "--", color=style.RED, label=rf"$\propto t^{{{power_law:g}}}$")
        axes.set(xscale=scale, yscale=scale, xlabel=r"time (units of $1/\gamma t$)", ylabel=ylabel)
        if scale == "log":
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        if label or power_law is not None:
            axes.legend(loc="upper left")
