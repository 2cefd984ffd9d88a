"""Invariant message passing: scalars on sites, filters of distance and bond, triplets with angles and chirality."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import Field
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing
from torch_geometric.utils import scatter

from gnnspin.core.config import Config
from gnnspin.core.containers import TensorContainer
from gnnspin.descriptors.invariants import edge_bonds, triplet_bonds, triplet_chiralities
from gnnspin.graphs import GraphSpec
from gnnspin.graphs.triplets import TripletGraph
from gnnspin.models.base import SpinModel
from gnnspin.models.blocks.bases import RadialBasis
from gnnspin.models.blocks.invariant_graph import TripletBasis, legendre
from gnnspin.models.blocks.standardization import Standardization, site_network
from gnnspin.models.registry import register
from gnnspin.systems import SpinSystem


class InvariantMessageHyperparameters(Config):
    """Hyperparameters of `InvariantMessagePassing`."""

    layers: int = Field(default=2, ge=1, description="message-passing layers")
    channels: int = Field(default=16, ge=1, description="features per site")
    hidden: int = Field(default=48, ge=1, description="width of the hidden layers of each site network")
    bond_degree: int = Field(default=3, ge=1, description="largest Legendre polynomial of S_i . S_j in a filter")
    angle_degree: int = Field(default=2, ge=0, description="largest Chebyshev polynomial of the cosine of an angle")
    triplet_cutoff: float = Field(default=1.5, gt=0, description="largest distance of a triplet's two neighbours")
    n_radial: int = Field(default=6, ge=1, description="radial functions, where distances are continuous")
    time_reversal: bool = Field(default=True, description="False admits chiralities themselves, not only products")


@dataclass(frozen=True)
class TripletGeometry(TensorContainer):
    """Frozen geometry of one system: edges (j, i) and unordered pairs of edges with one centre i.

    Attributes
    ----------
    graph : TripletGraph
        ``edge_index (2, E)`` with rows (neighbour, centre), and ``triplet_index (2, T)`` of the short edges.
    radial : (E, K)
    symmetric, antisymmetric : (T, Q), (T, Q')
        Functions of the two distances and the angle, even and odd under exchange of the two neighbours.
    """

    graph: TripletGraph
    radial: Tensor
    symmetric: Tensor
    antisymmetric: Tensor


@register
class InvariantMessagePassing(SpinModel):
    r"""Site features without direction; spins enter through :math:`b_{ij} = S_i\cdot S_j` and chiralities.

    1. Triplets around site i give its first features: sums over pairs j, k of functions of the two distances and the
       angle times :math:`b_{jk},\ b_{ij}b_{ik},\ b_{ij}b_{ik}b_{jk},\ \chi_{ijk}^2`, with
       :math:`\chi_{ijk} = S_i\cdot S_j\times S_k`. Sums of :math:`\chi_{ijk}` itself carry weights that are odd under
       j <-> k (antisymmetric radial pairs, or :math:`b_{ij} - b_{ik}`): a symmetric sum vanishes. These sums are odd
       under time reversal and enter in products of two, unless ``time_reversal=False``.
    2. Each layer sends messages :math:`W(r_{ij}, b_{ij}) \odot h_j` with a continuous filter W, and updates
       :math:`h_i` by a site network of what arrives.

    The site energy is a network of the last features. Exactly invariant under global spin rotation, translations,
    point groups and, with ``time_reversal``, spin inversion. As SchNet (Schuett et al., J. Chem. Phys. 148, 241722,
    2018, doi:10.1063/1.5019779), with bonds and triplets of spins.

    Parameters
    ----------
    spec : GraphSpec
    hyperparameters : InvariantMessageHyperparameters

    Raises
    ------
    InvalidInput
        If no neighbour is within the cutoff of triplets.
    """

    name = "invariant_message_passing"
    Hyperparameters = InvariantMessageHyperparameters
    hyperparameters: InvariantMessageHyperparameters

    def __init__(self, spec: GraphSpec, hyperparameters: InvariantMessageHyperparameters) -> None:
        super().__init__(spec, hyperparameters)
        h = hyperparameters
        self._radial = RadialBasis(spec, h.n_radial)
        self._basis = TripletBasis(spec, h.triplet_cutoff, max(1, h.n_radial // 2), h.angle_degree)
        self.triplets = TripletFeatures(self._basis.n_symmetric, self._basis.n_antisymmetric, h)
        self.layers = nn.ModuleList(BondMessage(self._radial.size, h) for _ in range(h.layers))
        self.readout = site_network([h.channels, h.hidden, 1])

    @property
    def receptive_radius(self) -> float:
        return self.hyperparameters.layers * self.spec.cutoff + self._basis.cutoff

    def prepare(self, system: SpinSystem) -> TripletGeometry:
        graph = self.spec.graph(system)
        pairs = self._basis.pairs(graph)
        factors = self._basis.factors(graph, pairs)
        return TripletGeometry(
            graph=TripletGraph(edge_index=graph.edge_index, triplet_index=pairs, num_nodes=system.n_sites),
            radial=self._radial(graph.edge_distance, graph.edge_shell),
            symmetric=factors.symmetric,
            antisymmetric=factors.antisymmetric,
        )

    def dimensionless_energies(self, data: TripletGeometry, spins: Tensor, *, calibrate: bool = False) -> Tensor:
        bond = edge_bonds(data.graph, spins).T  # (E, R)
        features = self.triplets(data, spins, bond, calibrate=calibrate)
        basis = data.radial[:, None, :, None] * legendre(bond, self.hyperparameters.bond_degree)[:, :, None]
        for layer in self.layers:
            features = layer(data, basis.flatten(2), features, calibrate=calibrate)
        return self.readout(features)[..., 0].T

    @torch.no_grad()
    def calibrate(self, data: TripletGeometry, spins: Tensor) -> None:
        """Measure mean and spread of every layer's sums on spins (R, N, 3)."""
        self.dimensionless_energies(data, spins, calibrate=True)


class TripletFeatures(nn.Module):
    """First site features (N, R, C) from the triplets around each site."""

    def __init__(self, n_symmetric: int, n_antisymmetric: int, h: InvariantMessageHyperparameters) -> None:
        super().__init__()
        self.time_reversal = h.time_reversal
        channels = h.channels
        self.even = nn.Linear(4 * n_symmetric, channels, bias=False)
        self.odd = nn.Linear(2 * n_antisymmetric + n_symmetric, channels, bias=False)
        self.odd_scale = Standardization(channels, centered=False)
        self.mix = nn.Linear(channels, 2 * channels, bias=False)
        n_features = 2 * channels if h.time_reversal else 3 * channels
        self.standardization = Standardization(n_features)
        self.update = site_network([n_features, h.hidden, channels])

    def forward(self, data: TripletGeometry, spins: Tensor, bond: Tensor, *, calibrate: bool) -> Tensor:
        """Features of spins (R, N, 3) with bonds (E, R)."""
        graph, n_sites = data.graph, spins.shape[1]
        first, second = graph.triplet_index
        site = graph.edge_index[1, first]
        chirality, opposite = triplet_chiralities(graph, spins).T, triplet_bonds(graph, spins).T  # (T, R)
        near, far = bond[first], bond[second]
        even = torch.stack([opposite, near * far, near * far * opposite, chirality.square()], dim=-1)
        even = self.even((even[..., None] * data.symmetric[:, None, None]).flatten(2))
        odd = torch.stack([chirality, chirality * (near + far)], dim=-1)[..., None] * data.antisymmetric[:, None, None]
        skew = (chirality * (near - far))[..., None] * data.symmetric[:, None]
        odd = self.odd(torch.cat([odd.flatten(2), skew], dim=-1))
        even_sum = scatter(even, site, dim=0, dim_size=n_sites)
        odd_sum = scatter(odd, site, dim=0, dim_size=n_sites)
        odd_sum = self.odd_scale(odd_sum, calibrate=calibrate)
        left, right = self.mix(odd_sum).chunk(2, dim=-1)
        sums = [even_sum, left * right] if self.time_reversal else [even_sum, left * right, odd_sum]
        return self.update(self.standardization(torch.cat(sums, dim=-1), calibrate=calibrate))


class BondMessage(MessagePassing):
    """Continuous-filter message and update of `InvariantMessagePassing`; features (N, R, C)."""

    def __init__(self, n_radial: int, h: InvariantMessageHyperparameters) -> None:
        super().__init__(aggr="add", node_dim=0)
        channels = h.channels
        self.filter = nn.Sequential(
            nn.Linear(n_radial * (h.bond_degree + 1), channels, bias=False),
            nn.SiLU(),
            nn.Linear(channels, 2 * channels, bias=False),
        )
        self.send = nn.Linear(channels, channels)
        self.standardization = Standardization(3 * channels)
        self.update_network = site_network([3 * channels, h.hidden, h.hidden, channels])
        self.linear = nn.Linear(3 * channels, channels, bias=False)

    def forward(self, data: TripletGeometry, basis: Tensor, features: Tensor, *, calibrate: bool) -> Tensor:
        """Next features; `basis` (E, R, K (L + 1)) holds the filters' basis functions and vanishes at the cutoff."""
        arrived = self.propagate(data.graph.edge_index, x=self.send(features), weight=self.filter(basis), size=None)
        joined = self.standardization(torch.cat([features, arrived], dim=-1), calibrate=calibrate)
        return features + self.update_network(joined) + self.linear(joined)

    def message(self, x_j: Tensor, weight: Tensor) -> Tensor:
        """Message (E, R, 2 C): a filter alone, and a filter times the neighbour's features (E, R, C)."""
        alone, gating = weight.chunk(2, dim=-1)
        return torch.cat([alone, gating * x_j], dim=-1)
