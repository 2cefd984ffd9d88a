"""How far the torque reaches, in a quick form: floors of the error by radius, and the size of the labels' systems."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gnnspin.analysis.locality import conditional_variance
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import random_spins
from gnnspin.labels.plan import derived_seed
from gnnspin.systems import SpinSystem
from gnnspin.systems.config import AmorphousConfig, LatticeConfig, SystemConfig
from gnnspin.systems.distances import distances_from
from gnnspin.systems.lattice import is_lattice

#: Radii in units of `length_unit`, configurations and sites per configuration.
_RADII, _CONFIGURATIONS, _SITES = (2.05, 3.05, 4.05, 6.05, 8.05, 11.05), 3, 4

#: Edges of the labels' lattices, in unit cells, that are tried: magnetic orders of two, three and four sublattices fit.
_EDGES = {1: (96, 192, 384), 2: (12, 18, 24, 30, 36, 48), 3: (6, 8, 10, 12)}

#: Edges of lattices on which solvers and reach are measured, with one site in the unit cell and with several.
_MEASURED = {1: (96, 48), 2: (24, 12), 3: (8, 6)}

#: Sites below which a lattice of labels is too small whatever the reach: its electrons' levels show.
_FEWEST_SITES = {1: 90, 2: 500, 3: 500}

#: Sites of a packing that is labelled; packings of a round.
_PACKING, _PACKINGS = 150, 4


@dataclass(frozen=True)
class Reach:
    """Floors of the torque error by radius, on random spins.

    Attributes
    ----------
    radii : list of K floats
        In the units of the positions.
    floors : list of K floats
        Error over torque that no model can avoid which sees spins within the radius alone, see
        `gnnspin.analysis.Locality`.
    """

    radii: list[float]
    floors: list[float]

    def needed(self, share: float) -> float:
        """Smallest radius whose floor is at most `share`; the largest that was measured if none is."""
        return next((r for r, floor in zip(self.radii, self.floors, strict=True) if floor <= share), self.radii[-1])

    def floor(self, radius: float) -> float:
        """Floor of a radius, that of the largest measured one below it; of the smallest where it is smaller."""
        within = [floor for r, floor in zip(self.radii, self.floors, strict=True) if r <= radius]
        return within[-1] if within else self.floors[0]

    def record(self) -> dict[str, Any]:
        """JSON-able record."""
        return asdict(self)


def quick_reach(source: FieldSource, seed: int, seconds: float = math.inf) -> Reach:
    """Measure the floors on random spins of the source's system, at 12 sites or, in so many seconds, fewer."""
    system = source.system
    orders = [np.random.default_rng([seed, index]).permutation(system.n_sites) for index in range(_CONFIGURATIONS)]
    reach = min(float(distances_from(system, site).max()) for order in orders for site in order[:_SITES].tolist())
    unit = length_unit(system)
    radii = [r * unit for r in _RADII if r * unit < 0.9 * reach] or [0.5 * reach]
    variances, signals, start = [], [], time.perf_counter()
    for index in range(_CONFIGURATIONS):
        if index and time.perf_counter() - start > seconds * index / (index + 1):
            break
        spins = random_spins(system.n_sites, seed=derived_seed(seed, index))
        torques = source.torque(spins)
        signals.append(float(torques.square().mean()))
        for site in orders[index][:_SITES].tolist():
            others = [random_spins(system.n_sites, seed=derived_seed(seed, index, site, k)) for k in range(len(radii))]
            variances.append(
                [
                    conditional_variance(source, spins, site, [other], radius, known=torques)
                    for other, radius in zip(others, radii, strict=True)
                ]
            )
    return Reach(radii, np.sqrt(np.mean(variances, axis=0) / np.mean(signals)).tolist())


def length_unit(system: SpinSystem) -> float:
    """Nearest-neighbour distance of a lattice; elsewhere the edge of a cube that holds one site on average."""
    if is_lattice(system) or not all(system.pbc):
        return system.spacing
    return float((abs(np.linalg.det(system.cell)) / system.n_sites) ** (1 / 3))


def measured_on(intended: SystemConfig) -> SystemConfig:
    """A system of moderate size on which solvers and reach are measured."""
    if isinstance(intended, LatticeConfig):
        edge, of_several = _MEASURED[len(intended.shape)]
        edge = edge if intended.build().n_basis == 1 else of_several
        return intended.model_copy(update={"shape": tuple(min(n, edge) for n in intended.shape)})
    return _smaller_packing(intended) if isinstance(intended, AmorphousConfig) else intended


def label_system(intended: SystemConfig, radius: float) -> SystemConfig:
    """The system on which labels are solved: a lattice wider than twice the radius of the torque, or packings.

    Parameters
    ----------
    intended : SystemConfig
        Where the force field will run; it is taken itself where it is smaller.
    radius : float
        Radius of the torque, see `Reach.needed`.
    """
    if isinstance(intended, AmorphousConfig):
        return _smaller_packing(intended)
    if not isinstance(intended, LatticeConfig):
        return intended
    for edge in _EDGES[len(intended.shape)]:
        tried = intended.model_copy(update={"shape": tuple(min(n, edge) for n in intended.shape)})
        system = tried.build()
        across = widths(system)
        enough = system.n_sites >= _FEWEST_SITES[len(intended.shape)] and min(across) >= 2 * radius + system.spacing
        if enough or tried == intended:
            return tried
    return tried


def widths(system: SpinSystem) -> list[float]:
    """Distances between opposite faces of the cell, of its periodic directions; infinite without any."""
    inverse = np.linalg.inv(system.cell)
    return [float(1 / np.linalg.norm(inverse[:, k])) for k in range(3) if system.pbc[k] and _extended(system, k)] or [
        math.inf
    ]


def _extended(system: SpinSystem, direction: int) -> bool:
    return system.lattice_shape is None or system.lattice_shape[direction] > 1


def _smaller_packing(intended: AmorphousConfig) -> AmorphousConfig:
    """Packings of the same density that can be solved, several for their disorder."""
    n_sites = min(intended.n_sites, _PACKING)
    box = intended.box * (n_sites / intended.n_sites) ** (1 / 3)
    return intended.model_copy(update={"n_sites": n_sites, "box": box, "count": max(intended.count, _PACKINGS)})
