"""Torque errors of a learned force field on the states that its own run visits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from gnnspin.core.source import FieldSource
from gnnspin.core.spins import normalize
from gnnspin.dynamics.windows import SolvedWindow, torque_errors
from gnnspin.runs import Progress, interruptible, read_json, write_json
from gnnspin.studies.study import OwnErrorsConfig
from gnnspin.systems import SpinSystem
from gnnspin.systems.window import windows
from gnnspin.trajectories import Trajectory


@dataclass(frozen=True)
class OwnErrors:
    """Errors at one time of a run.

    Attributes
    ----------
    time : float
    torque_rms, torque_rmse : float
        Root mean square per component of the exact torque and of the error.
    n_sites : int
        Sites whose torques were compared.
    """

    time: float
    torque_rms: float
    torque_rmse: float
    n_sites: int

    @property
    def relative(self) -> float:
        """Error over torque."""
        return self.torque_rmse / self.torque_rms


def own_errors(
    run: Trajectory,
    learned: FieldSource,
    exact: Callable[[SpinSystem], FieldSource],
    config: OwnErrorsConfig,
    path: Path,
    progress: bool = True,
) -> list[OwnErrors]:
    """Solve the nearest frames of a run exactly, its first replica, and compare torques.

    Parameters
    ----------
    run : Trajectory
    learned : FieldSource
        The force field that drove the run, on its system.
    exact : callable
        From a system to the exact solver.
    config : OwnErrorsConfig
        Times, and the windows to be solved where the whole lattice is too large.
    path : Path
        JSON file of what is done; frames in it are not solved again.
    progress : bool
        Show a progress bar.
    """
    frames = sorted({int(np.abs(run.times - time).argmin()) for time in config.times})
    done = {int(key): OwnErrors(**value) for key, value in read_json(path).items()} if path.exists() else {}
    missing = [frame for frame in frames if frame not in done]
    if not missing:
        return [done[frame] for frame in frames]
    parts = windows(run.system, config.window, config.buffer, config.places)
    solved = [SolvedWindow.of(window, exact(window.system)) for window in parts]
    with interruptible() as stop, Progress("exact torques", len(frames), done=len(done), show=progress) as bar:
        for frame in missing:
            spins = normalize(torch.as_tensor(run[frame], dtype=torch.float64))
            spins = spins.reshape(-1, run.system.n_sites, 3)[0]
            found = torque_errors(spins, learned.torque(spins), solved)
            done[frame] = OwnErrors(float(run.times[frame]), found.torque_rms, found.torque_rmse, found.n_sites)
            write_json(path, {str(key): asdict(value) for key, value in sorted(done.items())})
            bar.advance()
            stop.raise_if_requested()
    return [done[frame] for frame in frames]


def solved_systems(system: SpinSystem, config: OwnErrorsConfig) -> list[SpinSystem]:
    """Systems that are solved exactly for one frame: the whole, or its windows."""
    return [each.system for each in windows(system, config.window, config.buffer, config.places)]
