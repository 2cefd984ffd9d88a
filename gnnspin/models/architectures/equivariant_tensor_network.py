"""Equivariant tensor network: irreducible tensors on sites, with spin space free or locked to real space."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from e3nn import o3
from pydantic import Field
from torch import Tensor, nn

from gnnspin.core.config import Config
from gnnspin.core.containers import TensorContainer
from gnnspin.graphs import GraphSpec
from gnnspin.models.base import SpinModel
from gnnspin.models.blocks.bases import AngularBasis, RadialBasis
from gnnspin.models.blocks.density import NeighborGeometry, prepare_geometry
from gnnspin.models.blocks.standardization import Standardization, site_network
from gnnspin.models.blocks.tensor_coupling import TensorDensity, TensorProduct
from gnnspin.models.blocks.tensor_linear import TensorLinear
from gnnspin.models.registry import register
from gnnspin.systems import SpinSystem

Coupling = Literal["independent", "locked"]


class EquivariantTensorHyperparameters(Config):
    """Hyperparameters of `EquivariantTensorNetwork`."""

    coupling: Coupling = Field(
        default="independent",
        description="independent: spins and space rotate separately (no spin-orbit coupling); locked: only together",
    )
    layers: int = Field(default=2, ge=1, description="message-passing layers")
    channels: int = Field(default=4, ge=1, description="copies of each irreducible tensor")
    max_degree: int = Field(default=2, ge=1, description="largest degree l of tensors and spherical harmonics")
    hidden: int = Field(default=48, ge=1, description="width of the hidden layers of each site network")
    n_radial: int = Field(default=6, ge=1, description="radial functions, where distances are continuous")
    time_reversal: bool = Field(default=True, description="False admits scalars that are odd in the spins")


@dataclass(frozen=True)
class PolarGeometry(TensorContainer):
    """Frozen geometry of one system: neighbours, and each site's unit polar axis (N, 3), zero where it has none."""

    neighbors: NeighborGeometry
    polar: Tensor


@register
class EquivariantTensorNetwork(SpinModel):
    r"""NequIP- and MACE-like network of irreducible tensors in which the spins are axial and odd under time reversal.

    Every site carries two kinds of tensors :math:`x_{lm}`, even and odd under time reversal. A layer

    1. sums over neighbours, :math:`A_i^{LM} = \sum_j R(r_{ij})\, C^{LM}_{lm,l'm'} Y_{lm}(\hat r_{ij})\, x_{j,l'm'}`;
    2. multiplies tensors of one site with Clebsch-Gordan coefficients: odd x odd and even x even are even, even x odd
       is odd;
    3. sends the even scalars through a site network, whose outputs are the layer's site energy, the next scalars, and
       gates of all other tensors.

    ``coupling="independent"``: odd tensors have a further spin index a = x, y, z, over which every product of two odd
    tensors is summed. Spin space and real space rotate independently, as without spin-orbit coupling.

    ``coupling="locked"``: a spin is an axial vector of real space (irrep 1e). Only rotations, reflections and
    inversions of space and spins together leave the energy invariant, so that anisotropies are allowed, and
    Dzyaloshinskii-Moriya terms where no inversion centre forbids them. The system's polar axis enters as a polar vector
    (1o) on every site: it leaves the mirrors that contain it, and admits Rashba's
    :math:`(\hat z\times r_{ij})\cdot S_i\times S_j`.

    Time reversal is exact by the two labels; ``time_reversal=False`` also lets odd scalars into the site networks.
    References: Batzner et al., Nat. Commun. 13, 2453 (2022), doi:10.1038/s41467-022-29939-5; Batatia et al., NeurIPS
    2022, arXiv:2206.07697; e3nn, arXiv:2207.09453.

    Parameters
    ----------
    spec : GraphSpec
    hyperparameters : EquivariantTensorHyperparameters
    """

    name = "equivariant_tensor_network"
    Hyperparameters = EquivariantTensorHyperparameters
    capabilities = frozenset()
    hyperparameters: EquivariantTensorHyperparameters

    def __init__(self, spec: GraphSpec, hyperparameters: EquivariantTensorHyperparameters) -> None:
        super().__init__(spec, hyperparameters)
        h = hyperparameters
        self._angular = AngularBasis(3, h.max_degree)
        self._radial = RadialBasis(spec, h.n_radial)
        self._locked = h.coupling == "locked"
        even, odd = _inputs(h)
        vector = o3.Irreps("1x1e")
        self.spin_products = TensorProduct(vector, vector, [o3.Irrep("2e")]) if self._locked else None
        self.polar_products = (
            TensorProduct(o3.Irreps("1x1o"), vector, [ir for _, ir in odd[1:]]) if self._locked else None
        )
        self.layers = nn.ModuleList()
        for k in range(h.layers):
            layer = TensorLayer(even, odd, self._radial.size, self._angular, h, last=k == h.layers - 1)
            self.layers.append(layer)
            even, odd = layer.even_out, layer.odd_out

    @property
    def symmetries(self) -> frozenset[str]:
        """Symmetry operations that leave energies as they are; locked spins are turned with space, not alone."""
        alone = {"spin_rotation", "point_group", "mirrors", "space_rotation"} if self._locked else set()
        return super().symmetries - alone

    @classmethod
    def without(cls, broken: Collection[str], system: SpinSystem, values: dict[str, Any]) -> dict[str, Any]:
        """Complete hyperparameters; spins are locked to space where rotations of the spins alone are no symmetry."""
        locked = {"coupling": "locked"} if "spin_rotation" in broken else {}
        return {**locked, **super().without(broken, system, values)}

    @property
    def receptive_radius(self) -> float:
        return self.hyperparameters.layers * self.spec.cutoff

    def prepare(self, system: SpinSystem) -> PolarGeometry:
        axes = [np.zeros(3) if part.polar_axis is None else part.polar_axis for part in system.parts]
        units = [axis / max(float(np.linalg.norm(axis)), 1e-12) for axis in axes]
        polar = np.stack(units)[system.graph_index]
        return PolarGeometry(prepare_geometry(system, self.spec, self._radial, self._angular), torch.from_numpy(polar))

    def dimensionless_energies(self, data: PolarGeometry, spins: Tensor, *, calibrate: bool = False) -> Tensor:
        even, odd = self._inputs(data, spins)
        energies = spins.new_zeros(spins.shape[:2])
        for layer in self.layers:
            energy, even, odd = layer(data.neighbors, spins, even, odd, calibrate=calibrate)
            energies = energies + energy
        return energies

    def _inputs(self, data: PolarGeometry, spins: Tensor) -> tuple[Tensor, Tensor]:
        """First even (R, N, 1, D) and odd (R, N, A, D') tensors."""
        polar = data.polar.expand(*spins.shape)
        even = torch.cat([torch.ones_like(polar[..., :1]), polar], dim=-1)
        if self.spin_products is None or self.polar_products is None:
            return even[:, :, None], spins[..., None]
        even = torch.cat([even, self.spin_products(spins, spins)], dim=-1)
        odd = torch.cat([spins, self.polar_products(polar, spins)], dim=-1)
        return even[:, :, None], odd[:, :, None]

    @torch.no_grad()
    def calibrate(self, data: PolarGeometry, spins: Tensor) -> None:
        """Measure mean and spread of every layer's scalars on spins (R, N, 3)."""
        self.dimensionless_energies(data, spins, calibrate=True)


def _inputs(h: EquivariantTensorHyperparameters) -> tuple[o3.Irreps, o3.Irreps]:
    """Irreps of the first layer's even and odd tensors: 1, polar axis (, S S); S (, polar axis x S)."""
    if h.coupling == "independent":
        return o3.Irreps("1x0e+1x1o"), o3.Irreps("1x0e")
    return o3.Irreps("1x0e+1x1o+1x2e"), o3.Irreps("1x1e+1x0o+1x1o+1x2o")


def _kinds(h: EquivariantTensorHyperparameters) -> tuple[list[o3.Irrep], list[o3.Irrep]]:
    """Irreps that even and odd tensors may have."""
    if h.coupling == "independent":
        natural = [o3.Irrep(degree, (-1) ** degree) for degree in range(h.max_degree + 1)]
        return natural, natural
    even = ["0e", "1e", "1o", "2e"]
    odd = ["0o", "1e", "1o", "2e", "2o"] + ([] if h.time_reversal else ["0e"])
    kept = [[o3.Irrep(kind) for kind in kinds if o3.Irrep(kind).l <= h.max_degree] for kinds in (even, odd)]
    return kept[0], kept[1]


class TensorLayer(nn.Module):
    """One layer of `EquivariantTensorNetwork`; tensors (R, N, A, D) in the layout of e3nn."""

    even_copy: Tensor
    odd_copy: Tensor

    def __init__(
        self,
        even_in: o3.Irreps,
        odd_in: o3.Irreps,
        n_radial: int,
        angular: AngularBasis,
        h: EquivariantTensorHyperparameters,
        *,
        last: bool,
    ) -> None:
        super().__init__()
        self.last, self.time_reversal, self.independent = last, h.time_reversal, h.coupling == "independent"
        even_kinds, odd_kinds = _kinds(h)
        even, odd = _copies(even_kinds, h.channels), _copies(odd_kinds, h.channels)
        self.even_message = TensorDensity(even_in, even, n_radial, angular, h.channels)
        self.odd_message = TensorDensity(odd_in, odd, n_radial, angular, h.channels)
        self.even_self = TensorLinear(even_in, even)
        self.odd_self = TensorLinear(odd_in, odd)
        self.partner = TensorLinear(odd, odd)
        scalar = [o3.Irrep("0e")]
        self.odd_odd = TensorProduct(odd, odd, scalar if last else even_kinds, symmetric=True)
        self.even_even = TensorProduct(even, even, scalar if last else even_kinds, symmetric=True)
        self.even_odd = TensorProduct(even, odd, odd_kinds)
        products = even + self.odd_odd.irreps_out + self.even_even.irreps_out
        odd_products = odd + self.even_odd.irreps_out
        self._scalars = [part for part, (_, ir) in zip(products.slices(), products, strict=True) if ir == scalar[0]]
        self._odd_scalars = [
            p for p, (_, ir) in zip(odd_products.slices(), odd_products, strict=True) if ir == scalar[0]
        ]
        n_scalars = sum(part.stop - part.start for part in self._scalars)
        if not h.time_reversal:
            n_scalars += h.channels if self.independent else sum(p.stop - p.start for p in self._odd_scalars)
        self.even_out, self.odd_out = even, odd
        gated = _copies([kind for kind in even_kinds if kind != scalar[0]], h.channels)
        self._n_gates = (gated.num_irreps, odd.num_irreps)
        self.standardization = Standardization(n_scalars)
        self.linear_energy = nn.Parameter(torch.zeros(n_scalars))
        self.network = site_network([n_scalars, h.hidden, h.hidden, 1 if last else 1 + h.channels + sum(self._n_gates)])
        if not last:
            self.even_mix = TensorLinear(products, gated)
            self.odd_mix = TensorLinear(odd_products, odd)
            self.register_buffer("even_copy", _copy_of_component(gated), persistent=False)
            self.register_buffer("odd_copy", _copy_of_component(odd), persistent=False)
        self._channels = h.channels

    def forward(
        self, data: NeighborGeometry, spins: Tensor, even: Tensor, odd: Tensor, *, calibrate: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Site energies (R, N), next even and odd tensors."""
        even_sum = self.even_message(even, data) + self.even_self(even)
        odd_sum = self.odd_message(odd, data) + self.odd_self(odd)
        partner = self.partner(odd_sum)
        squares = self.odd_odd(odd_sum, partner).sum(2, keepdim=True)
        products = torch.cat([even_sum, squares, self.even_even(even_sum, even_sum)], dim=-1)
        odd_products = None
        if not self.last or not (self.time_reversal or self.independent):
            mixed = self.even_odd(even_sum.expand(*odd_sum.shape[:3], -1), odd_sum)
            odd_products = torch.cat([odd_sum, mixed], dim=-1)
        scalars = [products[:, :, 0, part] for part in self._scalars]
        if not self.time_reversal:
            scalars += self._odd_invariants(spins, odd_sum, partner, odd_products)
        features = self.standardization(torch.cat(scalars, dim=-1), calibrate=calibrate)
        out = self.network(features)
        energy = out[..., 0] + features @ self.linear_energy
        if self.last or odd_products is None:
            return energy, even, odd
        sizes = [1, self._channels, *self._n_gates]
        _, next_scalars, even_gates, odd_gates = out[:, :, None].split(sizes, dim=-1)
        next_even = self.even_mix(products) * even_gates[..., self.even_copy]
        next_odd = self.odd_mix(odd_products) * odd_gates[..., self.odd_copy]
        return energy, torch.cat([next_scalars, next_even], dim=-1), next_odd

    def _odd_invariants(
        self, spins: Tensor, odd_sum: Tensor, partner: Tensor, odd_products: Tensor | None
    ) -> list[Tensor]:
        """Scalars (R, N, .) odd in the spins: triple products of spins, or the odd scalars of locked tensors."""
        if odd_products is not None and not self.independent:
            return [odd_products[:, :, 0, part] for part in self._odd_scalars]
        first, second = (x[..., : self._channels].transpose(2, 3) for x in (odd_sum, partner))
        return [(spins[:, :, None] * torch.linalg.cross(first, second)).sum(-1)]


def _copy_of_component(irreps: o3.Irreps) -> Tensor:
    """Number of the tensor to which each component belongs, (D,)."""
    dimensions = torch.tensor([ir.dim for copies, ir in irreps for _ in range(copies)])
    return torch.repeat_interleave(dimensions)


def _copies(kinds: list[o3.Irrep], channels: int) -> o3.Irreps:
    return o3.Irreps([(channels, kind) for kind in kinds])
