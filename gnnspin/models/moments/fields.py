r"""Fields of traces of Chebyshev polynomials, and least squares for their coefficients.

The field of one degree is :math:`-\partial\,\mathrm{Tr}\,T_n(\tilde H)/\partial\mathbf S_i = (nJ/W)\,\mathbf u_{n-1}^i`
with the local vectors of the polynomials of the second kind,
:math:`U_k = 2\sum_{l\le k,\ l\equiv k} T_l` (less 1 for even k): no differentiation is needed.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from gnnspin.core.spins import torque
from gnnspin.models.moments.recursion import ScaledHamiltonian

#: Directions of the normalised normal matrix below this share of the largest are dropped.
SMALLEST_EIGENVALUE = 1e-7


def trace_fields(vector: Tensor, hamiltonian: ScaledHamiltonian, degree: int) -> Tensor:
    """Fields (R, degree - 1, N, 3) of ``Tr T_n``, n = 2 .. degree, from vectors (R, 3, L, N), L >= degree."""
    sums = [vector[:, :, 0], vector[:, :, 1]]
    for k in range(2, degree):
        sums.append(sums[k - 2] + vector[:, :, k])
    scale = 2 * hamiltonian.coupling / hamiltonian.half_width
    fields = torch.stack([n * scale * sums[n - 1] for n in range(2, degree + 1)], dim=1)
    return fields.transpose(2, 3)


def normal_matrix(columns: Tensor, spins: Tensor, field_weight: float) -> Tensor:
    """Mean products (F, F) of torques plus `field_weight` times those of fields (R, F, N, 3), per spin, float64."""
    rows = weighted_rows(columns.double(), spins.double(), field_weight)
    return rows @ rows.T / spins[..., 0].numel()


def weighted_rows(fields: Tensor, spins: Tensor, field_weight: float) -> Tensor:
    """Torques, then fields times the root of their weight, of fields (R, F, N, 3): (F, 6 R N)."""
    torques = torque(spins[:, None].expand_as(fields), fields)
    both = torch.cat([torques, field_weight**0.5 * fields], dim=-1)
    return both.transpose(0, 1).flatten(1)


def whitening(matrix: Tensor) -> Tensor:
    """Matrix (F, F) whose columns are coefficients of orthonormal fields; directions of no weight are zero."""
    size = matrix.diagonal().sqrt()
    scale = torch.where(size > 1e-6 * size.max(), 1 / size.clamp_min(1e-30), torch.zeros_like(size))
    values, vectors = torch.linalg.eigh(scale[:, None] * matrix * scale)
    kept = values > SMALLEST_EIGENVALUE * values[-1]
    inverse = torch.where(kept, values.clamp_min(1e-30).rsqrt(), torch.zeros_like(values))
    return scale[:, None] * vectors * inverse


def solve_coefficients(blocks: Iterable[tuple[Tensor, Tensor, Tensor]], *, field_weight: float, ridge: float) -> Tensor:
    """Least-squares coefficients (F,) of columns (R, F, N, 3) for fields (R, N, 3) at spins (R, N, 3)."""
    matrix, right = torch.zeros(()), torch.zeros(())
    for columns, spins, field in blocks:
        rows = weighted_rows(columns, spins, field_weight)
        target = weighted_rows(field[:, None], spins, field_weight)[0]
        matrix, right = matrix + rows @ rows.T, right + rows @ target
    size = matrix.diagonal().sqrt()
    scale = torch.where(size > 1e-6 * size.max(), 1 / size.clamp_min(1e-30), torch.zeros_like(size))
    values, vectors = torch.linalg.eigh(scale[:, None] * matrix * scale)
    return scale * (vectors @ ((vectors.T @ (scale * right)) / (values.clamp_min(0) + ridge * values[-1])))


def grand_potential_coefficients(degree: int, mu: Tensor, kT: Tensor, center: Tensor, half_width: Tensor) -> Tensor:
    r"""Chebyshev coefficients c_n, n = 2 .. degree, of the grand potential of a level, -kT ln(1 + exp(-(x - mu)/kT)).

    With them :math:`\Omega = \sum_i\sum_n c_n m_n^i` up to a constant, with an error of the order of
    :math:`e^{-\pi D\,kT/W}` at degree D. By Gauss-Chebyshev quadrature, in float64.

    Parameters
    ----------
    degree : int
    mu, kT : scalars
        A temperature below 1e-6 of the half width counts as that.
    center, half_width : scalars
        The spectrum is within ``center +- half_width``.
    """
    count = max(4096, 8 * degree)
    angles = torch.pi * (torch.arange(count, dtype=torch.float64, device=mu.device) + 0.5) / count
    levels = center.double() + half_width.double() * angles.cos()
    width = torch.maximum(kT.double(), 1e-6 * half_width.double())
    values = -width * torch.nn.functional.softplus((mu.double() - levels) / width)
    orders = torch.arange(2, degree + 1, dtype=torch.float64, device=mu.device)
    return 2 / count * torch.cos(orders[:, None] * angles) @ values
