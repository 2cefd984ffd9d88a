"""Electrons of one connected system with a rational function in place of the Fermi function."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.sparse import coo_array
from torch import Tensor

from gnnspin.electrons.density import density_and_spin
from gnnspin.electrons.hamiltonian import SDHamiltonian
from gnnspin.electrons.poles.fitting import RationalOccupation
from gnnspin.electrons.poles.pole_sums import CHUNK_BYTES, lattice_coordinates
from gnnspin.electrons.poles.rational_levels import RationalLevels
from gnnspin.electrons.poles.selected_inverse import SelectedInverse

#: The search for the chemical potential ends where fields interpolated to it err by less than this part of themselves.
_CLOSE = 1e-3
#: Evaluations through which polynomials are drawn, and the farthest step in heights of the lowest pole.
_INTERPOLATED, _FARTHEST = 3, 3.0
_LONGEST_SEARCH = 15


class FewPolesState(NamedTuple):
    """Energies (R,), Omega or F, fields (R, n, 3) and chemical potentials (R,) of R replicas.

    `columns`, where asked for, are the fields (R, n, 3, 2 P) of Re w_k = 1 and of Im w_k = 1 alone, at the mu of the
    last evaluation.
    """

    energy: Tensor
    field: Tensor
    mu: Tensor
    columns: Tensor | None = None


class OccupationTensors(NamedTuple):
    """Poles (n,), weights (n,), complex128, and constant () of a `RationalOccupation`, on a device."""

    poles: Tensor
    weights: Tensor
    constant: Tensor

    def function(self) -> RationalOccupation:
        """The function on the host."""
        poles, weights = torch.stack(self[:2]).cpu().numpy()
        return RationalOccupation(poles, weights, float(self.constant))


class FewPoles:
    """One connected system: the plan of its inversion, and sums of Green's functions at the poles of a function.

    With ``r(x) = c + Re sum_k w_k / (zeta_k - x)`` the density matrix is r(H - mu) and the potential is
    ``Omega = c Tr(H - mu) - Re sum_k w_k ln det(mu + zeta_k - H)``, of which fields and the number of electrons
    ``N = Tr r(H - mu)`` are the exact derivatives.

    Parameters
    ----------
    hamiltonian : SDHamiltonian
    device : torch.device
    """

    def __init__(self, hamiltonian: SDHamiltonian, device: torch.device) -> None:
        self.hamiltonian, self.device = hamiltonian, device
        self.n_levels = hamiltonian.n_spin_orbitals
        self._trace = float(hamiltonian.one_body.diagonal().real.sum())
        sites, vertex = np.unique(hamiltonian.orbital_site, return_inverse=True)
        self._inverse = SelectedInverse(hamiltonian.one_body, vertex, lattice_coordinates(hamiltonian)[sites], device)
        self.alignment = Alignment(hamiltonian, device)

    def solve(
        self,
        spins: Tensor,
        occupation: OccupationTensors,
        mu: Tensor,
        n_electrons: float | None = None,
        *,
        columns: bool = False,
    ) -> FewPolesState:
        """State for spins (R, n, 3), with Green's functions in the precision of the spins.

        Parameters
        ----------
        spins : (R, n, 3)
        occupation : OccupationTensors
        mu : (R,)
            Chemical potentials, or where the search for them begins if `n_electrons` is given.
        n_electrons : float, optional
            Electron number that is held fixed.
        columns : bool
            Whether the fields of the single weights are wanted, too.
        """
        exchange = self.hamiltonian.unchecked_exchange_blocks(spins).to(spins.dtype.to_complex())
        if n_electrons is None:
            sums = self._sums(exchange, mu, occupation)
            single = self._columns(sums.greens, spins) if columns else None
            return FewPolesState(sums.omega, self._field(sums.matrix, spins), mu, single)
        function = occupation.function()
        searches = [_Search(function, n_electrons, self.n_levels, self._trace, start) for start in mu.tolist()]
        found: list[list[tuple[Tensor, Tensor]]] = [[] for _ in searches]
        greens: list[Tensor] = [spins.new_empty(0)] * len(searches)
        active = list(range(len(searches)))
        while active:
            at = torch.tensor([searches[r].mu for r in active], dtype=mu.dtype, device=self.device)
            sums = self._sums(exchange[active], at, occupation)
            potentials, fields = sums.omega + at * n_electrons, self._field(sums.matrix, spins)
            for r, energy, field, blocks in zip(active, potentials, fields, sums.greens, strict=True):
                found[r].append((energy, field))
                greens[r] = blocks
            # the search runs on the host: one copy in every round of it
            known = torch.cat([sums.number[:, None].to(sums.traces), sums.traces], 1).cpu().numpy()
            active = [
                r for r, each in zip(active, known, strict=True) if not searches[r].receive(each[0].real, each[1:])
            ]
        shares = [torch.tensor(search.shares, dtype=mu.dtype, device=self.device) for search in searches]
        last = [each[-len(share) :] for each, share in zip(found, shares, strict=True)]
        # dF/dmu is what is missing of the number, and zero at the answer
        energies = [each[s.nearest][0] + s.rest_of_energy for each, s in zip(found, searches, strict=True)]
        interpolated = [
            torch.tensordot(share.to(spins), torch.stack([f for _, f in each]), 1)
            for each, share in zip(last, shares, strict=True)
        ]
        return FewPolesState(
            torch.stack(energies),
            torch.stack(interpolated),
            torch.tensor([search.mu for search in searches], dtype=mu.dtype, device=self.device),
            self._columns(torch.stack(greens), spins) if columns else None,
        )

    def _columns(self, greens: Tensor, spins: Tensor) -> Tensor:
        """Fields (R, n, 3, 2 P) of the Hermitian parts of G and of i G, from blocks (R, P, M, 2, 2) at every pole."""
        parts = [(each + each.mH) / 2 for green in greens.unbind(1) for each in (green, 1j * green)]
        return torch.stack([self._field(part, spins) for part in parts], -1)

    def _field(self, matrix: Tensor, spins: Tensor) -> Tensor:
        return self.hamiltonian.site_field(density_and_spin(matrix)[1]).to(spins.dtype)

    def _sums(self, exchange: Tensor, mu: Tensor, occupation: OccupationTensors) -> _Sums:
        poles, weights, constant = occupation
        budget = CHUNK_BYTES.get(self.device.type, CHUNK_BYTES["cuda"])
        size = exchange.dtype.itemsize * self._inverse.entries(exchange.dtype) * len(poles)
        parts = zip(exchange.split(max(1, budget // size)), mu.split(max(1, budget // size)), strict=True)
        pieces = [self._greens_functions(some, at, poles) for some, at in parts]
        log_dets, greens = (torch.cat(each) for each in zip(*pieces, strict=True))
        traces = greens.diagonal(dim1=-2, dim2=-1).sum((-2, -1), dtype=torch.complex128)
        total = torch.matmul(weights.to(greens.dtype), greens.flatten(2)).view_as(exchange)
        matrix = (total + total.mH) / 2
        matrix.diagonal(dim1=-2, dim2=-1).add_(constant)
        omega = constant * (self._trace - self.n_levels * mu) - (log_dets @ weights).real
        return _Sums(omega, constant * self.n_levels + (traces @ weights).real, matrix, traces, greens)

    def _greens_functions(self, exchange: Tensor, mu: Tensor, poles: Tensor) -> tuple[Tensor, Tensor]:
        """Ln det (R, P) and diagonal blocks of G (R, P, M, 2, 2) at every pole."""
        shifts = (mu[:, None] + poles).to(exchange.dtype)
        repeated = exchange[:, None].expand(-1, len(poles), -1, -1, -1).flatten(0, 1)
        log_dets, blocks = self._inverse(shifts.flatten(), repeated, angles=True)
        assert blocks is not None
        return log_dets.view_as(shifts), blocks.view(*shifts.shape, *exchange.shape[1:])


class _Sums(NamedTuple):
    """Omega (R,), number (R,), density matrix (R, M, 2, 2), and of every pole Tr G (R, P) and G (R, P, M, 2, 2)."""

    omega: Tensor
    number: Tensor
    matrix: Tensor
    traces: Tensor
    greens: Tensor


class _Search:
    """Search for the chemical potential of one replica, which ends where fields can be interpolated to the answer.

    The first step follows the density of states as Tr G tells it, later ones the inverse of a polynomial through the
    last numbers of electrons. A function that is no approximation of the Fermi function may have no answer: after 15
    evaluations the best of them is taken.

    Attributes
    ----------
    mu : float
        Where to evaluate next; at the end the answer.
    shares : (k,) array
        At the end, Lagrange's weights at `mu` of the last k evaluations.
    """

    def __init__(
        self, occupation: RationalOccupation, n_electrons: float, n_levels: int, trace: float, mu: float
    ) -> None:
        self.mu, self._occupation, self._wanted = mu, occupation, n_electrons
        self._n_levels, self._trace = n_levels, trace
        self._height = float(occupation.poles.imag.min())
        self._at: list[float] = []
        self._missing: list[float] = []

    def receive(self, number: float, traces: NDArray[np.complex128]) -> bool:
        """Take the number of electrons and Tr G at `mu`; true if `mu` is now the answer, else it is where to go on."""
        self._at.append(self.mu)
        self._missing.append(self._wanted - number)
        if self._missing[-1] == 0:
            better, expected = self.mu, True
        elif len(self._at) == 1:
            better = self.mu + min(self._by_density(traces), self._by_levels(traces) - self.mu, key=abs)
            expected = True
        else:
            better, expected = self._by_interpolation(self._by_density(traces))
        self.nearest = len(self._at) - 1
        near = np.array(self._at[-_INTERPOLATED:])
        error = np.prod(np.abs(better - near) / self._height) / math.factorial(len(near))
        if len(self._at) == _LONGEST_SEARCH and not (expected and error <= _CLOSE):
            best = int(np.abs(self._missing).argmin())
            self.mu, self.shares, self.nearest = self._at[best], np.eye(len(self._at))[best], best
            return True
        self.mu, self.nearest = better, int(np.abs(np.array(self._at) - better).argmin())
        self.shares = np.array([np.prod([(better - b) / (a - b) for b in near if b != a]) for a in near])
        return bool(expected and error <= _CLOSE)

    @property
    def rest_of_energy(self) -> float:
        """Free energy at `mu` less that of the nearest evaluation: its slope falls from what is missing there to 0."""
        return 0.5 * self._missing[self.nearest] * (self.mu - self._at[self.nearest])

    def _by_density(self, traces: NDArray[np.complex128]) -> float:
        """A step by the density of states at the lowest pole, not too long."""
        density = -traces[self._occupation.poles.imag.argmin()].imag / math.pi
        longest = _FARTHEST * self._height
        step = self._missing[-1] / density if density > 0 else math.inf
        return math.copysign(min(abs(step), longest), self._missing[-1])

    def _by_levels(self, traces: NDArray[np.complex128]) -> float:
        """The chemical potential at which few levels that have the same Tr G hold the number."""
        levels = RationalLevels(self.mu + self._occupation.poles, traces, self._n_levels, self._trace)

        def number(mu: float) -> float:
            return float(levels.weights @ self._occupation(levels.levels - mu))

        target, step = number(self.mu) + self._missing[0], math.copysign(self._height, self._missing[0])
        while (number(self.mu + step) - target) * step < 0:
            if abs(step) > self._n_levels:
                return math.inf
            step *= 2
        low, high = sorted((self.mu, self.mu + step))
        return float(brentq(lambda mu: number(mu) - target, low, high))

    def _by_interpolation(self, step: float) -> tuple[float, bool]:
        """Inverse interpolation through the last evaluations, between those that enclose the answer if any do.

        Where none do it goes no farther than four times a step by the density of states; false if that is what it does,
        or if the middle of two that enclose the answer is all that is known.
        """
        low = max((a for a, m in zip(self._at, self._missing, strict=True) if m > 0), default=-math.inf)
        high = min((a for a, m in zip(self._at, self._missing, strict=True) if m <= 0), default=math.inf)
        enclosed = -math.inf < low < high < math.inf
        for count in range(min(len(self._at), _INTERPOLATED), 1, -1):
            at, missing = self._at[-count:], self._missing[-count:]
            if len(set(missing)) < count:
                continue
            better = sum(
                a * float(np.prod([m2 / (m2 - m) for m2 in missing if m2 != m]))
                for a, m in zip(at, missing, strict=True)
            )
            if low < better < high if enclosed else 0 < (better - self._at[-1]) / step < 4:
                return better, True
        return (low + high) / 2 if enclosed else self._at[-1] + 2 * step, False


class Alignment:
    """Mean S_i . S_j (R,) of spins (R, n, 3) over all hops between sites, weighted by their squares: -1 to 1.

    Parameters
    ----------
    hamiltonian : SDHamiltonian
    device : torch.device
    """

    def __init__(self, hamiltonian: SDHamiltonian, device: torch.device | str = "cpu") -> None:
        stored = coo_array(hamiltonian.one_body)
        row, column = (hamiltonian.orbital_site[c // 2] for c in stored.coords)
        between = row != column
        squares = np.abs(stored.data[between]) ** 2
        shares = squares / squares.sum() if len(squares) else squares
        arrays = row[between], column[between], shares
        self._first, self._second, self._shares = (torch.from_numpy(each).to(device) for each in arrays)

    def __call__(self, spins: Tensor) -> Tensor:
        products = (spins.index_select(1, self._first) * spins.index_select(1, self._second)).sum(-1)
        return products.to(self._shares) @ self._shares
