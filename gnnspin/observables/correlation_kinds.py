"""Correlation functions of distance, and lengths read off correlations, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from gnnspin.observables.chirality import scalar_chirality, site_average, staggered_vector_chirality
from gnnspin.observables.correlation_length import correlation_length, pair_correlation_length
from gnnspin.observables.correlations import (
    PairCorrelation,
    bond_order,
    pair_correlation,
    pair_distances,
    shell_correlation,
    shell_distances,
)
from gnnspin.observables.observable import Observable, ProfileObservable
from gnnspin.observables.reciprocal import WaveVector, named_wave_vector
from gnnspin.observables.structure_factor import scalar_structure_factor, structure_factor
from gnnspin.systems.system import SpinSystem

Texture: TypeAlias = Literal["spins", "scalar_chirality", "vector_chirality", "bond_order"]


@dataclass(frozen=True)
class ShellCorrelation(Observable, kind="shell_correlation"):
    """Mean of ``S_i . S_j`` over each neighbour shell of a lattice, (..., n_shells).

    Parameters
    ----------
    cutoff : float
        Largest distance.
    """

    cutoff: float = 4.0

    def measure(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """Correlation of each shell."""
        return shell_correlation(system, spins, self.cutoff)[1]

    def abscissa(self, system: SpinSystem) -> Tensor:
        """Distances of the shells."""
        return shell_distances(system, self.cutoff)


@dataclass(frozen=True)
class PairCorrelationOfDistance(Observable, kind="pair_correlation"):
    """Correlation C(r) of an amorphous system in bins of the distance, (..., n_bins); NaN in empty bins.

    Parameters
    ----------
    bin_width : float
        Width of the bins, which begin at zero.
    max_distance : float
        Largest distance, below half the box.
    """

    bin_width: float = 0.1
    max_distance: float = 2.5

    def measure(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """Correlation of each bin."""
        return self.binned(system, spins).correlation

    def abscissa(self, system: SpinSystem) -> Tensor:
        """Mean distance of the pairs of each bin."""
        return pair_distances(system, self.bin_width, self.max_distance)[0]

    def binned(self, system: SpinSystem, spins: Tensor) -> PairCorrelation:
        """Correlations with distances and numbers of pairs."""
        return pair_correlation(system, spins, self.bin_width, self.max_distance)


@dataclass(frozen=True)
class PairCorrelationLength(ProfileObservable, kind="pair_correlation_length"):
    """Length ``xi = int r |C(r)| dr / int |C(r)| dr`` of an amorphous magnet, (...).

    The noise of C(r) is part of ``|C(r)|``: the length of one small packing is too long.

    Parameters
    ----------
    bin_width : float
        Width of the bins, which begin at zero.
    max_distance : float
        Largest distance, below half the box.
    """

    bin_width: float = 0.1
    max_distance: float = 2.5

    def profile(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """Correlation of each bin."""
        return pair_correlation(system, spins, self.bin_width, self.max_distance).correlation

    def read(self, system: SpinSystem, profile: Tensor) -> Tensor:
        """Length of the binned correlation."""
        distance, pairs = pair_distances(system, self.bin_width, self.max_distance)
        return pair_correlation_length(PairCorrelation(distance, profile, pairs))


@dataclass(frozen=True)
class CorrelationLength(ProfileObservable, kind="correlation_length"):
    """Length L(t) of coarsening from the width of a structure-factor peak, (...).

    Parameters
    ----------
    of : {"spins", "scalar_chirality", "vector_chirality", "bond_order"}
        Whose structure factor; chiralities are averaged over each site's triangles.
    peak : str or (3,)
        Wave vector of the peak: Gamma for the domains of a chirality.
    method : {"inverse_width", "second_moment"}
        See `gnnspin.observables.correlation_length`.
    radius : float, optional
        Radius of the disc around the peak; default: half the distance to the nearest other one.
    """

    of: Texture = "spins"
    peak: WaveVector = "Gamma"
    method: Literal["inverse_width", "second_moment"] = "inverse_width"
    radius: float | None = None

    def profile(self, system: SpinSystem, spins: Tensor) -> Tensor:
        """Structure factor on the whole grid."""
        return _structure(system, spins, self.of)

    def read(self, system: SpinSystem, profile: Tensor) -> Tensor:
        """Length of one peak; all parts of a union must be the same lattice."""
        lattice = system.parts[0]
        peak = named_wave_vector(lattice, self.peak)
        return correlation_length(lattice, profile, peak, method=self.method, radius=self.radius)


def _structure(system: SpinSystem, spins: Tensor, of: Texture) -> Tensor:
    """Structure factor of the spins or of a map made of them."""
    if of == "spins":
        return structure_factor(system, spins)
    if of == "vector_chirality":
        components = staggered_vector_chirality(system, spins).unbind(-1)
        return torch.stack([scalar_structure_factor(system, each) for each in components]).sum(0)
    if of == "bond_order":
        return scalar_structure_factor(system, bond_order(system, spins))
    return scalar_structure_factor(system, site_average(system, scalar_chirality(system, spins)))
