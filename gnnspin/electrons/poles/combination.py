"""The Fermi function at a chemical potential near that of a column of poles, from these and a few poles of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from gnnspin.electrons.poles.rational import FermiPoles

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

_POINTS_PER_POLE = 20
_POINTS_BETWEEN = 3
_RANK = 1e-12
_SAME_FREQUENCY = 1e-6


@dataclass(frozen=True)
class Combination:
    """Sums over poles ``z_j`` (units of kT, from the column's mu) that give occupations and grand potential at a shift.

    Attributes
    ----------
    constant, coefficients : float, (k,) complex
        ``f(x - shift) = constant + Re sum_j coefficients_j / (z_j - x)``.
    potential_constant, potential_coefficients : float, (k,) complex
        The same for the change of ``-ln(1 + exp(-x))`` from the column's chemical potential to the shifted one,
    logarithms : (k,)
        to which ``sum_j logarithms_j ln|z_j - x|`` is added.
    error : float
        Largest error of either on a grid of the interval.
    """

    constant: float
    coefficients: ComplexArray
    potential_constant: float
    potential_coefficients: ComplexArray
    logarithms: FloatArray
    error: float


class ColumnAndNeighbors:
    """Poles of the Fermi function at one chemical potential, and others near them.

    Least squares on a grid of the interval. A column alone errs by about 0.02 times the shift; with
    its lowest poles repeated at the shifted chemical potential the error falls 50-fold with every pole.

    Parameters
    ----------
    poles : FermiPoles
        Poles of the column.
    neighbors : (m,) complex
        Further poles, relative to the column's chemical potential, in units of kT.
    interval : (low, high)
        Where the levels are, in the same units.
    """

    def __init__(self, poles: FermiPoles, neighbors: ComplexArray, interval: tuple[float, float]) -> None:
        self.poles = poles
        self._z = np.concatenate([1j * poles.frequencies, neighbors])
        n_points = _POINTS_BETWEEN * _POINTS_PER_POLE * len(self._z)
        self._x = np.sinh(np.linspace(np.arcsinh(interval[0]), np.arcsinh(interval[1]), n_points))
        distance = self._z - self._x[:, None]
        greens = self._z.imag / distance
        self._design = np.hstack([np.ones((n_points, 1)), greens.real, -greens.imag])
        left, sizes, right = np.linalg.svd(self._design[::_POINTS_BETWEEN], full_matrices=False)
        kept = sizes > _RANK * sizes[0]
        self._project, self._solve = left[:, kept].T, right[kept].T / sizes[kept]
        self._distance = np.log(np.abs(distance))
        self._column = poles.occupation(self._x)

    def at(self, shift: float) -> Combination:
        """Combination for the chemical potential that lies `shift` kT above the column's."""
        logarithms = self._logarithms(shift)
        if shift == 0:
            nothing = np.zeros(len(self._z), dtype=np.complex128)
            return Combination(0.5, self._with_residues(nothing), 0.0, nothing, logarithms, self.poles.error)
        change = np.logaddexp(0, -self._x) - np.logaddexp(0, shift - self._x)
        targets = np.stack([expit(shift - self._x) - self._column, change - self._distance @ logarithms], 1)
        weights = self._solve @ (self._project @ targets[::_POINTS_BETWEEN])
        error = float(np.abs(self._design @ weights - targets).max())
        real, imaginary = weights[1:].reshape(2, len(self._z), 2)
        occupation, potential = ((real + 1j * imaginary) * self._z.imag[:, None]).T
        constant, change_constant = weights[0].tolist()
        return Combination(
            0.5 + constant, self._with_residues(occupation), change_constant, potential, logarithms, error
        )

    def _logarithms(self, shift: float) -> FloatArray:
        """Those of the column's rule, taken from the column to the neighbours that are closest to the shift."""
        moved, n = np.zeros(len(self._z)), len(self.poles.frequencies)
        for j, (frequency, residue) in enumerate(zip(self.poles.frequencies, self.poles.residues, strict=True)):
            same = np.flatnonzero(np.abs(self._z.imag / frequency - 1) < _SAME_FREQUENCY)
            nearest = same[np.abs(self._z.real[same] - shift).argmin()]
            if nearest >= n:
                moved[[j, nearest]] = residue, -residue
        return moved

    def _with_residues(self, coefficients: ComplexArray) -> ComplexArray:
        total = coefficients.copy()
        total[: len(self.poles.residues)] += self.poles.residues
        return total
