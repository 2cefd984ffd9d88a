"""The report of a learning: errors by round and by time, figures, and how to go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gnnspin.datasets.conditions import point_text, range_text
from gnnspin.force_fields.uncertainty import Coverage
from gnnspin.learning.config import LearnConfig, TrajectoryTarget
from gnnspin.learning.context import MODEL
from gnnspin.learning.full_size import FullSize
from gnnspin.learning.rounds import RoundResult, Stop, StretchError
from gnnspin.learning.setup import Setup
from gnnspin.plotting.learning import errors_by_round
from gnnspin.runs import Stages, write_json, write_text
from gnnspin.training.evaluate import PartErrors

_STOPS = {
    "target": "the target was reached",
    "budget": "the budget was spent",
    "stagnation": "two rounds in a row improved nothing",
}

_LIMITS = {
    "data": "the labels: the model is better on what it was trained on; more time and labels help",
    "training": "the training: it was too short to tell more; more time helps",
    "capacity": "the model, or its training: errors are as large on what it was trained on",
    "locality": "the reach of the model: spins farther away move the torque as much; give a ladder that sees farther",
}


@dataclass(frozen=True)
class Learned:
    """Result of `learn`.

    Attributes
    ----------
    config : LearnConfig
    setup : Setup
        What was measured and chosen before the first round.
    rounds : tuple of RoundResult
    best : int
        Number of the round whose model was kept: that of the smallest worst error on the states of its own runs, or, of
        a family, on the same ones (`gnnspin.learning.rounds.comparable_errors`); the last where the target was reached.
    stop : str
        Why it ended: "target", "budget" or "stagnation".
    coverage : Coverage or None
        Of the model's error bars on tests that they were not made from; None where a model can have none.
    full_size : FullSize
        Errors on intended systems that are larger than those of the labels.
    time_steps : tuple of float
        Recommended time step of each run in 1/(gamma t), for 0.01 radians per radian turned.
    """

    config: LearnConfig
    setup: Setup
    rounds: tuple[RoundResult, ...]
    best: int
    stop: Stop
    coverage: Coverage | None
    full_size: FullSize
    time_steps: tuple[float, ...]

    def lines(self) -> list[str]:
        """The headline figures."""
        best = self.rounds[self.best]
        target = self.config.target
        asked = f"{target.angle:g} rad" if isinstance(target, TrajectoryTarget) else f"{100 * target:g} %"
        lines = [
            f"stopped because {_STOPS[self.stop]} (asked for: {asked})",
            f"torque error on visited states {100 * best.error:.1f} %, at worst {100 * best.worst:.1f} % "
            f"(round {self.best})",
        ]
        if self.config.family is not None and (found := best.worst_point) is not None:
            lines.append(
                f"a family, {range_text(self.config.family)}: at worst {100 * found.relative:.1f} % at {found.name}"
            )
        if self.stop != "target":
            lines.append(f"limited by {_LIMITS[best.limit]}")
        if self.coverage is not None:
            lines.append(str(self.coverage))
        if self.full_size.errors:
            worst = max(each.relative for each in self.full_size.errors)
            point = self.config.central_point(self.best)
            where = f" at {point_text(point)}" if point else ""
            lines.append(
                f"at full size{where}, three states of each run or windows of them: at worst {100 * worst:.1f} %"
            )
        lines += [f"not made at full size: {each}" for each in self.full_size.left_out]
        steps = ", ".join(f"{each:g}" for each in self.time_steps)
        return [*lines, f"recommended time step: {steps} / (gamma t)"]

    def __str__(self) -> str:
        return "\n".join(self.lines())


def write_report(learned: Learned, folder: Path, stages: Stages) -> None:
    """Write ``report.md``, ``report.json`` and the figure ``learning.png``."""
    rounds = learned.rounds
    errors_by_round(
        [each.n_known for each in rounds],
        [each.seconds for each in rounds],
        {"on visited states": [each.error for each in rounds], "worst stretch of time": [each.worst for each in rounds],
         "on labels trained on": [each.training_error for each in rounds]},
        folder / "learning.png",
        target=None if isinstance(learned.config.target, TrajectoryTarget) else learned.config.target,
    )  # fmt: skip
    text = [
        "# A learned force field",
        "\n".join(f"- {line}" for line in learned.lines()),
        "## Choices",
        "\n".join(f"- {line}" for line in learned.setup.lines()),
        "## Rounds",
        _table(
            ("round", "model", "labels", "trained on", "visited", "worst", "limit", "minutes"),
            [
                (
                    k,
                    each.plan.rung,
                    each.n_known,
                    _percent(each.training_error),
                    _percent(each.error),
                    _percent(each.worst),
                    each.limit,
                    f"{each.seconds / 60:.1f}",
                )
                for k, each in enumerate(rounds)
            ],
        ),
        "Errors of the torque over the torque, root mean squares per component; *visited*: states that the runs of the "
        "round went through under its own model, drawn at random, solved exactly, never trained on.",
        "## Errors by time",
        _by_time(rounds[learned.best].stretches),
        *(["At full size:", _by_time(learned.full_size.errors)] if learned.full_size.errors else []),
        *_by_point(rounds[learned.best].points),
        "![errors against labels and time](learning.png)",
        f"Wall time {sum(stages.seconds.values()) / 60:.1f} min. The model is `{MODEL}`.",
    ]
    write_text(folder / "report.md", "\n\n".join(text) + "\n")
    write_json(
        folder / "report.json",
        {
            "stop": learned.stop,
            "best": learned.best,
            "rounds": [{**each.record(), "error": each.error, "worst": each.worst} for each in rounds],
            "time_steps": list(learned.time_steps),
        },
    )


def _by_time(errors: Sequence[StretchError]) -> str:
    rows: list[tuple[object, ...]] = []
    for each in errors:
        times = f"{each.first:.3g}" if each.first == each.last else f"{each.first:.3g} to {each.last:.3g}"
        numbers = (f"{each.torque_rms:.4g}", f"{each.torque_rmse:.3g}", _percent(each.relative))
        rows.append((each.run, times, *numbers))
    return _table(("run", "time", "torque", "error", "error over torque"), rows)


def _by_point(errors: Sequence[PartErrors]) -> list[str]:
    """The section on points of a family; nothing where there is none."""
    rows: list[tuple[object, ...]] = [
        (each.name, f"{each.torque_rms:.4g}", f"{each.torque_rmse:.3g}", _percent(each.relative)) for each in errors
    ]
    return ["## Errors by point", _table(("point", "torque", "error", "error over torque"), rows)] if rows else []


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
