"""Files of an analysis of a trajectory: a table, all values, fitted laws and figures."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from gnnspin.analysis.trajectory_result import TWO_TIMES, TrajectoryAnalysis
from gnnspin.core.version import __version__
from gnnspin.observables.growth import LAWS, GrowthComparison, inside_window
from gnnspin.plotting.aging import aging
from gnnspin.plotting.curves import against_time, correlation_against_distance
from gnnspin.runs import replaced, write_json, write_text

#: Largest number of components of an observable that the table and the figures show.
_SHOWN = 12

#: Number of times at which a profile is drawn.
_PROFILES = 5

FORMAT, FORMAT_VERSION = "gnnspin trajectory analysis", 1


def write_analysis(found: TrajectoryAnalysis, folder: str | Path, *, figures: bool = True) -> list[Path]:
    """Write an analysis to a folder, every file in one step.

    Parameters
    ----------
    found : TrajectoryAnalysis
    folder : path
        ``observables.csv``: mean and standard error of observables with few components, one row per frame.
        ``observables.h5``: all values of all replicas, means and errors. ``growth.json``: fitted laws, if there are
        any. ``NAME.png``: each observable of the table against time, with a band of one standard error; correlations
        with waiting times as `gnnspin.plotting.aging` draws them; profiles against distance at a few times.
    figures : bool
        Whether to draw the figures.

    Returns
    -------
    list of Path
        The files.
    """
    folder = Path(folder)
    written = [folder / "observables.csv", folder / "observables.h5"]
    write_text(written[0], _table(found))
    with replaced(written[1]) as temporary:
        _write_values(found, temporary)
    if found.growth:
        written.append(folder / "growth.json")
        write_json(written[-1], {name: _laws(each) for name, each in found.growth.items()})
    if figures:
        written += _drawn(found, folder)
    return written


def _tabled(found: TrajectoryAnalysis) -> dict[str, list[str]]:
    """Labels of the components of each observable that has few of them."""
    few = [name for name in found.values if int(np.prod(found.independent(name).shape[2:])) <= _SHOWN]
    return {name: list(found.components(name)) for name in few}


def _table(found: TrajectoryAnalysis) -> str:
    columns: dict[str, Any] = {"step": found.steps, "time": found.times}
    for name, labels in _tabled(found).items():
        means, errors = (each.reshape(len(found.times), -1).T for each in (found.mean(name), found.error(name)))
        for label, mean, error in zip(labels, means, errors, strict=True):
            columns |= {label: mean, f"{label}_error": error}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
    return text.getvalue()


def _write_values(found: TrajectoryAnalysis, path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": FORMAT, "format_version": FORMAT_VERSION, "gnnspin_version": __version__})
        file["step"], file["time"], file["waiting_times"] = found.steps, found.times, np.array(found.waiting_times)
        for name, values in found.values.items():
            file[f"values/{name}"] = values
            file[f"mean/{name}"], file[f"error/{name}"] = found.mean(name), found.error(name)
        file.attrs["growth"] = json.dumps({name: _laws(each) for name, each in found.growth.items()})


def _laws(comparison: GrowthComparison) -> dict[str, Any]:
    laws = {
        name: {"formula": LAWS[name].formula, **asdict(fit), "support": comparison.support[name]}
        for name, fit in comparison.fits.items()
    }
    return {"preferred": comparison.preferred, "laws": laws}


def _drawn(found: TrajectoryAnalysis, folder: Path) -> list[Path]:
    """Draw every observable that can be, and return the files."""
    written = []
    for name in found.abscissae:
        written.append(folder / f"{name}.png")
        _draw_profile(found, name, written[-1])
    for name in _tabled(found) if len(found.times) > 1 else {}:
        if name in found.abscissae:
            continue
        written.append(folder / f"{name}.png")
        if name == TWO_TIMES and (found.times[-1] > np.array(found.waiting_times)).any():
            aging(found.times, found.mean(name), found.waiting_times, written[-1], errors=found.error(name))
        else:
            _draw(found, name, written[-1])
    return written


def _draw_profile(found: TrajectoryAnalysis, name: str, path: Path) -> None:
    """A profile at a few frames, which are spaced evenly on a logarithmic scale."""
    frames = np.unique(np.geomspace(1, len(found.times), _PROFILES).round().astype(int)) - 1
    samples = found.independent(name)[frames]
    ylabel = name.replace("_", " ")
    correlation_against_distance(found.abscissae[name], samples, path, times=found.times[frames], ylabel=ylabel)


def _draw(found: TrajectoryAnalysis, name: str, path: Path) -> None:
    labels = [label.removeprefix(name).strip("[]").replace("=", " = ") for label in _tabled(found)[name]]
    means, errors = (each.reshape(len(found.times), -1).T for each in (found.mean(name), found.error(name)))
    comparison = found.growth.get(name)
    laws = {}
    for law, fit in comparison.fits.items() if comparison else ():
        inside = found.times[inside_window(found.times, fit.window)]
        exponent = "" if fit.exponent is None else f", $n$ = {fit.exponent.value:.3g} $\\pm$ {fit.exponent.error:.1g}"
        laws[f"{law.replace('_', ' ')}{exponent}"] = (inside, fit.curve(inside))
    against_time(
        found.times,
        means,
        path,
        errors=errors,
        labels=labels if len(labels) > 1 else None,
        laws=laws,
        ylabel=name.replace("_", " "),
        scale="log" if laws else "linear",
    )
