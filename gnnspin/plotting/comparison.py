"""Figures of a comparison of models: accuracy against cost, and learning curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gnnspin.core.errors import InvalidInput
from gnnspin.plotting import style

#: As many as share no factor with the colours: every pair of the two is met before one comes again.
_MARKERS = "osD^vP*Xh<>pd"


def accuracy_against_cost(
    rows: Sequence[Mapping[str, Any]],
    path: str | Path | None = None,
    *,
    known: Sequence[tuple[str, float, float | None]] = (),
    floors: Mapping[float, float] | None = None,
    ax: Axes | None = None,
) -> tuple[Figure, Axes]:
    """Draw torque error against the cost of a field evaluation, one point per model.

    Parameters
    ----------
    rows : sequence of mappings
        With ``model``, ``test_torque_rmse``, ``microseconds_per_site``; where they are given,
        ``test_torque_rmse_spread`` makes error bars and ``compiled_microseconds_per_site`` a second, hollow marker.
    path : path, optional
        File to write.
    known : sequence of (name, torque_rmse, microseconds_per_site or None)
        Results of others; without a cost they are horizontal lines.
    floors : mapping, optional
        Irreducible torque error by radius, drawn as dotted lines.
    ax : Axes, optional
        Where to draw; default: a figure of its own.

    Returns
    -------
    figure, axes

    Raises
    ------
    InvalidInput
        If there are no rows.
    """
    if not rows:
        raise InvalidInput("no results to draw")
    with style.figure(path, 5.2, 3.8, ax=ax) as (drawing, (axes,)):
        for k, name in enumerate(dict.fromkeys(row["model"] for row in rows)):
            own = [row for row in rows if row["model"] == name]
            cost = [row["microseconds_per_site"] for row in own]
            error = [row["test_torque_rmse"] for row in own]
            marker, color = _MARKERS[k % len(_MARKERS)], style.PALETTE[k % len(style.PALETTE)]
            spread = [row.get("test_torque_rmse_spread") or 0.0 for row in own]
            axes.errorbar(cost, error, spread, fmt=marker, color=color, label=name, linestyle="none")
            compiled = [row.get("compiled_microseconds_per_site") or math.nan for row in own]
            axes.plot(compiled, error, marker, color=color, markerfacecolor="none", linestyle="none")
        for other, known_error, known_cost in known:
            if known_cost is None:
                axes.axhline(known_error, color="0.5", linestyle="--", linewidth=1)
                axes.annotate(other, (0.02, known_error), xycoords=("axes fraction", "data"), fontsize=7, va="bottom")
            else:
                axes.plot([known_cost], [known_error], "*", color="0.3", markersize=10)
                axes.annotate(other, (known_cost, known_error), fontsize=7, xytext=(4, 4), textcoords="offset points")
        for radius, floor in (floors or {}).items():
            axes.axhline(floor, color="0.7", linestyle=":", linewidth=1)
            axes.annotate(
                f"floor at radius {radius:g}", (0.98, floor), xycoords=("axes fraction", "data"), fontsize=7, ha="right"
            )
        axes.set(xlabel="processor time of a field (µs per site)", ylabel="torque RMSE (t)")
        axes.margins(0.09)
        style.logarithmic(axes.xaxis)
        style.logarithmic(axes.yaxis)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return drawing, axes


def learning_curves(
    rows: Sequence[Mapping[str, Any]],
    path: str | Path | None = None,
    *,
    signal: float | None = None,
    ax: Axes | None = None,
) -> tuple[Figure, Axes]:
    """Draw torque error against the number of training labels, one curve per model, averaged over seeds.

    Parameters
    ----------
    rows : sequence of mappings
        With ``model``, ``n_training`` and ``test_torque_rmse``.
    path : path, optional
        File to write.
    signal : float, optional
        Root mean square torque, drawn as a dashed line.
    ax : Axes, optional
        Where to draw; default: a figure of its own.

    Returns
    -------
    figure, axes

    Raises
    ------
    InvalidInput
        If there are no rows.
    """
    if not rows:
        raise InvalidInput("no results to draw")
    with style.figure(path, 5.2, 3.8, ax=ax) as (drawing, (axes,)):
        for k, name in enumerate(dict.fromkeys(row["model"] for row in rows)):
            errors: dict[int, list[float]] = {}
            for row in rows:
                if row["model"] == name:
                    errors.setdefault(row["n_training"], []).append(row["test_torque_rmse"])
            sizes = sorted(errors)
            mean = [float(np.mean(errors[size])) for size in sizes]
            axes.plot(sizes, mean, _MARKERS[k % 12] + "-", color=style.PALETTE[k % 6], label=name)
        if signal is not None:
            axes.axhline(signal, color="0.5", linestyle="--", linewidth=1)
        axes.set(xlabel="training snapshots", ylabel="torque RMSE (t)")
        axes.margins(0.09)
        style.logarithmic(axes.xaxis)
        style.logarithmic(axes.yaxis)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return drawing, axes
