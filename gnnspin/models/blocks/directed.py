"""Vectors collected along a direction of space, and invariants and fields read from vectors at a site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gnnspin.core.containers import TensorContainer
from gnnspin.core.errors import InvalidInput
from gnnspin.graphs import GraphSpec
from gnnspin.models.blocks.bases import AngularBasis, RadialBasis
from gnnspin.models.blocks.density import NeighborDensity, NeighborGeometry, prepare_geometry
from gnnspin.models.blocks.standardization import Standardization, site_network
from gnnspin.systems import SpinSystem
from gnnspin.systems.system import FloatArray

_N_RADIAL = 6


@dataclass(frozen=True)
class DriveGeometry(TensorContainer):
    """Neighbours, angular functions of degree 1 (M - 1,) at the direction of the drive, and `end_profiles` (2 L, N)."""

    neighbors: NeighborGeometry
    along: Tensor
    ends: Tensor


@dataclass(frozen=True)
class PreparedWithDrive(TensorContainer):
    """Geometry of a model (`base`) and of the vectors collected along a drive (`drive`, None without one)."""

    base: Any
    drive: DriveGeometry | None


class DirectedVectors(nn.Module):
    r"""Sums over neighbours that know a direction :math:`\hat e` of space.

    .. math:: X_i^k = \sum_{jc} R_{kc}(r_{ij})\, v_j^c, \qquad
              X_i^{K+k} = \sum_{jc} R'_{kc}(r_{ij})\,(\hat e\cdot\hat r_{ij})\, v_j^c

    The second kind changes sign with :math:`\hat e`: on a line it is a discrete gradient along the drive, of which
    spin-transfer torques are made.

    Parameters
    ----------
    in_channels, channels : int
        Vectors per site before, and of each kind after.
    spec : GraphSpec
    direction : (3,)
        Need not be normalised; in the plane of a planar graph.
    ends : tuple of L floats
        Decay lengths of `end_profiles`, which the geometry holds besides.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        spec: GraphSpec,
        direction: tuple[float, float, float],
        ends: tuple[float, ...] = (),
    ) -> None:
        super().__init__()
        vector = torch.tensor([direction], dtype=torch.float64)
        if not bool(vector.isfinite().all()) or float(vector.norm()) == 0:
            raise InvalidInput(f"drive={list(direction)} must be a finite direction other than zero")
        if spec.dimension == 2 and float(vector[0, 2]) != 0:
            raise InvalidInput(f"drive={list(direction)} must lie in the plane of the system: z = 0")
        self.spec, self._direction, self._ends = spec, vector, ends
        self._angular = AngularBasis(spec.dimension, 1)
        self._radial = RadialBasis(spec, _N_RADIAL)
        self.density = NeighborDensity(in_channels, channels, self._radial.size, self._angular, 8.0)

    def prepare(self, system: SpinSystem) -> DriveGeometry:
        """Geometry of `system`."""
        neighbors = prepare_geometry(system, self.spec, self._radial, self._angular)
        profiles = [end_profiles(part, self._direction[0].numpy(), self._ends) for part in system.parts]
        return DriveGeometry(neighbors, self._angular(self._direction)[0, 1:], torch.cat(profiles, dim=1))

    def forward(self, geometry: DriveGeometry, vectors: Tensor) -> Tensor:
        """Both kinds (R, 2 K, N, 3) of vectors (R, C, N, 3)."""
        replicas, channels, sites, _ = vectors.shape
        density = self.density(vectors.permute(0, 3, 1, 2).reshape(replicas * 3, channels, sites), geometry.neighbors)
        density = density.reshape(replicas, 3, *density.shape[1:])  # (R, 3, K, M, N)
        directed = torch.einsum("rxkmn,m->rxkn", density[:, :, :, 1:], geometry.along)
        return torch.cat([density[:, :, :, 0], directed], dim=2).permute(0, 2, 3, 1)


def end_profiles(system: SpinSystem, direction: FloatArray, lengths: tuple[float, ...]) -> Tensor:
    """Distance of every site from the two ends of a system along a direction, as ``exp(-d / l)``: (2 L, N) float64.

    Zero in a system that is periodic along the direction and so has no ends.

    Parameters
    ----------
    system : SpinSystem
    direction : (3,)
    lengths : tuple of L floats
        Decay lengths l, each for the first end and for the last.
    """
    unit = direction / np.linalg.norm(direction)
    closed = any(abs(system.cell[k] @ unit) > 1e-9 for k in range(3) if system.pbc[k])
    place = torch.from_numpy(system.positions @ unit)
    rows = [-(place - place.min()), -(place.max() - place)]
    profiles = [(row / length).exp() * (not closed) for length in lengths for row in rows]
    return torch.stack(profiles) if profiles else place.new_zeros(0, len(place))


class DirectedReadout(nn.Module):
    """A site network of the scalar products of vectors at a site: a value, or gates of the vectors.

    Vectors are taken in units of their measured size and divided by ``sqrt(1 + mean square)`` over those of the site:
    products of products, and more so products of them, would otherwise grow without bound on spins unlike those that
    were measured.

    Parameters
    ----------
    n_vectors : int
    hidden : int
        Width of the two hidden layers.
    time_reversal : bool
        Leave out what is even in the spins from vectors and odd from values: triple and cross products.
    gates : bool
        Whether it gives vectors in place of values.
    n_places : int
        Numbers of a site that do not depend on the spins and are known besides, such as `end_profiles`.
    """

    rows: Tensor
    columns: Tensor
    inverse_size: Tensor

    def __init__(self, n_vectors: int, hidden: int, *, time_reversal: bool, gates: bool, n_places: int = 0) -> None:
        super().__init__()
        self.time_reversal = time_reversal
        rows, columns = torch.triu_indices(n_vectors, n_vectors)
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns, persistent=False)
        self.register_buffer("inverse_size", torch.ones(n_vectors))
        n_triples = 0 if time_reversal else n_vectors // 2
        n_invariants = n_vectors + len(rows) + n_triples + n_places
        self.standardization = Standardization(n_invariants)
        n_out = n_vectors * (1 if time_reversal else 2) if gates else 1
        self.network = site_network([n_invariants, hidden, hidden, n_out])

    def _invariants(self, spins: Tensor, vectors: Tensor, places: Tensor | None) -> Tensor:
        """Scalar and triple products (R, N, F) of spins (R, N, 3) and vectors (R, A, N, 3), and places (P, N)."""
        along = (spins[:, None] * vectors).sum(-1)
        products = (vectors[:, self.rows] * vectors[:, self.columns]).sum(-1)
        parts = [along, products]
        if not self.time_reversal:
            even, odd = vectors[:, 0::2], vectors[:, 1::2]
            parts.append((spins[:, None] * torch.linalg.cross(even[:, : odd.shape[1]], odd)).sum(-1))
        if places is not None and len(places):
            parts.append(places.expand(len(spins), *places.shape))
        return torch.cat(parts, dim=1).transpose(1, 2)

    def _bounded(self, vectors: Tensor) -> Tensor:
        scaled = vectors * self.inverse_size[:, None, None]
        return scaled / (1 + scaled.square().sum(-1, keepdim=True).mean(1, keepdim=True)).sqrt()

    @torch.no_grad()
    def measure(self, spins: Tensor, vectors: Tensor, places: Tensor | None = None) -> None:
        """Store the size of the vectors, and mean and inverse spread of the invariants."""
        size = vectors.double().square().sum(-1).mean((0, 2)).sqrt()
        self.inverse_size.copy_(torch.where(size > 0, 1 / size.clamp_min(1e-30), torch.zeros_like(size)))
        self.standardization.measure(self._invariants(spins, self._bounded(vectors), places))

    def forward(self, spins: Tensor, vectors: Tensor, places: Tensor | None = None) -> Tensor:
        """Values (R, N)."""
        return self._network(spins, self._bounded(vectors), places)[..., 0]

    def vectors(self, spins: Tensor, vectors: Tensor, places: Tensor | None = None) -> Tensor:
        """Gated vectors and, without time reversal, their cross products with the spin: (R, N, 3)."""
        vectors = self._bounded(vectors)
        gates = self._network(spins, vectors, places)
        if not self.time_reversal:
            vectors = torch.cat([vectors, torch.linalg.cross(spins[:, None].expand_as(vectors), vectors)], dim=1)
        return torch.einsum("rna,ranx->rnx", gates, vectors)

    def _network(self, spins: Tensor, vectors: Tensor, places: Tensor | None) -> Tensor:
        return self.network(self.standardization(self._invariants(spins, vectors, places)))
