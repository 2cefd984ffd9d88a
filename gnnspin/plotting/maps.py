"""Maps of a quantity per site over a planar system."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import Collection, PolyCollection
from matplotlib.colors import Normalize
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import Voronoi
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.plotting import style
from gnnspin.systems.distances import LENGTH_TOLERANCE
from gnnspin.systems.system import SpinSystem

#: Largest number of panels in a figure.
_MAX_PANELS = 8

#: Drawn beyond the outermost sites, in units of the lattice spacing.
_MARGIN = 0.5


def lattice_map(
    system: SpinSystem,
    values: Tensor | ArrayLike,
    path: str | Path,
    *,
    titles: Sequence[str] = (),
    label: str = "",
    limits: tuple[float, float] | None = None,
    colormap: str | None = None,
) -> None:
    """Draw snapshots of a quantity per site side by side, one colour scale for all.

    Every site of a lattice fills its own cell (hexagons on a triangular lattice); periodic systems are folded into a
    rectangle where that is possible. Positions in units of the lattice spacing a.

    Parameters
    ----------
    system : SpinSystem
        A planar system; z is ignored.
    values : (N,) or (panels, N)
        Such as a component of `staggered_vector_chirality` at several times. NaN is left white.
    path : path
        File to write.
    titles : sequence of str
        One for each panel, such as its time.
    label : str
        Of the colour bar, with the unit.
    limits : (low, high), optional
        Of the colour scale; default the values' range, symmetric where they change sign.
    colormap : str, optional
        Default: diverging where values change sign, sequential otherwise.

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
    with style.figure(path, 2.6 * len(panels) + 0.9, 2.9, panels=len(panels)) as (drawing, axes):
        for k, (axis, row) in enumerate(zip(axes, panels, strict=True)):
            drawn = _draw_sites(axis, system, row)
            drawn.set(cmap=colors, norm=Normalize(low, high))
            axis.set_xlabel("$x$ ($a$)")
            axis.set_title(titles[k] if k < len(titles) else "")
            axis.tick_params(labelleft=k == 0)
        axes[0].set_ylabel("$y$ ($a$)")
        style.aligned_colorbar(drawing, axes[-1], drawn, label)


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
    low, high = positions[: system.n_sites].min(0) - _MARGIN, positions[: system.n_sites].max(0) + _MARGIN
    drawn: Collection
    if system.lattice_shape is None:
        drawn = axes.scatter(positions[:, 0], positions[:, 1], c=values[sites], s=12, linewidths=0)
    else:
        margin = float(np.linalg.norm(system.primitive_vectors[:2], axis=1).max())
        near = ((positions > low - margin) & (positions < high + margin)).all(1) & np.isfinite(values[sites])
        cells = _cells_of_basis(system)
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


def _cells_of_basis(system: SpinSystem) -> list[NDArray[np.float64]]:
    """Corners (V, 2) of the Voronoi cell of each basis site, relative to it, slightly grown to hide seams."""
    a = system.primitive_vectors[:, :2]
    basis = system.positions[: system.n_basis, :2]
    steps = np.stack(np.meshgrid([-2, -1, 0, 1, 2], [-2, -1, 0, 1, 2], indexing="ij"), axis=-1).reshape(-1, 2)
    around = (basis[:, None] + steps @ a[:2]).reshape(-1, 2)
    diagram = Voronoi(around)
    home = int(np.flatnonzero((steps == 0).all(1))[0])
    cells = []
    for b in range(system.n_basis):
        index = b * len(steps) + home
        corners = diagram.vertices[diagram.regions[diagram.point_region[index]]] - around[index]
        order = np.argsort(np.arctan2(corners[:, 1], corners[:, 0]))
        cells.append(corners[order])
    return cells
