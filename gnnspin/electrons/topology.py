"""Chern number and Hall conductivity of a periodic spin state, over twisted boundary conditions of its cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import ConvergenceError, InvalidInput
from gnnspin.core.spins import as_spins
from gnnspin.electrons.hamiltonian import SDHamiltonian
from gnnspin.electrons.hopping.phases import crossings, orbital_fractions
from gnnspin.electrons.hopping.rules import Hops
from gnnspin.electrons.occupation import fermi

#: Levels closer than this, relative to the largest |level|, do not count as a gap.
GAP_TOLERANCE = 1e-9

#: Berry flux through one plaquette up to which the sum of fluxes is trusted, in units of pi.
_TRUSTED_FLUX = 0.5

_LARGEST_GRID = 128

#: Twists per direction of the first and the last sum for a Hall conductivity.
_COARSE_GRID, _FINEST_GRID = 12, 384

#: Memory that the matrices diagonalised together may take, in bytes.
_CHUNK_BYTES = 2**26


@torch.no_grad()
def chern_number(
    hamiltonian: SDHamiltonian,
    spins: Tensor | ArrayLike,
    n_occupied: int,
    *,
    grid: int = 8,
    axes: tuple[int, int] = (0, 1),
    device: torch.device | str = "cpu",
) -> int:
    """Chern number C of the lowest levels; the Hall conductivity is ``C e^2/h`` when mu lies in the gap above them.

    The system is taken as the cell of an infinite crystal whose spins repeat; its Brillouin zone is the torus of the
    twists (theta_1, theta_2). On a grid of twists the Berry flux of a plaquette is the phase of the product of
    ``det <u(theta)|u(theta')>`` around it (Fukui, Hatsugai, Suzuki, J. Phys. Soc. Jpn. 74, 1674 (2005), eq. 7-9 and 16,
    doi:10.1143/JPSJ.74.1674), an integer for every grid; the grid is doubled until no flux exceeds pi/2.
    ``C = (1/2pi) int (d_1 A_2 - d_2 A_1)`` with ``A = i <u|du>``: the opposite sign of that paper, the sign of
    Xiao, Chang, Niu, Rev. Mod. Phys. 82, 1959 (2010), doi:10.1103/RevModPhys.82.1959.

    Parameters
    ----------
    hamiltonian : SDHamiltonian
        Of a periodic system, with a hopping rule: a matrix does not tell which hops cross the boundary. The smallest
        magnetic cell is the cheapest.
    spins : (N, 3)
        Unit spins.
    n_occupied : int
        Number of levels below the gap, 1 to D - 1.
    grid : int
        Twists per direction to begin with.
    axes : two of 0, 1, 2
        Cell vectors that span the torus.
    device : torch.device or str
        Where the matrices are diagonalised.

    Raises
    ------
    InvalidInput
        If an argument is out of range, an axis is open or the Hamiltonian has no hopping rule.
    ConvergenceError
        If the gap above the levels closes at some twist, or the fluxes stay large on the finest grid.

    Examples
    --------
    The noncoplanar state of four sublattices on the triangular lattice with one electron in four:

    >>> from gnnspin.electrons import NearestNeighborHopping
    >>> from gnnspin.systems import triangular
    >>> n1, n2 = np.indices((2, 2)).reshape(2, -1)
    >>> spins = np.stack([(-1.0) ** n1, (-1.0) ** n2, (-1.0) ** (n1 + n2)], axis=1) / np.sqrt(3)
    >>> abs(chern_number(SDHamiltonian(triangular(2, 2), J=3.0), spins, n_occupied=2))
    1
    """
    family = _TwistedFamily.of(hamiltonian, spins, axes, torch.device(device))
    if int(n_occupied) != n_occupied or not 0 < n_occupied < hamiltonian.n_spin_orbitals:
        raise InvalidInput(f"n_occupied={n_occupied} must lie between 1 and {hamiltonian.n_spin_orbitals - 1}")
    if grid < 2:
        raise InvalidInput(f"grid={grid} must be at least 2 twists per direction")
    while grid <= max(_LARGEST_GRID, 2):
        flux = _plaquette_fluxes(family, int(n_occupied), grid)
        if float(flux.abs().max()) <= _TRUSTED_FLUX * np.pi:
            return -round(float(flux.sum()) / (2 * np.pi))
        grid *= 2
    raise ConvergenceError(f"Berry fluxes stay above pi/2 on a grid of {grid // 2}: the gap is too small to resolve")


class HallConductivity(float):
    """A Hall conductivity in units of e^2/h: a number that knows its error.

    Attributes
    ----------
    error : float
        Difference to the grid of half as many twists per direction; an upper bound where the sum converges.
    grid : int
        Twists per direction.
    """

    error: float
    grid: int

    def __new__(cls, value: float, error: float, grid: int) -> HallConductivity:
        """Number with its error."""
        found = super().__new__(cls, value)
        found.error, found.grid = error, grid
        return found


@torch.no_grad()
def hall_conductivity(
    hamiltonian: SDHamiltonian,
    spins: Tensor | ArrayLike,
    *,
    kT: float,
    mu: float,
    grid: int | None = None,
    tolerance: float = 1e-3,
    axes: tuple[int, int] = (0, 1),
    device: torch.device | str = "cpu",
) -> HallConductivity:
    """Intrinsic anomalous Hall conductivity in units of e^2/h, in metals too.

    ``sigma = (1/2pi) int d^2theta sum_n f_n Omega_n`` with the Kubo form of the Berry curvature,
    ``Omega_n = -2 Im sum_{n' != n} <n|d_1 H|n'><n'|d_2 H|n> / (e_n - e_n')^2`` (Xiao, Chang, Niu, Rev. Mod. Phys. 82,
    1959 (2010), eq. 1.13 and 3.5, doi:10.1103/RevModPhys.82.1959). The midpoint sum over twists converges exponentially
    in a gap, in a metal as soon as kT resolves the level spacing; the grid is doubled until two sums agree.

    Parameters
    ----------
    kT, mu : float
        Temperature >= 0 and chemical potential in units of the hopping.
    grid : int, optional
        Twists per direction, 2 or more, in place of the search; the error is then stated, whatever it is.
    tolerance : float
        Largest accepted difference of the last two grids.
    hamiltonian, spins, axes, device
        As in `chern_number`; errors too.

    Returns
    -------
    HallConductivity
        A float with the attributes ``error`` and ``grid``.

    Raises
    ------
    ConvergenceError
        If the sums still differ on the finest grid: a metal too cold for it, or a gap too small.
    """
    if not np.isfinite(kT) or kT < 0 or not np.isfinite(mu):
        raise InvalidInput(f"kT={kT} must be >= 0 and mu={mu} finite")
    if not tolerance > 0 or (grid is not None and grid < 2):
        raise InvalidInput(f"tolerance={tolerance} must be positive and grid={grid} at least 2")
    family = _TwistedFamily.of(hamiltonian, spins, axes, torch.device(device))
    size = 2 * _COARSE_GRID if grid is None else grid
    previous = _hall_sum(family, size // 2, kT, mu)
    while True:
        value = _hall_sum(family, size, kT, mu)
        error = abs(value - previous)
        if grid is not None or error <= tolerance:
            return HallConductivity(value, error, size)
        if size >= _FINEST_GRID:
            raise ConvergenceError(
                f"the Hall conductivity changes by {error:.1e} between {size // 2} and {size} twists per direction; "
                f"use a larger tolerance, a larger kT (now {kT}), or give grid="
            )
        previous, size = value, 2 * size


def _hall_sum(family: _TwistedFamily, grid: int, kT: float, mu: float) -> float:
    """Midpoint sum over a grid of twists."""
    twists = 2 * np.pi * (torch.arange(grid, dtype=torch.float64, device=family.exchange.device) + 0.5) / grid
    total = sum(
        _occupied_curvature(family, float(first), piece, kT, mu)
        for first in twists
        for piece in twists.split(family.chunk)
    )
    return 2 * np.pi * float(total) / grid**2


def _occupied_curvature(family: _TwistedFamily, first: float, second: Tensor, kT: float, mu: float) -> float:
    """sum_n f_n Omega_n, summed over twists (T,); equal occupations cancel, so a degenerate level does no harm."""
    levels, vectors = torch.linalg.eigh(family.matrix(first, second))
    velocity = [vectors.mH @ family.velocity(k, first, second) @ vectors for k in (0, 1)]
    weights = fermi(levels, torch.full_like(levels[:, 0], mu), kT)
    distance = levels.unsqueeze(2) - levels.unsqueeze(1)
    distance = torch.where(distance.abs() <= GAP_TOLERANCE * levels.abs().max(), torch.inf, distance)
    difference = weights.unsqueeze(2) - weights.unsqueeze(1)
    return -float((difference / distance.square() * (velocity[0] * velocity[1].mT).imag).sum())


def _plaquette_fluxes(family: _TwistedFamily, n_occupied: int, grid: int) -> Tensor:
    """Phases (grid, grid) of the products of overlaps around the plaquettes."""
    twists = 2 * np.pi * torch.arange(grid, dtype=torch.float64, device=family.exchange.device) / grid
    rows = (_occupied_states(family, float(first), twists, n_occupied) for first in twists)
    previous = start = next(rows)
    fluxes = []
    for row in [*rows, start]:
        along, across = _link(previous, previous.roll(-1, 0)), _link(previous, row)
        next_along = _link(row, row.roll(-1, 0))
        fluxes.append(torch.angle(across * next_along * across.roll(-1, 0).conj() * along.conj()))
        previous = row
    return torch.stack(fluxes)


def _link(left: Tensor, right: Tensor) -> Tensor:
    """Phase factors of det <left|right>, (grid,)."""
    return torch.linalg.slogdet(left.mH @ right).sign


def _occupied_states(family: _TwistedFamily, first: float, twists: Tensor, n_occupied: int) -> Tensor:
    """Lowest eigenvectors (grid, D, n_occupied) along one line of twists."""
    states = []
    for second in twists.split(family.chunk):
        levels, vectors = torch.linalg.eigh(family.matrix(first, second))
        closed = levels[:, n_occupied] - levels[:, n_occupied - 1] <= GAP_TOLERANCE * levels.abs().max()
        if bool(closed.any()):
            raise ConvergenceError(
                f"the gap above {n_occupied} levels closes at the twist ({first:.4f}, {float(second[closed][0]):.4f}); "
                "its Chern number is not defined"
            )
        states.append(vectors[:, :, :n_occupied])
    return torch.cat(states)


@dataclass(frozen=True)
class _TwistedFamily:
    """H(theta_1, theta_2) = exchange + sum_c exp(i theta . c) K_c over boundary crossings c.

    Attributes
    ----------
    crossed : (C, 2)
        Crossings of the two boundaries, float64.
    terms : (C, D, D)
        K_c.
    velocities : (2, C, D, D)
        i x_k times the amplitudes of K_c, x_k the hop's component along cell vector k: the derivative by theta_k
        where the twist is spread evenly over the cell.
    exchange : (D, D)
    """

    crossed: Tensor
    terms: Tensor
    velocities: Tensor
    exchange: Tensor

    @classmethod
    def of(
        cls, hamiltonian: SDHamiltonian, spins: Tensor | ArrayLike, axes: tuple[int, int], device: torch.device
    ) -> _TwistedFamily:
        rule, system = hamiltonian.hopping, hamiltonian.system
        if not rule.has_bond_vectors or system.n_graphs > 1:
            raise InvalidInput(
                "twists need one system and a hopping rule; a matrix does not tell where hops cross the "
                "boundary (CellHopping makes a rule of a unit cell's matrices)"
            )
        if sorted({*axes} & {0, 1, 2}) != sorted(axes) or not all(system.pbc[k] for k in axes):
            raise InvalidInput(f"axes={axes} must be two different periodic directions; pbc={system.pbc}")
        given = as_spins(spins, system.n_sites).detach().to(device, torch.float64)
        if given.ndim != 2:
            raise InvalidInput(f"give one spin configuration (N, 3); got {tuple(given.shape)}")
        hops = rule.hops(system)
        crossed = crossings(hops, orbital_fractions(rule, system), system)[:, list(axes)]
        step = (hops.vector @ np.linalg.inv(system.cell))[:, list(axes)]
        images, which = np.unique(crossed, axis=0, return_inverse=True)
        picks = [which.reshape(-1) == c for c in range(len(images))]

        def dense(factor: np.ndarray) -> Tensor:
            weighted = hops.times(factor)
            matrices = [_block(weighted, pick, hamiltonian.n_orbitals) for pick in picks]
            return torch.from_numpy(np.stack(matrices)).to(device)

        exchange = torch.block_diag(*hamiltonian.exchange_blocks(given))
        velocities = torch.stack([dense(1j * step[:, k]) for k in (0, 1)])
        return cls(torch.from_numpy(images).to(device, torch.float64), dense(np.ones(len(step))), velocities, exchange)

    @property
    def chunk(self) -> int:
        """Twists diagonalised together."""
        return max(1, _CHUNK_BYTES // (8 * 16 * self.exchange.numel()))

    def matrix(self, first: float, second: Tensor) -> Tensor:
        """H at twists (first, second[t]), shape (T, D, D)."""
        return self.exchange + self._sum(self.terms, first, second)

    def velocity(self, axis: int, first: float, second: Tensor) -> Tensor:
        """dH/dtheta_axis, shape (T, D, D)."""
        return self._sum(self.velocities[axis], first, second)

    def _sum(self, terms: Tensor, first: float, second: Tensor) -> Tensor:
        phase = torch.exp(1j * (self.crossed[:, 0] * first + self.crossed[:, 1] * second.unsqueeze(-1)))
        return torch.tensordot(phase, terms, 1)


def _block(hops: Hops, pick: np.ndarray, n_orbitals: int) -> np.ndarray:
    """Dense (D, D) matrix of some of the hops."""
    chosen = Hops(hops.row[pick], hops.column[pick], hops.vector[pick], hops.amplitude[pick]).with_spin()
    return chosen.matrix(n_orbitals).toarray().astype(np.complex128)
