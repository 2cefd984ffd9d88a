"""Hopping given as a sparse matrix between the orbitals of one system."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse

from gnnspin.core.errors import InvalidInput
from gnnspin.core.parameter_types import as_sparse
from gnnspin.electrons.hopping.rules import HoppingRule, Hops
from gnnspin.systems.distances import minimum_image_vectors
from gnnspin.systems.system import FloatArray, IntArray, SpinSystem

#: Largest accepted |h_ij - conj(h_ji)|, relative to the largest amplitude.
HERMITIAN_TOLERANCE = 1e-12


class MatrixHopping(HoppingRule, kind="matrix"):
    """Amplitudes between the orbitals of one system, given as a Hermitian matrix.

    A matrix does not say which periodic image an amplitude joins: it takes no phases (fields, twisted boundaries), and
    its hops are taken to the nearest image.

    Parameters
    ----------
    matrix : (M, M) or (2M, 2M) scipy.sparse matrix
        In units of the hopping. (M, M) acts on both spin directions alike; (2M, 2M) has rows ``2 m + a``, spin up
        before spin down, and may mix the spin directions.
    orbitals : int or (N,) integers
        Number of spatial orbitals on every site.

    Raises
    ------
    InvalidInput
        If the matrix is not sparse; when applied to a system that it does not fit.
    """

    def __init__(self, matrix: sparse.sparray | sparse.spmatrix, orbitals: int | Sequence[int] | IntArray = 1) -> None:
        if not sparse.issparse(matrix) and not isinstance(matrix, dict):
            raise InvalidInput(
                f"hopping is a {type(matrix).__name__}; give a rule such as NearestNeighborHopping(t=1.0) or a "
                "scipy.sparse matrix (scipy.sparse.csr_array(array) makes one)"
            )
        self._matrix, self._orbitals = as_sparse(matrix), orbitals

    has_bond_vectors = False

    def orbitals(self, system: SpinSystem) -> IntArray:
        return orbital_counts(self._orbitals, system.n_sites)

    def matrix(self, system: SpinSystem) -> sparse.csr_array:
        """The matrix, checked against a system; errors as in `checked_hopping`."""
        return checked_hopping(self._matrix, system, np.repeat(np.arange(system.n_sites), self.orbitals(system)))

    def part_hops(self, system: SpinSystem) -> Hops:
        counts, matrix = self.orbitals(system), self.matrix(system)
        site, n_orbitals = np.repeat(np.arange(system.n_sites), counts), int(counts.sum())
        width = matrix.shape[0] // n_orbitals
        blocks = sparse.bsr_array(matrix, blocksize=(width, width))
        row = np.repeat(np.arange(n_orbitals), np.diff(blocks.indptr))
        column = blocks.indices.astype(np.int64)
        amplitude = blocks.data if width == 2 else blocks.data[:, 0, 0]
        return Hops(row, column, _nearest_vectors(system, site[row], site[column]), amplitude)

    def hops(self, system: SpinSystem) -> Hops:
        """Hops of all sites of a system; the matrix is that of all parts of a union."""
        return self.part_hops(system)

    def reduced(self, matrix: sparse.csr_array | None) -> MatrixHopping:
        """The rule of an equal (M, M) matrix, where there is one: equal Hamiltonians have equal descriptions."""
        return self if matrix is None else MatrixHopping(matrix, self._orbitals)

    @property
    def digest(self) -> str:
        """Hash of the amplitudes, by which files of versions before 0.2 hold a matrix."""
        return matrix_digest(sparse.csr_array(self._matrix, dtype=_amplitude_type(self._matrix)))

    def completes(self, stored: Mapping[str, Any]) -> bool:
        counts = (np.asarray(stored.get("orbitals", 1)), np.asarray(self._orbitals))
        return stored.get("digest") == self.digest and bool((np.equal(*counts)).all())

    def __repr__(self) -> str:
        return f"MatrixHopping({self._matrix.shape[0]} rows)"


def orbital_counts(orbitals: int | Sequence[int] | IntArray, n_sites: int) -> IntArray:
    """Number of orbitals on every site (N,) from one number or one per site; InvalidInput if they make no sense."""
    counts = np.asarray(orbitals)
    if counts.shape not in ((), (n_sites,)):
        raise InvalidInput(f"orbitals has shape {counts.shape}; give one number or ({n_sites},), one per site")
    if not np.issubdtype(counts.dtype, np.integer) or (counts < 0).any() or not counts.any():
        raise InvalidInput(f"orbitals={orbitals} must be integers >= 0, with at least one orbital in the system")
    return np.broadcast_to(counts, (n_sites,)).astype(np.int64)


def _nearest_vectors(system: SpinSystem, first: IntArray, second: IntArray) -> FloatArray:
    """Vectors (E, 3) from sites to the nearest images of others in the same part of a system."""
    vectors, offset = np.zeros((len(first), 3)), 0
    for part in system.parts:
        inside = (first >= offset) & (first < offset + part.n_sites)
        vectors[inside] = minimum_image_vectors(part)[first[inside] - offset, second[inside] - offset]
        offset += part.n_sites
    return vectors


def checked_hopping(matrix: Any, system: SpinSystem, orbital_site: IntArray) -> sparse.csr_array:
    """Validate a matrix of amplitudes between the orbitals (M, M) or spin-orbitals (2M, 2M) of a system.

    Raises
    ------
    InvalidInput
        If the matrix has the wrong shape, is not finite or not Hermitian, or connects different parts
        of a union.
    """
    n_orbitals = len(orbital_site)
    if matrix.shape not in ((n_orbitals, n_orbitals), (2 * n_orbitals, 2 * n_orbitals)):
        raise InvalidInput(
            f"hopping matrix has shape {matrix.shape}; {n_orbitals} orbitals on {system.n_sites} sites need "
            f"({n_orbitals}, {n_orbitals}), or ({2 * n_orbitals}, {2 * n_orbitals}) with spin; "
            "several orbitals per site need orbitals=..."
        )
    amplitudes = sparse.csr_array(matrix, dtype=_amplitude_type(matrix))
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


def _amplitude_type(matrix: Any) -> type[np.float64 | np.complex128]:
    return np.complex128 if np.issubdtype(matrix.dtype, np.complexfloating) else np.float64


def matrix_digest(matrix: sparse.csr_array) -> str:
    """Hash of a sparse matrix; equal amplitudes have equal digests."""
    canonical = sparse.csr_array(matrix, copy=True)
    canonical.sum_duplicates()
    canonical.eliminate_zeros()
    digest = hashlib.sha256()
    for array in (canonical.indptr.astype(np.int64), canonical.indices.astype(np.int64), canonical.data):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]
