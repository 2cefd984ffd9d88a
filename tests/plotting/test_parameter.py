"""Observables against a parameter: measured points with bars, lines of a theory beside them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gnnspin.plotting import against_parameter


def test_a_theory_takes_the_colour_of_its_curve_whose_points_are_not_joined(tmp_path: Path) -> None:
    points = {"u = 0.1": [(2.0, 1.0, 0.1), (0.0, 3.0, np.nan)], "u = 0.2": [(0.0, 1.0, 0.1), (1.0, 1.5, 0.1)]}
    lines = {"u = 0.1": [(2.0, 1.1), (0.0, 2.9)], "other": [(0.0, 0.0), (1.0, 1.0)]}
    _, axes = against_parameter(points, tmp_path / "a.png", lines=lines, xlabel="beta", ylabel="angle")
    assert (tmp_path / "a.png").stat().st_size > 1000
    measured, free = (container.lines[0] for container in axes.containers)
    dashed = [line for line in axes.get_lines() if line.get_linestyle() == "--"]
    assert measured.get_linestyle() == "None"
    assert free.get_linestyle() == "-"
    assert dashed[0].get_color() == measured.get_color()
    assert dashed[0].get_xdata().tolist() == [0.0, 2.0]  # in the order of the parameter
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["other", "u = 0.1", "u = 0.2"]
