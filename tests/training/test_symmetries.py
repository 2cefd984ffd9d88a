"""Symmetries of the labels' Hamiltonian: what a model leaves out for them, and the warning where it does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gnnspin as gs
from gnnspin.core import SymmetryWarning
from gnnspin.datasets import LabelStore
from gnnspin.labels import GenerateConfig, generate
from gnnspin.training import ModelConfig
from gnnspin.training.symmetries import check_imposed, label_symmetries, report

NEAREST = {"kind": "nearest_neighbor"}
HALDANE = {"kind": "sum", "rules": [NEAREST, {"kind": "haldane", "t2": 0.15}]}
RASHBA = {"kind": "sum", "rules": [NEAREST, {"kind": "rashba", "strength": 0.3}]}
DISORDER = {"kind": "sum", "rules": [NEAREST, {"kind": "disorder", "width": 1.0, "seed": 0}]}
Make = Callable[..., LabelStore]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def labels(
        hopping: dict[str, Any], kind: str = "honeycomb", length: int = 4, solver: dict[str, Any] | None = None
    ) -> LabelStore:
        config = GenerateConfig.model_validate(
            {
                "systems": [{"kind": kind, "shape": [length, length]}],
                "hamiltonian": {"hopping": hopping, "J": 1.0},
                "solver": solver or {"kT": 0.1, "mu": -0.2},
                "samplers": [{"kind": "random", "count": 2}],
            }
        )
        return generate(config, tmp_path / "labels.h5", progress=False)

    return labels


def flags(labels: LabelStore, name: str = "spin_cluster_expansion", **values: Any) -> dict[str, Any]:
    config = ModelConfig(name=name, cutoff=1.8, hyperparameters=values)
    chosen = config.build(labels.systems[0], labels).hyperparameters.model_dump()
    return {key: chosen[key] for key in ("time_reversal", "mirrors", "coupling") if key in chosen}


@pytest.mark.parametrize("name", ["spin_cluster_expansion", "oriented_cluster_expansion", "linear_cluster_expansion"])
def test_flux_opens_time_reversal_and_mirrors(make: Make, name: str) -> None:
    labels = make(HALDANE)
    assert flags(labels, name) == {"time_reversal": False, "mirrors": False}
    assert flags(labels, name, mirrors=True) == {"time_reversal": False, "mirrors": True}


def test_a_head_opens_the_architecture_under_it(make: Make) -> None:
    labels = make(HALDANE)
    model = ModelConfig(name="nonconservative", cutoff=1.8).build(labels.systems[0], labels)
    assert "mirrors" not in model.symmetries
    assert check_imposed(model, labels)["imposed"] == []


def test_real_hopping_leaves_every_default(make: Make) -> None:
    labels = make(NEAREST)
    assert flags(labels) == {"time_reversal": True, "mirrors": True}
    model = ModelConfig(cutoff=1.8).build(labels.systems[0], labels)
    assert check_imposed(model, labels) == {"checked": True, "broken": {}, "imposed": []}


def test_spin_orbit_terms_lock_the_spins_where_a_model_can(make: Make) -> None:
    labels = make(RASHBA, "square")
    assert flags(labels, "equivariant_tensor_network")["coupling"] == "locked"
    model = ModelConfig(cutoff=1.8).build(labels.systems[0], labels)
    with pytest.warns(SymmetryWarning, match=r"spin rotation \(0\.\d+ of it\)"):
        check_imposed(model, labels)


def test_disorder_is_no_reason_to_give_up_mirrors(make: Make) -> None:
    labels = make(DISORDER, "square")
    assert flags(labels) == {"time_reversal": True, "mirrors": True}
    model = ModelConfig(cutoff=1.8).build(labels.systems[0], labels)
    with pytest.warns(SymmetryWarning, match="translation .*no setting of this model helps"):
        record = check_imposed(model, labels)
    assert record["imposed"] == ["mirrors", "point_group", "translation"]


def test_a_training_warns_with_the_share_out_of_reach(make: Make, tmp_path: Path) -> None:
    """The odd share of random spins is measured on the lattice itself here: it is that of the warning."""
    labels = make(HALDANE)
    model = ModelConfig(name="linear_cluster_expansion", cutoff=1.8, hyperparameters={"mirrors": True}).build(
        labels.systems[0], labels
    )
    with pytest.warns(SymmetryWarning, match="set mirrors: false"):
        result = gs.training.fit(model, labels, labels, directory=tmp_path / "fit", progress=False)
    record = result.force_field.provenance["symmetries"]
    assert record["imposed"] == ["mirrors"]
    assert "imposed nevertheless: mirrors" in report(record)
    assert record["broken"]["mirrors"] == pytest.approx(record["broken"]["time_reversal"], rel=1e-6)
    assert record["broken"] == pytest.approx(
        {kind: label_symmetries(labels)[0].shares[kind] for kind in ("mirrors", "time_reversal")}
    )


def test_labels_from_elsewhere_are_not_checked(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    system = gs.systems.square(4, 4)
    spins = gs.core.random_spins(16, seed=0)
    field = gs.classical.Heisenberg(system, J=1.0).field(spins)
    store = LabelStore.create(tmp_path / "own.h5", {})
    store.append(gs.datasets.Label(system=system, spins=spins, field=field))
    model = ModelConfig(cutoff=1.5).build(system, store)
    with caplog.at_level("INFO", logger="gnnspin"):
        assert check_imposed(model, store) == {"checked": False}
    assert "not checked" in caplog.text
    assert "not checked" in report({"checked": False})


def test_lattices_are_measured_on_a_few_cells_whatever_the_solver(make: Make) -> None:
    """Stochastic probes break every symmetry by their noise; the Hamiltonian does not."""
    solver = {"kind": "kernel_polynomial", "kT": 0.1, "n_electrons": 100, "n_moments": 64, "probes": "deterministic"}
    labels = make(NEAREST, "square", 10, solver)
    (found,) = label_symmetries(labels)
    assert not found.broken
    assert found.violations["mirrors"] < 1e-10
