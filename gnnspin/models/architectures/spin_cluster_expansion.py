"""The spin cluster expansion network: densities of neighbour spins, their products, gated vectors, layer by layer."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from gnnspin.core.errors import InvalidInput
from gnnspin.graphs import GraphSpec
from gnnspin.models.blocks.bases import AngularBasis, RadialBasis
from gnnspin.models.blocks.cluster_layer import ClusterLayer, LayerSize
from gnnspin.models.blocks.density import NeighborGeometry, prepare_geometry
from gnnspin.models.blocks.layered_expansion import LayeredExpansion, LayeredHyperparameters
from gnnspin.models.native import NativeCluster
from gnnspin.models.registry import register
from gnnspin.systems import SpinSystem


class ClusterExpansionHyperparameters(LayeredHyperparameters):
    """Hyperparameters of `SpinClusterExpansion`."""

    layers: int = Field(default=2, ge=1, description="message-passing layers")
    channels: int = Field(default=8, ge=1, description="vectors handed from layer to layer, densities per degree")
    scalars: int = Field(default=8, ge=0, description="scalars handed from layer to layer")
    max_degree: int = Field(default=2, ge=0, description="largest degree of the angular functions")
    pairs: int = Field(default=36, ge=1, description="most products of two densities per degree; beyond: learned ones")
    hidden: int = Field(default=64, ge=1, description="width of the two hidden layers of each site network")
    n_radial: int = Field(default=8, ge=1, description="radial functions, where distances are continuous")


@register
class SpinClusterExpansion(LayeredExpansion):
    r"""Energies from products of neighbour densities in spin space and real space.

    One layer maps vectors :math:`v_i^c` (odd under time reversal, rotating with the spins) and scalars :math:`s_i^f`:

    1. densities :math:`A_i^{c,m} = \sum_j R_c(r_{ij}) Y_m(\hat r_{ij}) v_j`, and :math:`D_i^{f,m}` likewise of the
       scalars; tensors :math:`B_i^{c,m}`, mixtures of :math:`S_i\cdot A^{c,m}` and :math:`D^{f,m}` per degree;
    2. invariants: :math:`\sum_{m\in l} A^{c,m}\cdot A^{c',m}` and :math:`\sum_{m\in l} B^{c,m} B^{c',m}` per degree
       l, :math:`S_i\cdot A^{c,0}`, :math:`v_i^c\cdot A^{c',0}`, even products of
       :math:`S_i\cdot A^{c,0}\times A^{c',0}`, and scalars;
    3. a site network of the standardised invariants gives the layer's contribution to the site energy, the next
       scalars, and gates for the next vectors
       :math:`v_i'^c = g_0^c S_i + g_1^c A^{c,0} + \sum_l g_{2,l}^c\sum_{m\in l} B^{c,m} A^{c,m}`.

    The first vectors are the spins, one channel for every kind of site. The energy is exactly invariant under global
    spin rotation and inversion (time reversal), lattice translations and all point-group operations. Its linear part
    contains every pair interaction up to twice the cutoff. With ``fixed_number`` every site also has a charge, and the
    chemical potential follows their mean, see `gnnspin.models.blocks.fixed_number`.

    Hopping with flux breaks mirrors and time reversal. With ``mirrors=False`` the layers also use products that mirrors
    reverse, such as the scalar chirality of triangles seen in one orientation, see `gnnspin.models.blocks.handedness`;
    proper rotations stay exact.

    Related: atomic cluster expansion (Drautz, Phys. Rev. B 99, 014104, 2019), MACE (Batatia et al., NeurIPS 2022), with
    spins in place of positions.

    Parameters
    ----------
    spec : GraphSpec
    hyperparameters : ClusterExpansionHyperparameters
    vector_output : bool
        Whether the last layer gives vectors as well, for `site_vectors`.

    Raises
    ------
    InvalidInput
        If ``mirrors=False`` meets ``max_degree=0``: without directions everything is its own mirror image.

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
    hyperparameters: ClusterExpansionHyperparameters

    def __init__(
        self, spec: GraphSpec, hyperparameters: ClusterExpansionHyperparameters, *, vector_output: bool = False
    ) -> None:
        super().__init__(spec, hyperparameters)
        h = hyperparameters
        if not h.mirrors and h.max_degree < 1:
            raise InvalidInput("mirrors=false needs directions: set max_degree to 1 or more")
        self.angular = AngularBasis(spec.dimension, h.max_degree)
        self.radial = RadialBasis(spec, h.n_radial)
        self.layers = nn.ModuleList()
        vectors, scalars = h.n_kinds, 0
        for k in range(h.layers):
            layer = ClusterLayer(
                vectors,
                scalars,
                self.radial.size,
                self.angular,
                LayerSize(h.channels, h.scalars, h.pairs, h.hidden),
                time_reversal=h.time_reversal,
                mirrors=h.mirrors,
                separable=spec.shells is None,
                emits=vector_output or k < h.layers - 1,
                site_outputs=1 + h.fixed_number,
            )
            self.layers.append(layer)
            vectors, scalars = h.channels, h.scalars

    @property
    def _reach(self) -> float:
        return self.hyperparameters.layers * self.spec.cutoff

    def prepare(self, system: SpinSystem) -> NeighborGeometry:
        """Freeze the geometry of `system`, as `SpinModel.prepare` does.

        Raises
        ------
        InvalidInput
            If `system` has more kinds of sites than the model knows, or does not fit its graph specification.
        """
        return prepare_geometry(system, self.spec, self.radial, self.angular, self._site_kinds(system))

    def _start(self, kinds: Tensor, spins: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return spins, spins[:, :, None] * kinds, spins.new_zeros(len(spins), 0, spins.shape[-1])

    def _layer_geometry(self, data: NeighborGeometry, k: int) -> NeighborGeometry:
        del k
        return data

    def native(self, system: SpinSystem, dtype: torch.dtype) -> NativeCluster | None:
        """Energies and fields by a kernel in C++, with mirrors, on lattices that are no smaller than the cutoff."""
        lattice = self.hyperparameters.mirrors and self.prepare(system).stencil
        return NativeCluster(self, system, dtype) if lattice else None

    def site_vectors(self, data: NeighborGeometry, spins: Tensor) -> Tensor:
        """Vectors (R, channels, N, 3) of the last layer; needs ``vector_output=True``."""
        return self._propagate(data, spins)[1].permute(0, 2, 3, 1)
