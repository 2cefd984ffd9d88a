"""One look for all figures: colours that colour-blind readers tell apart, sizes that print."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

#: Palette of Okabe and Ito.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
PALETTE = (BLUE, RED, GREEN, PURPLE, ORANGE, SKY)

#: Diverging and sequential colour maps that are perceptually uniform.
DIVERGING, SEQUENTIAL = "RdBu_r", "viridis"

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
def figure(path: str | Path, width: float, height: float, panels: int = 1) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure of `panels` axes in a row, in inches; written to `path` when the block ends without an error."""
    target = Path(path)
    with matplotlib.rc_context(_RC):
        drawing = Figure(figsize=(width, height))
        axes = drawing.subplots(1, panels, squeeze=False)[0]
        yield drawing, list(axes)
        target.parent.mkdir(parents=True, exist_ok=True)
        drawing.savefig(target, dpi=200, bbox_inches="tight", pad_inches=0.05)


def aligned_colorbar(drawing: Figure, axes: Axes, mappable: ScalarMappable, label: str) -> None:
    """A colour bar as high as `axes`, to its right."""
    drawing.colorbar(mappable, cax=axes.inset_axes((1.03, 0.0, 0.05, 1.0)), label=label)


def as_array(values: Tensor | ArrayLike) -> NDArray[np.float64]:
    """Values as a float64 array on the CPU."""
    return np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values, dtype=np.float64)
