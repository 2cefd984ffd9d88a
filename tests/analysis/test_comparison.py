"""A comparison repeats nothing, treats all models alike, and its table says what was measured."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial

import pydantic
import pytest
import torch

import gnnspin as gs
from gnnspin.analysis.comparison import ComparisonConfig, compare, front, over_seeds, table
from gnnspin.analysis.comparison_report import latex_table, run_comparison
from gnnspin.analysis.cost import enlarged, field_cost
from gnnspin.analysis.symmetries import symmetry_violations
from gnnspin.core import InvalidInput, StoreError
from gnnspin.labels import GenerateConfig, generate


@pytest.fixture(autouse=True)
def short_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three repetitions of a field, without the start of a process, are enough here."""
    monkeypatch.setattr("gnnspin.analysis.comparison.field_cost", partial(field_cost, seconds=0.0))
    monkeypatch.setattr("gnnspin.analysis.cost.ProcessPoolExecutor", lambda *_, **__: ThreadPoolExecutor(1))


SMALL = {"layers": 1, "channels": 2, "hidden": 4, "max_degree": 2}


@pytest.fixture(scope="module")
def labels(tmp_path_factory):
    path = tmp_path_factory.mktemp("labels") / "labels.h5"
    config = {
        "systems": [{"kind": "square", "shape": [6, 6]}],
        "hamiltonian": {"J": 6.0},
        "solver": {"kT": 0.05, "filling": 0.5},
        "samplers": [{"kind": "random", "count": 20}],
    }
    generate(GenerateConfig.model_validate(config), path, n_workers=1, progress=False)
    return path


def configuration(labels, **changes):
    training = {"max_epochs": 2, "batch_size": 4}
    model = {"name": "spin_cluster_expansion", "cutoff": 1.5, "hyperparameters": SMALL}
    values = {
        "models": {
            "first": {"model": model, "training": training},
            "second": {"model": {**model, "cutoff": 1.0}, "training": training},
        },
        "data": {"small": {"train": str(labels), "test": 0.2, "validation": 0.2, "sizes": [6, 12]}},
    }
    return ComparisonConfig.model_validate({**values, **changes})


def test_nothing_is_computed_twice_and_everything_is_reported(labels, tmp_path, monkeypatch):
    config = configuration(labels)
    rows = compare(config, tmp_path, progress=False)
    assert [(row["model"], row["n_training"]) for row in rows] == [
        ("first", 6), ("second", 6), ("first", 12), ("second", 12),
    ]  # fmt: skip
    for row in rows:
        assert row["violation_spin_rotation"] < 1e-4
        assert row["test_n_snapshots"] == 4
        assert row["microseconds_per_site"] > 0
        force_field = gs.load(tmp_path / "small" / row["model"] / f"{row['n_training']}-seed0" / "model.safetensors",
                              system=gs.systems.square(6, 6))  # fmt: skip
        assert force_field.model.n_parameters == row["parameters"]
    monkeypatch.setattr("gnnspin.analysis.comparison.fit", None)
    text = run_comparison(config, tmp_path, progress=False)
    assert text.count("| small |") == 4
    for name in ("results.csv", "table.md", "table.tex", "small_cost.png", "small_learning.png"):
        assert (tmp_path / name).stat().st_size > 0
    for path in tmp_path.rglob("run.json"):  # left by a version that knew fewer options
        settings = json.loads(path.read_text())
        del settings["competitor"]["training"]["compiled"]
        path.write_text(json.dumps(settings))
    assert run_comparison(config, tmp_path, progress=False) == text
    changed = configuration(labels).model_dump(mode="json")
    changed["models"]["first"]["training"]["max_epochs"] = 3
    with pytest.raises(StoreError, match="another run of first"):
        compare(ComparisonConfig.model_validate(changed), tmp_path, progress=False)


def test_bad_requests_are_named_before_any_training(labels, tmp_path):
    config = configuration(labels)
    with pytest.raises(InvalidInput, match="'third' is no model"):
        run_comparison(config, tmp_path, models=["third"])
    for only in ({"small": ["third"]}, {"large": ["first"]}):
        with pytest.raises(pydantic.ValidationError, match=r"third|large"):
            configuration(labels, only=only)
    with pytest.raises(pydantic.ValidationError, match="is trained on"):
        configuration(labels, data={"small": {"train": str(labels), "test": str(labels)}})
    misspelt = configuration(labels).model_dump(mode="json")
    misspelt["models"]["second"]["model"]["hyperparameters"] = {"chanels": 2}
    with pytest.raises(InvalidInput, match="chanels"):
        compare(ComparisonConfig.model_validate(misspelt), tmp_path / "none", progress=False)
    too_many = configuration(labels, data={"small": {"train": str(labels), "sizes": [100]}})
    with pytest.raises(InvalidInput, match="100 training labels asked for"):
        compare(too_many, tmp_path / "none", progress=False)
    assert not (tmp_path / "none").exists()


def test_front_keeps_what_nothing_beats_in_both():
    rows = [
        {"model": name, "test_torque_rmse": error, "microseconds_per_site": cost}
        for name, error, cost in (("a", 1.0, 1.0), ("b", 2.0, 0.5), ("c", 2.0, 2.0), ("d", 0.5, 9.0))
    ]
    assert [row["model"] for row in front(rows)] == ["a", "b", "d"]


def test_seeds_are_summed_up_in_one_row():
    """Mean error with its spread, the worst symmetry, the cost least disturbed; other sizes and models stay apart."""
    keys = ("seed", "test_torque_rmse", "microseconds_per_site", "violation_translation")
    runs = [
        {
            "data": "d",
            "model": "m",
            "n_training": 9,
            "compiled_microseconds_per_site": None,
            **dict(zip(keys, run, strict=True)),
        }
        for run in ((0, 1.0, 5.0, 1e-6), (1, 3.0, 4.0, 1e-5))
    ]
    other = {**runs[0], "n_training": 4}
    both, single = over_seeds([*runs, other])
    assert both["seeds"] == 2
    assert both["test_torque_rmse"] == 2.0
    assert both["test_torque_rmse_spread"] == pytest.approx(2**0.5)
    assert (both["microseconds_per_site"], both["violation_translation"]) == (4.0, 1e-5)
    assert both["compiled_microseconds_per_site"] is None
    assert (single["seeds"], single["test_torque_rmse_spread"]) == (1, None)


def test_violations_tell_a_broken_symmetry():
    """An exchange field has all symmetries; an anisotropy breaks spin rotation alone; a field breaks time reversal."""
    system = gs.systems.square(5, 5)
    exchange = gs.classical.Heisenberg(system, 1.0)
    assert max(symmetry_violations(exchange).values()) < 1e-10
    anisotropic = symmetry_violations(exchange + gs.classical.UniaxialAnisotropy(system, 0.5))
    assert anisotropic.pop("spin_rotation") > 0.1
    assert max(anisotropic.values()) < 1e-10
    magnetic = symmetry_violations(exchange + gs.classical.Zeeman(system, (0, 0, 1.0)))
    assert magnetic["time_reversal"] > 0.1
    assert magnetic["point_group"] < 1e-10


def test_a_finished_run_is_plain_json(labels, tmp_path):
    config = configuration(labels, only={"small": ["second"]})
    [row, _] = compare(config, tmp_path, progress=False)
    assert json.loads(json.dumps(row)) == row


def test_equal_steps_and_sizes_of_one_model(labels):
    """Six labels are seen twice as often as twelve; a model with sizes of its own meets no others."""
    config = configuration(labels, equal_steps=True)
    assert {run.size: config.training(run).max_epochs for run in config.runs()} == {6: 4, 12: 2}
    values = configuration(labels).model_dump(mode="json")
    values["models"]["second"]["sizes"] = [12]
    runs = ComparisonConfig.model_validate(values).runs()
    assert [(run.model, run.size) for run in runs] == [("first", 6), ("first", 12), ("second", 12)]


@pytest.mark.slow
def test_a_cost_is_that_of_a_fresh_process(tmp_path, monkeypatch) -> None:
    """Memory does not count what this process holds."""
    monkeypatch.setattr("gnnspin.analysis.cost.ProcessPoolExecutor", ProcessPoolExecutor)
    monkeypatch.setenv("GNNSPIN_NATIVE", "0")
    held = torch.ones(25_000_000)
    system = gs.systems.square(32, 32)
    model = gs.models.build("spin_cluster_expansion", gs.graphs.GraphSpec.for_system(system, 1.1), **SMALL)
    path = gs.save(gs.ForceField(model, system), tmp_path / "model.safetensors")
    cost = field_cost(path, system, seconds=0.0)
    assert (cost.n_sites, cost.n_threads) == (1024, torch.get_num_threads())
    assert cost.microseconds_per_site > 0
    assert 0 < cost.megabytes < held.nbytes / 1e6


def test_costs_are_measured_on_a_system_of_the_documented_size() -> None:
    square = enlarged(gs.systems.square(6, 3))
    assert square == gs.systems.square(48, 48)
    kagome = enlarged(gs.systems.kagome(4, 5, pbc=(True, False)), n_sites=400)
    assert kagome == gs.systems.kagome(28, 5, pbc=(True, False))
    glass = gs.systems.amorphous(20, 3.0, 0.5, seed=0)
    copies = enlarged(glass, n_sites=100)
    assert (copies.n_sites, copies.cell.max()) == (160, 6.0)
    cutoff = 1.2
    once, more = (gs.graphs.radius_graph(system, cutoff).edge_distance for system in (glass, copies))
    assert len(more) == 8 * len(once)
    assert enlarged(gs.systems.square(48, 48)).n_sites == 2304
    open_chain = gs.systems.chain(5, pbc=False)
    assert enlarged(open_chain) is open_chain


def test_cells_of_the_table_say_what_means_nothing() -> None:
    row = {"data": "d", "model": "m", "n_training": 1, "seeds": 1, "test_torque_rmse": 0.1, "test_torque_r2": None}
    text = table([{**row, "test_field_rmse": 1.7, "test_field_trained": False, "by_time": []}])
    assert "| undefined | not trained |" in text
    assert "1.7" not in text


def test_latex_table_of_made_up_results():
    """Spread in the last digit, the front in bold, special characters escaped, no compiled cost."""
    row = {"data": "square_1 & 2", "n_training": 100, "parameters": 12345, "torque_receptive_radius": 4.0}
    common = {"test_torque_r2": 0.98765, "architecture": "x"}
    rows = [
        {**row, **common, "model": "slow", "seed": s, "test_torque_rmse": e, "microseconds_per_site": 30.0}
        for s, e in ((0, 0.00200), (1, 0.00220))
    ] + [
        {**row, **common, "model": "bad_one", "seed": 0, "test_torque_rmse": 0.0040, "microseconds_per_site": 40.0},
        {**row, **common, "model": "fast", "seed": 0, "test_torque_rmse": 0.0300, "microseconds_per_site": 1.5},
    ]
    text = latex_table(rows)
    lines = text.splitlines()
    assert lines[0] == r"\begin{tabular}{lrrrrr}"
    assert lines[-1] == r"\end{tabular}"
    assert r"\multicolumn{6}{l}{\emph{square\_1 \& 2, 100 labels}} \\" in lines
    assert r"\textbf{slow} & 12\,345 & 2.1(1) & 0.988 & 4.00 & 30.0 \\" in lines
    assert r"bad\_one & 12\,345 & 4.00 & 0.988 & 4.00 & 40.0 \\" in lines
    assert r"\textbf{fast} & 12\,345 & 30.0 & 0.988 & 4.00 & 1.50 \\" in lines
    assert text.index("slow") < text.index("bad") < text.index("fast")
    with pytest.raises(InvalidInput, match="no results"):
        latex_table([])
