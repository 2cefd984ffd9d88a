"""Locality of a torque: the irreducible error against the cutoff, and the decay of responses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gnnspin.analysis.locality import Locality
from gnnspin.plotting import style


def locality_figure(
    result: Locality, path: str | Path | None = None, *, ax: Axes | Sequence[Axes] | None = None
) -> tuple[Figure, list[Axes]]:
    """Draw the irreducible torque error against the radius beside the signal, and ``|dT_i/dS_j|`` against distance.

    Parameters
    ----------
    result : Locality
    path : path, optional
        File to write.
    ax : Axes or two Axes, optional
        One for each panel, a second one where responses were measured; default: a figure of its own.

    Returns
    -------
    figure, axes
    """
    panels = 1 if not result.distances else 2
    order = np.argsort(result.radii)
    with style.figure(path, 3.6 * panels, 2.9, panels, ax=ax) as (drawing, axes):
        radii, floor = (np.array(values)[order] for values in (result.radii, result.floor))
        error = np.array(result.floor_error)[order]
        axes[0].errorbar(radii, floor, np.nan_to_num(error), fmt="o-", color=style.BLUE, markersize=4, capsize=2)
        axes[0].axhline(result.signal, color=style.RED, linestyle="--", label="signal")
        axes[0].set(xlabel="radius ($a$)", ylabel="torque error per component ($t$)")
        style.logarithmic(axes[0].yaxis)
        axes[0].legend(loc="lower left")
        if panels == 2:
            distance, value = np.array(result.distances), np.array(result.response)
            shown = value > 0
            axes[1].plot(distance[shown], value[shown], "o", color=style.GREEN, markersize=3)
            axes[1].set(xlabel="distance ($a$)", ylabel=r"$|\partial T_i/\partial S_j|$ ($t$)")
            style.logarithmic(axes[1].yaxis)
    return drawing, axes
