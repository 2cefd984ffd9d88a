"""Densities of states of exact spectra, total and per site, averaged over packings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import as_spins
from gnnspin.electrons.hamiltonian import SDHamiltonian
from gnnspin.electrons.hopping.phases import crossings, orbital_fractions
from gnnspin.electrons.occupation import chemical_potential
from gnnspin.systems.lattice import cell_indices

LineShape = Literal["gaussian", "lorentzian"]


def line_shape(distance: Tensor, broadening: float, shape: LineShape = "gaussian") -> Tensor:
    """Normalised line of given broadening at a distance from its centre.

    Parameters
    ----------
    distance : (...)
        Energy minus level.
    broadening : float
        Standard deviation of the Gaussian, half width at half maximum of the Lorentzian; > 0.
    shape : "gaussian" or "lorentzian"

    Raises
    ------
    InvalidInput
        If the broadening is not positive or the shape unknown.
    """
    if not np.isfinite(broadening) or broadening <= 0:
        raise InvalidInput(f"broadening={broadening} must be a positive energy")
    x = distance / broadening
    if shape == "gaussian":
        return torch.exp(-x.square() / 2) / (broadening * np.sqrt(2 * np.pi))
    if shape == "lorentzian":
        return 1 / (np.pi * broadening * (1 + x.square()))
    raise InvalidInput(f"shape={shape!r} must be 'gaussian' or 'lorentzian'")


@torch.no_grad()
def density_of_states(
    hamiltonian: SDHamiltonian,
    spins: Tensor | ArrayLike,
    energies: Tensor | ArrayLike,
    broadening: float,
    *,
    shape: LineShape = "gaussian",
    filling: float | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """States per site and energy, ``(1/N) sum_k line(E - e_k)``; its integral is the number of spin-orbitals per site.

    Parameters
    ----------
    hamiltonian : SDHamiltonian
    spins : (..., N, 3)
        Unit spins.
    energies : (E,)
        Where to evaluate, in units of the hopping.
    broadening, shape
        See `line_shape`.
    filling : float, optional
        Electrons per spin-orbital: energies then count from the chemical potential at kT = 0 of each spectrum.
    device : torch.device or str
        Where the matrices are diagonalised.

    Returns
    -------
    (..., E) float64 tensor, or (..., n_graphs, E) for a union

    Raises
    ------
    InvalidInput
        If the spins, the energies or the broadening are invalid.

    Examples
    --------
    >>> from gnnspin.core import random_spins
    >>> from gnnspin.systems import square
    >>> density_of_states(SDHamiltonian(square(4, 4), J=3.0), random_spins(16, seed=0), [-1.0, 0.0, 1.0], 0.1).shape
    torch.Size([3])
    """
    given, grid = _checked(hamiltonian, spins, energies, device)
    pieces = given.split([part.system.n_sites for part in hamiltonian.parts], -2)
    results = []
    for part, piece in zip(hamiltonian.parts, pieces, strict=True):
        levels = _per_replica(piece, lambda one, part=part: torch.linalg.eigvalsh(part.dense(one)))  # type: ignore[misc]
        weights = torch.full_like(levels[..., None, :], 1 / part.system.n_sites)
        results.append(_broadened(levels, weights, grid, broadening, shape, filling).squeeze(-2))
    return (results[0] if len(results) == 1 else torch.stack(results, -2)).to(_device(spins))


@torch.no_grad()
def local_density_of_states(
    hamiltonian: SDHamiltonian,
    spins: Tensor | ArrayLike,
    energies: Tensor | ArrayLike,
    broadening: float,
    *,
    shape: LineShape = "gaussian",
    filling: float | None = None,
    device: torch.device | str = "cpu",
) -> Tensor:
    """States per energy on every site, ``sum_k sum_{m on i, a} |psi_k(m, a)|^2 line(E - e_k)``.

    The mean over the sites is `density_of_states`; parameters and errors as there.

    Returns
    -------
    (..., N, E) float64 tensor
    """
    given, grid = _checked(hamiltonian, spins, energies, device)
    pieces = given.split([part.system.n_sites for part in hamiltonian.parts], -2)
    results = []
    for part, piece in zip(hamiltonian.parts, pieces, strict=True):

        def local(one: Tensor, part: SDHamiltonian = part) -> Tensor:
            levels, vectors = torch.linalg.eigh(part.dense(one))
            orbital = (vectors.real.square() + vectors.imag.square()).unflatten(0, (-1, 2)).sum(1)
            weights = part.site_density(orbital.mT).mT
            return _broadened(levels, weights, grid, broadening, shape, filling)

        results.append(_per_replica(piece, local))
    return torch.cat(results, -2).to(_device(spins))


@dataclass(frozen=True)
class SpectralAverage:
    """Average of densities of states over independent samples.

    Attributes
    ----------
    energies : (E,)
    mean : (E,)
        States per site and energy.
    standard_error : (E,)
        Standard deviation of the mean; NaN for one sample.
    n_samples : int
    """

    energies: Tensor
    mean: Tensor
    standard_error: Tensor
    n_samples: int


def average_density_of_states(
    samples: Iterable[tuple[SDHamiltonian, Tensor | ArrayLike]],
    energies: Tensor | ArrayLike,
    broadening: float,
    *,
    shape: LineShape = "gaussian",
    filling: float | None = None,
    device: torch.device | str = "cpu",
) -> SpectralAverage:
    """Density of states averaged over packings, disorder realisations or spin configurations (glass paper, fig. 2).

    Parameters
    ----------
    samples : iterable of (Hamiltonian, spins)
        One packing after the other; may be a generator, of which one item is held at a time. Replicas of the spins and
        parts of a union count as samples.
    energies, broadening, shape, filling, device
        As in `density_of_states`. With `filling`, every sample's energies count from its own chemical potential.

    Raises
    ------
    InvalidInput
        If there is no sample, or as in `density_of_states`.
    """
    grid = torch.as_tensor(energies, dtype=torch.float64)
    curves = [
        density_of_states(hamiltonian, spins, grid, broadening, shape=shape, filling=filling, device=device).reshape(
            -1, len(grid)
        )
        for hamiltonian, spins in samples
    ]
    if not curves:
        raise InvalidInput("an average needs at least one sample; got an empty iterable")
    stacked = torch.cat([curve.cpu() for curve in curves])
    count = len(stacked)
    error = stacked.std(0) / count**0.5 if count > 1 else torch.full_like(stacked[0], torch.nan)
    return SpectralAverage(grid, stacked.mean(0), error, count)


@torch.no_grad()
def bands(
    hamiltonian: SDHamiltonian,
    spins: Tensor | ArrayLike,
    wave_vectors: ArrayLike,
    *,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Levels of a crystal whose cell, spins included, is the system, at given crystal momenta.

    Parameters
    ----------
    hamiltonian : SDHamiltonian
        Of one periodic system, with a hopping rule; J per orbital or site as it is.
    spins : (N, 3)
        Unit spins of the cell.
    wave_vectors : (Q, 3)
        Cartesian, from `gnnspin.observables.wave_vector_path`, say; components along open directions are ignored.
    device : torch.device or str
        Where the matrices are diagonalised.

    Returns
    -------
    (Q, 2M) float64 tensor
        Ascending at every momentum: the twist of boundary k is ``theta_k = q . A_k``.

    Raises
    ------
    InvalidInput
        If the shapes do not fit, the system is a union or the hopping is a matrix.

    Examples
    --------
    >>> import math, torch
    >>> from gnnspin.systems import chain
    >>> up = torch.tensor([[0.0, 0.0, 1.0]])
    >>> bands(SDHamiltonian(chain(1), J=0.0), up, [[0, 0, 0], [math.pi, 0, 0]])[:, 0].tolist()
    [-2.0, 2.0]
    """
    rule, system = hamiltonian.hopping, hamiltonian.system
    if not rule.has_bond_vectors or system.n_graphs > 1:
        raise InvalidInput("bands need one system and a hopping rule; a matrix does not tell which hops leave the cell")
    given = as_spins(spins, system.n_sites).detach().to(device, torch.float64)
    points = np.asarray(wave_vectors, dtype=np.float64)
    if given.ndim != 2 or points.ndim != 2 or points.shape[1] != 3 or not np.isfinite(points).all():
        raise InvalidInput(f"give one configuration (N, 3) and wave vectors (Q, 3); got {points.shape}")
    twists = np.where(system.pbc, points @ system.cell.T, 0.0)
    hops = rule.hops(system).with_spin()
    crossed = crossings(hops, orbital_fractions(rule, system), system)
    exchange = torch.block_diag(*hamiltonian.exchange_blocks(given))
    levels = []
    for twist in twists:
        matrix = hops.times(np.exp(1j * (crossed @ twist))).matrix(hamiltonian.n_orbitals).toarray()
        levels.append(torch.linalg.eigvalsh(exchange + torch.from_numpy(matrix).to(exchange)))
    return torch.stack(levels).to(_device(spins))


@torch.no_grad()
def band_gap(
    hamiltonian: SDHamiltonian,
    spins: Tensor | ArrayLike,
    n_occupied: int,
    *,
    grid: int = 24,
    device: torch.device | str = "cpu",
) -> float:
    """Gap of a crystal above its lowest bands: lowest empty less highest filled level over all crystal momenta.

    Negative where the bands overlap. The momenta are a grid that holds the zone centre; the gap found is an upper bound
    of the true one.

    Parameters
    ----------
    n_occupied : int
        Filled bands, 1 to 2M - 1.
    grid : int
        Momenta along each periodic direction.
    hamiltonian, spins, device
        As in `bands`; errors too.
    """
    if not 0 < n_occupied < hamiltonian.n_spin_orbitals or grid < 1:
        raise InvalidInput(
            f"n_occupied={n_occupied} must be in 1 .. {hamiltonian.n_spin_orbitals - 1}, grid={grid} >= 1"
        )
    system = hamiltonian.system
    fractions = cell_indices([grid if periodic else 1 for periodic in system.pbc]) / grid
    levels = bands(hamiltonian, spins, fractions @ (2 * np.pi * np.linalg.inv(system.cell).T), device=device)
    return float(levels[:, n_occupied].min() - levels[:, n_occupied - 1].max())


def _broadened(
    levels: Tensor, weights: Tensor, energies: Tensor, broadening: float, shape: LineShape, filling: float | None
) -> Tensor:
    """Lines at levels (..., K) summed with weights (..., n, K): (..., n, E)."""
    if filling is not None:
        if not 0 < filling < 1:
            raise InvalidInput(f"filling={filling} must lie between 0 and 1: the levels need a chemical potential")
        levels = levels - chemical_potential(levels, filling * levels.shape[-1], 0.0).unsqueeze(-1)
    lines = line_shape(energies - levels.unsqueeze(-1), broadening, shape)
    return weights @ lines


def _per_replica(spins: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """One configuration at a time: memory does not grow with the replicas."""
    flat = spins.reshape(-1, *spins.shape[-2:])
    results = torch.stack([function(one) for one in flat])
    return results.reshape(*spins.shape[:-2], *results.shape[1:])


def _checked(
    hamiltonian: SDHamiltonian, spins: Tensor | ArrayLike, energies: Tensor | ArrayLike, device: torch.device | str
) -> tuple[Tensor, Tensor]:
    given = as_spins(spins, hamiltonian.system.n_sites).detach().to(device, torch.float64)
    grid = torch.as_tensor(energies, dtype=torch.float64, device=given.device)
    if grid.ndim != 1 or len(grid) == 0 or not bool(torch.isfinite(grid).all()):
        raise InvalidInput(f"energies have shape {tuple(grid.shape)}; give a list of finite numbers (E,)")
    return given, grid


def _device(spins: Tensor | ArrayLike) -> torch.device:
    return spins.device if isinstance(spins, Tensor) else torch.device("cpu")
