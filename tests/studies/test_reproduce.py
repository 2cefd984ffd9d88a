"""A study from its Hamiltonian to its report, at a size that takes seconds; the demonstration itself is slow."""

from __future__ import annotations

from pathlib import Path

import pytest

from gnnspin.core import InvalidInput, StoreError
from gnnspin.labels import GenerateConfig, RandomSampler
from gnnspin.studies import STUDIES, Study, reproduce
from gnnspin.systems.config import LatticeConfig

SMALL = STUDIES["120-degree"]["small"]


def tiny() -> Study:
    labels = SMALL.labels.model_dump() | {
        "systems": [LatticeConfig(kind="triangular", shape=(6, 6))],
        "samplers": [RandomSampler(count=10)],
    }
    quench = SMALL.quench.model_dump() | {"n_steps": 20, "observe_every": 5, "save_every": 5}
    quench["system"] = LatticeConfig(kind="triangular", shape=(12, 12))
    return SMALL.model_copy(
        update={
            "labels": GenerateConfig.model_validate(labels),
            "held_out": GenerateConfig.model_validate(labels | {"seed": 7}),
            "training": SMALL.training.model_copy(update={"max_epochs": 2}),
            "quench": type(SMALL.quench).model_validate(quench),
        }
    )


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A size that takes seconds; labels are solved in this process, for starting others takes longer."""
    monkeypatch.setitem(STUDIES["120-degree"], "tiny", tiny())
    monkeypatch.setattr("gnnspin.studies.engine.default_workers", lambda: 1)


@pytest.mark.usefixtures("registered")
def test_leaves_a_report_and_every_file_it_names(tmp_path: Path) -> None:
    lines = reproduce("120-degree", tmp_path / "out", size="tiny", progress=False)
    files = [Path(line) for line in lines if line.startswith(str(tmp_path))]
    assert {file.name for file in files} >= {"report.md", "torque.png", "chirality.png", "model.safetensors"}
    assert all(file.stat().st_size > 0 for file in files)
    report = (tmp_path / "out" / "report.md").read_text()
    for figure in ("torque.png", "chirality.png", "structure_factor.png", "correlation_length.png"):
        assert figure in report
    with pytest.raises(StoreError, match="not empty"):
        reproduce("120-degree", tmp_path / "out", size="tiny", progress=False)
    weights = (tmp_path / "out" / "training" / "model.safetensors").read_bytes()
    again = reproduce("120-degree", tmp_path / "out", size="tiny", resume=True, progress=False)
    assert again[:4] == lines[:4]
    assert (tmp_path / "out" / "training" / "model.safetensors").read_bytes() == weights
    with pytest.raises(StoreError, match="another study"):
        reproduce("120-degree", tmp_path / "out", size="small", resume=True, progress=False)


def test_unknown_names() -> None:
    with pytest.raises(InvalidInput, match="known: 120-degree"):
        reproduce("121-degree", "unused")
    with pytest.raises(InvalidInput, match="known: small"):
        reproduce("120-degree", "unused", size="huge")


@pytest.mark.slow
def test_demonstration_shows_the_physics(tmp_path: Path) -> None:
    """Held-out torque R2 of 0.995 or more; the quench ends with neighbour correlation below -0.40 and a peak at K."""
    lines = reproduce("120-degree", tmp_path / "out", progress=False)
    r2 = float(lines[0].split("R2 ")[1].split(",")[0])
    numbers = [float(line.rsplit(": ", 1)[1]) for line in lines[1:3]]
    assert r2 >= 0.995
    assert numbers[0] <= -0.40
    assert numbers[1] >= 20
