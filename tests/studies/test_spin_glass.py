"""The spin-glass study at a size that takes seconds: unions of packings, profiles, two times, rivals, cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import gnnspin as gs
from gnnspin.analysis import TrajectoryAnalysis, write_analysis
from gnnspin.core.yaml_loader import Loader
from gnnspin.runs.stages import Stages
from gnnspin.studies import Study, read_study, reproduce, study_file
from gnnspin.studies.exact_and_learned import agreement
from gnnspin.studies.study import Comparison

PACKINGS = {"kind": "amorphous", "n_sites": 16, "box": 2.7, "min_distance": 0.5}
OBSERVABLES = [
    {"kind": "pair_correlation", "bin_width": 0.2, "max_distance": 1.2},
    {"kind": "pair_correlation_length", "bin_width": 0.2, "max_distance": 1.2},
]
RUNS = ("exact_100", "learned_100", "exact_500", "learned_500", "quench")
TINY: dict[str, Any] = {
    "labels": {"systems": [PACKINGS | {"count": 2}], "samplers": [{"kind": "random", "count": 5}]},
    "held_out": {"systems": [PACKINGS], "samplers": [{"kind": "random", "count": 2}]},
    "training": {"max_epochs": 1},
    "rivals": {"bonds alone": {"training": {"max_epochs": 1}}, "bonds and chiralities": None},
    "runs": {
        name: {
            "system": {"n_sites": 16, "box": 2.7, "count": 2},
            "initial": {"replicas": 1},
            "dt": 2.0,
            "n_steps": 4,
            "save_every": 2,
        }
        for name in RUNS
    },
    "errors": {"learned_100": [8], "quench": None},
    "analyses": {
        **{name: {"observables": OBSERVABLES, "waiting_times": [4]} for name in RUNS},
        "quench": {"observables": OBSERVABLES, "waiting_times": [4], "growth": None, "figures": False},
    },
    "comparisons": {
        "hundred": {"observables": [*(each["kind"] for each in OBSERVABLES), "two_time_correlation"], "times": [4, 8]},
        "five_hundred": None,
    },
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a study that was run."""
    folder = tmp_path_factory.mktemp("glass")
    values = yaml.load(study_file("spin-glass").read_text(encoding="utf-8"), Loader)
    (folder / "mine.yaml").write_text(yaml.safe_dump(values | {"sizes": {"tiny": TINY}}), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gnnspin.studies.engine.default_workers", lambda: 1)
        reproduce(str(folder / "mine.yaml"), folder / "out", progress=False)
    return folder


def test_packings_rivals_and_profiles_are_in_the_report(finished: Path) -> None:
    report = (finished / "out" / "report.md").read_text(encoding="utf-8")
    assert "| bonds alone | 2 |" in report
    assert "| hundred | pair_correlation | 8 |" in report
    assert "| hundred | two_time_correlation[t_w=4] | 8 |" in report
    for figure in ("hundred_pair_correlation.png", "hundred_two_time_correlation_t_w_4.png"):
        assert figure in report
    with gs.trajectories.Trajectory(finished / "out" / "runs" / "quench.h5") as run:
        assert run.system.n_graphs == 2
    rival = gs.load(
        finished / "out" / "rivals" / "bonds alone" / "model.safetensors", gs.systems.amorphous(16, 2.7, 0.5, seed=0)
    )
    assert rival.model.name == "behler_parrinello"


def test_cost_of_a_run_is_its_time_and_memory_per_spin_and_step(finished: Path) -> None:
    stages = json.loads((finished / "out" / "stages.json").read_text())
    report = (finished / "out" / "report.md").read_text(encoding="utf-8")
    row = next(line for line in report.splitlines() if line.startswith("| quench | learned | 32 |"))
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert float(cells[4]) == pytest.approx(1e6 * stages["seconds"]["run quench"] / (32 * 4), abs=0.06)
    assert 0.05 < stages["memory"]["run quench"] / 2**30 < 20
    assert cells[6] == f"{stages['memory']['run quench'] / 2**30:.2f} GiB"


def test_the_memory_of_a_stage_is_its_own(tmp_path: Path) -> None:
    stages = Stages(tmp_path / "stages.json")
    stages.timed("large", lambda: np.ones(40_000_000).sum())  # 320 MB
    stages.timed("small", lambda: None)
    assert stages.memory["large"] > stages.memory["small"] + 2e8
    assert Stages(tmp_path / "stages.json").memory == stages.memory


def test_replicas_of_one_packing_are_one_sample_of_a_comparison() -> None:
    study = read_study(study_file("spin-glass"))
    assert study.runs["exact_100"].n_samples == 10
    values = study.model_dump()
    for name in ("exact_500", "learned_500"):
        values["runs"][name]["system"]["count"] = 1
    with pytest.raises(ValueError, match="two replicas or more"):
        Study.model_validate(values)


class _Still:
    """A run whose spins do not move."""

    times = np.array([0.0, 1.0])

    def __getitem__(self, frame: int) -> Any:
        return np.array([[0.0, 0.0, 1.0]])


def test_profiles_that_differ_by_their_error_have_a_chi_square_of_one() -> None:
    """Two samples each at -+ e about their mean: the standard error is e; means apart by the joint error."""
    e, shift = 0.1, 0.1 * np.sqrt(2)
    about = np.array([-e, e])[None, :, None] * np.ones((2, 1, 3))
    exact, learned = (
        TrajectoryAnalysis(
            np.arange(2),
            _Still.times,
            {"pair_correlation": mean + about},
            (2,),
            abscissae={"pair_correlation": np.arange(3.0)},
        )
        for mean in (0.3, 0.3 + shift)
    )
    comparison = Comparison(exact="a", learned="b", observables=("pair_correlation",), times=(1.0,))
    still: Any = _Still()
    [found] = agreement(comparison, exact, learned, still, still).profiles
    assert (found.n_points, found.time) == (3, 1.0)
    assert found.signal == pytest.approx(0.3)
    assert found.difference == pytest.approx(shift)
    assert found.error == pytest.approx(shift)
    assert found.paired_error == pytest.approx(0.0, abs=1e-15)
    assert found.chi_square == pytest.approx(1.0)


def test_correlations_with_waiting_times_are_drawn_even_where_none_has_passed(tmp_path: Path) -> None:
    values = {"two_time_correlation": np.array([[np.nan], [np.nan], [1.0]])}
    found = TrajectoryAnalysis(np.arange(3), np.arange(3.0), values, (), (2.0,))
    assert tmp_path / "two_time_correlation.png" in write_analysis(found, tmp_path)
