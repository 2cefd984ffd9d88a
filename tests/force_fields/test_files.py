"""Model files: what is saved is loaded, bit for bit; anything else is a clear error."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import gnnspin as gs
from gnnspin.core import StoreError, random_spins
from gnnspin.force_fields.files import read_header
from gnnspin.testing import force_field

SMALL = {"channels": 3, "scalars": 2, "hidden": 8}


@pytest.fixture
def source() -> gs.ForceField:
    return force_field("spin_cluster_expansion", gs.systems.triangular(6, 6), **SMALL).to(dtype=torch.float32)


def test_loaded_field_is_the_saved_one(source: gs.ForceField, tmp_path: Path) -> None:
    source.provenance = {"labels": "a store"}
    path = gs.save(source, tmp_path / "model.safetensors")
    spins = random_spins(36, seed=0, dtype=torch.float32)
    loaded = gs.load(path, system=source.system)
    assert torch.equal(loaded.field(spins), source.field(spins))
    assert loaded.provenance == source.provenance
    larger = gs.load(path, system=gs.systems.triangular(12, 12))
    assert larger.field(random_spins(144, seed=0)).shape == (144, 3)


def test_header_tells_everything(source: gs.ForceField, tmp_path: Path) -> None:
    header = read_header(gs.save(source, tmp_path / "model.safetensors"))
    assert header["model"] == "spin_cluster_expansion"
    assert header["hyperparameters"]["channels"] == 3
    assert header["graph"]["cutoff"] == 2.3
    assert "-dE/dS" in header["conventions"]["field"]
    assert header["versions"]["gnnspin"] == gs.__version__


def test_others_may_read_a_model(source: gs.ForceField, tmp_path: Path) -> None:
    assert gs.save(source, tmp_path / "model.safetensors").stat().st_mode & 0o777 == 0o644


def test_foreign_and_damaged_files(source: gs.ForceField, tmp_path: Path) -> None:
    path = gs.save(source, tmp_path / "model.safetensors")
    with pytest.raises(StoreError, match="does not exist"):
        gs.load(tmp_path / "none.safetensors", system=source.system)
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(StoreError, match="damaged"):
        gs.load(damaged, system=source.system)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": torch.ones(1)}, foreign)
    with pytest.raises(StoreError, match="not one written by"):
        gs.load(foreign, system=source.system)
    pickled = tmp_path / "pickled.safetensors"
    torch.save({"a": 1}, pickled)
    with pytest.raises(StoreError, match="damaged or no safetensors"):
        gs.load(pickled, system=source.system)


def test_failed_save_leaves_the_old_file(
    source: gs.ForceField, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = gs.save(source, tmp_path / "model.safetensors")
    before = path.read_bytes()

    def full_disk(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("gnnspin.force_fields.files.save_file", full_disk)
    with pytest.raises(OSError, match="no space"):
        gs.save(source, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_whose_architecture_is_not_here_says_how_it_gets_known(source: gs.ForceField, tmp_path: Path) -> None:
    path = tmp_path / "mine.safetensors"
    gs.save(source, path)
    data = path.read_bytes()
    name = source.model.name.encode()
    stranger = b"x" * len(name)
    path.write_bytes(data.replace(name, stranger))
    with pytest.raises(StoreError, match="one of yours is known once its module is imported") as caught:
        gs.load(path, source.system)
    assert "save the model again" not in str(caught.value)
