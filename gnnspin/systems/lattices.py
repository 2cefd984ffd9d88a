"""Bravais lattices with a basis; nearest-neighbour distance 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from gnnspin.core.errors import InvalidInput
from gnnspin.systems.lattice import cell_indices
from gnnspin.systems.system import SpinSystem, periodic_directions

Periodicity = bool | Sequence[bool]

#: Primitive vectors of the face-centred cubic lattice with nearest-neighbour distance 1.
_FCC_VECTORS = (np.ones((3, 3)) - np.eye(3)) / np.sqrt(2)


def bravais(
    shape: Sequence[int],
    primitive_vectors: ArrayLike,
    basis: ArrayLike = ((0.0, 0.0, 0.0),),
    pbc: Periodicity = True,
) -> SpinSystem:
    """Lattice of ``L1 x L2 x L3`` unit cells.

    Parameters
    ----------
    shape : (L1,), (L1, L2) or (L1, L2, L3)
        Unit cells per direction. A direction that is left out has one cell and is not periodic.
    primitive_vectors : (3, 3)
        Rows are the primitive translations.
    basis : (n_basis, 3)
        Cartesian positions of the sites of one unit cell.
    pbc : bool or one bool per given direction

    Raises
    ------
    InvalidInput
        If a length is smaller than 1, or `pbc` does not match `shape`.
    """
    if any(int(n) != n or n < 1 for n in shape):
        raise InvalidInput(f"lattice shape {tuple(shape)} must consist of integers >= 1")
    lengths = [int(n) for n in shape] + [1] * (3 - len(shape))
    flags = [pbc] * len(shape) if isinstance(pbc, bool) else list(pbc)
    if len(flags) not in (len(shape), 3):
        raise InvalidInput(f"pbc={pbc} must be one bool or {len(shape)}, one per direction")
    flags = flags + [False] * (3 - len(flags))
    vectors, sites = np.asarray(primitive_vectors, dtype=float), np.atleast_2d(np.asarray(basis, dtype=float))
    cells = cell_indices(lengths)
    positions = (cells @ vectors)[:, None, :] + sites
    return SpinSystem(
        positions.reshape(-1, 3),
        cell=vectors * np.array(lengths)[:, None],
        pbc=periodic_directions(flags),
        lattice_shape=lengths,
    )


def chain(length: int, *, pbc: Periodicity = True) -> SpinSystem:
    """Chain along x, ``a1 = (1, 0, 0)``."""
    return bravais((length,), np.eye(3), pbc=pbc)


def square(length_1: int, length_2: int, *, pbc: Periodicity = True) -> SpinSystem:
    """Square lattice, ``a1 = (1, 0, 0)``, ``a2 = (0, 1, 0)``; site ``i = n1 * L2 + n2`` at ``(n1, n2, 0)``."""
    return bravais((length_1, length_2), np.eye(3), pbc=pbc)


def triangular(length_1: int, length_2: int, *, pbc: Periodicity = True) -> SpinSystem:
    """Triangular lattice, ``a1 = (1, 0, 0)``, ``a2 = (1/2, sqrt(3)/2, 0)``."""
    return bravais((length_1, length_2), [[1, 0, 0], [0.5, np.sqrt(0.75), 0], [0, 0, 1]], pbc=pbc)


def honeycomb(length_1: int, length_2: int, *, pbc: Periodicity = True) -> SpinSystem:
    """Honeycomb lattice, two sites per cell, ``a1 = (sqrt(3), 0, 0)``, ``a2 = (sqrt(3)/2, 3/2, 0)``.

    Site order ``i = (n1 * L2 + n2) * 2 + b`` with b = 0 (A), 1 (B at ``(0, 1, 0)``).
    """
    vectors = [[np.sqrt(3), 0, 0], [np.sqrt(3) / 2, 1.5, 0], [0, 0, 1]]
    return bravais((length_1, length_2), vectors, basis=[[0, 0, 0], [0, 1, 0]], pbc=pbc)


def kagome(length_1: int, length_2: int, *, pbc: Periodicity = True) -> SpinSystem:
    """Kagome lattice of corner-sharing triangles, three sites per cell, ``a1 = (2, 0, 0)``, ``a2 = (1, sqrt(3), 0)``.

    Basis at ``0, a1/2, a2/2``; site order ``i = (n1 * L2 + n2) * 3 + b``. Sites b = 0, 1, 2 of one cell form an up
    triangle. Shells: 4 neighbours at 1, 4 at sqrt(3), 6 at 2.
    """
    vectors = np.array([[2, 0, 0], [1, np.sqrt(3), 0], [0, 0, 1]])
    basis = [[0, 0, 0], vectors[0] / 2, vectors[1] / 2]
    return bravais((length_1, length_2), vectors, basis=basis, pbc=pbc)


def simple_cubic(length_1: int, length_2: int, length_3: int, *, pbc: Periodicity = True) -> SpinSystem:
    """Cubic lattice with lattice constant 1."""
    return bravais((length_1, length_2, length_3), np.eye(3), pbc=pbc)


def bcc(length_1: int, length_2: int, length_3: int, *, pbc: Periodicity = True) -> SpinSystem:
    """Body-centred cubic lattice of primitive cells, cubic lattice constant ``a = 2/sqrt(3)``, one site per cell.

    ``a1 = a/2 (-1, 1, 1)``, ``a2 = a/2 (1, -1, 1)``, ``a3 = a/2 (1, 1, -1)``; site order
    ``i = (n1 * L2 + n2) * L3 + n3``. Shells: 8 neighbours at 1, 6 at a.
    """
    vectors = (np.ones((3, 3)) - 2 * np.eye(3)) / np.sqrt(3)
    return bravais((length_1, length_2, length_3), vectors, pbc=pbc)


def fcc(length_1: int, length_2: int, length_3: int, *, pbc: Periodicity = True) -> SpinSystem:
    """Face-centred cubic lattice of primitive cells, cubic lattice constant ``a = sqrt(2)``, one site per cell.

    ``a1 = a/2 (0, 1, 1)``, ``a2 = a/2 (1, 0, 1)``, ``a3 = a/2 (1, 1, 0)``; site order
    ``i = (n1 * L2 + n2) * L3 + n3``. Shells: 12 neighbours at 1, 6 at a.
    """
    return bravais((length_1, length_2, length_3), _FCC_VECTORS, pbc=pbc)


def pyrochlore(length_1: int, length_2: int, length_3: int, *, pbc: Periodicity = True) -> SpinSystem:
    """Pyrochlore lattice of corner-sharing tetrahedra: fcc primitive cells, ``a = 2 sqrt(2)``, four sites per cell.

    ``a1 = a/2 (0, 1, 1)``, ``a2 = a/2 (1, 0, 1)``, ``a3 = a/2 (1, 1, 0)``, basis at ``0, a1/2, a2/2, a3/2``; site order
    ``i = ((n1 * L2 + n2) * L3 + n3) * 4 + b``. The four sites of one cell form an up tetrahedron. Shells: 6 neighbours
    at 1, 12 at sqrt(3), 12 at 2.
    """
    basis = np.concatenate([np.zeros((1, 3)), _FCC_VECTORS])
    return bravais((length_1, length_2, length_3), 2 * _FCC_VECTORS, basis=basis, pbc=pbc)
