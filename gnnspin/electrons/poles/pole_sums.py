"""Electrons of one connected system from Green's functions at the poles of a rational Fermi function."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
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

#: Fields are computed in single precision where the tolerance is this many times ``eps W / kT``, W the spectral width:
#: rounding is then less than a twentieth of the tolerance.
_SINGLE = 4.0

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
    """Of every replica: number N (R,), Omega (R,), Tr H f(H) (R,) and the diagonal blocks of f(H) (R, M, 2, 2)."""

    number: Tensor
    omega: Tensor
    band_energy: Tensor
    density_matrix: Tensor


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
        fields_tolerance = tolerance
        self.tolerance = _fit_tolerance(tolerance, float(site_coupling.max()), self.mu is None)
        self.bounds = spectral_bounds(hamiltonian)
        low, high = self._range()
        reach = high - low if self.mu is None else max(high - self.mu, self.mu - low)
        self.single = fields_tolerance >= _SINGLE * torch.finfo(torch.float32).eps * reach / kT
        self.poles = fermi_poles(rounded_width(reach / kT), self.tolerance)
        self.frequencies = torch.tensor(self.poles.frequencies * kT, device=device)
        self.residues = torch.tensor(self.poles.residues * kT, device=device)
        sites, vertex = np.unique(hamiltonian.orbital_site, return_inverse=True)
        self.inverse = SelectedInverse(hamiltonian.one_body, vertex, lattice_coordinates(hamiltonian)[sites], device)
        self.trace = float(hamiltonian.one_body.diagonal().real.sum())
        self.mu_start = mu_start

    def _range(self) -> tuple[float, float]:
        """Levels and chemical potentials that occur lie in this interval."""
        low, high = self.bounds
        number = self.n_electrons
        if number is not None and 0 < number < self.n_levels:
            low += self.kT * math.log(number / self.n_levels)
            high -= self.kT * math.log1p(-number / self.n_levels)
        return low, high

    def potential(self, spins: Tensor) -> Tensor:
        """Omega or F of spins (R, n, 3), shape (R,)."""
        if self.mu is None:
            return self.solve(spins).energy
        mu = spins.new_full((len(spins),), self.mu)
        exchange = self.hamiltonian.unchecked_exchange_blocks(spins)
        chunks = self._chunks(*self._column(mu), dtype=exchange.dtype)
        pieces = [self.inverse(z, exchange[r], inverse=False)[0] for r, z in chunks]
        return self._grand_potential(mu, torch.cat(pieces).view(len(mu), -1))

    def field(self, spins: Tensor) -> Tensor:
        """Fields (R, n, 3) of spins (R, n, 3), in single precision where the tolerance allows."""
        return self.solve(spins, single=self.single).field

    def solve(self, spins: Tensor, *, single: bool = False) -> ElectronicState:
        """State for spins (R, n, 3); from Green's functions in single precision all but its field is less accurate."""
        if self.n_electrons in (0, self.n_levels):
            return self._empty_or_full(spins)
        exchange = self.hamiltonian.unchecked_exchange_blocks(spins)
        if single:
            exchange = exchange.to(torch.complex64)
        if self.mu is not None:
            mu = spins.new_full((len(spins),), self.mu)
            return self._state(mu, self._at_fixed_potential(exchange, mu))
        return self._state(*self._at_fixed_number(exchange))

    def _chunks(self, replicas: Tensor, shifts: Tensor, dtype: torch.dtype) -> Iterator[tuple[Tensor, Tensor]]:
        """Replicas and z of pairs (B,), as many at a time as fit in memory."""
        budget = CHUNK_BYTES.get(self.device.type, CHUNK_BYTES["cuda"])
        size = max(1, budget // (dtype.itemsize * self.inverse.entries(dtype)))
        return zip(replicas.split(size), shifts.to(dtype).split(size), strict=True)

    def _greens_functions(
        self, exchange: Tensor, replicas: Tensor, shifts: Tensor
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """ln|det|, Tr G and diagonal blocks of G for pairs (B,) of a replica and a z, chunk by chunk.

        The precision is that of `exchange`, the results are in double precision.
        """
        for replica, z in self._chunks(replicas, shifts, exchange.dtype):
            log_dets, found = self.inverse(z, exchange[replica])
            assert found is not None
            blocks = found.to(torch.complex128)
            yield log_dets, blocks.diagonal(dim1=-2, dim2=-1).sum((-2, -1)), blocks

    def _column(self, mu: Tensor) -> tuple[Tensor, Tensor]:
        """Replicas and z (R * n,) of all poles at one mu per replica."""
        replicas = torch.arange(len(mu), device=self.device).repeat_interleave(len(self.frequencies))
        return replicas, torch.complex(mu[:, None], self.frequencies.expand(len(mu), -1)).flatten()

    def _at_fixed_potential(self, exchange: Tensor, mu: Tensor) -> PoleSums:
        """Sums over a column of poles at chemical potentials (R,)."""
        replicas, shifts = self._column(mu)
        residues, total = self.residues.repeat(len(mu)), torch.zeros_like(exchange, dtype=torch.complex128)
        log_dets: list[Tensor] = []
        traces: list[Tensor] = []
        for log_det, trace, blocks in self._greens_functions(exchange, replicas, shifts):
            done = sum(len(each) for each in traces)
            part = slice(done, done + len(trace))
            total.index_add_(0, replicas[part], residues[part].view(-1, 1, 1, 1) * blocks)
            log_dets.append(log_det)
            traces.append(trace)
        found = torch.cat(traces).view(len(mu), -1)
        products = shifts.view_as(found) * found - self.n_levels
        return PoleSums(
            number=self.n_levels / 2 + found.real @ self.residues,
            omega=self._grand_potential(mu, torch.cat(log_dets).view(len(mu), -1)),
            band_energy=self.trace / 2 + products.real @ self.residues,
            density_matrix=_density_matrix(total, torch.full_like(mu, 0.5)),
        )

    def _grand_potential(self, mu: Tensor, log_dets: Tensor) -> Tensor:
        """Omega (R,); ln(x^2 + omega^2) = 2 ln|z - e| - 2 ln kT for a level e."""
        reduced = log_dets - self.n_levels * math.log(self.kT)
        constant = self.kT * self.poles.constant * self.n_levels
        return (self.trace - self.n_levels * mu) / 2 - reduced @ self.residues + constant

    def _at_fixed_number(self, exchange: Tensor) -> tuple[Tensor, PoleSums]:
        """Chemical potentials (R,) that give the electron number, and the sums there."""
        searches = [self._search() for _ in exchange]
        log_dets: dict[int, Tensor] = {}
        kept: dict[int, Tensor] = {}
        active = list(range(len(searches)))
        while active:
            counts = [len(searches[r].points) for r in active]
            replicas = torch.tensor(np.repeat(active, counts), device=self.device)
            shifts = torch.tensor(np.concatenate([searches[r].points for r in active]), device=self.device)
            found = [torch.cat(p) for p in zip(*self._greens_functions(exchange, replicas, shifts), strict=True)]
            # the search runs on the host: one copy in every round of it
            known = torch.stack([found[0].to(found[1].dtype), found[1]], 1).cpu().numpy()
            rounds = zip(
                active, np.split(known, np.cumsum(counts)[:-1]), *(p.split(counts) for p in found), strict=True
            )
            for r, known_there, log_det, _, blocks in rounds:
                if searches[r].stage == "column":
                    log_dets[r], kept[r] = log_det, blocks
                elif searches[r].stage == "refinement":
                    kept[r] = torch.cat([kept[r], blocks])
                searches[r].receive(known_there[:, 0].real, known_there[:, 1])
            active = [r for r in active if len(searches[r].points)]
        return self._combined(searches, [log_dets[r] for r in range(len(searches))], kept)

    def _search(self) -> NumberSearch:
        assert self.n_electrons is not None
        given = (self.poles, self.kT, self.n_electrons, self.n_levels, self.trace, self.bounds, self.tolerance)
        return NumberSearch(*given, self.mu_start)

    def _combined(
        self, searches: list[NumberSearch], log_dets: list[Tensor], kept: dict[int, Tensor]
    ) -> tuple[Tensor, PoleSums]:
        """Chemical potentials that were found, and the combinations of Green's functions there."""

        def numbers(values: Iterable[float]) -> Tensor:
            return torch.tensor(list(values), dtype=torch.float64, device=self.device)

        total = []
        for r, search in enumerate(searches):
            weights = torch.tensor(self.kT * search.combination.coefficients, device=self.device)
            total.append(torch.tensordot(weights, kept[r], dims=1))
        change = numbers(search.potential_change for search in searches)
        return numbers(search.mu for search in searches), PoleSums(
            number=numbers(search.number for search in searches),
            omega=self._grand_potential(numbers(s.column for s in searches), torch.stack(log_dets)) + change,
            band_energy=numbers(search.band_energy for search in searches),
            density_matrix=_density_matrix(torch.stack(total), numbers(s.combination.constant for s in searches)),
        )

    def _state(self, mu: Tensor, sums: PoleSums) -> ElectronicState:
        fixed, count, omega = self.n_electrons, sums.number, sums.omega
        density, spin = density_and_spin(sums.density_matrix)
        return ElectronicState(
            energy=omega if fixed is None else omega + mu * fixed,
            field=self.hamiltonian.site_field(spin),
            density=self.hamiltonian.site_density(density),
            mu=mu,
            n_electrons=count if fixed is None else torch.full_like(mu, fixed),
            internal_energy=sums.band_energy,
            entropy=(sums.band_energy - omega - mu * count) / self.kT,
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


def _density_matrix(total: Tensor, constant: Tensor) -> Tensor:
    """Blocks (R, M, 2, 2) of ``constant`` (R,) plus the Hermitian part of sums of Green's functions."""
    identity = torch.eye(2, dtype=total.dtype, device=total.device)
    return (total + total.mH) / 2 + constant.view(-1, 1, 1, 1) * identity


def lattice_coordinates(hamiltonian: SDHamiltonian) -> NDArray[np.float64]:
    """Positions (N, 3) in the directions of the cell's vectors, so that lattice rows are straight."""
    cell = hamiltonian.system.cell
    return hamiltonian.system.positions @ np.linalg.inv(cell) * np.linalg.norm(cell, axis=1)
