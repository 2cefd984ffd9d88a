"""The two flagships joined: local moments of the Hamiltonian inside the layers of a spin cluster expansion."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from pydantic import Field
from torch import Tensor, nn

from gnnspin.graphs import GraphSpec
from gnnspin.models.architectures.moment_network import (
    SMALLEST_SPREAD,
    MomentData,
    MomentHyperparameters,
    MomentModel,
    Moments,
    drop_rounding,
    moment_invariants,
    n_invariants,
)
from gnnspin.models.base import HiddenUnits
from gnnspin.models.blocks.bases import AngularBasis, RadialBasis
from gnnspin.models.blocks.cluster_layer import ClusterLayer, LayerSize
from gnnspin.models.blocks.density import prepare_geometry
from gnnspin.models.blocks.standardization import last_hidden
from gnnspin.models.moments.walks import HoppingTerms
from gnnspin.models.registry import register
from gnnspin.systems import SpinSystem

#: Moment vectors of lower degree are multiples of the spin.
_FIRST_VECTOR = 3


class MomentClusterHyperparameters(MomentHyperparameters):
    """Hyperparameters of `MomentClusterExpansion`."""

    layers: int = Field(default=2, ge=1, description="message-passing layers")
    channels: int = Field(default=8, ge=1, description="vectors handed from layer to layer, densities per degree")
    scalars: int = Field(default=8, ge=0, description="scalars handed from layer to layer")
    max_degree: int = Field(default=2, ge=0, description="largest degree of the angular functions")
    pairs: int = Field(default=36, ge=1, description="most products of two densities per degree; beyond: learned ones")
    bond_moments: bool = Field(default=False, description="blocks between neighbours as tensors of the layers as well")


@register
class MomentClusterExpansion(MomentModel):
    r"""Cluster expansion layers that know the Hamiltonian.

    Layer k of a `SpinClusterExpansion` reaches k times the cutoff. Its site network also gets the invariants of all
    moments whose walks stay within that radius, and its neighbour densities the vectors :math:`\mathbf m_n` whose walks
    stay within the reach of the layers before it. With `bond_moments` the blocks :math:`[T_n]_{ji}` between
    neighbours, as far as they stay within the layer's reach, weigh the bonds of a site and join its tensors B. The
    linear part of `MomentModel` adds long walks at the range of torques that the layers have anyway.

    Invariances are those of `MomentNetwork` and `SpinClusterExpansion` together.

    Parameters
    ----------
    spec : GraphSpec
    hyperparameters : MomentClusterHyperparameters

    Examples
    --------
    >>> import gnnspin as gs
    >>> system = gs.systems.square(6, 6)
    >>> spec = gs.graphs.GraphSpec.for_system(system, cutoff=1.5)
    >>> rule = gs.electrons.NearestNeighborHopping(t=1.0)
    >>> model = gs.models.build("moment_cluster_expansion", spec, hopping=rule, J=3.5, hops=3, linear_degree=13)
    >>> round(model.torque_receptive_radius, 1)
    6.0
    """

    name = "moment_cluster_expansion"
    Hyperparameters = MomentClusterHyperparameters
    hyperparameters: MomentClusterHyperparameters
    layers: nn.ModuleList
    vector_scale: Tensor
    bond_scale: Tensor

    def __init__(self, spec: GraphSpec, hyperparameters: MomentClusterHyperparameters) -> None:
        super().__init__(spec, hyperparameters)
        h = hyperparameters
        self._angular = AngularBasis(spec.dimension, h.max_degree)
        self._radial = RadialBasis(spec, h.n_radial)
        self.bond_degree = self.hops + 1 if h.bond_moments else 1
        self.register_buffer("vector_scale", torch.ones(self.degree + 1))
        if h.bond_moments:
            self.register_buffer("bond_scale", torch.ones(2 * (self.bond_degree - 1)))
        self.layers = nn.ModuleList()
        for k in range(h.layers):
            layer = ClusterLayer(
                h.channels + len(self._vector_degrees(k)) if k else 1,
                h.scalars if k else 0,
                self._radial.size,
                self._angular,
                LayerSize(h.channels, h.scalars, h.pairs, h.hidden),
                separable=spec.shells is None,
                emits=k < h.layers - 1,
                extra_invariants=n_invariants(self._degree_within(k + 1)),
                extra_tensors=self._bonds_within(k + 1),
            )
            self.layers.append(layer)

    def _degree_within(self, layers: int) -> int:
        """Largest degree of the moments whose walks stay within the reach of a number of layers."""
        hops = int(layers * self.spec.cutoff / self.hamiltonian.hop_length + 1e-6)
        return 2 * min(hops, self.hops) + 1 if hops else 1

    def _bonds_within(self, layers: int) -> int:
        """Number of the sums over bonds within the reach of a number of layers: degree n reaches n/2 hops."""
        return 2 * (min(self._degree_within(layers), self.bond_degree) - 1)

    def _vector_degrees(self, layers: int) -> range:
        """Degrees of the moment vectors within the reach of a number of layers."""
        return range(_FIRST_VECTOR, self._degree_within(layers) + 1)

    @property
    def closure_radius(self) -> float:
        """Radius within which the closure of a site depends on spins."""
        hops = (self._degree_within(self.hyperparameters.layers) - 1) // 2
        return max(self.hyperparameters.layers * self.spec.cutoff, hops * self.hamiltonian.hop_length)

    @property
    def hidden_units(self) -> tuple[HiddenUnits, ...]:
        return last_hidden(self.layers)

    def prepare(self, system: SpinSystem, *, lattice: bool = True) -> MomentData:
        neighbors = prepare_geometry(system, self.spec, self._radial, self._angular)
        data = super().prepare(system, lattice=lattice)
        return replace(data, neighbors=neighbors if lattice else neighbors.without_stencil())

    def _terms(self, system: SpinSystem) -> HoppingTerms:
        return self.hamiltonian.terms(system, self._angular if self.hyperparameters.bond_moments else None)

    def _closure(self, data: MomentData, spins: Tensor, moments: Moments, *, calibrate: bool = False) -> Tensor:
        scalar, vector, bonds = moments
        if calibrate:
            self.vector_scale.copy_(inverse_size(vector.square().sum(1).mean((0, 2)).sqrt()))
            if self.hyperparameters.bond_moments:
                self.bond_scale.copy_(
                    inverse_size(bonds[:, :, self._angular.n_components > 1 :].square().mean((0, 2, 3)).sqrt())
                )
        if self.hyperparameters.bond_moments:
            bonds = bonds * self.bond_scale[:, None, None]
        assert data.neighbors is not None
        spin = spins.transpose(-1, -2)
        vectors, scalars = spin[:, :, None], spin.new_zeros(spin.shape[0], 0, spin.shape[2])
        energies = spin.new_zeros(spin.shape[0], spin.shape[2])
        scaled = vector * self.vector_scale[:, None]
        for k, module in enumerate(self.layers):
            layer = cast(ClusterLayer, module)
            within = self._degree_within(k + 1) + 1
            extra = moment_invariants(spins, scalar[:, :within], vector[:, :, :within])
            if k:
                degrees = self._vector_degrees(k)
                vectors = torch.cat([vectors, scaled[:, :, degrees.start : degrees.stop]], dim=2)
            near = bonds[:, : self._bonds_within(k + 1)]
            sites, vectors, scalars = layer(
                data.neighbors, spin, vectors, scalars, calibrate=calibrate, extra=extra,
                extra_tensors=near if near.shape[1] else None,
            )  # fmt: skip
            if calibrate:
                drop_rounding(layer.standardization, extra.shape[1])
            energies = energies + sites[:, 0]
        return energies


def inverse_size(size: Tensor) -> Tensor:
    """One over the sizes, zero for what vanishes by symmetry."""
    return torch.where(size > SMALLEST_SPREAD, 1 / size.clamp_min(1e-12), torch.zeros_like(size))
