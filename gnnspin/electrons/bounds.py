"""Bounds of the spectrum that need no diagonalisation."""

from __future__ import annotations

from typing import Any

import numpy as np


def gershgorin_bounds(matrix: Any, widening: Any = 0.0) -> tuple[float, float]:
    """Interval that contains every eigenvalue of a Hermitian matrix: the union of Gershgorin's discs.

    Parameters
    ----------
    matrix : (D, D) sparse array
        Hermitian.
    widening : float or (D,)
        Added to the radius of every disc: the norm of what is added to the matrix row by row.

    Returns
    -------
    (low, high)
    """
    diagonal = np.asarray(matrix.diagonal()).real
    radius = np.asarray(abs(matrix).sum(axis=1)).ravel() - np.abs(diagonal) + widening
    return float((diagonal - radius).min()), float((diagonal + radius).max())
