"""The observables that come with the library, by name: thin over the functions of this package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from gnnspin.core.described import Recipe
from gnnspin.core.errors import InvalidInput
from gnnspin.observables.chirality import (
    scalar_chirality,
    staggered_vector_chirality,
    topological_charge_density,
    vector_chirality,
)
from gnnspin.observables.clusters import ferromagnetic_clusters
from gnnspin.observables.correlations import bond_order, magnetization
from gnnspin.observables.defects import chirality_vortices, wall_length
from gnnspin.observables.memory import mean_overlap
from gnnspin.observables.observable import Observable
from gnnspin.observables.order_parameters import tetrahedral_order, three_sublattice_order, triple_q_order
from gnnspin.observables.reciprocal import WaveVector, named_wave_vector
from gnnspin.observables.structure_factor import structure_factor, structure_factor_at
from gnnspin.observables.triangulation import triangles
from gnnspin.systems.system import SpinSystem

Reduction: TypeAlias = Literal["mean", "absolute", "none"]


def _reduced(values: Tensor, reduce: str) -> Tensor:
    """Mean, mean absolute value, or all of values (..., n)."""
    return values if reduce == "none" else (values.abs() if reduce == "absolute" else values).mean(-1)


@dataclass(frozen=True)
class Magnetization(Observable, kind="magnetization"):
    """Mean spin, (..., 3)."""

    def measure(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """Mean over the sites."""
        return magnetization(spins)


@dataclass(frozen=True)
class NeighborCorrelation(Observable, kind="neighbor_correlation"):
    """Mean of ``S_i . S_j`` over the neighbours of all sites, (...).

    Parameters
    ----------
    cutoff : float, optional
        Distance of neighbours; default: that of nearest neighbours on a lattice, 1 elsewhere.
    """

    cutoff: float | None = None

    def measure(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """Mean over the sites of `bond_order`, those without a neighbour left out."""
        return bond_order(system, spins, self.cutoff).nanmean(-1)


@dataclass(frozen=True)
class BondOrder(Observable, kind="bond_order"):
    """Map of the mean of ``S_i . S_j`` over each site's neighbours, (..., N).

    Parameters
    ----------
    cutoff : float, optional
        Distance of neighbours; default: that of nearest neighbours on a lattice, 1 elsewhere.
    """

    cutoff: float | None = None

    def measure(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """Bond order of each site."""
        return bond_order(system, spins, self.cutoff)


@dataclass(frozen=True)
class StructureFactor(Observable, kind="structure_factor"):
    """Structure factor S(q) at chosen wave vectors, (..., Q), or on the whole grid, (..., K1, K2, K3).

    Parameters
    ----------
    wave_vectors : sequence, optional
        Names of `high_symmetry_points` or Cartesian vectors; default: the grid of `wave_vectors`.
    """

    wave_vectors: Sequence[WaveVector] | None = None

    def measure(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """Structure factor of the spins."""
        if self.wave_vectors is None:
            return structure_factor(system, spins)
        return structure_factor_at(system, spins, np.stack([named_wave_vector(system, q) for q in self.wave_vectors]))


@dataclass(frozen=True)
class ScalarChirality(Observable, kind="scalar_chirality"):
    """Scalar chirality of the triangles: mean, mean absolute value, or all (..., T).

    Parameters
    ----------
    reduce : {"mean", "absolute", "none"}
        The absolute value tells order in domains, the mean which handedness has won.
    """

    reduce: Reduction = "mean"

    def measure(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """Chirality of the triangles."""
        return _reduced(scalar_chirality(system, spins), self.reduce)


@dataclass(frozen=True)
class VectorChirality(Observable, kind="vector_chirality"):
    """Length of the mean staggered vector chirality, mean of its length over sites, or all (..., N, 3).

    Parameters
    ----------
    reduce : {"mean", "absolute", "none"}
        The absolute value tells local order, the mean that of the whole system.
    """

    reduce: Reduction = "mean"

    def measure(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """Staggered vector chirality of the sites."""
        values = staggered_vector_chirality(system, spins)
        if self.reduce == "none":
            return values
        return values.mean(-2).norm(dim=-1) if self.reduce == "mean" else values.norm(dim=-1).mean(-1)


@dataclass(frozen=True)
class TopologicalCharge(Observable, kind="topological_charge"):
    """Topological charge (...), or its map (..., T).

    Parameters
    ----------
    reduce : {"sum", "magnitude", "absolute", "none"}
        The magnitude is that of the sum, for states of either handedness; the sum of the absolute values counts
        skyrmions and antiskyrmions alike.
    sites : int, optional
        Charge of so many sites on average, those of a magnetic unit cell; default: of the whole system.
    """

    reduce: Literal["sum", "magnitude", "absolute", "none"] = "sum"
    sites: int | None = None

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        """Raise InvalidInput if `sites` is not positive, or given with the map."""
        sites, reduce = (recipe.arguments()[name] for name in ("sites", "reduce"))
        if sites is not None and (sites < 1 or reduce == "none"):
            raise InvalidInput(f"sites={sites} must be positive, and is not for the map of the triangles")

    def measure(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """Solid angles of the triangles over 4 pi."""
        density = topological_charge_density(system, spins)
        if self.reduce == "none":
            return density
        charge = (density.abs() if self.reduce == "absolute" else density).sum(-1)
        charge = charge.abs() if self.reduce == "magnitude" else charge
        return charge if self.sites is None else charge * (self.sites / system.n_sites)


@dataclass(frozen=True)
class TetrahedralOrder(Observable, kind="tetrahedral_order"):
    """Tetrahedral order of the triangular lattice with its handedness, (...)."""

    def measure(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """Triple product of the amplitudes at the M points."""
        return tetrahedral_order(system, spins)


@dataclass(frozen=True)
class ThreeSublatticeOrder(Observable, kind="three_sublattice_order"):
    """Three-sublattice order of the triangular or kagome lattice, (...)."""

    def measure(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """Spread of the sublattices' mean spins."""
        return three_sublattice_order(system, spins)


@dataclass(frozen=True)
class TripleQOrder(Observable, kind="triple_q_order"):
    """Triple-Q order, (...).

    Parameters
    ----------
    wave_vector : str or (3,)
        One of the three; the others follow by turns of 120 degrees.
    """

    wave_vector: WaveVector = "M"

    def measure(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """Geometric mean of the three weights."""
        return triple_q_order(system, spins, named_wave_vector(system, self.wave_vector))


@dataclass(frozen=True)
class ChiralityVortices(Observable, kind="chirality_vortices"):
    """Number of Z2 vortices of three-sublattice order, (...)."""

    def measure(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """Count of the triangles that hold one."""
        return chirality_vortices(system, spins).sum(-1)


@dataclass(frozen=True)
class WallLength(Observable, kind="wall_length"):
    """Length of the walls between domains of either chirality, (...).

    Parameters
    ----------
    of : {"scalar_chirality", "vector_chirality"}
        Whose sign tells the domains apart.
    axis : (3,)
        Direction along which the vector chirality is taken.
    """

    of: Literal["scalar_chirality", "vector_chirality"] = "scalar_chirality"
    axis: Sequence[float] = (0.0, 0.0, 1.0)

    def measure(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """Edges between triangles of opposite sign."""
        if self.of == "scalar_chirality":
            return wall_length(system, scalar_chirality(system, spins, tiling=True), tiling=True)
        kappa = vector_chirality(system, spins, tiling=True)
        along = kappa @ torch.tensor(self.axis, dtype=kappa.dtype, device=kappa.device)
        return wall_length(system, along * triangles(system, tiling=True).orientation.to(along), tiling=True)


@dataclass(frozen=True)
class FerromagneticClusters(Observable, kind="ferromagnetic_clusters"):
    """Size of ferromagnetic clusters, (...).

    Parameters
    ----------
    threshold : float
        Smallest ``S_i . S_j`` of a bond that joins two sites.
    quantity : {"length", "mean_size", "mean_size_of_a_site", "largest", "count"}
        Of `gnnspin.observables.Clusters`; the length is ``<s>^(1/d)``.
    cutoff : float, optional
        Distance of neighbours; default: that of nearest neighbours on a lattice, 1 elsewhere.
    """

    threshold: float = 0.5
    quantity: Literal["length", "mean_size", "mean_size_of_a_site", "largest", "count"] = "length"
    cutoff: float | None = None

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        """Raise InvalidInput if the threshold is no value of S_i . S_j."""
        threshold = recipe.arguments()["threshold"]
        if not -1 <= threshold <= 1:
            raise InvalidInput(f"threshold={threshold} must be between -1 and 1, as S_i . S_j is")

    def measure(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """One number of the clusters."""
        found = ferromagnetic_clusters(system, spins, self.threshold, self.cutoff)
        return torch.as_tensor(getattr(found, self.quantity))


@dataclass(frozen=True)
class Overlap(Observable, kind="edwards_anderson_overlap"):
    """Mean overlap of each replica with all others, (R,); needs two replicas."""

    def measure(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """Overlaps at one time."""
        return mean_overlap(spins)
