"""Wave vectors of a lattice: reciprocal grid, high-symmetry points, periodicity in reciprocal space."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike

from gnnspin.core.errors import InvalidInput
from gnnspin.systems.system import FloatArray, SpinSystem


def reciprocal_vectors(system: SpinSystem) -> FloatArray:
    """Rows ``b_k`` with ``a_i . b_k = 2 pi delta_ik`` for the primitive translations ``a_i``, shape (3, 3).

    Raises
    ------
    InvalidInput
        If the system is not a lattice.
    """
    return np.asarray(2 * np.pi * np.linalg.inv(system.primitive_vectors).T, dtype=np.float64)


def wave_vectors(system: SpinSystem) -> FloatArray:
    """Grid ``q = sum_k (m_k / L_k) b_k``, m_k = 0 .. L_k - 1, Cartesian, shape (L1, L2, L3, 3).

    Raises
    ------
    InvalidInput
        If the system is not a lattice.
    """
    vectors = reciprocal_vectors(system)
    fractions = [np.arange(n) / n for n in system.lattice_shape or ()]
    return np.stack(np.meshgrid(*fractions, indexing="ij"), axis=-1) @ vectors


def high_symmetry_points(system: SpinSystem) -> dict[str, FloatArray]:
    """Named points of the Brillouin zone, Cartesian (3,).

    Gamma and X of a chain; Gamma, X, M of a square; Gamma, M, K of a triangular or honeycomb lattice (K at
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
    raise InvalidInput("high-symmetry points are known for chain, square, triangular, honeycomb and cubic lattices")


def dimension(system: SpinSystem) -> int:
    """Number of lattice directions: the leading ones, without trailing directions of one cell.

    Raises
    ------
    InvalidInput
        If the system is not a lattice.
    """
    if system.lattice_shape is None:
        raise InvalidInput("this system is not a lattice; wave vectors and triangles need one")
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
    b = reciprocal_vectors(system)
    n = dimension(system)
    q = np.asarray(vectors, dtype=float)
    fractions = q @ np.linalg.inv(b)
    fractions[..., :n] -= np.round(fractions[..., :n])
    best = fractions @ b
    shortest = np.linalg.norm(best, axis=-1)
    start = best
    for steps in itertools.product((-1, 0, 1), repeat=n):
        trial = start + np.array(steps) @ b[:n]
        length = np.linalg.norm(trial, axis=-1)
        closer = length < shortest - 1e-9
        best = np.where(closer[..., None], trial, best)
        shortest = np.where(closer, length, shortest)
    return best
