"""The whole loop, on a system that takes seconds: what is kept, what is never trained on, how it goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gnnspin as gs
from gnnspin.core import InvalidInput, StoreError
from gnnspin.datasets import LabelStore
from gnnspin.force_fields import last_layer
from gnnspin.learning import LearnConfig, engine, learn, rounds, stages
from gnnspin.learning.stages import trajectory_angle
from gnnspin.learning.visits import Visits

CONFIG: dict[str, Any] = {
    "hamiltonian": {"J": 4.0},
    "kT": 0.2,
    "mu": -3.0,
    "runs": [
        {"system": {"kind": "square", "shape": [6, 6]}, "duration": 20.0, "damping": 0.2, "kT": 0.05},
        {"system": {"kind": "chain", "shape": [24]}, "duration": 10.0, "terms": [{"kind": "zeeman", "B": [0, 0, 0.1]}]},
    ],
    "solver": {"kind": "exact_diagonalization"},
    "ladder": [
        {
            "name": "spin_cluster_expansion",
            "cutoff": 1.2,
            "hyperparameters": {"layers": 1, "channels": 2, "scalars": 0, "max_degree": 0, "hidden": 4},
        }
    ],
    "target": 0.001,
    "budget": {"minutes": 60, "labels": 40},
    "workers": 1,
}


def configuration(**changes: Any) -> LearnConfig:
    return LearnConfig.model_validate({**CONFIG, **changes})


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A learning that is killed in its first round, and gone on with to its end."""
    folder = tmp_path_factory.mktemp("learning") / "run"

    def killed(*_: Any) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rounds, "_EPOCHS", (2, 2))
        patch.setattr(rounds, "_REPLICAS", (2, 2))
        patch.setattr(last_layer, "_STEPS", 50)
        patch.setattr(engine, "make_tests", killed)
        with pytest.raises(Killed):
            learn(configuration(), folder, progress=False)
        before = (folder / "round_00" / "model.safetensors").read_bytes()
        patch.setattr(engine, "make_tests", stages.make_tests)
        found = learn(configuration(), folder, progress=False, resume=True)
    assert (folder / "round_00" / "model.safetensors").read_bytes() == before
    return folder, found


def test_it_stops_for_a_reason_and_leaves_a_model_with_error_bars_and_a_report(learned: tuple[Path, Any]) -> None:
    folder, found = learned
    assert found.stop == "budget"
    assert found.rounds[-1].n_labels <= CONFIG["budget"]["labels"]
    assert len(found.time_steps) == 2
    model = gs.load(folder / "model.safetensors", gs.systems.square(6, 6))
    torque, radius = model.torque_with_error_bar(gs.core.random_spins(36, seed=0))
    assert radius.shape == torque.shape[:-1]
    report = (folder / "report.md").read_text(encoding="utf-8")
    assert "the budget was spent" in report
    assert f"| {len(found.rounds) - 1} |" in report
    assert (folder / "learning.png").stat().st_size > 1000
    assert json.loads((folder / "report.json").read_text())["stop"] == "budget"


def test_what_tests_is_visited_and_never_trained_on(learned: tuple[Path, Any]) -> None:
    folder, found = learned
    trained, tested = set(), set()
    for k in range(len(found.rounds)):
        here = folder / f"round_{k:02d}"
        states = [Visits.read(here / f"visits_{j}.npz").spins for j in (0, 1)]
        visited = [spins for run in states for spins in run.reshape(-1, *run.shape[-2:])]
        tests = [label.spins.numpy() for label in LabelStore(here / "tests.h5")]
        for spins in tests:
            nearest = min(np.abs(each - spins).max() for each in visited if each.shape == spins.shape)
            assert nearest < 1e-6
        tested |= {spins.tobytes() for spins in tests}
        trained |= {label.spins.numpy().tobytes() for label in LabelStore(here / "labels.h5")}
    assert not trained & tested
    assert {each.run for each in found.rounds[-1].stretches} == {0, 1}


def test_the_errors_it_states_are_those_of_its_models_on_the_tests(learned: tuple[Path, Any]) -> None:
    folder, found = learned
    tests = LabelStore(folder / "round_00" / "tests.h5")
    errors, torques = [], []
    for label in tests:
        exact = gs.electrons.ExactDiagonalization(gs.electrons.SDHamiltonian(label.system, J=4.0), kT=0.2, mu=-3.0)
        model = gs.load(folder / "round_00" / "model.safetensors", label.system)
        torque = exact.torque(label.spins)
        torques.append(float(torque.square().mean()))
        errors.append(float((model.torque(label.spins) - torque).square().mean()))
    assert found.rounds[0].error == pytest.approx((np.mean(errors) / np.mean(torques)) ** 0.5, rel=1e-5)


def test_a_finished_learning_is_told_again_and_another_one_is_refused(learned: tuple[Path, Any]) -> None:
    folder, found = learned
    again = learn(configuration(), folder, progress=False, resume=True)
    assert again.rounds == found.rounds
    with pytest.raises(StoreError, match="resume"):
        learn(configuration(), folder, progress=False)
    with pytest.raises(StoreError, match="kT"):
        learn(configuration(kT=0.3), folder, progress=False, resume=True)


def test_a_budget_that_allows_no_round_is_refused_with_one_that_does(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"budget.minutes=0.0005 is too small.*give \d+ or more"):
        learn(configuration(budget={"minutes": 0.0005}), tmp_path / "run", progress=False)


def test_the_angle_between_trajectories_is_that_of_their_precession() -> None:
    """Two fields along z that differ by d: after a time t spins in the plane are the angle d t apart."""
    config = configuration(runs=[{"system": {"kind": "chain", "shape": [3]}, "duration": 10.0, "damping": 0.0}])
    system = gs.systems.chain(3)
    sources = tuple(gs.classical.Zeeman(system, B=[0.0, 0.0, b]) for b in (1.0, 1.1))
    spins = torch.tensor([[1.0, 0.0, 0.0]] * 3, dtype=torch.float64)
    assert trajectory_angle(config.runs[0], sources, spins, 0.05, 4.0) == pytest.approx(0.4, abs=1e-3)


def test_a_ladder_of_fitted_poles_reaches_its_target_in_a_round(tmp_path: Path) -> None:
    """Labels of a metal on 10x10 sites: two poles are enough for a tenth, and are measured on the runs they drive."""
    poles = {"name": "fitted_poles", "cutoff": 1.0}
    electrons = {"hamiltonian": {"J": 2.0}, "kT": 0.2, "mu": -2.0}
    config = configuration(
        **electrons,
        runs=[{"system": {"kind": "square", "shape": [10, 10]}, "duration": 10.0, "damping": 0.2, "kT": 0.05}],
        ladder=[{**poles, "hyperparameters": {"poles": count, **electrons}} for count in (2, 3)],
        target=0.1,
    )
    found = learn(config, tmp_path / "run", progress=False)
    assert found.stop == "target"
    assert len(found.rounds) == 1
    assert found.rounds[0].worst < 0.1
    assert found.coverage is not None
    model = gs.load(tmp_path / "run" / "model.safetensors", gs.systems.square(10, 10))
    assert model.model.name == "fitted_poles"
    assert (model.torque_with_error_bar(gs.core.random_spins(100, seed=0))[1] > 0).all()
