"""Maps and structure factors of a study's runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gnnspin.core.source import FieldSource
from gnnspin.core.spins import normalize
from gnnspin.observables import (
    bond_order,
    scalar_chirality,
    site_average,
    staggered_vector_chirality,
    structure_factor,
)
from gnnspin.plotting import lattice_map, spin_map, structure_factor_map
from gnnspin.studies.study import MapConfig
from gnnspin.systems import SpinSystem
from gnnspin.trajectories import Trajectory

_QUANTITIES: dict[str, Callable[[SpinSystem, Tensor], Tensor]] = {
    "scalar_chirality": lambda system, spins: site_average(system, scalar_chirality(system, spins)),
    "vector_chirality": lambda system, spins: staggered_vector_chirality(system, spins).norm(dim=-1),
    "bond_order": bond_order,
}


#: Quantities of the electrons, from their number per site.
_ELECTRONS: dict[str, Callable[[Tensor], Tensor]] = {
    "electron_density": lambda density: density,
    "hole_density": lambda density: 1 - density,
}


def draw_maps(run: Trajectory, config: MapConfig, path: Path, exact: Callable[[SpinSystem], FieldSource]) -> None:
    """Draw a quantity per site of a run's first replica at several times.

    Densities of electrons, and of holes in one electron per site, are those of the exact solver on the run's spins.
    """
    frames = [int(np.abs(run.times - time).argmin()) for time in config.times]
    titles = [f"time {run.times[frame]:g}" for frame in frames]
    spins = torch.stack([_spins(run, frame) for frame in frames])
    label = config.quantity.replace("_", " ")
    if config.quantity in _ELECTRONS:
        density = exact(run.system).solve(spins).density  # type: ignore[attr-defined]
        lattice_map(run.system, _ELECTRONS[config.quantity](density), path, titles=titles, label=label)
        return
    if config.quantity not in _QUANTITIES:
        spin_map(run.system, spins, path, what=config.quantity, titles=titles)
        return
    values = torch.stack([_QUANTITIES[config.quantity](run.system, each) for each in spins])
    lattice_map(run.system, values, path, titles=titles, label=label)


def draw_spectrum(run: Trajectory, path: Path) -> None:
    """Draw the structure factor of a run's last frame, averaged over replicas."""
    last = len(run) - 1
    spins = torch.as_tensor(run[last], dtype=torch.float64).reshape(-1, run.system.n_sites, 3)
    structure = structure_factor(run.system, normalize(spins)).mean(0)
    structure_factor_map(run.system, structure, path, title=f"time {run.times[last]:g}")


def _spins(run: Trajectory, frame: int) -> Tensor:
    return normalize(torch.as_tensor(run[frame], dtype=torch.float64)).reshape(-1, run.system.n_sites, 3)[0]
