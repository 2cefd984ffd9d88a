"""Torque errors of a learned force field on the states that its own run visits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gnnspin.core.source import FieldSource
from gnnspin.core.spins import normalize
from gnnspin.runs import Progress, interruptible, read_json, write_json
from gnnspin.studies.study import OwnErrorsConfig
from gnnspin.systems import SpinSystem
from gnnspin.systems.lattice import site_cells
from gnnspin.systems.window import lattice_window
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
    pieces = [(exact(part), sites, inner) for part, sites, inner in _pieces(run.system, config)]
    with interruptible() as stop, Progress("exact torques", len(frames), done=len(done), show=progress) as bar:
        for frame in missing:
            spins = normalize(torch.as_tensor(run[frame], dtype=torch.float64))
            spins = spins.reshape(-1, run.system.n_sites, 3)[0]
            predicted = learned.torque(spins)
            exact_torque = torch.cat([solver.torque(spins[sites])[inner] for solver, sites, inner in pieces])
            error = torch.cat([predicted[sites][inner] for _, sites, inner in pieces]) - exact_torque
            rms, rmse = (float(each.square().mean().sqrt()) for each in (exact_torque, error))
            done[frame] = OwnErrors(float(run.times[frame]), rms, rmse, len(error))
            write_json(path, {str(key): asdict(value) for key, value in sorted(done.items())})
            bar.advance()
            stop.raise_if_requested()
    return [done[frame] for frame in frames]


def solved_systems(system: SpinSystem, config: OwnErrorsConfig) -> list[SpinSystem]:
    """Systems that are solved exactly for one frame: the whole, or its windows."""
    return [part for part, _, _ in _pieces(system, config)]


def _pieces(system: SpinSystem, config: OwnErrorsConfig) -> Iterator[tuple[SpinSystem, Tensor, Tensor]]:
    """The solved lattice or each window, its sites in the whole, and which of them are far from the seam."""
    if config.window is None:
        everything = torch.arange(system.n_sites)
        yield system, everything, everything
        return
    whole = np.array(system.lattice_shape or (1, 1, 1))
    repeated = np.array(system.pbc) & (whole > 1)
    shape = np.where(repeated, np.minimum(config.window + 2 * config.buffer, whole), whole)
    cut = shape < whole
    for k in range(config.places):
        start = np.where(cut, k * whole // config.places, 0)
        part, sites = lattice_window(system, shape.tolist(), start.tolist())
        cells = site_cells(part)
        inner = ((cells >= config.buffer) & (cells < shape - config.buffer) | ~cut).all(1)
        yield part, torch.from_numpy(sites), torch.from_numpy(np.flatnonzero(inner))
