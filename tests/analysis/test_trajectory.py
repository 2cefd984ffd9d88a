"""Observables over stored runs: the values of the functions, chunks, replicas, resuming, growth laws and files."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import yaml
from pydantic import ValidationError

import gnnspin as gs
from gnnspin.analysis import analyze_trajectory, trajectory, write_analysis
from gnnspin.cli import main
from gnnspin.core import InvalidInput, StoreError, random_spins
from gnnspin.trajectories import Trajectory

SYSTEM = gs.systems.triangular(6, 6)
SOURCE = gs.classical.Heisenberg(SYSTEM, (-1.0,))
OBSERVABLES = [
    "magnetization",
    {"kind": "correlation_length", "peak": "K", "name": "length"},
    "energy_per_site",
    {"kind": "structure_factor", "name": "map"},
]
CONFIG = {
    "observables": OBSERVABLES,
    "waiting_times": [0.0, 1.05],
    "growth": {"length": {"laws": ["power", "linear"], "window": [0.5, 4.0], "n_bootstrap": 20}},
}


def simulate(path: Path, n_steps: int = 40, *, system: Any = SYSTEM, replicas: tuple[int, ...] = (3,)) -> None:
    source = SOURCE if system is SYSTEM else gs.classical.Heisenberg(system, (-1.0,))
    start = random_spins(system.n_sites, replicas=replicas, seed=0)
    options: dict[str, Any] = {"dt": 0.1, "damping": 0.3, "kT": 0.01, "save_every": 2, "save_dtype": "float64"}
    gs.dynamics.simulate(source, start, n_steps=n_steps, trajectory=path, observers=OBSERVABLES[:3], **options)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of 21 frames of three replicas, analysed in chunks of four."""
    monkeypatch.setattr(trajectory, "_CHUNK_NUMBERS", 4 * 3 * 36 * 3)
    simulate(tmp_path / "run.h5")
    return tmp_path / "run.h5"


def test_values_are_those_of_the_functions_and_of_the_observers_of_the_run(run: Path) -> None:
    found = analyze_trajectory(run, CONFIG)
    with Trajectory(run) as stored:
        spins = torch.from_numpy(stored[:])
        seen = stored.observables
        assert found.steps.tolist() == stored.steps.tolist()
    assert found.sample_shape == (3,)
    peak = gs.observables.high_symmetry_points(SYSTEM)["K"]
    structure = gs.observables.structure_factor(SYSTEM, spins)
    lengths = gs.observables.correlation_length(SYSTEM, structure, peak).numpy()
    np.testing.assert_allclose(found.values["length"], lengths, rtol=1e-12)
    np.testing.assert_allclose(found.values["map"], structure.numpy(), atol=1e-12)
    np.testing.assert_allclose(found.mean("length"), lengths.mean(1), rtol=1e-12)
    np.testing.assert_allclose(found.error("length"), lengths.std(1, ddof=1) / np.sqrt(3), rtol=1e-10)
    for name in ("magnetization", "length", "energy_per_site"):
        np.testing.assert_allclose(found.values[name], seen[name][::2], atol=1e-12)
    correlations = found.values["two_time_correlation"]
    assert found.waiting_times == pytest.approx((0.0, 1.0))
    expected = gs.observables.two_time_correlation(spins[:, None], torch.stack([spins[0], spins[5]])).numpy()
    np.testing.assert_allclose(correlations[5:], np.moveaxis(expected, 1, -1)[5:], atol=1e-12)
    assert np.isnan(correlations[:5, :, 1]).all()
    np.testing.assert_allclose(correlations[[0, 5], :, [0, 1]], 1)
    fit = found.growth["length"].fits["power"]
    alone = gs.observables.fit_growth(found.times[3:], lengths[3:].T, "power", n_bootstrap=20)
    assert fit.window == pytest.approx((0.6, 4.0))
    assert alone.amplitude.value == pytest.approx(fit.amplitude.value)


def test_files_hold_what_was_found(run: Path, tmp_path: Path) -> None:
    found = analyze_trajectory(run, CONFIG, tmp_path / "out")
    written = write_analysis(found, tmp_path / "out")
    assert all(path.stat().st_size > 100 for path in written)
    names = {path.name for path in written}
    assert names >= {"length.png", "two_time_correlation.png", "magnetization.png", "growth.json"}
    assert "map.png" not in names
    with (tmp_path / "out" / "observables.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 21
    assert [float(row["length_error"]) for row in rows] == found.error("length").tolist()
    assert float(rows[-1]["two_time_correlation[t_w=1]"]) == found.mean("two_time_correlation")[-1, 1]
    assert float(rows[3]["magnetization[2]"]) == found.mean("magnetization")[3, 2]
    with h5py.File(tmp_path / "out" / "observables.h5") as file:
        assert (file["values/map"][...] == found.values["map"]).all()
        assert (file["error/map"][...] == found.error("map")).all()
    law = json.loads((tmp_path / "out" / "growth.json").read_text())["length"]["laws"]["power"]
    assert law["exponent"]["value"] == found.growth["length"].fits["power"].exponent.value  # type: ignore[union-attr]
    assert law["resampling"] == "replicas"


def test_an_interrupted_analysis_and_a_continued_run_measure_only_what_is_missing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = analyze_trajectory(run, CONFIG)
    measured: list[int] = []
    plain = trajectory._Work.chunk

    def chunk(self: Any, numbers: Any) -> Any:
        if len(measured) == 2:
            raise KeyboardInterrupt
        measured.append(int(numbers[0]))
        return plain(self, numbers)

    monkeypatch.setattr(trajectory._Work, "chunk", chunk)
    with pytest.raises(KeyboardInterrupt):
        analyze_trajectory(run, CONFIG, tmp_path / "out")
    with pytest.raises(StoreError, match="resume"):
        analyze_trajectory(run, CONFIG, tmp_path / "out")
    with pytest.raises(StoreError, match="every=2"):
        analyze_trajectory(run, CONFIG | {"every": 2}, tmp_path / "out", resume=True)
    monkeypatch.setattr(
        trajectory._Work, "chunk", lambda self, numbers: measured.append(int(numbers[0])) or plain(self, numbers)
    )
    resumed = analyze_trajectory(run, CONFIG | {"growth": {}}, tmp_path / "out", resume=True)
    assert measured == [0, 4, 8, 12, 16, 20]
    for name, values in whole.values.items():
        np.testing.assert_array_equal(resumed.values[name], values)
    gs.dynamics.resume(run, n_steps=10, observers=OBSERVABLES[:3])
    longer = analyze_trajectory(run, CONFIG, tmp_path / "out", resume=True)
    assert measured[6:] == [20, 24]
    assert len(longer.times) == 26
    assert sorted(path.name for path in (tmp_path / "out" / "frames").iterdir())[-2:] == [
        "00000020-00000023.npz",
        "00000024-00000025.npz",
    ]
    simulate(tmp_path / "other.h5", replicas=(2,))
    with pytest.raises(StoreError, match="run="):
        analyze_trajectory(tmp_path / "other.h5", CONFIG, tmp_path / "out", resume=True)


def test_windows_of_frames_and_one_replica(tmp_path: Path) -> None:
    simulate(tmp_path / "run.h5", replicas=())
    config = {"observables": ["scalar_chirality"], "waiting_times": [2.0], "times": (1.0, 3.0), "every": 3}
    found = analyze_trajectory(tmp_path / "run.h5", config)
    np.testing.assert_allclose(found.times, [1.2, 1.8, 2.4, 3.0])
    assert found.values["scalar_chirality"].shape == (4,)
    assert np.isnan(found.error("scalar_chirality")).all()
    assert np.isnan(found.mean("two_time_correlation")[:, 0]).tolist() == [True, True, False, False]
    write_analysis(found, tmp_path / "out")
    assert "scalar_chirality" in str(found)


def test_parts_of_a_union_are_samples(tmp_path: Path) -> None:
    packings = [gs.systems.amorphous(n_sites=n, box=3.0, min_distance=0.5, seed=n) for n in (20, 25)]
    system = gs.systems.union(packings)
    source = gs.classical.Zeeman(system, B=[0, 0, 0.5])
    gs.dynamics.simulate(
        source, random_spins(45, replicas=(2,), seed=0), dt=0.1, n_steps=4, damping=0.3, trajectory=tmp_path / "r.h5"
    )
    observables = [
        {"kind": "pair_correlation_length", "bin_width": 0.3, "max_distance": 1.5},
        "edwards_anderson_overlap",
    ]
    found = analyze_trajectory(tmp_path / "r.h5", {"observables": observables, "waiting_times": [0.0]})
    assert found.sample_shape == (2, 2)
    assert {values.shape[:3] for values in found.values.values()} == {(5, 2, 2)}
    with Trajectory(tmp_path / "r.h5") as stored:
        spins = gs.core.normalize(torch.from_numpy(stored[4].astype(np.float64)))
    pairs = gs.observables.pair_correlation(packings[1], spins[:, 20:], 0.3, 1.5)
    expected = gs.observables.pair_correlation_length(pairs).numpy()
    np.testing.assert_allclose(found.values["pair_correlation_length"][4, :, 1], expected, rtol=1e-10)


def test_a_length_of_the_mean_profile_and_its_jackknife_error(tmp_path: Path) -> None:
    """Xi of the mean C(r) over packings and replicas; of uncorrelated spins it falls short of the mean of xi's own."""
    packings = [gs.systems.amorphous(n_sites=30, box=4.0, min_distance=0.5, seed=n) for n in range(5)]
    source = gs.classical.Zeeman(gs.systems.union(packings), B=[0, 0, 0.5])
    start = random_spins(150, replicas=(3,), seed=0)
    gs.dynamics.simulate(source, start, dt=0.1, n_steps=2, damping=0.3, trajectory=tmp_path / "r.h5", save_every=2)
    bins = {"bin_width": 0.3, "max_distance": 1.8}  # every packing has pairs in all bins but the first
    config = {
        "observables": [{"kind": "pair_correlation_length", **bins}, {"kind": "pair_correlation", **bins}],
        "averaged_first": ["pair_correlation_length"],
    }
    found = analyze_trajectory(tmp_path / "r.h5", config)
    correlation = found.independent("pair_correlation")
    assert correlation.shape[:2] == (2, 5)
    np.testing.assert_allclose(correlation, found.values["pair_correlation"].mean(1), rtol=1e-12)
    pairs = gs.observables.pair_correlation(gs.systems.union(packings), start, **bins)
    np.testing.assert_allclose(found.abscissae["pair_correlation"], pairs.distance)

    def length(means: Any) -> Any:
        weights = np.abs(means[..., 1:])
        return (weights * pairs.distance.numpy()[1:]).sum(-1) / weights.sum(-1)

    np.testing.assert_allclose(found.mean("pair_correlation_length"), length(correlation.mean(1)), rtol=1e-12)
    without = np.stack([length(np.delete(correlation, k, 1).mean(1)) for k in range(5)])
    expected = np.sqrt(4 / 5 * np.square(without - without.mean(0)).sum(0))
    np.testing.assert_allclose(found.error("pair_correlation_length"), expected, rtol=1e-10)


def test_replicas_of_one_packing_are_no_independent_samples() -> None:
    """Where packings differ and replicas do not, more replicas must not shrink the error."""
    of_packings = np.array([1.0, 2.0, 4.0])
    errors = []
    for replicas in (1, 50):
        values = {"length": np.broadcast_to(of_packings, (1, replicas, 3))}
        found = gs.analysis.TrajectoryAnalysis(np.arange(1), np.arange(1.0), values, (replicas, 3), n_parts=3)
        errors.append(found.error("length")[0])
    assert errors == pytest.approx([of_packings.std(ddof=1) / np.sqrt(3)] * 2)


def test_the_command_line_writes_and_resumes(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "o.yaml").write_text(yaml.safe_dump(CONFIG | {"figures": False}))
    command = ["gnnspin", "analyze", "trajectory", str(run), "--config", str(tmp_path / "o.yaml")]
    for extra in ([], ["--resume"]):
        monkeypatch.setattr("sys.argv", [*command, "--output", str(tmp_path / "out"), *extra])
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code in (0, None)
    assert "growth of length" in capsys.readouterr().out
    assert (tmp_path / "out" / "observables.csv").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"observables": [], "waiting_times": [], "growth": {}}, "give observables or waiting_times"),
        ({"growth": {"lenght": {}}}, "'lenght' is none of"),
        ({"growth": {"map": {}}}, "map has shape"),
        ({"averaged_first": ["magnetization"]}, "'magnetization' is not read off a profile"),
        ({"averaged_first": ["lenght"]}, "averaged_first: 'lenght' is none of"),
        ({"waiting_times": [50.0]}, r"\[50.0\] lie behind the last frame"),
        ({"times": (7.0, 9.0)}, "have times 0 to 4"),
        ({"observables": ["tetrahedral_order", "length"]}, "'length' is unknown"),
    ],
)
def test_what_is_wrong_is_named_before_any_work(run: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises((InvalidInput, ValidationError), match=message):
        analyze_trajectory(run, CONFIG | change)


def test_values_survive_a_law_that_does_not_fit(run: Path, tmp_path: Path) -> None:
    growth = {"energy_per_site": {"laws": ["power"], "window": [0.5, 4.0]}}  # negative
    found = analyze_trajectory(run, {"observables": OBSERVABLES, "growth": growth}, tmp_path / "out")
    assert found.growth == {}
    assert "the value at time 0.6" in found.unfitted["energy_per_site"]
    assert "growth of energy_per_site not fitted: the value" in str(found)
    assert tmp_path / "out" / "observables.csv" in gs.analysis.write_analysis(found, tmp_path / "out", figures=False)


def test_further_windows_have_laws_of_their_own(run: Path, tmp_path: Path) -> None:
    """Early and late exponents are those of fits to these times alone."""
    growth = {
        "length": {"laws": ["power"], "window": [0.5, 4.0], "windows": [[0.5, 2.0], [2.0, 4.0]], "n_bootstrap": 20}
    }
    found = analyze_trajectory(run, CONFIG | {"growth": growth}, tmp_path / "out")
    assert list(found.growth) == ["length", "length, times 0.5 to 2", "length, times 2 to 4"]
    lengths = found.values["length"].T
    for window in ((0.5, 2.0), (2.0, 4.0)):
        alone = gs.observables.fit_growth(found.times, lengths, "power", window, n_bootstrap=20).exponent
        law = found.growth[f"length, times {window[0]:g} to {window[1]:g}"].fits["power"]
        assert alone is not None
        assert law.exponent is not None
        assert law.exponent.value == alone.value
        assert f"times {window[0]:g} to {window[1]:g}" in str(found)
    assert tmp_path / "out" / "growth.json" in gs.analysis.write_analysis(found, tmp_path / "out", figures=False)
    assert "length, times 2 to 4" in json.loads((tmp_path / "out" / "growth.json").read_text())


def test_an_infinite_length_has_no_error_and_no_warning() -> None:
    values = {"length": np.array([[1.0, 2.0], [np.inf, np.inf]])}
    found = gs.analysis.TrajectoryAnalysis(np.arange(2), np.arange(2.0), values, (2,))
    assert found.error("length")[0] == pytest.approx(0.5)
    assert np.isnan(found.error("length")[1])
