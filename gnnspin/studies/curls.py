"""Curl of learned fields against that of the exact one, on states of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from gnnspin.analysis.curl import CurlAgreement, FieldCurl, curl_agreement, field_curl
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import normalize
from gnnspin.force_fields.force_field import ForceField
from gnnspin.runs import read_json, write_json
from gnnspin.studies.study import CurlConfig
from gnnspin.trajectories import Trajectory


def curls(
    run: Trajectory,
    config: CurlConfig,
    exact: Callable[[], FieldSource],
    models: Mapping[str, Callable[[], ForceField]],
    path: Path,
) -> dict[str, CurlAgreement]:
    """Agreement of the curl of every model with the exact one.

    Parameters
    ----------
    run : Trajectory
    config : CurlConfig
    exact : callable
        The exact solver on the run's system; called only where something is missing.
    models : mapping
        From the names of models to what loads them on that system.
    path : Path
        JSON file of the derivatives and results; what is in it is not computed again.
    """
    done = read_json(path) if path.exists() else {}
    missing = [name for name in models if name not in done]
    if missing:
        solver = exact()
        spins = _states(run, config.times)
        sites = [_largest(solver.torque(each), config.sites) for each in spins]
        wanted = _derivatives(solver, spins, sites, config.step)
        for name in missing:
            found = _derivatives(models[name]().to(dtype=torch.float64), spins, sites, config.step)
            done[name] = asdict(curl_agreement(found, wanted))
            write_json(path, done)
    return {name: CurlAgreement(**done[name]) for name in models}


def _states(run: Trajectory, times: Sequence[float]) -> list[Tensor]:
    """Spins (N, 3) of the first replica at the frames nearest to some times."""
    frames = sorted({int(np.abs(run.times - time).argmin()) for time in times})
    found = (normalize(torch.as_tensor(run[frame], dtype=torch.float64)) for frame in frames)
    return [each.reshape(-1, run.system.n_sites, 3)[0] for each in found]


def _largest(torques: Tensor, count: int) -> list[int]:
    """Sites of the largest torques, in their order."""
    sites: list[int] = torques.norm(dim=-1).topk(min(count, len(torques))).indices.sort().values.tolist()
    return sites


def _derivatives(source: FieldSource, spins: list[Tensor], sites: list[list[int]], step: float) -> list[FieldCurl]:
    return [field_curl(source, one, chosen, step=step) for one, chosen in zip(spins, sites, strict=True)]
