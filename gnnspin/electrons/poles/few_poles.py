"""Electrons of one connected system with a rational function in place of the Fermi function."""

from __future__ import annotations

from collections.abc import Iterator
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

FloatArray = NDArray[np.float64]

#: The search for the chemical potential ends where its next step is smaller than this part of the lowest pole's height.
_CLOSE = 1e-3
_LONGEST_SEARCH = 12


class FewPolesState(NamedTuple):
    """Energies (R,), Omega or F, fields (R, n, 3), chemical potentials (R,) and evaluations (R,) of R replicas."""

    energy: Tensor
    field: Tensor
    mu: Tensor
    evaluations: Tensor


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
        self, spins: Tensor, occupation: RationalOccupation, mu: Tensor, n_electrons: float | None = None
    ) -> FewPolesState:
        """State for spins (R, n, 3), with Green's functions in the precision of the spins.

        Parameters
        ----------
        spins : (R, n, 3)
        occupation : RationalOccupation
        mu : (R,)
            Chemical potentials, or where the search for them begins if `n_electrons` is given.
        n_electrons : float, optional
            Electron number that is held fixed.
        """
        exchange = self.hamiltonian.unchecked_exchange_blocks(spins).to(spins.dtype.to_complex())
        if n_electrons is None:
            omega, _, matrix, _ = self._sums(exchange, mu, occupation)
            return FewPolesState(omega, self._field(matrix, spins), mu, torch.ones_like(mu))
        searches = [_Search(occupation, n_electrons, self.n_levels, self._trace, start) for start in mu.tolist()]
        energy, field, evaluations = mu.clone(), torch.zeros_like(spins), torch.zeros_like(mu)
        active = list(range(len(spins)))
        while active:
            at = torch.tensor([searches[r].mu for r in active], dtype=mu.dtype, device=self.device)
            omega, number, matrix, traces = self._sums(exchange[active], at, occupation)
            energy[active], field[active] = omega + at * n_electrons, self._field(matrix, spins)
            evaluations[active] += 1
            # the search runs on the host: one copy in every round of it
            known = torch.cat([number[:, None].to(traces), traces], 1).cpu().numpy()
            active = [r for r, each in zip(active, known, strict=True) if not searches[r].receive(each[0].real, each[1:])]
        found = torch.tensor([search.mu for search in searches], dtype=mu.dtype, device=self.device)
        return FewPolesState(energy, field, found, evaluations)

    def _field(self, matrix: Tensor, spins: Tensor) -> Tensor:
        return self.hamiltonian.site_field(density_and_spin(matrix)[1]).to(spins.dtype)

    def _sums(
        self, exchange: Tensor, mu: Tensor, occupation: RationalOccupation
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Omega (R,), number (R,), blocks of the density matrix (R, M, 2, 2) and Tr G (R, n)."""
        poles = torch.tensor(occupation.poles, device=self.device)
        weights = torch.tensor(occupation.weights, device=self.device)
        shifts = (mu[:, None] + poles).flatten()
        replicas = torch.arange(len(mu), device=self.device).repeat_interleave(len(poles))
        each = weights.repeat(len(mu))
        total = torch.zeros_like(exchange, dtype=torch.complex128)
        logarithms, traces = torch.zeros_like(shifts), torch.zeros_like(shifts)
        for part in self._chunks(len(shifts), exchange.dtype):
            log_dets, blocks = self._inverse(shifts[part].to(exchange.dtype), exchange[replicas[part]], angles=True)
            assert blocks is not None
            total.index_add_(0, replicas[part], each[part].view(-1, 1, 1, 1) * blocks)
            logarithms[part] = log_dets
            traces[part] = blocks.diagonal(dim1=-2, dim2=-1).sum((-2, -1), dtype=torch.complex128)
        logarithms, traces = logarithms.view(len(mu), -1), traces.view(len(mu), -1)
        omega = occupation.constant * (self._trace - self.n_levels * mu) - (logarithms @ weights).real
        number = occupation.constant * self.n_levels + (traces @ weights).real
        identity = torch.eye(2, dtype=total.dtype, device=self.device)
        return omega, number, (total + total.mH) / 2 + occupation.constant * identity, traces

    def _chunks(self, count: int, dtype: torch.dtype) -> Iterator[slice]:
        """Matrices, as many at a time as fit in memory."""
        budget = CHUNK_BYTES.get(self.device.type, CHUNK_BYTES["cuda"])
        size = max(1, budget // (dtype.itemsize * self._inverse.entries(dtype)))
        for start in range(0, count, size):
            yield slice(start, start + size)


class _Search:
    """Search for the chemical potential of one replica, with a model of its density of states from all known Tr G."""

    def __init__(
        self, occupation: RationalOccupation, n_electrons: float, n_levels: int, trace: float, mu: float
    ) -> None:
        self.mu, self._occupation, self._wanted = mu, occupation, n_electrons
        self._n_levels, self._trace = n_levels, trace
        self._points: list[NDArray[np.complex128]] = []
        self._traces: list[NDArray[np.complex128]] = []

    def receive(self, number: float, traces: NDArray[np.complex128]) -> bool:
        """Take the number of electrons and Tr G at `mu`; true if this mu is the answer, otherwise a better one is set."""
        self._points.append(self.mu + self._occupation.poles)
        self._traces.append(traces)
        points, known = np.concatenate(self._points), np.concatenate(self._traces)
        levels = RationalLevels(points, known, self._n_levels, self._trace)
        offset = number - self._number(levels, self.mu)

        def missing(mu: float) -> float:
            return self._number(levels, mu) + offset - self._wanted

        step = -np.sign(missing(self.mu)) * self._occupation.poles.imag.min()
        if step == 0:
            return True
        while missing(self.mu + step) * missing(self.mu) > 0 and abs(step) < 1e3:
            step *= 2
        better = float(brentq(missing, self.mu, self.mu + step)) if abs(step) < 1e3 else self.mu
        close = abs(better - self.mu) < _CLOSE * self._occupation.poles.imag.min()
        if close or len(self._points) == _LONGEST_SEARCH:
            return True
        self.mu = better
        return False

    def _number(self, levels: RationalLevels, mu: float) -> float:
        return float(levels.weights @ self._occupation(levels.levels - mu))


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
