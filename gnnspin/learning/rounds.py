"""Rounds of a learning: how their time is divided, what they found, and what follows from it."""

from __future__ import annotations

import itertools
import math
import operator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from gnnspin.learning.visits import N_TIMES, STRETCHES
from gnnspin.training.evaluate import PartErrors

#: Shares of a round's time: labels to train on, training, the run, labels to test on; where labels are what is wanting
#: (or nothing is known yet), and where they are not.
_SHARES = {True: (0.25, 0.5, 0.15, 0.1), False: (0.08, 0.75, 0.1, 0.07)}

#: Fewest labels of a round and of its test, most labels of its test; epochs and replicas in all circumstances.
_FEWEST, _FEWEST_TESTS, _MOST_TESTS, _EPOCHS, _REPLICAS = 8, 6, 24, (1, 60), (2, 16)

#: States that a round should offer for each label, of which the next round takes about twice as many.
_CANDIDATES = 6

#: Passes over all labels below which more labels are no use.
_USEFUL_EPOCHS = 3

#: Training error over test error above which not the data limit; share of the target from which it matters.
_CAPACITY, _NEAR_TARGET = 0.75, 0.8

#: Steps of a training below which errors on what was trained on tell of the training, not of the model.
ENOUGH_STEPS = 1500

#: Error over that of the round before, which took half the time, where it is not known, and at the least.
_PACE, _FASTEST_PACE = 0.7, 0.5

#: Improvement from round to round below which nothing moves any more.
_STAGNATION = 0.05

Limit = Literal["data", "training", "capacity", "locality"]
Stop = Literal["target", "budget", "stagnation"]


def fewest_of_round(n_runs: int) -> int:
    """Labels, tests of every stretch of so many driven runs included, without which a round makes no sense."""
    return _FEWEST + STRETCHES * n_runs


def number_of_rounds(seconds: float) -> int:
    """Rounds of a learning, each of twice the time of the one before."""
    return min(6, max(3, round(math.log2(seconds / 60)) + 1))


def share_of_round(rounds_left: int) -> float:
    """Share of the time left that belongs to the next of so many rounds."""
    return 1 / (2**rounds_left - 1)


@dataclass(frozen=True)
class Costs:
    """Measured costs in seconds.

    Attributes
    ----------
    label : float
        Wall time of a label, all workers at work.
    step : float
        A training step on one label.
    run : float
        The driven runs, one replica of each.
    """

    label: float
    step: float
    run: float


@dataclass(frozen=True)
class RoundPlan:
    """Labels, training and runs of one round.

    Attributes
    ----------
    rung : int
        Position of its model in the ladder.
    further : bool
        Trains the model of the round before further, in place of a new one.
    n_labels : int
        New labels to train on.
    epochs : int
    replicas : int
        Of each driven run.
    n_tests : int
    """

    rung: int
    further: bool
    n_labels: int
    epochs: int
    replicas: int
    n_tests: int

    @classmethod
    def within(
        cls,
        seconds: float,
        costs: Costs,
        known: int,
        labels_left: int,
        *,
        rung: int,
        further: bool,
        n_runs: int,
        limit: Limit | None = None,
    ) -> RoundPlan:
        """The plan that takes so many seconds.

        Parameters
        ----------
        seconds : float
            Of the round.
        costs : Costs
        known : int
            Labels to train on that there are already.
        labels_left : int
            Labels that the budget still allows, tests included.
        rung, further : see the attributes
        n_runs : int
            Driven runs, each of which is tested: the intended ones, of a family at every point.
        limit : str, optional
            Cause of the error of the round before; labels get more time if it was the data.
        """
        for_labels, for_training, for_runs, for_tests = _SHARES[limit in (None, "data")]
        wanted_tests = min(_MOST_TESTS, max(_FEWEST_TESTS, int(for_tests * seconds / costs.label)), labels_left // 2)
        tests = STRETCHES * n_runs * max(1, wanted_tests // (STRETCHES * n_runs))
        steps = for_training * seconds / costs.step
        useful = int(steps / _USEFUL_EPOCHS) - known
        labels = min(int(for_labels * seconds / costs.label), max(useful, _FEWEST), labels_left - tests)
        labels = max(labels, _FEWEST)
        epochs = min(_EPOCHS[1], max(_EPOCHS[0], round(steps / (known + labels))))
        affordable, wanted = int(for_runs * seconds / costs.run), math.ceil(_CANDIDATES * labels / (n_runs * N_TIMES))
        replicas = min(_REPLICAS[1], max(_REPLICAS[0], affordable, min(wanted, 2 * affordable)))
        return cls(rung, further, labels, epochs, replicas, tests)

    def seconds(self, costs: Costs, known: int) -> float:
        """Expected wall time."""
        steps = self.epochs * (known + self.n_labels)
        return (self.n_labels + self.n_tests) * costs.label + steps * costs.step + self.replicas * costs.run


@dataclass(frozen=True)
class StretchError:
    """Torque error on test labels of a stretch of the time of a run.

    Attributes
    ----------
    run : int
        Number of the intended run.
    first, last : float
        Times of the earliest and the latest label, in 1/(gamma t).
    torque_rms, torque_rmse : float
        Root mean square per component of the exact torque and of the error.
    n_labels : int
    """

    run: int
    first: float
    last: float
    torque_rms: float
    torque_rmse: float
    n_labels: int

    @property
    def relative(self) -> float:
        """Error over torque."""
        return self.torque_rmse / self.torque_rms if self.torque_rms > 0 else math.inf


@dataclass(frozen=True)
class RoundResult:
    """Errors that a round found.

    Attributes
    ----------
    plan : RoundPlan
    n_known, n_labels : int
        Labels trained on, and exact solutions made so far, tests included.
    n_steps : int
        Steps of the training of its model, in all rounds in which it was trained.
    seconds : float
        Wall time of the whole learning so far.
    training_error : float
        Torque error over torque on labels that were trained on.
    stretches : list of StretchError
        On states that the runs of this round visited, none of which was or will be trained on.
    limit : str
        What limits the error: "data", "training", "capacity" or "locality".
    angle : float or None
        Largest error of a trajectory over the driven runs, where the target is one, in radians.
    points : list of PartErrors
        The errors at each point of a family at which the runs were driven, at all times together; without a family
        none.
    change : float
        Torque error over that of the model of the round before on the same tests, of a family, whose rounds have
        different points; 1 in the first round and without a family.
    """

    plan: RoundPlan
    n_known: int
    n_labels: int
    n_steps: int
    seconds: float
    training_error: float
    stretches: list[StretchError]
    limit: Limit
    angle: float | None = None
    points: list[PartErrors] = field(default_factory=list)
    change: float = 1.0

    @property
    def worst_point(self) -> PartErrors | None:
        """The point of a family with the largest error over torque."""
        return max(self.points, key=lambda each: each.relative, default=None)

    @property
    def error(self) -> float:
        """Torque error over torque on all test labels."""
        weights = [each.n_labels for each in self.stretches]
        squares = [sum(w * s**2 for w, s in zip(weights, values, strict=True)) for values in self._values()]
        return math.sqrt(squares[0] / squares[1]) if squares[1] > 0 else math.inf

    @property
    def worst(self) -> float:
        """Largest error over torque of a stretch, of those whose torque is at least a tenth of the largest."""
        largest = max(each.torque_rms for each in self.stretches)
        return max(each.relative for each in self.stretches if each.torque_rms >= 0.1 * largest)

    def __str__(self) -> str:
        apart = "" if self.angle is None else f", trajectories {self.angle:.2g} rad apart"
        if (point := self.worst_point) is not None:
            apart += f", {100 * point.relative:.1f} % at {point.name}"
        return (
            f"{self.n_known} labels, model {self.plan.rung}: torque error {100 * self.error:.1f} % on visited states, "
            f"at worst {100 * self.worst:.1f} %{apart}; on labels trained on {100 * self.training_error:.1f} %; "
            f"limited by {self.limit}; {self.seconds / 60:.1f} min"
        )

    def _values(self) -> tuple[list[float], list[float]]:
        return [each.torque_rmse for each in self.stretches], [each.torque_rms for each in self.stretches]

    def record(self) -> dict[str, Any]:
        """JSON-able record, from which `restored` makes it again."""
        return asdict(self)

    @classmethod
    def restored(cls, record: dict[str, Any]) -> RoundResult:
        """The inverse of `record`."""
        stretches = [StretchError(**each) for each in record["stretches"]]
        points = [PartErrors(**each) for each in record.get("points", ())]
        return cls(**{**record, "plan": RoundPlan(**record["plan"]), "stretches": stretches, "points": points})


def limit_of(training_error: float, error: float, target: float, floor: float, n_steps: int) -> Limit:
    """Cause of an error: the reach of the model, the model, its training, or the data.

    Parameters
    ----------
    training_error, error : float
        On labels that were trained on, and on visited states that were not; over the torque.
    target : float
    floor : float
        Error over torque that no model of this reach can avoid.
    n_steps : int
        Steps of the training.
    """
    if training_error > _CAPACITY * error and training_error > _NEAR_TARGET * target:
        if n_steps < ENOUGH_STEPS:
            return "training"
        return "locality" if floor > _CAPACITY * training_error else "capacity"
    return "data"


def next_rung(results: list[RoundResult], target: float, n_rungs: int, solved: int | None, rounds_left: int) -> int:
    """The rung of the next round.

    One higher where the model limits, two where it is far from the target. Where the range of the model limits, or its
    rounds will not reach the target at the pace of the last, the first of the models without a limit of range; back
    from these, for good, where they are worse than the best one with a limit.

    Parameters
    ----------
    results : list of RoundResult
        Of all rounds so far, at least one.
    target : float
    n_rungs : int
    solved : int, optional
        Position of the first model without a limit of range.
    rounds_left : int
    """
    last = results[-1]
    rung = last.plan.rung
    limited = [each for each in results if solved is None or each.plan.rung < solved]
    if solved is not None and rung >= solved and limited:
        best = min(limited, key=lambda each: each.worst)
        if best.worst < last.worst:
            return best.plan.rung
    if solved is not None and len(limited) == len(results):
        pace = _PACE
        if len(results) > 1 and results[-2].worst > 0:
            pace = min(max(last.worst / results[-2].worst, _FASTEST_PACE), 1.0)
        if last.limit == "locality" or last.worst * pace**rounds_left > target:
            return solved
    if last.limit in ("data", "training"):
        return rung
    highest = n_rungs - 1
    if solved is not None and rung < solved:
        highest = solved if len(limited) == len(results) else solved - 1
    return min(rung + (2 if last.training_error > 2.5 * target else 1), highest)


def stagnates(results: list[RoundResult]) -> bool:
    """Whether two rounds of the same model in a row have not made the error smaller by a twentieth."""
    if len(results) < 3 or len({each.plan.rung for each in results[-3:]}) > 1:
        return False
    errors = comparable_errors(results[-3:])
    return all(after > (1 - _STAGNATION) * before for before, after in itertools.pairwise(errors))


def best_of(results: list[RoundResult]) -> int:
    """Number of the round whose model has the smallest error, see `comparable_errors`."""
    errors = comparable_errors(results)
    return min(range(len(results)), key=lambda k: errors[k])


def comparable_errors(results: list[RoundResult]) -> list[float]:
    """The worst errors, each on the states of its own runs; of a family by the changes from round to round.

    Rounds of a family are tested at different points, some of which are harder: their errors are that of the first,
    times how much each model was better than the one before on the same tests.
    """
    if not results[-1].points:
        return [each.worst for each in results]
    return list(itertools.accumulate((each.change for each in results[1:]), operator.mul, initial=results[0].worst))
