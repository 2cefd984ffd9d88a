"""Vector message passing in spin space: scalars and vectors on every site, gated updates."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from gnnspin.core.config import Config
from gnnspin.graphs import GraphSpec
from gnnspin.models.base import SpinModel
from gnnspin.models.blocks.bases import AngularBasis, RadialBasis, degree_slices
from gnnspin.models.blocks.density import NeighborDensity, NeighborGeometry, prepare_geometry
from gnnspin.models.blocks.standardization import Standardization, site_network
from gnnspin.models.registry import register
from gnnspin.systems import SpinSystem


class VectorMessageHyperparameters(Config):
    """Hyperparameters of `VectorMessagePassing`."""

    layers: int = Field(default=2, ge=1, description="message-passing layers")
    channels: int = Field(default=8, ge=1, description="scalar and vector features per site")
    max_degree: int = Field(default=2, ge=0, description="largest degree of the angular functions of a message")
    hidden: int = Field(default=48, ge=1, description="width of the hidden layers of each site network")
    n_radial: int = Field(default=6, ge=1, description="radial functions, where distances are continuous")
    time_reversal: bool = Field(default=True, description="False admits triple products of vectors themselves")


@register
class VectorMessagePassing(SpinModel):
    r"""Scalars :math:`s_i` and vectors :math:`v_i` that rotate with the spins, passed between neighbours.

    As PaiNN (Schuett et al., ICML 2021, arXiv:2102.03150), whose vectors live in real space; here they live in spin
    space, and real space enters through the weights of messages and through invariants alone. A layer is

    1. a message of the neighbours' vectors gated by their scalars, :math:`A_i^{c,m} = \sum_j W_{c}^{l(m)}(r_{ij})\,
       Y_m(\hat r_{ij})\,\phi(s_j) v_j`, and one of their scalars;
    2. an update: with two learned mixtures :math:`U A_i, V A_i` of the isotropic densities, the invariants
       :math:`UA\cdot VA,\ S_i\cdot A,\ v_i\cdot A,\ \sum_{m\in l}A^m\cdot A^m` and
       :math:`(S_i\cdot UA\times VA)^2` go through a site network, which changes the scalars and gates
       :math:`v_i' = v_i + g_1 A_i + g_2 UA_i + g_3 S_i`.

    The energy is a network of the last scalars. Vectors are odd under time reversal, scalars even: only even products
    enter, unless ``time_reversal=False``. Exactly invariant under global spin rotation, translations, point groups.

    Parameters
    ----------
    spec : GraphSpec
    hyperparameters : VectorMessageHyperparameters
    vector_output : bool
        Whether the last layer gives vectors as well, for `site_vectors`.
    """

    name = "vector_message_passing"
    Hyperparameters = VectorMessageHyperparameters
    capabilities = frozenset({"compiles", "site_resolved", "vectors"})
    hyperparameters: VectorMessageHyperparameters

    def __init__(
        self, spec: GraphSpec, hyperparameters: VectorMessageHyperparameters, *, vector_output: bool = False
    ) -> None:
        super().__init__(spec, hyperparameters)
        self._angular = AngularBasis(spec.dimension, hyperparameters.max_degree)
        self._radial = RadialBasis(spec, hyperparameters.n_radial)
        channels, last = hyperparameters.channels, hyperparameters.layers - 1
        self.layers = nn.ModuleList(
            VectorLayer(
                self._radial.size, self._angular, hyperparameters, first=k == 0, vectors=k < last or vector_output
            )
            for k in range(hyperparameters.layers)
        )
        self.readout = site_network([channels, hyperparameters.hidden, 1])

    @property
    def receptive_radius(self) -> float:
        return self.hyperparameters.layers * self.spec.cutoff

    def prepare(self, system: SpinSystem) -> NeighborGeometry:
        return prepare_geometry(system, self.spec, self._radial, self._angular)

    def dimensionless_energies(
        self, data: NeighborGeometry, spins: Tensor, center: Tensor | None = None, *, calibrate: bool = False
    ) -> Tensor:
        """Site energies (R, N); `center` (R, N, 3) replaces the spin of the centre in the last layer alone."""
        scalars, _ = self._propagate(data, spins, center, calibrate=calibrate)
        return self.readout(scalars)[..., 0]

    def site_vectors(self, data: NeighborGeometry, spins: Tensor) -> Tensor:
        return self._propagate(data, spins)[1].transpose(1, 2)

    def _propagate(
        self, data: NeighborGeometry, spins: Tensor, center: Tensor | None = None, *, calibrate: bool = False
    ) -> tuple[Tensor | None, Tensor]:
        """Last scalars (R, N, C) and vectors (R, N, C, 3)."""
        spin = spins[:, :, None]
        scalars, vectors = None, spin
        for k, layer in enumerate(self.layers):
            if center is not None and k == len(self.layers) - 1:
                spin = center[:, :, None]
            scalars, vectors = layer(data, spin, scalars, vectors, calibrate=calibrate)
        return scalars, vectors

    @torch.no_grad()
    def calibrate(self, data: NeighborGeometry, spins: Tensor) -> None:
        """Measure mean and spread of every layer's invariants on spins (R, N, 3)."""
        self.dimensionless_energies(data, spins, calibrate=True)


class VectorLayer(nn.Module):
    """Message and update of `VectorMessagePassing`; scalars (R, N, C), vectors (R, N, C, 3).

    The first layer has no scalars yet, and the spin as its only vector.
    """

    def __init__(
        self, n_radial: int, angular: AngularBasis, h: VectorMessageHyperparameters, *, first: bool, vectors: bool
    ) -> None:
        super().__init__()
        channels = self.channels = h.channels
        self.time_reversal = h.time_reversal
        self.degrees = degree_slices(angular.degree)
        self.density = NeighborDensity(1 if first else channels, channels, n_radial, angular, 8.0)
        self.gate = None if first else site_network([channels, h.hidden, 2 * channels])
        self.mix = nn.Linear(channels, 2 * channels, bias=False)
        kinds = 4 + len(self.degrees) + (0 if first else 1 + len(self.degrees)) + (0 if h.time_reversal else 1)
        self.standardization = Standardization(kinds * channels)
        self.sends_vectors = vectors
        self.update = site_network([kinds * channels, h.hidden, h.hidden, (4 if vectors else 1) * channels])
        self.linear = nn.Linear(kinds * channels, channels, bias=False)

    def forward(
        self, data: NeighborGeometry, spin: Tensor, scalars: Tensor | None, vectors: Tensor, *, calibrate: bool
    ) -> tuple[Tensor, Tensor]:
        """Next scalars and vectors."""
        sent = vectors
        if self.gate is not None:
            values, gates = self.gate(scalars).chunk(2, dim=-1)
            sent = torch.cat([vectors * gates[..., None], values[..., None]], dim=-1)
        density = self._message(sent, data)  # (R, N, C, M, 3 or 4)
        vector_density, scalar_density = density[..., :3], density[..., 3:]
        isotropic = vector_density[..., 0, :]
        first, second = self.mix(isotropic.transpose(-1, -2)).transpose(-1, -2).chunk(2, dim=-2)
        triple = (spin * torch.linalg.cross(first, second)).sum(-1)
        invariants = [
            (first * second).sum(-1),
            (spin * isotropic).sum(-1),
            (vectors * isotropic).sum(-1),
            triple.square(),
            *self._squares(vector_density, self.degrees),
        ]
        if scalars is not None:
            invariants += [scalars, scalar_density[..., 0, 0], *self._squares(scalar_density, self.degrees[1:])]
        if not self.time_reversal:
            invariants.append(triple)
        features = self.standardization(torch.cat(invariants, dim=-1), calibrate=calibrate)
        change, *changes = self.update(features).split(self.channels, dim=-1)
        if self.sends_vectors:
            weight = [gate[..., None] for gate in changes]
            vectors = vectors + weight[0] * isotropic + weight[1] * first + weight[2] * spin
        change = change + self.linear(features)
        return change if scalars is None else scalars + change, vectors

    @staticmethod
    def _squares(density: Tensor, degrees: list[slice]) -> list[Tensor]:
        """Squares (R, N, C) of a density (R, N, C, M, A), summed over each degree."""
        return [density[..., part, :].square().sum((-1, -2)) for part in degrees]

    def _message(self, features: Tensor, data: NeighborGeometry) -> Tensor:
        """Densities (R, N, C, M, A) of features (R, N, C_in, A)."""
        replicas, sites, channels, components = features.shape
        density = self.density(features.permute(0, 3, 2, 1).reshape(-1, channels, sites), data)
        return density.reshape(replicas, components, *density.shape[1:]).permute(0, 4, 2, 3, 1)
