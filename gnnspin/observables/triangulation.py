"""Elementary triangles of planar lattices and packings.

The plane is divided into Delaunay cells: polygons whose corners are sites on one circle that holds no other site.
They are the triangles of the triangular lattice, the squares of the square lattice, triangles and hexagons of the
kagome lattice, the hexagons of the honeycomb lattice. Cells with more than three corners are cut, in every unit cell
alike: corners number 2, 4, ... are cut off, then those of what remains. A square becomes two triangles, a hexagon four,
one of them with the corners of one sublattice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy.spatial import Voronoi, cKDTree
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.systems.lattice import cell_indices, cell_number, repeated_directions
from gnnspin.systems.system import FloatArray, IntArray, SpinSystem

#: Largest difference of lengths that are equal, in units of the closest distance.
_TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class Triangles:
    """The T elementary triangles of a system.

    Attributes
    ----------
    sites : (T, 3) int64
        Corners, counter-clockwise; all 'up' triangles come first, then all 'down' triangles.
    orientation : (T,)
        +1 'up', -1 'down': a triangle that points along +y, and its inverted image.
    centers : (T, 3) float64
        Cartesian centres, not wrapped into the cell.
    """

    sites: Tensor
    orientation: Tensor
    centers: Tensor


@dataclass(frozen=True, eq=False)
class DelaunayCell:
    """A polygon of the infinite lattice, one of all that are translations of it.

    Attributes
    ----------
    cells : (V, 2) int64
        Unit cells (n1, n2) of its corners, counter-clockwise.
    basis : (V,) int64
        Their basis indices.
    corners : (V, 2) float64
        Their Cartesian positions.
    """

    cells: IntArray
    basis: IntArray
    corners: FloatArray

    def part(self, corners: list[int]) -> DelaunayCell:
        """The polygon of some of the corners."""
        return DelaunayCell(self.cells[corners], self.basis[corners], self.corners[corners])


@lru_cache(maxsize=16)
def triangles(system: SpinSystem, *, tiling: bool = False) -> Triangles:
    """Elementary triangles of a planar lattice or periodic packing; those cut by an open boundary are left out.

    Parameters
    ----------
    system : SpinSystem
    tiling : bool
        False: the Delaunay cells that are triangles themselves, such as the up and down triangles of the triangular
        and kagome lattices; the parts of cut cells where there are none (square and honeycomb lattices).
        True: all cells, cut where needed, which cover the plane once, as solid angles need.

    Raises
    ------
    InvalidInput
        If the system is not planar, neither a lattice nor periodic in both directions, or too narrow for a triangle.
    """
    polygons = delaunay_cells(system)
    whole = [polygon for polygon in polygons if len(polygon.basis) == 3]
    chosen = [part for polygon in polygons for part in _cut(polygon)] if tiling or not whole else whole
    signs = np.array([_orientation(triangle.corners) for triangle in chosen])
    shape = np.array(system.lattice_shape or (1, 1, 1))
    cells = cell_indices(shape)[:, None, :2]
    sites, centers, orientation = [], [], []
    for k in np.argsort(-signs, kind="stable"):
        index = cells + chosen[k].cells
        inside = (((index >= 0) & (index < shape[:2])) | np.array(system.pbc[:2])).all((1, 2))
        corners = np.concatenate([index[inside], np.zeros((int(inside.sum()), 3, 1), dtype=np.int64)], axis=-1)
        sites.append(cell_number(corners, shape) * system.n_basis + chosen[k].basis)
        shift = cells[inside, 0] @ _vectors(system)
        height = np.full((len(shift), 1), system.positions[0, 2])
        centers.append(np.concatenate([shift + chosen[k].corners.mean(0), height], axis=1))
        orientation.append(np.full(len(shift), signs[k]))
    if not sum(len(part) for part in sites):
        raise InvalidInput(f"{system} has no triangle: it is open and too narrow for one")
    return Triangles(*(torch.from_numpy(np.concatenate(parts)) for parts in (sites, orientation, centers)))


@lru_cache(maxsize=16)
def delaunay_cells(system: SpinSystem) -> tuple[DelaunayCell, ...]:
    """Delaunay cells of one unit cell of the infinite plane, each once, with their corners counter-clockwise.

    Raises
    ------
    InvalidInput
        As in `triangles`.
    """
    _require_planar(system)
    vectors, basis = _vectors(system), system.positions[: system.n_basis, :2]
    steps, points = _images(vectors, basis)
    tree = cKDTree(points)
    vertices = Voronoi(points).vertices
    fractions = (vertices - basis[0]) @ np.linalg.inv(vectors)
    home = vertices[((fractions > -_TOLERANCE) & (fractions < 1 - _TOLERANCE)).all(1)]
    fractions = np.round((home - basis[0]) @ np.linalg.inv(vectors), 6)
    _, first = np.unique(fractions, axis=0, return_index=True)
    found = []
    for center in home[first]:
        radius = float(tree.query(center)[0])
        corners = np.array(tree.query_ball_point(center, radius + _TOLERANCE * system.spacing))
        away = points[corners] - center
        angle = np.mod(np.arctan2(away[:, 1], away[:, 0]) + np.pi + _TOLERANCE, 2 * np.pi)
        corners = corners[np.argsort(angle)]
        found.append(DelaunayCell(steps[corners // len(basis)], corners % len(basis), points[corners]))
    return tuple(found)


def _vectors(system: SpinSystem) -> FloatArray:
    """Translations (2, 2) of the plane: primitive ones of a lattice, the cell's of a packing."""
    rows = system.primitive_vectors if system.lattice_shape else system.cell
    return np.asarray(rows[:2, :2], dtype=np.float64)


def _images(vectors: FloatArray, basis: FloatArray) -> tuple[IntArray, FloatArray]:
    """Unit cells (C, 2) around the first one, and their sites (C n_basis, 2): all that its Delaunay cells can touch.

    No empty circle is wider than the diagonal of a unit cell.
    """
    diagonal = float(np.linalg.norm(np.abs(vectors).sum(0)))
    spread = np.abs((basis - basis[0]) @ np.linalg.inv(vectors)).max(0)
    heights = 1 / np.linalg.norm(np.linalg.inv(vectors), axis=0)
    reach = np.ceil(diagonal / heights + spread).astype(int) + 1
    steps = np.stack(np.meshgrid(*[np.arange(-n, n + 1) for n in reach], indexing="ij"), axis=-1).reshape(-1, 2)
    return steps, ((steps @ vectors)[:, None] + basis).reshape(-1, 2)


def _cut(polygon: DelaunayCell) -> list[DelaunayCell]:
    """A polygon in triangles: every second corner is cut off, until three are left."""
    rest, parts = list(range(len(polygon.basis))), []
    while len(rest) > 3:
        parts += [[rest[k - 1], rest[k], rest[(k + 1) % len(rest)]] for k in range(1, len(rest), 2)]
        rest = rest[::2]
    return [polygon.part(corners) for corners in (*parts, *([rest] if len(rest) == 3 else []))]


def _orientation(corners: FloatArray) -> float:
    """+1 for a triangle (3, 2) that points along +y (or +x, where it has no part along y), -1 for its inverse."""
    away = corners - corners.mean(0)
    third = ((away @ [1, 1j]) ** 3 / np.linalg.norm(away, axis=1) ** 3).sum()
    upward = -third.imag if abs(third.imag) > _TOLERANCE else third.real
    return 1.0 if upward >= 0 else -1.0


def _require_planar(system: SpinSystem) -> None:
    flat = np.ptp(system.positions[:, 2]) <= _TOLERANCE * system.spacing
    lattice = system.lattice_shape is not None and not repeated_directions(system)[2]
    packing = system.lattice_shape is None and all(system.pbc[:2])
    if not flat or not np.allclose(_vectors_z(system), 0) or not (lattice or packing):
        raise InvalidInput(
            f"triangles are defined in the xy plane, on planar lattices and on packings periodic in both directions; "
            f"{system} is neither"
        )


def _vectors_z(system: SpinSystem) -> FloatArray:
    return np.asarray(system.cell[:2, 2] / np.abs(system.cell).max(), dtype=np.float64)
