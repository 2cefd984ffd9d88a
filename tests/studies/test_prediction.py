"""Predicted wall times: fields of every stage, counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gnnspin.force_fields.pretrained import pretrained_path
from gnnspin.learning.ladder import FIELDS_PER_STEP
from gnnspin.studies import Study, read_study, study_file
from gnnspin.studies.prediction import predicted_seconds


@pytest.fixture(autouse=True)
def _one_second_per_field(monkeypatch: pytest.MonkeyPatch) -> None:
    """A field takes a second, all replicas of a learned one together; one worker."""

    def one(*given: Any) -> float:
        return 1.0

    monkeypatch.setattr("gnnspin.studies.prediction._Clock._timed", one)
    monkeypatch.setattr("gnnspin.studies.prediction.default_workers", lambda: 1)


def _small() -> Study:
    """The study of the glass with packings of ten sites."""
    values = read_study(study_file("spin-glass")).model_dump(mode="json")
    small = {"n_sites": 10, "box": 2.3}
    for packings in (values["labels"]["systems"][0], *(run["system"] for run in values["runs"].values())):
        packings |= small
    return Study.model_validate(values)


def test_seconds_are_fields_of_two_per_step_and_of_every_label(tmp_path: Path) -> None:
    study = _small()
    seconds = predicted_seconds(study, tmp_path, tmp_path / "training" / "model.safetensors")
    exact, learned = study.runs["exact_100"], study.runs["learned_100"]
    assert seconds["run exact_100"] == 2 * exact.n_steps * exact.initial.replicas
    assert seconds["run learned_100"] == 2 * learned.n_steps
    assert seconds["labels"] == 10 * (20 + 2 * (20 + 2 * 160))  # packings (random + trajectories (saved + driven))
    assert seconds["rival bonds alone"] == pytest.approx(4 * 600 * 0.9 * FIELDS_PER_STEP)
    assert seconds["errors quench"] == 3


def test_a_pretrained_model_has_no_labels_and_no_rivals(tmp_path: Path) -> None:
    seconds = predicted_seconds(_small(), tmp_path, pretrained_path("amorphous_sd_fast"))
    assert {name.split()[0] for name in seconds} == {"run", "errors"}
