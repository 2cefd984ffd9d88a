"""Figures of what a run recorded of its own errors: those that its monitor found, those that its error bars expect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gnnspin.plotting.curves import against_time
from gnnspin.trajectories.trajectory import Trajectory

#: Names of the observables, see `gnnspin.dynamics.Monitor` and the observable ``torque_error``.
_FOUND, _EXACT, _EXPECTED = "monitor_error", "monitor_torque", "torque_error"


def draw_run_errors(run: Trajectory, folder: str | Path, name: str = "run_errors") -> list[Path]:
    """Draw torque errors of a run by component against time, and the exact torque.

    Parameters
    ----------
    run : Trajectory
        With a monitor (``monitor_error``) or the observable ``torque_error``, of which root mean squares over the sites
        and replicas are drawn.
    folder : path
    name : str
        Of the file, without its suffix.

    Returns
    -------
    list of Path
        The figure; nothing where the run recorded neither.
    """
    recorded = run.observables
    curves: dict[str, Any] = {}
    if _FOUND in recorded:
        curves |= {"exact torque": recorded[_EXACT], "error found by the monitor": recorded[_FOUND]}
    if _EXPECTED in recorded:
        expected = recorded[_EXPECTED][..., 1].reshape(len(recorded[_EXPECTED]), -1)
        curves["error expected by the model"] = np.sqrt(np.square(expected).mean(1) / 3)
    if not curves or not np.isfinite(np.concatenate(list(curves.values()))).any():
        return []
    path = Path(folder) / f"{name}.png"
    values = np.stack(list(curves.values()))
    against_time(run.observable_times, values, path, labels=list(curves), ylabel="torque by component, rms")
    return [path]
