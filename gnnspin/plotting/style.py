"""One look for all figures: colours that colour-blind readers tell apart, sizes that print."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, Locator, LogLocator, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.runs.files import replaced

#: Palette of Okabe and Ito.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
PALETTE = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY)

#: Diverging and sequential colour maps that are perceptually uniform.
DIVERGING, SEQUENTIAL = "RdBu_r", "viridis"

#: Decades of a logarithmic axis below which its ticks have even steps.
_EVEN_STEPS = 0.6

#: Decades up to which a logarithmic axis has room for the labels of these parts of every decade.
_WIDE = 2.2
_SUBDIVISIONS = ((1.4, (1.0, 2.0, 5.0)), (_WIDE, (1.0, 3.0)), (float("inf"), (1.0,)))

#: Numbers that are written without a power of ten.
_PLAIN = (1e-3, 1e5)

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
    "figure.constrained_layout.w_pad": 0.1,
    "mathtext.fontset": "dejavusans",
}


@contextmanager
def figure(
    path: str | Path | None,
    width: float,
    height: float,
    panels: int = 1,
    *,
    heights: Sequence[float] | None = None,
    ax: Axes | Sequence[Axes] | None = None,
) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure of `panels` axes in a row or column, or the caller's axes; written when the block ends without an error.

    Parameters
    ----------
    path : path or None
        File to write, with `ax` the whole figure they belong to; None: none.
    width, height : float
        Size of a figure of its own, in inches.
    panels : int
    heights : sequence of float, optional
        One for each panel: they stand in a column with these relative heights.
    ax : Axes or sequence of Axes, optional
        As many as there are panels, which keep their style.

    Raises
    ------
    InvalidInput
        If the number of axes is not that of the panels.
    """
    given = None if ax is None else [ax] if isinstance(ax, Axes) else list(ax)
    if given is not None and len(given) != panels:
        raise InvalidInput(f"ax holds {len(given)} axes; this figure has {panels} panels")
    with matplotlib.rc_context(_RC if given is None else {}):
        if given is None:
            drawing = Figure(figsize=(width, height))
            shape = (1, panels) if heights is None else (panels, 1)
            axes = list(drawing.subplots(*shape, squeeze=False, height_ratios=heights).flat)
        else:
            root = given[0].get_figure(root=True)
            assert isinstance(root, Figure)
            drawing, axes = root, given
        yield drawing, axes
        if path is not None:
            target = Path(path)
            suffix = target.suffix[1:] or "png"
            with replaced(target) as temporary:
                drawing.savefig(temporary, format=suffix, dpi=200, bbox_inches="tight", pad_inches=0.05)


def logarithmic(axis: Axis) -> None:
    """Make one axis logarithmic, with at least two labelled ticks and no more than can be read.

    Even steps within a factor of four, then 1, 2, 5, then 1, 3, then decades. Call it when the data are drawn: the
    limits are fixed.
    """
    axes = axis.axes
    horizontal = axis is axes.xaxis
    axes.set(**{"xscale" if horizontal else "yscale": "log"})
    low, high = sorted(axes.get_xlim() if horizontal else axes.get_ylim())
    axes.set(**{"xlim" if horizontal else "ylim": (low, high)})
    major, minor = _logarithmic_ticks(low, high)
    axis.set_major_locator(major)
    axis.set_minor_locator(minor)
    axis.set_major_formatter(FuncFormatter(_plain_number))
    axis.set_minor_formatter(NullFormatter())


def _logarithmic_ticks(low: float, high: float) -> tuple[Locator, Locator]:
    """Labelled and unlabelled ticks of a logarithmic scale."""
    decades = np.log10(high / low)
    if decades < _EVEN_STEPS:
        return MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]), NullLocator()
    subdivisions = next(subs for largest, subs in _SUBDIVISIONS if decades < largest)
    major = LogLocator(subs=subdivisions, numticks=6 if decades > 2 * _WIDE else 12)
    return major, LogLocator(subs=tuple(range(1, 10)), numticks=12)


def _plain_number(value: float, position: int | None = None) -> str:
    """0.05, 20, 3000; with a power of ten where that would be long."""
    if _PLAIN[0] <= abs(value) < _PLAIN[1]:
        return f"{value:.10g}"
    if value == 0:
        return "0"
    exponent = int(np.floor(np.log10(abs(value)) + 1e-9))
    factor = f"{value / 10**exponent:.3g}"
    return f"$10^{{{exponent}}}$" if factor == "1" else rf"${factor}\times 10^{{{exponent}}}$"


def aligned_colorbar(drawing: Figure, axes: Axes, mappable: ScalarMappable, label: str) -> None:
    """A colour bar as high as `axes`, to its right."""
    bar = drawing.colorbar(mappable, cax=axes.inset_axes((1.03, 0.0, 0.05, 1.0)), label=label)
    norm = mappable.norm
    if isinstance(norm, LogNorm) and norm.vmin is not None and norm.vmax is not None:
        bar.locator, bar.minorlocator = _logarithmic_ticks(norm.vmin, norm.vmax)
        bar.formatter, bar.minorformatter = FuncFormatter(_plain_number), NullFormatter()
        bar.update_ticks()


def as_array(values: Tensor | ArrayLike) -> NDArray[np.float64]:
    """Values as a float64 array on the CPU."""
    return np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, dtype=np.float64)
