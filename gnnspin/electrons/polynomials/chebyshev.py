"""Chebyshev expansion of the Fermi function and the grand potential; k_B = 1.

``Tr g(H) = sum_n c_n k_n m_n`` with ``m_n = Tr T_n((H - b) / W)``, the coefficients c_n of g on the interval
[b - W, b + W] and the damping factors k_n of a kernel. Source: Weisse, Wellein, Alvermann, Fehske, Rev. Mod. Phys. 78,
275 (2006), doi:10.1103/RevModPhys.78.275.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse
from scipy.fft import dct, next_fast_len
from scipy.sparse.linalg import ArpackNoConvergence, eigsh
from scipy.special import expit

from gnnspin.core.errors import InvalidInput
from gnnspin.electrons.bounds import gershgorin_bounds
from gnnspin.electrons.roots import scalar_root
from gnnspin.systems.system import FloatArray

Kernel = Literal["none", "jackson"]

#: Room left at either end of the spectrum, relative to the half-width.
BOUND_MARGIN = 2e-3

#: Matrices up to this dimension are diagonalised for their bounds.
_DENSE_LIMIT = 300

#: The relative torque error of n moments stays below this times ``(kT / W) exp(-n pi kT / W)`` in the metals, random
#: hopping and packings of the tests; the factor kT is the residue of the Fermi function's poles.
TRUNCATION_PREFACTOR = 150.0

#: Exponent at which the coefficients of the Fermi function have fallen below rounding.
_ROUNDING_EXPONENT = 40.0


@dataclass(frozen=True)
class SpectralInterval:
    """Interval [center - half_width, center + half_width] that contains every level, in units of the hopping."""

    center: float
    half_width: float


def spectral_interval(one_body: sparse.csr_array, largest_coupling: float) -> SpectralInterval:
    """Bounds on the levels of ``H = K - J S.sigma`` that hold for every spin configuration.

    The exchange term moves a level by at most max|J| (Weyl's inequality), so the bounds are those of K widened by it.
    The bounds of K are its extreme eigenvalues, or Gershgorin's circles where the Lanczos iteration does not converge.

    Parameters
    ----------
    one_body : (D, D) csr_array
        The matrix K, Hermitian.
    largest_coupling : float
        max|J|.
    """
    low, high = _extreme_levels(one_body)
    low, high = low - largest_coupling, high + largest_coupling
    half_width = (high - low) / 2
    if half_width <= 1e-12 * max(abs(low), abs(high), 1e-300):
        half_width = max(abs(high), 1.0)
    return SpectralInterval((low + high) / 2, half_width * (1 + BOUND_MARGIN))


def _extreme_levels(matrix: sparse.csr_array) -> tuple[float, float]:
    size = matrix.shape[0]
    if size <= _DENSE_LIMIT:
        levels = np.linalg.eigvalsh(matrix.toarray())
        return float(levels[0]), float(levels[-1])
    low, high = gershgorin_bounds(matrix)
    start = np.random.default_rng(0).standard_normal(size)
    try:
        ends = [
            float(eigsh(matrix, k=1, which=end, v0=start, tol=1e-5, return_eigenvectors=False)[0])
            for end in ("SA", "LA")
        ]
    except ArpackNoConvergence:
        return low, high
    room = 1e-3 * (ends[1] - ends[0])
    return max(low, ends[0] - room), min(high, ends[1] + room)


def moments_for_tolerance(tolerance: float, kT: float, interval: SpectralInterval, mu: float | None = None) -> int:
    """Number of moments at which the torque's truncation error falls to `tolerance`.

    The Fermi function has poles at ``mu + i pi kT (2 k + 1)``; on the interval its coefficients fall like ``rho^-n``
    with ``rho = |z + sqrt(z^2 - 1)|``, z the scaled nearest pole: about ``exp(-n pi kT / W)`` in the middle of the
    interval, faster near its ends.

    Parameters
    ----------
    tolerance : float
        Error of the torque relative to its root mean square, 0 to 1.
    kT : float
        Temperature in units of the hopping, > 0.
    interval : SpectralInterval
    mu : float, optional
        Chemical potential; the middle of the interval, the worst case, where it is not known.

    Raises
    ------
    InvalidInput
        If `tolerance` is not between 0 and 1.
    """
    if not 0 < tolerance < 1:
        raise InvalidInput(f"tolerance={tolerance} must lie between 0 and 1; it is a relative error of the torque")
    position = 0.0 if mu is None else min(1.0, abs(mu - interval.center) / interval.half_width)
    pole = complex(position, math.pi * kT / interval.half_width)
    decay = math.log(abs(pole + np.sqrt(pole * pole - 1)))
    ratio = TRUNCATION_PREFACTOR * kT / (interval.half_width * tolerance)
    count = math.ceil(math.log(max(ratio, 2.0)) / abs(decay))
    return max(8, count + count % 2)


def jackson_kernel(n_moments: int) -> FloatArray:
    """Damping factors of the Jackson kernel, which turns every level into a peak of width about pi W / M.

    ``k_n = [(M - n + 1) cos(pi n / (M + 1)) + sin(pi n / (M + 1)) cot(pi / (M + 1))] / (M + 1)``, M = n_moments
    (Weisse et al., Rev. Mod. Phys. 78, 275, eq. 71).

    Returns
    -------
    (n_moments,) array, 1 at n = 0 and falling
    """
    step = math.pi / (n_moments + 1)
    n = np.arange(n_moments)
    return ((n_moments - n + 1) * np.cos(step * n) + np.sin(step * n) / math.tan(step)) / (n_moments + 1)


def derivative_coefficients(coefficients: FloatArray) -> FloatArray:
    """Chebyshev coefficients (n - 1,) of the derivative of ``sum_n c_n T_n(x)``."""
    terms = 2.0 * np.arange(len(coefficients)) * coefficients
    derivative = np.zeros(max(len(coefficients) - 1, 1))
    for parity in (0, 1):
        tail = terms[1 + parity :: 2][::-1].cumsum()[::-1]
        derivative[parity::2][: len(tail)] = tail
    derivative[0] /= 2
    return derivative


@dataclass(frozen=True)
class Thermodynamics:
    """Equilibrium that follows from moments: potential (Omega, or F at fixed number), mu, N, <H> and entropy.

    `coefficients` (n_moments,) are the derivatives of the potential by the moments.
    """

    potential: float
    mu: float
    n_electrons: float
    internal_energy: float
    entropy: float
    coefficients: FloatArray


class FermiExpansion:
    """Thermodynamics of electrons whose spectrum is known by its Chebyshev moments.

    All traces are sums over the Chebyshev nodes ``x_k`` with weights that are one cosine transform of the moments;
    that equals, to rounding, the sum over moments with the coefficients of each function. Hence one set of moments
    serves every mu.

    Parameters
    ----------
    interval : SpectralInterval
    kT : float
        Temperature in units of the hopping, > 0.
    n_moments : int
    kernel : "none" or "jackson"
        Damping of the moments. "none" converges exponentially at kT > 0; the Jackson kernel only like 1 / n_moments^2,
        but keeps densities of states positive.
    """

    def __init__(self, interval: SpectralInterval, kT: float, n_moments: int, kernel: Kernel = "none") -> None:
        self.interval = interval
        self.kT = kT
        self.n_moments = n_moments
        self.damping = jackson_kernel(n_moments) if kernel == "jackson" else np.ones(n_moments)
        resolved = _ROUNDING_EXPONENT * interval.half_width / (math.pi * kT)
        self._n_nodes = int(next_fast_len(max(math.ceil((n_moments + resolved) / 2), 2 * n_moments), real=True))
        angles = (np.arange(self._n_nodes) + 0.5) * math.pi / self._n_nodes
        self._levels = interval.center + interval.half_width * np.cos(angles)

    def coefficients(self, function: Callable[[FloatArray], FloatArray]) -> FloatArray:
        """Damped coefficients (n_moments,) of a function of the energy: ``Tr f(H) = coefficients . moments``."""
        transform = dct(function(self._levels), type=2)[: self.n_moments] / self._n_nodes
        transform[0] /= 2
        return self.damping * transform

    def weights(self, moments: FloatArray) -> FloatArray:
        """Weights (n_nodes,) of the nodes: ``Tr f(H) = sum_k weights_k f(level_k)``."""
        padded = np.zeros(self._n_nodes)
        padded[: self.n_moments] = self.damping * moments
        return dct(padded, type=3) / self._n_nodes

    def equilibrium(
        self, moments: FloatArray, *, mu: float | None = None, n_electrons: float | None = None
    ) -> Thermodynamics:
        """Thermodynamics at fixed mu (potential Omega) or at fixed electron number (F = Omega + mu N).

        F is stationary in mu, so its derivatives by the moments are those of Omega at the mu found.

        Parameters
        ----------
        moments : (n_moments,)
            Undamped moments ``Tr T_n``.
        mu, n_electrons : float
            Exactly one of the two.

        Raises
        ------
        ConvergenceError
            If no mu gives this number of electrons.
        """
        weights = self.weights(moments)
        potential = self.chemical_potential(weights, n_electrons) if n_electrons is not None else mu
        assert potential is not None
        occupation = expit((potential - self._levels) / self.kT)
        omega = float(weights @ self._omega(self._levels, potential))
        number = float(weights @ occupation)
        internal = float(weights @ (occupation * self._levels))
        return Thermodynamics(
            potential=omega if n_electrons is None else omega + potential * n_electrons,
            mu=potential,
            n_electrons=number if n_electrons is None else n_electrons,
            internal_energy=internal,
            entropy=(internal - potential * number - omega) / self.kT,
            coefficients=self.potential_coefficients(potential),
        )

    def potential_coefficients(self, mu: float) -> FloatArray:
        """Derivatives (n_moments,) of Omega by the moments: coefficients of ``-kT ln(1 + exp(-(e - mu) / kT))``."""
        return self.coefficients(lambda levels: self._omega(levels, mu))

    def _omega(self, levels: FloatArray, mu: float) -> FloatArray:
        """-kT ln(1 + exp(-(e - mu) / kT))."""
        x = (mu - levels) / self.kT
        return -self.kT * (np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x))))

    def chemical_potential(self, weights: FloatArray, n_electrons: float) -> float:
        """Chemical potential at which the weights hold `n_electrons`.

        In a gap at low temperature N(mu) is flat and its root a matter of rounding. The middle between the roots of
        ``N(mu) = n_electrons -+ d``, d = 1e-9 times the number of levels, is well defined there: half-way between the
        gap's edges, shifted by kT/2 times the logarithm of the ratio of their degeneracies. In a metal it is the root.
        """
        total = float(weights.sum())
        slack = min(1e-9 * total, n_electrons / 10, (total - n_electrons) / 10)
        return sum(self._root(weights, n_electrons + shift) for shift in (-slack, slack)) / 2

    def _root(self, weights: FloatArray, number: float) -> float:
        """Chemical potential at which the weights hold `number` electrons."""
        total = float(weights.sum())
        margin = self.kT * (40.0 + math.log(max(total, 1.0)))
        low, high = float(self._levels[-1]) - margin, float(self._levels[0]) + margin

        def excess(mu: float) -> tuple[float, float]:
            occupation = expit((mu - self._levels) / self.kT)
            slope = float(weights @ (occupation * (1 - occupation))) / self.kT
            return float(weights @ occupation) - number, slope

        return scalar_root(
            excess,
            low,
            high,
            (low + high) / 2,
            absolute=1e-14 * (self.interval.half_width + self.kT),
            failure=f"no mu for n_electrons={number} among {total:.6g} levels at kT={self.kT}",
        )
