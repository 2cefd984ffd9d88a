"""Ensembles of spin configurations whose surroundings can be drawn again while a part is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import numpy as np
from pydantic import Field
from torch import Tensor

from gnnspin.core.config import Config
from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import random_spins
from gnnspin.datasets import LabelSet, open_labels
from gnnspin.labels.config import PerturbedOrderSampler, RandomSampler
from gnnspin.labels.plan import derived_seed
from gnnspin.observables.orders import perturbed, reference_order
from gnnspin.systems.config import SystemConfig
from gnnspin.systems.system import SpinSystem


class Ensemble(Protocol):
    """Spin configurations of one system."""

    @property
    def system(self) -> SpinSystem:
        """Where the spins are."""
        ...

    @property
    def count(self) -> int:
        """Configurations to look at."""

    def draw(self, index: int) -> Tensor:
        """Configuration number `index`, (N, 3)."""

    def redraw(self, index: int, keys: tuple[int, ...]) -> Tensor:
        """Spins (N, 3) to put around a kept part of configuration `index`; different for different keys."""


@dataclass(frozen=True)
class RandomSpins:
    """Independent spins, uniform on the sphere: surroundings are independent of any kept part."""

    system: SpinSystem
    count: int
    seed: int

    def draw(self, index: int) -> Tensor:
        """Random spins (N, 3) of configuration `index`."""
        return random_spins(self.system.n_sites, seed=derived_seed(self.seed, 0, index))

    def redraw(self, index: int, keys: tuple[int, ...]) -> Tensor:
        """Random spins (N, 3), independent of configuration `index`; different for different keys."""
        return random_spins(self.system.n_sites, seed=derived_seed(self.seed, 1, index, *keys))


@dataclass(frozen=True)
class PerturbedOrders:
    """Noise about orders: surroundings keep the order, its direction and the strength of the noise."""

    system: SpinSystem
    count: int
    seed: int
    orders: tuple[Tensor, ...]
    amplitude: tuple[float, float]

    def draw(self, index: int) -> Tensor:
        """Spins (N, 3) of the rotated order of configuration `index` with its noise."""
        return self._with_noise(index, derived_seed(self.seed, 0, index))

    def redraw(self, index: int, keys: tuple[int, ...]) -> Tensor:
        """Spins (N, 3) of the same rotated order with other noise of the same strength; keys choose the noise."""
        return self._with_noise(index, derived_seed(self.seed, 1, index, *keys))

    def _with_noise(self, index: int, seed: int) -> Tensor:
        own = derived_seed(self.seed, 3, index)
        rotated = perturbed(self.orders[index % len(self.orders)], 0.0, seed=own)
        amplitude = float(np.random.default_rng(own).uniform(*self.amplitude))
        return perturbed(rotated, amplitude, seed=seed, rotate=False)


@dataclass(frozen=True)
class StoredSpins:
    """Configurations of a label set: surroundings come from another one, at the same sites."""

    labels: LabelSet
    count: int
    seed: int

    @property
    def system(self) -> SpinSystem:
        """System of the labels."""
        return self.labels.systems[0]

    def draw(self, index: int) -> Tensor:
        """Spins (N, 3) of the label that configuration `index` stands for."""
        return self.labels[self._number(index)].spins

    def redraw(self, index: int, keys: tuple[int, ...]) -> Tensor:
        """Spins (N, 3) of another label, drawn at random; different keys draw independently."""
        other = np.random.default_rng(derived_seed(self.seed, 1, index, *keys)).integers(len(self.labels) - 1)
        own = self._number(index)
        return self.labels[int(other + (other >= own))].spins

    def _number(self, index: int) -> int:
        return int(np.random.default_rng(self.seed).permutation(len(self.labels))[index])


class StoredSampler(Config):
    """Configurations of stored labels of one system."""

    kind: Literal["labels"]
    labels: str = Field(description="label store, or published:NAME")
    count: int = Field(gt=0, description="configurations to look at; surroundings come from all")


EnsembleConfig = Annotated[RandomSampler | PerturbedOrderSampler | StoredSampler, Field(discriminator="kind")]


def build_ensemble(config: EnsembleConfig, system: SystemConfig | None, seed: int) -> Ensemble:
    """The ensemble of a configuration.

    Raises
    ------
    InvalidInput
        If an order does not fit the system, or the labels are too few or of several systems.
    """
    if isinstance(config, StoredSampler):
        labels = open_labels(config.labels)
        if len(labels.systems) != 1 or len(labels) < max(2, config.count):
            raise InvalidInput(
                f"{config.labels} holds {len(labels)} labels of {len(labels.systems)} systems; locality needs one "
                f"system and at least {max(2, config.count)} labels"
            )
        return StoredSpins(labels, config.count, seed)
    if system is None:
        raise InvalidInput(f"an ensemble of kind {config.kind} needs a system")
    built = system.build(derived_seed(seed, 4))
    if isinstance(config, PerturbedOrderSampler):
        orders = tuple(reference_order(name, built) for name in config.orders)
        return PerturbedOrders(built, config.count, seed, orders, config.amplitude)
    return RandomSpins(built, config.count, seed)
