"""The structure factor over the Brillouin zones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray
from scipy.spatial import Voronoi
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.observables.extended_zone import WaveVectorGrid, Zones, wave_vector_grid
from gnnspin.observables.reciprocal import dimension, high_symmetry_points, reciprocal_vectors, shortest_equivalent
from gnnspin.plotting import style
from gnnspin.systems.system import SpinSystem

_PIXELS = 480
_DISPLAY = {"Gamma": r"$\Gamma$"}

#: Place of the name of a point between Gamma and the point.
_INWARD = 0.74

#: Weakest S(q) that is drawn, as a share of the largest: rounding of an empty wave vector looks like nothing.
_FLOOR = 1e-5


def structure_factor_map(
    system: SpinSystem,
    structure: Tensor,
    path: str | Path | None = None,
    *,
    zones: Zones | None = None,
    label: str = r"$S(\mathbf{q})$",
    title: str = "",
    ax: Axes | None = None,
) -> tuple[Figure, Axes]:
    """Draw S(q) of a planar lattice over its first Brillouin zones, with their borders, in logarithmic colours.

    With one site per cell S(q) repeats from zone to zone; the first one is in the middle, its high-symmetry points
    marked. With several the whole extended zone is shown, its border dashed. Outside a given window nothing is drawn.

    Parameters
    ----------
    system : SpinSystem
        A planar lattice.
    structure : (K1, K2, 1)
        From `structure_factor`; average replicas first.
    path : path, optional
        File to write.
    zones : int or three ints, optional
        Those that `structure` was computed with.
    label, title : str
        Of the colour bar and the figure.
    ax : Axes, optional
        Where to draw; default: a figure of its own.

    Returns
    -------
    figure, axes

    Raises
    ------
    InvalidInput
        If the lattice is not planar or the shape does not fit.
    """
    values = style.as_array(structure)
    if dimension(system) != 2:
        raise InvalidInput(f"a map of S(q) needs a planar lattice; this one is {system}")
    grid = wave_vector_grid(system, zones)
    if values.shape != grid.shape:
        raise InvalidInput(
            f"structure has shape {values.shape}; expected {grid.shape}, S(q) of one replica at "
            f"wave_vectors(system, zones={zones})"
        )
    first = _wigner_seitz(reciprocal_vectors(system)[:2, :2])
    whole = first if grid.repeats is None else _wigner_seitz(grid.repeats[:, :2])
    reach = np.abs(grid.vectors[..., :2]).max((0, 1, 2)) if grid.repeats is None else np.abs(whole).max(0)
    limit = 1.12 * np.maximum(reach, np.abs(first).max(0))
    with style.figure(path, 4.0, 3.4, ax=ax) as (drawing, (axes,)):
        image = _draw_pixels(axes, system, grid, values[..., 0], limit)
        _draw_borders(axes, system, first, whole, limit)
        _mark_points(axes, system)
        axes.set(xlabel=r"$q_x$ ($a^{-1}$)", ylabel=r"$q_y$ ($a^{-1}$)", title=title)
        style.aligned_colorbar(drawing, axes, image, label)
    return drawing, axes


def _draw_pixels(
    axes: Axes, system: SpinSystem, grid: WaveVectorGrid, values: NDArray[np.float64], limit: NDArray[np.float64]
) -> AxesImage:
    """S(q) at the grid point nearest to every pixel."""
    qx, qy = np.meshgrid(*(np.linspace(-reach, reach, _PIXELS) for reach in limit))
    spacings = reciprocal_vectors(system)[:2, :2] / np.array(system.lattice_shape)[:2, None]
    steps = _nearest_steps(np.stack([qx, qy], axis=-1), spacings)
    pixels = values[steps[..., 0] % values.shape[0], steps[..., 1] % values.shape[1]]
    if grid.repeats is None:
        outside = (np.abs(steps) > np.array(values.shape) // 2).any(-1)
        pixels = np.where(outside, np.nan, pixels)
    top = max(float(values.max()), 1e-300)
    floor = max(float(np.quantile(values, 0.02)), _FLOOR * top)
    return axes.imshow(
        np.maximum(pixels, floor),
        origin="lower",
        extent=(-limit[0], limit[0], -limit[1], limit[1]),
        cmap="magma",
        norm=LogNorm(floor, max(top, 1.01 * floor)),
        interpolation="nearest",
    )


def _nearest_steps(points: NDArray[np.float64], vectors: NDArray[np.float64]) -> NDArray[np.int64]:
    """Integer coordinates (..., 2) of the lattice point nearest to each of the points (..., 2)."""
    start = np.round(points @ np.linalg.inv(vectors)).astype(np.int64)
    best, shortest = start, np.linalg.norm(points - start @ vectors, axis=-1)
    for step in _steps(1):
        length = np.linalg.norm(points - (start + step) @ vectors, axis=-1)
        best = np.where((length < shortest)[..., None], start + step, best)
        shortest = np.minimum(shortest, length)
    return best


def _draw_borders(
    axes: Axes,
    system: SpinSystem,
    first: NDArray[np.float64],
    whole: NDArray[np.float64],
    limit: NDArray[np.float64],
) -> None:
    """Borders of all Brillouin zones in sight, of the first one, and of the extended one, dashed."""
    b = reciprocal_vectors(system)[:2, :2]
    centers = _steps(8) @ b
    inside = (np.abs(centers) < limit + np.abs(first).max(0)).all(1)
    zones = [center + first for center in centers[inside]]
    axes.add_collection(PolyCollection(zones, facecolors="none", edgecolors=(1, 1, 1, 0.35), linewidths=0.6))
    axes.plot(*np.concatenate([first, first[:1]]).T, color="white", linewidth=1.0)
    if not np.isclose(_area(whole), _area(first)):
        axes.plot(*np.concatenate([whole, whole[:1]]).T, color="white", linewidth=1.0, linestyle=(0, (4, 2)))
    axes.set(xlim=(-limit[0], limit[0]), ylim=(-limit[1], limit[1]))


def _wigner_seitz(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners (V, 2), counter-clockwise, of the points closer to the origin than to any other of a lattice (2, 2)."""
    steps = _steps(3)
    diagram = Voronoi(steps @ vectors)
    home = int(np.flatnonzero((steps == 0).all(1))[0])
    corners = diagram.vertices[diagram.regions[diagram.point_region[home]]]
    return np.asarray(corners[np.argsort(np.arctan2(corners[:, 1], corners[:, 0]))], dtype=np.float64)


def _steps(reach: int) -> NDArray[np.int64]:
    """All pairs of integers up to `reach` in size."""
    line = np.arange(-reach, reach + 1)
    return np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(-1, 2)


def _area(corners: NDArray[np.float64]) -> float:
    x, y = corners.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def _mark_points(axes: Axes, system: SpinSystem) -> None:
    """A circle around every copy of a named point in the closed first zone; the name beside one of them."""
    try:
        points = high_symmetry_points(system)
    except InvalidInput:
        return
    aside = 0.12 * np.linalg.norm(reciprocal_vectors(system)[0]) * np.array([1.0, 1.0])
    for name, point in points.items():
        copies = _copies(system, point)
        axes.plot(*copies.T, "o", markersize=7, markerfacecolor="none", markeredgecolor="white", markeredgewidth=0.9)
        best = copies[np.argmax(copies @ np.array([1.0, 0.3]))]
        axes.annotate(
            _DISPLAY.get(name, name),
            _INWARD * best if best.any() else aside,
            color="white",
            fontweight="bold",
            ha="center",
            va="center",
        )


def _copies(system: SpinSystem, point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Images of a zone point under sixfold (hexagonal) or fourfold turns, which are equivalent by symmetry."""
    b = reciprocal_vectors(system)
    order = 4 if abs(b[0] @ b[1]) < 1e-9 * (b[0] @ b[0]) else 6
    turned = []
    for k in range(order):
        c, s = np.cos(2 * np.pi * k / order), np.sin(2 * np.pi * k / order)
        turned.append(np.array([[c, -s], [s, c]]) @ shortest_equivalent(system, point)[:2])
    unit = 1e-9 * float(np.linalg.norm(b[0]))
    return unit * np.unique(np.round(np.array(turned) / unit), axis=0)
