"""Studies of textures that move: without learning, with families of models at a run's own parameters, and rivals."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gnnspin as gs
from gnnspin.core import InvalidInput
from gnnspin.studies import Study, read_study, reproduce, study_file
from gnnspin.studies.motions import MotionConfig, movements
from gnnspin.trajectories import Trajectory

MAGNET = {
    "kind": "sum",
    "terms": [
        {"kind": "heisenberg", "J": 1.0},
        {"kind": "dzyaloshinskii_moriya", "D": 0.25},
        {"kind": "uniaxial_anisotropy", "K": 0.02},
        {"kind": "zeeman", "B": [0.0, 0.0, 0.035]},
    ],
}
FILM = {"kind": "square", "shape": [24, 24]}
DRIVEN = {
    "after": "relaxed",
    "source": MAGNET,
    "terms": [{"kind": "zhang_li", "u": [0.2, 0.0, 0.0], "beta": 0.5}],
    "system": FILM,
    "dt": 0.1,
    "n_steps": 100,
    "damping": 0.5,
    "gamma": 0.8,
    "observers": [],
    "save_every": 10,
}
SKYRMION: dict[str, Any] = {
    "title": "skyrmion",
    "question": "does it move?",
    "runs": {
        "relaxed": {
            "source": MAGNET,
            "system": FILM,
            "initial": {"kind": "skyrmion", "rotate": False},
            "dt": 0.1,
            "n_steps": 40,
            "damping": 0.5,
            "observers": [],
            "save_every": 20,
        },
        "drifting": DRIVEN,
    },
    "analyses": {"drifting": {"observables": ["skyrmion_center", "skyrmion_radius"], "figures": False}},
    "motions": {
        "thiele": {
            "observable": "skyrmion_center",
            "parameter": "beta",
            "curves": {"u": {"drifting": 0.5}},
            "window": [2, 10],
        }
    },
    "maps": {"texture": {"run": "drifting", "quantity": "spins", "times": [0, 10]}},
}


def test_a_study_without_learning_moves_a_skyrmion_as_thiele_says(tmp_path: Path) -> None:
    """A run starts where another ended; at beta = alpha every texture moves with the electrons, at u = 0.2 along x."""
    study = Study.model_validate(SKYRMION)
    lines = reproduce(study, tmp_path / "out", progress=False)
    with Trajectory(tmp_path / "out/runs/relaxed.h5") as before, Trajectory(tmp_path / "out/runs/drifting.h5") as run:
        np.testing.assert_allclose(run[0], before.state.spins.numpy().reshape(run[0].shape), atol=1e-6)
    [found] = movements(
        study.motions["thiele"],
        {"drifting": gs.analysis.analyze_trajectory(tmp_path / "out/runs/drifting.h5", ["skyrmion_center"])},
        lambda name: Trajectory(tmp_path / f"out/runs/{name}.h5"),
    )
    assert found.thiele is not None
    assert found.hall_angle is not None
    assert found.thiele.speed == pytest.approx(0.2, rel=1e-9)
    assert found.thiele.hall_angle == pytest.approx(0, abs=1e-9)
    assert found.velocity.value == pytest.approx(0.2, rel=0.06)
    assert found.hall_angle.value == pytest.approx(0, abs=0.04)
    assert found.travel == pytest.approx(8 * found.velocity.value, rel=0.02)
    assert any("of Thiele's equation" in line for line in lines)
    report = (tmp_path / "out/report.md").read_text(encoding="utf-8")
    for text in ("Thiele: angle", "thiele_hall_angle.png", "thiele_paths.png", "| drifting | sum |"):
        assert text in report
    again = reproduce(study, tmp_path / "out", resume=True, progress=False)
    assert [line for line in again if "wall time" not in line] == [line for line in lines if "wall time" not in line]


def _driven() -> dict[str, Any]:
    """The driven wall on a ribbon that takes a second."""
    study = read_study(study_file("driven-wall"), "small").model_dump(mode="json", exclude_unset=True)
    small = {"kind": "square", "shape": [10, 4], "pbc": [False, True]}
    head = {"head": "vectors", "drive": [1, 0, 0]}
    head["hyperparameters"] = {"layers": 1, "channels": 2, "scalars": 2, "hidden": 4, "max_degree": 1}
    points = study["labels"]["family"]["points"][:2]
    for name, seed in (("labels", 1), ("held_out", 2)):
        samplers = [{"kind": "boundary", "count": 2}]
        study[name] |= {"systems": [small], "family": {"points": points}, "samplers": samplers, "seed": seed}
    family = {
        "name": "family",
        "cutoff": 1.5,
        "hyperparameters": dict(study["rivals"]["network"]["model"]["hyperparameters"]),
    }
    family["hyperparameters"]["hyperparameters"] = head
    energy = {**family, "hyperparameters": {**family["hyperparameters"], "hyperparameters": {**head, "head": "energy"}}}
    run = {**study["runs"]["exact_08"], "system": small, "n_steps": 4, "save_every": 1, "dt": 1.0}
    run["initial"] = {"boundary": {"place": 0.6}, "amplitude": 0.1, "seed": 3, "replicas": 2}
    weak = {"parameters": {"voltage.0": 0.1, "voltage.1": -0.1}}
    walls = {"observables": [{"kind": "domain_wall", "order": "bonds"}], "figures": False}
    runs = {
        "exact_08": run,
        "learned_08": {**run, "source": "learned"},
        "learned_02": {**run, **weak, "source": "learned"},
        "energy_08": {**run, "source": "learned", "rival": "energy"},
    }
    curl = {"run": "exact_08", "times": [4], "sites": 4, "exact": {**study["exact"], "tolerance": 1e-8}}
    curves = {"exact": {"exact_08": 0.8}, "learned": {"learned_08": 0.8, "learned_02": 0.2}}
    return {
        **{key: study[key] for key in ("title", "question", "labels", "held_out", "exact")},
        "model": family,
        "training": {"max_epochs": 1, "batch_size": 2},
        "validation": 0.25,
        "rivals": {"energy": {"model": energy, "seeds": [4]}},
        "runs": runs,
        "analyses": dict.fromkeys(runs, walls),
        "errors": {"learned_02": [4]},
        "motions": {"velocity": {"parameter": "voltage", "curves": curves, "reference": "exact"}},
        "curls": {"moving": curl},
    }


@pytest.mark.slow
def test_a_learned_family_is_taken_at_the_voltage_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors are those of the member and of the exact solver at that voltage; rivals drive, differ and have no curl."""
    monkeypatch.setattr("gnnspin.studies.engine.default_workers", lambda: 1)
    study, out = Study.model_validate(_driven()), tmp_path / "out"
    reproduce(study, out, progress=False)
    with Trajectory(out / "runs/learned_02.h5") as run:
        spins = torch.tensor(run[4][0])
        member = gs.load(out / "training/model.safetensors", run.system, at={"voltage.0": 0.1})
        hamiltonian = study.labels.hamiltonian.build(run.system)  # type: ignore[union-attr]
        weak = {**study.exact.arguments(), "voltage": (0.1, -0.1, 0.0)}  # type: ignore[union-attr]
        exact = gs.electrons.DrivenSteadyState(hamiltonian, **weak)
        error = float((member.torque(spins) - exact.torque(spins)).square().mean().sqrt())
    stored = json.loads((out / "errors_learned_02.json").read_text())
    assert stored["4"]["torque_rmse"] == pytest.approx(error, rel=1e-4)
    curls = json.loads((out / "curl_moving.json").read_text())
    assert curls["energy"]["model_share"] < 1e-8
    assert curls["the study's"]["model_share"] > 1e-5
    assert curls["energy"]["exact_share"] == curls["the study's"]["exact_share"] > 0
    with Trajectory(out / "runs/learned_08.h5") as one, Trajectory(out / "runs/energy_08.h5") as other:
        assert np.array_equal(one[0], other[0])
        assert not np.array_equal(one[4], other[4])
    report = (out / "report.md").read_text(encoding="utf-8")
    assert "| energy: 2 seeds |" in report
    assert "learned moves at most" in report
    assert (out / "seeds/4/rivals/energy/model.safetensors").exists()


def test_differences_to_the_reference_are_those_of_replicas() -> None:
    """By hand: replicas that start apart and all move 10 % faster than their partners."""
    times = np.arange(0.0, 11.0)
    own = np.stack([20 - 0.5 * times, 21 - 0.7 * times], 1)
    analysis = gs.analysis.TrajectoryAnalysis

    def made(values: np.ndarray) -> Any:
        return analysis(np.arange(11), times, {"domain_wall": values}, (2,))

    def opened(name: str) -> Any:
        return nullcontext(name)

    curves = {"a": {"one": 1.0}, "b": {"two": 1.0}}
    config = MotionConfig(parameter="V", curves=curves, between=(14.5, 30), reference="a")
    fast = own[:1] + 1.1 * (own - own[:1])
    first, second = movements(config, {"one": made(own), "two": made(fast)}, opened)
    assert first.difference is None
    assert first.window == (0.0, 9.0)
    assert second.window == (0.0, 8.0)
    assert second.difference is not None
    assert second.difference.value == pytest.approx(-0.06)
    assert second.reference == pytest.approx(-0.6)
    short = config.model_copy(update={"between": (19.0, 30)})
    with pytest.raises(InvalidInput, match="hold 3 frames"):
        movements(short, {"one": made(own), "two": made(fast)}, opened)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"held_out": None}, "held_out missing"),
        ({"labels": None, "held_out": None, "model": None}, "rivals, seeds, curls need"),
        ({"runs.exact_08.rival": "energy"}, "rival 'energy' drives a run with source learned"),
        ({"runs.energy_08.rival": "none"}, "rivals: "),
        ({"runs.learned_02.parameters": {"volt": 1.0}}, "there is no parameter 'volt'"),
        ({"runs.learned_02.after": "energy_08"}, "must stand before it"),
        ({"runs.learned_02.after": "nothing"}, "runs.after: 'nothing' is none of the runs"),
        ({"motions.velocity.reference": "nothing"}, "reference 'nothing'"),
        ({"motions.velocity.observable": "width"}, "analyses.exact_08 lacks width"),
    ],
)
def test_what_does_not_fit_together_is_named(changes: dict[str, Any], message: str) -> None:
    values = _driven()
    for path, value in changes.items():
        *outer, last = path.split(".")
        place = values
        for key in outer:
            place[key] = dict(place[key])
            place = place[key]
        place[last] = value
    with pytest.raises(ValueError, match=message):
        Study.model_validate(values)
