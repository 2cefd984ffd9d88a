r"""Rational approximation of the Fermi function on a spectral interval.

Equation and code
-----------------
The Fermi function minus one half is odd, and its poles are the Matsubara frequencies. The best real rational
approximation on a symmetric interval shares both properties: its poles lie on the imaginary axis,

.. math:: f(x) = \frac{1}{1 + e^x} \approx \frac12 - \sum_j R_j \frac{x}{x^2 + \omega_j^2}, \qquad |x| \le X,

with real ``R_j`` near 2 for the lowest poles (2 exactly for Matsubara frequencies) and growing above. Its integral,

.. math:: -\ln(1 + e^{-x}) \approx \frac{x}{2} - \frac12 \sum_j R_j \ln(x^2 + \omega_j^2) + C,

approximates the grand potential at the same poles, so that the derivative of the one is exactly the other.

The poles depend on X and the tolerance alone: in energies they are ``z_j = mu + i omega_j kT`` for any mu and kT with
the same ``X = W / kT``. Compare the minimax poles of Moussa, J. Chem. Phys. 145, 164108 (2016), doi:10.1063/1.4965886.
They are found by vector fitting (Gustavsen and Semlyen, IEEE Trans. Power Deliv. 14, 1052 (1999),
doi:10.1109/61.772353) in the variable x^2, which relocates a set of poles by linear least squares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from gnnspin.core.errors import ConvergenceError, InvalidInput

FloatArray = NDArray[np.float64]

#: Least-squares fits in double precision do not get below this.
SMALLEST_TOLERANCE = 1e-11

#: Half-widths are rounded up to powers of this, so that nearby chemical potentials share their poles.
WIDTH_STEP = math.sqrt(2.0)

_SMALLEST_WIDTH = 4.0
#: More poles that bring no improvement than this: rounding errors have been reached.
_PATIENCE = 4
_RELOCATIONS = 12
_POINTS_PER_POLE = 30
_CHECK_POINTS = 4001


@dataclass(frozen=True)
class FermiPoles:
    """Poles and residues of the Fermi function for ``|x| <= width``; see the module's equations.

    Attributes
    ----------
    width : float
        Half-width X of the interval, in units of kT.
    frequencies : (n,)
        omega_j > 0, ascending, in units of kT; the conjugate poles are implied.
    residues : (n,)
        R_j > 0.
    constant : float
        C of the integrated form.
    error : float
        Largest deviation from the Fermi function on a fine grid of the interval.
    """

    width: float
    frequencies: FloatArray
    residues: FloatArray
    constant: float
    error: float

    def occupation(self, x: FloatArray) -> FloatArray:
        """The approximated Fermi function at x = (e - mu) / kT, any shape."""
        return 0.5 - _odd_basis(x, self.frequencies) @ self.residues

    def potential(self, x: FloatArray) -> FloatArray:
        """The approximation of -ln(1 + exp(-x)) whose derivative is `occupation`, any shape."""
        return x / 2 - 0.5 * _logarithms(x, self.frequencies) @ self.residues + self.constant


@lru_cache(maxsize=256)
def fermi_poles(width: float, tolerance: float) -> FermiPoles:
    """Fewest poles that approximate the Fermi function to `tolerance` for ``|x| <= width``; cached.

    Parameters
    ----------
    width : float
        Half-width of the interval in units of kT; see `rounded_width`.
    tolerance : float
        Largest error of an occupation, from `SMALLEST_TOLERANCE` to 0.1.

    Raises
    ------
    InvalidInput
        If `width` is not positive or `tolerance` is out of range.
    ConvergenceError
        If no set of poles reaches the tolerance.

    Examples
    --------
    >>> len(fermi_poles(1000.0, 1e-8).frequencies) < 16
    True
    """
    if not (np.isfinite(width) and width > 0):
        raise InvalidInput(f"width={width} must be positive: half the spectral interval in units of kT")
    if not SMALLEST_TOLERANCE <= tolerance <= 0.1:
        raise InvalidInput(f"tolerance={tolerance} must lie between {SMALLEST_TOLERANCE:g} and 0.1")
    check = _grid(width, _CHECK_POINTS)
    errors: list[float] = []
    while not errors or min(errors) in errors[-_PATIENCE:]:
        n_poles = len(errors) + 2
        frequencies, residues, error = _fit(width, n_poles, check)
        errors.append(error)
        if error <= tolerance:
            remainder = -np.logaddexp(check / 2, -check / 2) + 0.5 * _logarithms(check, frequencies) @ residues
            constant = (remainder.max() + remainder.min()) / 2
            return FermiPoles(width, frequencies, residues, float(constant), error)
    raise ConvergenceError(f"no rational Fermi function with error {tolerance} up to {width} kT; raise kT or tolerance")


def rounded_width(width: float) -> float:
    """`width` rounded up to a power of `WIDTH_STEP`."""
    steps = math.ceil(math.log(max(width, _SMALLEST_WIDTH)) / math.log(WIDTH_STEP) - 1e-9)
    return WIDTH_STEP**steps


def _fit(width: float, n_poles: int, check: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Best frequencies and residues met while the poles are relocated, and their error."""
    x = _grid(width, _POINTS_PER_POLE * n_poles)
    target, check_target = np.tanh(x / 2) / 2, np.tanh(check / 2) / 2
    frequencies = _first_guess(width, n_poles)
    best = (frequencies, np.zeros(n_poles), math.inf)
    for _ in range(_RELOCATIONS):
        residues = np.linalg.lstsq(_odd_basis(x, frequencies) * frequencies, target, rcond=None)[0] * frequencies
        error = float(np.abs(_odd_basis(check, frequencies) @ residues - check_target).max())
        if error < best[2] and (residues > 0).all():
            best = (frequencies, residues, error)
        frequencies = _relocated(frequencies, x, target)
    return best


def _relocated(frequencies: FloatArray, x: FloatArray, target: FloatArray) -> FloatArray:
    """One step of vector fitting in y = x^2.

    With old poles a_j the least-squares solution of ``sum_j c_j x / (y + a_j) = (1 + sum_j d_j / (y + a_j)) t(x)``
    gives new poles at the zeros of the bracket, the eigenvalues of ``-diag(a) - 1 d^T``.
    """
    squares = frequencies**2
    even = squares / (x[:, None] ** 2 + squares)
    system = np.hstack([x[:, None] * even / frequencies, -target[:, None] * even])
    weights = np.linalg.lstsq(system, target, rcond=None)[0][len(frequencies) :] * squares
    zeros = np.linalg.eigvals(-np.diag(squares) - np.outer(np.ones_like(squares), weights))
    return np.sort(np.sqrt(np.maximum(np.abs(zeros.real), np.finfo(np.float64).tiny)))


def _first_guess(width: float, n_poles: int) -> FloatArray:
    """Matsubara frequencies, their spacing stretched geometrically until the last one reaches the width."""

    def last(growth: float) -> float:
        return math.pi * (1 + 2 * float(np.sum(growth ** np.arange(1, n_poles)))) - width

    growth = brentq(last, 1.0, width ** (1 / (n_poles - 1))) if last(1.0) < 0 else 1.0
    spacings = 2 * math.pi * growth ** np.arange(1, n_poles)
    return math.pi + np.concatenate([[0.0], np.cumsum(spacings)])


def _odd_basis(x: FloatArray, frequencies: FloatArray) -> FloatArray:
    x = np.asarray(x, dtype=np.float64)[..., None]
    return x / (x**2 + frequencies**2)


def _logarithms(x: FloatArray, frequencies: FloatArray) -> FloatArray:
    return np.log(np.asarray(x, dtype=np.float64)[..., None] ** 2 + frequencies**2)


def _grid(width: float, n_points: int) -> FloatArray:
    """Points in (0, width]: dense near 0 on the scale of 1, geometric beyond, clustered at the end."""
    angles = np.pi / 2 * np.arange(1, n_points + 1) / n_points
    return np.sinh(np.arcsinh(width) * np.sin(angles))
