"""The oriented cluster expansion: products of neighbour spins seen in every orientation of the lattice."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from gnnspin.core.containers import TensorContainer
from gnnspin.core.errors import InvalidInput
from gnnspin.graphs import GraphSpec
from gnnspin.models.blocks.fixed_number import Membership
from gnnspin.models.blocks.lattice_kernels import KernelGeometry, Orientations, unique_displacements
from gnnspin.models.blocks.layered_expansion import LayeredExpansion, LayeredHyperparameters
from gnnspin.models.blocks.oriented_layer import OrientedLayer, OrientedSize
from gnnspin.models.blocks.unit_cell import UnitCell
from gnnspin.models.native import NativeOriented
from gnnspin.models.registry import register
from gnnspin.systems import SpinSystem
from gnnspin.systems.distances import LENGTH_TOLERANCE
from gnnspin.systems.lattice import cell_neighbors, is_lattice


class OrientedHyperparameters(LayeredHyperparameters):
    """Hyperparameters of `OrientedClusterExpansion`."""

    layers: int = Field(default=2, ge=1, description="message-passing layers")
    message_cutoff: float | None = Field(
        default=None, gt=0, description="cutoff of all layers but the first; null: the nearest neighbours"
    )
    orientations: Literal["all", "bonds"] = Field(
        default="all",
        description="all: features for every rotation and reflection of the lattice; bonds: for every direction of its "
        "nearest-neighbour bonds, half as many in a plane: what new models take unless they are told",
    )
    drive: tuple[float, float, float] | None = Field(
        default=None,
        description="direction of space, as of a current: only operations that keep it are symmetries, and it takes "
        "the place of the bonds; null: none",
    )
    filters: int = Field(default=16, ge=1, description="neighbour sums per orientation")
    channels: int = Field(default=8, ge=1, description="vectors handed from layer to layer")
    scalars: int = Field(default=8, ge=0, description="scalars handed from layer to layer")
    factors: int = Field(default=24, ge=1, description="learned mixtures of the sums that are multiplied")
    mixtures: int = Field(default=2, ge=1, description="gated mixtures of the sums in each vector handed on")
    hidden: int = Field(default=48, ge=1, description="width of the two hidden layers of each site network")
    unit_cell: UnitCell | None = Field(default=None, description="the lattice; filled in from the training system")


@dataclass(frozen=True)
class OrientedGeometry(TensorContainer):
    """Frozen geometry of one system: what `prepare` returns.

    Attributes
    ----------
    site_kind : (N,) int64
    membership : Membership
    kernels : tuple of KernelGeometry
        Neighbours of the first layer and of all others.
    """

    site_kind: Tensor
    membership: Membership
    kernels: tuple[KernelGeometry, ...]

    @property
    def stencil(self) -> bool:
        """Whether messages are convolutions."""
        return all(kernel.stencil is not None for kernel in self.kernels)


@register
class OrientedClusterExpansion(LayeredExpansion):
    r"""Energies from products of neighbour spins with directions kept apart: for lattices.

    The spin cluster expansion sums products of densities over directions before its network sees them, so that the
    network knows pairs of neighbours only by the angle between them. Here a site has one set of features for every
    orientation g of the lattice (rotations and reflections, 12 on the triangular lattice), and the network sees the
    single neighbours. One layer maps vectors :math:`v_i^c(g)` and scalars :math:`s_i^f(g)`:

    1. messages :math:`A_i^c(g) = \sum_{jc'} W_{cc'}(g^{-1}r_{ij})\,v_j^{c'}(g)`, the site itself included, with one
       free weight per displacement and pair of channels, and likewise of the scalars; before, the orientations of each
       site are mixed, :math:`v(g) \mathrel{+}= \sum_h K(g^{-1}h)\,v(h)`;
    2. learned mixtures :math:`u_i^k(g)` of :math:`X = (S_i, A_i^c(g))` and their products :math:`u^k\cdot u^k,
       u^k\cdot u^{k+1}`;
    3. a site network of these, :math:`S_i\cdot A`, and the scalars, standardised, the same for all orientations, gives
       :math:`\varepsilon_i(g)`, the next scalars, and gates for the next vectors
       :math:`v_i^c(g) = \sum_k \gamma_k^c(g)\,(M_k X)^c`, both divided by :math:`\sqrt{1+\langle|v|^2\rangle}`,
       the mean over channels.

    The site energy is the mean of :math:`\varepsilon_i(g)` over g, summed over layers. The first vectors are the spins.

    With ``fixed_number`` every site also has a charge, and the chemical potential follows their mean, see
    `gnnspin.models.blocks.fixed_number`.

    With ``orientations="bonds"``, which `for_system` chooses, features belong to the directions of the
    nearest-neighbour bonds: those of all orientations that turn a bond alike are equal. They are half as many in a
    plane, an eighth on cubic lattices; on the triangular lattice a wider model of equal cost is the more accurate one.
    Files that do not say were written when there was ``"all"`` alone.

    With a ``drive`` only operations that keep this direction remain, such as the mirror through it: with
    ``orientations="bonds"`` a site then has one set of features, and a free weight for every displacement and its
    mirror image. This is the model under heads of driven systems.

    With ``mirrors=False`` the orientations are the proper rotations alone, half as many: then mirror images may differ,
    as where hopping encloses flux. These are kept apart with ``orientations="bonds"`` too: in three dimensions what
    turns about a bond would look the same in a mirror.

    Spin rotation and time reversal hold as only scalar products reach the network; the operations of the lattice only
    permute sites and orientations together (group convolutions, Cohen and Welling, ICML 2016, arXiv:1602.07576).

    Parameters
    ----------
    spec : GraphSpec
    hyperparameters : OrientedHyperparameters
    vector_output : bool
        Whether the last layer gives vectors as well, for `site_vectors`.

    Raises
    ------
    InvalidInput
        If the unit cell is missing, or there is no neighbour within a cutoff.

    Examples
    --------
    >>> import gnnspin as gs
    >>> system = gs.systems.triangular(6, 6)
    >>> model = gs.models.for_system("oriented_cluster_expansion", system, cutoff=2.0)
    >>> gs.ForceField(model, system).field(gs.core.random_spins(36, seed=0)).shape
    torch.Size([36, 3])
    """

    name = "oriented_cluster_expansion"
    Hyperparameters = OrientedHyperparameters
    hyperparameters: OrientedHyperparameters

    def __init__(
        self, spec: GraphSpec, hyperparameters: OrientedHyperparameters, *, vector_output: bool = False
    ) -> None:
        super().__init__(spec, hyperparameters)
        h = hyperparameters
        if h.unit_cell is None:
            raise InvalidInput(f"{self.name} needs unit_cell; build it with gs.models.for_system(name, system, cutoff)")
        bond = unique_displacements(h.unit_cell, spec.cutoff)[0]
        seen_from = bond if h.orientations == "bonds" and h.mirrors else None
        orientations = Orientations(h.unit_cell, mirrors=h.mirrors, bond=seen_from, drive=h.drive)
        nearest = float(f"{np.linalg.norm(bond):.10g}")
        self._message_cutoff = h.message_cutoff or nearest
        if self._message_cutoff * (1 + LENGTH_TOLERANCE) < nearest:
            raise InvalidInput(f"message_cutoff={h.message_cutoff} is below the nearest neighbours at {nearest:.4f}")
        self.layers = nn.ModuleList()
        vectors, scalars = h.n_kinds, 0
        for k in range(h.layers):
            layer = OrientedLayer(
                vectors,
                scalars,
                h.n_kinds,
                h.unit_cell,
                orientations,
                self._message_cutoff if k else spec.cutoff,
                OrientedSize(h.filters, h.channels, h.scalars, h.factors, h.mixtures, h.hidden),
                time_reversal=h.time_reversal,
                first=k == 0,
                emits=vector_output or k < h.layers - 1,
                site_outputs=1 + h.fixed_number,
            )
            self.layers.append(layer)
            vectors, scalars = h.channels, h.scalars

    @classmethod
    def for_system(cls, system: SpinSystem, values: dict[str, Any]) -> dict[str, Any]:
        """Complete hyperparameters: unit cell and kinds of sites of `system`, and directions of bonds."""
        return {"unit_cell": UnitCell.of(system), "orientations": "bonds", **super().for_system(system, values)}

    @property
    def symmetries(self) -> frozenset[str]:
        driven = {"point_group", "mirrors"} if self.hyperparameters.drive is not None else set()
        return super().symmetries - {"space_rotation"} - driven

    @property
    def _reach(self) -> float:
        return self.spec.cutoff + (self.hyperparameters.layers - 1) * self._message_cutoff

    def prepare(self, system: SpinSystem, *, lattice: bool = True) -> OrientedGeometry:
        """Freeze the geometry of `system`; ``lattice=False`` lists all neighbours of a lattice, with the same result.

        Raises
        ------
        InvalidInput
            If `system` is another lattice, a neighbour sits where the model's lattice has none, or there are kinds of
            sites it does not know.
        """
        self._check_lattice(system)
        kernels = []
        for layer in self.layers[:2]:
            assert isinstance(layer, OrientedLayer)
            kernels.append(layer.kernel.prepare(system, stencil=lattice))
        kinds = torch.from_numpy(self._site_kinds(system).copy())
        return OrientedGeometry(kinds, Membership.of(system), tuple(kernels))

    def _check_lattice(self, system: SpinSystem) -> None:
        """InvalidInput for another lattice, even if its neighbours all sit where the model's lattice has some."""
        own = self.hyperparameters.unit_cell
        assert own is not None
        if not is_lattice(system) or sum((given := UnitCell.of(system)).extended) != sum(own.extended):
            return
        cutoff = self.spec.cutoff
        here, there = (
            sorted(set(np.bincount(cell_neighbors(cell.system(), cutoff)[1]).tolist())) for cell in (given, own)
        )
        if here != there:
            raise InvalidInput(
                f"{system} has {here} neighbours within {self.spec.cutoff:g}, the lattice that the model was made for "
                f"has {there}; train a model on this lattice"
            )

    def _start(self, kinds: Tensor, spins: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        own = spins[:, :, None, None] * kinds  # (R, 3, 1, kinds, N)
        return own, own, spins.new_zeros(len(spins), 1, 0, spins.shape[-1])

    def _layer_geometry(self, data: OrientedGeometry, k: int) -> KernelGeometry:
        return data.kernels[min(k, 1)]

    def native(self, system: SpinSystem, dtype: torch.dtype) -> NativeOriented | None:
        """Energies and fields by a kernel in C++, on lattices that are no smaller than the model's own kernels."""
        return NativeOriented(self, system, dtype) if self.prepare(system).stencil else None

    def site_vectors(self, data: OrientedGeometry, spins: Tensor) -> Tensor:
        """Vectors (R, channels, N, 3) of the last layer, mean of all orientations; needs ``vector_output=True``."""
        return self._propagate(data, spins)[1].mean(2).permute(0, 2, 3, 1)
