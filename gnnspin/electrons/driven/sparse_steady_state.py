r"""Steady state between leads without diagonalisation: poles for equilibrium, one lead's electrons in the window.

With f the Fermi function of a reference and ``w_p = f_p - f``,

.. math:: \rho = \int \frac{dE}{2\pi} f A + \sum_p \int \frac{dE}{2\pi} w_p\, G \Gamma_p G^\dagger,
          \qquad A = i (G - G^\dagger) = \sum_p G \Gamma_p G^\dagger.

A lead that feeds every row (a bath on every site) is the reference: its own term vanishes, and only columns of G on the
other leads are needed, at energies between their chemical potential and its own. Otherwise f is the mean over the
leads, which then also fills levels that do not feel any lead.

The first term is a sum of Green's functions at the poles of a rational Fermi function, which is accurate up to a
distance W from mu. Wide-band leads give A a tail ``{H - mu, Gamma} / x^3`` in x = E - mu, after ``Gamma / x^2``, which
is even and integrates to zero against the odd error of the Fermi function: the tail beyond W is added in closed form.
What lies below the lower end of the energies is subtracted: ``1/2 + Re int_0^inf dw/pi G(bottom + i w)``, of which the
integrand is analytic in ``t = (w - s) / (w + s)`` at infinity, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gnnspin.core.errors import ConvergenceError, InvalidInput
from gnnspin.electrons.driven.quadrature import integrate
from gnnspin.electrons.driven.sparse_contacts import SparseContacts
from gnnspin.electrons.driven.window import WindowMap
from gnnspin.electrons.poles.pole_sums import spectral_bounds
from gnnspin.electrons.poles.rational import SMALLEST_TOLERANCE, fermi_poles, rounded_width
from gnnspin.systems.system import FloatArray

#: Energies in the window grow by this factor, at most so many times, until the error is small enough.
_GROWTH, _REFINEMENTS = 1.5, 12
#: Work of a dense steady state between wide-band leads, and of one inverse, in complex multiply-adds per rows^3.
_DIAGONALISATION, _DENSE_INVERSE = 6.0, 1.0
#: Without a bath very narrow levels can be missed: dense matrices are preferred up to so many rows.
_UNSAFE_ROWS = 2000
#: More graded nodes than this, or no least width: bisection instead.
_MOST_GRADED = 3000
#: Single precision serves where the tolerance is this many times its rounding, ``eps W / kT``.
_SINGLE = 4.0
#: Share of the tolerance for each of the poles, the tails and the energies below the bottom.
_SHARE = 0.25


class SparseSteadyState:
    """Plan of steady states of one system: poles, tails and energies in the window.

    Parameters
    ----------
    contacts : SparseContacts
    potentials : sequence of P floats
        Chemical potentials of the leads.
    kT : float
        Temperature, > 0.
    bottom : float, optional
        Lower end of the energies of wide-band leads.
    tolerance : float
        Error of the density matrix and the currents.
    """

    def __init__(
        self,
        contacts: SparseContacts,
        potentials: Sequence[float],
        kT: float,
        bottom: float | None,
        tolerance: float,
    ) -> None:
        self.contacts, self.potentials, self.kT, self.tolerance = contacts, list(potentials), kT, tolerance
        self.bottom, self.device = bottom, contacts.device
        self.bounds = _bounds(contacts)
        _check(kT, bottom, self.bounds[0], tolerance)
        self.narrowest = 0.0 if contacts.widths is None else float(contacts.widths.sum(0).min())
        self.reference = reference_potentials(contacts, self.potentials)
        self._windows = [self._window_of(potential) for potential in self.potentials]
        self._points, self._weights, self._tails = self._equilibrium_rule()

    @property
    def worthwhile(self) -> bool:
        """Whether less work is expected than that of diagonalising h - i Gamma / 2, or of dense inverses."""
        contacts, rows = self.contacts, float(self.contacts.hamiltonian.n_spin_orbitals)
        driven = [(lead, window) for lead, window in enumerate(self._windows) if window is not None]
        if driven and not self.narrowest:
            return rows >= _UNSAFE_ROWS and contacts.work < _DENSE_INVERSE * rows**3
        if contacts.attached:
            return contacts.work < _DENSE_INVERSE * rows**3
        energies = sum(window.count(self.tolerance) * contacts.recursion(lead).work for lead, window in driven)
        return len(self._points) * contacts.work + energies < _DIAGONALISATION * rows**3

    def solve(self, spins: Tensor, *, single: bool = False) -> tuple[Tensor, Tensor]:
        """Diagonal blocks of the density matrix (R, M, 2, 2) and currents (R, P) of spins (R, N, 3).

        `single` allows Green's functions in single precision, which are used where the tolerance leaves room.
        """
        exchange = self.contacts.exchange(spins)
        if single and self.tolerance >= self._rounding:
            exchange = exchange.to(torch.complex64)
        total = self.contacts.green_sum(exchange, self._points, self._weights)
        blocks = (total + total.mH) / 2 + self._constant(spins)
        currents = torch.zeros(len(spins), len(self.potentials), dtype=torch.float64, device=self.device)
        for lead, window in enumerate(self._windows):
            if window is not None:
                driven, passed = self._window(lead, window, exchange)
                blocks = blocks + driven
                currents[:, lead] += passed.sum(1)
                currents -= passed
        return blocks, currents

    @property
    def _rounding(self) -> float:
        """Tolerance that Green's functions in single precision allow: their rounding is well below it."""
        scale = self.kT if self.narrowest == 0 else min(self.kT, self.narrowest)
        return _SINGLE * torch.finfo(torch.float32).eps * (self.bounds[1] - self.bounds[0]) / scale

    def _window_of(self, potential: float) -> WindowMap | None:
        """Energies where a lead of this potential fills other levels than the reference; None if there are none."""
        chosen = tuple(sorted({potential, *self.reference}))
        reach = math.log(1 / self.tolerance) + 2
        return WindowMap(chosen, self.kT, self.narrowest, reach) if len(chosen) > 1 else None

    def _equilibrium_rule(self) -> tuple[Tensor, Tensor, list[tuple[float, float]]]:
        """Points, weights and, for every chemical potential, ``(mu, share of {H - mu, Gamma})`` of the tails."""
        contacts, tolerance = self.contacts, min(max(_SHARE * self.tolerance, SMALLEST_TOLERANCE), 0.1)
        low, high = self.bounds
        points, weights, tails = [], [], []
        for mu in sorted(set(self.reference)):
            share = self.reference.count(mu) / len(self.reference)
            reach = max(high - mu, mu - low)
            if contacts.widths is not None:
                reach = max(2 * reach, _tail_start(contacts, mu, reach, tolerance))
            poles = fermi_poles(rounded_width(reach / self.kT), tolerance)
            frequencies, residues = poles.frequencies * self.kT, poles.residues * self.kT
            points.append(mu + 1j * frequencies)
            weights.append(share * residues)
            if contacts.widths is not None:
                tails.append((mu, share * _tail(frequencies, residues, poles.width * self.kT)))
        if self.bottom is not None:
            frequencies, steps = _above(self.bottom, self.bounds, tolerance)
            points.append(self.bottom + 1j * frequencies)
            weights.append(-steps / math.pi)
        joined = [torch.from_numpy(np.concatenate(each).astype(np.complex128)) for each in (points, weights)]
        return joined[0].to(self.device), joined[1].to(self.device), tails

    def _constant(self, spins: Tensor) -> Tensor:
        """Blocks (R, M, 2, 2) that the poles and the bottom leave: a multiple of 1, and the tails."""
        identity = torch.eye(2, dtype=torch.complex128, device=self.device)
        constant = identity * (0.5 if self.bottom is None else 0.0)
        if self.contacts.widths is None:
            return constant
        hamiltonian = self.contacts.hamiltonian
        onsite = self.contacts.onsite + hamiltonian.unchecked_exchange_blocks(spins)
        width = torch.diag_embed(self.contacts.widths.sum(0).to(torch.complex128).view(-1, 2))
        for mu, weight in self._tails:
            shifted = onsite - mu * identity
            constant = constant - weight * (shifted @ width + width @ shifted)
        return constant

    def _window(self, lead: int, window: WindowMap, exchange: Tensor) -> tuple[Tensor, Tensor]:
        """``int dE/(2 pi) w_p G Gamma_p G+`` and ``int dE/(2 pi) w_p Tr[Gamma_q G Gamma_p G+]``, (R, P)."""
        count = window.count(self.tolerance) if self.narrowest else math.inf
        if count > _MOST_GRADED:
            found = [self._adaptive_window(lead, window, one) for one in exchange]
            return torch.stack([each[0] for each in found]), torch.stack([each[1] for each in found])
        result, active = None, torch.arange(len(exchange), device=self.device)
        for _ in range(_REFINEMENTS):
            values, error = self._window_sums(lead, window.rule(int(count)), exchange[active])
            result = values if result is None else result.index_copy(0, active, values)
            active = active[error > self.tolerance]
            if not len(active):
                blocks, passed = result[:, : -len(self.potentials)], result[:, -len(self.potentials) :].real
                return blocks.unflatten(1, (-1, 2, 2)), passed
            count = 4 * math.ceil(_GROWTH * count / 4)
        raise ConvergenceError(
            f"{count} energies between {window.ends} do not give tolerance={self.tolerance}; enlarge it"
        )

    def _window_sums(self, lead: int, rule: tuple[FloatArray, FloatArray], exchange: Tensor) -> tuple[Tensor, Tensor]:
        """Integrals (R, 4 M + P) by a rule, and their errors (R,), see `_rule_error`."""
        energies, steps = (torch.from_numpy(each).to(self.device) for each in rule)
        weights = (steps * self._excess(lead, energies) / (2 * math.pi)).to(torch.complex128)
        replica = torch.arange(len(exchange), device=self.device).repeat_interleave(len(energies))
        found = self._injected(lead, exchange[replica], energies.repeat(len(exchange)))
        by_energy = found.unflatten(0, (len(exchange), -1))
        quarters = [(weights[k::4], by_energy[:, k::4]) for k in range(4)]
        parts = torch.stack([torch.einsum("e,rex->rx", some, values.to(some)) for some, values in quarters])
        return parts.sum(0), _rule_error(parts)

    def _injected(self, lead: int, exchange: Tensor, energies: Tensor) -> Tensor:
        blocks, transmission = self.contacts.injected(lead, exchange, energies)
        return torch.cat([blocks.flatten(1), transmission.to(blocks.dtype)], 1)

    def _adaptive_window(self, lead: int, window: WindowMap, exchange: Tensor) -> tuple[Tensor, Tensor]:
        """The same for one replica (M, 2, 2) by bisection: levels may be arbitrarily narrow."""

        def integrand(energies: Tensor) -> Tensor:
            found = self._injected(lead, exchange.expand(len(energies), -1, -1, -1), energies)
            return (self._excess(lead, energies) / (2 * math.pi)).to(found.dtype)[:, None] * found

        low, high = window.ends
        edges = np.concatenate([each.band_edges() for each in self.contacts.attached] or [np.empty(0)])
        breaks = [low, high, *window.potentials, *edges[(edges > low) & (edges < high)].tolist()]
        points = max(15, self.contacts.together(lead, exchange.dtype))
        result = integrate(integrand, breaks, self.tolerance, device=self.device, points=points)
        n = len(self.potentials)
        return result[:-n].view(-1, 2, 2), result[-n:].real

    def _excess(self, lead: int, energies: Tensor) -> Tensor:
        """``w_p = f_p - f`` at real energies."""
        reference = [torch.sigmoid((mu - energies) / self.kT) for mu in self.reference]
        return torch.sigmoid((self.potentials[lead] - energies) / self.kT) - torch.stack(reference).mean(0)


def _rule_error(quarters: Tensor) -> Tensor:
    """Errors (R,) of trapezoidal sums (R, n), from the sums (4, R, n) over every fourth node.

    The error of a rule of step 4 h is an amplitude times the cosine of a phase that shifts by a quarter turn from node
    to node, so that two differences give the amplitude whatever the phase; that of step 2 h is its square, or what
    the even and the odd nodes differ by if that is more, and that of step h the square again, in units of the integral.
    """
    total = quarters.sum(0)
    scale = total.abs().amax(1).clamp(min=1e-300)
    amplitude = 2 * (quarters[:2] - quarters[2:]).abs().square().sum(0).sqrt().amax(1)
    difference = (quarters[0::2].sum(0) - quarters[1::2].sum(0)).abs().amax(1)
    coarse = torch.maximum(difference, torch.minimum(amplitude, amplitude.square() / scale))
    return torch.minimum(coarse, 10 * coarse.square() / scale)


def _check(kT: float, bottom: float | None, lowest: float, tolerance: float) -> None:
    if tolerance > 0.1:
        raise InvalidInput(f"tolerance={tolerance} of a density matrix must be at most 0.1")
    if kT == 0:
        raise InvalidInput("kT=0 has no rational Fermi function; give a temperature, or method='dense'")
    if bottom is not None and bottom >= lowest:
        raise InvalidInput(
            f"bottom={bottom} may lie among the levels, whose bound is {lowest:.4g}; lower it, or method='dense'"
        )


def reference_potentials(contacts: SparseContacts, potentials: list[float]) -> list[float]:
    """Chemical potentials whose mean Fermi function is the reference."""
    if contacts.widths is not None:
        for width, potential in zip(contacts.widths, potentials, strict=True):
            if bool((width > 0).all()):
                return [potential]
    return potentials


def _bounds(contacts: SparseContacts) -> tuple[float, float]:
    """Interval that holds every level of the system, and of its lattice leads."""
    low, high = spectral_bounds(contacts.hamiltonian)
    edges = [lead.band_edges() for lead in contacts.attached]
    coupling = sum(lead.coupling_norm for lead in contacts.attached)
    return min([low, *(edge[0] for edge in edges)]) - coupling, max([high, *(edge[-1] for edge in edges)]) + coupling


def _tail_start(contacts: SparseContacts, mu: float, reach: float, tolerance: float) -> float:
    """W beyond which the next term, ``4 Gamma (H - mu)^3 / x^5``, is less than `tolerance`.

    The diagonal of ``|H - mu|^3`` is at most `reach` times that of its square, the squares of a row.
    """
    assert contacts.widths is not None
    matrix, coupling = contacts.hamiltonian.one_body, np.repeat(np.abs(contacts.hamiltonian.orbital_coupling), 2)
    diagonal = matrix.diagonal()
    squares = np.asarray(abs(matrix).power(2).sum(axis=1)).ravel() - np.abs(diagonal) ** 2
    squares += (np.abs(diagonal - mu) + coupling) ** 2
    width = float(contacts.widths.sum(0).max())
    return float((width * (reach + width) * squares.max() / (2 * math.pi * tolerance)) ** 0.25)


def _tail(frequencies: FloatArray, residues: FloatArray, width: float) -> float:
    """``2 int_W^inf dx/(2 pi) delta(x) / x^3`` of ``delta = 1/2 - sum_j R_j x / (x^2 + w_j^2)``."""
    ratio = frequencies / width
    small = ratio < 1e-2
    series = (1 / 3 - ratio**2 / 5 + ratio**4 / 7) / width**3
    exact = (1 / width - np.arctan(ratio) / frequencies) / frequencies**2
    return float(0.25 / width**2 - residues @ np.where(small, series, exact)) / math.pi


def _above(bottom: float, bounds: tuple[float, float], tolerance: float) -> tuple[FloatArray, FloatArray]:
    """Frequencies and weights of an integral of ``G(bottom + i w)`` over w from 0 to infinity.

    The levels lie at ``|w| = e - bottom`` on the imaginary axis, which is the unit circle in t: the rate of Gauss's
    rule follows from the nearest and the farthest.
    """
    nearest, farthest = max(bounds[0] - bottom, 1e-3), bounds[1] - bottom
    scale = math.sqrt(nearest * farthest)
    angle = 2 * math.atan(nearest / scale)
    half = math.cos(angle / 2) + math.sin(angle / 2)
    rate = half + math.sqrt(half**2 - 1)
    nodes, weights = np.polynomial.legendre.leggauss(2 + math.ceil(math.log(10 / tolerance) / (2 * math.log(rate))))
    return scale * (1 + nodes) / (1 - nodes), 2 * scale * weights / (1 - nodes) ** 2
