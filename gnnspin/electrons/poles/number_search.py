"""Search for the chemical potential of a given electron number from Green's functions at the poles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from gnnspin.core.errors import ConvergenceError
from gnnspin.electrons.poles.rational import FermiPoles
from gnnspin.electrons.roots import scalar_root

FloatArray = NDArray[np.float64]

_MAX_STEPS = 80
_RESOLUTION = 1e-14

#: Fewer levels than this within kT of mu: a gap. The estimate of their number errs by about a tenth of a level.
_LEVELS_IN_A_GAP = 0.3


class NumberSearch:
    """Root of N(mu) - N_e inside a bracket, for one replica.

    A step far from the root solves for it with the density of states that the Green's functions at hand imply; near
    it, by secants. A step that leaves the bracket is replaced by bisection. The density matrix grows with mu, so an
    excess of dN electrons changes no field by more than ``|J| |dN|``.

    Parameters
    ----------
    poles : FermiPoles
        Poles at which the Green's functions are known.
    kT : float
        Temperature.
    mu : float
        First chemical potential.
    bracket : (low, high)
        Interval that contains the root.
    n_levels : int
        Number of levels; the noise of N is n_levels times the error of an occupation.
    tolerance : float
        Largest excess |N - N_e|, reached unless the noise of N is larger and N is flat: any mu in a gap is right.

    Attributes
    ----------
    mu : float
        Chemical potential to be tried next, or the root.
    weight : float
        Once found: quantities at the root are ``last + weight * (last - one before)`` of those evaluated; 0 where the
        last evaluation is at the root.
    """

    def __init__(
        self,
        poles: FermiPoles,
        kT: float,
        mu: float,
        bracket: tuple[float, float],
        n_levels: int,
        tolerance: float,
    ) -> None:
        self.poles, self.kT, self.mu, self.n_levels, self.tolerance = poles, kT, mu, n_levels, tolerance
        self.low, self.high = bracket
        self._last: tuple[float, float] | None = None
        self._steps = 0
        self.weight = 0.0

    def found(self, excess: float, traces: NDArray[np.complex128]) -> bool:
        """Whether `mu` is the root, given ``N(mu) - N_e`` and Tr G at the poles; if not, `mu` moves on.

        Raises
        ------
        ConvergenceError
            If the search does not end.
        """
        last, self._last = self._last, (self.mu, excess)
        points, weights = self.poles.density_of_states(self.kT * traces, self.n_levels)
        if self._accepted(excess, last, float(weights @ (expit(0.5 - points) - expit(-0.5 - points)))):
            return True
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise ConvergenceError(f"no mu found: N is off by {excess} at mu={self.mu}; raise kT or the tolerance")
        self.low, self.high = (self.mu, self.high) if excess < 0 else (self.low, self.mu)
        near = last is not None and abs(self.mu - last[0]) < self.kT / 2 and excess != last[1]
        secant = last if near else None
        proposal = self._secant(secant, excess) if secant else self._from_density(excess, points, weights)
        inside = self.low < proposal < self.high
        if secant and inside and self._is_linear(secant, excess):
            self.weight = (proposal - self.mu) / (self.mu - secant[0])
            self.mu = proposal
            return True
        self.mu = proposal if inside else (self.low + self.high) / 2
        return False

    def _secant(self, last: tuple[float, float], excess: float) -> float:
        return self.mu - excess * (self.mu - last[0]) / (excess - last[1])

    def _is_linear(self, last: tuple[float, float], excess: float) -> bool:
        """Whether the secant through two excesses is as good as an evaluation at its root; N bends over kT."""
        levels = self.kT * (excess - last[1]) / (self.mu - last[0])
        return abs(excess * last[1]) <= self.tolerance * levels

    def _accepted(self, excess: float, last: tuple[float, float] | None, levels: float) -> bool:
        """Whether the excess is small enough, or is the noise of a flat N(mu) with few `levels` within kT of mu."""
        stalled = last is not None and abs(excess) > abs(last[1]) / 2
        in_noise = abs(excess) <= self.n_levels * self.tolerance and (stalled or levels < _LEVELS_IN_A_GAP)
        return abs(excess) <= self.tolerance or in_noise or self.high - self.low <= _RESOLUTION * abs(self.mu)

    def _from_density(self, excess: float, points: FloatArray, weights: FloatArray) -> float:
        """Root for the density of states at hand; not a number where it has none in the bracket."""
        here = float(weights @ expit(-points))

        def imbalance(mu: float) -> tuple[float, float]:
            occupation = expit((mu - self.mu) / self.kT - points)
            slope = float(weights @ (occupation * (1 - occupation))) / self.kT
            return float(weights @ occupation) - here + excess, slope

        if not imbalance(self.low)[0] < 0 < imbalance(self.high)[0]:
            return np.nan
        failure = f"no mu found from the density of states between {self.low} and {self.high}"
        return scalar_root(imbalance, self.low, self.high, self.mu, absolute=1e-3 * self.kT, failure=failure)
