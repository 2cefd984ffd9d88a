"""Pole expansion and selected inversion: exact fields without diagonalisation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import as_spins
from gnnspin.electrons.exact_diagonalization import _constraints
from gnnspin.electrons.hamiltonian import SDHamiltonian
from gnnspin.electrons.number_search import NumberSearch
from gnnspin.electrons.rational import SMALLEST_TOLERANCE, fermi_poles, rounded_width
from gnnspin.electrons.selected_inverse import SelectedInverse
from gnnspin.electrons.state import ElectronicState

#: Memory that the matrices inverted together may take, in bytes.
CHUNK_BYTES = {"cpu": 2**27, "cuda": 2**33}

#: Spectral bounds are widened by this factor; accepted spins may be that much longer than 1.
_MARGIN = 1.001

#: At fixed electron number occupations are approximated better by this factor.
_NUMBER_MARGIN = 20.0


class PoleExpansion(FieldSource):
    """Field source that sums Green's functions at the poles of a rational Fermi function; float64, any sparse H.

    The density matrix is ``f(H) = 1/2 + kT sum_j R_j Re G(z_j)`` with ``G(z) = (z - H)^-1`` at the poles
    ``z_j = mu + i omega_j kT`` of `rational.fermi_poles` and Re the Hermitian part; only its diagonal blocks are
    computed, by `SelectedInverse`. The grand potential comes from log-determinants at the same poles,
    ``Omega = Tr(H - mu)/2 - kT sum_j R_j ln|det(z_j - H)| + const``, of which the returned field is the exact gradient.
    At fixed electron number mu is found by a bracketed search that starts from the last one, and the energy is
    ``F = Omega + mu N``.

    Cost grows as N^1.5 in two dimensions and N^2 in three; on a graph that connects everything with everything the
    selected inversion is a dense inverse per pole (`dense` is then True), and `ExactDiagonalization` is the better
    choice. The idea is that of Lin et al., J. Phys.: Condens. Matter 25, 295501 (2013),
    doi:10.1088/0953-8984/25/29/295501.

    Parameters
    ----------
    hamiltonian : SDHamiltonian
        Its system may be a union: every part is then solved by itself.
    kT : float
        Temperature in units of the hopping, > 0.
    mu : float, optional
        Chemical potential. Give exactly one of `mu`, `filling`, `n_electrons`.
    filling : float, optional
        Electrons per spin-orbital, 0 to 1, in every part of a union.
    n_electrons : float or one per part of a union, optional
        Electron number, 0 to D; need not be an integer. In a gap, mu is defined only as far as N(mu) is: any value
        that gives this number within the tolerance.
    tolerance : float
        Error of every site's field |delta H_i|, in units of the hopping. Occupations are approximated to
        ``tolerance / (2 max_i sum_m |J_m|)``, which at fixed mu makes it a strict bound; at fixed number mu depends on
        the occupations of all levels, and they are approximated 20 times better.
    device : torch.device or str
        Where the matrices are inverted.

    Raises
    ------
    InvalidInput
        If a number is out of range, kT is zero, or not exactly one of `mu`, `filling`, `n_electrons` is given.
    ConvergenceError
        If the tolerance cannot be reached in float64 at this temperature.

    Examples
    --------
    >>> from gnnspin.core import random_spins
    >>> from gnnspin.systems import triangular
    >>> oracle = PoleExpansion(SDHamiltonian(triangular(6, 6), J=3.0), kT=0.01, mu=-3.2)
    >>> oracle.field(random_spins(36, seed=0)).shape
    torch.Size([36, 3])
    """

    def __init__(
        self,
        hamiltonian: SDHamiltonian,
        kT: float = 0.01,
        *,
        mu: float | None = None,
        filling: float | None = None,
        n_electrons: float | Sequence[float] | None = None,
        tolerance: float = 1e-8,
        device: torch.device | str | None = None,
    ) -> None:
        if not np.isfinite(kT) or kT <= 0:
            raise InvalidInput(
                f"kT={kT} must be a positive temperature: a step has no pole expansion; "
                "use ExactDiagonalization(hamiltonian, kT=0.0, ...) at zero temperature"
            )
        if not 0 < tolerance <= 0.1:
            raise InvalidInput(f"tolerance={tolerance} must lie between 0 and 0.1, in units of the hopping")
        self.hamiltonian = hamiltonian
        self.system = hamiltonian.system
        self.device = torch.device("cpu" if device is None else device)
        self.kT, self.tolerance = float(kT), float(tolerance)
        constraints = _constraints(hamiltonian, mu=mu, filling=filling, n_electrons=n_electrons)
        self._parts = [
            _Part(part, self.kT, constraint, self.tolerance, self.device)
            for part, constraint in zip(hamiltonian.parts, constraints, strict=True)
        ]
        given = {"mu": mu, "filling": filling, "n_electrons": n_electrons}
        self._given = {
            name: np.asarray(value, dtype=np.float64).tolist() for name, value in given.items() if value is not None
        }

    @property
    def n_poles(self) -> int:
        """Poles in the upper half plane: matrices inverted per replica; the largest number among the parts."""
        return max(len(part.poles.frequencies) for part in self._parts)

    @property
    def dense(self) -> bool:
        """Whether some part is so densely connected that its matrices are inverted as dense ones."""
        return any(part.inverse.dense for part in self._parts)

    @property
    def relative_work(self) -> float:
        """Complex multiply-adds of all poles at one mu, over the sum of D^3 of the parts.

        Diagonalisation with eigenvectors costs about as much time as D^3 of them: below 1 the expansion is the faster
        one at fixed mu, below about 1/4 at fixed number, where a search takes three or four mu.
        """
        own = sum(len(part.poles.frequencies) * part.inverse.cost for part in self._parts)
        return own / sum(float(part.n_levels) ** 3 for part in self._parts)

    def solve(self, spins: Tensor | ArrayLike, time: float | None = None) -> ElectronicState:
        """Energies, field, density and thermodynamics.

        Parameters
        ----------
        spins : (..., N, 3)
            Unit spins.
        time : float, optional
            Ignored: equilibrium does not depend on time.

        Returns
        -------
        ElectronicState
            On the spins' device; the field in the spins' dtype, everything else in float64. The error of the entropy
            is that of the energies over kT.

        Raises
        ------
        InvalidInput
            If the spins have the wrong shape or are not finite unit vectors.
        """
        del time
        given = as_spins(spins, self.system.n_sites).detach()
        own = given.to(self.device, self.dtype).reshape(-1, *given.shape[-2:])
        solved = [part.solve(piece) for part, piece in self._pieces(own)]
        replicas = given.shape[:-2]
        shape = replicas if self.system.n_graphs == 1 else (*replicas, self.system.n_graphs)

        def total(name: str) -> Tensor:
            return torch.stack([getattr(part, name) for part in solved], -1).to(given.device).reshape(shape)

        return ElectronicState(
            energy=total("energy"),
            field=torch.cat([part.field for part in solved], 1).to(given).reshape(given.shape),
            density=torch.cat([part.density for part in solved], 1).to(given.device).reshape(given.shape[:-1]),
            mu=total("mu"),
            n_electrons=total("n_electrons"),
            internal_energy=total("internal_energy"),
            entropy=total("entropy"),
        )

    def _evaluate(
        self, spins: Tensor, time: float | None, *, energy: bool, field: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        del time
        if not field:
            return torch.stack([part.potential(piece) for part, piece in self._pieces(spins)], -1), None
        solved = [part.solve(piece) for part, piece in self._pieces(spins)]
        return torch.stack([part.energy for part in solved], -1), torch.cat([part.field for part in solved], 1)

    def _pieces(self, spins: Tensor) -> list[tuple[_Part, Tensor]]:
        sizes = [part.hamiltonian.system.n_sites for part in self._parts]
        return list(zip(self._parts, spins.split(sizes, dim=1), strict=True))

    def specification(self) -> dict[str, Any]:
        """See `FieldSource.specification`."""
        return {
            "class": type(self).__name__,
            "hamiltonian": self.hamiltonian.specification(),
            "kT": self.kT,
            "tolerance": self.tolerance,
            **self._given,
        }

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value}" for name, value in self._given.items())
        return f"PoleExpansion({self.hamiltonian}, kT={self.kT}, {given}, tolerance={self.tolerance})"


def spectral_bounds(hamiltonian: SDHamiltonian) -> tuple[float, float]:
    """Interval that contains every level for any unit spins: Gershgorin discs of K, widened by max |J|."""
    diagonal = hamiltonian.one_body.diagonal().real
    radius = np.asarray(abs(hamiltonian.one_body).sum(axis=1)).ravel() - np.abs(diagonal)
    radius = radius + np.repeat(np.abs(hamiltonian.orbital_coupling), 2)
    low, high = float((diagonal - radius).min()), float((diagonal + radius).max())
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
class _Sums:
    """At one mu per replica: ln|det| and Tr G at every pole (R, n), and the diagonal blocks of f(H) (R, M, 2, 2)."""

    log_dets: Tensor
    traces: Tensor
    density_matrix: Tensor

    def updated(self, replicas: Tensor, sums: _Sums) -> _Sums:
        """These sums with those of some replicas replaced."""
        return _Sums(*(old.index_copy(0, replicas, new) for old, new in zip(self._all, sums._all, strict=True)))

    def extrapolated(self, before: _Sums, weights: Tensor) -> _Sums:
        """These sums plus ``weights`` (R,) times their change."""
        pairs = zip(self._all, before._all, strict=True)
        return _Sums(*(new + weights.view(-1, *[1] * (new.ndim - 1)) * (new - old) for new, old in pairs))

    @property
    def _all(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.log_dets, self.traces, self.density_matrix


class _Part:
    """One connected system: plan, poles and the last chemical potential."""

    def __init__(
        self,
        hamiltonian: SDHamiltonian,
        kT: float,
        constraint: dict[str, float],
        tolerance: float,
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
        self._last_mu = self._first_mu()

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

    def _sums(self, exchange: Tensor, mu: Tensor) -> _Sums:
        log_dets, traces, total = [], [], torch.zeros_like(exchange)
        for replica, pole, z in self._chunks(mu):
            log_det, blocks = self.inverse(z, exchange[replica])
            assert blocks is not None
            log_dets.append(log_det)
            traces.append(blocks.diagonal(dim1=-2, dim2=-1).sum((-2, -1)))
            total.index_add_(0, replica, self.residues[pole].view(-1, 1, 1, 1) * blocks)
        density_matrix = (total + total.mH) / 2 + torch.eye(2, dtype=total.dtype, device=self.device) / 2
        return _Sums(torch.cat(log_dets).view(len(mu), -1), torch.cat(traces).view(len(mu), -1), density_matrix)

    def _number(self, sums: _Sums) -> Tensor:
        """Electrons N (R,) at the chemical potential of the sums."""
        return self.n_levels / 2 + sums.traces.real @ self.residues

    def _grand_potential(self, mu: Tensor, log_dets: Tensor) -> Tensor:
        """Omega (R,); ln(x^2 + omega^2) = 2 ln|z - e| - 2 ln kT for a level e."""
        reduced = log_dets - self.n_levels * math.log(self.kT)
        constant = self.kT * self.poles.constant * self.n_levels
        return (self.trace - self.n_levels * mu) / 2 - reduced @ self.residues + constant

    def _at_fixed_number(self, exchange: Tensor) -> tuple[Tensor, _Sums]:
        """Chemical potentials (R,) that give the electron number, and the sums there."""
        assert self.n_electrons is not None
        search = [
            NumberSearch(self.poles, self.kT, self._last_mu, (self.low, self.high), self.n_levels, self.tolerance)
            for _ in exchange
        ]
        mu = exchange.real.new_full((len(exchange),), self._last_mu)
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
                before = before.updated(active, _Sums(*(values[active] for values in found._all)))
                found = found.updated(active, sums)
        weights = torch.tensor([one.weight for one in search], dtype=mu.dtype, device=self.device)
        found = found.extrapolated(before, weights)
        self._last_mu = float(mu.mean())
        return mu, found

    def _state(self, mu: Tensor, sums: _Sums) -> ElectronicState:
        count = self._number(sums)
        omega = self._grand_potential(mu, sums.log_dets)
        band = (self.trace - self.n_levels * mu) / 2
        band -= (sums.traces.imag * self.frequencies + self.n_levels) @ self.residues
        internal = band + mu * count
        fixed = self.n_electrons
        up, down, flip = (sums.density_matrix[..., a, b] for a, b in ((0, 0), (1, 1), (1, 0)))
        spin = torch.stack([2 * flip.real, 2 * flip.imag, up.real - down.real], -1)
        return ElectronicState(
            energy=omega if fixed is None else omega + mu * fixed,
            field=self.hamiltonian.site_field(spin),
            density=self.hamiltonian.site_density(up.real + down.real),
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
