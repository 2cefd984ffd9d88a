"""Where labels are solved: the pieces of the intended systems, and spins on them as files that `generate` reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gnnspin.core.described import Recipe
from gnnspin.datasets import LabelStore
from gnnspin.labels import GenerateConfig, generate
from gnnspin.labels.given import GivenSpins
from gnnspin.learning.config import LearnConfig
from gnnspin.systems import SpinSystem
from gnnspin.systems.config import AmorphousConfig, PositionsConfig, SystemConfig
from gnnspin.systems.system import union

_Value = TypeVar("_Value")

#: Numbers of packings by which those of one round follow those of the one before.
_NEW_PACKINGS = 1000


@dataclass(frozen=True)
class Place:
    """A system that an intended run is driven on, with the parts that are solved by themselves.

    Attributes
    ----------
    system : SpinSystem
        The whole; several packings are a union.
    configs : tuple of SystemConfig
        One for each of ``system.parts``.
    """

    system: SpinSystem
    configs: tuple[SystemConfig, ...]

    @classmethod
    def of(cls, config: SystemConfig, number: int) -> Place:
        """The place of a round; every round has packings of its own."""
        if not isinstance(config, AmorphousConfig):
            return cls(config.build(), (config,))
        parts = config.model_copy(update={"seed": config.seed + _NEW_PACKINGS * (number + 1)}).build().parts
        explicit = tuple(_explicit(part) for part in parts)
        built = [each.build() for each in explicit]
        return cls(built[0] if len(built) == 1 else union(built), explicit)

    def split(self, spins: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Spins (..., N, 3) of the whole as those of its parts."""
        ends = np.cumsum([part.n_sites for part in self.system.parts])[:-1]
        return np.split(spins, ends, axis=-2)


def _explicit(system: SpinSystem) -> PositionsConfig:
    return PositionsConfig.model_validate(
        {
            "kind": "positions",
            "positions": system.positions.tolist(),
            "cell": system.cell.tolist(),
            "pbc": list(system.pbc),
            "species": system.species.tolist(),
        }
    )


@dataclass(frozen=True)
class Drive:
    """An intended run as it is driven in a round.

    Attributes
    ----------
    run : int
        Number of the intended run.
    point : dict
        Parameters of the Hamiltonian by name, of a family; empty where there is none.
    place : Place
    """

    run: int
    point: dict[str, float]
    place: Place


@dataclass(frozen=True)
class States:
    """Spins of one part to be labelled.

    Attributes
    ----------
    config : SystemConfig
    spins : (M, N, 3)
    times : (M,)
    point : dict
        Parameters of the Hamiltonian at which they are solved, see `Drive`.
    """

    config: SystemConfig
    spins: NDArray[np.float32]
    times: NDArray[np.float64]
    point: dict[str, float]


def solved(
    config: LearnConfig, solver: Recipe, states: Sequence[States], folder: Path, name: str, workers: int, progress: bool
) -> LabelStore:
    """Exact labels of states in ``folder / name.h5``, part by part and in their order; goes on where it was stopped."""
    store = folder / f"{name}.h5"
    files = [folder / f"{name}_{k}.npz" for k in range(len(states))]
    chosen = [(file, each) for file, each in zip(files, states, strict=True) if len(each.spins)]
    for file, each in chosen:
        if not file.exists():
            spins = each.spins.astype(np.float64)
            GivenSpins(spins / np.linalg.norm(spins, axis=-1, keepdims=True), each.times).write(file)
    systems = _each_once([each.config for _, each in chosen])
    points = _each_once([each.point for _, each in chosen if each.point])
    samplers = [
        {
            "kind": "given",
            "path": file,
            "system": systems.index(each.config),
            "point": points.index(each.point) if each.point else None,
        }
        for file, each in chosen
    ]
    plan = GenerateConfig.model_validate(
        {
            "systems": systems,
            "hamiltonian": config.hamiltonian,
            "solver": solver,
            "samplers": samplers,
            "family": {"points": points} if points else None,
            "seed": config.seed,
        }
    )
    return generate(plan, store, n_workers=workers, progress=progress, resume=True)


def _each_once(values: list[_Value]) -> list[_Value]:
    return [value for k, value in enumerate(values) if value not in values[:k]]
