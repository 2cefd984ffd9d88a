"""An order: one turn of a planar spiral along the first direction of a lattice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

import gnnspin as gs


def spiral(system: gs.systems.SpinSystem) -> NDArray[np.float64]:
    """Unit spins (N, 3) in the xy plane that turn once along the first direction; InvalidInput without a lattice."""
    if system.lattice_shape is None:
        raise gs.core.InvalidInput("spinplus_spiral order needs a lattice")
    length = system.lattice_shape[0]
    row = np.arange(system.n_sites) // (system.n_sites // length)
    angle = 2 * np.pi * row / length
    return np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=-1)
