r"""Products of 2x2 spin matrices in real arithmetic, and constant sparse maps; differentiable any number of times.

With :math:`e_k = -i\sigma_k` a complex 2x2 matrix is :math:`A + iB` with real quaternions
:math:`A = a_0 + \mathbf a\cdot\mathbf e`; a product of spin matrices :math:`\mathbf S\cdot\sigma = i\,\mathbf S\cdot e`
is a quaternion, up to one factor i. Arrays have shape (T, P, 4, K): T pairs of a source and a node, P = 2 planes A and
B, or P = 1 where every entry is known to be either A or iB (hopping on a bipartite graph), 4 components, K columns.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

#: (plane of the result, plane of the argument, sign) of the spin matrix ``S.sigma``, by number of planes.
_PLANES = {1: ((0, 0, 1.0),), 2: ((0, 1, -1.0), (1, 0, 1.0))}
#: (component of the result, component of s, component of q, sign, whether the sign changes with the side) of s q.
_PRODUCT = (
    (0, 0, 1, -1.0, False),
    (0, 1, 2, -1.0, False),
    (0, 2, 3, -1.0, False),
    (1, 0, 0, 1.0, False),
    (1, 1, 3, 1.0, True),
    (1, 2, 2, -1.0, True),
    (2, 1, 0, 1.0, False),
    (2, 2, 1, 1.0, True),
    (2, 0, 3, -1.0, True),
    (3, 2, 0, 1.0, False),
    (3, 0, 2, 1.0, True),
    (3, 1, 1, -1.0, True),
)
#: Transposition in the argument q: its sign, by number of planes.
_ADJOINT = {1: -1.0, 2: 1.0}


def spin_product(vector: Tensor, blocks: Tensor, *, left: bool = True) -> Tensor:
    """Blocks (T, P, 4, K) multiplied by the pure quaternions of `vector` (T, 3, K) from the left or the right.

    For P = 2 the factor is the matrix ``vector . sigma`` itself; for P = 1 the factor i that it carries is left to the
    caller. Rows of `blocks` beyond those of `vector` are dropped.
    """
    result: Tensor = _Product.apply(vector, blocks, 1.0 if left else -1.0)
    return result


def spin_components(first: Tensor, second: Tensor, *, left: bool = True) -> Tensor:
    """Gradient (T, 3, K) of ``<first, spin_product(v, second)>`` with respect to v; bilinear in both blocks."""
    result: Tensor = _Components.apply(first, second, 1.0 if left else -1.0)
    return result


def sparse_product(matrix: Tensor, transpose: Tensor, blocks: Tensor) -> Tensor:
    """A constant sparse (T', T) matrix applied to the first dimension of `blocks`; `transpose` is its transpose."""
    result: Tensor = _SparseProduct.apply(matrix, transpose, blocks)
    return result


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vector: Tensor, blocks: Tensor, side: float) -> Tensor:
        ctx.save_for_backward(vector, blocks)
        ctx.side = side
        result = blocks.new_zeros(vector.shape[0], *blocks.shape[1:])
        for to, source, plane_sign in _PLANES[blocks.shape[1]]:
            for component, s, q, sign, sided in _PRODUCT:
                value = plane_sign * sign * (side if sided else 1.0)
                argument = blocks[: vector.shape[0], source, q]
                result[:, to, component].addcmul_(vector[:, s], argument, value=value)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (gradient,) = gradients
        vector, blocks = ctx.saved_tensors
        to_vector = _Components.apply(gradient, blocks, ctx.side) if ctx.needs_input_grad[0] else None
        to_blocks = None
        if ctx.needs_input_grad[1]:
            to_blocks = _padded(_ADJOINT[blocks.shape[1]] * _Product.apply(vector, gradient, ctx.side), len(blocks))
        return to_vector, to_blocks, None


class _Components(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor, side: float) -> Tensor:
        ctx.save_for_backward(first, second)
        ctx.side = side
        rows = len(first)
        result = first.new_zeros(rows, 3, first.shape[-1])
        for to, source, plane_sign in _PLANES[first.shape[1]]:
            for component, s, q, sign, sided in _PRODUCT:
                value = plane_sign * sign * (side if sided else 1.0)
                result[:, s].addcmul_(first[:, to, component], second[:rows, source, q], value=value)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (gradient,) = gradients
        first, second = ctx.saved_tensors
        to_first = _Product.apply(gradient, second, ctx.side) if ctx.needs_input_grad[0] else None
        to_second = None
        if ctx.needs_input_grad[1]:
            sign = _ADJOINT[first.shape[1]]
            to_second = _padded(sign * _Product.apply(gradient, first, ctx.side), len(second))
        return to_first, to_second, None


class _SparseProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrix: Tensor, transpose: Tensor, blocks: Tensor) -> Tensor:
        ctx.matrices = matrix, transpose
        return (matrix @ blocks.reshape(len(blocks), -1)).reshape(-1, *blocks.shape[1:])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, None, Tensor]:
        matrix, transpose = ctx.matrices
        return None, None, _SparseProduct.apply(transpose, matrix, gradients[0])


def _padded(blocks: Tensor, rows: int) -> Tensor:
    """Zero rows appended up to `rows`."""
    if len(blocks) == rows:
        return blocks
    return torch.cat([blocks, blocks.new_zeros(rows - len(blocks), *blocks.shape[1:])])
