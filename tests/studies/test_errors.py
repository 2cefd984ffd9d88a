"""Errors on states of a run: in windows they are those of the same sites of the whole lattice."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gnnspin.classical import Heisenberg
from gnnspin.core import random_spins
from gnnspin.dynamics import simulate
from gnnspin.studies import read_study, study_file
from gnnspin.studies.errors import own_errors
from gnnspin.studies.study import OwnErrorsConfig, Study
from gnnspin.systems import triangular
from gnnspin.trajectories import Trajectory


def test_windows_compare_the_torques_of_their_sites(tmp_path: Path) -> None:
    system = triangular(12, 12)
    learned, path = Heisenberg(system, J=0.8), tmp_path / "run.h5"
    simulate(
        learned,
        random_spins(system.n_sites, seed=2),
        damping=0.1,
        dt=0.1,
        n_steps=4,
        trajectory=path,
        save_every=4,
        progress=False,
    )
    window = OwnErrorsConfig(times=(0.4,), window=4, buffer=1, places=2)
    with Trajectory(path) as run:
        found = own_errors(run, learned, lambda part: Heisenberg(part, J=1.0), window, tmp_path / "e.json", False)
        spins = torch.as_tensor(run[len(run) - 1], dtype=torch.float64).reshape(-1, 3)
        spins = spins / spins.norm(dim=1, keepdim=True)
    exact = Heisenberg(system, J=1.0).torque(spins).view(12, 12, 3)
    compared = torch.cat([exact[1:5, 1:5], exact[7:11, 7:11]])
    assert found[0].n_sites == 32
    assert found[0].torque_rms == pytest.approx(float(compared.square().mean().sqrt()), rel=1e-6)
    assert found[0].relative == pytest.approx(0.2, rel=1e-6)  # 0.8 J for J


def test_a_seam_spoils_only_the_buffer(tmp_path: Path) -> None:
    """Without enough buffer the wrong neighbours beyond the seam enter: range 2 needs two cells."""
    system = triangular(10, 10)
    learned, path = Heisenberg(system, J=(1.0, 0.5)), tmp_path / "run.h5"
    start = random_spins(system.n_sites, seed=3)
    simulate(learned, start, damping=0.1, dt=0.1, n_steps=1, trajectory=path, save_every=1, progress=False)
    errors = {}
    with Trajectory(path) as run:
        for buffer in (1, 2):
            config = OwnErrorsConfig(times=(0.0,), window=4, buffer=buffer, places=1)
            file = tmp_path / f"{buffer}.json"
            errors[buffer] = own_errors(run, learned, lambda part: Heisenberg(part, J=(1.0, 0.5)), config, file, False)
    assert errors[1][0].torque_rmse > 0.05
    assert errors[2][0].torque_rmse < 1e-6


def test_windows_need_a_solver_at_fixed_chemical_potential() -> None:
    values = read_study(study_file("120-degree")).model_dump()
    values["errors"] = {"learned_24": {"times": [0.0], "window": 8}}
    with pytest.raises(ValueError, match=r"give exact.mu"):
        Study.model_validate(values)
