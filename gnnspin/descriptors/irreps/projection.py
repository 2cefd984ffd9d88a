r"""Symmetry-adapted combinations of an orbit's members, and the references they are compared with.

A matrix X turns into one that intertwines the permutation representation U with the irrep D,

.. math:: T = \frac{1}{|G|} \sum_g U(g)\, X\, D(g)^T,\qquad U(h)\, T = T\, D(h),

and the coefficients :math:`f = T^T v` of the orbit's variables v transform like D. Independent T, made orthonormal,
are the copies r of the irrep in the orbit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gnnspin.descriptors.irreps.groups import Irrep, multiplicities
from gnnspin.descriptors.irreps.orbits import OrbitFamily
from gnnspin.systems.system import FloatArray, IntArray


@dataclass(frozen=True)
class Decomposition:
    """An orbit family's representation as a sum of irreps.

    Attributes
    ----------
    multiplicity : (Gamma,)
        Copies of each irrep in one orbit.
    basis : (n, n)
        Orthogonal matrix; columns run over irreps, copies and components.
    """

    multiplicity: IntArray
    basis: FloatArray


def decompose(family: OrbitFamily, irreps: tuple[Irrep, ...], product: IntArray) -> Decomposition:
    """Symmetry-adapted basis of one orbit; the same orthogonal matrix serves all orbits of the family."""
    action = family.action(product)
    multiplicity = multiplicities(np.trace(action, axis1=1, axis2=2), irreps)
    columns = [
        copy for irrep, copies in zip(irreps, multiplicity, strict=True) for copy in _copies(action, irrep, int(copies))
    ]
    return Decomposition(multiplicity, np.concatenate(columns, axis=1))


def _copies(action: FloatArray, irrep: Irrep, copies: int) -> list[FloatArray]:
    """Orthonormal intertwiners (n, d), one per copy, from projected unit matrices in a fixed order."""
    found: list[FloatArray] = []
    order, n, _ = action.shape
    for member in range(n):
        for component in range(irrep.dimension):
            if len(found) == copies:
                return found
            candidate = action[:, :, member].T @ irrep.matrices[:, :, component] / order
            for _ in range(2):
                for other in found:
                    candidate = candidate - other @ (other.T @ candidate)
            norm = np.linalg.norm(candidate) / np.sqrt(irrep.dimension)
            if norm > 1e-6:
                found.append(candidate / norm)
    assert len(found) == copies
    return found


def reference_weights(family: OrbitFamily, irrep: Irrep, copy: int) -> FloatArray:
    r"""Weights (d, n) with which the members of one orbit enter a reference coefficient.

    The group divides the neighbourhood in |G| equal sectors. Summed over all orbits, the variables that an operation g
    brings from the first sector to sector g are the coarse-grained variable of that block, ``B_g``; members on a
    boundary belong to all sectors that meet there. The blocks carry the regular representation, which has every irrep:
    :math:`f_{ref} = \sum_g D(g)\, u\, B_g / \sqrt{|G|}`, with a generic unit vector u for each `copy`.
    """
    direction = _generic_frame(irrep.dimension)[:, copy]
    columns = (irrep.matrices @ direction).T * family.member_sign / np.sqrt(len(family.member))
    weights = np.zeros((irrep.dimension, family.size))
    for sector, member in enumerate(family.member):
        weights[:, member] += columns[:, sector]
    return weights


def _generic_frame(dimension: int) -> FloatArray:
    """Orthogonal matrix whose columns lie in no symmetry direction."""
    entries = np.sqrt(2.0 + np.arange(dimension * dimension)).reshape(dimension, dimension) % 1.0
    q, r = np.linalg.qr(entries + np.eye(dimension))
    return q * np.sign(np.diagonal(r))
