"""Kinds of sites, for models that tell them apart."""

from __future__ import annotations

import numpy as np

from gnnspin.core.errors import InvalidInput
from gnnspin.systems import SpinSystem


def site_kinds(system: SpinSystem, by: str, n_kinds: int | None = None) -> np.ndarray:
    """Kind of every site (N,) int64, counted from 0; within a union, the place in its own part's cell.

    Raises
    ------
    InvalidInput
        If there are others than the `n_kinds` kinds that a model knows.
    """
    kinds = system.species if by == "species" else np.concatenate([part.basis_index for part in system.parts])
    if n_kinds is not None and (kinds.min() < 0 or kinds.max() >= n_kinds):
        raise InvalidInput(
            f"the model tells n_kinds={n_kinds} kinds of sites apart, but this system has {by} {kinds.min()} to "
            f"{kinds.max()}; they must count from 0"
        )
    return kinds
