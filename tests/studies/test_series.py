"""An observable of several runs against a parameter: means of what was measured, in a table and a figure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gnnspin.analysis.trajectory import TrajectoryAnalysis
from gnnspin.studies import Study, read_study, study_file
from gnnspin.studies.series import draw_series, series_points
from gnnspin.studies.study import Series


def analysis(values: list[list[float]]) -> TrajectoryAnalysis:
    """Frames at the times 0, 10 and 20 of as many replicas as there are columns."""
    array = np.array(values)
    return TrajectoryAnalysis(np.arange(3), np.array([0.0, 10.0, 20.0]), {"charge": array}, (array.shape[1],))


ANALYSES = {
    "low": analysis([[9.0, 9.0], [1.0, 3.0], [2.0, 4.0]]),
    "high": analysis([[9.0, 9.0], [0.0, 0.0], [1.0, 1.0]]),
    "alone": analysis([[9.0], [5.0], [7.0]]),
}


def test_points_are_means_over_frames_and_replicas(tmp_path: Path) -> None:
    """By hand: replicas with the means 1.5 and 3.5 have the mean 2.5 and its standard error 1; one replica has none."""
    series = Series(
        parameter="field", curves={"many": {"high": 0.2, "low": 0.1}, "one": {"alone": 0.1}}, observables=("charge",),
        times=(10, 20),
    )  # fmt: skip
    low, high, alone = series_points(series, ANALYSES)
    assert (low.run, low.parameter, low.mean, low.error, low.n_samples) == ("low", 0.1, 2.5, 1.0, 2)
    assert (high.curve, high.mean, high.error) == ("many", 0.5, 0.0)
    assert alone.mean == 6
    assert np.isnan(alone.error)
    last = series_points(series.model_copy(update={"times": None}), ANALYSES)
    assert [point.mean for point in last] == [3, 1, 7]
    [figure] = draw_series(series, last, tmp_path, "diagram")
    assert figure.name == "diagram_charge.png"
    assert figure.stat().st_size > 1000


def test_runs_and_observables_of_a_series_must_be_known() -> None:
    values = read_study(study_file("120-degree")).model_dump()
    curve = {"exact": {"exact_12": 0.0}}
    for curves, observables, message in (
        ({"exact": {"exact_13": 0.0}}, ["neighbor_correlation"], "series: 'exact_13' is none of the runs"),
        (curve, ["magnetization"], r"series.new: analyses.exact_12 lacks magnetization"),
        (curve, [], "at least 1"),
    ):
        new = {"parameter": "field", "curves": curves, "observables": observables}
        with pytest.raises(ValueError, match=message):
            Study.model_validate(values | {"series": {"new": new}})
