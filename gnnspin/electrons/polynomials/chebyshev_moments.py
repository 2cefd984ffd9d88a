"""Chebyshev moments of the s-d Hamiltonian and their exact gradient, with a fixed number of block vectors.

Complex vectors are held as real ones, real and imaginary parts in alternating rows: four rows per orbital (up real, up
imaginary, down real, down imaginary). H is then a real symmetric matrix, in which real hopping stays real; its product
costs about a third of the complex one.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from gnnspin.core.placed import Placed
from gnnspin.electrons.hamiltonian import SDHamiltonian
from gnnspin.electrons.polynomials.chebyshev import SpectralInterval, derivative_coefficients
from gnnspin.electrons.polynomials.lattice_stencil import LatticeStencil
from gnnspin.electrons.polynomials.probing import Probes

#: (row, column, index of (shift, x, y, z), sign) of every element of ``shift + x sigma_x + y sigma_y + z sigma_z`` in
#: the real form of one orbital's 2x2 block.
_PAULI_ELEMENTS = np.array(
    [(a, a, 0, 1) for a in range(4)]
    + [(a, a, 3, 1 if a < 2 else -1) for a in range(4)]
    + [(0, 2, 1, 1), (1, 3, 1, 1), (2, 0, 1, 1), (3, 1, 1, 1)]
    + [(0, 3, 2, 1), (1, 2, 2, -1), (2, 1, 2, -1), (3, 0, 2, 1)]
)


@cache
def real_pauli_matrices() -> Placed:
    """Real forms (4, 4, 4) of the identity and the Pauli matrices x, y, z."""
    row, column, kind, sign = _PAULI_ELEMENTS.T
    matrices = torch.zeros(4, 4, 4, dtype=torch.float64)
    matrices[kind, row, column] = torch.from_numpy(sign).to(torch.float64)
    return Placed(matrices)


class ScaledMatrix(ABC):
    """The matrix ``A = (H - b) / W`` of one spin configuration, real symmetric (2D, 2D)."""

    @abstractmethod
    def recur(self, current: Tensor, previous: Tensor) -> Tensor:
        """Overwrite `previous` with ``2 A current - previous``; both (2D, R)."""

    def product(self, vectors: Tensor) -> Tensor:
        """A times vectors (2D, R)."""
        return self.recur(vectors, torch.zeros_like(vectors)).mul_(0.5)


class ScaledHamiltonian(ABC):
    """Scaled Hamiltonian without its on-site terms; `at` adds those of one spin configuration."""

    n_orbitals: int
    dtype: torch.dtype
    device: torch.device

    @abstractmethod
    def at(self, local: Tensor) -> ScaledMatrix:
        """Matrix with on-site terms ``shift + (x, y, z).sigma``, `local` (M, 4) in scaled units, added to K."""


class SparseHamiltonian(ScaledHamiltonian):
    """Compressed sparse rows, for any K; a spin configuration only rewrites the values.

    Parameters
    ----------
    hamiltonian : SDHamiltonian
        One part of a union.
    interval : SpectralInterval
        Bounds that scale H.
    dtype, device
        Where and how precisely the products are computed.
    """

    def __init__(
        self, hamiltonian: SDHamiltonian, interval: SpectralInterval, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.n_orbitals, self.dtype, self.device = hamiltonian.n_orbitals, dtype, device
        scaled = scaled_one_body(hamiltonian, interval)
        row, column, kind, sign = _PAULI_ELEMENTS.T
        first = 4 * np.arange(self.n_orbitals)[:, None]
        rows, columns = (first + row).ravel(), (first + column).ravel()
        elements = scaled.tocoo()
        pattern = sparse.csr_array(
            (
                np.concatenate([elements.data, np.zeros(len(rows))]),
                (np.concatenate([elements.coords[0], rows]), np.concatenate([elements.coords[1], columns])),
            ),
            shape=scaled.shape,
        )
        pattern.sum_duplicates()
        size = scaled.shape[0]
        keys = np.repeat(np.arange(size), np.diff(pattern.indptr)) * size + pattern.indices
        index = np.int32 if pattern.nnz < 2**31 else np.int64
        self._row_ends = torch.from_numpy(pattern.indptr.astype(index)).to(device)
        self._columns = torch.from_numpy(pattern.indices.astype(index)).to(device)
        self._values = torch.from_numpy(pattern.data).to(device, dtype)
        self._positions = torch.from_numpy(np.searchsorted(keys, rows * size + columns)).to(device)
        self._kinds = torch.from_numpy(kind).to(device)
        self._signs = torch.from_numpy(sign).to(device, dtype)

    def at(self, local: Tensor) -> ScaledMatrix:
        added = (local.to(self.device, self.dtype)[:, self._kinds] * self._signs).ravel()
        values = self._values.index_add(0, self._positions, added)
        size = 4 * self.n_orbitals
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse (CSR|invariant)", category=UserWarning)
            return _SparseMatrix(
                torch.sparse_csr_tensor(self._row_ends, self._columns, values, (size, size), check_invariants=False)
            )


@dataclass(frozen=True)
class _SparseMatrix(ScaledMatrix):
    matrix: Tensor

    def recur(self, current: Tensor, previous: Tensor) -> Tensor:
        return torch.addmm(previous, self.matrix, current, beta=-1, alpha=2, out=previous)


class StencilHamiltonian(ScaledHamiltonian):
    """Shifts of the lattice in place of a matrix, for translation-invariant hopping without spin-orbit terms.

    Parameters as in `SparseHamiltonian`, with the hopping as a `LatticeStencil`.
    """

    def __init__(
        self,
        hamiltonian: SDHamiltonian,
        stencil: LatticeStencil,
        interval: SpectralInterval,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.n_orbitals, self.dtype, self.device = hamiltonian.n_orbitals, dtype, device
        self._stencil, self._interval = stencil, interval
        self._pauli = real_pauli_matrices().on(device).to(dtype)

    def at(self, local: Tensor) -> ScaledMatrix:
        shifted = local.to(self.device, self.dtype).clone()
        shifted[:, 0] -= self._interval.center / self._interval.half_width
        blocks = torch.einsum("mk,kab->mab", shifted, self._pauli)
        return _StencilMatrix(self._stencil, 2 / self._interval.half_width, 2 * blocks)


@dataclass(frozen=True)
class _StencilMatrix(ScaledMatrix):
    stencil: LatticeStencil
    scale: float
    blocks: Tensor

    def recur(self, current: Tensor, previous: Tensor) -> Tensor:
        shape = (len(self.blocks), 4, current.shape[1])
        previous.view(shape).baddbmm_(self.blocks, current.view(shape), beta=-1)
        return self.stencil.add_product(current, previous, self.scale)


def scaled_one_body(hamiltonian: SDHamiltonian, interval: SpectralInterval) -> sparse.csr_array:
    """``(K - b) / W`` in real form (2D, 2D)."""
    size = hamiltonian.n_spin_orbitals
    scaled = sparse.csr_array((hamiltonian.one_body - interval.center * sparse.eye_array(size)) / interval.half_width)
    real = sparse.kron(scaled.real, np.eye(2))
    if np.iscomplexobj(scaled):
        real = real + sparse.kron(scaled.imag, np.array([[0.0, -1.0], [1.0, 0.0]]))
    result = sparse.csr_array(real)
    result.eliminate_zeros()
    return result


@dataclass(frozen=True)
class MomentProblem:
    """Quantities that stay fixed while the spins move: matrix, probes, number of moments, columns per pass.

    Attributes
    ----------
    hamiltonian : ScaledHamiltonian
    probes : Probes
    n_moments : int
        Even.
    width : int
        Columns that are propagated together; on a processor few enough to stay in its cache.
    """

    hamiltonian: ScaledHamiltonian
    probes: Probes
    n_moments: int
    width: int

    def ranges(self) -> list[tuple[int, int]]:
        """First and last column of every pass."""
        total = self.probes.n_vectors
        return [(first, min(first + self.width, total)) for first in range(0, total, self.width)]

    def block(self, first: int, last: int) -> Tensor:
        """Probe vectors of one pass."""
        return self.probes.block(first, last, self.hamiltonian.dtype, self.hamiltonian.device)


class ChebyshevMoments(torch.autograd.Function):
    """Moments ``m_n = sum_r <r|T_n(A)|r>`` as a differentiable function of the on-site terms of H.

    Forward, M moments take M/2 products by the doubling identity: with ``t_n = T_n r``,
    ``m_2n = 2 <t_n|t_n> - m_0`` and ``m_2n+1 = 2 <t_n+1|t_n> - m_1``. Backward, the vectors are computed again by the
    recursion run downwards, next to the adjoint recursion ``s_n = dE/dt_n + 2 A s_n+1 - s_n+2``, from which
    ``dE/dA = s_1 t_0+ + sum_n>0 2 s_n+1 t_n+``: another M products and no stored vectors but the last two. With unit
    vectors as probes, ``dE/dA = p(A)`` with p the derivative polynomial, M/2 products by the same doubling.

    Sources: Weisse et al., Rev. Mod. Phys. 78, 275 (2006), doi:10.1103/RevModPhys.78.275; Barros and Kato, Phys. Rev.
    B 88, 235101 (2013), doi:10.1103/PhysRevB.88.235101.
    """

    @staticmethod
    def forward(ctx: Any, local: Tensor, problem: MomentProblem) -> Tensor:
        """Moments (n_moments,) float64 on the CPU, for on-site terms `local` (M, 4) in scaled units."""
        matrix = problem.hamiltonian.at(local)
        keep = ctx.needs_input_grad[0] and not problem.probes.exact
        moments, ends = torch.zeros(problem.n_moments, dtype=torch.float64), []
        for first, last in problem.ranges():
            part, end = doubled_moments(matrix, problem.block(first, last), problem.n_moments)
            moments += part
            ends += [end] if keep else []
        ctx.problem, ctx.ends = problem, ends
        ctx.save_for_backward(local)
        return moments

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Gradient (M, 4) by the on-site terms."""
        (local,) = ctx.saved_tensors
        problem: MomentProblem = ctx.problem
        if problem.probes.exact:
            return exact_gradient(local, problem, gradient)[0].to(local), None
        matrix, weights = problem.hamiltonian.at(local), gradient.tolist()
        gram = local.new_zeros(problem.hamiltonian.n_orbitals, 4, 4)
        for low, high in ctx.ends:
            gram += reverse_recursion(matrix, low.clone(), high.clone(), weights)
        return _contract(gram).to(local), None


def doubled_moments(matrix: ScaledMatrix, start: Tensor, n_moments: int) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Moments (n_moments,) of the vectors `start` (2D, R), summed over them, and the last two vectors t_K-1, t_K."""
    low, high = start, matrix.product(start)
    norms, overlaps = [_dot(low, low)], [_dot(high, low)]
    for _ in range(1, n_moments // 2):
        low, high = high, matrix.recur(high, low)
        norms.append(_dot(low, low))
        overlaps.append(_dot(high, low))
    return _from_overlaps(norms, overlaps), (low, high)


def exact_gradient(
    local: Tensor, problem: MomentProblem, gradient: Tensor, *, moments: bool = False
) -> tuple[Tensor, Tensor]:
    """Gradient (M, 4) of ``sum_n gradient_n Tr T_n(A)`` by the on-site terms, and the moments themselves if asked for.

    With p the derivative polynomial it is ``tr p(A)_mm sigma``; ``T_2n = 2 T_n T_n - 1`` and
    ``T_2n+1 = 2 T_n+1 T_n - T_1`` give its blocks from the rows of t_n, summed over all unit vectors.
    """
    weights = derivative_coefficients(gradient.numpy())
    even, odd = (np.zeros(problem.n_moments // 2) for _ in range(2))
    even[:], odd[: len(weights[1::2])] = weights[0::2], weights[1::2]
    first_even, first_odd = even[0] - even[1:].sum(), odd[0] - odd[1:].sum()
    even, odd = 2 * even, 2 * odd
    even[0], odd[0] = first_even, first_odd
    matrix = problem.hamiltonian.at(local)
    gram = torch.zeros(
        problem.hamiltonian.n_orbitals, 4, 4, dtype=problem.hamiltonian.dtype, device=problem.hamiltonian.device
    )
    total = torch.zeros(problem.n_moments, dtype=torch.float64)
    for first, last in problem.ranges():
        low = problem.block(first, last)
        high = matrix.product(low)
        scratch = torch.empty_like(low)
        norms, overlaps = [], []
        for n, (a, b) in enumerate(zip(even.tolist(), odd.tolist(), strict=True)):
            if n:
                low, high = high, matrix.recur(high, low)
            if moments:
                norms.append(_dot(low, low))
                overlaps.append(_dot(high, low))
            if abs(a) >= abs(b):
                _add_outer(gram, torch.add(low, high, alpha=b / a if a else 0.0, out=scratch), low, a)
            else:
                _add_outer(gram, torch.add(high, low, alpha=a / b, out=scratch), low, b)
        if moments:
            total += _from_overlaps(norms, overlaps)
    return _contract(gram), total


def reverse_recursion(matrix: ScaledMatrix, low: Tensor, high: Tensor, gradient: list[float]) -> Tensor:
    """Diagonal blocks (M, 4, 4) of dE/dA for ``dE/dm_n = gradient_n``; overwrites the last vectors t_K-1 and t_K."""
    pairs = len(gradient) // 2
    even = [2 * c for c in gradient[0::2]]
    odd = [2 * c for c in gradient[1::2]]
    odd[0] = gradient[1] - sum(gradient[3::2])
    gram = low.new_zeros(len(low) // 4, 4, 4)
    adjoint, later = low * odd[-1], torch.zeros_like(low)
    _add_outer(gram, adjoint, low, 2.0 if pairs > 1 else 1.0)
    for n in range(pairs - 1, 0, -1):
        # low = t_n, high = t_n+1, adjoint = s_n+1, later = s_n+2
        later.add_(low, alpha=-2 * even[n]).add_(high, alpha=-odd[n])
        adjoint, later = matrix.recur(adjoint, later), adjoint
        low, high = matrix.recur(low, high), low
        adjoint.add_(low, alpha=odd[n - 1])
        _add_outer(gram, adjoint, low, 2.0 if n > 1 else 1.0)
    return gram


def _add_outer(gram: Tensor, left: Tensor, right: Tensor, weight: float) -> None:
    """Add ``weight left_m right_m^T`` of the four rows of every orbital to (M, 4, 4)."""
    shape = (len(gram), 4, left.shape[1])
    gram.baddbmm_(left.view(shape), right.view(shape).transpose(1, 2), alpha=weight)


def _contract(gram: Tensor) -> Tensor:
    """Traces (M, 4) of the blocks with the identity and the Pauli matrices."""
    return torch.einsum("mab,kab->mk", gram.to(torch.float64), real_pauli_matrices().on(gram.device))


def _dot(left: Tensor, right: Tensor) -> Tensor:
    return torch.dot(left.view(-1), right.view(-1))


def _from_overlaps(norms: list[Tensor], overlaps: list[Tensor]) -> Tensor:
    """Moments from ``<t_n|t_n>`` and ``<t_n+1|t_n>``."""
    pairs = torch.stack([torch.stack(norms), torch.stack(overlaps)], 1).to("cpu", torch.float64)
    doubled = 2 * pairs - pairs[0]
    doubled[0] = pairs[0]
    return doubled.reshape(-1)
