"""A bar that gives the scale of a map."""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gnnspin.core.errors import InvalidInput

#: Largest share of the width of a map that the bar takes by itself, and the steps its length is chosen from.
_SHARE, _STEPS = 0.3, (1.0, 2.0, 5.0)

#: Distance of the bar from the map's lower edge, and of its label from it, in units of the map's height.
_GAP, _TEXT = 0.045, 0.02


def scale_bar(
    axes: Axes, length: float | None = None, *, unit: str = "a", location: Literal["below", "inside"] = "below"
) -> Line2D:
    """Add a bar of known length to a map, in place of the numbers along its edges.

    Parameters
    ----------
    axes : Axes
        A map with its final limits.
    length : float, optional
        In units of the data; default: 1, 2 or 5 times a power of ten, the largest within 30 % of the width.
    unit : str
        Symbol of the unit of length, for the label.
    location : {"below", "inside"}
        Below the map's left edge, where it covers nothing, or inside at the lower left.

    Returns
    -------
    Line2D
        The bar, from one x to another in units of the data.

    Raises
    ------
    InvalidInput
        If the length is not positive or the bar would be longer than the map.
    """
    low, high = sorted(axes.get_xlim())
    width = high - low
    size = _round_length(_SHARE * width) if length is None else float(length)
    if not 0 < size <= width:
        raise InvalidInput(f"length={length} of a scale bar must be positive and at most the map's width, {width:.6g}")
    below = location == "below"
    start = low if below else low + 0.05 * width
    y = -_GAP if below else _GAP
    halo = [] if below else [Line2D([start, start + size], [y, y], color="white", linewidth=5.0)]
    bar = Line2D([start, start + size], [y, y], color="black", linewidth=2.0, solid_capstyle="butt")
    for line in (*halo, bar):
        line.set(transform=axes.get_xaxis_transform(), clip_on=False, zorder=6)
        axes.add_line(line)
    axes.text(
        start + size / 2,
        y - _TEXT if below else y + _TEXT,
        f"{size:g} ${unit}$",
        transform=axes.get_xaxis_transform(),
        ha="center",
        va="top" if below else "bottom",
        bbox=None if below else {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.8},
        zorder=6,
    )
    axes.tick_params(left=False, bottom=False, labelleft=False, labelbottom=False)
    return bar


def _round_length(most: float) -> float:
    """The largest of 1, 2, 5 times a power of ten that is at most `most`."""
    decade = 10.0 ** np.floor(np.log10(most))
    return float(decade * max(step for step in _STEPS if step <= most / decade * (1 + 1e-9)))
