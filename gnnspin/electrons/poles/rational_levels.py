"""Few levels with weights that stand for all levels of H, from Tr G at points of the upper half plane."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

_RANK = 1e-13
_RESOLUTION = 1e-14


class RationalLevels:
    """Gauss quadrature of the density of states with rational functions.

    The functions ``1`` and ``1 / (z_j - e)``, with the sum over all levels as their inner product, span a space whose
    Gram matrix and whose matrix of multiplication by e follow from Tr 1, Tr H and ``Tr G(z_j)``. Eigenvalues of the
    latter are levels x_a, with positive weights w_a; they reproduce Tr G at every z_j and resolve the spectrum around
    Re z_j as finely as Im z_j. The Gram matrix is that of Nevanlinna and Pick; see Mayo and Antoulas, Linear Algebra
    Appl. 425, 634 (2007), doi:10.1016/j.laa.2007.03.008.

    Parameters
    ----------
    points : (k,) complex
        z_j, different from each other, Im z_j > 0.
    traces : (k,) complex
        Tr G(z_j).
    n_levels : int
        Tr 1.
    trace : float
        Tr H.

    Attributes
    ----------
    levels, weights : (m,)
        x_a and w_a, m <= k + 1; the weights sum to `n_levels`.
    """

    def __init__(self, points: ComplexArray, traces: ComplexArray, n_levels: int, trace: float) -> None:
        rows = np.conj(points)[:, None]
        gram, product = (np.empty((len(points) + 1,) * 2, dtype=np.complex128) for _ in range(2))
        gram[0, 0], gram[0, 1:] = n_levels, traces
        gram[1:, 1:] = (np.conj(traces)[:, None] - traces) / (points - rows)
        product[0, 0], product[0, 1:] = trace, points * traces - n_levels
        product[1:, 1:] = points * gram[1:, 1:] - np.conj(traces)[:, None]
        gram[1:, 0], product[1:, 0] = gram[0, 1:].conj(), product[0, 1:].conj()
        scale = 1 / np.sqrt(gram.diagonal().real)
        sizes, vectors = np.linalg.eigh(gram * scale[:, None] * scale)
        kept = sizes > _RANK * sizes[-1]
        basis = scale[:, None] * vectors[:, kept] / np.sqrt(sizes[kept])
        reduced = basis.conj().T @ product @ basis
        self.levels, states = np.linalg.eigh((reduced + reduced.conj().T) / 2)
        self.weights: FloatArray = np.abs(gram[0] @ basis @ states) ** 2

    def number(self, mu: float, kT: float) -> float:
        """Electrons at a chemical potential and temperature."""
        return float(self.weights @ expit((mu - self.levels) / kT))

    def chemical_potential(self, number: float, kT: float, bracket: tuple[float, float], width: float = 0.0) -> float:
        """Middle between the potentials of ``number - width`` and ``number + width`` electrons, within a bracket.

        Where the levels have a gap at `number`, this is a point inside the gap.
        """
        ends = [self._root(target, kT, bracket) for target in (number - width, number + width)[: 2 if width else 1]]
        return sum(ends) / len(ends)

    def _root(self, number: float, kT: float, bracket: tuple[float, float]) -> float:
        low, high = bracket
        if self.number(low, kT) >= number:
            return low
        if self.number(high, kT) <= number:
            return high
        return float(brentq(lambda mu: self.number(mu, kT) - number, low, high, xtol=_RESOLUTION * kT))
