"""One layer of the spin cluster expansion: densities, their invariant products, a site network, gated vectors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gnnspin.models.blocks.bases import AngularBasis, degree_slices
from gnnspin.models.blocks.density import NeighborDensity, NeighborGeometry
from gnnspin.models.blocks.handedness import Handedness
from gnnspin.models.blocks.mixing import mix, mixing_matrix
from gnnspin.models.blocks.standardization import Standardization, site_network, standardized_outputs

_MEAN_NEIGHBORS = 8.0


@dataclass(frozen=True)
class LayerSize:
    """Sizes of a `ClusterLayer`.

    Attributes
    ----------
    channels, scalars : int
        Vectors and scalars handed on.
    pairs : int
        Largest number of products of two densities per degree.
    hidden : int
        Width of the site network.
    """

    channels: int
    scalars: int
    pairs: int
    hidden: int


class ClusterLayer(nn.Module):
    r"""One layer of `SpinClusterExpansion`; see there for the equations.

    Shapes: spins (R, 3, N), vectors (R, 3, C, N), scalars (R, F, N), densities (R, 3, K, M, N), where M counts the
    angular functions of all degrees.

    Parameters
    ----------
    in_vectors, in_scalars : int
        Numbers of vectors and scalars it receives.
    n_radial : int
    angular : AngularBasis
    size : LayerSize
    time_reversal : bool
        Leave out what is even in the spins from vectors and odd from scalars.
    mirrors : bool
        Leave out what is odd under mirrors.
    separable : bool
        See `NeighborDensity`.
    emits : bool
        Whether it hands on vectors and scalars.
    site_outputs : int
        Energies, and charges where they are asked for.
    extra_invariants, extra_tensors : int
        Numbers of invariants, and of tensors in real space, of other origin that `forward` is given.
    """

    def __init__(
        self,
        in_vectors: int,
        in_scalars: int,
        n_radial: int,
        angular: AngularBasis,
        size: LayerSize,
        *,
        time_reversal: bool = True,
        mirrors: bool = True,
        separable: bool = False,
        emits: bool = True,
        site_outputs: int = 1,
        extra_invariants: int = 0,
        extra_tensors: int = 0,
    ) -> None:
        super().__init__()
        self.size, self.time_reversal, self.emits, self.site_outputs = size, time_reversal, emits, site_outputs
        self.in_vectors, self.in_scalars = in_vectors, in_scalars
        self.degrees = degree_slices(angular.degree)
        n = self.densities = min(size.channels, in_vectors * n_radial)
        self.vector_density = NeighborDensity(in_vectors, n, n_radial, angular, _MEAN_NEIGHBORS, separable=separable)
        if in_scalars:
            self.scalar_density = NeighborDensity(
                in_scalars, size.scalars, n_radial, angular, _MEAN_NEIGHBORS, separable=separable
            )
        self.vector_pairs = nn.ModuleList(ChannelPairs(n, size.pairs) for _ in self.degrees)
        self.tensor_pairs = nn.ModuleList(ChannelPairs(n, size.pairs) for _ in self.degrees[1:])
        self.handedness = None if mirrors else Handedness(n, angular, max(1, size.channels // 2), emits * size.channels)
        n_tensors = n + (size.scalars if in_scalars else 0) + extra_tensors
        self.tensor_mixing = nn.ParameterList(mixing_matrix(n, n_tensors) for _ in self.degrees)
        n_invariants = extra_invariants + self._n_invariants()
        self.standardization = Standardization(n_invariants)
        n_handed = self.handedness.n_vectors if self.handedness else 0
        self.gates_per_channel = 2 + len(self.degrees) + (not time_reversal) + n_handed
        n_out = site_outputs + emits * (size.scalars + size.channels * self.gates_per_channel)
        self.n_outputs = n_out
        self.network = site_network([n_invariants, size.hidden, size.hidden, n_out])
        self.linear_energy = nn.Parameter(torch.zeros(n_invariants))
        if emits:
            self.density_mixing = mixing_matrix(size.channels, n)
            self.gate_mixing = nn.ParameterList(mixing_matrix(size.channels, n) for _ in self.degrees)

    def _n_invariants(self) -> int:
        n, triples = self.densities, self.densities // 2
        if self.handedness is not None:
            triples += self.handedness.n_odd
        n_pairs = min(n * (n + 1) // 2, self.size.pairs)
        count = n + (2 * len(self.degrees) - 1) * n_pairs + triples * (triples + 1) // 2
        count += 0 if self.time_reversal else triples
        count += self.handedness.n_even if self.handedness else 0
        if self.in_vectors > 1:
            count += self.in_vectors * (1 + n)
        if self.in_scalars:
            count += self.in_scalars + self.size.scalars
        return count

    def forward(
        self,
        data: NeighborGeometry,
        spin: Tensor,
        vectors: Tensor,
        scalars: Tensor,
        *,
        calibrate: bool = False,
        extra: Tensor | None = None,
        extra_tensors: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Site outputs (R, site_outputs, N), the next vectors and scalars (those received, if it emits none).

        With `calibrate`, mean and spread of the invariants are stored first. `extra` (R, extra_invariants, N) joins
        the invariants, `extra_tensors` (R, extra_tensors, M, N) the tensors B.
        """
        replicas, _, channels, sites = vectors.shape
        density = self.vector_density(vectors.reshape(replicas * 3, channels, sites), data)
        density = density.reshape(replicas, 3, *density.shape[1:])
        scalar_density = self.scalar_density(scalars, data) if self.in_scalars else None
        others = [given for given in (scalar_density, extra_tensors) if given is not None]
        tensors = self._tensors(spin, density, others)
        invariants = self._invariants(spin, vectors, density, tensors)
        if scalar_density is not None:
            invariants += [scalars, scalar_density[:, :, 0]]
        if extra is not None:
            invariants.append(extra)
        features = torch.cat(invariants, dim=1)
        if calibrate:
            self.standardization.measure(features.transpose(1, 2))
        linear, out = standardized_outputs(self.network, self.standardization, self.linear_energy, features)
        own, out = out[:, : self.site_outputs], out[:, self.site_outputs :]
        own = torch.cat([linear[:, None] + own[:, :1], own[:, 1:]], dim=1)
        if not self.emits:
            return own, vectors, scalars
        next_scalars, gates = out.split([self.size.scalars, out.shape[1] - self.size.scalars], dim=1)
        gates = gates.reshape(replicas, 1, self.size.channels, self.gates_per_channel, sites)
        return own, self._gated_vectors(spin, density, tensors, gates), next_scalars

    def _tensors(self, spin: Tensor, density: Tensor, others: list[Tensor]) -> list[Tensor]:
        """Spin-rotation invariants (R, K, m, N) of each degree: mixtures of ``S . A`` and `others` (R, *, M, N)."""
        along = (spin[:, :, None, None] * density).sum(1)
        tensors = torch.cat([along, *others], dim=1) if others else along
        return [mix(w, tensors[:, :, part]) for w, part in zip(self.tensor_mixing, self.degrees, strict=True)]

    def _invariants(self, spin: Tensor, vectors: Tensor, density: Tensor, tensors: list[Tensor]) -> list[Tensor]:
        """Invariants (R, *, N) under spin rotation and the point group."""
        isotropic = density[:, :, :, 0]  # (R, 3, K, N)
        products = [(spin[:, :, None] * isotropic).sum(1)]
        products += [pairs(density[:, :, :, part]) for pairs, part in zip(self.vector_pairs, self.degrees, strict=True)]
        products += [pairs(tensor[:, None]) for pairs, tensor in zip(self.tensor_pairs, tensors[1:], strict=True)]
        n = self.densities // 2
        cross = torch.linalg.cross(isotropic[:, :, :n], isotropic[:, :, n : 2 * n], dim=1)
        triple = (spin[:, :, None] * cross).sum(1)
        if self.handedness is not None:
            even, odd = self.handedness.pseudoscalars(spin, density, tensors)
            products.append(even)
            triple = torch.cat([triple, odd], dim=1)
        if triple.shape[1]:
            products.append(_gram(triple[:, None, :, None]))
        if not self.time_reversal:
            products.append(triple)
        if self.in_vectors > 1:
            products.append((spin[:, :, None] * vectors).sum(1))
            v_x, v_y, v_z = vectors[:, :, :, None].unbind(1)
            a_x, a_y, a_z = isotropic[:, :, None].unbind(1)
            products.append((v_x * a_x + v_y * a_y + v_z * a_z).flatten(1, 2))
        return products

    def _gated_vectors(self, spin: Tensor, density: Tensor, tensors: list[Tensor], gates: Tensor) -> Tensor:
        """Next vectors (R, 3, C, N)."""
        mixed = mix(self.density_mixing, density)
        result = gates[:, :, :, 0] * spin[:, :, None] + gates[:, :, :, 1] * mixed[:, :, :, 0]
        for k, part in enumerate(self.degrees):
            tensor = mix(self.gate_mixing[k], tensors[k])[:, None]
            result = result + gates[:, :, :, 2 + k] * (tensor * mixed[:, :, :, part]).sum(3)
        if self.handedness is not None:
            for k, handed in enumerate(self.handedness.vectors(density, tensors)):
                result = result + gates[:, :, :, 2 + len(self.degrees) + k] * handed
        if not self.time_reversal:
            result = result + gates[:, :, :, -1] * torch.linalg.cross(
                spin[:, :, None].expand_as(result), mixed[:, :, :, 0], dim=1
            )
        return result


class ChannelPairs(nn.Module):
    """Scalar products of pairs of channels: all of them, or `largest` products of two learned mixtures.

    Parameters
    ----------
    channels : int
    largest : int
    """

    def __init__(self, channels: int, largest: int) -> None:
        super().__init__()
        every = channels * (channels + 1) // 2
        self.size = min(every, largest)
        if every > largest:
            self.first = mixing_matrix(largest, channels)
            self.second = mixing_matrix(largest, channels)

    def forward(self, density: Tensor) -> Tensor:
        """Products (R, size, N) of densities (R, X, C, m, N), summed over X and m."""
        if hasattr(self, "first"):
            return (mix(self.first, density) * mix(self.second, density)).sum((1, 3))
        return _gram(density)


def _gram(density: Tensor) -> Tensor:
    """Products c <= c' (R, C (C + 1) / 2, N) of densities (R, X, C, m, N), summed over X and m."""
    channels = density.transpose(2, 3).flatten(1, 2).unbind(2)
    products = [(a * b).sum(1) for k, a in enumerate(channels) for b in channels[k:]]
    return torch.stack(products, dim=1)
