"""The plan of a set of labels: which snapshots there are, in which order, and the seed of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pydantic

from gnnspin.core.described import Recipe
from gnnspin.core.errors import InvalidInput
from gnnspin.labels.config import (
    BoundaryRanges,
    GenerateConfig,
    GivenSampler,
    PerturbedOrderSampler,
    RelaxationSampler,
    Sampler,
)
from gnnspin.labels.given import given_spins
from gnnspin.observables.orders import reference_order
from gnnspin.systems.system import SpinSystem


@dataclass(frozen=True)
class Job:
    """Snapshots that are made together: one configuration, or one trajectory.

    Attributes
    ----------
    system : int
        Position in the plan's systems.
    sampler : Sampler
    index : int
        Which of the sampler's configurations or trajectories.
    seed : int
        Seed of everything random in it.
    first, n_snapshots : int
        Record numbers ``first .. first + n_snapshots - 1``.
    point : int
        Position among the parameter points of the family; 0 where there is none.
    """

    system: int
    sampler: Sampler
    index: int
    seed: int
    first: int
    n_snapshots: int
    point: int = 0

    def segment_seed(self, snapshot: int) -> int:
        """Seed of the thermal noise on the way to snapshot number `snapshot` of a trajectory."""
        return derived_seed(self.seed, snapshot)


@dataclass(frozen=True)
class Plan:
    """All systems and jobs; a function of the configuration alone."""

    systems: tuple[SpinSystem, ...]
    jobs: tuple[Job, ...]

    @property
    def n_snapshots(self) -> int:
        """Number of labels."""
        return sum(job.n_snapshots for job in self.jobs)


def make_plan(config: GenerateConfig) -> Plan:
    """Fix all snapshots, ordered by sampler, index, parameters and system: the first part of a set is a fair sample.

    Raises
    ------
    InvalidInput
        If a system cannot be built, an order or a term does not fit a lattice, or the Hamiltonian has no parameter of a
        name in the family, or not such a value.
    """
    points = _checked_points(config)
    described = [each.build(derived_seed(config.seed, k)) for k, each in enumerate(config.systems)]
    systems = tuple(part for system in described for part in system.parts)
    jobs: list[Job] = []
    first = 0
    for s, sampler in enumerate(config.samplers):
        n_snapshots = sampler.n_steps // sampler.save_every if isinstance(sampler, RelaxationSampler) else 1
        own = _systems_of(sampler, systems)
        at = _points_of(sampler, points)
        for index in range(_count(sampler, systems)):
            for point in at:
                for k, system in own:
                    _check_fit(sampler, index, system)
                    keys = (k, s, index) if config.family is None else (k, s, index, point)
                    jobs.append(Job(k, sampler, index, derived_seed(config.seed, *keys), first, n_snapshots, point))
                    first += n_snapshots
    return Plan(systems, tuple(jobs))


def _checked_points(config: GenerateConfig) -> int:
    """Number of parameter points; InvalidInput where one does not fit the Hamiltonian or the solver."""
    points = config.points()
    for point in points:
        try:
            config.at(point)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            raise InvalidInput(f"family: at {point}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
        except InvalidInput as error:
            raise InvalidInput(f"family: {error}") from error
    return len(points)


def _systems_of(sampler: Sampler, systems: tuple[SpinSystem, ...]) -> list[tuple[int, SpinSystem]]:
    """The systems that a sampler labels, with their numbers: all, or that of given spins."""
    numbered = list(enumerate(systems))
    if not isinstance(sampler, GivenSampler):
        return numbered
    if sampler.system >= len(systems):
        raise InvalidInput(f"sampler given: system={sampler.system}, but there are {len(systems)} systems, from 0")
    return numbered[sampler.system : sampler.system + 1]


def _points_of(sampler: Sampler, points: int) -> range:
    """The points of the family at which a sampler is run: all, or that of given spins."""
    if not isinstance(sampler, GivenSampler) or sampler.point is None:
        return range(points)
    if sampler.point >= points:
        raise InvalidInput(f"sampler given: point={sampler.point}, but there are {points} points, from 0")
    return range(sampler.point, sampler.point + 1)


def _count(sampler: Sampler, systems: tuple[SpinSystem, ...]) -> int:
    """Configurations or trajectories of a sampler on each of its systems."""
    if isinstance(sampler, GivenSampler):
        return len(given_spins(sampler.path, systems[sampler.system].n_sites).spins)
    return sampler.count


def derived_seed(*keys: int) -> int:
    """63-bit seed from integers, different and independent for different keys."""
    low, high = np.random.SeedSequence(keys).generate_state(2, np.uint32)
    return (int(high) << 31) ^ int(low)


def _check_fit(sampler: Sampler, index: int, system: SpinSystem) -> None:
    """Find orders, terms and temperatures that do not fit before anything is computed."""
    if isinstance(sampler, RelaxationSampler) and index == 0:
        recipes = (*sampler.terms, *([sampler.kT] if isinstance(sampler.kT, Recipe) else []))
        for recipe in recipes:
            recipe.build(system)
    if isinstance(sampler, RelaxationSampler) and index == 0 and sampler.order is not None:
        _check_order(sampler.order, sampler.kind, system)
    ranges = sampler.boundary if isinstance(sampler, RelaxationSampler) else sampler
    if isinstance(ranges, BoundaryRanges) and index == 0:
        _check_boundary(ranges, sampler.kind, system)
    if isinstance(sampler, PerturbedOrderSampler) and index < len(sampler.orders):
        _check_order(sampler.orders[index], sampler.kind, system)


def _check_boundary(ranges: BoundaryRanges, kind: str, system: SpinSystem) -> None:
    try:
        ranges.drawn(0)[0].build(system)
    except InvalidInput as error:
        raise InvalidInput(f"sampler {kind} on {system}: {error}") from error


def _check_order(name: str, kind: str, system: SpinSystem) -> None:
    try:
        reference_order(name, system)
    except InvalidInput as error:
        raise InvalidInput(f"sampler {kind} on {system}: {error}") from error
