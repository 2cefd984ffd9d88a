"""Kinds of sites, and the hyperparameters of models that tell them apart."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field

from gnnspin.core.config import Config
from gnnspin.core.errors import InvalidInput
from gnnspin.systems import SpinSystem


class SiteHyperparameters(Config):
    """What the cluster expansions have in common: their symmetry in time, their electrons, their kinds of sites."""

    time_reversal: bool = Field(default=True, description="exact time reversal; false allows odd products (driven)")
    fixed_number: bool = Field(
        default=False,
        description="labels at fixed electron number: the chemical potential follows the mean of learned site charges",
    )
    site_kind: Literal["species", "basis"] = Field(
        default="species", description="what tells kinds of sites apart: species, or the place in the unit cell"
    )
    n_kinds: int = Field(default=1, ge=1, description="kinds of sites; follows from the system")


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
