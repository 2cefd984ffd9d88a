"""One layer of the oriented cluster expansion: messages, products, a site network, gated vectors, per orientation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gnnspin.models.blocks.lattice_kernels import KernelGeometry, LatticeKernel, OrientationMixing, Orientations
from gnnspin.models.blocks.mixing import mixing_matrix
from gnnspin.models.blocks.standardization import Standardization, site_network, standardized_outputs
from gnnspin.models.blocks.unit_cell import UnitCell


@dataclass(frozen=True)
class OrientedSize:
    """Sizes of an `OrientedLayer`: see `OrientedHyperparameters`."""

    filters: int
    channels: int
    scalars: int
    factors: int
    mixtures: int
    hidden: int


class OrientedLayer(nn.Module):
    r"""One layer of `OrientedClusterExpansion`; see there for the equations.

    Shapes: own spins (R, 3, 1, kinds, N), vectors (R, 3, G, C, N), scalars (R, G, F, N), where G counts the
    orientations (1 where all are equal).

    Parameters
    ----------
    in_vectors, in_scalars : int
        Numbers of vectors and scalars it receives.
    n_kinds : int
        Kinds of sites.
    cell : UnitCell
    orientations : Orientations
    cutoff : float
    size : OrientedSize
    time_reversal : bool
        Whether the energy is even under inversion of all spins: then vectors have no terms that are even in the spins,
        and scalars none that are odd.
    first : bool
        Whether this is the first layer. Its input vectors are the spins, which are equal in all orientations; the layer
        therefore mixes no orientations, and adds no message from a site to itself, which would only repeat the spin.
    emits : bool
        Whether the layer returns new vectors and scalars for a next layer.
    site_outputs : int
        Number of outputs for every site: the energy first, then further ones such as a charge.
    """

    def __init__(
        self,
        in_vectors: int,
        in_scalars: int,
        n_kinds: int,
        cell: UnitCell,
        orientations: Orientations,
        cutoff: float,
        size: OrientedSize,
        *,
        time_reversal: bool,
        first: bool,
        emits: bool,
        site_outputs: int = 1,
    ) -> None:
        super().__init__()
        self.size, self.time_reversal, self.emits = size, time_reversal, emits
        self.kernel = LatticeKernel(in_vectors, size.filters, cell, orientations, cutoff)
        self.mixing = None if first else OrientationMixing(in_vectors, orientations)
        self.own_weight = None if first else mixing_matrix(size.filters, in_vectors)
        self.scalar_kernel = self.scalar_mixing = None
        if in_scalars:
            self.scalar_kernel = LatticeKernel(in_scalars, in_scalars, cell, orientations, cutoff)
            self.scalar_mixing = OrientationMixing(in_scalars, orientations)
        n_sums = n_kinds + size.filters
        self.factors = mixing_matrix(size.factors, n_sums)
        self.triples = 0 if time_reversal else size.factors
        n_invariants = 2 * size.factors + size.filters + 2 * in_scalars + self.triples
        self.standardization = Standardization(n_invariants)
        self.terms = size.mixtures + (not time_reversal)
        self.outputs = [site_outputs, emits * size.scalars, emits * self.terms * size.channels]
        self.network = site_network([n_invariants, size.hidden, size.hidden, sum(self.outputs)])
        self.linear_energy = nn.Parameter(torch.zeros(n_invariants))
        if emits:
            self.vector_mixing = mixing_matrix(self.terms * size.channels, n_sums)

    def forward(
        self, geometry: KernelGeometry, own: Tensor, vectors: Tensor, scalars: Tensor, *, calibrate: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Site outputs (R, site_outputs, N), the next vectors and scalars (those received, if it emits none).

        With `calibrate`, mean and spread of the invariants are stored first.
        """
        messages = self._messages(vectors, geometry)
        spin = own.sum(3, keepdim=True)  # (R, 3, 1, 1, N)
        features = self._invariants(spin, _mixed(self.factors, own, messages), messages, scalars, geometry)
        if calibrate:
            self.standardization.measure(features.transpose(2, 3))
        linear, out = standardized_outputs(self.network, self.standardization, self.linear_energy, features)
        sites, next_scalars, gates = out.split(self.outputs, dim=2)
        sites = torch.cat([linear[:, :, None] + sites[:, :, :1], sites[:, :, 1:]], dim=2).mean(1)
        if not self.emits:
            return sites, vectors, scalars
        gated = self._gated_vectors(spin, _mixed(self.vector_mixing, own, messages), gates)
        return sites, _bounded(gated, (1, 3)), _bounded(next_scalars, (2,))

    def _messages(self, vectors: Tensor, geometry: KernelGeometry) -> Tensor:
        """Messages A (R, 3, G, filters, N)."""
        flat = vectors.flatten(0, 1)
        if self.mixing is None or self.own_weight is None:
            messages = self.kernel(flat, geometry)
        else:
            flat = flat + self.mixing(flat)
            messages = self.kernel(flat, geometry) + self.own_weight @ flat
        return messages.unflatten(0, vectors.shape[:2])

    def _invariants(
        self, spin: Tensor, factors: Tensor, messages: Tensor, scalars: Tensor, geometry: KernelGeometry
    ) -> Tensor:
        """Invariants (R, G, *, N) of spin rotation: products, ``S . A``, scalars, and triple products where allowed."""
        following = factors.roll(1, 3)
        invariants = [factors.square().sum(1), (factors * following).sum(1), (spin * messages).sum(1)]
        if self.scalar_kernel is not None and self.scalar_mixing is not None:
            mixed = scalars + self.scalar_mixing(scalars)
            invariants += [mixed, self.scalar_kernel(mixed, geometry)]
        if self.triples:
            invariants.append((spin * torch.linalg.cross(factors, following, dim=1)).sum(1))
        return torch.cat(invariants, dim=2)

    def _gated_vectors(self, spin: Tensor, mixed: Tensor, gates: Tensor) -> Tensor:
        """Next vectors (R, 3, G, channels, N)."""
        terms = (self.terms, self.size.channels)
        mixed, gates = mixed.unflatten(3, terms), gates[:, None].unflatten(3, terms)
        if self.time_reversal:
            return (gates * mixed).sum(3)
        turned = torch.linalg.cross(spin.expand_as(mixed[:, :, :, 0]), mixed[:, :, :, -1], dim=1)
        return (gates[:, :, :, :-1] * mixed[:, :, :, :-1]).sum(3) + gates[:, :, :, -1] * turned


def _bounded(features: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Bounded features ``x / sqrt(1 + n)``, with n the squared size of a channel, averaged over the channels.

    Products of products of many layers grow without bound otherwise, and a training blows up at its start.
    """
    squares = features.square().sum(dims, keepdim=True) / max(features.shape[dims[-1]], 1)
    return features * (1 + squares).rsqrt()


def _mixed(matrix: Tensor, own: Tensor, messages: Tensor) -> Tensor:
    """Mixtures of the own spins, equal in all orientations, and the messages: matrix @ (own, messages)."""
    kinds = own.shape[3]
    return matrix[:, kinds:] @ messages + matrix[:, :kinds] @ own
