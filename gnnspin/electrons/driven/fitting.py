r"""Few energies of a steady state, fitted to the torques of given states.

The torques are linear in the weights w, r of `few_energies`, so that for given energies these follow from a
linear least-squares problem, and the search is over the energies alone (variable projection, Golub and Pereyra, SIAM J.
Numer. Anal. 10, 413 (1973), doi:10.1137/0710036): first energies of a grid are exchanged for one another until none
that is exchanged lowers the error, then all move freely, with derivatives by differences. Every state counts by its own
torque.

Only the torques of the states are needed, no solution of theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import least_squares
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.electrons.driven.few_energies import SteadyStateNodes, field_of
from gnnspin.electrons.driven.sparse_contacts import SparseContacts
from gnnspin.electrons.driven.sparse_steady_state import reference_potentials

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]

#: Grid: heights of the poles in units of the hopping, their distances from mu in units of these heights (or of the
#: least of these distances), energies in the window in units of its width, and their heights in units of the hopping.
_HEIGHTS = np.geomspace(0.03, 4.0, 8)
_SHIFTS = (-1.5, -0.8, -0.3, 0.0, 0.3, 0.8, 1.5)
_LEAST_SHIFT = 0.3
_PLACES = np.linspace(-0.2, 1.2, 11)
_SMEARED = (0.0, 0.03, 0.08, 0.2, 0.5)
#: How far beyond a window its energies may move, in units of its width.
_MARGIN = 0.5
#: Random selections from which the exchange starts, and the gain for which two energies are exchanged.
_STARTS, _GAIN = 4, 1e-3
#: Energies on the grid, and evaluations of the search, for each state.
EVALUATIONS = 2000
_SEARCH = 40
_DIFFERENCE = 1e-5
#: Part of the largest singular value below which combinations of columns are left out.
_RANK = 1e-6
#: States of less than this part of the mean square torque count by this part, not by their own.
_CALM = 0.01
#: Torque per spin that is rounding alone, in units of the hopping.
_NO_TORQUE = 1e-7
#: Least and greatest height of a pole in units of the hopping, and its farthest place in units of its height, so that
#: none comes near a band in which the states of the fit happen to have no level. Far poles act on torques in third
#: order alone, with large weights: higher ones would lose single precision.
_HEIGHT_RANGE, _FARTHEST = (1e-3, 8.0), 20.0


@dataclass(frozen=True)
class DrivenLabel:
    """A state whose torque is known.

    Attributes
    ----------
    contacts : SparseContacts
        Of its system.
    spins : (N, 3)
    torque : (N, 3)
        In units of the hopping.
    """

    contacts: SparseContacts
    spins: Tensor
    torque: Tensor


class SteadyStateFit:
    """The best energies for the torques of given states between leads of given chemical potentials.

    Parameters
    ----------
    labels : sequence of DrivenLabel
    potentials : sequence of P floats
        Chemical potentials of the leads.
    kT : float
        Temperature of the leads; where levels may be arbitrarily narrow, energies stay so far from the real axis.
    n_poles, n_energies : int
        Green's functions of the equilibrium, and of every lead that injects electrons.

    Raises
    ------
    InvalidInput
        If no state has a torque.
    """

    def __init__(
        self, labels: Sequence[DrivenLabel], potentials: Sequence[float], kT: float, n_poles: int, n_energies: int
    ) -> None:
        sizes = np.array([float(label.torque.double().square().sum()) for label in labels])
        if not sizes.size or np.sqrt(sizes.max()) <= _NO_TORQUE * max(len(label.spins) for label in labels):
            raise InvalidInput(
                f"the {sizes.size} states between leads at {list(potentials)} have no torque to fit energies to; add "
                "perturbed spins"
            )
        scales = np.sqrt(np.maximum(sizes, _CALM * sizes.mean()) * len(sizes))
        together: dict[SparseContacts, list[int]] = {}
        for k, label in enumerate(labels):
            together.setdefault(label.contacts, []).append(k)
        self._states = [_States([labels[k] for k in members], scales[members]) for members in together.values()]
        self._target = np.concatenate([state.target for state in self._states])
        contacts, self._potentials = labels[0].contacts, list(potentials)
        self._reference = reference_potentials(contacts, self._potentials)
        self._middle = float(np.mean(self._reference))
        ends = [sorted({potential, *self._reference}) for potential in self._potentials]
        self._windows = [(end[0], end[-1]) for end in ends]
        self._leads = [lead for lead, (low, high) in enumerate(self._windows) if high > low]
        width = 0.0 if contacts.widths is None else float(contacts.widths.sum(0).min())
        self._lowest = 0.0 if width > 0 else max(kT, 1e-3)
        self._n_poles, self._n_energies = n_poles, n_energies

    def search(self) -> tuple[SteadyStateNodes, float]:
        """Energies with their weights, and the root-mean-square error of the torque over the torque."""
        low, high = self._bounds()
        inside = np.clip(self._from_grid(), low + 1e-9, high - 1e-9)
        known: dict[bytes, tuple[FloatArray, FloatArray]] = {}

        def both(parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
            key = parameters.tobytes()
            if key not in known:
                known.clear()
                known[key] = self._rest_and_slope(parameters)
            return known[key]

        def rest(parameters: FloatArray) -> FloatArray:
            return both(parameters)[0]

        def slope(parameters: FloatArray) -> FloatArray:
            return both(parameters)[1]

        best = least_squares(rest, inside, slope, (low, high), x_scale="jac", ftol=1e-4, max_nfev=_SEARCH)
        return self._nodes(best.x), float(np.sqrt(2 * best.cost))

    def _split(self, parameters: FloatArray) -> tuple[ComplexArray, dict[int, ComplexArray]]:
        """Poles and the energies of every driven lead of places over heights, log heights, real and imaginary parts."""
        n, m = self._n_poles, self._n_energies
        windows = parameters[2 * n :].reshape(len(self._leads), 2, m)
        energies = {lead: each[0] + 1j * each[1] for lead, each in zip(self._leads, windows, strict=True)}
        heights = np.exp(parameters[n : 2 * n])
        return self._middle + heights * (parameters[:n] + 1j), energies

    def _pole_parameters(self, poles: ComplexArray) -> FloatArray:
        return np.concatenate([(poles.real - self._middle) / poles.imag, np.log(poles.imag)])

    def _bounds(self) -> tuple[FloatArray, FloatArray]:
        n, m, (least, greatest) = self._n_poles, self._n_energies, np.log(_HEIGHT_RANGE)
        low, high = [np.repeat([-_FARTHEST, least], n)], [np.repeat([_FARTHEST, greatest], n)]
        for start, end in (self._windows[lead] for lead in self._leads):
            margin = _MARGIN * (end - start)
            low.append(np.repeat([start - margin, self._lowest], m))
            high.append(np.repeat([end + margin, self._lowest + max(_SMEARED[-1], end - start)], m))
        return np.concatenate(low), np.concatenate(high)

    def _nodes(self, parameters: FloatArray) -> SteadyStateNodes:
        poles, energies = self._split(parameters)
        columns = np.concatenate([state.columns(poles, energies) for state in self._states], 1)
        weights, n = _least_squares(columns, self._target)[0], self._n_poles
        shape = (len(self._potentials), self._n_energies)
        points, rates = np.full(shape, 1j * self._lowest), np.zeros(shape)
        points += np.array(self._potentials)[:, None]
        for k, (lead, each) in enumerate(energies.items()):
            points[lead], rates[lead] = each, weights[2 * n :].reshape(len(self._leads), -1)[k]
        pairs = weights[: 2 * n].reshape(n, 2)
        arrays = poles, pairs[:, 0] + 1j * pairs[:, 1], points, rates
        return SteadyStateNodes(*(torch.from_numpy(each) for each in arrays))

    def _rest_and_slope(self, parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The rest of the torque that the best weights leave, and its derivative in Kaufman's form."""
        poles, energies = self._split(parameters)
        n, m, step = self._n_poles, self._n_energies, _DIFFERENCE
        moved = {lead: np.concatenate([e, e + step, e + 1j * step]) for lead, e in energies.items()}
        found = np.concatenate(
            [state.columns(np.concatenate([poles, poles + step]), moved) for state in self._states], 1
        )
        here, pole_slopes = found[: 2 * n], (found[2 * n : 4 * n] - found[: 2 * n]) / step
        windows = found[4 * n :].reshape(len(energies), 3, m, found.shape[1])
        columns = np.concatenate([here, *windows[:, 0]])
        weights, basis = _least_squares(columns, self._target)
        real, imaginary = weights[: 2 * n : 2, None], weights[1 : 2 * n : 2, None]
        along, across = pole_slopes[::2], pole_slopes[1::2]  # of Herm G and Herm iG as the pole moves along the axis
        # a pole is the middle plus its height times (place + i): the height moves it along both axes
        places, heights = parameters[:n, None], poles.imag[:, None]
        by_place, by_rise = real * along + imaginary * across, real * across - imaginary * along
        slopes = [heights * by_place, heights * (places * by_place + by_rise)]
        for rates, (at, shifted, raised) in zip(weights[2 * n :].reshape(len(energies), m, 1), windows, strict=True):
            slopes += [rates * (shifted - at) / step, rates * (raised - at) / step]
        slope = np.concatenate(slopes)
        slope -= (slope @ basis) @ basis.T
        return self._target - weights @ columns, -slope.T

    def _from_grid(self) -> FloatArray:
        """Parameters of the best energies of a grid, by exchange of one at a time."""
        poles = np.array([self._middle + r * max(_LEAST_SHIFT, h) + 1j * h for h in _HEIGHTS for r in _SHIFTS])
        grids = {lead: self._window_grid(lead) for lead in self._leads}
        columns = np.concatenate([state.columns(poles, grids) for state in self._states], 1)
        columns /= np.maximum(np.linalg.norm(columns, axis=1), 1e-300)[:, None]
        products, overlaps = columns @ columns.T, columns @ self._target
        groups, pools = [[2 * k, 2 * k + 1] for k in range(len(poles))], [(range(len(poles)), self._n_poles)]
        for lead in self._leads:
            first = len(groups)
            groups += [[len(poles) + first + k] for k in range(len(grids[lead]))]
            pools.append((range(first, len(groups)), self._n_energies))
        chosen = _exchanged(products, overlaps, float(self._target @ self._target), groups, pools)
        n, m = self._n_poles, self._n_energies
        points = np.concatenate([poles, *grids.values()])[chosen]
        windows = [part for k in range(len(self._leads)) for part in _parts(np.sort(points[n + k * m : n + k * m + m]))]
        return np.concatenate([self._pole_parameters(points[:n][np.argsort(points[:n].imag)]), *windows])

    def _window_grid(self, lead: int) -> ComplexArray:
        low, high = self._windows[lead]
        heights = np.maximum(np.array(_SMEARED), self._lowest)
        return np.array([low + s * (high - low) + 1j * h for h in heights for s in _PLACES])


class _States:
    """Labels of one system with their exchange blocks, and the torques of single Green's functions in all of them."""

    def __init__(self, labels: Sequence[DrivenLabel], scales: FloatArray) -> None:
        self._contacts, self._scales = labels[0].contacts, torch.from_numpy(scales)[:, None, None]
        self._spins = torch.stack([label.spins.double() for label in labels])
        self._exchange = self._contacts.exchange(self._spins)
        torques = torch.stack([label.torque.double() for label in labels])
        self.target: FloatArray = (torques / self._scales).flatten().numpy()

    def columns(self, poles: ComplexArray, energies: dict[int, ComplexArray]) -> FloatArray:
        """Torques (2 n + m ..., S 3 N) of the Hermitian parts of G and i G, and of the electrons injected."""
        green = self._contacts.green(*self._at(poles)).unflatten(0, (-1, len(self._spins)))
        parts = torch.stack([(each + each.mH) / 2 for each in (green, 1j * green)], 1).flatten(0, 1)
        found = [parts]
        for lead, each in energies.items():
            found.append(self._contacts.injected(lead, *self._at(each))[0].unflatten(0, (-1, len(self._spins))))
        fields = field_of(self._contacts, torch.cat(found))
        torques = torch.linalg.cross(self._spins.expand_as(fields), fields) / self._scales
        columns: FloatArray = torques.flatten(1).numpy()
        return columns

    def _at(self, points: ComplexArray) -> tuple[Tensor, Tensor]:
        """Exchange blocks and energies (n S, ...) of every state at every point, point by point."""
        count = len(self._spins)
        return self._exchange.repeat(len(points), 1, 1, 1), torch.from_numpy(points).repeat_interleave(count)


def _parts(points: ComplexArray) -> tuple[FloatArray, FloatArray]:
    return points.real, points.imag


def _least_squares(columns: FloatArray, target: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weights of the rows of `columns` (n, T) that come closest to the target (T,), and a basis (T, n) of the rows."""
    sizes = np.maximum(np.linalg.norm(columns, axis=1), 1e-300)
    basis, triangle = np.linalg.qr((columns / sizes[:, None]).T)
    weights = np.linalg.lstsq(triangle, basis.T @ target, rcond=_RANK)[0]
    return weights / sizes, basis


def _exchanged(
    products: FloatArray, overlaps: FloatArray, size: float, groups: list[list[int]], pools: list[tuple[range, int]]
) -> list[int]:
    """So many members of each pool whose columns together leave least of a target of a squared size."""

    def rest(chosen: Sequence[int]) -> float:
        if len(set(chosen)) < len(chosen):
            return np.inf
        rows = [row for member in chosen for row in groups[member]]
        form = products[np.ix_(rows, rows)] + 1e-9 * np.eye(len(rows))
        return size - float(overlaps[rows] @ np.linalg.solve(form, overlaps[rows]))

    found, places = [], [pool for pool, count in pools for _ in range(count)]
    for seed in range(_STARTS):
        random = np.random.default_rng(seed)
        chosen = [int(k) for pool, count in pools for k in random.choice(pool, count, replace=False)]
        left, before = rest(chosen), np.inf
        while left < (1 - _GAIN) * before:
            before = left
            for place, pool in enumerate(places):
                tries = [[*chosen[:place], member, *chosen[place + 1 :]] for member in pool]
                values = [rest(each) for each in tries]
                left, chosen = min(values), tries[int(np.argmin(values))]
        found.append((left, chosen))
    return min(found)[1]
