"""The linear spin cluster expansion: a site energy linear in its coefficients, a baseline for all networks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from gnnspin.core.config import Config
from gnnspin.core.errors import InvalidInput
from gnnspin.graphs import GraphSpec
from gnnspin.models.base import SpinModel
from gnnspin.models.blocks.bases import AngularBasis, RadialBasis, degree_slices
from gnnspin.models.blocks.density import NeighborDensity, NeighborGeometry, prepare_geometry
from gnnspin.models.blocks.standardization import Standardization
from gnnspin.models.registry import register
from gnnspin.systems import SpinSystem
from gnnspin.systems.distances import LENGTH_TOLERANCE


class LinearSpinModel(SpinModel):
    """A model whose site energies are linear in `coefficients`; `gnnspin.training.fit` solves for them directly.

    A subclass sets the number of features with `_allocate` and implements `feature_groups`.

    Attributes
    ----------
    coefficients : (F,) parameter
        One number per standardised feature.
    """

    capabilities = frozenset({"compiles", "linear"})
    standardization: Standardization
    coefficients: nn.Parameter

    def _allocate(self, n_features: int) -> None:
        self.standardization = Standardization(n_features)
        self.coefficients = nn.Parameter(torch.zeros(n_features))

    @abstractmethod
    def feature_groups(self, data: Any, spins: Tensor) -> list[Tensor]:
        """Features (R, N, F_g) of spins (R, N, 3), in groups that share their computation; sum of F_g is F."""

    def dimensionless_energies(self, data: Any, spins: Tensor) -> Tensor:
        features = torch.cat(self.feature_groups(data, spins), dim=-1)
        return torch.einsum("f,rnf->rn", self.coefficients, self.standardization(features))

    @torch.no_grad()
    def calibrate(self, data: Any, spins: Tensor) -> None:
        """Measure mean and spread of every feature on spins (R, N, 3)."""
        self.standardization.measure(torch.cat(self.feature_groups(data, spins), dim=-1))


class LinearClusterHyperparameters(Config):
    """Hyperparameters of `LinearClusterExpansion`."""

    max_degree: int = Field(default=2, ge=0, description="largest degree of the angular functions")
    n_radial: int = Field(default=6, ge=1, description="radial functions, where distances are continuous")
    time_reversal: bool = Field(default=True, description="False adds terms of three spins, odd under inversion")
    mirrors: bool = Field(default=True, description="False adds terms that mirrors reverse; for systems in a plane")


@register
class LinearClusterExpansion(LinearSpinModel):
    r"""Pair, biquadratic, four-spin and chirality terms of a neighbourhood, each with one coefficient.

    With the densities :math:`A_i^{k,m} = \sum_j R_k(r_{ij}) Y_m(\hat r_{ij}) S_j` (k a shell, or a radial function
    where distances are continuous), the features of site i are

    ==================  =================================================================================
    bilinear            :math:`S_i\cdot A_i^{k,0} = \sum_j R_k\,S_i\cdot S_j`
    biquadratic         :math:`\sum_j R_k\,(S_i\cdot S_j)^2`
    pairs of neighbours :math:`\sum_{m\in l} A_i^{k,m}\cdot A_i^{k',m}`: :math:`S_j\cdot S_{j'}` up to twice the cutoff
    four spins          :math:`\sum_{m\in l}(S_i\cdot A_i^{k,m})(S_i\cdot A_i^{k',m})`: terms
                        :math:`(S_i\cdot S_j)(S_i\cdot S_{j'})`, and bilinear times pairs of neighbours: terms
                        :math:`(S_i\cdot S_j)(S_{j'}\cdot S_{j''})`
    chirality           products of two :math:`S_i\cdot A_i^{k,0}\times A_i^{k',0}`, k < k'; antisymmetric in the
                        radial functions, since a symmetric sum of chiralities vanishes
    ==================  =================================================================================

    Invariant under global spin rotation, translations and every point group, and under time reversal unless
    ``time_reversal=False``, which adds the chirality terms themselves. With ``mirrors=False``, in the plane, pairs and
    four spins join with :math:`A_{\cos}A'_{\sin} - A_{\sin}A'_{\cos}` in place of the scalar product of a degree, and
    chiralities :math:`S_i\cdot A_{\cos}^k\times A_{\sin}^{k'}` of triangles seen in one orientation.

    Related: spin-cluster expansion (Drautz and Faehnle, Phys. Rev. B 69, 104404, 2004,
    doi:10.1103/PhysRevB.69.104404); linear atomic cluster expansion (Drautz, Phys. Rev. B 99, 014104, 2019,
    doi:10.1103/PhysRevB.99.014104).

    Parameters
    ----------
    spec : GraphSpec
    hyperparameters : LinearClusterHyperparameters

    Raises
    ------
    InvalidInput
        If ``mirrors=False`` meets three dimensions or ``max_degree=0``.
    """

    name = "linear_cluster_expansion"
    Hyperparameters = LinearClusterHyperparameters
    hyperparameters: LinearClusterHyperparameters
    chirality_first: Tensor
    chirality_second: Tensor

    def __init__(self, spec: GraphSpec, hyperparameters: LinearClusterHyperparameters) -> None:
        super().__init__(spec, hyperparameters)
        if not hyperparameters.mirrors and (spec.dimension == 3 or hyperparameters.max_degree == 0):
            raise InvalidInput(
                "mirrors=false of linear_cluster_expansion needs a system in the plane and max_degree >= 1; use "
                "spin_cluster_expansion or oriented_cluster_expansion"
            )
        self._angular = AngularBasis(spec.dimension, hyperparameters.max_degree)
        self._radial = RadialBasis(spec, hyperparameters.n_radial)
        self._degrees = degree_slices(self._angular.degree)
        size = self._radial.size
        self.spin_density = _fixed_density(size, self._angular)
        self.quadrupole_density = _fixed_density(size, AngularBasis(spec.dimension, 0))
        first, second = torch.triu_indices(size, size, offset=1)
        self.register_buffer("chirality_first", first, persistent=False)
        self.register_buffer("chirality_second", second, persistent=False)
        self._turning = [] if hyperparameters.mirrors else self._degrees[1:]
        grams, wedges = size * (size + 1) // 2, size * (size - 1) // 2 * len(self._turning)
        triples = len(first) + grams * len(self._turning)
        odd = 0 if hyperparameters.time_reversal else triples
        grams *= len(self._degrees)
        self._allocate(2 * size + (2 + size) * grams + 2 * wedges + triples * (triples + 1) // 2 + odd)

    @classmethod
    def without(cls, broken: Collection[str], system: SpinSystem, values: dict[str, Any]) -> dict[str, Any]:
        """Complete hyperparameters without `broken` symmetries; mirrors can be left out in the plane alone."""
        height = float(np.ptp(system.positions[:, 2]))
        planar = not system.pbc[2] and height < LENGTH_TOLERANCE * system.spacing
        return super().without(set(broken) - (set() if planar else {"mirrors"}), system, values)

    def prepare(self, system: SpinSystem) -> NeighborGeometry:
        return prepare_geometry(system, self.spec, self._radial, self._angular)

    def feature_groups(self, data: NeighborGeometry, spins: Tensor) -> list[Tensor]:
        spin = spins.transpose(-1, -2)  # (R, 3, N)
        density = self._density(self.spin_density, spin, data)  # (R, 3, K, M, N)
        along = (spin[:, :, None, None] * density).sum(1)  # (R, K, M, N)
        bilinear = along[:, :, 0]
        neighbors = torch.cat([_gram(density[:, :, :, part]) for part in self._degrees], dim=1)
        mixed = (bilinear[:, :, None] * neighbors[:, None]).flatten(1, 2)
        centred = torch.cat([_gram(along[:, None, :, part]) for part in self._degrees], dim=1)
        chirality = self._chiralities(spin, density)
        groups = [
            bilinear,
            self._biquadratic(data, spin),
            neighbors,
            centred,
            mixed,
            _gram(chirality[:, None, :, None]),
        ]
        for part in self._turning:
            groups += [_wedge(density[:, :, :, part]), _wedge(along[:, None, :, part])]
        if not self.hyperparameters.time_reversal:
            groups.append(chirality)
        return [group.transpose(1, 2) for group in groups if group.shape[1]]

    def _chiralities(self, spin: Tensor, density: Tensor) -> Tensor:
        """Triple products (R, T, N) of the spin with two densities: isotropic ones, and components cos and sin."""
        isotropic = density[:, :, :, 0]
        first, second = [isotropic[:, :, self.chirality_first]], [isotropic[:, :, self.chirality_second]]
        rows, columns = torch.triu_indices(density.shape[2], density.shape[2], device=density.device)
        for part in self._turning:
            cos, sin = density[:, :, :, part].unbind(3)
            first += [cos[:, :, rows] + cos[:, :, columns]]
            second += [sin[:, :, rows] + sin[:, :, columns]]
        return (spin[:, :, None] * torch.linalg.cross(torch.cat(first, 2), torch.cat(second, 2), dim=1)).sum(1)

    def _density(self, density: NeighborDensity, values: Tensor, data: NeighborGeometry) -> Tensor:
        """Densities (R, A, K, M, N) of values (R, A, N)."""
        result = density(values.reshape(-1, 1, values.shape[-1]), data)
        return result.reshape(*values.shape[:2], *result.shape[1:])

    def _biquadratic(self, data: NeighborGeometry, spin: Tensor) -> Tensor:
        """Sums (R, K, N) of R_k (S_i . S_j)^2: the neighbours' S_j S_j^T, contracted with S_i S_i^T."""
        square = (spin[:, :, None] * spin[:, None]).flatten(1, 2)  # (R, 9, N)
        return (square[:, :, None] * self._density(self.quadrupole_density, square, data)[:, :, :, 0]).sum(1)


def _fixed_density(size: int, angular: AngularBasis) -> NeighborDensity:
    """Density with one channel per radial function and nothing to learn."""
    density = NeighborDensity(1, size, size, angular, 1.0)
    weight = torch.eye(size)[:, None, None, :].expand_as(density.weight).contiguous()
    del density.weight
    density.register_buffer("weight", weight, persistent=False)
    return density


def _gram(density: Tensor) -> Tensor:
    """Products k <= k' (R, pairs, N) of densities (R, A, K, m, N), summed over A and m."""
    size = density.shape[2]
    if size == 0:
        return density.new_zeros(len(density), 0, density.shape[-1])
    return torch.cat([(density[:, :, k : k + 1] * density[:, :, k:]).sum((1, 3)) for k in range(size)], dim=1)


def _wedge(density: Tensor) -> Tensor:
    """Products cos_k sin_k' - sin_k cos_k', k < k', (R, pairs, N) of densities (R, A, K, 2, N), summed over A."""
    cos, sin = density.unbind(3)
    rows, columns = torch.triu_indices(density.shape[2], density.shape[2], offset=1, device=density.device)
    return (cos[:, :, rows] * sin[:, :, columns] - sin[:, :, rows] * cos[:, :, columns]).sum(1)
