r"""Neighbour densities: messages whose weight depends on geometry alone.

.. math:: A_i^{c,m} = \sum_j \sum_{c'} R_{cc'}^{l(m)}(r_{ij})\, Y_m(\hat r_{ij})\, v_j^{c'}

is linear in the neighbours' features. On a Bravais lattice it is a convolution in lattice coordinates; on any other
graph it is a sum over edges. Both paths use the same weights and agree to rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import MessagePassing

from gnnspin.graphs import GraphSpec
from gnnspin.models.bases import AngularBasis, RadialBasis
from gnnspin.systems import SpinSystem

_CONVOLUTION = {1: nn.functional.conv1d, 2: nn.functional.conv2d, 3: nn.functional.conv3d}


@dataclass(frozen=True)
class LatticeStencil:
    """Neighbour offsets of a lattice as a dense kernel, one entry per cell offset and pair of basis sites.

    Attributes
    ----------
    shape : tuple of int
        Unit cells (L1, L2, L3).
    reach : tuple of int
        Largest offset per direction.
    periodic : tuple of bool
    kernel : (K, M, n_basis, n_basis, *window)
        Radial times angular value of the neighbour (second basis index) at an offset from the centre (first).
    """

    shape: tuple[int, int, int]
    reach: tuple[int, int, int]
    periodic: tuple[bool, bool, bool]
    kernel: Tensor


@dataclass(frozen=True)
class NeighborGeometry:
    """Frozen geometry of one system for a model: what `prepare` returns.

    Attributes
    ----------
    edge_index : (2, E) int64
        Rows (neighbour, centre).
    radial : (E, K)
    angular : (E, M)
    graph_index : (N,) int64
        Which of the disjoint systems a site belongs to.
    n_sites, n_graphs : int
    stencil : LatticeStencil or None
        Present where the graph is a convolution.
    """

    edge_index: Tensor
    radial: Tensor
    angular: Tensor
    graph_index: Tensor
    n_sites: int
    n_graphs: int
    stencil: LatticeStencil | None

    def to(self, device: torch.device | str, dtype: torch.dtype) -> NeighborGeometry:
        """Copy on `device` with floating-point arrays in `dtype`."""
        stencil = self.stencil and replace(self.stencil, kernel=self.stencil.kernel.to(device, dtype))
        return replace(
            self,
            edge_index=self.edge_index.to(device),
            radial=self.radial.to(device, dtype),
            angular=self.angular.to(device, dtype),
            graph_index=self.graph_index.to(device),
            stencil=stencil,
        )

    def without_stencil(self) -> NeighborGeometry:
        """Force the edge-list path (to compare the two)."""
        return replace(self, stencil=None)


def prepare_geometry(
    system: SpinSystem, spec: GraphSpec, radial: RadialBasis, angular: AngularBasis
) -> NeighborGeometry:
    """Build graph, bases and, on a lattice, the stencil of `system`."""
    graph = spec.graph(system)
    return NeighborGeometry(
        edge_index=graph.edge_index,
        radial=radial(graph.edge_distance, graph.edge_shell),
        angular=angular(graph.edge_vector),
        graph_index=torch.from_numpy(system.graph_index.copy()),
        n_sites=system.n_sites,
        n_graphs=system.n_graphs,
        stencil=_lattice_stencil(system, graph, radial, angular),
    )


def _lattice_stencil(
    system: SpinSystem, graph: Data, radial: RadialBasis, angular: AngularBasis
) -> LatticeStencil | None:
    """Stencil from the neighbours of one unit cell, or None where the system is no lattice or too small to pad."""
    if system.n_graphs > 1 or system.lattice_shape is None:
        return None
    shape = torch.tensor(system.lattice_shape)
    basis = torch.from_numpy(system.positions[: system.n_basis].copy())
    primitive = torch.from_numpy(system.primitive_vectors.copy())
    j_basis, i_basis = graph.edge_index % system.n_basis
    offset = torch.linalg.solve(primitive.T, (graph.edge_vector + basis[i_basis] - basis[j_basis]).T).T
    cells = offset.round().long()
    if bool((offset - cells).abs().max() > 1e-6):
        return None
    reach = cells.abs().amax(dim=0)
    if bool((reach > shape).any()):
        return None
    keys = torch.cat([cells + reach, i_basis[:, None], j_basis[:, None]], dim=1)
    unique, first = _first_occurrences(keys)
    values = (
        radial(graph.edge_distance[first], graph.edge_shell[first])[:, :, None]
        * (angular(graph.edge_vector[first])[:, None, :])
    )
    window = tuple(int(2 * r + 1) for r in reach)
    kernel = torch.zeros(*window, system.n_basis, system.n_basis, *values.shape[1:], dtype=values.dtype)
    kernel[tuple(unique.T)] = values
    return LatticeStencil(
        shape=system.lattice_shape,
        reach=(int(reach[0]), int(reach[1]), int(reach[2])),
        periodic=system.pbc,
        kernel=kernel.permute(5, 6, 3, 4, 0, 1, 2).contiguous(),
    )


def _first_occurrences(keys: Tensor) -> tuple[Tensor, Tensor]:
    """Distinct rows of `keys` and the index of one row for each."""
    unique, inverse = torch.unique(keys, dim=0, return_inverse=True)
    first = torch.empty(len(unique), dtype=torch.long)
    first[inverse] = torch.arange(len(keys))
    return unique, first


class NeighborDensity(MessagePassing):
    """Equivariant linear message passing: `C_in` features of the neighbours to `C_out` x M densities at the centre.

    Parameters
    ----------
    in_channels, out_channels : int
    n_radial : int
        Number K of radial functions.
    angular : AngularBasis
    mean_neighbors : float
        Typical number of neighbours, for the scale of the initial weights.
    """

    def __init__(
        self, in_channels: int, out_channels: int, n_radial: int, angular: AngularBasis, mean_neighbors: float
    ) -> None:
        super().__init__(aggr="add", node_dim=0)
        scale = 1 / math.sqrt(in_channels * max(mean_neighbors, 1.0))
        self.weight = nn.Parameter(scale * torch.randn(out_channels, in_channels, angular.n_degrees, n_radial))
        self.register_buffer("degree", torch.tensor(angular.degree), persistent=False)

    def forward(self, features: Tensor, geometry: NeighborGeometry) -> Tensor:
        """Densities (B, C_out, M, N) of features (B, C_in, N); B runs over replicas and spin components."""
        weight = self.weight[:, :, self.degree]  # (C_out, C_in, M, K)
        if geometry.stencil is not None:
            return self._convolve(features, geometry.stencil, weight)
        edge_weight = torch.einsum("ocmk,ek,em->eocm", weight, geometry.radial, geometry.angular)
        nodes = features.permute(2, 0, 1)  # (N, B, C_in)
        density = self.propagate(geometry.edge_index, x=nodes, edge_weight=edge_weight, size=None)
        return density.permute(1, 2, 3, 0)

    def message(self, x_j: Tensor, edge_weight: Tensor) -> Tensor:
        """Message (E, B, C_out, M) of neighbours (E, B, C_in) through weights (E, C_out, C_in, M)."""
        edges, out_channels, in_channels, components = edge_weight.shape
        flat = edge_weight.transpose(1, 2).reshape(edges, in_channels, out_channels * components)
        return torch.bmm(x_j, flat).reshape(edges, x_j.shape[1], out_channels, components)

    def _convolve(self, features: Tensor, stencil: LatticeStencil, weight: Tensor) -> Tensor:
        batch, in_channels, n_sites = features.shape
        out_channels, _, components, _ = weight.shape
        n_basis = stencil.kernel.shape[2]
        kernel = torch.einsum("ocmk,kmbdxyz->ombcdxyz", weight, stencil.kernel)
        kernel = kernel.reshape(out_channels * components * n_basis, in_channels * n_basis, *kernel.shape[-3:])
        grid = features.reshape(batch, in_channels, *stencil.shape, n_basis)
        grid = grid.permute(0, 1, 5, 2, 3, 4).reshape(batch, in_channels * n_basis, *stencil.shape)
        result = _padded_convolution(grid, kernel, stencil)
        result = result.reshape(batch, out_channels, components, n_basis, *stencil.shape)
        return result.permute(0, 1, 2, 4, 5, 6, 3).reshape(batch, out_channels, components, n_sites)


def _padded_convolution(grid: Tensor, kernel: Tensor, stencil: LatticeStencil) -> Tensor:
    """Convolution over the extended directions: circular padding where periodic, zero padding where open."""
    extended = [d for d in range(3) if stencil.shape[d] > 1 or stencil.reach[d] > 0] or [0]
    grid = grid.reshape(*grid.shape[:2], *(stencil.shape[d] for d in extended))
    kernel = kernel.reshape(*kernel.shape[:2], *(2 * stencil.reach[d] + 1 for d in extended))
    for mode, periodic in (("circular", True), ("constant", False)):
        pads = [stencil.reach[d] if stencil.periodic[d] is periodic else 0 for d in reversed(extended)]
        if any(pads):
            grid = nn.functional.pad(grid, [p for pad in pads for p in (pad, pad)], mode=mode)
    return _CONVOLUTION[len(extended)](grid, kernel)
