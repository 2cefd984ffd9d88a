"""From other forms of the equation of motion and from physical units to the arguments of `simulate`.

``simulate`` integrates the Landau-Lifshitz form
``dS/dt = gamma S x (H + eta) - gamma lambda S x (S x H)`` in units of the hopping t and of 1/(gamma t).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypedDict

from gnnspin.core.errors import InvalidInput
from gnnspin.dynamics.parameters import NoiseTerms

#: CODATA 2018: joule per electronvolt, Bohr magneton (J/T), Boltzmann constant (J/K), reduced Planck constant (J s).
ELECTRONVOLT = 1.602176634e-19
BOHR_MAGNETON = 9.2740100783e-24
BOLTZMANN = 1.380649e-23
HBAR = 1.054571817e-34
#: Magnitude of the electron's g factor.
G_FACTOR = 2.00231930436256


class EquationForm(TypedDict):
    """Arguments of `simulate` that fix the form of the equation: ``simulate(..., **form)``."""

    damping: float
    gamma: float
    noise: NoiseTerms


def gilbert_form(alpha: float, gamma: float = 1.0) -> EquationForm:
    """Arguments for ``dS/dt = gamma S x (H + eta) - alpha S x dS/dt`` (Gilbert).

    It is the Landau-Lifshitz form with ``gamma / (1 + alpha^2)`` and lambda = alpha, the thermal field in both terms.

    Examples
    --------
    >>> gilbert_form(0.5)
    {'damping': 0.5, 'gamma': 0.8, 'noise': 'both'}
    """
    _require(alpha=alpha, gamma=gamma)
    return {"damping": float(alpha), "gamma": gamma / (1 + alpha**2), "noise": "both"}


def review_form(damping: float, gamma: float = 1.0) -> EquationForm:
    """Arguments for ``dS/dt = gamma S x (H + eta) - gamma lambda S x (S x (H + eta))``: the noise in both terms.

    The form of reviews of machine-learned force fields for metallic magnets; the variance of eta is the canonical one
    divided by ``1 + lambda^2``.
    """
    _require(damping=damping, gamma=gamma)
    return {"damping": float(damping), "gamma": float(gamma), "noise": "both"}


def rate_form(alpha: float, gamma: float = 1.0) -> EquationForm:
    """Arguments for ``dS/dt = gamma S x (H + eta) - alpha S x (S x H)``: alpha is a rate, lambda = alpha / gamma.

    The form used for metallic spin glasses, where alpha = 0.05 gamma.
    """
    _require(damping=alpha, gamma=gamma)
    if gamma == 0:
        raise InvalidInput("gamma=0 must be positive")
    return {"damping": alpha / gamma, "gamma": float(gamma), "noise": "precession"}


@dataclass(frozen=True)
class PhysicalUnits:
    """Tesla, picoseconds and kelvin for a unit of energy and a moment per site.

    With moments mu_s the physical equation is ``dS/dt = gamma_e S x B`` with ``B = H t / mu_s`` and
    ``gamma_e = g mu_B / hbar``: a unit of field is ``t / mu_s``, a unit of time ``mu_s / (gamma_e t)``. Simulations in
    reduced units (gamma = 1) then hold as they are, the noise variance included:
    ``2 lambda kT / (gamma_e mu_s dt)`` in tesla squared. In this convention a moment precesses about B with
    dS/dt along S x B; for electrons, whose moment is opposite to their spin, S is the direction of the spin or of the
    moment according to the sign of the field.

    Parameters
    ----------
    energy : float
        The unit of energy t, in electronvolts.
    moment : float
        Moment mu_s per site, in Bohr magnetons.
    g_factor : float
        Magnitude of the g factor.

    Raises
    ------
    InvalidInput
        If a number is not positive and finite.

    Examples
    --------
    >>> units = PhysicalUnits(energy=0.001, moment=1.0)
    >>> round(units.tesla(1.0), 2), round(units.picoseconds(1.0), 4), round(units.kelvin(1.0), 3)
    (17.28, 0.3287, 11.605)
    """

    energy: float
    moment: float = 1.0
    g_factor: float = G_FACTOR

    def __post_init__(self) -> None:
        for name in ("energy", "moment", "g_factor"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InvalidInput(f"{name}={value} must be positive")

    def tesla(self, field: float) -> float:
        """Flux density of a field in units of t."""
        return field * self.energy * ELECTRONVOLT / (self.moment * BOHR_MAGNETON)

    def field(self, tesla: float) -> float:
        """Field in units of t of a flux density."""
        return tesla / self.tesla(1.0)

    def picoseconds(self, time: float) -> float:
        """Picoseconds of a time in 1/(gamma t)."""
        return time * 1e12 * self.moment * HBAR / (self.g_factor * self.energy * ELECTRONVOLT)

    def time(self, picoseconds: float) -> float:
        """Time in 1/(gamma t) of picoseconds."""
        return picoseconds / self.picoseconds(1.0)

    def kelvin(self, kT: float) -> float:
        """Temperature in kelvin of a kT in units of t."""
        return kT * self.energy * ELECTRONVOLT / BOLTZMANN

    def kT(self, kelvin: float) -> float:
        """Temperature kT in units of t of kelvin."""
        return kelvin / self.kelvin(1.0)


def _require(**values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value >= 0):
            raise InvalidInput(f"{name}={value} must be finite and not negative")
