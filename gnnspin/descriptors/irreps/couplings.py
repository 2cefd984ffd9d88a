r"""Clebsch-Gordan coefficients over the reals, from the irreps' own matrices.

The invariant tensors :math:`C_{ijk}` of three irreps span the image of the projector
:math:`\frac{1}{|G|}\sum_g D^1(g) \otimes D^2(g) \otimes D^3(g)`; contracted with two vectors they give a vector of the
third irrep, contracted with three an invariant: a bispectrum coefficient.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np

from gnnspin.descriptors.irreps.groups import Irrep
from gnnspin.systems.system import FloatArray


def invariant_tensors(irreps: tuple[Irrep, Irrep, Irrep], identical: Sequence[tuple[int, ...]] = ()) -> FloatArray:
    """Orthonormal invariant tensors (q, d1, d2, d3) of three irreps.

    Parameters
    ----------
    irreps : three irreps of one group
    identical : groups of positions
        Positions that the same vector will fill: only tensors symmetric in them are kept, since the others vanish when
        contracted.
    """
    shape = tuple(irrep.dimension for irrep in irreps)
    first, second, third = (irrep.matrices for irrep in irreps)
    projector = np.einsum("gai,gbj,gck->abcijk", first, second, third) / len(first)
    for positions in identical:
        projector = _symmetrized(projector, positions)
    columns = projector.reshape(int(np.prod(shape)), -1)
    return _independent(columns).T.reshape(-1, *shape)


def _symmetrized(projector: FloatArray, positions: tuple[int, ...]) -> FloatArray:
    """Average over permutations of the given output positions."""
    orders = list(permutations(positions))
    total = np.zeros_like(projector)
    for order in orders:
        axes = list(range(6))
        for place, source in zip(positions, order, strict=True):
            axes[place] = source
        total += projector.transpose(axes)
    return total / len(orders)


def _independent(columns: FloatArray) -> FloatArray:
    """Orthonormal basis of the column space, columns taken in order."""
    found: list[FloatArray] = []
    for column in columns.T:
        rest = column
        for _ in range(2):
            for other in found:
                rest = rest - other * (other @ rest)
        norm = np.linalg.norm(rest)
        if norm > 1e-8:
            found.append(rest / norm)
    return np.stack(found, axis=1) if found else np.zeros((len(columns), 0))
