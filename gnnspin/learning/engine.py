"""`learn`: rounds of simulate, choose, label and train, until a force field is right where its runs go."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

from gnnspin.core.errors import InvalidInput
from gnnspin.datasets import LabelStore
from gnnspin.datasets.joined import JoinedLabels
from gnnspin.force_fields.calibration import FEWEST_SPINS
from gnnspin.force_fields.files import load, save
from gnnspin.force_fields.last_layer import has_uncertain_weights
from gnnspin.force_fields.uncertainty import Coverage, calibrate, coverage
from gnnspin.labels import default_workers
from gnnspin.learning.config import LearnConfig, TrajectoryTarget
from gnnspin.learning.context import MODEL, Context, Round
from gnnspin.learning.full_size import FullSize, full_size_errors
from gnnspin.learning.ladder import FIELDS_PER_STEP, field_seconds, first_solved, untrained
from gnnspin.learning.report import Learned, write_report
from gnnspin.learning.rounds import (
    Costs,
    RoundPlan,
    RoundResult,
    Stop,
    best_of,
    fewest_of_round,
    next_rung,
    number_of_rounds,
    share_of_round,
    stagnates,
)
from gnnspin.learning.setup import Setup, fastest, measured, time_step, torque_target
from gnnspin.learning.stages import found_errors, make_labels, make_runs, make_tests, train_model
from gnnspin.learning.states import FEWEST_FIRST
from gnnspin.learning.visits import STRETCHES
from gnnspin.runs import Stages, read_json, run_folder, write_json

#: Share of the time that is kept for error bars and runs at full size, and below which no further round begins.
_RESERVE, _NO_ROUND = 0.12, 0.1

#: Shares of the time that error bars, and each run at full size, may take.
_ERROR_BARS, _FULL_SIZE = 0.04, 0.05

#: Seconds of a label besides its solution.
_STORING = 0.01


def learn(config: LearnConfig, output: str | Path, *, resume: bool = False, progress: bool = True) -> Learned:
    """Learn a force field of a Hamiltonian for given runs, by itself.

    First the cheapest exact solver that is good enough, the reach of the torque, the size of the labels' systems, a
    ladder of models and the time steps are found by measurement. Then follow rounds, each of about twice the time of
    the one before: states that the runs visited under the model of the last round (under the exact solver at first) are
    chosen, solved exactly, and trained on; the runs are made with the new model; some of the states that they visit,
    drawn at random and never trained on, are solved exactly and tell its errors, early, middle and late. A larger model
    is taken where the errors on what it was trained on are too large as well. It ends when the target is reached, the
    budget is spent, or nothing improves any more, and says which.

    With a `family` one model is learned for ranges of parameters: every round drives the runs at points of its own.

    Labels are solved by one process per core where Dask is installed: in a script, call this below
    ``if __name__ == "__main__":``.

    Parameters
    ----------
    config : LearnConfig
    output : path
        Folder of everything: ``model.safetensors`` with error bars, ``report.md`` with figures, and the rounds.
    resume : bool
        Go on in `output`, with the same configuration; the budget may be another one.
    progress : bool
        Show progress bars.

    Returns
    -------
    Learned

    Raises
    ------
    InvalidInput
        If no exact solver works for the Hamiltonian, or the budget is too small for a round; says what one would take.
    StoreError
        If `output` is not empty and `resume` is not set, or holds another learning.
    KeyboardInterrupt
        On Ctrl-C; what was computed is kept.
    """
    _require_labels(config)
    folder = Path(output)
    with run_folder(folder / "learn.json", config, resume=resume, kind="learning"):
        return _Learning(config, folder, progress).run()


def _require_labels(config: LearnConfig) -> None:
    """InvalidInput where the labels do not suffice for the first round of a family, at all of its points."""
    driven = len(config.runs) * len(config.points(0))
    needed = driven * (FEWEST_FIRST + STRETCHES)
    if config.family is not None and config.budget.labels < needed:
        raise InvalidInput(
            f"budget.labels={config.budget.labels} is too small: the first round drives every run in the middle and at "
            f"the {len(config.points(0)) - 1} corners of the family; give {needed} or more"
        )


class _Learning:
    """Rounds until there is a reason to stop."""

    def __init__(self, config: LearnConfig, folder: Path, progress: bool) -> None:
        self.config = config
        self.stages = Stages(folder / "stages.json", show=progress)
        self.target = torque_target(config)
        self.results: list[RoundResult] = []
        self.context = Context(config, self._setup(folder), folder, config.workers or default_workers(), progress)

    def _setup(self, folder: Path) -> Setup:
        path = folder / "setup.json"
        if not path.exists():
            write_json(
                path, self.stages.timed("measure solvers, reach and models", lambda: measured(self.config)).record()
            )
        return Setup.restored(read_json(path))

    @property
    def seconds_left(self) -> float:
        """Time of the budget that is left for rounds."""
        return 60 * self.config.budget.minutes * (1 - _RESERVE) - sum(self.stages.seconds.values())

    @property
    def _n_driven(self) -> int:
        """Runs that the next round drives: those that are meant, of a family at every point."""
        return len(self.config.runs) * len(self.config.points(len(self.results)))

    def run(self) -> Learned:
        """Everything."""
        for line in self.context.setup.lines():
            self.stages.say(line)
        while self.context.round(len(self.results)).result.exists():
            self.results.append(RoundResult.restored(read_json(self.context.round(len(self.results)).result)))
        stop = self._reason_to_stop() if self.results else None
        while stop is None:
            self.results.append(self._round(self.context.round(len(self.results))))
            self.stages.say(f"round {len(self.results) - 1}: {self.results[-1]}")
            stop = self._reason_to_stop()
        best = best_of(self.results)
        if self.config.family is not None and stop == "target":
            best = len(self.results) - 1
        learned = self._finished(best, stop)
        write_report(learned, self.context.folder, self.stages)
        return learned

    def _finished(self, best: int, stop: Stop) -> Learned:
        """The best model with error bars and time steps, made now unless an earlier process has."""
        path, rounds = self.context.folder / "finished.json", len(self.results)
        if not path.exists() or read_json(path)["rounds"] != rounds:
            held = self.stages.timed("error bars", lambda: self._with_error_bars(best))
            seconds = _FULL_SIZE * 60 * self.config.budget.minutes
            full = self.stages.timed("runs at full size", lambda: full_size_errors(self.context, best, seconds))
            found = {"coverage": None if held is None else asdict(held), "full_size": asdict(full)}
            write_json(path, {"rounds": rounds, **found, "time_steps": self._time_steps()})
        known = read_json(path)
        return Learned(
            self.config,
            self.context.setup,
            tuple(self.results),
            best,
            stop,
            None if known["coverage"] is None else Coverage.restored(known["coverage"]),
            FullSize.restored(known["full_size"]),
            tuple(known["time_steps"]),
        )

    def _reason_to_stop(self) -> Stop | None:
        last, budget = self.results[-1], self.config.budget
        labels_left = budget.labels - last.n_labels
        reached = last.worst <= self.target
        if isinstance(self.config.target, TrajectoryTarget):
            reached = last.angle is not None and last.angle <= self.config.target.angle
        if reached:
            return "target"
        if self.seconds_left < _NO_ROUND * 60 * budget.minutes or labels_left < fewest_of_round(self._n_driven):
            return "budget"
        beyond = first_solved(self.context.setup.rungs)
        further = beyond is not None and all(each.plan.rung < beyond for each in self.results)
        top = last.plan.rung == len(self.context.setup.rungs) - 1 or last.limit == "data"
        return "stagnation" if top and not further and stagnates(self.results) else None

    def _round(self, this: Round) -> RoundResult:
        plan = self._plan(this)
        work: dict[str, Callable[[Context, Round, RoundPlan], None]] = {
            "labels": make_labels,
            "training": train_model,
            "runs": make_runs,
            "tests": make_tests,
        }
        for name, do in work.items():
            self.stages.timed(f"round {this.number}: {name}", lambda do=do: do(self.context, this, plan))  # type: ignore[misc]
        before = self.results[-1] if self.results else None
        found = self.stages.timed(
            f"round {this.number}: errors", lambda: found_errors(self.context, this, plan, before)
        )
        result = replace(found, seconds=sum(self.stages.seconds.values()))
        write_json(this.result, result.record())
        return result

    def _plan(self, this: Round) -> RoundPlan:
        if this.plan.exists():
            return RoundPlan(**read_json(this.plan))
        last = self.results[-1] if self.results else None
        known, made = (last.n_known, last.n_labels) if last else (0, 0)
        rounds_left = max(1, number_of_rounds(60 * self.config.budget.minutes) - this.number)
        seconds = self.seconds_left * share_of_round(rounds_left)
        labels_left = min(self.config.budget.labels - made, math.ceil(2 * self.config.budget.labels / 2**rounds_left))
        lowest = last.plan.rung if last else self._first_rung
        rung = self._next_rung(rounds_left) if last else lowest
        while True:
            costs = self._costs(rung)
            further = last is not None and rung == last.plan.rung
            limit = last.limit if last else None
            plan = RoundPlan.within(
                seconds, costs, known, labels_left, rung=rung, further=further, n_runs=self._n_driven, limit=limit
            )
            expected = plan.seconds(costs, known)
            if rung <= lowest or expected <= max(1.5 * seconds, self.seconds_left):
                break
            rung -= 1
        if last is None and expected > self.seconds_left:
            minutes = math.ceil((4 * expected + sum(self.stages.seconds.values())) / 60)
            raise InvalidInput(
                f"budget.minutes={self.config.budget.minutes:g} is too small: after the choices the first round takes "
                f"about {expected / 60:.2g} minutes, {costs.label:.2g} s per label; give {minutes} or more"
            )
        this.folder.mkdir(exist_ok=True)
        write_json(this.plan, asdict(plan))
        return plan

    @property
    def _first_rung(self) -> int:
        """The smallest model; one without a limit of range where no other can reach the target on random spins."""
        setup = self.context.setup
        beyond = first_solved(setup.rungs)
        return beyond if beyond is not None and setup.reach.floors[-1] > self.target else 0

    def _next_rung(self, rounds_left: int) -> int:
        rungs = self.context.setup.rungs
        return next_rung(self.results, self.target, len(rungs), first_solved(rungs), rounds_left)

    def _costs(self, rung: int) -> Costs:
        """Costs with the model of a rung: of measured fields, and of the last training where it was the same model."""
        context, (model, field) = self.context, self.context.setup.rungs[rung]
        run_seconds = 0.0
        for place, run, dt in zip(context.places(0), self.config.runs, context.setup.steps, strict=True):
            seconds = field_seconds(untrained(model, place.system, self.config.middle))
            run_seconds += 2 * seconds * run.duration / dt / len(place.configs)
        run_seconds *= len(self.config.points(len(self.results)))
        step = FIELDS_PER_STEP * field
        if self.results and self.results[-1].plan.rung == rung:
            step = read_json(context.round(len(self.results) - 1).trained)["seconds_per_label"] or step
        return Costs(context.label_seconds() / context.workers + _STORING, step, run_seconds)

    def _with_error_bars(self, best: int) -> Coverage | None:
        """Save the best model, with error bars from all tests but half of the last ones, on which they are tested."""
        stores = [LabelStore(self.context.round(k).tests) for k in range(len(self.results))]
        force_field = load(self.context.round(best).model, stores[best].systems[0])
        held, newest = None, stores[-1]
        kept = JoinedLabels([*stores[:-1], newest.subset(range(0, len(newest), 2))])
        spins = sum(len(indices) * system.n_sites for system, indices in kept.by_system().items())
        if has_uncertain_weights(force_field.model) and spins >= FEWEST_SPINS:
            n_sites = self._sites_for_error_bars(self.results[best].plan.rung)
            calibrate(force_field, kept, seed=self.config.seed, n_sites=n_sites)
            held = coverage(force_field, newest.subset(range(1, len(newest), 2)))
        force_field.provenance["learning"] = {
            "configuration": self.config.model_dump(mode="json"),
            "rounds": [each.record() for each in self.results[: best + 1]],
        }
        save(force_field, self.context.folder / MODEL)
        return held

    def _sites_for_error_bars(self, rung: int) -> int:
        """Sites whose posterior deviation, some fifty backward passes each, fits into its share of the time."""
        seconds = _ERROR_BARS * 60 * self.config.budget.minutes
        per_site = 100 * self.context.setup.rungs[rung][1] / self.context.places(0)[0].system.parts[0].n_sites
        return int(min(60_000, max(3_000, seconds / per_site)))

    def _time_steps(self) -> tuple[float, ...]:
        """Recommended time step of each run under the learned force field; of a family under its fastest member."""
        model, steps = self.context.folder / MODEL, []
        for place, run in zip(self.context.places(0), self.config.runs, strict=True):
            members = [self.context.field(model, place.system.parts[0], point) for point in self.config.points(0)]
            steps.append(time_step(run, fastest(run, members), accuracy=0.01))
        return tuple(steps)
