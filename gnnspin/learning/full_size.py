"""Errors of a learned force field on the intended systems, where they are larger than those of the labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import normalize
from gnnspin.datasets import LabelStore
from gnnspin.dynamics.monitor import Monitor
from gnnspin.dynamics.windows import SolvedWindow, torque_errors
from gnnspin.labels.plan import derived_seed
from gnnspin.learning.context import Context, Round
from gnnspin.learning.exact import exact_source
from gnnspin.learning.ladder import field_seconds
from gnnspin.learning.reach import widths
from gnnspin.learning.rounds import StretchError
from gnnspin.learning.visits import STRETCHES, Visits, visited
from gnnspin.systems import SpinSystem
from gnnspin.systems.config import LatticeConfig
from gnnspin.systems.window import windows

#: Windows of a state, along the diagonal of the lattice.
_WINDOWS = 4

#: Sites up to which a lattice is solved as a whole.
_WHOLE = Monitor.max_sites


@dataclass(frozen=True)
class FullSize:
    """Errors on the intended systems, and what was left out.

    Attributes
    ----------
    errors : list of StretchError
        ``n_labels`` counts what was solved of a state: the whole, or windows.
    left_out : list of str
        Runs that were too long, with what they would take.
    """

    errors: list[StretchError]
    left_out: list[str]

    @classmethod
    def restored(cls, record: dict[str, Any]) -> FullSize:
        """The same from its attributes as JSON holds them."""
        return cls([StretchError(**each) for each in record["errors"]], list(record["left_out"]))


def full_size_errors(context: Context, best: int, seconds: float) -> FullSize:
    """Run what is intended once more at full size, and solve an early, a middle and a late state, or windows of them.

    Lattices of up to `_WHOLE` sites are solved as a whole instead. A window has a seam as wide as the radius of the
    torque that models see, within which nothing is compared. Where the filling is fixed it is solved at the chemical
    potential that the tests of the best round had on average in that stretch of the run: it moves by several hundredths
    while spins order, and what a wrong one does to the torque is not the model's error. Of a family it is done at the
    point of the best round that is nearest to the middle of the ranges.

    Parameters
    ----------
    context : Context
    best : int
        Number of the round whose model was kept.
    seconds : float
        Runs that would take longer are left out.
    """
    found = FullSize([], [])
    for j, (run, labelled) in enumerate(zip(context.config.runs, context.setup.label_systems, strict=True)):
        if run.system == labelled or not isinstance(labelled, LatticeConfig):
            continue
        system, dt, point = run.system.build(), context.setup.steps[j], context.config.central_point(best)
        field = context.field(context.round(best).model, system, point)
        takes = 2 * field_seconds(field) * run.duration / dt
        path = context.round(best).folder / f"full_size_{j}.npz"
        if not path.exists():
            if takes > seconds:
                found.left_out.append(f"run {j} on {system.n_sites} sites would take {takes / 60:.1f} minutes")
                continue
            seed = derived_seed(context.config.seed, 9, j)
            visited(run, system, field, dt, replicas=1, seed=seed, progress=context.progress).write(path)
        visits = Visits.read(path)
        for stretch in range(STRETCHES):
            own = [t for t in range(1, len(visits.times)) if visits.stretch(t) == stretch]
            if not own:
                continue
            try:
                mu = _potential(context, context.round(best), j, stretch)
                solved = _solved(context, system, labelled, point, mu)
            except InvalidInput as error:
                found.left_out.append(f"run {j} was made, its states were not solved: {error}")
                break
            t = own[len(own) // 2]
            spins = normalize(torch.from_numpy(np.array(visits.spins[t, 0], dtype=np.float64)))
            errors = torque_errors(spins, field.torque(spins), solved, float(visits.times[t]))
            time = float(visits.times[t])
            found.errors.append(StretchError(j, time, time, errors.torque_rms, errors.torque_rmse, len(solved)))
    return found


def _solved(
    context: Context, system: SpinSystem, labelled: LatticeConfig, point: Mapping[str, float], mu: float | None
) -> list[SolvedWindow]:
    """The whole lattice with the exact solver, or windows of it; those of fixed filling at the potential `mu`."""
    if system.n_sites <= _WHOLE:
        return [SolvedWindow.of(each, context.exact(each.system, point)) for each in windows(system, None)]
    return _windows_solved(context, system, labelled, point, mu)


def _windows_solved(
    context: Context, system: SpinSystem, labelled: LatticeConfig, point: Mapping[str, float], mu: float | None
) -> list[SolvedWindow]:
    """Windows that are about as large, seam included, as the systems of the labels, with the exact solver."""
    config = context.config.at(point)
    if mu is not None:
        config = config.model_copy(update={"filling": None, "mu": mu})
    settings = context.setup.solvers[0].settings
    cell = min(widths(labelled.build())) / max(labelled.shape)
    buffer = max(2, math.ceil(context.setup.radius / cell))
    edge = max(4, max(labelled.shape) - 2 * buffer)
    parts = windows(system, edge, buffer, _WINDOWS)
    return [SolvedWindow.of(each, exact_source(config, settings, each.system)) for each in parts]


def _potential(context: Context, this: Round, run: int, stretch: int) -> float | None:
    """Mean chemical potential of a round's tests in a stretch of a run, at its central point; None if it is given."""
    if context.config.mu is not None:
        return None
    wanted = (run, context.config.central_point(this.number))
    drive = next(d for d, each in enumerate(context.drives(this.number)) if (each.run, each.point) == wanted)
    visits, drawn = Visits.read(this.visits(drive)), this.tested_states() or []
    tests = LabelStore(this.tests)
    own = [tests[k].mu for k, (d, _, t, _) in enumerate(drawn) if d == drive and visits.stretch(t) == stretch]
    return float(np.mean([mu for mu in own if mu is not None]))
