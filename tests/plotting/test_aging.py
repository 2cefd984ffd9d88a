"""Figures of two-time correlations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gnnspin as gs
from gnnspin.core import InvalidInput


def test_curves_begin_after_their_waiting_time_and_full_aging_puts_them_on_one(tmp_path: Path) -> None:
    times, waits = np.arange(0.0, 101.0), np.array([0.0, 10.0, 20.0])
    since = times[:, None] - waits
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.where(since >= 0, 1 / (1 + since / waits), np.nan)
    _drawing, (by_time, by_wait) = gs.plotting.aging(times, values, waits, tmp_path / "aging.png", errors=0.1 * values)
    assert (tmp_path / "aging.png").stat().st_size > 0
    assert [len(line.get_xdata()) for line in by_time.lines] == [100, 90, 80]
    assert len(by_wait.lines) == 2
    for line in by_wait.lines:
        x, y = (np.asarray(each) for each in line.get_data())
        np.testing.assert_allclose(y, 1 / (1 + x))
    assert [text.get_text() for text in by_time.get_legend().get_texts()] == ["$t_w$ = 0", "$t_w$ = 10", "$t_w$ = 20"]


def test_shapes_and_times_must_fit() -> None:
    with pytest.raises(InvalidInput, match=r"expected \(T,\), \(W,\) and \(T, W\)"):
        gs.plotting.aging(np.arange(3), np.ones((3, 1)), [0.0, 1.0])
    with pytest.raises(InvalidInput, match="no time follows"):
        gs.plotting.aging(np.arange(3), np.ones((3, 1)), [2.0])


def test_profiles_of_exact_and_learned_runs_are_lines_and_points() -> None:
    exact = np.random.default_rng(0).normal(0.3, 0.1, (2, 5, 4))
    exact[:, :, 0] = np.nan
    _drawing, axes = gs.plotting.exact_against_learned_profile(np.arange(4.0), exact, exact + 0.1, [1.0, 2.0])
    lines = [line for line in axes.lines if len(line.get_xdata()) == 4]
    np.testing.assert_allclose(lines[0].get_ydata()[1:], exact[0].mean(0)[1:])
    with pytest.raises(InvalidInput, match="at most 6 times"):
        gs.plotting.exact_against_learned_profile(np.arange(4.0), exact, exact[:1], [1.0, 2.0])
