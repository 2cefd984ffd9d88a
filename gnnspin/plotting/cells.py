"""Where sites and triangles are drawn in a map: their cells in the plane, folded and repeated as the system is."""

from __future__ import annotations

import itertools
from typing import Any, Literal, TypeAlias, cast, get_args

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import Collection, PolyCollection
from numpy.typing import NDArray
from scipy.spatial import Voronoi

from gnnspin.core.errors import InvalidInput
from gnnspin.observables.triangulation import triangles
from gnnspin.systems.distances import LENGTH_TOLERANCE, shortest_images
from gnnspin.systems.system import FloatArray, IntArray, SpinSystem

#: To which the values of a map belong.
Places: TypeAlias = Literal["sites", "triangles", "tiling"]

#: Drawn beyond the outermost sites, in units of the distance of neighbours.
_MARGIN = 0.5

#: Sites that make a ring with an empty middle, and the largest relative difference of their distances from it.
_RING, _SAME = 5, 1e-6

#: Ground under maps with rings: no colour of a diverging scale, whose zero is white.
_EMPTY = "0.82"

#: Number of polygons from which on a vector format gets them as one picture, which a reader can open.
_RASTERIZED = 2000


def cell_count(system: SpinSystem, on: Places) -> int:
    """Number of sites or triangles that values belong to.

    Raises
    ------
    InvalidInput
        If `on` is unknown, or the system has no triangles.
    """
    if on not in get_args(Places):
        raise InvalidInput(f"on={on!r} is unknown; known: {', '.join(get_args(Places))}")
    return system.n_sites if on == "sites" else len(triangles(system, tiling=on == "tiling").sites)


def draw_cells(
    axes: Axes, system: SpinSystem, on: Places, shown: NDArray[np.bool_] | None = None
) -> tuple[Collection, IntArray]:
    """Add the cells of sites or triangles to a map, as `draw_sites` and `draw_triangles` do."""
    return draw_sites(axes, system, shown) if on == "sites" else draw_triangles(axes, system, on == "tiling", shown)


def draw_sites(axes: Axes, system: SpinSystem, shown: NDArray[np.bool_] | None = None) -> tuple[Collection, IntArray]:
    """Add a filled cell for every site of a lattice, a dot for every other site.

    Parameters
    ----------
    axes : Axes
    system : SpinSystem
        z is ignored.
    shown : (N,), optional
        Sites to draw; default: all.

    Returns
    -------
    collection
        Without colours; give it values or colours, ``values[sites]``.
    sites : (M,)
        The site of each of its members: some are drawn twice, at both ends of a periodic system.

    Raises
    ------
    InvalidInput
        If the lattice has several layers, which would hide each other.
    """
    _require_one_layer(system)
    positions, sites = folded_positions(system)
    low, high = _window(system, positions)
    kept = np.ones(len(sites), dtype=bool) if shown is None else shown[sites]
    drawn: Collection
    if system.lattice_shape is None:
        drawn = axes.scatter(positions[kept, 0], positions[kept, 1], s=12, linewidths=0)
    else:
        beyond = float(np.linalg.norm(system.primitive_vectors[:2], axis=1).max())
        kept &= _inside(positions, low, high, beyond)
        cells, rings = _cells_of_basis(system)
        if rings:
            axes.set_facecolor(_EMPTY)
        corners = _stacked(cells)[system.basis_index[sites[kept]]]
        drawn = _polygons(positions[kept, None] + corners)
        axes.add_collection(drawn)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    return drawn, sites[kept]


def draw_triangles(
    axes: Axes, system: SpinSystem, tiling: bool, shown: NDArray[np.bool_] | None = None
) -> tuple[PolyCollection, IntArray]:
    """Add the elementary triangles of a planar system.

    Parameters
    ----------
    axes : Axes
    system : SpinSystem
    tiling : bool
        Which triangles, see `gnnspin.observables.triangles`.
    shown : (T,), optional
        Triangles to draw; default: all.

    Returns
    -------
    collection
        Without colours; give it values, ``values[numbers]``.
    numbers : (M,)
        The triangle of each of its members: some are drawn twice, at both ends of a periodic system.

    Raises
    ------
    InvalidInput
        If the system has no triangles.
    """
    elementary = triangles(system, tiling=tiling)
    low, high = _window(system, folded_positions(system)[0])
    centers = elementary.centers.numpy()
    corners = shortest_images(system, system.positions[elementary.sites.numpy()] - centers[:, None])[..., :2]
    places, numbers = _with_images(system, _fold(system, centers[:, :2]), reach=2)
    kept = _inside(places, low, high, float(np.abs(corners).max()))
    kept &= True if shown is None else shown[numbers]
    drawn = _polygons(places[kept, None] + corners[numbers[kept]])
    axes.add_collection(drawn)
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal", facecolor=_EMPTY)
    return drawn, numbers[kept]


def folded_positions(system: SpinSystem) -> tuple[FloatArray, IntArray]:
    """Positions (M, 2) to draw and their sites (M,): first the N sites, then images of a periodic lattice around them.

    x is folded into the first cell vector where that lies along x and is periodic.
    """
    positions = _fold(system, system.positions[:, :2])
    if system.lattice_shape is None:
        return positions, np.arange(system.n_sites)
    return _with_images(system, positions, reach=1)


def _stacked(cells: list[FloatArray]) -> FloatArray:
    """Corners (B, V, 2) of polygons with at most V corners, the last one repeated where there are fewer."""
    most = max(len(cell) for cell in cells)
    return np.stack([cell[np.minimum(np.arange(most), len(cell) - 1)] for cell in cells])


def _polygons(vertices: FloatArray) -> PolyCollection:
    return PolyCollection(
        cast(Any, vertices), edgecolors="face", linewidths=0.5, rasterized=len(vertices) > _RASTERIZED
    )


def _require_one_layer(system: SpinSystem) -> None:
    layers = system.lattice_shape[2] if system.lattice_shape else 1
    if layers > 1:
        raise InvalidInput(
            f"{system} has {layers} layers along its third direction, which would hide each other in a map; draw one "
            "of them: a system and values of its sites alone"
        )


def _window(system: SpinSystem, positions: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lowest and highest coordinates (2,) that are seen."""
    margin = _MARGIN * system.spacing if system.n_sites > 1 else _MARGIN
    own = positions[: system.n_sites]
    return own.min(0) - margin, own.max(0) + margin


def _inside(positions: FloatArray, low: FloatArray, high: FloatArray, beyond: float) -> NDArray[np.bool_]:
    return np.asarray(((positions > low - beyond) & (positions < high + beyond)).all(1))


def _fold(system: SpinSystem, places: FloatArray) -> FloatArray:
    """Places (M, 2), x within the first cell vector where that lies along x and is periodic."""
    first, room = system.cell[0], LENGTH_TOLERANCE * system.spacing
    x, y = places.T
    if system.pbc[0] and float(np.abs(first[1:]).max()) < room:
        x = np.mod(x + room, first[0]) - room
    return np.stack([x, y], axis=1)


def _with_images(system: SpinSystem, places: FloatArray, reach: int) -> tuple[FloatArray, IntArray]:
    """Places (M, 2) and their periodic images in the plane, and the number of the place that each is of."""
    steps = [range(-reach, reach + 1) if periodic else (0,) for periodic in system.pbc[:2]]
    shifts = [n1 * system.cell[0, :2] + n2 * system.cell[1, :2] for n1, n2 in itertools.product(*steps) if n1 or n2]
    images = [places, *(places + shift for shift in shifts)]
    return np.concatenate(images), np.tile(np.arange(len(places)), len(images))


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
