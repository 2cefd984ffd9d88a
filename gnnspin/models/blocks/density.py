r"""Neighbour densities: messages whose weight depends on geometry alone.

.. math:: A_i^{c,m} = \sum_j R_c^{l(m)}(r_{ij})\, Y_m(\hat r_{ij})\, \sum_{c'} W_{cc'} v_j^{c'}

is linear in the neighbours' features. On a Bravais lattice it is a convolution in lattice coordinates, built from the
neighbours of one unit cell; on any other graph it is a matrix product per site over a padded table of neighbours. Both
paths use the same weights and agree to rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.utils import to_dense_batch

from gnnspin.core.containers import TensorContainer
from gnnspin.graphs import GraphSpec
from gnnspin.models.blocks.bases import AngularBasis, RadialBasis
from gnnspin.models.blocks.fixed_number import Membership
from gnnspin.models.blocks.mixing import mixing_matrix
from gnnspin.systems import SpinSystem
from gnnspin.systems.distances import no_neighbor
from gnnspin.systems.lattice import cell_neighbors, is_lattice

_CONVOLUTION = {1: nn.functional.conv1d, 2: nn.functional.conv2d, 3: nn.functional.conv3d}


@dataclass(frozen=True)
class LatticeStencil(TensorContainer):
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
class NeighborTable(TensorContainer):
    """Neighbours of every site, padded to the largest number n of them.

    Attributes
    ----------
    neighbor : (N, n) int64
        Indices; 0 where a site has fewer than n.
    radial : (K, N, n)
        Radial functions; 0 on the padding.
    angular : (M, N, n)
    """

    neighbor: Tensor
    radial: Tensor
    angular: Tensor


@dataclass(frozen=True)
class NeighborGeometry(TensorContainer):
    """Frozen geometry of one system for a model: what `prepare` returns.

    Attributes
    ----------
    site_kind : (N,) int64
        Kind of each site; zeros unless the model tells kinds apart.
    membership : Membership
    stencil : LatticeStencil or None
        Where the graph is a convolution.
    table : NeighborTable or None
        Where it is not: exactly one of the two is there.
    build_table : callable
        Makes the table of the same graph, on the CPU.
    """

    site_kind: Tensor
    membership: Membership
    stencil: LatticeStencil | None
    table: NeighborTable | None
    build_table: Callable[[], NeighborTable]

    def without_stencil(self) -> NeighborGeometry:
        """Force the path of general graphs (to compare the two)."""
        if self.stencil is None:
            return self
        kernel = self.stencil.kernel
        return replace(self, stencil=None, table=self.build_table().to(kernel.device, kernel.dtype))


def prepare_geometry(
    system: SpinSystem,
    spec: GraphSpec,
    radial: RadialBasis,
    angular: AngularBasis,
    site_kind: np.ndarray | None = None,
) -> NeighborGeometry:
    """Stencil of `system` on a lattice, which costs no more than one unit cell; table of neighbours otherwise."""
    stencil = _lattice_stencil(system, spec, radial, angular)
    build_table = partial(_neighbor_table, system, spec, radial, angular)
    kinds = np.zeros(system.n_sites, dtype=np.int64) if site_kind is None else site_kind
    return NeighborGeometry(
        site_kind=torch.from_numpy(kinds.copy()),
        membership=Membership.of(system),
        stencil=stencil,
        table=build_table() if stencil is None else None,
        build_table=build_table,
    )


def _neighbor_table(system: SpinSystem, spec: GraphSpec, radial: RadialBasis, angular: AngularBasis) -> NeighborTable:
    graph = spec.graph(system)
    sender, center = graph.edge_index
    values = torch.cat([radial(graph.edge_distance, graph.edge_shell), angular(graph.edge_vector)], dim=1)
    padded, _ = to_dense_batch(values, center, batch_size=system.n_sites)  # (N, n, K + M)
    neighbor, _ = to_dense_batch(sender, center, batch_size=system.n_sites)
    phi, y = padded.split([radial.size, angular.n_components], dim=2)
    return NeighborTable(neighbor, *(values.permute(2, 0, 1).contiguous() for values in (phi, y)))


def _lattice_stencil(
    system: SpinSystem, spec: GraphSpec, radial: RadialBasis, angular: AngularBasis
) -> LatticeStencil | None:
    """Stencil from the neighbours of one unit cell, or None where the system is no lattice or too small to pad."""
    if not is_lattice(system):
        return None
    cells, center, neighbor, vectors = (torch.from_numpy(x) for x in cell_neighbors(system, spec.cutoff))
    if len(cells) == 0:
        raise no_neighbor(system, spec.cutoff)
    reach = cells.abs().amax(dim=0)
    if bool((reach > torch.tensor(system.lattice_shape)).any()):
        return None
    distance = vectors.norm(dim=1)
    values = radial(distance, spec.match(vectors, distance))[:, :, None] * angular(vectors)[:, None, :]
    window = tuple(int(2 * r + 1) for r in reach)
    kernel = torch.zeros(*window, system.n_basis, system.n_basis, *values.shape[1:], dtype=values.dtype)
    kernel[(*(cells + reach).T, center, neighbor)] = values
    return LatticeStencil(
        shape=system.lattice_shape,  # type: ignore[arg-type]
        reach=(int(reach[0]), int(reach[1]), int(reach[2])),
        periodic=system.pbc,
        kernel=kernel.permute(5, 6, 3, 4, 0, 1, 2).contiguous(),
    )


class NeighborDensity(nn.Module):
    """Equivariant linear message passing: `C_in` features of the neighbours to `C_out` x M densities at the centre.

    Parameters
    ----------
    in_channels, out_channels : int
    n_radial : int
        Number K of radial functions.
    angular : AngularBasis
        Its degrees, or fewer than the geometry's.
    mean_neighbors : float
        Typical number of neighbours, for the scale of the initial weights.
    separable : bool
        Mix channels on the nodes and give each output channel one radial function per degree, in place of one for
        every pair of channels: `C_in` times cheaper off the lattice.
    """

    degree: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        n_radial: int,
        angular: AngularBasis,
        mean_neighbors: float,
        *,
        separable: bool = False,
    ) -> None:
        super().__init__()
        mixes = separable and in_channels > 1
        inputs = 1 if mixes else in_channels
        scale = 1 / math.sqrt(inputs * max(mean_neighbors, 1.0))
        self.weight = nn.Parameter(scale * torch.randn(out_channels, inputs, angular.n_degrees, n_radial))
        mixing = mixing_matrix(out_channels, in_channels)
        self.mixing = mixing if mixes else None
        self.register_buffer("degree", torch.tensor(angular.degree), persistent=False)

    def forward(self, features: Tensor, geometry: NeighborGeometry) -> Tensor:
        """Densities (B, C_out, M, N) of features (B, C_in, N); B runs over replicas and spin components."""
        mixed = features if self.mixing is None else self.mixing @ features
        weight = self.weight[:, :, self.degree]  # (C_out, C_in or 1, M, K)
        if geometry.stencil is not None:
            return convolve(mixed, geometry.stencil, weight)
        assert geometry.table is not None
        return _gather(mixed, geometry.table, weight)


def _gather(features: Tensor, table: NeighborTable, weight: Tensor) -> Tensor:
    """Densities (B, C_out, M, N) of features (B, C, N) by products per site; C_in is C, or 1 for grouped outputs.

    The neighbours of a site lie side by side in all arrays, so that the factors of the products are views.
    """
    out_channels, inputs, components, n_radial = weight.shape
    batch, channels, n_sites = features.shape
    angular = table.angular[:components]
    width = angular.shape[-1]
    arrived = features.reshape(-1, n_sites).index_select(1, table.neighbor.flatten())  # (B C, N n)
    if inputs > 1:
        basis = (table.radial[:, None] * angular).reshape(-1, n_sites, width).permute(1, 2, 0)  # (N, n, K M)
        sums = _ContiguousGradient.apply(arrived.reshape(-1, n_sites, width).transpose(0, 1) @ basis)
        sums = sums.reshape(n_sites, batch, inputs, n_radial, components)
        return torch.einsum("nbckm,ocmk->bomn", sums, weight)
    grouped = weight.reshape(channels, -1, components, n_radial).permute(1, 2, 0, 3)
    radial = grouped.reshape(-1, n_radial) @ table.radial.reshape(n_radial, -1)
    kernel = radial.reshape(-1, components, channels, n_sites, width) * angular[:, None]
    kernel = kernel.reshape(-1, channels * n_sites, width).permute(1, 2, 0)  # (C N, n, C_out M / C)
    density = _ContiguousGradient.apply(arrived.reshape(batch, -1, width).transpose(0, 1) @ kernel)
    density = density.reshape(channels, n_sites, batch, -1, components)
    return density.permute(2, 0, 3, 4, 1).reshape(batch, out_channels, components, n_sites)


class _ContiguousGradient(torch.autograd.Function):
    """The identity, whose gradient is contiguous: batched products fall back to a loop over sites otherwise."""

    generate_vmap_rule = True

    @staticmethod
    def forward(features: Tensor) -> Tensor:
        return features.view_as(features)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        del ctx
        return gradient.contiguous()


def convolve(features: Tensor, stencil: LatticeStencil, weight: Tensor) -> Tensor:
    """Densities (B, C_out, M, N) of features (B, C, N) by a convolution with weights (C_out, C_in, M, K).

    Channels fall into ``C / C_in`` groups; those of the output that belong to one group see its channels alone.
    """
    out_channels, inputs, components, _ = weight.shape
    batch, channels, n_sites = features.shape
    n_basis = stencil.kernel.shape[2]
    kernel = torch.einsum("ocmk,kmbdxyz->ombcdxyz", weight, stencil.kernel[:, :components])
    kernel = kernel.flatten(3, 4).flatten(0, 2)
    grid = features.reshape(batch, channels, *stencil.shape, n_basis).permute(0, 1, 5, 2, 3, 4).flatten(1, 2)
    result = _padded_convolution(grid, kernel, stencil, groups=channels // inputs)
    result = result.reshape(batch, out_channels, components, n_basis, *stencil.shape)
    return result.permute(0, 1, 2, 4, 5, 6, 3).reshape(batch, out_channels, components, n_sites)


def _padded_convolution(grid: Tensor, kernel: Tensor, stencil: LatticeStencil, groups: int) -> Tensor:
    """Convolution over the extended directions: circular padding where periodic, zero padding where open."""
    extended = [d for d in range(3) if stencil.shape[d] > 1 or stencil.reach[d] > 0] or [0]
    grid = grid.reshape(*grid.shape[:2], *(stencil.shape[d] for d in extended))
    kernel = kernel.reshape(*kernel.shape[:2], *(2 * stencil.reach[d] + 1 for d in extended))
    for mode, periodic in (("circular", True), ("constant", False)):
        pads = [stencil.reach[d] if stencil.periodic[d] is periodic else 0 for d in reversed(extended)]
        if any(pads):
            grid = nn.functional.pad(grid, [p for pad in pads for p in (pad, pad)], mode=mode)
    return _CONVOLUTION[len(extended)](grid, kernel, groups=groups)
