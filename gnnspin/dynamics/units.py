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

#: CODATA 2018: joule per electronvolt (and the elementary charge in coulomb), Bohr magneton (J/T), Boltzmann constant
#: (J/K), reduced Planck constant (J s).
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

    def drift_velocity(self, current_density: float, polarization: float, volume: float, length: float) -> float:
        """Component of the drift velocity u of `gnnspin.classical.ZhangLi` along a conventional current density.

        ``u = -g mu_B P j / (2 e M_s)`` with ``M_s = mu_s / V``: the electrons flow against the current, so that u is
        negative for P > 0. Thiaville et al., Europhys. Lett. 69, 990 (2005), doi:10.1209/epl/i2004-10452-6.

        Parameters
        ----------
        current_density : float
            j in A/m^2.
        polarization : float
            P, spin polarisation of the current, -1 to 1.
        volume : float
            V per moment, in cubic nanometres.
        length : float
            The unit of length of the system, in nanometres.

        Returns
        -------
        float
            In units of length times gamma t.

        Raises
        ------
        InvalidInput
            If a number is out of range.

        Examples
        --------
        A moment of iron, 10^12 A/m^2, in metres per second:

        >>> units = PhysicalUnits(energy=0.01, moment=2.2)
        >>> u = units.drift_velocity(1e12, polarization=0.7, volume=0.0118, length=0.2866)
        >>> round(-u * 0.2866e-9 / (units.picoseconds(1.0) * 1e-12), 1)
        23.5
        """
        _require_current(current_density, polarization, "polarization", volume=volume, length=length)
        per_moment = self.g_factor * polarization * current_density * volume * 1e-27 / (2 * self.moment)
        metres_per_second = -per_moment / ELECTRONVOLT
        return metres_per_second * self.picoseconds(1.0) * 1e-12 / (length * 1e-9)

    def spin_torque(self, current_density: float, efficiency: float, area: float) -> float:
        """Strength of `SlonczewskiTorque` or `SpinOrbitTorque` in units of the energy from a current density.

        ``a = hbar xi j A / (2 e)``, which is ``mu_s`` times the field ``hbar xi j / (2 e M_s d)`` of a film of
        thickness d, where A is its area per moment: of a monolayer the area of a site, of n layers that over n. xi is
        the polarisation of the current across a spin valve, or the efficiency (the effective spin Hall angle) of a
        current along an interface. Manchon et al., Rev. Mod. Phys. 91, 035004 (2019), doi:10.1103/RevModPhys.91.035004.

        Parameters
        ----------
        current_density : float
            j in A/m^2.
        efficiency : float
            xi, -1 to 1.
        area : float
            A, in square nanometres.

        Raises
        ------
        InvalidInput
            If a number is out of range.

        Examples
        --------
        >>> units = PhysicalUnits(energy=0.001, moment=2.0)
        >>> strength = units.spin_torque(1e11, efficiency=0.1, area=0.09)
        >>> round(units.tesla(strength) * 1e3, 2)  # millitesla
        15.97
        """
        _require_current(current_density, efficiency, "efficiency", area=area)
        joule = HBAR * efficiency * current_density * area * 1e-18 / (2 * ELECTRONVOLT)
        return joule / (self.energy * ELECTRONVOLT)


def _require_current(current_density: float, share: float, name: str, **sizes: float) -> None:
    if not math.isfinite(current_density):
        raise InvalidInput(f"current_density={current_density} must be finite, in A/m^2")
    if not -1 <= share <= 1:
        raise InvalidInput(f"{name}={share} must be between -1 and 1")
    for size, value in sizes.items():
        if not (math.isfinite(value) and value > 0):
            raise InvalidInput(f"{size}={value} must be positive")


def _require(**values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value >= 0):
            raise InvalidInput(f"{name}={value} must be finite and not negative")
