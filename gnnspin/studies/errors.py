"""Torque errors of a learned force field on the states that its own run visits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from gnnspin.core.source import FieldSource
from gnnspin.core.spins import normalize
from gnnspin.runs import Progress, interruptible, read_json, write_json
from gnnspin.systems import SpinSystem
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
        Sites of the state, all of which were solved.
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
    times: Sequence[float],
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
    times : sequence of float
    path : Path
        JSON file of what is done; frames in it are not solved again.
    progress : bool
        Show a progress bar.
    """
    frames = sorted({int(np.abs(run.times - time).argmin()) for time in times})
    done = {int(key): OwnErrors(**value) for key, value in read_json(path).items()} if path.exists() else {}
    missing = [frame for frame in frames if frame not in done]
    solver = exact(run.system) if missing else learned
    with interruptible() as stop, Progress("exact torques", len(frames), done=len(done), show=progress) as bar:
        for frame in missing:
            spins = normalize(torch.as_tensor(run[frame], dtype=torch.float64))
            spins = spins.reshape(-1, run.system.n_sites, 3)[0]
            torque = solver.torque(spins)
            error = learned.torque(spins) - torque
            rms, rmse = (float(each.square().mean().sqrt()) for each in (torque, error))
            done[frame] = OwnErrors(float(run.times[frame]), rms, rmse, run.system.n_sites)
            write_json(path, {str(key): asdict(value) for key, value in sorted(done.items())})
            bar.advance()
            stop.raise_if_requested()
    return [done[frame] for frame in frames]
