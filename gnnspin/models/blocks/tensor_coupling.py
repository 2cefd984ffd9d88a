"""Couplings of irreducible tensors: Clebsch-Gordan products at a site, and neighbour sums with spherical harmonics.

Tensors are stored as in e3nn: one block of copies x (2l + 1) components per irreducible representation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from e3nn import o3
from torch import Tensor, nn

from gnnspin.models.blocks.bases import AngularBasis
from gnnspin.models.blocks.density import NeighborDensity, NeighborGeometry
from gnnspin.models.blocks.tensor_linear import TensorLinear


class Coupling(nn.Module):
    """Clebsch-Gordan coefficients of the degrees (first, second, results) of a module.

    They are recomputed whenever the module changes precision: a model trained in float32 and evaluated in float64 keeps
    its symmetries to float64.
    """

    def __init__(self) -> None:
        super().__init__()
        self._degrees: list[tuple[int, int, tuple[int, ...]]] = []

    def _couple(self, first: o3.Irrep, second: o3.Irrep, results: Sequence[o3.Irrep]) -> None:
        """Add coefficients (2 l1 + 1, 2 l2 + 1, sum of 2 l3 + 1)."""
        degrees = (first.l, second.l, tuple(result.l for result in results))
        coefficients = _coefficients(*degrees, torch.get_default_dtype())
        self.register_buffer(f"coupling_{len(self._degrees)}", coefficients, persistent=False)
        self._degrees.append(degrees)

    def coefficients(self, index: int) -> Tensor:
        """Coefficients number `index`."""
        return self.get_buffer(f"coupling_{index}")

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Coupling:
        super()._apply(fn, recurse)
        for index, degrees in enumerate(self._degrees):
            buffer = self.coefficients(index)
            buffer.copy_(_coefficients(*degrees, buffer.dtype))
        return self


def _coefficients(first: int, second: int, results: Sequence[int], dtype: torch.dtype) -> Tensor:
    """3j symbols times the root of 2 l3 + 1: tensors of unit components couple to tensors of unit components."""
    parts = [o3.wigner_3j(first, second, degree, dtype=torch.float64) * (2 * degree + 1) ** 0.5 for degree in results]
    return torch.cat(parts, dim=-1).to(dtype)


class TensorProduct(Coupling):
    """Products of two sets of tensors, copy by copy, coupled to the wanted irreducible tensors.

    Parameters
    ----------
    first, second : o3.Irreps
        Every irrep with the same number of copies.
    wanted : sequence of o3.Irrep
        Irreps to keep.
    symmetric : bool
        Take each unordered pair of irreps once, for two tensors that play the same role.

    Attributes
    ----------
    irreps_out : o3.Irreps
    """

    def __init__(
        self, first: o3.Irreps, second: o3.Irreps, wanted: Sequence[o3.Irrep], *, symmetric: bool = False
    ) -> None:
        super().__init__()
        self._copies = first[0].mul
        self._widths = [[irreps.dim for irreps in side] for side in (first, second)]
        self._pairs: list[tuple[int, int]] = []
        out: list[tuple[int, o3.Irrep]] = []
        for i, (_, a) in enumerate(first):
            for j, (_, b) in enumerate(second):
                results = [kind for kind in a * b if kind in wanted]
                if results and not (symmetric and j < i):
                    self._couple(a, b, results)
                    self._pairs.append((i, j))
                    out += [(self._copies, kind) for kind in results]
        self.irreps_out = o3.Irreps(out)
        self._blocks = [kind.dim for _, kind in out]

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Products (..., D'') of tensors (..., D) and (..., D')."""
        blocks = [
            [block.unflatten(-1, (self._copies, -1)) for block in tensors.split(widths, dim=-1)]
            for tensors, widths in zip((first, second), self._widths, strict=True)
        ]
        products = []
        for index, (i, j) in enumerate(self._pairs):
            outer = (blocks[0][i][..., :, None] * blocks[1][j][..., None, :]).flatten(-2)
            products.append(outer @ self.coefficients(index).flatten(0, 1))
        return _flattened(torch.cat(products, dim=-1), self._blocks)


class TensorDensity(Coupling):
    """Neighbour sums of tensors times spherical harmonics, coupled to irreducible tensors and mixed to `irreps_out`.

    Messages are linear in the neighbours' tensors with weights of geometry alone: the sum over neighbours comes first
    (a convolution on a lattice), the Clebsch-Gordan coupling after it, once per site.

    Parameters
    ----------
    irreps_in, irreps_out : o3.Irreps
        Every irrep with the same number of copies.
    n_radial : int
        Number of radial functions.
    angular : AngularBasis
        Spherical harmonics in three dimensions.
    channels : int
        Copies of each coupled tensor before they are mixed.
    """

    def __init__(
        self, irreps_in: o3.Irreps, irreps_out: o3.Irreps, n_radial: int, angular: AngularBasis, channels: int
    ) -> None:
        super().__init__()
        self._kinds = [ir for _, ir in irreps_in]
        self._copies = irreps_in[0].mul
        self.density = NeighborDensity(self._copies, channels, n_radial, angular, 8.0, separable=True)
        self._harmonics = [2 * degree + 1 for degree in range(angular.n_degrees)]
        wanted = {ir for _, ir in irreps_out}
        self._paths: list[tuple[int, int]] = []
        coupled: list[tuple[int, o3.Irrep]] = []
        for k, kind in enumerate(self._kinds):
            for degree in range(angular.n_degrees):
                harmonic = o3.Irrep(degree, (-1) ** degree)
                results = [ir for ir in kind * harmonic if ir in wanted]
                if results:
                    self._couple(kind, harmonic, results)
                    self._paths.append((k, degree))
                    coupled += [(channels, ir) for ir in results]
        self._blocks = [ir.dim for _, ir in coupled]
        self.mix = TensorLinear(o3.Irreps(coupled), irreps_out)

    def forward(self, tensors: Tensor, data: NeighborGeometry) -> Tensor:
        """Coupled sums (R, N, A, D') of tensors (R, N, A, D)."""
        replicas, sites, axes, _ = tensors.shape
        blocks = tensors.split([self._copies * kind.dim for kind in self._kinds], dim=-1)
        components = torch.cat([block.unflatten(-1, (self._copies, -1)) for block in blocks], dim=-1)
        flat = components.permute(0, 2, 4, 3, 1).reshape(-1, self._copies, sites)
        sums = self.density(flat, data)
        sums = sums.reshape(replicas, axes, -1, *sums.shape[1:])  # (R, A, D, C, M, N)
        kinds = sums.split([kind.dim for kind in self._kinds], dim=2)
        pieces = [kind.split(self._harmonics, dim=4) for kind in kinds]
        coupled = [
            torch.einsum("raicmn,imk->rnack", pieces[k][degree], self.coefficients(index))
            for index, (k, degree) in enumerate(self._paths)
        ]
        return self.mix(_flattened(torch.cat(coupled, dim=-1), self._blocks))


def _flattened(tensors: Tensor, blocks: list[int]) -> Tensor:
    """From copies of joined components (..., C, D) to one flat block of copies per irrep (..., C D)."""
    return torch.cat([block.flatten(-2) for block in tensors.split(blocks, dim=-1)], dim=-1)
