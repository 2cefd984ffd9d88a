"""One look for all figures: colours that colour-blind readers tell apart, sizes that print."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.ticker import (
    LogFormatterMathtext,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
    StrMethodFormatter,
)
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

#: Palette of Okabe and Ito.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
PALETTE = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY)

#: Diverging and sequential colour maps that are perceptually uniform.
DIVERGING, SEQUENTIAL = "RdBu_r", "viridis"

#: Decades of a logarithmic axis below which even steps, and 1, 2, 5, and from which powers of ten are written.
_FEW_DECADES, _PLAIN_DECADES, _MANY_DECADES = 0.6, 1.4, 4.0

_RC: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "legend.fontsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "axes.linewidth": 0.8,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "mathtext.fontset": "dejavusans",
}


@contextmanager
def figure(
    path: str | Path | None, width: float, height: float, panels: int = 1, *, ax: Axes | None = None
) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure of `panels` axes in a row, or the caller's axes; written when the block ends without an error.

    Parameters
    ----------
    path : path or None
        File to write, the caller's whole figure with `ax`; None: none.
    width, height : float
        Size of a figure of its own, in inches.
    panels : int
    ax : Axes, optional
        One panel that exists already; it keeps its style.
    """
    with nullcontext() if ax is not None else matplotlib.rc_context(_RC):
        if ax is not None:
            drawing, axes = ax.get_figure(root=True), [ax]
            assert isinstance(drawing, Figure)
        else:
            drawing = Figure(figsize=(width, height))
            axes = list(drawing.subplots(1, panels, squeeze=False)[0])
        yield drawing, axes
        if path is not None:
            target = Path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            drawing.savefig(target, dpi=200, bbox_inches="tight", pad_inches=0.05)


def logarithmic(axis: Axis) -> None:
    """Make one axis logarithmic, with plain numbers at no more ticks than can be read, and never fewer than two.

    1, 2, 5, 10, ... over less than a decade and a half, decades beyond, powers of ten from four decades on; even steps
    within a factor of two. Call it when the data are drawn.
    """
    axes = axis.axes
    horizontal = axis is axes.xaxis
    axes.set(**{"xscale" if horizontal else "yscale": "log"})
    low, high = sorted(axes.get_xlim() if horizontal else axes.get_ylim())
    decades = np.log10(high / low)
    axis.set_minor_formatter(NullFormatter())
    if decades >= _MANY_DECADES:
        axis.set_major_locator(LogLocator(numticks=6))
        axis.set_major_formatter(LogFormatterMathtext())
        return
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    if decades < _FEW_DECADES:
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        axis.set_minor_locator(NullLocator())
    else:
        subdivisions = (1.0, 2.0, 5.0) if decades < _PLAIN_DECADES else (1.0,) if decades > 2 else (1.0, 3.0)
        axis.set_major_locator(LogLocator(subs=subdivisions, numticks=12))
        axis.set_minor_locator(LogLocator(subs=tuple(range(1, 10)), numticks=12))


def aligned_colorbar(drawing: Figure, axes: Axes, mappable: ScalarMappable, label: str) -> None:
    """A colour bar as high as `axes`, to its right."""
    drawing.colorbar(mappable, cax=axes.inset_axes((1.03, 0.0, 0.05, 1.0)), label=label)


def as_array(values: Tensor | ArrayLike) -> NDArray[np.float64]:
    """Values as a float64 array on the CPU."""
    return np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, dtype=np.float64)
