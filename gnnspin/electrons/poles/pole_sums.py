"""Electrons of one connected system from Green's functions at the poles of a rational Fermi function."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.electrons.bounds import gershgorin_bounds
from gnnspin.electrons.density import density_and_spin
from gnnspin.electrons.hamiltonian import SDHamiltonian
from gnnspin.electrons.poles.number_search import NumberSearch
from gnnspin.electrons.poles.rational import SMALLEST_TOLERANCE, fermi_poles, rounded_width
from gnnspin.electrons.poles.selected_inverse import SelectedInverse
from gnnspin.electrons.state import ElectronicState

#: Memory that the matrices inverted together may take, in bytes.
CHUNK_BYTES = {"cpu": 2**27, "cuda": 2**33}

#: Spectral bounds are widened by this factor; accepted spins may be that much longer than 1.
_MARGIN = 1.001

#: At fixed electron number occupations are approximated better by this factor.
_NUMBER_MARGIN = 20.0


def spectral_bounds(hamiltonian: SDHamiltonian) -> tuple[float, float]:
    """Interval that contains every level for any unit spins: Gershgorin discs of K, widened by max |J|."""
    low, high = gershgorin_bounds(hamiltonian.one_body, np.repeat(np.abs(hamiltonian.orbital_coupling), 2))
    margin = (_MARGIN - 1) * max(abs(low), abs(high))
    return low - margin, high + margin


def _fit_tolerance(tolerance: float, coupling: float, fixed_number: bool) -> float:
    """Error of an occupation that keeps every field within `tolerance`; mu, found from all of them, needs a margin."""
    occupation = tolerance / (2 * (coupling or 1.0))
    if occupation < SMALLEST_TOLERANCE:
        smallest = SMALLEST_TOLERANCE * tolerance / occupation
        raise InvalidInput(f"tolerance={tolerance} is below {smallest:.1e}, the smallest for this coupling in float64")
    return min(0.1, max(occupation / _NUMBER_MARGIN, SMALLEST_TOLERANCE) if fixed_number else occupation)


@dataclass
class PoleSums:
    """At one mu per replica: ln|det| and Tr G at every pole (R, n), and the diagonal blocks of f(H) (R, M, 2, 2)."""

    log_dets: Tensor
    traces: Tensor
    density_matrix: Tensor

    def updated(self, replicas: Tensor, sums: PoleSums) -> PoleSums:
        """These sums with those of some replicas replaced."""
        return PoleSums(*(old.index_copy(0, replicas, new) for old, new in zip(self._all, sums._all, strict=True)))

    def extrapolated(self, before: PoleSums, weights: Tensor) -> PoleSums:
        """These sums plus ``weights`` (R,) times their change."""
        pairs = zip(self._all, before._all, strict=True)
        return PoleSums(*(new + weights.view(-1, *[1] * (new.ndim - 1)) * (new - old) for new, old in pairs))

    @property
    def _all(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.log_dets, self.traces, self.density_matrix


class PolePart:
    """One connected system: plan, poles and where the search for the chemical potential begins."""

    def __init__(
        self,
        hamiltonian: SDHamiltonian,
        kT: float,
        constraint: dict[str, float],
        tolerance: float,
        mu_start: float | None,
        device: torch.device,
    ) -> None:
        self.hamiltonian, self.kT, self.device = hamiltonian, kT, device
        self.mu, self.n_electrons = constraint.get("mu"), constraint.get("n_electrons")
        self.n_levels = hamiltonian.n_spin_orbitals
        site_coupling = np.bincount(hamiltonian.orbital_site, np.abs(hamiltonian.orbital_coupling))
        self.tolerance = _fit_tolerance(tolerance, float(site_coupling.max()), self.mu is None)
        self.low, self.high = self._range()
        reach = self.high - self.low if self.mu is None else max(self.high - self.mu, self.mu - self.low)
        self.poles = fermi_poles(rounded_width(reach / kT), self.tolerance)
        self.frequencies = torch.tensor(self.poles.frequencies * kT, device=device)
        self.residues = torch.tensor(self.poles.residues * kT, device=device)
        sites, vertex = np.unique(hamiltonian.orbital_site, return_inverse=True)
        self.inverse = SelectedInverse(hamiltonian.one_body, vertex, _lattice_coordinates(hamiltonian)[sites], device)
        self.trace = float(hamiltonian.one_body.diagonal().real.sum())
        self.mu_start = self._first_mu() if mu_start is None else min(max(mu_start, self.low), self.high)

    def _range(self) -> tuple[float, float]:
        """Levels and chemical potentials that occur lie in this interval."""
        low, high = spectral_bounds(self.hamiltonian)
        number = self.n_electrons
        if number is not None and 0 < number < self.n_levels:
            low += self.kT * math.log(number / self.n_levels)
            high -= self.kT * math.log1p(-number / self.n_levels)
        return low, high

    def _first_mu(self) -> float:
        """Chemical potential of a Gaussian density of states with the moments of H."""
        if self.n_electrons is None or not 0 < self.n_electrons < self.n_levels:
            return 0.0
        one_body, coupling = self.hamiltonian.one_body, self.hamiltonian.orbital_coupling
        mean = self.trace / self.n_levels
        square = (float((abs(one_body) ** 2).sum()) + 2 * float((coupling**2).sum())) / self.n_levels
        guess = mean + math.sqrt(max(square - mean**2, 0.0)) * float(ndtri(self.n_electrons / self.n_levels))
        return min(max(guess, self.low), self.high)

    def potential(self, spins: Tensor) -> Tensor:
        """Omega or F of spins (R, n, 3), shape (R,)."""
        if self.mu is None:
            return self.solve(spins).energy
        mu = spins.new_full((len(spins),), self.mu)
        return self._grand_potential(mu, self._log_dets(self.hamiltonian.exchange_blocks(spins), mu))

    def solve(self, spins: Tensor) -> ElectronicState:
        """State for spins (R, n, 3)."""
        if self.n_electrons in (0, self.n_levels):
            return self._empty_or_full(spins)
        exchange = self.hamiltonian.exchange_blocks(spins)
        if self.mu is not None:
            mu = spins.new_full((len(spins),), self.mu)
            return self._state(mu, self._sums(exchange, mu))
        return self._state(*self._at_fixed_number(exchange))

    def _chunks(self, mu: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """(replica, pole, z) of all pairs, as many at a time as fit in memory."""
        shape = (len(mu), len(self.frequencies))
        z = torch.complex(mu[:, None].expand(shape), self.frequencies.expand(shape)).flatten()
        pairs = torch.cartesian_prod(*(torch.arange(n, device=self.device) for n in shape)).view(-1, 2)
        budget = CHUNK_BYTES.get(self.device.type, CHUNK_BYTES["cuda"])
        size = max(1, budget // (16 * self.inverse.entries))
        for pair, shift in zip(pairs.split(size), z.split(size), strict=True):
            yield pair[:, 0], pair[:, 1], shift

    def _log_dets(self, exchange: Tensor, mu: Tensor) -> Tensor:
        pieces = [self.inverse(z, exchange[replica], inverse=False)[0] for replica, _, z in self._chunks(mu)]
        return torch.cat(pieces).view(len(mu), -1)

    def _sums(self, exchange: Tensor, mu: Tensor) -> PoleSums:
        log_dets, traces, total = [], [], torch.zeros_like(exchange)
        for replica, pole, z in self._chunks(mu):
            log_det, blocks = self.inverse(z, exchange[replica])
            assert blocks is not None
            log_dets.append(log_det)
            traces.append(blocks.diagonal(dim1=-2, dim2=-1).sum((-2, -1)))
            total.index_add_(0, replica, self.residues[pole].view(-1, 1, 1, 1) * blocks)
        density_matrix = (total + total.mH) / 2 + torch.eye(2, dtype=total.dtype, device=self.device) / 2
        return PoleSums(torch.cat(log_dets).view(len(mu), -1), torch.cat(traces).view(len(mu), -1), density_matrix)

    def _number(self, sums: PoleSums) -> Tensor:
        """Electrons N (R,) at the chemical potential of the sums."""
        return self.n_levels / 2 + sums.traces.real @ self.residues

    def _grand_potential(self, mu: Tensor, log_dets: Tensor) -> Tensor:
        """Omega (R,); ln(x^2 + omega^2) = 2 ln|z - e| - 2 ln kT for a level e."""
        reduced = log_dets - self.n_levels * math.log(self.kT)
        constant = self.kT * self.poles.constant * self.n_levels
        return (self.trace - self.n_levels * mu) / 2 - reduced @ self.residues + constant

    def _at_fixed_number(self, exchange: Tensor) -> tuple[Tensor, PoleSums]:
        """Chemical potentials (R,) that give the electron number, and the sums there."""
        assert self.n_electrons is not None
        search = [
            NumberSearch(self.poles, self.kT, self.mu_start, (self.low, self.high), self.n_levels, self.tolerance)
            for _ in exchange
        ]
        mu = exchange.real.new_full((len(exchange),), self.mu_start)
        found = before = self._sums(exchange, mu)
        sums = found
        active = torch.arange(len(exchange), device=self.device)
        while len(active):
            excess = (self._number(sums) - self.n_electrons).tolist()
            traces = sums.traces.cpu().numpy()
            going_on = [not search[r].found(excess[k], traces[k]) for k, r in enumerate(active.tolist())]
            mu[active] = torch.tensor([search[r].mu for r in active.tolist()], dtype=mu.dtype, device=self.device)
            active = active[torch.tensor(going_on, device=self.device)]
            if len(active):
                sums = self._sums(exchange[active], mu[active])
                before = before.updated(active, PoleSums(*(values[active] for values in found._all)))
                found = found.updated(active, sums)
        weights = torch.tensor([one.weight for one in search], dtype=mu.dtype, device=self.device)
        found = found.extrapolated(before, weights)
        return mu, found

    def _state(self, mu: Tensor, sums: PoleSums) -> ElectronicState:
        count = self._number(sums)
        omega = self._grand_potential(mu, sums.log_dets)
        band = (self.trace - self.n_levels * mu) / 2
        band -= (sums.traces.imag * self.frequencies + self.n_levels) @ self.residues
        internal = band + mu * count
        fixed = self.n_electrons
        density, spin = density_and_spin(sums.density_matrix)
        return ElectronicState(
            energy=omega if fixed is None else omega + mu * fixed,
            field=self.hamiltonian.site_field(spin),
            density=self.hamiltonian.site_density(density),
            mu=mu,
            n_electrons=count if fixed is None else torch.full_like(mu, fixed),
            internal_energy=internal,
            entropy=(internal - omega - mu * count) / self.kT,
        )

    def _empty_or_full(self, spins: Tensor) -> ElectronicState:
        """No electrons, or no holes: nothing depends on the spins."""
        full = self.n_electrons != 0
        zero = spins.new_zeros(len(spins))
        energy = zero + (self.trace if full else 0.0)
        density = spins.new_full((len(spins), self.hamiltonian.n_orbitals), 2.0 if full else 0.0)
        return ElectronicState(
            energy=energy,
            field=torch.zeros_like(spins),
            density=self.hamiltonian.site_density(density),
            mu=zero + (math.inf if full else -math.inf),
            n_electrons=zero + (self.n_levels if full else 0),
            internal_energy=energy,
            entropy=zero,
        )


def _lattice_coordinates(hamiltonian: SDHamiltonian) -> NDArray[np.float64]:
    """Positions (N, 3) in the directions of the cell's vectors, so that lattice rows are straight."""
    cell = hamiltonian.system.cell
    return hamiltonian.system.positions @ np.linalg.inv(cell) * np.linalg.norm(cell, axis=1)
