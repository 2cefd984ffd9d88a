"""Maps of a quantity per site or per triangle over a planar system."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.plotting import style
from gnnspin.plotting.cells import Places, cell_count, draw_cells
from gnnspin.plotting.ruler import scale_bar
from gnnspin.systems.system import SpinSystem

#: Largest number of panels in a figure.
MAX_PANELS = 8


def lattice_map(
    system: SpinSystem,
    values: Tensor | ArrayLike,
    path: str | Path | None = None,
    *,
    titles: Sequence[str] = (),
    label: str = "",
    limits: tuple[float, float] | None = None,
    on: Places = "sites",
    colormap: str | None = None,
    scale: Literal["bar", "axes"] = "bar",
    ax: Axes | Sequence[Axes] | None = None,
) -> tuple[Figure, list[Axes]]:
    """Draw snapshots of a quantity per site, or per triangle, side by side, one colour scale for all.

    Every site of a lattice fills its own cell: the points closer to it than to any other, hexagons on a triangular
    lattice. Into a ring of five or more sites, such as the hexagons of the kagome and honeycomb lattices, it reaches by
    half the distance of neighbours; the middle stays empty, on grey ground. Periodic systems are folded into a
    rectangle where that is possible. Positions in the system's unit of length a.

    Parameters
    ----------
    system : SpinSystem
        A planar system; z is ignored.
    values : (N,) or (panels, N), or (T,) or (panels, T)
        Such as a component of `staggered_vector_chirality` at several times. NaN is left white.
    path : path, optional
        File to write.
    titles : sequence of str
        One for each panel, such as its time.
    label : str
        Of the colour bar, with the unit.
    limits : (low, high), optional
        Of the colour scale; default the values' range, symmetric where they change sign.
    on : {"sites", "triangles", "tiling"}
        To which the values belong: sites, the lattice's own triangles as of `scalar_chirality`, or those that cover the
        plane once as of `topological_charge_density`.
    colormap : str, optional
        Default: diverging where values change sign, sequential otherwise.
    scale : {"bar", "axes"}
        A `scale_bar` under the first panel, or coordinates along the edges.
    ax : Axes or sequence of Axes, optional
        One for each panel; default: a figure of its own.

    Returns
    -------
    figure, axes
        One Axes for each panel.

    Raises
    ------
    InvalidInput
        If the shape does not fit, there are too many panels, or the lattice has layers that would hide each other.
    """
    panels = np.atleast_2d(style.as_array(values))
    n = cell_count(system, on)
    if panels.ndim != 2 or panels.shape[1] != n or len(panels) > MAX_PANELS:
        raise InvalidInput(
            f"values have shape {panels.shape}; expected ({n},) or (panels, {n}), one for each of the {on}, with at "
            f"most {MAX_PANELS} panels"
        )
    low, high = color_limits(panels) if limits is None else limits
    colors = colormap or (style.DIVERGING if low < 0 < high else style.SEQUENTIAL)
    with style.figure(path, 2.6 * len(panels) + 0.9, 2.9, panels=len(panels), ax=ax) as (drawing, axes):
        for axis, row in zip(axes, panels, strict=True):
            drawn, numbers = draw_cells(axis, system, on, np.isfinite(row))
            drawn.set(array=row[numbers], cmap=colors, norm=Normalize(low, high))
        finish(axes, titles, scale)
        style.aligned_colorbar(drawing, axes[-1], drawn, label)
    return drawing, axes


def color_limits(values: NDArray[np.float64]) -> tuple[float, float]:
    """Range of the finite values, symmetric about zero where they change sign.

    Raises
    ------
    InvalidInput
        If no value is finite.
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        raise InvalidInput("no value is finite; there is nothing to draw")
    low, high = float(finite.min()), float(finite.max())
    if low < 0 < high:
        high = max(-low, high)
        low = -high
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def finish(axes: Sequence[Axes], titles: Sequence[str], scale: Literal["bar", "axes"]) -> None:
    """Add titles, and a scale bar under the first map or coordinates along the edges of all."""
    for k, axis in enumerate(axes):
        axis.set_title(titles[k] if k < len(titles) else "")
        bar = scale == "bar"
        axis.tick_params(left=not bar, bottom=not bar, labelbottom=not bar, labelleft=not bar and k == 0)
        axis.set_xlabel("" if bar else "$x$ ($a$)")
    if scale == "bar":
        scale_bar(axes[0])
    else:
        axes[0].set_ylabel("$y$ ($a$)")
