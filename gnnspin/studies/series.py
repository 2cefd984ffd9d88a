"""Observables of several runs against a parameter: the table and figure of a phase diagram."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gnnspin.analysis.trajectory_result import TrajectoryAnalysis
from gnnspin.observables.growth import inside_window
from gnnspin.observables.resampling import mean_and_error
from gnnspin.plotting import against_parameter
from gnnspin.studies.study import Series


@dataclass(frozen=True)
class Point:
    """An observable of one run.

    Attributes
    ----------
    curve, run, observable : str
    parameter : float
        Value of the parameter in that run.
    mean, error : float
        Mean over the frames and the independent samples, and the standard error from the samples' spread.
    n_samples : int
        Replicas, or parts of a union.
    """

    curve: str
    run: str
    observable: str
    parameter: float
    mean: float
    error: float
    n_samples: int


def series_points(config: Series, analyses: Mapping[str, TrajectoryAnalysis]) -> list[Point]:
    """Points of all curves and observables; `analyses` by the names of the runs."""
    points = []
    for observable in config.observables:
        for curve, runs in config.curves.items():
            for run, parameter in sorted(runs.items(), key=lambda item: item[1]):
                values = analyses[run].independent(observable)
                chosen = (
                    values[-1:] if config.times is None else values[inside_window(analyses[run].times, config.times)]
                )
                mean, error = mean_and_error(chosen.mean(0)[None])
                points.append(
                    Point(curve, run, observable, parameter, float(mean[0]), float(error[0]), chosen.shape[1])
                )
    return points


def draw_series(config: Series, points: list[Point], folder: Path, name: str) -> list[Path]:
    """Draw every observable into ``NAME_OBSERVABLE.png``; returns the files."""
    written = []
    for observable in config.observables:
        curves: dict[str, list[tuple[float, float, float]]] = {curve: [] for curve in config.curves}
        for point in points:
            if point.observable == observable:
                curves[point.curve].append((point.parameter, point.mean, point.error))
        written.append(folder / f"{name}_{observable}.png")
        against_parameter(curves, written[-1], xlabel=config.parameter, ylabel=observable.replace("_", " "))
    return written
