"""Probe vectors: coloured random phases whose correlations vanish between nearby sites.

A trace ``Tr A = sum_r <r|A|r>`` with random vectors errs by the off-diagonal elements of A between the sites that share
a vector. Sites of one colour share it; colours are chosen so that such sites are far apart, where the elements of a
function of a local Hamiltonian have decayed. Sources: Tang and Saad, Numer. Linear Algebra Appl. 19, 485 (2012),
doi:10.1002/nla.779; Wang, Chern, Batista, Barros, J. Chem. Phys. 148, 094107 (2018), doi:10.1063/1.5017741.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.numbers import seed_number
from gnnspin.electrons.hamiltonian import SDHamiltonian
from gnnspin.systems.distances import minimum_image_distances
from gnnspin.systems.lattice import cell_number, site_cells
from gnnspin.systems.system import FloatArray, IntArray, SpinSystem


@dataclass(frozen=True)
class Probes:
    """Block of R probe vectors in the space of D spin-orbitals, with ``sum_r r r+`` equal to one on the diagonal.

    Attributes
    ----------
    vector_of : (D,) array or None
        The one vector in which a spin-orbital takes part; None where it takes part in all of them.
    phases : (D,) or (D, R) array
        Phase of every element.
    n_vectors : int
        R.
    """

    vector_of: IntArray | None
    phases: FloatArray
    n_vectors: int

    @property
    def exact(self) -> bool:
        """Whether the vectors are the unit vectors, so that traces are exact."""
        return self.vector_of is not None and self.n_vectors == len(self.vector_of)

    def block(self, first: int, last: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """Vectors first .. last - 1 as columns (2D, last - first); real and imaginary parts alternate in the rows."""
        size = len(self.phases)
        if self.exact and not self.phases.any():
            unit = torch.zeros(2 * size, last - first, dtype=dtype, device=device)
            unit[2 * first : 2 * last : 2].fill_diagonal_(1.0)
            return unit
        block = np.zeros((size, 2, last - first))
        if self.vector_of is None:
            phases = self.phases[:, first:last]
            block[:, 0], block[:, 1] = np.cos(phases), np.sin(phases)
            block /= math.sqrt(self.n_vectors)
        else:
            rows = np.flatnonzero((self.vector_of >= first) & (self.vector_of < last))
            columns = self.vector_of[rows] - first
            block[rows, 0, columns], block[rows, 1, columns] = np.cos(self.phases[rows]), np.sin(self.phases[rows])
        return torch.from_numpy(block.reshape(2 * size, -1)).to(device, dtype)


def unit_probes(n_spin_orbitals: int) -> Probes:
    """The D unit vectors: exact traces."""
    return Probes(np.arange(n_spin_orbitals), np.zeros(n_spin_orbitals), n_spin_orbitals)


def random_probes(n_spin_orbitals: int, n_vectors: int, seed: int) -> Probes:
    """Vectors of random phases on every spin-orbital; their noise falls only like 1 / sqrt(n_vectors)."""
    generator = np.random.default_rng([seed_number(seed), n_spin_orbitals])
    return Probes(None, generator.uniform(0, 2 * np.pi, (n_spin_orbitals, n_vectors)), n_vectors)


def colored_probes(hamiltonian: SDHamiltonian, colors: IntArray, seed: int) -> Probes:
    """Random phases on the sites of each colour, one vector per colour and spin-orbital of a site.

    Parameters
    ----------
    hamiltonian : SDHamiltonian
    colors : (N,) integers
        Colour of every site, from `site_colors` or of your own.
    seed : int
        Key of the phases.
    """
    site = hamiltonian.orbital_site
    rank = np.arange(len(site)) - np.searchsorted(site, site)
    component = (2 * rank[:, None] + np.arange(2)).ravel()
    labels = np.repeat(colors[site], 2) * (int(component.max()) + 1) + component
    _, vector_of, shared = np.unique(labels, return_inverse=True, return_counts=True)
    phases = np.random.default_rng([seed_number(seed), len(labels)]).uniform(0, 2 * np.pi, len(labels))
    return Probes(vector_of, np.where(shared[vector_of] == 1, 0.0, phases), len(shared))


def site_colors(hamiltonian: SDHamiltonian, n_colors: int) -> IntArray:
    """Colour of every site, with at most `n_colors` colours and sites of one colour as far apart as they allow.

    A lattice gets tiles, every site of a tile its own colour, where the tiles fit. Otherwise sites at most k bonds
    apart get different colours, with the largest k that `n_colors` allow; where the hopping joins so many pairs that
    not even k = 1 is possible (all-pairs hopping), distances take the place of bonds.

    Parameters
    ----------
    hamiltonian : SDHamiltonian
        One part of a union.
    n_colors : int
        Largest number of colours, 1 or more; N or more gives every site its own.

    Returns
    -------
    (N,) integers, 0 to at most n_colors - 1

    Raises
    ------
    InvalidInput
        If `n_colors` is smaller than 1.
    """
    if n_colors < 1:
        raise InvalidInput(f"n_colors={n_colors} must be a positive number of colours")
    system = hamiltonian.system
    if n_colors >= system.n_sites:
        return np.arange(system.n_sites)
    tiled = lattice_tiles(system, n_colors)
    if tiled is not None:
        return tiled
    adjacency = site_adjacency(hamiltonian)
    colors = _largest_reach(adjacency, n_colors)
    return colors if colors is not None else _geometric_colors(system, n_colors)


def lattice_tiles(system: SpinSystem, n_colors: int) -> IntArray | None:
    """Colours (N,) of the tiling with the largest distance between equal colours; None if no tiling fits.

    Periodic lengths must be multiples of the tile's. Among tilings of equal distance the one with fewer colours wins.
    """
    if system.lattice_shape is None:
        return None
    lengths = system.lattice_shape
    best: tuple[float, int] | None = None
    chosen: tuple[int, ...] | None = None
    options = [
        [c for c in range(1, length + 1) if not periodic or length % c == 0]
        for length, periodic in zip(lengths, system.pbc, strict=True)
    ]
    for tile in product(*options):
        count = math.prod(tile) * system.n_basis
        if count > n_colors:
            continue
        score = (round(_tile_distance(system, tile) / system.spacing, 6), -count)
        if best is None or score > best:
            best, chosen = score, tile
    if chosen is None or best is None or best[0] <= 1 + 1e-6:
        return None
    return cell_number(site_cells(system), chosen) * system.n_basis + system.basis_index


def _tile_distance(system: SpinSystem, tile: tuple[int, ...]) -> float:
    """Shortest vector between equal sites of different tiles."""
    assert system.lattice_shape is not None
    vectors = system.primitive_vectors * np.array(tile)[:, None]
    steps = [
        range(-2, 3) if c < n else range(-2 * p, 2 * p + 1)
        for c, n, p in zip(tile, system.lattice_shape, system.pbc, strict=True)
    ]
    lengths = [float(np.linalg.norm(np.array(step) @ vectors)) for step in product(*steps) if any(step)]
    return min(lengths, default=math.inf)


def site_adjacency(hamiltonian: SDHamiltonian) -> sparse.csr_array:
    """Adjacency matrix (N, N), boolean, of the sites that the one-body matrix K joins, without the diagonal."""
    pairs = hamiltonian.one_body.tocoo()
    kept = pairs.data != 0
    i, j = (hamiltonian.orbital_site[axis[kept] // 2] for axis in pairs.coords)
    n_sites, off = hamiltonian.system.n_sites, i != j
    return sparse.csr_array((np.ones(off.sum(), dtype=bool), (i[off], j[off])), shape=(n_sites, n_sites))


def distance_colors(adjacency: sparse.csr_array, distance: int) -> IntArray:
    """Colours (N,) such that sites of one colour are more than `distance` bonds apart.

    Greedy colouring, sites with the most conflicts first.

    Parameters
    ----------
    adjacency : (N, N) csr_array
        Symmetric; any non-zero is a bond.
    distance : int
        Number of bonds, 1 or more.
    """
    bonds = adjacency.astype(np.float64)
    bonds.data[:] = 1
    reached = bonds
    for _ in range(distance - 1):
        reached = sparse.csr_array(reached + reached @ bonds)
        reached.data[:] = 1
    return _greedy_colors(reached)


def _greedy_colors(conflicts: sparse.csr_array) -> IntArray:
    """The first colour that no conflicting site has, site by site, most conflicts first."""
    degree = np.diff(conflicts.indptr)
    colors = np.full(len(degree), -1)
    for site in np.argsort(-degree, kind="stable"):
        near = colors[conflicts.indices[conflicts.indptr[site] : conflicts.indptr[site + 1]]]
        taken = np.zeros(len(near) + 2, dtype=bool)
        taken[near[(near >= 0) & (near <= len(near))]] = True
        colors[site] = int(np.argmin(taken))
    return colors


def _largest_reach(adjacency: sparse.csr_array, n_colors: int) -> IntArray | None:
    """`distance_colors` with the largest distance that `n_colors` allow; None if not even neighbours can differ."""
    best = None
    for distance in range(1, adjacency.shape[0]):
        colors = distance_colors(adjacency, distance)
        if colors.max() >= n_colors or (best is not None and np.array_equal(colors, best)):
            return best
        best = colors
    return best


def _geometric_colors(system: SpinSystem, n_colors: int) -> IntArray:
    """Greedy colours of the graph of all pairs closer than a radius, the largest that `n_colors` allow."""
    distances = minimum_image_distances(system)
    np.fill_diagonal(distances, np.inf)
    low, high = 0.0, float(distances[np.isfinite(distances)].max(initial=1.0))
    best = np.zeros(system.n_sites, dtype=np.int64)
    for _ in range(30):
        radius = (low + high) / 2
        colors = _greedy_colors(sparse.csr_array(distances < radius))
        if colors.max() < n_colors:
            low, best = radius, colors
        else:
            high = radius
    return best
