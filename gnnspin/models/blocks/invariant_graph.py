r"""Graphs whose nodes and edges carry invariants of the spins: what networks of torch_geometric read.

Every number is a function of distances, of bonds :math:`b_{ij} = S_i\cdot S_j` and of squares of sums of chiralities
:math:`\chi_{ijk} = S_i\cdot S_j\times S_k`: no rotation of the spins, no reversal of all of them, and no operation of
space changes it. A network of these numbers has all symmetries exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.utils import scatter

from gnnspin.core.containers import TensorContainer
from gnnspin.core.errors import InvalidInput
from gnnspin.descriptors.invariants import edge_bonds, triplet_bonds, triplet_chiralities
from gnnspin.graphs import GraphSpec, triplets
from gnnspin.graphs.triplets import TripletGraph
from gnnspin.models.blocks.bases import RadialBasis, envelope
from gnnspin.models.blocks.standardization import Standardization
from gnnspin.systems import SpinSystem
from gnnspin.systems.distances import LENGTH_TOLERANCE


@dataclass(frozen=True)
class TripletFactors(TensorContainer):
    """Functions of the two distances and the angle of triplets.

    Attributes
    ----------
    symmetric, antisymmetric : (T, Q), (T, Q')
        Even and odd under exchange of the two neighbours.
    """

    symmetric: Tensor
    antisymmetric: Tensor


class TripletBasis:
    """Radial functions of both distances of a triplet times Chebyshev polynomials of the cosine of its angle.

    Parameters
    ----------
    spec : GraphSpec
        Of the model.
    cutoff : float
        Largest distance of a triplet's two neighbours.
    n_radial : int
        Radial functions, where distances are continuous.
    angle_degree : int
        Largest polynomial.

    Raises
    ------
    InvalidInput
        If no shell is within the cutoff.
    """

    def __init__(self, spec: GraphSpec, cutoff: float, n_radial: int, angle_degree: int) -> None:
        self.radial = RadialBasis(short_spec(spec, cutoff), n_radial)
        size = self.radial.size
        self.n_angles = angle_degree + 1
        self.n_symmetric = size * (size + 1) // 2 * self.n_angles
        self.n_antisymmetric = size * (size - 1) // 2 * self.n_angles

    @property
    def cutoff(self) -> float:
        """Largest distance of a triplet's two neighbours."""
        return self.radial.spec.cutoff

    def pairs(self, graph: Data) -> Tensor:
        """Triplets (2, T) of the edges of `graph` that are short enough, as positions in its list of edges."""
        kept = torch.nonzero(graph.edge_distance <= self.cutoff * (1 + LENGTH_TOLERANCE))[:, 0]
        return kept[triplets(Data(edge_index=graph.edge_index[:, kept], n_sites=graph.n_sites))]

    def factors(self, graph: Data, pairs: Tensor) -> TripletFactors:
        """Functions of the triplets `pairs` (2, T) of edges of `graph`."""
        first, second = pairs
        cosine = (graph.edge_vector[first] * graph.edge_vector[second]).sum(-1)
        cosine = cosine / (graph.edge_distance[first] * graph.edge_distance[second])
        angle = torch.stack([torch.cos(k * cosine.clamp(-1, 1).arccos()) for k in range(self.n_angles)], dim=-1)
        radial = [self.radial(graph.edge_distance[e], graph.edge_shell[e]) for e in pairs]
        products = radial[0][:, :, None] * radial[1][:, None, :]
        size = self.radial.size
        upper, strict = torch.triu_indices(size, size), torch.triu_indices(size, size, offset=1)
        even = (products + products.transpose(1, 2))[:, upper[0], upper[1]]
        odd = (products - products.transpose(1, 2))[:, strict[0], strict[1]]
        return TripletFactors(*((part[:, :, None] * angle[:, None]).flatten(1) for part in (even, odd)))


@dataclass(frozen=True)
class InvariantGeometry(TensorContainer):
    """Frozen geometry of one system.

    Attributes
    ----------
    graph : TripletGraph
        ``edge_index (2, E)``, and ``triplet_index (2, T)`` of the short edges.
    length, cut : (E,)
        Distances, and a factor that falls to zero at the cutoff (one on the shells of a lattice).
    radial : (E, K)
    triplets : TripletFactors or None
    """

    graph: TripletGraph
    length: Tensor
    cut: Tensor
    radial: Tensor
    triplets: TripletFactors | None


class InvariantGraph(nn.Module):
    r"""Turns spins into a `torch_geometric.data.Data` of invariants, the replicas side by side as one graph.

    =================  ===========================================================================================
    attribute          content
    =================  ===========================================================================================
    ``x``              sums over neighbours of ``edge_attr``; over triplets, of functions of distances and angle
                       times :math:`b_{jk},\ b_{ij}b_{ik},\ b_{ij}b_{ik}b_{jk},\ \chi_{ijk}^2`; and squares of sums of
                       :math:`\chi_{ijk}` with weights odd under j <-> k. Standardised, (R N, `node_channels`)
    ``edge_index``     rows (neighbour, centre), (2, R E)
    ``edge_attr``      radial functions times Legendre polynomials of :math:`b_{ij}`, zero at the cutoff,
                       (R E, `edge_channels`)
    ``edge_weight``    distances (R E,)
    ``edge_cut``       factor that falls to zero at the cutoff where distances are continuous, else one (R E,)
    ``batch``          replica of every node (R N,)
    =================  ===========================================================================================

    Parameters
    ----------
    spec : GraphSpec
    n_radial, bond_degree, angle_degree : int
        Radial functions, Legendre polynomials of bonds, Chebyshev polynomials of angles.
    triplet_cutoff : float or None
        Largest distance of a triplet's two neighbours; None for no triplets.
    """

    def __init__(
        self, spec: GraphSpec, n_radial: int, bond_degree: int, angle_degree: int, triplet_cutoff: float | None
    ) -> None:
        super().__init__()
        self.spec, self.bond_degree = spec, bond_degree
        self.radial = RadialBasis(spec, n_radial)
        self.triplets = (
            None if triplet_cutoff is None else TripletBasis(spec, triplet_cutoff, max(1, n_radial // 2), angle_degree)
        )
        self.edge_channels = self.radial.size * (bond_degree + 1)
        self.node_channels = self.edge_channels
        if self.triplets is not None:
            self.node_channels += 5 * self.triplets.n_symmetric + 2 * self.triplets.n_antisymmetric
        self.nodes = Standardization(self.node_channels)
        self.edges = Standardization(self.edge_channels, centered=False)

    @property
    def radius(self) -> float:
        """Radius within which the invariants of a node depend on spins."""
        return self.spec.cutoff

    def prepare(self, system: SpinSystem) -> InvariantGeometry:
        """Freeze the geometry of `system`; raises as `GraphSpec.graph`."""
        graph = self.spec.graph(system)
        pairs = torch.empty(2, 0, dtype=torch.long) if self.triplets is None else self.triplets.pairs(graph)
        cut = envelope(graph.edge_distance / self.spec.cutoff) if self.spec.shells is None else None
        return InvariantGeometry(
            graph=TripletGraph(edge_index=graph.edge_index, triplet_index=pairs, num_nodes=system.n_sites),
            length=graph.edge_distance,
            cut=torch.ones_like(graph.edge_distance) if cut is None else cut,
            radial=self.radial(graph.edge_distance, graph.edge_shell),
            triplets=None if self.triplets is None else self.triplets.factors(graph, pairs),
        )

    def forward(self, data: InvariantGeometry, spins: Tensor, *, calibrate: bool = False) -> Data:
        """The graph of spins (R, N, 3)."""
        replicas, n_sites = spins.shape[:2]
        bond = edge_bonds(data.graph, spins)
        edge = (data.radial[:, :, None] * legendre(bond, self.bond_degree)[:, :, None]).flatten(2)
        sums = [scatter(edge, data.graph.edge_index[1], dim=1, dim_size=n_sites)]
        if data.triplets is not None:
            sums += self._triplet_sums(data.graph, data.triplets, spins, bond)
        node = self.nodes(torch.cat(sums, dim=-1), calibrate=calibrate)
        shift = n_sites * torch.arange(replicas, device=spins.device)
        return Data(
            x=node.flatten(0, 1),
            edge_index=(data.graph.edge_index[:, None] + shift[:, None]).flatten(1),
            edge_attr=self.edges(edge, calibrate=calibrate).flatten(0, 1),
            edge_weight=data.length.repeat(replicas),
            edge_cut=data.cut.repeat(replicas),
            batch=torch.arange(replicas, device=spins.device).repeat_interleave(n_sites),
            num_nodes=replicas * n_sites,
        )

    def _triplet_sums(self, graph: TripletGraph, factors: TripletFactors, spins: Tensor, bond: Tensor) -> list[Tensor]:
        """Sums (R, N, F) over the triplets around every site: even ones, and squares of odd ones."""
        first, second = graph.triplet_index
        site, n_sites = graph.edge_index[1, first], spins.shape[1]
        opposite, chirality = triplet_bonds(graph, spins), triplet_chiralities(graph, spins)  # (R, T)
        near, far = bond[:, first], bond[:, second]
        even = torch.stack([opposite, near * far, near * far * opposite, chirality.square()], dim=-1)
        skew = torch.stack([chirality, chirality * (near + far)], dim=-1)
        odd = [
            (skew[..., None] * factors.antisymmetric[:, None]).flatten(2),
            (chirality * (near - far))[..., None] * factors.symmetric,
        ]
        even_sum = scatter((even[..., None] * factors.symmetric[:, None]).flatten(2), site, dim=1, dim_size=n_sites)
        odd_sum = scatter(torch.cat(odd, dim=-1), site, dim=1, dim_size=n_sites)
        return [even_sum, odd_sum.square()]


def short_spec(spec: GraphSpec, cutoff: float) -> GraphSpec:
    """Specification of the edges that triplets are made of."""
    cutoff = min(cutoff, spec.cutoff)
    shells = spec.shells and tuple(d for d in spec.shells if d <= cutoff * (1 + LENGTH_TOLERANCE))
    if spec.shells and not shells:
        raise InvalidInput(
            f"triplet_cutoff={cutoff:g} is below the nearest neighbours at {spec.shells[0]:.4f}; increase it"
        )
    return GraphSpec(cutoff=cutoff, shells=shells, dimension=spec.dimension)


def legendre(x: Tensor, degree: int) -> Tensor:
    """Legendre polynomials (..., degree + 1) of x (...)."""
    values = [torch.ones_like(x), x]
    for n in range(1, degree):
        values.append(((2 * n + 1) * x * values[n] - n * values[n - 1]) / (n + 1))
    return torch.stack(values[: degree + 1], dim=-1)
