"""States to be labelled: those a round begins with, those worth learning, those that test it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnspin.datasets.labels import LabelSet
from gnnspin.force_fields.files import load
from gnnspin.labels.plan import derived_seed
from gnnspin.learning.context import Context, Round, Where
from gnnspin.learning.places import Drive, States
from gnnspin.learning.selection import Judge, chosen_states
from gnnspin.learning.visits import STRETCHES, Visits, visited
from gnnspin.systems import SpinSystem

#: Initial states and states under the exact solver, of each run at each point, at least.
FEWEST_FIRST = 4

#: Labels of one part that the distances to known states are measured from, at most.
_KNOWN = 400


def first_states(context: Context, this: Round, count: int) -> list[States]:
    """Initial states, and states along runs under the exact solver as far as the time of the labels allows."""
    found: list[States] = []
    drives = context.drives(0)
    share = max(FEWEST_FIRST, count // len(drives))
    for j, drive in enumerate(drives):
        path = this.folder / f"exact_{j}.npz"
        if not path.exists():
            _driven_by_exact(context, drive, j, share).write(path)
        visits = Visits.read(path)
        parts, initial = drive.place.split(visits.spins), drive.place.split(_initial(context, drive, j, share))
        own = max(1, share // len(parts))
        for p, config in enumerate(drive.place.configs):
            along = _spread(len(visits.times) - 1, own // 2) + 1
            spins = np.concatenate([parts[p][along, 0], initial[p][: own - len(along)]])
            times = np.concatenate([visits.times[along], np.zeros(own - len(along))])
            found.append(States(config, spins, times, drive.point))
    return found


def _driven_by_exact(context: Context, drive: Drive, j: int, count: int) -> Visits:
    run, dt, system = context.config.runs[drive.run], context.setup.steps[drive.run], drive.place.system
    sites = [part.n_sites for part in system.parts]
    per_field = context.setup.solvers[0].seconds * sum(sites) / context.places(0)[0].system.parts[0].n_sites
    n_steps = max(8, int(count * context.label_seconds() / context.workers / (2 * per_field)))
    seed = derived_seed(context.config.seed, 0, j)
    return visited(
        run, system, context.exact(system, drive.point), dt, replicas=1, seed=seed, until=n_steps * dt,
        progress=context.progress,
    )  # fmt: skip


def _initial(context: Context, drive: Drive, j: int, count: int) -> NDArray[np.float32]:
    """Initial spins (count, N, 3) of a run, of other seeds than its replicas have."""
    start, system = context.config.runs[drive.run].initial, drive.place.system
    changes = {"replicas": count, "seed": derived_seed(context.config.seed, 5, j)}
    spins = start.model_copy(update=changes).build(system, torch.float32)
    return spins.reshape(count, system.n_sites, 3).numpy()


def _spread(available: int, wanted: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, available - 1, min(available, wanted)).round().astype(np.int64))


@dataclass(frozen=True)
class _Candidates:
    """States of one part of a run's system that may be labelled."""

    drive: Drive
    part: int
    spins: Tensor
    times: NDArray[np.float64]

    @property
    def system(self) -> SpinSystem:
        return self.drive.place.system.parts[self.part]


def worthy_states(context: Context, last: Round, count: int) -> list[States]:
    """States that the runs of the last round visited, without those that test it: the most worth knowing, or any."""
    candidates = _candidates(context, last)
    hidden_units = load(last.model, candidates[0].system).model.hidden_units
    seed = derived_seed(context.config.seed, 3, last.number)
    if context.config.selection == "random" or not hidden_units:
        pairs = _any_of(candidates, count, seed)
    else:
        pairs = _judged(context, last, candidates, count, seed)
    found = []
    for k, each in enumerate(candidates):
        own = [index for part, index in pairs if part == k]
        config = each.drive.place.configs[each.part]
        found.append(States(config, each.spins[own].float().numpy(), each.times[own], each.drive.point))
    return found


def _candidates(context: Context, last: Round) -> list[_Candidates]:
    tested, found = set(last.tested_states() or ()), []
    for j, drive in enumerate(context.drives(last.number)):
        visits = Visits.read(last.visits(j))
        for p, spins in enumerate(drive.place.split(visits.spins)):
            free = [(t, r) for t in range(spins.shape[0]) for r in range(spins.shape[1])]
            free = [(t, r) for t, r in free if (j, p, t, r) not in tested]
            own = torch.from_numpy(np.stack([spins[t, r] for t, r in free])).double()
            found.append(_Candidates(drive, p, own, visits.times[[t for t, _ in free]]))
    return found


def _any_of(candidates: list[_Candidates], count: int, seed: int) -> list[tuple[int, int]]:
    rng, pairs = np.random.default_rng(seed), []
    for k, each in enumerate(candidates):
        share = count // len(candidates) + (k < count % len(candidates))
        pairs += [(k, int(index)) for index in rng.permutation(len(each.spins))[:share]]
    return pairs


def _judged(
    context: Context, last: Round, candidates: list[_Candidates], count: int, seed: int
) -> list[tuple[int, int]]:
    labels, judges, known = context.labels(last.number + 1), [], []
    for each in candidates:
        own = _spins_of(labels, each.system)
        fitted = own if len(own) else each.spins[:8]
        judges.append(Judge(context.field(last.model, each.system, each.drive.point), fitted, seed))
        known.append(own)
    return chosen_states(judges, [each.spins for each in candidates], known, count)


def _spins_of(labels: LabelSet, system: SpinSystem) -> Tensor:
    """Spins (M, N, 3) of the latest labels of a system, at any point of a family; none where it has none."""
    indices = labels.by_system().get(system)
    if indices is None:
        return torch.zeros(0, system.n_sites, 3, dtype=torch.float64)
    return labels.stacked(indices[-_KNOWN:]).spins


def tested_states(context: Context, this: Round, count: int) -> list[States]:
    """Visited states drawn at random, as many from each stretch of time at each point, never to be trained on."""
    drives = context.drives(this.number)
    if this.tested_states() is None:
        this.remember(_drawn(context, this, drives, count))
    drawn, found = this.tested_states() or [], []
    for j, drive in enumerate(drives):
        visits = Visits.read(this.visits(j))
        for p, spins in enumerate(drive.place.split(visits.spins)):
            own = [(t, r) for of, part, t, r in drawn if (of, part) == (j, p)]
            taken = np.stack([spins[t, r] for t, r in own]) if own else spins[:0, 0]
            found.append(States(drive.place.configs[p], taken, visits.times[[t for t, _ in own]], drive.point))
    return found


def _drawn(context: Context, this: Round, drives: list[Drive], count: int) -> list[Where]:
    rng, drawn = np.random.default_rng(derived_seed(context.config.seed, 2, this.number)), []
    share = max(1, count // (STRETCHES * len(drives)))
    for j, drive in enumerate(drives):
        visits = Visits.read(this.visits(j))
        replicas = range(visits.spins.shape[1])
        for stretch in range(STRETCHES):
            times = [t for t in range(1, len(visits.times)) if visits.stretch(t) == stretch]
            all_of = [(j, p, t, r) for p in range(len(drive.place.configs)) for t in times for r in replicas]
            drawn += [all_of[k] for k in rng.permutation(len(all_of))[:share]]
    return sorted(drawn)
