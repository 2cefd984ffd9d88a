"""Maps of a quantity per site over a planar system."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import Collection, PolyCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import Voronoi
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.plotting import style
from gnnspin.systems.distances import LENGTH_TOLERANCE
from gnnspin.systems.system import SpinSystem

#: Largest number of panels in a figure.
_MAX_PANELS = 8

#: Drawn beyond the outermost sites, in units of the distance of neighbours.
_MARGIN = 0.5

#: Sites that make a ring with an empty middle, and the largest relative difference of their distances from it.
_RING, _SAME = 5, 1e-6

#: Ground under maps with rings: no colour of a diverging scale, whose zero is white.
_EMPTY = "0.82"


def lattice_map(
    system: SpinSystem,
    values: Tensor | ArrayLike,
    path: str | Path | None = None,
    *,
    titles: Sequence[str] = (),
    label: str = "",
    limits: tuple[float, float] | None = None,
    colormap: str | None = None,
    ax: Axes | Sequence[Axes] | None = None,
) -> tuple[Figure, list[Axes]]:
    """Draw snapshots of a quantity per site side by side, one colour scale for all.

    Every site of a lattice fills its own cell: the points closer to it than to any other, hexagons on a triangular
    lattice. Into a ring of five or more sites, such as the hexagons of the kagome and honeycomb lattices, it reaches by
    half the distance of neighbours; the middle stays empty, on grey ground. Periodic systems are folded into a
    rectangle where that is possible. Positions in the system's unit of length a.

    Parameters
    ----------
    system : SpinSystem
        A planar system; z is ignored.
    values : (N,) or (panels, N)
        Such as a component of `staggered_vector_chirality` at several times. NaN is left white.
    path : path, optional
        File to write.
    titles : sequence of str
        One for each panel, such as its time.
    label : str
        Of the colour bar, with the unit.
    limits : (low, high), optional
        Of the colour scale; default the values' range, symmetric where they change sign.
    colormap : str, optional
        Default: diverging where values change sign, sequential otherwise.
    ax : Axes or sequence of Axes, optional
        One for each panel; default: a figure of its own.

    Returns
    -------
    figure, axes
        One Axes for each panel.

    Raises
    ------
    InvalidInput
        If the shape does not fit, or there are too many panels.
    """
    panels = np.atleast_2d(style.as_array(values))
    if panels.ndim != 2 or panels.shape[1] != system.n_sites or len(panels) > _MAX_PANELS:
        raise InvalidInput(
            f"values have shape {panels.shape}; expected ({system.n_sites},) or (panels, {system.n_sites}) with at "
            f"most {_MAX_PANELS} panels"
        )
    low, high = _limits(panels) if limits is None else limits
    colors = colormap or (style.DIVERGING if low < 0 < high else style.SEQUENTIAL)
    with style.figure(path, 2.6 * len(panels) + 0.9, 2.9, panels=len(panels), ax=ax) as (drawing, axes):
        for k, (axis, row) in enumerate(zip(axes, panels, strict=True)):
            drawn = _draw_sites(axis, system, row)
            drawn.set(cmap=colors, norm=Normalize(low, high))
            axis.set_xlabel("$x$ ($a$)")
            axis.set_title(titles[k] if k < len(titles) else "")
            axis.tick_params(labelleft=k == 0)
        axes[0].set_ylabel("$y$ ($a$)")
        style.aligned_colorbar(drawing, axes[-1], drawn, label)
    return drawing, axes


def _limits(values: NDArray[np.float64]) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        raise InvalidInput("no value is finite; there is nothing to draw")
    low, high = float(finite.min()), float(finite.max())
    if low < 0 < high:
        high = max(-low, high)
        low = -high
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _draw_sites(axes: Axes, system: SpinSystem, values: NDArray[np.float64]) -> Collection:
    """Filled cells on a lattice, dots elsewhere; coloured by `values`."""
    positions, sites = _folded(system)
    margin = _MARGIN * system.spacing if system.n_sites > 1 else _MARGIN
    low, high = positions[: system.n_sites].min(0) - margin, positions[: system.n_sites].max(0) + margin
    drawn: Collection
    if system.lattice_shape is None:
        drawn = axes.scatter(positions[:, 0], positions[:, 1], c=values[sites], s=12, linewidths=0)
    else:
        beyond = float(np.linalg.norm(system.primitive_vectors[:2], axis=1).max())
        near = ((positions > low - beyond) & (positions < high + beyond)).all(1) & np.isfinite(values[sites])
        cells, rings = _cells_of_basis(system)
        if rings:
            axes.set_facecolor(_EMPTY)
        basis = system.basis_index[sites[near]]
        vertices = [position + cells[b] for position, b in zip(positions[near], basis, strict=True)]
        drawn = PolyCollection(vertices, array=values[sites[near]], edgecolors="face", linewidths=0.5)
        axes.add_collection(drawn)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    return drawn


def _folded(system: SpinSystem) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Positions (M, 2) to draw and their sites (M,): first the N sites, then images of a periodic lattice around them.

    x is folded into the first cell vector where that lies along x and is periodic.
    """
    positions, sites = system.positions[:, :2].copy(), np.arange(system.n_sites)
    first = system.cell[0]
    if system.pbc[0] and float(np.abs(first[1:]).max()) < (room := LENGTH_TOLERANCE * system.spacing):
        positions[:, 0] = np.mod(positions[:, 0] + room, first[0]) - room
    if system.lattice_shape is None:
        return positions, sites
    steps = [(-1, 0, 1) if periodic else (0,) for periodic in system.pbc[:2]]
    shifts = [n1 * system.cell[0, :2] + n2 * system.cell[1, :2] for n1, n2 in itertools.product(*steps) if n1 or n2]
    images = [positions, *(positions + shift for shift in shifts)]
    return np.concatenate(images), np.tile(sites, len(images))


def _cells_of_basis(system: SpinSystem) -> tuple[list[NDArray[np.float64]], bool]:
    """Corners (V, 2) of the cell of each basis site, relative to it: its Voronoi cell without the middle of rings.

    And whether there are rings.
    """
    a = system.primitive_vectors[:, :2]
    basis = system.positions[: system.n_basis, :2]
    steps = np.stack(np.meshgrid([-2, -1, 0, 1, 2], [-2, -1, 0, 1, 2], indexing="ij"), axis=-1).reshape(-1, 2)
    around = (basis[:, None] + steps @ a[:2]).reshape(-1, 2)
    diagram = Voronoi(around)
    home = int(np.flatnonzero((steps == 0).all(1))[0])
    cells, rings = [], False
    for b in range(system.n_basis):
        index = b * len(steps) + home
        corners = diagram.vertices[diagram.regions[diagram.point_region[index]]] - around[index]
        corners = corners[np.argsort(np.arctan2(corners[:, 1], corners[:, 0]))]
        cell = corners
        for corner in corners:
            distance = float(np.linalg.norm(corner))
            ring = np.linalg.norm(around - around[index] - corner, axis=1) < distance * (1 + _SAME)
            if ring.sum() >= _RING:
                cell, rings = _clipped(cell, corner / distance, system.spacing / 2), True
        cells.append(cell)
    return cells, rings


def _clipped(polygon: NDArray[np.float64], normal: NDArray[np.float64], reach: float) -> NDArray[np.float64]:
    """The part of a convex polygon (V, 2) with ``x . normal <= reach`` (Sutherland and Hodgman)."""
    height = polygon @ normal - reach
    kept: list[NDArray[np.float64]] = []
    for k, corner in enumerate(polygon):
        before, end = height[k - 1], height[k]
        if (before > 0) != (end > 0):
            kept.append(polygon[k - 1] + before / (before - end) * (corner - polygon[k - 1]))
        if end <= 0:
            kept.append(corner)
    return np.array(kept)
