r"""Sums over neighbours and over pairs of neighbours, shell by shell: the body of symmetry functions.

For a centre with radial functions :math:`g_d(j)` and symmetric pair kernels :math:`C_m(j, k)`,

.. math:: A_d = \sum_j g_d(j)\, x_j, \qquad M_m^{dd'} = \sum_{jk} g_d(j)\, g_{d'}(k)\, C_m(j, k)\, X_{jk}

are linear in the products of spins x and X. Each map and its adjoint are each other's derivative, so that both are
differentiable to any order and keep nothing but the geometry.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from gnnspin.core.containers import TensorContainer
from gnnspin.descriptors.neighborhoods import NeighborBlock

#: Largest number of elements of a temporary array.
_TEMPORARY = 2**20
#: Gaussians fall no lower than exp(-40) = 4e-18, below rounding: subnormal numbers would make everything slow.
_LOWEST = 40.0


@dataclass(frozen=True)
class SymmetryFunctions(TensorContainer):
    """Radial and pair functions.

    Attributes
    ----------
    cutoff : float
    radial : (D, 2)
        Centre d and width w of each shell.
    angular : A pairs
        Exponent zeta and sign lambda.
    separation : (B, 2)
        Centre d' and width w' for the distance between two neighbours.
    """

    cutoff: float
    radial: Tensor
    angular: tuple[tuple[float, float], ...]
    separation: Tensor

    def shells(self, distance: Tensor) -> Tensor:
        """Radial functions F2 (n, D, J) of distances (n, J), glass eq. 9."""
        return gaussians(distance, self.radial, self.cutoff)

    def kernels(self, vector: Tensor, distance: Tensor) -> Tensor:
        """Pair functions (n, A * B, J, J), zero at j = k: what depends on both neighbours in F3, glass eq. 11."""
        padded = torch.where(distance.isinf(), torch.ones_like(distance), distance)
        direction = vector / padded[..., None]
        cosine = (direction @ direction.transpose(-1, -2)).clamp(-1, 1)
        length = padded[..., :, None], padded[..., None, :]
        # R_jk^2 = (R_j - R_k)^2 + 2 R_j R_k (1 - cos), without cancellation between large numbers
        squared = (length[0] - length[1]).square() + 2 * length[0] * length[1] * (1 - cosine)
        separation = gaussians(squared.clamp(min=0).sqrt().flatten(-2), self.separation, self.cutoff)
        separation = separation.unflatten(-1, squared.shape[-2:])
        separation.diagonal(dim1=-2, dim2=-1).zero_()
        kernels = [separation * (2 ** (1 - zeta) * (1 + sign * cosine) ** zeta)[:, None] for zeta, sign in self.angular]
        return torch.cat(kernels, dim=1) if kernels else separation[:, :0]


def gaussians(distance: Tensor, parameters: Tensor, cutoff: float) -> Tensor:
    """``exp(-(R - d)^2 / w^2) f_c(R)`` (n, D, J) of distances (n, J) for rows (d, w) of `parameters`."""
    centre, width = parameters.T[..., None]
    inside = distance.clamp(max=cutoff)
    taper = 0.5 * (torch.cos(math.pi / cutoff * inside) + 1)
    exponent = ((inside[:, None] - centre) / width).square().clamp(max=_LOWEST)
    return torch.exp(-exponent) * taper[:, None]


@dataclass(frozen=True)
class ShellBlock(TensorContainer):
    """Neighbours of n sites with the functions of one window of shells.

    Attributes
    ----------
    block : NeighborBlock
    functions : SymmetryFunctions
    frozen : (shells, kernels) or None
        Values kept for all evaluations; None where they are computed anew each time, to save memory.
    """

    block: NeighborBlock
    functions: SymmetryFunctions
    frozen: tuple[Tensor, Tensor] | None = None

    def freeze(self) -> ShellBlock:
        """Copy that keeps the values of all functions."""
        n, width = self.block.distance.shape
        shells = self.block.distance.new_empty(n, len(self.functions.radial), width)
        kernels = shells.new_empty(n, self.n_kernels, width, width)
        for part in self.parts():
            shells[part], kernels[part] = self._shells(part), self._kernels(part)
        return replace(self, frozen=(shells, kernels))

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> ShellBlock:
        """Copy on `device` in `dtype`, not frozen."""
        return TensorContainer.to(replace(self, frozen=None), device, dtype)

    @property
    def n_kernels(self) -> int:
        """Number M of pair functions."""
        return len(self.functions.angular) * len(self.functions.separation)

    @property
    def n_values(self) -> int:
        """Number of values that `freeze` keeps."""
        n, width = self.block.distance.shape
        return n * width * (len(self.functions.radial) + self.n_kernels * width)

    def shells(self, part: slice) -> Tensor:
        """Radial functions (n, D, J) of some of the sites."""
        return self._shells(part) if self.frozen is None else self.frozen[0][part]

    def kernels(self, part: slice) -> Tensor:
        """Pair functions (n, M, J, J) of some of the sites."""
        return self._kernels(part) if self.frozen is None else self.frozen[1][part]

    def _shells(self, part: slice) -> Tensor:
        return self.functions.shells(self.block.distance[part])

    def _kernels(self, part: slice) -> Tensor:
        return self.functions.kernels(self.block.vector[part], self.block.distance[part])

    def parts(self) -> Iterator[slice]:
        """Slices of the sites for which temporary arrays are small."""
        n, width = self.block.distance.shape
        step = max(1, _TEMPORARY // (width * max(self.n_kernels * width, len(self.functions.radial))))
        return (slice(start, min(start + step, n)) for start in range(0, n, step))


def shell_sums(products: Tensor, block: ShellBlock) -> Tensor:
    """Sums ``A_d`` (R, n, D) of products (R, n, J)."""
    return _ShellSums.apply(products, block)


def diagonal_pair_sums(products: Tensor, block: ShellBlock) -> Tensor:
    """Sums ``M_m[d, d]`` (R, n, M, D) of products (R, n, J, J)."""
    return _DiagonalPairSums.apply(products, block)


def pair_sums(products: Tensor, block: ShellBlock) -> Tensor:
    """Sums ``M_m[d, d']`` (R, n, M, D, D) of products (R, n, J, J)."""
    return _PairSums.apply(products, block)


class _ShellSums(Function):
    @staticmethod
    def forward(ctx: Any, products: Tensor, block: ShellBlock) -> Tensor:
        ctx.block = block
        sums = [torch.einsum("rnj,ndj->rnd", products[:, part], block.shells(part)) for part in block.parts()]
        return torch.cat(sums, dim=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _ShellSumsAdjoint.apply(gradients[0], ctx.block), None


class _ShellSumsAdjoint(Function):
    @staticmethod
    def forward(ctx: Any, sums: Tensor, block: ShellBlock) -> Tensor:
        ctx.block = block
        products = [torch.einsum("rnd,ndj->rnj", sums[:, part], block.shells(part)) for part in block.parts()]
        return torch.cat(products, dim=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _ShellSums.apply(gradients[0], ctx.block), None


class _DiagonalPairSums(Function):
    @staticmethod
    def forward(ctx: Any, products: Tensor, block: ShellBlock) -> Tensor:
        ctx.block = block
        sums = products.new_empty(*products.shape[:2], block.n_kernels, len(block.functions.radial))
        for part in block.parts():
            kernels, shells = block.kernels(part), block.shells(part).transpose(-1, -2).contiguous()
            for r in range(len(products)):
                weighted = (products[r, part, None] * kernels).flatten(1, 2)
                inner = torch.bmm(weighted, shells).unflatten(1, kernels.shape[1:3])
                sums[r, part] = (inner * shells[:, None]).sum(-2)
        return sums

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _DiagonalPairSumsAdjoint.apply(gradients[0], ctx.block), None


class _DiagonalPairSumsAdjoint(Function):
    @staticmethod
    def forward(ctx: Any, sums: Tensor, block: ShellBlock) -> Tensor:
        ctx.block = block
        width = block.block.distance.shape[1]
        products = sums.new_empty(*sums.shape[:2], width, width)
        for part in block.parts():
            kernels, shells = block.kernels(part), block.shells(part)
            transposed = shells.transpose(-1, -2)[:, None]
            for r in range(len(sums)):
                left = (sums[r, part, :, None] * transposed).flatten(1, 2)
                inner = torch.bmm(left, shells).unflatten(1, kernels.shape[1:3])
                products[r, part] = (inner * kernels).sum(1)
        return products

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _DiagonalPairSums.apply(gradients[0], ctx.block), None


class _PairSums(Function):
    @staticmethod
    def forward(ctx: Any, products: Tensor, block: ShellBlock) -> Tensor:
        ctx.block = block
        n_shells = len(block.functions.radial)
        sums = products.new_empty(*products.shape[:2], block.n_kernels, n_shells, n_shells)
        for part in block.parts():
            kernels, shells = block.kernels(part), block.shells(part)
            for r in range(len(products)):
                weighted = (products[r, part, None] * kernels).flatten(1, 2)
                inner = torch.bmm(weighted, shells.transpose(-1, -2)).unflatten(1, kernels.shape[1:3])
                sums[r, part] = shells[:, None] @ inner
        return sums

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _PairSumsAdjoint.apply(gradients[0], ctx.block), None


class _PairSumsAdjoint(Function):
    @staticmethod
    def forward(ctx: Any, sums: Tensor, block: ShellBlock) -> Tensor:
        ctx.block = block
        width = block.block.distance.shape[1]
        products = sums.new_empty(*sums.shape[:2], width, width)
        for part in block.parts():
            kernels, shells = block.kernels(part), block.shells(part)
            for r in range(len(sums)):
                inner = shells.transpose(-1, -2)[:, None] @ (sums[r, part] @ shells[:, None])
                products[r, part] = (inner * kernels).sum(1)
        return products

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _PairSums.apply(gradients[0], ctx.block), None
