r"""Products of neighbour densities that change sign under mirrors: what a model of proper rotations alone may use.

In the plane the components of one degree m > 0 of two densities have, besides their scalar product, the product
:math:`A\wedge A' = A_{\cos}A'_{\sin} - A_{\sin}A'_{\cos}`, which rotations leave and mirrors reverse. In space two
polar vectors (degree 1) have the axial product :math:`A\times A'`, which becomes a scalar with a third. Of the spins

- :math:`A\wedge A'`, closed by a scalar product, is even in the spins and antisymmetric in the densities;
- :math:`S\cdot A\wedge A'`, closed by a cross product, is odd in the spins and symmetric: with A = A' it is
  :math:`\sum_{jk} R_j R_k \sin m(\varphi_k-\varphi_j)\, S_i\cdot S_j\times S_k`, the scalar chirality of triangles,
  each in one orientation. Without the angle between j and k the sum would vanish.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gnnspin.models.blocks.bases import AngularBasis, degree_slices
from gnnspin.models.blocks.mixing import mix, mixing_matrix


class Mixtures(nn.Module):
    """Learned mixtures of the channels of a feature.

    Parameters
    ----------
    outputs, inputs : int
    """

    def __init__(self, outputs: int, inputs: int) -> None:
        super().__init__()
        self.weight = mixing_matrix(outputs, inputs)

    def forward(self, features: Tensor) -> Tensor:
        """Mixtures (..., C', m, N) of features (..., C, m, N)."""
        return mix(self.weight, features)


class Handedness(nn.Module):
    """Pseudoscalars and vectors, odd under mirrors, of the densities A and tensors B of a cluster layer.

    Parameters
    ----------
    densities : int
        Channels K of A and B.
    angular : AngularBasis
    pairs : int
        Largest number of pseudoscalars of each kind and degree.
    channels : int
        Vectors handed on; 0 where the layer hands none on.

    Attributes
    ----------
    n_even, n_odd : int
        Pseudoscalars that are even and odd in the spins.
    n_vectors : int
        Vectors, of each channel, that are odd in the spins.
    """

    def __init__(self, densities: int, angular: AngularBasis, pairs: int, channels: int) -> None:
        super().__init__()
        planar = angular.dimension == 2
        slices = degree_slices(angular.degree)[1:]
        self.degrees = slices if planar else slices[:1]
        self.planar = planar
        even = min(densities * (densities - 1) // 2 if planar else densities**2, pairs)
        odd = min(densities * (densities + 1) // 2 if planar else densities**2, pairs)
        self.n_even, self.n_odd = 2 * even * len(self.degrees), odd * len(self.degrees)
        self.n_vectors = len(self.degrees)
        self.products, self.tensors, self.triples = (
            nn.ModuleList(_Factors(count, densities, planar) for _ in self.degrees) for count in (even, even, odd)
        )
        self.gated = nn.ModuleList(_Factors(channels, densities, planar) for _ in self.degrees if channels)

    def pseudoscalars(self, spin: Tensor, density: Tensor, tensors: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Pseudoscalars even (R, n_even, N) and odd (R, n_odd, N) in the spins.

        Parameters
        ----------
        spin : (R, 3, N)
        density : (R, 3, K, M, N)
        tensors : sequence of (R, K, m, N)
            One for every degree, degree 0 included.
        """
        even, odd = [], []
        for k, part in enumerate(self.degrees):
            vectors, tensor = density[:, :, :, part], tensors[k + 1][:, None]
            for factors, feature in ((self.products[k], vectors), (self.tensors[k], tensor)):
                first, second = factors(feature, tensor)
                even.append((first * second).sum((1, 3)))
            first, second = self.triples[k](vectors, tensor)
            odd.append((spin[:, :, None] * torch.linalg.cross(first, second, dim=1).sum(3)).sum(1))
        return torch.cat(even, dim=1), torch.cat(odd, dim=1)

    def vectors(self, density: Tensor, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Vectors (R, 3, channels, N), odd in the spins and under mirrors, one for every degree."""
        found = []
        for k, part in enumerate(self.degrees):
            tensor = tensors[k + 1][:, None]
            first, second = self.gated[k](density[:, :, :, part], tensor, other=tensor)
            found.append((first * second).sum(3))
        return found


class _Factors(nn.Module):
    """Two features whose product, summed over the components of a degree, is odd under mirrors."""

    def __init__(self, outputs: int, densities: int, planar: bool) -> None:
        super().__init__()
        self.planar = planar
        self.first, self.second = Mixtures(outputs, densities), Mixtures(outputs, densities)
        self.axis = None if planar else Mixtures(outputs, densities)

    def forward(self, feature: Tensor, tensor: Tensor, *, other: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Factors (R, x, C, m, N) of a feature and itself, or `other`; in space the second is crossed with a tensor."""
        first, second = self.first(feature), self.second(feature if other is None else other)
        if self.axis is None:
            return first, torch.stack([second[..., 1, :], -second[..., 0, :]], dim=-2)
        axis = self.axis(tensor)
        return first, torch.linalg.cross(*torch.broadcast_tensors(second, axis), dim=-2)
