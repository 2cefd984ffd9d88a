"""Hopping rules: from the geometry of a system to its Hermitian matrix of amplitudes h_ij."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
from scipy import sparse

from gnnspin.core.errors import InvalidInput
from gnnspin.graphs.shells import shell_bonds
from gnnspin.systems.system import FloatArray, IntArray, SpinSystem

#: Largest accepted |h_ij - conj(h_ji)|, relative to the largest amplitude.
HERMITIAN_TOLERANCE = 1e-12


class HoppingRule(ABC):
    """A rule that gives the hopping amplitudes of any system; a union gets one diagonal block per part."""

    @abstractmethod
    def block(self, system: SpinSystem) -> sparse.csr_array:
        """Amplitudes h_ij of one connected system, Hermitian (N, N)."""

    @abstractmethod
    def specification(self) -> dict[str, Any]:
        """JSON-able description: class and parameters."""

    def orbitals(self, system: SpinSystem) -> IntArray:
        """Number of orbitals on every site (N,); one unless a rule says otherwise."""
        return np.ones(system.n_sites, dtype=np.int64)

    def matrix(self, system: SpinSystem) -> sparse.csr_array:
        """Amplitudes h_ij of ``sum_ij,a h_ij c+_ia c_ja``.

        Parameters
        ----------
        system : SpinSystem
            Any system; different parts of a union are not connected.

        Returns
        -------
        (N, N) Hermitian sparse array, in units of the hopping
        """
        return sparse.csr_array(sparse.block_diag([self.block(part) for part in system.parts], format="csr"))


@dataclass(frozen=True)
class NearestNeighborHopping(HoppingRule):
    """h_ij = -t on every bond of the first neighbour shell, each bond once.

    The first shell is the shortest distance that occurs in the system. Where several periodic images join one pair (a
    lattice of length 1 or 2) their amplitudes add, so that the levels are those of the infinite lattice's bands.

    Parameters
    ----------
    t : float
        Hopping amplitude; its unit is the unit of energy.

    Raises
    ------
    InvalidInput
        If `t` is not finite.
    """

    t: float = 1.0

    def __post_init__(self) -> None:
        _require_finite("t", self.t)

    def block(self, system: SpinSystem) -> sparse.csr_array:
        """See `HoppingRule.block`."""
        bonds = shell_bonds(system)
        amplitudes = np.full(len(bonds.site), -float(self.t))
        return sparse.coo_array((amplitudes, (bonds.site, bonds.neighbor)), shape=(system.n_sites,) * 2).tocsr()

    def specification(self) -> dict[str, Any]:
        """See `HoppingRule.specification`."""
        return {"class": type(self).__name__, **asdict(self)}


@dataclass(frozen=True)
class ExponentialHopping(HoppingRule):
    """h_ij = +t0 exp(-|r_ij| / length) between all pairs, r_ij the minimum image (glass paper, eq. 17-18).

    Parameters
    ----------
    t0 : float
        Amplitude at distance zero; note the sign, which is opposite to `NearestNeighborHopping`.
    length : float
        Decay length, > 0.

    Raises
    ------
    InvalidInput
        If `t0` is not finite or `length` is not positive.
    """

    t0: float = 1.0
    length: float = 1.0

    def __post_init__(self) -> None:
        _require_finite("t0", self.t0)
        if not np.isfinite(self.length) or self.length <= 0:
            raise InvalidInput(f"length={self.length} must be positive; it is the decay length of the hopping")

    def block(self, system: SpinSystem) -> sparse.csr_array:
        """See `HoppingRule.block`."""
        amplitudes = self.t0 * np.exp(-minimum_image_distances(system) / self.length)
        np.fill_diagonal(amplitudes, 0.0)
        return sparse.csr_array(amplitudes)

    def specification(self) -> dict[str, Any]:
        """See `HoppingRule.specification`."""
        return {"class": type(self).__name__, **asdict(self)}


def minimum_image_distances(system: SpinSystem) -> FloatArray:
    """Distances (N, N) between all pairs, each to its nearest periodic image; exact for skew cells too.

    Wrapped fractional differences lie within 1/2, so the shortest image is no longer than ``R = sum_k |a_k| / 2`` and
    its shift along direction k no more than ``R / height_k + 1/2`` cells.
    """
    difference = system.positions[None, :, :] - system.positions[:, None, :]
    periodic = np.array(system.pbc)
    inverse = np.linalg.inv(system.cell)
    shifts = np.where(periodic, np.round(difference @ inverse), 0.0)
    difference -= shifts @ system.cell
    heights = 1 / np.linalg.norm(inverse, axis=0)
    radius = np.linalg.norm(system.cell[periodic], axis=1).sum() / 2
    if not periodic.all():
        radius += float(np.linalg.norm(np.ptp(system.positions, axis=0)))
    reach = np.where(periodic, np.floor(radius / heights + 0.5), 0).astype(int)
    squared = np.full(difference.shape[:2], np.inf)
    for image in product(*[range(-n, n + 1) for n in reach]):
        np.minimum(squared, np.square(difference + np.array(image) @ system.cell).sum(-1), out=squared)
    return np.sqrt(squared)


def checked_hopping(matrix: Any, system: SpinSystem, orbital_site: IntArray) -> sparse.csr_array:
    """Validate a matrix of amplitudes between the orbitals (M, M) or spin-orbitals (2M, 2M) of a system.

    Raises
    ------
    InvalidInput
        If the matrix is not sparse, has the wrong shape, is not finite or not Hermitian, or connects different parts
        of a union.
    """
    is_sparse: bool = sparse.issparse(matrix)
    if not is_sparse:
        raise InvalidInput(
            f"hopping is a {type(matrix).__name__}; give a rule such as NearestNeighborHopping(t=1.0) or a "
            "scipy.sparse matrix (scipy.sparse.csr_array(array) makes one)"
        )
    n_orbitals = len(orbital_site)
    if matrix.shape not in ((n_orbitals, n_orbitals), (2 * n_orbitals, 2 * n_orbitals)):
        raise InvalidInput(
            f"hopping matrix has shape {matrix.shape}; {n_orbitals} orbitals on {system.n_sites} sites need "
            f"({n_orbitals}, {n_orbitals}), or ({2 * n_orbitals}, {2 * n_orbitals}) with spin; "
            "several orbitals per site need orbitals=..."
        )
    dtype = np.complex128 if np.issubdtype(matrix.dtype, np.complexfloating) else np.float64
    amplitudes = sparse.csr_array(matrix, dtype=dtype)
    if not np.isfinite(amplitudes.data).all():
        raise InvalidInput("hopping matrix contains values that are not finite")
    asymmetry, largest = abs(amplitudes - amplitudes.conj().T).max(), abs(amplitudes).max()
    if asymmetry > HERMITIAN_TOLERANCE * largest:
        raise InvalidInput(
            f"hopping matrix is not Hermitian: |h_ij - conj(h_ji)| reaches {asymmetry:.3e}; "
            "give both directions of every bond, or use (h + h.conj().T) / 2"
        )
    site = np.repeat(orbital_site, matrix.shape[0] // n_orbitals)
    i, j = (site[axis] for axis in amplitudes.tocoo().coords)
    crossing = np.flatnonzero(system.graph_index[i] != system.graph_index[j])
    if len(crossing):
        first, second = (int(ends[crossing[0]]) for ends in (i, j))
        raise InvalidInput(
            f"hopping matrix connects sites {first} and {second} of different parts of a union; set h_ij = 0"
        )
    return amplitudes


def matrix_digest(matrix: sparse.csr_array) -> str:
    """Hash of a sparse matrix; equal amplitudes have equal digests."""
    canonical = sparse.csr_array(matrix, copy=True)
    canonical.sum_duplicates()
    canonical.eliminate_zeros()
    digest = hashlib.sha256()
    for array in (canonical.indptr.astype(np.int64), canonical.indices.astype(np.int64), canonical.data):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]


def _require_finite(name: str, value: float) -> None:
    if not np.isfinite(value):
        raise InvalidInput(f"{name}={value} must be a finite amplitude")
