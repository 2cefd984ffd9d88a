r"""Few poles in place of the Fermi function, fitted to the torques of states that matter.

Equation and code
-----------------
Any function of the levels acts on a spin through the electrons as the Fermi function does: with the projectors on
the levels n,

.. math:: \mathbf T_i[f] = \sum_n f(\varepsilon_n - \mu)\,\mathbf t_{in},\qquad
    \mathbf t_{in} = J\,\mathbf S_i\times\langle n|\boldsymbol\sigma_i|n\rangle ,

so that the error which another function r makes of the torques of given states is a quadratic form of r - f. Its
matrix, on a grid of levels around mu, is all that has to be known of these states. A rational function

.. math:: r(x) = c + \mathrm{Re}\sum_{k=1}^n \frac{w_k}{\zeta_k - x}

with complex weights and poles is the best one for the torque when w solves a least-squares problem in that form, and
the poles are found by a search over 2n numbers (variable projection, Golub and Pereyra, SIAM J. Numer. Anal. 10, 413
(1973), doi:10.1137/0710036). Two or three such poles are about as good as four or five that approximate the Fermi
function everywhere (`rational.fermi_poles`): where no state has levels, or opposite torques cancel, they may do as
they like.

At fixed electron number an error of the number moves the chemical potential, by
:math:`\delta\mu = \sum_n (r - f)_n / \sum_n r'_n`, and with it the torque; both are linear in r - f again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import least_squares
from scipy.special import expit
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.electrons.density import spin_density
from gnnspin.electrons.hamiltonian import SDHamiltonian
from gnnspin.electrons.occupation import occupy

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

#: Points of the grid of levels; they lie densely around mu on the scale of kT and geometrically beyond.
GRID_POINTS = 500

#: Starting points of the search for the poles beside the regular one.
_STARTS = 7
#: Times that the slope of the function, and with it the response of mu, is taken from the last fit.
_RENEWALS = 3
_SMALLEST_SLOPE = 1e-6
#: States of less than this part of the mean square torque count by this part, not by their own.
_CALM = 0.01
#: Sums of squares that are rounding alone, in units of the hopping squared.
_NO_TORQUE = 1e-20


@dataclass(frozen=True)
class RationalOccupation:
    """``r(x) = constant + Re sum_k weights_k / (poles_k - x)`` of levels x measured from the chemical potential.

    Attributes
    ----------
    poles : (n,) complex
        In the upper half plane, in units of the hopping.
    weights : (n,) complex
        In units of the hopping.
    constant : float
    error : float
        Root-mean-square error of the torque over the torque on the states of the fit.
    """

    poles: ComplexArray
    weights: ComplexArray
    constant: float
    error: float = float("nan")

    def __call__(self, x: FloatArray) -> FloatArray:
        """Occupations at x, any shape."""
        distance = self.poles - np.asarray(x, dtype=np.float64)[..., None]
        return self.constant + (self.weights / distance).real.sum(-1)

    def slope(self, x: FloatArray) -> FloatArray:
        """Derivative with respect to x, any shape."""
        distance = self.poles - np.asarray(x, dtype=np.float64)[..., None]
        return (self.weights / distance**2).real.sum(-1)


class TorqueSpectra:
    """Torques of given states as quadratic forms of the occupations of a grid of levels.

    Parameters
    ----------
    kT : float
        Temperature of the electrons in units of the hopping.
    bounds : (low, high)
        An interval that holds every level, and every chemical potential, of the states.
    """

    def __init__(self, kT: float, bounds: tuple[float, float]) -> None:
        self.kT = kT
        end = np.arcsinh((bounds[1] - bounds[0]) / kT)
        self.grid: FloatArray = kT * np.sinh(np.linspace(-end, end, GRID_POINTS))
        self.fermi: FloatArray = expit(-self.grid / kT)
        self._torques: list[FloatArray] = []
        self._levels: list[FloatArray] = []

    def add(
        self, hamiltonian: SDHamiltonian, spins: Tensor, *, mu: float | None = None, n_electrons: float | None = None
    ) -> float:
        """Add a state, spins (N, 3), by diagonalising H; its chemical potential, given or that of a number."""
        levels, vectors = torch.linalg.eigh(hamiltonian.dense(spins))
        if mu is None:
            mu = float(occupy(levels, self.kT, n_electrons=n_electrons).mu)
        up, down = vectors.view(-1, 2, len(levels)).unbind(1)
        density = spin_density(up.abs().square(), down.abs().square(), up.conj() * down)  # (M, D, 3)
        fields = hamiltonian.site_field(density.movedim(1, 0))
        torques = torch.linalg.cross(spins.to(fields).expand_as(fields), fields).flatten(1).numpy()  # (D, 3 N)
        place = self._interpolation(levels.numpy() - mu)
        on_grid = place.T @ torques
        self._torques.append(on_grid @ on_grid.T)
        self._levels.append(place.T @ np.full(len(levels), 1 / len(levels)))
        return mu

    def _interpolation(self, levels: FloatArray) -> sparse.csr_array:
        """Weights (D, G) of the two points of the grid next to every level."""
        left = np.clip(np.searchsorted(self.grid, levels) - 1, 0, len(self.grid) - 2)
        share = (levels - self.grid[left]) / (self.grid[left + 1] - self.grid[left])
        rows = np.tile(np.arange(len(levels)), 2)
        values, columns = np.concatenate([1 - share, share]), np.concatenate([left, left + 1])
        return sparse.coo_array((values, (rows, columns)), shape=(len(levels), len(self.grid))).tocsr()

    def active_levels(self) -> FloatArray:
        """Part of the levels of every state that lie within a few kT of mu: next to nothing in a gap."""
        slope = 4 * self.fermi * (1 - self.fermi)
        return np.array([levels @ slope for levels in self._levels])

    def fit(self, n_poles: int, *, fixed_number: bool) -> RationalOccupation:
        """The function with so many poles whose torques are best on all states together, each by its own torque.

        Parameters
        ----------
        n_poles : int
        fixed_number : bool
            Whether the chemical potential follows from the number of electrons.

        Raises
        ------
        InvalidInput
            If no state has a torque.
        """
        sizes = np.array([self.fermi @ form @ self.fermi for form in self._torques])
        if not sizes.size or sizes.mean() <= _NO_TORQUE:
            raise InvalidInput(f"the {sizes.size} states have no torque to fit poles to; add random or perturbed spins")
        shares = 1 / np.maximum(sizes, _CALM * sizes.mean()) / len(sizes)
        found = self._fit(n_poles, np.tensordot(shares, self._torques, 1), self._starts(n_poles))
        for _ in range(_RENEWALS if fixed_number else 0):
            forms = [self._at_fixed_number(k, found) for k in range(len(sizes))]
            found = self._fit(n_poles, np.tensordot(shares, forms, 1), [_parameters(found.poles)])
        if fixed_number:
            return found
        levels = np.mean(self._levels, axis=0)
        missing = float(levels @ (self.fermi - found(self.grid)))
        return RationalOccupation(found.poles, found.weights, found.constant + missing, found.error)

    def _at_fixed_number(self, state: int, near: RationalOccupation) -> FloatArray:
        """Form of a state whose chemical potential gives way, with the response of the function that is near."""
        slope, levels = near.slope(self.grid), self._levels[state]
        response = levels @ slope
        if abs(response) < _SMALLEST_SLOPE:
            return self._torques[state]
        moved = np.outer(levels, slope / response)
        kept = np.eye(len(levels)) - moved
        form: FloatArray = kept @ self._torques[state] @ kept.T
        return form

    def _starts(self, n_poles: int) -> list[FloatArray]:
        """Heights from pi kT to the width of the spectrum, in even ratios, and scattered ones."""
        random = np.random.default_rng(0)
        width = self.grid[-1] / 4
        low, high = np.log(np.pi * self.kT), np.log(max(width, 2 * np.pi * self.kT))
        regular = low + (high - low) * (np.arange(n_poles) + 0.5) / n_poles
        found = [np.concatenate([np.zeros(n_poles), regular])]
        for _ in range(_STARTS):
            heights = np.sort(random.uniform(low, high, n_poles))
            found.append(np.concatenate([random.normal(0, 0.3, n_poles), heights]))
        return found

    def _fit(self, n_poles: int, form: FloatArray, starts: list[FloatArray]) -> RationalOccupation:
        sizes, vectors = np.linalg.eigh(form)
        kept = sizes > 1e-15 * sizes[-1]
        root = (vectors[:, kept] * np.sqrt(sizes[kept])).T
        target = root @ self.fermi

        def solved(parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
            basis = _basis(_poles(parameters), self.grid)
            columns = root @ basis
            weights = np.linalg.lstsq(columns, target, rcond=1e-10)[0]
            return weights, target - columns @ weights

        highest = np.log(self.grid[-1])
        lowest = min(np.log(self.kT), highest - 1)
        bounds = ([-np.inf] * n_poles + [lowest] * n_poles, [np.inf] * n_poles + [highest] * n_poles)

        def rest_of(parameters: FloatArray) -> FloatArray:
            return solved(parameters)[1]

        inside = [np.clip(start, bounds[0], bounds[1]) for start in starts]
        tries = [least_squares(rest_of, start, bounds=bounds, x_scale=1.0) for start in inside]
        best = min(tries, key=lambda each: each.cost)
        poles, (weights, rest) = _poles(best.x), solved(best.x)
        order = np.argsort(poles.imag)
        complex_weights = poles.imag * weights[1:].reshape(2, n_poles).T.copy().view(np.complex128)[:, 0]
        return RationalOccupation(poles[order], complex_weights[order], float(weights[0]), float(np.sqrt(rest @ rest)))


def unfitted_occupation(n_poles: int, kT: float, reach: float = 12.0) -> RationalOccupation:
    """The function before any state is known: least squares of the Fermi function, with poles above mu.

    Parameters
    ----------
    n_poles : int
    kT : float
    reach : float
        Levels up to so far from mu are thought of, in units of the hopping.
    """
    x = kT * np.sinh(np.linspace(-1, 1, GRID_POINTS) * np.arcsinh(reach / kT))
    poles = np.asarray(1j * np.geomspace(np.pi * kT, max(reach / 3, 20 * kT), n_poles), dtype=np.complex128)
    weights = np.linalg.lstsq(_basis(poles, x), expit(-x / kT), rcond=1e-8)[0]
    complex_weights = poles.imag * weights[1:].reshape(2, n_poles).T.copy().view(np.complex128)[:, 0]
    return RationalOccupation(poles, complex_weights, float(weights[0]))


def _poles(parameters: FloatArray) -> ComplexArray:
    """Poles of their real parts, in units of their heights, and the logarithms of these."""
    shares, heights = np.split(parameters, 2)
    return np.exp(heights) * (shares + 1j)


def _parameters(poles: ComplexArray) -> FloatArray:
    return np.concatenate([poles.real / poles.imag, np.log(poles.imag)])


def _basis(poles: ComplexArray, x: FloatArray) -> FloatArray:
    """Constant, real and imaginary parts of the simple fractions (G, 1 + 2 n), each of order one."""
    fractions = poles.imag / (poles - x[:, None])
    return np.hstack([np.ones((len(x), 1)), fractions.real, -fractions.imag])
