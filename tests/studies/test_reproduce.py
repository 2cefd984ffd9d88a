"""Studies from their Hamiltonian to their report, at a size that takes seconds; the demonstration itself is slow."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

import gnnspin as gs
from gnnspin.core import InvalidInput, StoreError
from gnnspin.core.yaml_loader import Loader
from gnnspin.force_fields.pretrained import pretrained
from gnnspin.studies import SIZES, STUDIES, Study, read_study, reproduce, study_file
from gnnspin.studies.prediction import predicted_seconds
from gnnspin.studies.study import StudyRun
from gnnspin.trajectories import Trajectory

TINY = {
    "labels": {"systems": [{"kind": "triangular", "shape": [6, 6]}], "samplers": [{"kind": "random", "count": 10}]},
    "held_out": {"systems": [{"kind": "triangular", "shape": [6, 6]}], "samplers": [{"kind": "random", "count": 4}]},
    "model": {"hyperparameters": {"layers": 1, "channels": 2, "scalars": 2, "hidden": 4, "max_degree": 1}},
    "training": {"max_epochs": 2},
    "runs": {
        "exact_12": {"system": {"shape": [6, 6]}, "n_steps": 10, "save_every": 5, "initial": {"replicas": 2}},
        "learned_12": {"system": {"shape": [6, 6]}, "n_steps": 10, "save_every": 5, "initial": {"replicas": 2}},
        "learned_24": {"system": {"shape": [9, 9]}, "n_steps": 10, "save_every": 5},
        "quench": {"system": {"shape": [12, 12]}, "n_steps": 40, "save_every": 5},
    },
    "analyses": {"quench": {"growth": None}},  # too small for a law
    "errors": {"learned_24": [0, 10]},
    "comparisons": {"exact_and_learned": {"times": [5, 10]}},
    "maps": {
        "chirality": {"times": [5, 40]},
        "texture": {"run": "quench", "quantity": "spins", "times": [40]},
        "holes": {"run": "learned_12", "quantity": "hole_density", "times": [5]},
    },
    "series": {
        "sizes": {
            "parameter": "edge",
            "curves": {"learned": {"learned_12": 6.0, "quench": 12.0}, "exact": {"exact_12": 6.0}},
            "observables": ["neighbor_correlation"],
        }
    },
}


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The 120-degree study at a size that takes seconds, as a file; labels are solved in this process."""
    monkeypatch.setattr("gnnspin.studies.engine.default_workers", lambda: 1)
    values = yaml.load(study_file("120-degree").read_text(encoding="utf-8"), Loader) | {"sizes": {"tiny": TINY}}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def test_leaves_a_report_and_every_file_it_names(tiny: Path, tmp_path: Path) -> None:
    """A study goes on where it stopped, computes nothing twice, and its errors are those of its model and runs."""
    out = tmp_path / "out"
    model = out / "training" / "model.safetensors"
    expected = predicted_seconds(read_study(tiny), out, model)
    assert {"labels", "training", "run quench", "errors learned_24"} <= {
        name for name, left in expected.items() if left
    }
    lines = reproduce(str(tiny), out, progress=False)
    assert sum(predicted_seconds(read_study(tiny), out, model).values()) == 0
    files = [Path(line) for line in lines if line.startswith(str(tmp_path))]
    assert {file.name for file in files} >= {"report.md", "torque.png", "chirality.png", "model.safetensors"}
    assert all(file.stat().st_size > 0 for file in files)
    report = (out / "report.md").read_text(encoding="utf-8")
    for figure in (
        "torque.png",
        "chirality.png",
        "structure_factor_quench.png",
        "exact_and_learned_angle.png",
        "texture.png",
        "holes.png",
        "sizes_neighbor_correlation.png",
    ):
        assert figure in report
    with pytest.raises(StoreError, match="not empty"):
        reproduce(str(tiny), out, progress=False)
    kept = {path: path.read_bytes() for path in [*out.glob("*.h5"), *out.glob("training/*.safetensors")]}
    (out / "runs" / "quench.h5").unlink()
    again = reproduce(str(tiny), out, resume=True, progress=False)
    assert [line for line in again if "wall time" not in line] == [line for line in lines if "wall time" not in line]
    assert all(path.read_bytes() == content for path, content in kept.items())
    with pytest.raises(StoreError, match="another study"):
        reproduce("120-degree", out, size="small", resume=True, progress=False)
    _check_errors_on_own_states(out)
    with Trajectory(out / "runs" / "exact_12.h5") as exact, Trajectory(out / "runs" / "learned_12.h5") as learned:
        assert np.array_equal(exact[0], learned[0])
        assert not np.array_equal(exact[len(exact) - 1], learned[len(learned) - 1])


def _check_errors_on_own_states(out: Path) -> None:
    study = read_study(out.parent / "mine.yaml")
    stored = json.loads((out / "errors_learned_24.json").read_text())
    with Trajectory(out / "runs" / "learned_24.h5") as run:
        spins = run[len(run) - 1]
        exact = study.exact.build(hamiltonian=study.labels.hamiltonian.build(run.system))
        error = gs.load(out / "training" / "model.safetensors", run.system).torque(spins) - exact.torque(spins)
        assert stored[str(len(run) - 1)]["torque_rmse"] == pytest.approx(float(error.square().mean().sqrt()), rel=1e-6)


@pytest.mark.parametrize("name", STUDIES)
def test_every_size_is_a_study_that_its_own_description_restores(name: str) -> None:
    for size in SIZES:
        study = read_study(study_file(name), size)
        assert Study.model_validate(json.loads(json.dumps(study.model_dump(mode="json")))) == study
        if study.model is None:
            assert study.motions
        else:
            assert study.errors
            assert study.comparisons
        if study.pretrained is not None:
            assert study.pretrained in pretrained()
            driving = {run.rival for run in study.runs.values() if run.rival is not None}
            assert {study.rivals[rival].pretrained for rival in driving} <= set(pretrained())


def test_names_and_runs_must_be_known(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="known: 120-degree"):
        reproduce("121-degree", "unused")
    with pytest.raises(InvalidInput, match="known: small"):
        reproduce("120-degree", "unused", size="huge")
    values = read_study(study_file("120-degree")).model_dump()
    with pytest.raises(ValueError, match="spectra: 'none' is none of the runs"):
        Study.model_validate(values | {"spectra": ("none",)})
    with pytest.raises(ValueError, match="'exact_12' runs under the exact solver"):
        Study.model_validate(values | {"errors": {"exact_12": (0.0,)}})
    comparison = {"exact": "exact_12", "learned": "learned_12", "observables": ["magnetization"], "times": [1.0]}
    with pytest.raises(ValueError, match=r"analyses.exact_12 lacks magnetization"):
        Study.model_validate(values | {"comparisons": {"new": comparison}})
    alone = read_study(study_file("120-degree")).model_copy(update={"pretrained": None})
    with pytest.raises(InvalidInput, match="no model that comes with the package"):
        reproduce(alone, tmp_path / "out", from_pretrained=True)


def test_a_rival_of_the_package_drives_its_runs_where_nothing_is_trained(tmp_path: Path) -> None:
    """With its own torques; one that names no model is refused before any work."""
    study = read_study(study_file("tetrahedral"), "small")
    run = study.runs["network_24"]
    small = run.model_copy(update={"system": run.system.model_copy(update={"shape": (6, 6)}), "n_steps": 2})
    alone = study.model_copy(
        update={
            "runs": {"network_24": small},
            **{name: {} for name in ("analyses", "errors", "comparisons", "maps")},
            "spectra": (),
        }
    )
    reproduce(alone, tmp_path / "out", from_pretrained=True, progress=False)
    with Trajectory(tmp_path / "out" / "runs" / "network_24.h5") as stored:
        source = stored.rebuild_source()
    assert source.model.n_parameters == gs.load("pretrained:tetrahedral_fast", source.system).model.n_parameters
    rivals = {"network": study.rivals["network"].model_copy(update={"pretrained": None})}
    with pytest.raises(InvalidInput, match="takes the place of rival network"):
        reproduce(alone.model_copy(update={"rivals": rivals}), tmp_path / "none", from_pretrained=True)
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_demonstration_shows_the_physics(tmp_path: Path) -> None:
    """Held-out torque R2 of 0.995 or more; the quench ends with neighbour correlation below -0.40."""
    lines = reproduce("120-degree", tmp_path / "out", progress=False)
    r2 = float(lines[0].split("R2 ")[1].split(",")[0])
    [correlation] = [line for line in lines if line.startswith("quench: neighbor_correlation")]
    assert r2 >= 0.995
    assert float(correlation.split()[2]) <= -0.40


@pytest.mark.parametrize("source", ["exact", "learned"])
def test_terms_are_added_to_the_source_of_a_run(source: str) -> None:
    """A magnetic field pushes beside the electrons, exact or learned: fields add."""
    study = read_study(study_file("tetrahedral"), "small")
    given = {"model": "pretrained:tetrahedral_fast"}
    if source == "exact":
        given = {"hamiltonian": study.labels.hamiltonian, "solver": {"kT": 0.1, "mu": -3.2}}
    values = study.runs[f"{source}_24"].model_dump(exclude_unset=True)
    values["system"] = {"kind": "triangular", "shape": [6, 6]}
    without = StudyRun.model_validate(values)
    zeeman = StudyRun.model_validate(values | {"terms": ({"kind": "zeeman", "B": [0, 0, 0.25]},)})
    system, spins = without.system.build(), gs.core.random_spins(36, seed=0)
    field, in_field = (run.under(given).source.build(system).field(spins) for run in (without, zeeman))
    assert np.allclose((in_field - field).numpy(), [0, 0, 0.25], atol=1e-6)
    with pytest.raises(ValueError, match="zeman"):
        StudyRun.model_validate(values | {"terms": ({"kind": "zeman"},)})
