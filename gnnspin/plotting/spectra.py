"""The dynamic structure factor along a path through the Brillouin zone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.dynamics.spectrum import Spectrum
from gnnspin.plotting import style
from gnnspin.systems.system import FloatArray

_DISPLAY = {"Gamma": r"$\Gamma$"}

#: Weakest S(q, omega) that is drawn, as a share of the largest beside the elastic line.
_FLOOR = 1e-4

#: Half-width of the elastic line in units of the resolution: that of a Hann window.
_ELASTIC = 2.5


def spectrum_map(
    spectrum: Spectrum,
    distances: Tensor | ArrayLike,
    corners: Sequence[str],
    path: str | Path | None = None,
    *,
    frequencies: tuple[float, float] | None = None,
    lines: Mapping[str, ArrayLike] | None = None,
    limits: tuple[float, float] | None = None,
    label: str = r"$S(\mathbf{q}, \omega)$ ($1/\gamma t$)",
    ax: Axes | None = None,
) -> tuple[Figure, Axes]:
    """Draw S(q, omega), the trace of the tensor, along a path of wave vectors, in logarithmic colours.

    Parameters
    ----------
    spectrum : Spectrum
        From `gnnspin.dynamics.DynamicStructureFactor` at the wave vectors of a path.
    distances : (Q,)
        Length of the path up to each of them, from `gnnspin.observables.wave_vector_path`.
    corners : sequence of str
        Names of the path's corners, which have the same number of points between them.
    path : path, optional
        File to write.
    frequencies : (low, high), optional
        In gamma t; default: from zero to the largest one.
    lines : mapping of str to (Q,), optional
        Known dispersions by their labels, drawn over the map.
    limits : (low, high), optional
        Of the colours; default: four decades below the largest value beside the elastic line. Order in the ground state
        has a line at zero frequency that outshines all excitations by orders of magnitude; it is cut off.
    label : str
        Of the colour bar.
    ax : Axes, optional
        Where to draw; default: a figure of its own.

    Returns
    -------
    figure, axes

    Raises
    ------
    InvalidInput
        If the distances do not belong to the spectrum or do not grow, the corners do not divide the path, or no
        frequency is in the window.
    """
    x, ends = _abscissa(spectrum, distances, corners)
    low, high = (0.0, float(spectrum.omega[-1])) if frequencies is None else frequencies
    inside = (spectrum.omega >= low - spectrum.resolution / 2) & (spectrum.omega <= high + spectrum.resolution / 2)
    if not inside.any():
        raise InvalidInput(f"frequencies={frequencies} hold none of those from {spectrum.omega[0]:g} on")
    power = spectrum.power[:, inside].T
    bottom, top = limits or _color_limits(power, spectrum.omega[inside], spectrum.resolution)
    with style.figure(path, 4.6, 3.2, ax=ax) as (drawing, (axes,)):
        image = axes.pcolormesh(
            _edges(x),
            _edges(spectrum.omega[inside], spectrum.resolution),
            np.maximum(power, bottom),
            cmap="magma",
            norm=LogNorm(bottom, top),
            rasterized=True,
        )
        for k, (name, omega) in enumerate((lines or {}).items()):
            color = ("white", style.SKY, style.ORANGE)[k % 3]
            axes.plot(x, np.asarray(omega), color=color, linestyle="--", linewidth=0.9, label=name)
        for place in ends[1:-1]:
            axes.axvline(place, color="white", linewidth=0.6, alpha=0.7)
        axes.set(xlim=(x[0], x[-1]), ylim=(low, high), ylabel=r"$\omega$ ($\gamma t$)")
        axes.set_xticks(ends, [_DISPLAY.get(name, name) for name in corners])
        if lines:
            axes.legend(loc="upper right", labelcolor="white")
        style.aligned_colorbar(drawing, axes, image, label)
    return drawing, axes


def _abscissa(
    spectrum: Spectrum, distances: Tensor | ArrayLike, corners: Sequence[str]
) -> tuple[FloatArray, FloatArray]:
    """Distances (Q,) and those of the corners."""
    x = style.as_array(distances)
    if x.shape != (len(spectrum.wave_vectors),) or len(x) < 2 or not (np.diff(x) > 0).all():
        raise InvalidInput(
            f"distances have shape {x.shape}; expected ({len(spectrum.wave_vectors)},), growing, as wave_vector_path "
            "returns them beside the wave vectors"
        )
    points, rest = divmod(len(x) - 1, max(len(corners) - 1, 1))
    if len(corners) < 2 or rest or not points:
        raise InvalidInput(f"{len(corners)} corners do not divide a path of {len(x)} points into equal lines")
    return x, x[::points]


def _color_limits(power: FloatArray, omega: FloatArray, resolution: float) -> tuple[float, float]:
    """Limits of the colours of S(q, omega) (M, Q), which the elastic line does not set."""
    inelastic = np.abs(omega) > _ELASTIC * resolution
    top = max(float(power[inelastic if inelastic.any() else slice(None)].max()), 1e-300)
    return _FLOOR * top, top


def _edges(centers: FloatArray, width: float | None = None) -> FloatArray:
    """Borders (n + 1,) of cells around their centres; `width` is that of one alone."""
    if len(centers) == 1:
        return centers[0] + (width or 1.0) * np.array([-0.5, 0.5])
    middle = (centers[1:] + centers[:-1]) / 2
    return np.concatenate([[2 * centers[0] - middle[0]], middle, [2 * centers[-1] - middle[-1]]])
