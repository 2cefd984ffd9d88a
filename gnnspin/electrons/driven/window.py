"""Energies between chemical potentials: nodes graded to the Fermi edges and to the narrowest level."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gnnspin.systems.system import FloatArray

#: Newton steps that invert the map, from a table of `_TABLE` points.
_NEWTON = 6
_TABLE = 4097
#: Assumed rate of convergence, in units of pi^2 / h; the error estimate decides.
_RATE = 1.4


@dataclass(frozen=True)
class WindowMap:
    """Trapezoidal rule in ``u(E) = sum_m arsinh((E - mu_m) / delta) + pi E / (2 gamma)`` with ``delta = pi kT``.

    The integrand ``w(E) G Gamma G+`` of a difference w of Fermi functions is analytic but for the poles of w, at
    ``mu_m +- i pi kT (2 n + 1)``, and of the Green's functions, at least ``gamma / 2`` away from the real axis if every
    level is at least gamma wide. In u the former are at least pi / 2 away from it, the latter pi / 4, so that a rule of
    step h converges at least as ``exp(-pi^2 / 2 h)``, and about as ``exp(-1.5 pi^2 / h)`` where leads make most levels
    wider (Trefethen and Weideman, SIAM Rev. 56, 385 (2014), doi:10.1137/130932132). Steps of one size in E would have
    to follow the narrower scale everywhere.

    Parameters
    ----------
    potentials : sequence of float
        Chemical potentials mu_m where w changes.
    kT : float
        Temperature, > 0.
    gamma : float
        Smallest width of a level, > 0.
    reach : float
        How far beyond the outermost potentials w is integrated, in units of kT.
    """

    potentials: tuple[float, ...]
    kT: float
    gamma: float
    reach: float

    def _coordinate(self, energies: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Coordinate u and du/dE."""
        distance = (energies[:, None] - np.array(self.potentials)) / (math.pi * self.kT)
        u = np.arcsinh(distance).sum(1) + math.pi / (2 * self.gamma) * (energies - self.potentials[0])
        slope = (1 / np.hypot(1.0, distance)).sum(1) / (math.pi * self.kT) + math.pi / (2 * self.gamma)
        return u, slope

    @property
    def ends(self) -> tuple[float, float]:
        """Lowest and highest energy."""
        return min(self.potentials) - self.reach * self.kT, max(self.potentials) + self.reach * self.kT

    def count(self, tolerance: float) -> int:
        """Nodes, a multiple of four, that should leave an error of about `tolerance`."""
        low, high = self._coordinate(np.array(self.ends))[0]
        step = _RATE * math.pi**2 / math.log(1 / tolerance)
        return 4 * math.ceil((high - low) / step / 4)

    def rule(self, count: int) -> tuple[FloatArray, FloatArray]:
        """Energies and weights (n,) of a rule of n nodes."""
        table = np.linspace(*self.ends, _TABLE)
        u = self._coordinate(table)[0]
        step = (u[-1] - u[0]) / count
        wanted = u[0] + step * (np.arange(count) + 0.5)
        energies = np.interp(wanted, u, table)
        for _ in range(_NEWTON):
            reached, slope = self._coordinate(energies)
            energies = np.clip(energies - (reached - wanted) / slope, *self.ends)
        return energies, step / self._coordinate(energies)[1]
