"""The exact source of a learning: the cheapest solver that is exact enough, chosen by measurement."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from gnnspin.core.errors import ConvergenceError, InvalidInput
from gnnspin.core.spins import random_spins, torque
from gnnspin.electrons.equilibrium import EquilibriumSource
from gnnspin.learning.config import LearnConfig
from gnnspin.systems import SpinSystem

#: Solvers that are tried, from those that are cheapest on large systems on; all are measured.
CANDIDATES: tuple[dict[str, Any], ...] = (
    {"kind": "pole_expansion", "tolerance": 1e-1},
    {"kind": "pole_expansion", "tolerance": 1e-2},
    {"kind": "pole_expansion", "tolerance": 1e-3},
    {"kind": "pole_expansion", "tolerance": 1e-5},
    {"kind": "kernel_polynomial", "n_moments": 512},
    {"kind": "exact_diagonalization"},
)

#: Labels may be wrong by this share of the error that is asked for.
SHARE_OF_TARGET = 0.1

#: Sites up to which diagonalisation and dense expansions are tried.
_DENSE = 400

_REFERENCE: dict[str, Any] = {"kind": "pole_expansion", "tolerance": 1e-8}


@dataclass(frozen=True)
class MeasuredSolver:
    """A solver with its cost and its torque error.

    Attributes
    ----------
    settings : dict
        Kind and settings, without the ensemble.
    seconds : float
        Processor time of a field of all sites.
    error : float
        Root-mean-square error of its torque over the torque, on random spins; of a family the largest of those in the
        middle and in the corners of the ranges.
    """

    settings: dict[str, Any]
    seconds: float
    error: float

    def __str__(self) -> str:
        values = ", ".join(f"{name} {value}" for name, value in self.settings.items() if name != "kind")
        name = str(self.settings["kind"]).replace("_", " ") + (f" ({values})" if values else "")
        return f"{name}: {self.seconds:.3g} s per field, torque error {100 * self.error:.2g} %"


def choose_solver(config: LearnConfig, system: SpinSystem, target: float) -> tuple[MeasuredSolver, ...]:
    """Solvers of the electrons of `config`, measured on random spins of `system`; the first is to be taken.

    It is the cheapest whose torque error is at most a tenth of `target`; the others follow.

    Raises
    ------
    InvalidInput
        If no solver works: its own error is told.
    """
    spins = random_spins(system.n_sites, seed=config.seed)
    wanted = [config.solver] if config.solver is not None else list(_tried(config, system))
    members = [config.at(point) for point in config.points(0)]
    references = [_reference_torque(member, system, spins) for member in members]
    found: list[MeasuredSolver] = []
    failure: Exception | None = None
    for settings in wanted:
        try:
            sources = [exact_source(member, settings, system) for member in members]
            seconds, first = _timed(sources[0], spins)
            torques = [first, *(source.torque(spins) for source in sources[1:])]
        except (InvalidInput, ConvergenceError) as error:
            failure = error
            continue
        worst = max(_relative_error(given, exact) for given, exact in zip(torques, references, strict=True))
        found.append(MeasuredSolver(dict(settings), seconds, worst))
    if not found:
        raise InvalidInput(f"no exact solver works for these electrons: {failure}") from failure
    good = [each for each in found if each.error <= SHARE_OF_TARGET * target]
    best = min(good, key=lambda each: each.seconds) if good else min(found, key=lambda each: each.error)
    return (best, *(each for each in found if each is not best))


def _tried(config: LearnConfig, system: SpinSystem) -> list[dict[str, Any]]:
    fits = [each for each in CANDIDATES if system.n_sites <= _DENSE or each["kind"] == "pole_expansion"]
    return [each for each in fits if config.kT > 0 or each["kind"] == "exact_diagonalization"] or [CANDIDATES[-1]]


def _reference_torque(config: LearnConfig, system: SpinSystem, spins: Tensor) -> Tensor:
    dense = system.n_sites <= _DENSE or config.kT == 0
    settings = CANDIDATES[-1] if dense else _REFERENCE
    return torque(spins, exact_source(config, settings, system).field(spins))


def exact_source(config: LearnConfig, settings: Mapping[str, Any], system: SpinSystem) -> EquilibriumSource:
    """The exact solver, of some kind and settings, of the electrons of `config` on a system."""
    source: EquilibriumSource = config.recipe(settings).build(hamiltonian=config.hamiltonian.build(system))
    return source


def _relative_error(given: Tensor, exact: Tensor) -> float:
    return float((given - exact).square().mean().sqrt() / exact.square().mean().sqrt())


def _timed(source: EquilibriumSource, spins: Tensor) -> tuple[float, Tensor]:
    """Processor time of the faster of two fields, as the first prepares geometry, and torques."""
    seconds = []
    for _ in range(2):
        start = time.process_time()
        field = source.field(spins)
        seconds.append(time.process_time() - start)
        if seconds[0] > 5:
            break
    return min(seconds), torque(spins, field).to(torch.float64)


def as_record(solvers: tuple[MeasuredSolver, ...]) -> list[dict[str, Any]]:
    """JSON-able record."""
    return [asdict(each) for each in solvers]
