"""The structure factor over the Brillouin zone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from numpy.typing import NDArray
from scipy.spatial import Voronoi
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.observables.reciprocal import dimension, high_symmetry_points, reciprocal_vectors, shortest_equivalent
from gnnspin.plotting import style
from gnnspin.systems.system import SpinSystem

_PIXELS = 480
_DISPLAY = {"Gamma": r"$\Gamma$"}


def structure_factor_map(
    system: SpinSystem,
    structure: Tensor,
    path: str | Path,
    *,
    label: str = r"$S(\mathbf{q})$",
    title: str = "",
) -> None:
    """Draw S(q) over the first Brillouin zone of a planar lattice, logarithmic colours, high-symmetry points marked.

    Parameters
    ----------
    system : SpinSystem
        Square, triangular or honeycomb lattice. With several sites per cell S is not periodic; what is drawn in the
        zone is then S at the equivalent wave vector of the grid.
    structure : (L1, L2, 1)
        From `structure_factor`; average replicas first.
    path : path
        File to write.
    label, title : str
        Of the colour bar and the figure.

    Raises
    ------
    InvalidInput
        If the lattice is not planar or the shape does not fit.
    """
    values = style.as_array(structure)
    if dimension(system) != 2 or values.shape != system.lattice_shape:
        raise InvalidInput(
            f"structure has shape {values.shape}; expected {system.lattice_shape} of a planar lattice, one replica"
        )
    zone = _zone_corners(system)
    limit = 1.12 * float(np.abs(zone).max())
    axis_points = np.linspace(-limit, limit, _PIXELS)
    floor = max(float(np.quantile(values, 0.02)), 1e-6 * float(values.max()), 1e-300)
    with style.figure(path, 4.0, 3.4) as (drawing, (axes,)):
        pixels = _sample(system, values[..., 0], axis_points)
        norm = LogNorm(floor, max(float(values.max()), 1.01 * floor))
        extent = (-limit, limit, -limit, limit)
        image = axes.imshow(
            np.maximum(pixels, floor), origin="lower", extent=extent, cmap="magma", norm=norm, interpolation="nearest"
        )
        axes.plot(*np.concatenate([zone, zone[:1]]).T, color="white", linewidth=0.9)
        _mark_points(axes, system)
        axes.set_xlabel(r"$q_x$ ($a^{-1}$)")
        axes.set_ylabel(r"$q_y$ ($a^{-1}$)")
        axes.set_title(title)
        style.aligned_colorbar(drawing, axes, image, label)


def _sample(system: SpinSystem, values: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Value of the nearest grid point of every pixel."""
    qx, qy = np.meshgrid(points, points)
    vectors = np.stack([qx, qy, np.zeros_like(qx)], axis=-1)
    fractions = vectors @ np.linalg.inv(reciprocal_vectors(system))
    shape = np.array(values.shape)
    index = np.round(fractions[..., :2] * shape).astype(int) % shape
    return values[index[..., 0], index[..., 1]]


def _zone_corners(system: SpinSystem) -> NDArray[np.float64]:
    """Corners (V, 2) of the first Brillouin zone, counter-clockwise."""
    b = reciprocal_vectors(system)[:2, :2]
    steps = np.stack(np.meshgrid([-2, -1, 0, 1, 2], [-2, -1, 0, 1, 2], indexing="ij"), axis=-1).reshape(-1, 2)
    diagram = Voronoi(steps @ b)
    home = int(np.flatnonzero((steps == 0).all(1))[0])
    corners = diagram.vertices[diagram.regions[diagram.point_region[home]]]
    return corners[np.argsort(np.arctan2(corners[:, 1], corners[:, 0]))]


def _mark_points(axes: Axes, system: SpinSystem) -> None:
    """A circle around every copy of a named point in the closed zone; the name beside one of them."""
    for name, point in high_symmetry_points(system).items():
        copies = _copies(system, point)
        axes.plot(*copies.T, "o", markersize=7, markerfacecolor="none", markeredgecolor="white", markeredgewidth=0.9)
        best = copies[np.argmax(copies @ np.array([1.0, 0.3]))]
        length = float(np.linalg.norm(best))
        inward = tuple(-14 * best / length) if length > 0 else (9.0, 9.0)
        axes.annotate(
            _DISPLAY.get(name, name),
            best,
            xytext=inward,
            textcoords="offset points",
            color="white",
            fontweight="bold",
            ha="center",
            va="center",
        )


def _copies(system: SpinSystem, point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Images of a zone point under 12-fold (hexagonal) or 4-fold turns that are equivalent by symmetry."""
    b = reciprocal_vectors(system)
    order = 4 if abs(b[0] @ b[1]) < 1e-9 else 6
    turned = []
    for k in range(order):
        c, s = np.cos(2 * np.pi * k / order), np.sin(2 * np.pi * k / order)
        turned.append(np.array([[c, -s], [s, c]]) @ shortest_equivalent(system, point)[:2])
    return np.unique(np.round(turned, 9), axis=0)
