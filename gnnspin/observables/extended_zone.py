"""The extended zone: how far S(q) of a lattice with a basis goes before it repeats, and the grid that covers it.

The phases ``exp(-i q . r_i)`` repeat under a translation G of q when ``G . (r_i - r_j)`` is a multiple of 2 pi for all
sites. For one site per cell that holds for every reciprocal lattice vector; with a basis at fractions n / M of the
primitive vectors it holds for ``M b_k``: kagome and pyrochlore M = 2, honeycomb M = 3. A basis at other fractions never
repeats, and one asks for a window.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gnnspin.core.errors import InvalidInput
from gnnspin.observables.reciprocal import dimension, reciprocal_vectors, shortest_modulo
from gnnspin.systems.system import FloatArray, IntArray, SpinSystem

#: Largest number of reciprocal cells along one direction that is looked for.
_MOST_ZONES = 24

#: Largest deviation of a basis site from a fraction n / M, in primitive vectors.
_TOLERANCE = 1e-6

Zones = int | tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class WaveVectorGrid:
    """A grid of wave vectors ``q = sum_k (m_k / L_k) b_k`` that holds -q with every q.

    Attributes
    ----------
    indices : three (K_k,) int64 arrays
        The integers m_k in the order of the fast Fourier transform: 0, 1, ..., -2, -1.
    vectors : (K1, K2, K3, 3) float64
        Cartesian q; the negative of the one at (i, j, k) is at (-i, -j, -k).
    repeats : (n, 3) float64 or None
        Shortest translations under which S(q) repeats; None for a window of an S(q) that does not close on the grid.
    """

    indices: tuple[IntArray, IntArray, IntArray]
    vectors: FloatArray
    repeats: FloatArray | None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of wave vectors (K1, K2, K3)."""
        return len(self.indices[0]), len(self.indices[1]), len(self.indices[2])

    def distance(self, peak: FloatArray) -> FloatArray:
        """Distance (K1, K2, K3) of every wave vector from `peak` (3,) or its nearest repetition."""
        difference = self.vectors - peak
        closest = difference if self.repeats is None else shortest_modulo(difference, self.repeats)
        return np.asarray(np.linalg.norm(closest, axis=-1), dtype=np.float64)


def extended_zones(system: SpinSystem) -> tuple[int, int, int]:
    """Reciprocal cells along ``b_1, b_2, b_3`` after which S(q) repeats: 1 without a basis, kagome 2, honeycomb 3.

    Raises
    ------
    InvalidInput
        If the system is not a lattice, or its basis sits at no fractions of the cell with a denominator up to 24, so
        that S(q) never repeats.
    """
    zones = _zones(system)
    if zones is None:
        raise InvalidInput(
            f"the basis of this lattice is at no simple fractions of its cell, so S(q) never repeats; give zones, the "
            f"number of reciprocal cells to cover (fractions up to denominator {_MOST_ZONES} were tried)"
        )
    return zones


def extended_reciprocal_vectors(system: SpinSystem) -> FloatArray:
    """Shortest translations of q under which S(q) of any spins repeats, shape (n, 3) in n dimensions.

    Equal to `reciprocal_vectors` on a lattice without a basis, which they span the volume of. Their Wigner-Seitz cell
    is the extended zone: four times the first Brillouin zone of the kagome lattice, three times that of the honeycomb
    lattice. Errors as in `extended_zones`.
    """
    n = dimension(system)
    zones = extended_zones(system)
    b = reciprocal_vectors(system)[:n]
    steps = np.array(list(itertools.product(*[range(-m, m + 1) for m in zones[:n]])))
    phases = steps @ _fractions(system)[:, :n].T
    candidates = steps[(np.abs(phases - np.round(phases)) < n * max(zones) * _TOLERANCE).all(axis=1)] @ b
    lengths = np.linalg.norm(candidates, axis=1)
    shortest: list[FloatArray] = []
    for candidate in candidates[np.lexsort((*candidates.T, np.round(lengths / lengths.max(), 9)))]:
        trial = np.array([*shortest, candidate])
        if len(shortest) < n and np.linalg.matrix_rank(trial, tol=1e-6 * lengths.max()) == len(trial):
            shortest.append(candidate)
    return np.array(shortest)


@lru_cache(maxsize=16)
def wave_vector_grid(system: SpinSystem, zones: Zones | None = None) -> WaveVectorGrid:
    """Grid of `wave_vectors`, with its indices and repetitions; parameters and errors as there."""
    periods = _zones(system)
    chosen = _asked_zones(system, zones)
    shape = np.array(system.lattice_shape) * chosen
    closes = [periods is not None and count % periods[k] == 0 for k, count in enumerate(chosen)]
    shape += [not closed and n % 2 == 0 for closed, n in zip(closes, shape, strict=True)]
    indices = [np.round(np.fft.fftfreq(n) * n).astype(np.int64) for n in shape]
    mesh = np.stack(np.meshgrid(*indices, indexing="ij"), axis=-1)
    vectors = mesh / np.array(system.lattice_shape) @ reciprocal_vectors(system)
    repeats = extended_reciprocal_vectors(system) if all(closes) else None
    return WaveVectorGrid((indices[0], indices[1], indices[2]), vectors, repeats)


def wave_vectors(system: SpinSystem, zones: Zones | None = None) -> FloatArray:
    """Grid ``q = sum_k (m_k / L_k) b_k`` that `structure_factor` is given on, Cartesian, shape (K1, K2, K3, 3).

    Parameters
    ----------
    system : SpinSystem
        A lattice of L1 x L2 x L3 cells.
    zones : int or three ints, optional
        Reciprocal cells to cover along each direction, about q = 0. Default: `extended_zones`, after which S(q)
        repeats; ``K_k = zones_k L_k`` then. A direction in which S(q) does not close on the asked window gets an odd
        number of points, one more where needed. Directions of a single open cell have q = 0.

    Notes
    -----
    The m_k are in the order of the fast Fourier transform (0, 1, ..., -2, -1), and -q is at the negative index.

    Raises
    ------
    InvalidInput
        If the system is not a lattice, or `zones` are not positive or left out where S(q) never repeats.
    """
    return wave_vector_grid(system, zones).vectors.copy()


def _asked_zones(system: SpinSystem, zones: Zones | None) -> IntArray:
    if zones is None:
        return np.array(extended_zones(system), dtype=np.int64)
    chosen = np.broadcast_to(np.asarray(zones), (3,)).astype(np.int64)
    if (chosen < 1).any() or (chosen != np.asarray(zones)).any():
        raise InvalidInput(f"zones={zones} must be positive whole numbers of reciprocal cells, one or three")
    flat = np.arange(3) >= dimension(system)
    return np.where(flat, 1, chosen)


def _zones(system: SpinSystem) -> tuple[int, int, int] | None:
    """Period of S(q) in reciprocal cells; None where it never repeats."""
    fractions = _fractions(system)
    found = []
    for k in range(3):
        column = fractions[:, k] if k < dimension(system) else np.zeros(1)
        fits = (
            m for m in range(1, _MOST_ZONES + 1) if np.abs(m * column - np.round(m * column)).max() < m * _TOLERANCE
        )
        found.append(next(fits, 0))
    return (found[0], found[1], found[2]) if all(found) else None


def _fractions(system: SpinSystem) -> FloatArray:
    """Basis sites relative to the first one in primitive vectors (n_basis, 3)."""
    basis = system.positions[: system.n_basis]
    return np.asarray((basis - basis[0]) @ np.linalg.inv(system.primitive_vectors), dtype=np.float64)
