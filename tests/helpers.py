"""Shared by the tests: ordered spin states, finite differences, the published data."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from gnnspin.core import FieldSource, normalize
from gnnspin.systems import SpinSystem

PUBLISHED_DATA = Path(os.environ.get("GNNSPIN_DATA", Path(__file__).parents[2] / "shared" / "data"))


def published(name: str) -> dict[str, np.ndarray]:
    """Arrays of one published file; skips the test where the data are not installed."""
    path = PUBLISHED_DATA / name
    if not path.is_file():
        pytest.skip(f"published data not found at {path}; set GNNSPIN_DATA to their directory")
    with np.load(path) as arrays:
        return {key: arrays[key] for key in arrays.files}


def sites(array: np.ndarray) -> np.ndarray:
    """Published (y, x, ...) maps as (x, y, ...) flattened to sites i = x * L_y + y, float64."""
    return np.swapaxes(array, 0, 1).reshape(-1, *array.shape[2:]).astype(np.float64)


def unit(vectors: np.ndarray) -> Tensor:
    """Unit vectors as a tensor."""
    return normalize(torch.from_numpy(vectors))


def ordered(system: SpinSystem, name: str) -> Tensor:
    """Ordered states of the triangular and square lattices, (N, 3)."""
    assert system.lattice_shape is not None
    n1, n2 = (axis.reshape(-1) for axis in np.indices(system.lattice_shape[:2]))
    if name == "ferromagnet":
        spins = np.tile([0.0, 0.0, 1.0], (system.n_sites, 1))
    elif name == "neel":
        spins = np.outer((-1.0) ** (n1 + n2), [0.0, 0.0, 1.0])
    elif name == "stripe":
        spins = np.outer((-1.0) ** n1, [0.0, 0.0, 1.0])
    elif name == "tetrahedral":
        spins = np.stack([(-1.0) ** n1, (-1.0) ** n2, (-1.0) ** (n1 + n2)], axis=1) / np.sqrt(3)
    elif name == "120":
        angle = 2 * np.pi / 3 * (n1 - n2)
        spins = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    else:
        raise ValueError(name)
    return torch.from_numpy(spins)


def gradient_error(source: FieldSource, spins: Tensor, step: float = 3e-5, n_sites: int = 3) -> float:
    """Largest deviation of -dE/dS from the field, relative to the largest field.

    Fourth-order central differences of all three components; the steps stay within the accepted length of a spin.
    """
    generator = torch.Generator().manual_seed(0)
    field = source.field(spins)
    worst = 0.0
    for site in torch.randperm(spins.shape[-2], generator=generator)[:n_sites].tolist():
        for axis in range(3):
            moved = spins.repeat(4, 1, 1)
            moved[:, site, axis] += step * torch.tensor([1, -1, 2, -2], dtype=spins.dtype)
            energy = source.energy(moved).reshape(4, -1).sum(-1)
            slope = (8 * (energy[0] - energy[1]) - (energy[2] - energy[3])) / (12 * step)
            worst = max(worst, abs(float(-slope - field[site, axis])))
    return worst / float(field.norm(dim=-1).max())
