"""The spin cluster expansion network: densities of neighbour spins, their products, gated vectors, layer by layer."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from gnnspin.core.config import Config
from gnnspin.graphs import GraphSpec
from gnnspin.models.base import SpinModel
from gnnspin.models.bases import AngularBasis, RadialBasis, degree_slices
from gnnspin.models.density import NeighborDensity, NeighborGeometry, prepare_geometry
from gnnspin.systems import SpinSystem


class ClusterExpansionHyperparameters(Config):
    """Hyperparameters of `SpinClusterExpansion`."""

    layers: int = Field(default=2, ge=1, description="message-passing layers")
    channels: int = Field(default=8, ge=1, description="vector channels of each density")
    scalars: int = Field(default=8, ge=0, description="scalar features handed from layer to layer")
    max_degree: int = Field(default=4, ge=0, description="largest degree of the angular functions")
    hidden: int = Field(default=64, ge=1, description="width of the two hidden layers of each site network")
    n_radial: int = Field(default=6, ge=1, description="radial functions, where distances are continuous")


class SpinClusterExpansion(SpinModel):
    r"""Energies from products of neighbour densities in spin space and real space.

    One layer maps vectors :math:`v_i^c` (odd under time reversal, rotating with the spins) and scalars :math:`s_i^f`:

    1. densities :math:`A_i^{c,m} = \sum_j R_c(r_{ij}) Y_m(\hat r_{ij}) v_j`, and likewise of the scalars;
    2. invariants: :math:`\sum_{m\in l} A^{c,m}\cdot A^{c',m}` per degree l, :math:`S_i\cdot A^{c,0}`,
       :math:`v_i^c\cdot A^{c',0}`, even products of :math:`S_i\cdot A^{c,0}\times A^{c',0}`, and scalars;
    3. a site network of the standardised invariants gives the layer's contribution to the site energy, the next
       scalars, and gates for the next vectors
       :math:`v_i'^c = g_0^c S_i + g_1^c A^{c,0} + \sum_l g_{2,l}^c\sum_{m\in l}(S_i\cdot A^{c,m}) A^{c,m}`.

    The energy is exactly invariant under global spin rotation and inversion (time reversal), lattice translations and
    all point-group operations. Its linear part contains every pair interaction up to twice the cutoff; products carry
    up to body order 4 per layer. Related: atomic cluster expansion (Drautz, Phys. Rev. B 99, 014104, 2019), MACE
    (Batatia et al., NeurIPS 2022), with spins in place of positions.

    Parameters
    ----------
    spec : GraphSpec
    hyperparameters : ClusterExpansionHyperparameters

    Examples
    --------
    >>> import gnnspin as gs
    >>> system = gs.systems.square(6, 6)
    >>> model = gs.models.build("spin_cluster_expansion", gs.graphs.GraphSpec.for_system(system, cutoff=2.0))
    >>> gs.ForceField(model, system).field(gs.core.random_spins(36, seed=0)).shape
    torch.Size([36, 3])
    """

    name = "spin_cluster_expansion"
    Hyperparameters = ClusterExpansionHyperparameters
    layers: nn.ModuleList

    def __init__(self, spec: GraphSpec, hyperparameters: ClusterExpansionHyperparameters) -> None:
        super().__init__(spec, hyperparameters)
        self._angular = AngularBasis(spec.dimension, hyperparameters.max_degree)
        self._radial = RadialBasis(spec, hyperparameters.n_radial)
        vectors, scalars = 1, 0
        self.layers = nn.ModuleList()
        for k in range(hyperparameters.layers):
            last = k == hyperparameters.layers - 1
            layer = ClusterLayer(vectors, scalars, self._radial.size, self._angular, hyperparameters, last=last)
            self.layers.append(layer)
            vectors, scalars = hyperparameters.channels, hyperparameters.scalars

    def prepare(self, system: SpinSystem) -> NeighborGeometry:
        """See `SpinModel.prepare`."""
        return prepare_geometry(system, self.spec, self._radial, self._angular)

    def _site_energies(self, data: NeighborGeometry, spins: Tensor, *, calibrate: bool = False) -> Tensor:
        spin = spins.transpose(-1, -2)  # (R, 3, N)
        vectors = spin[:, :, None]
        scalars = spin.new_zeros(spin.shape[0], 0, spin.shape[2])
        energies = spin.new_zeros(spin.shape[0], spin.shape[2])
        for layer in self.layers:
            site_energy, vectors, scalars = layer(data, spin, vectors, scalars, calibrate=calibrate)
            energies = energies + site_energy
        return energies

    @torch.no_grad()
    def calibrate(self, data: NeighborGeometry, spins: Tensor) -> None:
        """Measure mean and spread of every layer's invariants on spins (R, N, 3)."""
        self._site_energies(data, spins, calibrate=True)


class ClusterLayer(nn.Module):
    """One layer of `SpinClusterExpansion`; shapes: vectors (R, 3, C, N), scalars (R, F, N)."""

    mean: Tensor
    inverse_spread: Tensor
    triple_rows: Tensor
    triple_columns: Tensor

    def __init__(
        self,
        in_vectors: int,
        in_scalars: int,
        n_radial: int,
        angular: AngularBasis,
        h: ClusterExpansionHyperparameters,
        *,
        last: bool,
    ) -> None:
        super().__init__()
        self.last = last
        self.degrees = degree_slices(angular.degree)
        self.vector_density = NeighborDensity(in_vectors, h.channels, n_radial, angular, 8.0)
        self.scalar_density = NeighborDensity(in_scalars, h.scalars, n_radial, angular, 8.0) if in_scalars else None
        n_triples = h.channels // 2
        first, second = torch.triu_indices(n_triples, n_triples)
        self.register_buffer("triple_rows", first, persistent=False)
        self.register_buffer("triple_columns", second, persistent=False)
        n_invariants = h.channels * (h.channels + 1) // 2 * len(self.degrees) + h.channels + len(first)
        if in_vectors > 1:
            n_invariants += in_vectors * (1 + h.channels)
        if in_scalars:
            n_invariants += in_scalars + h.scalars * len(self.degrees)
        self.register_buffer("mean", torch.zeros(n_invariants))
        self.register_buffer("inverse_spread", torch.ones(n_invariants))
        self.gates_per_channel = 2 + len(self.degrees)
        n_out = 1 if last else 1 + h.scalars + h.channels * self.gates_per_channel
        self.linear_energy = nn.Parameter(torch.zeros(n_invariants))
        self.first = nn.Linear(n_invariants, h.hidden)
        self.second = nn.Linear(h.hidden, h.hidden)
        self.output = nn.Linear(h.hidden, n_out)
        self.n_scalars = h.scalars

    def forward(
        self, data: NeighborGeometry, spin: Tensor, vectors: Tensor, scalars: Tensor, *, calibrate: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Site energies (R, N), next vectors and next scalars."""
        replicas, _, channels, sites = vectors.shape
        density = self.vector_density(vectors.reshape(replicas * 3, channels, sites), data)
        density = density.reshape(replicas, 3, *density.shape[1:])  # (R, 3, C, M, N)
        invariants = self._invariants(data, spin, vectors, scalars, density)
        if calibrate:
            self._measure(invariants)
        features = (invariants - self.mean[:, None]) * self.inverse_spread[:, None]
        hidden = nn.functional.silu(_per_site(self.first, features))
        hidden = nn.functional.silu(_per_site(self.second, hidden))
        out = _per_site(self.output, hidden)
        site_energy = out[:, 0] + torch.einsum("f,rfn->rn", self.linear_energy, features)
        if self.last:
            return site_energy, vectors, scalars
        next_scalars = out[:, 1 : 1 + self.n_scalars]
        gates = out[:, 1 + self.n_scalars :].reshape(replicas, 1, -1, self.gates_per_channel, sites)
        return site_energy, self._gated_vectors(spin, density, gates), next_scalars

    def _invariants(
        self, data: NeighborGeometry, spin: Tensor, vectors: Tensor, scalars: Tensor, density: Tensor
    ) -> Tensor:
        """All time-even spin-rotation and point-group invariants, (R, n_invariants, N)."""
        isotropic = density[:, :, :, 0]  # (R, 3, C, N)
        products = [_gram(density[:, :, :, part]) for part in self.degrees]
        products.append((spin[:, :, None] * isotropic).sum(1))
        even, odd = isotropic[:, :, 0::2], isotropic[:, :, 1::2]
        pairs = min(even.shape[2], odd.shape[2])
        triple = (spin[:, :, None] * torch.linalg.cross(even[:, :, :pairs], odd[:, :, :pairs], dim=1)).sum(1)
        products.append(triple[:, self.triple_rows] * triple[:, self.triple_columns])
        if vectors.shape[2] > 1:
            products.append((spin[:, :, None] * vectors).sum(1))
            products.append(torch.einsum("rxan,rxbn->rabn", vectors, isotropic).flatten(1, 2))
        if self.scalar_density is not None:
            scalar = self.scalar_density(scalars, data)  # (R, F, M, N)
            products += [scalars, scalar[:, :, 0]]
            products += [scalar[:, :, part].square().sum(2) for part in self.degrees[1:]]
        return torch.cat(products, dim=1)

    def _gated_vectors(self, spin: Tensor, density: Tensor, gates: Tensor) -> Tensor:
        """Next vectors (R, 3, C, N)."""
        along = (spin[:, :, None, None] * density).sum(1, keepdim=True)
        result = gates[:, :, :, 0] * spin[:, :, None] + gates[:, :, :, 1] * density[:, :, :, 0]
        for k, part in enumerate(self.degrees):
            result = result + gates[:, :, :, 2 + k] * (along[:, :, :, part] * density[:, :, :, part]).sum(3)
        return result

    def _measure(self, invariants: Tensor) -> None:
        """Store mean and inverse spread; invariants that hardly vary are switched off."""
        self.mean.copy_(invariants.mean((0, 2)))
        spread = invariants.std((0, 2))
        varies = spread > 1e-3 * spread.max()
        self.inverse_spread.copy_(torch.where(varies, 1 / spread.clamp_min(1e-12), torch.zeros_like(spread)))


def _gram(density: Tensor) -> Tensor:
    """Scalar products c <= c' (R, pairs, N) of densities (R, 3, C, m, N), summed over spin and angular components."""
    flat = density.transpose(2, 3).flatten(1, 2)  # (R, 3m, C, N)
    return torch.cat([(flat[:, :, c : c + 1] * flat[:, :, c:]).sum(1) for c in range(flat.shape[2])], dim=1)


def _per_site(linear: nn.Linear, features: Tensor) -> Tensor:
    """Apply a linear layer to features (R, F, N) at every site."""
    return torch.einsum("of,rfn->ron", linear.weight, features) + linear.bias[:, None]
