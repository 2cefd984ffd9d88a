"""The report a study leaves: its figures as numbers, in Markdown."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from gnnspin.runs import write_text
from gnnspin.studies.study import Study
from gnnspin.training import Evaluation
from gnnspin.training.evaluate import r2

T = TypeVar("T")

_FIGURES = {
    "torque.png": "predicted against exact torque on held-out snapshots, and the errors",
    "chirality.png": "vector chirality during the quench",
    "structure_factor.png": "structure factor at the end of the quench",
    "correlation_length.png": "correlation length against time",
}


@dataclass
class Results:
    """Results of a study, from which its report is written.

    Attributes
    ----------
    errors : dict
        Held-out errors: "all", and one entry per kind of snapshot.
    physics : dict
        Figures at the end of the quench, by name.
    seconds : dict
        Wall time of each stage in this run.
    peak_memory : float
        Largest resident memory of one process, workers included, in bytes.
    """

    errors: dict[str, Evaluation] = field(default_factory=dict)
    physics: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    peak_memory: float = 0.0

    def timed(self, stage: str, work: Callable[[], T]) -> T:
        """Do `work` and record its wall time."""
        start = time.perf_counter()
        result = work()
        self.seconds[stage] = time.perf_counter() - start
        return result


def write_report(study: Study, results: Results, directory: Path) -> list[str]:
    """Write ``report.md`` into `directory`; returns the headline figures."""
    overall = results.errors["all"]
    headline = [
        f"held-out torque: {r2(overall.torque_r2)}, RMSE {overall.torque_rmse:.5f} t per component "
        f"(signal {overall.torque_rms:.4f})",
        *(f"{name}: {value:.4g}" for name, value in results.physics.items()),
        f"wall time {sum(results.seconds.values()):.0f} s, peak memory {results.peak_memory / 2**30:.2f} GiB",
    ]
    rows = [
        f"| {kind} | {e.n_snapshots} | {e.torque_rms:.4f} | {e.torque_rmse:.5f} "
        f"| {e.torque_mse_per_spin:.2e} | {_r2(e)} |"
        for kind, e in results.errors.items()
    ]
    text = [
        f"# {study.title}",
        "",
        study.question,
        "",
        *(f"- {line}" for line in headline),
        "",
        "## Errors on held-out snapshots",
        "",
        "Torques per Cartesian component in units of the hopping.",
        "",
        "| snapshots | number | signal | RMSE | mean square per spin | R2 |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        *_by_time(overall),
        "## Time of each stage in the run that wrote this",
        "",
        *(f"- {stage}: {seconds:.1f} s" for stage, seconds in results.seconds.items()),
        "",
        "## Figures",
        "",
        *(f"![{text}]({name})\n" for name, text in _FIGURES.items()),
        "The configuration of everything is in `study.json`.",
        "",
    ]
    write_text(directory / "report.md", "\n".join(text))
    return headline


def _r2(errors: Evaluation) -> str:
    return "undefined" if errors.torque_r2 is None else f"{errors.torque_r2:.5f}"


def _by_time(errors: Evaluation) -> list[str]:
    if len(errors.by_time) < 2:
        return []
    return ["Along the trajectories among them:", "", *(f"- {part}" for part in errors.by_time), ""]
