"""Wave vectors of a lattice: reciprocal lattice, high-symmetry points, grids and paths of q points."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from gnnspin.core.errors import InvalidInput
from gnnspin.systems.system import FloatArray, SpinSystem

#: A Cartesian wave vector or its name in `high_symmetry_points`.
WaveVector: TypeAlias = str | Sequence[float]


def reciprocal_vectors(system: SpinSystem) -> FloatArray:
    """Rows ``b_k`` with ``a_i . b_k = 2 pi delta_ik`` for the primitive translations ``a_i``, shape (3, 3).

    Raises
    ------
    InvalidInput
        If the system is not a lattice.
    """
    return np.asarray(2 * np.pi * np.linalg.inv(system.primitive_vectors).T, dtype=np.float64)


def high_symmetry_points(system: SpinSystem) -> dict[str, FloatArray]:
    """Named points of the Brillouin zone, Cartesian (3,).

    Gamma and X of a chain; Gamma, X, M of a square; Gamma, M, K of a triangular, honeycomb or kagome lattice (K at
    ``(4 pi / (3 a), 0)`` or its equivalent); Gamma, X, M, R of a cubic one.

    Raises
    ------
    InvalidInput
        If the lattice is none of these.
    """
    b = reciprocal_vectors(system)
    a = system.primitive_vectors[: dimension(system)]
    lengths = np.linalg.norm(a, axis=1)
    cosines = (a / lengths[:, None]) @ (a / lengths[:, None]).T
    equal = np.allclose(lengths, lengths[0])
    points = {"Gamma": np.zeros(3)}
    if len(a) == 1:
        return points | {"X": b[0] / 2}
    if equal and np.allclose(cosines, np.eye(len(a))):
        names = {"X": b[0] / 2, "M": (b[0] + b[1]) / 2}
        return points | names | ({"R": b.sum(0) / 2} if len(a) == 3 else {})
    if len(a) == 2 and equal and np.isclose(cosines[0, 1], 0.5):
        return points | {"M": b[0] / 2, "K": (2 * b[0] + b[1]) / 3}
    if len(a) == 2 and equal and np.isclose(cosines[0, 1], -0.5):
        return points | {"M": b[0] / 2, "K": (b[0] + b[1]) / 3}
    raise InvalidInput("high-symmetry points are known for chains and for square, hexagonal and cubic cells")


def named_wave_vector(system: SpinSystem, wave_vector: ArrayLike | str) -> FloatArray:
    """Cartesian wave vector (3,), given as such or by its name in `high_symmetry_points`.

    Raises
    ------
    InvalidInput
        If the name is unknown on this lattice, or there are not three numbers.
    """
    if not isinstance(wave_vector, str):
        vector = np.asarray(wave_vector, dtype=np.float64)
        if vector.shape != (3,):
            raise InvalidInput(f"wave vector {wave_vector} must have three components")
        return vector
    points = high_symmetry_points(system)
    if wave_vector not in points:
        raise InvalidInput(f"wave vector {wave_vector!r} is unknown; known: {', '.join(points)}, or three numbers")
    return points[wave_vector]


def dimension(system: SpinSystem) -> int:
    """Number of lattice directions: the leading ones, without trailing directions of one cell.

    Raises
    ------
    InvalidInput
        If the system is not a lattice.
    """
    if system.lattice_shape is None:
        raise InvalidInput("this system is not a lattice; wave vectors and orders by name need one")
    extended = [k for k, n in enumerate(system.lattice_shape) if n > 1 or system.pbc[k]]
    return max(extended, default=0) + 1


def shortest_equivalent(system: SpinSystem, vectors: ArrayLike) -> FloatArray:
    """For wave vectors (..., 3) the shortest ``q + G``, G a reciprocal lattice vector: the first Brillouin zone.

    Directions in which the system has a single open cell are left alone.

    Raises
    ------
    InvalidInput
        If the system is not a lattice.
    """
    return shortest_modulo(vectors, reciprocal_vectors(system)[: dimension(system)])


def shortest_modulo(vectors: ArrayLike, translations: FloatArray) -> FloatArray:
    """The shortest ``q + G`` for vectors q (..., 3), G in the lattice of the n rows of `translations` (n, 3).

    The rows must be the shortest ones of their lattice, or nearly so: from the rounded fractions on, one step along
    each of them is tried.
    """
    q = np.asarray(vectors, dtype=np.float64)
    start = q - np.round(q @ np.linalg.pinv(translations)) @ translations
    best, shortest = start, np.linalg.norm(start, axis=-1)
    margin = 1e-9 * float(np.linalg.norm(translations, axis=1).min())
    for steps in itertools.product((-1, 0, 1), repeat=len(translations)):
        trial = start + np.array(steps) @ translations
        length = np.linalg.norm(trial, axis=-1)
        closer = length < shortest - margin
        best = np.where(closer[..., None], trial, best)
        shortest = np.where(closer, length, shortest)
    return np.asarray(best, dtype=np.float64)


def commensurate_wave_vectors(system: SpinSystem, radius: float) -> FloatArray:
    """All q with ``exp(i q . c) = 1`` for every periodic cell vector c and ``0 < |q| <= radius``, shape (Q, 3).

    The wave vectors of a packing in a periodic box, for `structure_factor_at`; shortest first. Open directions have
    ``q`` zero along their cell vector.

    Raises
    ------
    InvalidInput
        If no direction is periodic, or the radius is not positive or holds no wave vector.
    """
    periodic = np.flatnonzero(system.pbc)
    if len(periodic) == 0 or not radius > 0:
        raise InvalidInput(f"radius={radius} must be positive and the system periodic, here pbc={system.pbc}")
    rows = 2 * np.pi * np.linalg.inv(system.cell).T[periodic]
    reach = np.floor(radius * np.linalg.norm(system.cell[periodic], axis=1) / (2 * np.pi)).astype(int)
    grid = np.stack(np.meshgrid(*[np.arange(-r, r + 1) for r in reach], indexing="ij"), axis=-1)
    q = grid.reshape(-1, len(periodic)) @ rows
    length = np.linalg.norm(q, axis=1)
    inside = (length <= radius) & (length > 0)
    if not inside.any():
        raise InvalidInput(f"no wave vector of the cell is shorter than radius={radius}; use a larger one")
    return np.asarray(q[inside][np.argsort(length[inside], kind="stable")], dtype=np.float64)


def wave_vector_path(
    system: SpinSystem, corners: Sequence[str | ArrayLike], n_points: int = 50
) -> tuple[FloatArray, FloatArray]:
    """Wave vectors along straight lines between high-symmetry points.

    Parameters
    ----------
    system : SpinSystem
        A lattice; with vectors only, any system.
    corners : sequence of str or (3,)
        At least two names of `high_symmetry_points` or Cartesian wave vectors, in any zone.
    n_points : int
        Points of each line, its first corner included.

    Returns
    -------
    wave_vectors : (Q, 3)
        With ``Q = n_points (len(corners) - 1) + 1``.
    distances : (Q,)
        Length of the path up to each point, the abscissa of a figure; corners are at ``distances[::n_points]``.

    Raises
    ------
    InvalidInput
        If a name is unknown, or there are fewer than two corners or one point.
    """
    if len(corners) < 2 or n_points < 1:
        raise InvalidInput(f"a path needs two corners and a point per line; got {len(corners)} and {n_points}")
    known = high_symmetry_points(system) if any(isinstance(corner, str) for corner in corners) else {}
    for corner in corners:
        if isinstance(corner, str) and corner not in known:
            raise InvalidInput(f"wave vector {corner!r} is unknown; known: {', '.join(known)}")
    ends = np.array([known[each] if isinstance(each, str) else np.asarray(each, dtype=float) for each in corners])
    steps = np.arange(n_points)[None, :, None] / n_points
    lines = ends[:-1, None] + steps * (ends[1:] - ends[:-1])[:, None]
    q = np.concatenate([lines.reshape(-1, 3), ends[-1:]])
    distances = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(q, axis=0), axis=1))])
    return q, distances
