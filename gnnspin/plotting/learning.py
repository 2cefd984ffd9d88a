"""Errors of a learning, round after round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gnnspin.plotting import style


def errors_by_round(
    labels: Sequence[int],
    seconds: Sequence[float],
    errors: Mapping[str, Sequence[float]],
    path: str | Path | None = None,
    *,
    target: float | None = None,
) -> tuple[Figure, tuple[Axes, ...]]:
    """Draw errors over the torque against the labels trained on, and against wall time, one point for each round.

    Parameters
    ----------
    labels : sequence of K int
    seconds : sequence of K floats
    errors : mapping of str to K floats
        Curves by their names.
    path : path, optional
        File to write.
    target : float, optional
        Error that was asked for, drawn as a line.

    Returns
    -------
    figure, axes
    """
    with style.figure(path, 6.4, 2.8, 2) as (drawing, axes):
        for where, x, name in ((axes[0], labels, "labels trained on"), (axes[1], np.array(seconds) / 60, "minutes")):
            for k, (label, values) in enumerate(errors.items()):
                where.plot(x, 100 * np.array(values), marker="o", ms=3, color=style.PALETTE[k], label=label)
            if target is not None:
                where.axhline(100 * target, color="0.5", ls=":", label="asked for")
            where.set(xlabel=name)
            style.logarithmic(where.xaxis)
            style.logarithmic(where.yaxis)
        axes[0].set(ylabel="torque error (% of the torque)")
        axes[1].legend(loc="best")
    return drawing, tuple(axes)
