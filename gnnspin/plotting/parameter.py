"""Observables of several runs against a parameter: phase diagrams."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from gnnspin.core.errors import InvalidInput
from gnnspin.plotting import style


def against_parameter(
    curves: Mapping[str, ArrayLike],
    path: str | Path | None = None,
    *,
    lines: Mapping[str, ArrayLike] | None = None,
    xlabel: str = "",
    ylabel: str = "",
    ax: Axes | None = None,
) -> tuple[Figure, Axes]:
    """Draw an observable against a parameter, such as a magnetic field, with error bars: one curve per kind of run.

    Parameters
    ----------
    curves : mapping of str to (P, 3)
        By their labels; rows of the parameter, the mean and its standard error, NaN where there is none.
    path : path, optional
        File to write.
    lines : mapping of str to (P, 2), optional
        Lines without points, such as a theory: by their labels, rows of the parameter and the value; one that has the
        label of a curve is drawn in its colour, through points that are not joined.
    xlabel, ylabel : str
        Names of the axes.
    ax : Axes, optional
        Where to draw; default: a figure of its own.

    Returns
    -------
    figure, axes

    Raises
    ------
    InvalidInput
        If there is no curve, or one is no such array.
    """
    rows = {label: np.asarray(curve, dtype=np.float64) for label, curve in curves.items()}
    wrong = {label: row.shape for label, row in rows.items() if row.ndim != 2 or row.shape[1] != 3}
    if wrong or not rows:
        raise InvalidInput(f"curves {wrong or 'are missing'}; give rows of parameter, mean and standard error (P, 3)")
    with style.figure(path, 4.2, 3.0, ax=ax) as (drawing, (axes,)):
        for k, (label, row) in enumerate(rows.items()):
            x, mean, error = row[np.argsort(row[:, 0])].T
            color, marker = style.PALETTE[k % len(style.PALETTE)], "os^Dv"[k % 5]
            bars = np.where(np.isfinite(error), error, 0.0)
            joined = "" if label in (lines or {}) else "-"
            face = "none" if k else color
            axes.errorbar(x, mean, bars, ls=joined, color=color, marker=marker, ms=4, mfc=face, label=label)
        for k, (label, line) in enumerate((lines or {}).items()):
            x, value = np.asarray(line, dtype=np.float64)[np.argsort(np.asarray(line, dtype=np.float64)[:, 0])].T
            own = list(rows).index(label) if label in rows else len(rows) + k
            color = style.PALETTE[own % len(style.PALETTE)]
            axes.plot(x, value, "--", color=color, lw=1.0, label=None if label in rows else label)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        if len(rows) + len(lines or {}) > 1:
            axes.legend(loc="best")
    return drawing, axes
