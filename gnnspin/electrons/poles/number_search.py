"""Search for the chemical potential of a given electron number from Green's functions at few poles."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gnnspin.core.errors import ConvergenceError
from gnnspin.electrons.poles.combination import ColumnAndNeighbors
from gnnspin.electrons.poles.rational import FermiPoles
from gnnspin.electrons.poles.rational_levels import RationalLevels

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

_MAX_STEPS = 80
_RESOLUTION = 1e-14

#: Ratio of the widths at which the descent looks at the spectrum.
_DESCENT = 3.0
#: The descent aims at the middle of chemical potentials whose numbers differ by twice this many electrons.
_COARSE_NUMBER = 0.03
#: A column of poles serves chemical potentials within this many kT of its own.
_REACH = 4.0
#: Factor by which one more pole lowers the error of a combination, and the error per kT of distance without any.
_GAIN, _DRIFT = 50.0, 0.02
#: Combinations may err by this multiple of the tolerance, which the column itself obeys.
_COMBINATION_MARGIN = 2.0
#: Relative rounding error of Tr G.
_ROUNDING = 1e-14


class NumberSearch:
    """Root of N(mu) - N_e for one replica: descent towards it, a column of poles near it, a few poles at it.

    1. Descent: Tr G at a single point ``mu + i w``, w falling by a factor from the width of the spectrum to kT. After
       every point mu becomes the chemical potential of `RationalLevels` at the temperature ``w / pi``.
    2. Column: all poles of the Fermi function at this mu, within about kT of the root.
    3. Refinement: the lowest poles at the root that the levels predict, as many as a `ColumnAndNeighbors` needs to
       represent the Fermi function there; N of this combination corrects the root.

    Where a column turns out far from the root, as from a given start, the descent resumes at the distance between them.
    Every root of the levels is corrected by the number known at its start, inside a bracket that bisection shrinks.
    The density matrix grows with mu, so an excess of dN electrons changes no field by more than ``|J| |dN|``.

    Parameters
    ----------
    poles : FermiPoles
        Poles of the Fermi function.
    kT : float
        Temperature.
    n_electrons : float
        N_e, above 0 and below `n_levels`.
    n_levels : int
        Number of levels; the noise of N is n_levels times the error of an occupation.
    trace : float
        Tr H.
    bounds : (low, high)
        Interval that contains every level.
    tolerance : float
        Largest excess |N - N_e|, and largest error of an occupation at the column's mu; twice that at the root. An
        excess up to `n_levels` times this is noise where N is flatter than that: any mu in a gap is right.
    start : float, optional
        Chemical potential of a first column; without it the search begins with a descent.

    Attributes
    ----------
    stage : "descent", "column" or "refinement"
        The purpose of the points asked for. Blocks of the last column and of later refinements make the result.
    points : (k,) complex
        z at which log-determinants and Tr G are to be given to `receive`; empty once the root is found.
    mu : float
        Chemical potential to be tried next, or the root.
    combination : Combination
        Once found: weights of the column's and the refinement's Green's functions.
    """

    def __init__(
        self,
        poles: FermiPoles,
        kT: float,
        n_electrons: float,
        n_levels: int,
        trace: float,
        bounds: tuple[float, float],
        tolerance: float,
        start: float | None = None,
    ) -> None:
        self.poles, self.kT, self.n_levels, self.trace, self.tolerance = poles, kT, n_levels, trace, tolerance
        self.n_electrons, self.bounds = n_electrons, bounds
        self.low, self.high = self._bracket(kT, 0.0)
        self._known = np.empty(0, dtype=np.complex128), np.empty(0, dtype=np.complex128)
        self._steps = 0
        self._widths: list[float] = []
        self.mu = sum(bounds) / 2 if start is None else min(max(start, self.low), self.high)
        if start is None:
            self._descend((bounds[1] - bounds[0]) / 4)
        else:
            self._raise_column()

    def receive(self, log_dets: FloatArray, traces: ComplexArray) -> None:
        """Take ln|det(z - H)| and Tr G at `points` and say what comes next.

        Raises
        ------
        ConvergenceError
            If the search does not end.
        """
        self._steps += 1
        points, values = self._known
        self._known = np.concatenate([points, self.points]), np.concatenate([values, traces])
        self._levels = RationalLevels(*self._known, self.n_levels, self.trace)
        if self.stage == "descent":
            self._continue_descent()
            return
        if self.stage == "column":
            self._origin, self._own = self.mu, slice(len(points), None)
            self._log_dets = np.empty(0)
        self._log_dets = np.concatenate([self._log_dets, log_dets])
        self._use_neighbors()
        self._refine()

    @property
    def number(self) -> float:
        """Electrons in the levels of the combination."""
        sums = self.combination.coefficients @ self._own_traces
        return self.combination.constant * self.n_levels + float(sums.real)

    @property
    def band_energy(self) -> float:
        """Tr H f(H) of the combination."""
        points, values = (each[self._own] for each in self._known)
        products = self.kT * (points * values - self.n_levels)
        return self.combination.constant * self.trace + float((self.combination.coefficients @ products).real)

    @property
    def potential_change(self) -> float:
        """Grand potential at the root minus that at the column's mu."""
        sums = float((self.combination.potential_coefficients @ self._own_traces).real)
        sums += float(self.combination.logarithms @ self._log_dets)
        return self.kT * (self.combination.potential_constant * self.n_levels + sums)

    @property
    def column(self) -> float:
        """Chemical potential of the last column."""
        return self._origin

    @property
    def _own_traces(self) -> ComplexArray:
        return self.kT * self._known[1][self._own]

    def _bracket(self, kT: float, width: float) -> tuple[float, float]:
        """Contains the chemical potentials of ``n_electrons -+ width`` at a temperature."""
        low, high = self.bounds
        empty, full = (self.n_electrons - width) / self.n_levels, (self.n_electrons + width) / self.n_levels
        return low + kT * math.log(empty), high - kT * math.log1p(-full)

    def _descend(self, width: float) -> None:
        """Begin a descent at a width."""
        lowest = float(self.poles.frequencies[0]) * self.kT
        steps = max(0, math.ceil(math.log(width / lowest) / math.log(_DESCENT))) if width > lowest else 0
        self._widths = [lowest * _DESCENT**step for step in range(steps, -1, -1)]
        self._look()

    def _look(self) -> None:
        """Ask for the widest point of the descent that is left."""
        self._ask("descent", [1j * self._widths.pop(0)])

    def _continue_descent(self) -> None:
        kT = max(self.kT, float(self.points.imag[0]) / math.pi)
        width = min(_COARSE_NUMBER, self.n_electrons / 2, (self.n_levels - self.n_electrons) / 2)
        self.mu = self._levels.chemical_potential(self.n_electrons, kT, self._bracket(kT, width), width)
        if self._widths:
            self._look()
        else:
            self._raise_column()

    def _raise_column(self) -> None:
        self._ask("column", 1j * self.kT * self.poles.frequencies)

    def _ask(self, stage: Literal["descent", "column", "refinement"], offsets: object) -> None:
        self.stage = stage
        self.points: ComplexArray = self.mu + np.asarray(offsets, dtype=np.complex128)

    def _use_neighbors(self) -> None:
        neighbors = self._known[0][self._own][len(self.poles.frequencies) :]
        low, high = ((end - self._origin) / self.kT for end in self.bounds)
        self._fit = ColumnAndNeighbors(self.poles, (neighbors - self._origin) / self.kT, (low, high))

    def _refine(self) -> None:
        """Move mu until the combination there has the right number, or lacks the poles to say."""
        limit = _COMBINATION_MARGIN * self.tolerance
        while True:
            self.combination = self._fit.at((self.mu - self._origin) / self.kT)
            if self.combination.error > limit:
                self._ask_for_neighbors()
                return
            excess = self.number - self.n_electrons
            if self._accepted(excess):
                self.points = np.empty(0, dtype=np.complex128)
                return
            self._steps += 1
            if self._steps > _MAX_STEPS:
                raise ConvergenceError(f"no mu found: N is off by {excess} at mu={self.mu}; raise kT or the tolerance")
            self.low, self.high = (self.mu, self.high) if excess < 0 else (self.low, self.mu)
            number = self._levels.number(self.mu, self.kT) - excess
            proposal = self._levels.chemical_potential(number, self.kT, (self.low, self.high))
            self.mu = proposal if self.low < proposal < self.high else (self.low + self.high) / 2
            if abs(self.mu - self._origin) > _REACH * self.kT:
                self._descend(abs(self.mu - self._origin) / math.pi)
                return

    def _ask_for_neighbors(self) -> None:
        """The lowest poles at mu, as many as experience says; more of them where that was not enough."""
        distance = np.abs(self._known[0][self._own].real - self.mu).min() / self.kT
        lacking = max(self.combination.error, _DRIFT * distance) / self.tolerance
        count = max(1, math.ceil(math.log(lacking) / math.log(_GAIN)))
        offsets = 1j * self.kT * self.poles.frequencies
        fresh = [offset for offset in offsets if not np.any(self._known[0] == self.mu + offset)]
        if not fresh:
            self._raise_column()
        else:
            self._ask("refinement", fresh[:count])

    def _accepted(self, excess: float) -> bool:
        """Whether the excess is small enough, or rounding, or noise that no mu nearby can mend."""
        rounding = _ROUNDING * float(np.abs(self.combination.coefficients * self._own_traces).sum())
        if abs(excess) <= max(self.tolerance, rounding) or self.high - self.low <= _RESOLUTION * abs(self.mu):
            return True
        ends = max(self.low, self.mu - _REACH * self.kT), min(self.high, self.mu + _REACH * self.kT)
        below, above = (self._levels.number(end, self.kT) for end in ends)
        return above - below < abs(excess) <= self.n_levels * self.tolerance
