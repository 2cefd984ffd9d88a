"""Labels of a family of Hamiltonians: every sampler at every point, each recorded with its own parameters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

import gnnspin as gs
from gnnspin.core import InvalidInput
from gnnspin.datasets.conditions import label_parameters, parameter_path, require_varied, with_parameters
from gnnspin.labels import FamilyConfig, GenerateConfig, generate
from gnnspin.labels.family import spread_points
from gnnspin.labels.plan import make_plan

CONFIG: dict[str, Any] = {
    "systems": [{"kind": "triangular", "shape": [3, 3]}],
    "hamiltonian": {"J": 3.0},
    "solver": {"kT": 0.1, "filling": 0.3},
    "samplers": [
        {"kind": "random", "count": 2},
        {"kind": "relaxation", "count": 1, "n_steps": 2, "save_every": 1, "dt": 1.0},
    ],
    "family": {"ranges": {"J": [1.0, 6.0], "filling": [0.1, 0.5]}, "count": 2},
    "seed": 4,
}


def configuration(**changes: Any) -> GenerateConfig:
    return GenerateConfig.model_validate({**CONFIG, **changes})


def test_every_label_is_the_solution_of_its_own_hamiltonian(tmp_path: Path) -> None:
    store = generate(configuration(), tmp_path / "labels.h5", progress=False)
    points = configuration().points()
    assert len(store) == 2 * (2 + 2)
    found = label_parameters(store, ("J", "filling"))
    assert {tuple(each) for each in found.tolist()} == {(p["J"], p["filling"]) for p in points}
    for label, (coupling, filling) in zip(store, found, strict=True):
        electrons = gs.electrons.SDHamiltonian(label.system, J=coupling)
        exact = gs.electrons.ExactDiagonalization(electrons, kT=0.1, filling=filling)
        assert float((exact.field(label.spins) - label.field).abs().max()) < 1e-12
        assert label.n_electrons == pytest.approx(2 * 9 * filling)
        assert label.provenance["parameters"] == {"J": coupling, "filling": filling}
    spins = [label.spins for label in store if label.provenance["sampler"]["kind"] == "random"]
    assert all(float((a - b).abs().max()) > 0.1 for k, a in enumerate(spins) for b in spins[:k])


def test_interrupted_and_resumed_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        """Stands for a kill."""

    whole = generate(configuration(), tmp_path / "whole.h5", progress=False)
    original = gs.datasets.LabelStore.append

    def append(store: Any, label: Any, *, number: int) -> Any:
        if number == 5:
            raise Killed
        return original(store, label, number=number)

    monkeypatch.setattr(gs.datasets.LabelStore, "append", append)
    with pytest.raises(Killed):
        generate(configuration(), tmp_path / "labels.h5", progress=False)
    monkeypatch.setattr(gs.datasets.LabelStore, "append", original)
    generate(configuration(), tmp_path / "labels.h5", progress=False, resume=True)
    assert (tmp_path / "labels.h5").read_bytes() == whole.path.read_bytes()


def test_a_set_without_a_family_is_as_before() -> None:
    """Its seeds do not know of points."""
    plain = make_plan(configuration(family=None))
    assert {job.point for job in plain.jobs} == {0}
    one = make_plan(configuration(family={"points": [{"J": 3.0, "filling": 0.3}]}))
    assert len(one.jobs) == len(plain.jobs)
    assert {job.seed for job in one.jobs}.isdisjoint({job.seed for job in plain.jobs})


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_points_fill_the_box_evenly(dimension: int) -> None:
    """Every half and every quarter of each range holds its share, for any number of points; skipped ones are others."""
    for count in (16, 61, 200):
        points = np.array(spread_points(((0.0, 1.0),) * dimension, count))
        assert points.shape == (count, dimension)
        for axis in range(dimension):
            shares = np.histogram(points[:, axis], bins=4, range=(0, 1))[0] / count
            assert np.abs(shares - 0.25).max() < 4.5 / count
    ranges = ((1.0, 6.0), (0.1, 0.5))
    assert spread_points(ranges, 10, skip=5)[:5] == spread_points(ranges, 10)[5:]


def test_mistakes_are_told_before_any_work(tmp_path: Path) -> None:
    for family, message in (
        ({"ranges": {"J": [6.0, 1.0]}, "count": 2}, r"range of J is \[6, 1\]"),
        ({"ranges": {"J": [1.0, 6.0]}}, "count=0 with 1 ranges"),
        ({}, "without points"),
        ({"points": [{"J": 1.0}, {"mu": 1.0}]}, "does not have the parameters J"),
    ):
        with pytest.raises(ValidationError, match=message):
            FamilyConfig.model_validate(family)
    for family, message in (
        ({"points": [{"K": 1.0}]}, r"no parameter 'K'; numbers here: hamiltonian\.hopping\.t, hamiltonian\.J"),
        ({"points": [{"filling": 1.5}]}, "filling"),
        ({"points": [{"mu": 1.5}]}, r"mu|filling"),
    ):
        with pytest.raises(InvalidInput, match=message):
            generate(configuration(family=family), tmp_path / "labels.h5", progress=False)
    assert not (tmp_path / "labels.h5").exists()


def test_names_are_ends_of_paths() -> None:
    record = {
        "hamiltonian": {"hopping": {"kind": "shell", "amplitudes": [1.0, 0.2]}, "J": 3.0, "mu": 1.0},
        "solver": {"kT": 0.1, "mu": None},
    }
    assert parameter_path("amplitudes.1", record) == ("hamiltonian", "hopping", "amplitudes", "1")
    changed = with_parameters(record, {"amplitudes.1": 0.5, "kT": 0.2, "solver.mu": -1.0})
    assert changed["hamiltonian"]["hopping"]["amplitudes"] == [1.0, 0.5]
    assert changed["solver"] == {"kT": 0.2, "mu": -1.0}
    assert record["hamiltonian"]["hopping"]["amplitudes"] == [1.0, 0.2]  # type: ignore[index]
    with pytest.raises(InvalidInput, match=r"ambiguous: hamiltonian\.mu, solver\.mu"):
        parameter_path("mu", record)


def test_what_labels_do_not_tell_is_refused(tmp_path: Path) -> None:
    store = generate(configuration(samplers=CONFIG["samplers"][:1]), tmp_path / "labels.h5", progress=False)
    with pytest.raises(InvalidInput, match=r"label 0: parameter 'mu' \(solver\.mu\) is not set"):
        label_parameters(store, ("mu",))
    with pytest.raises(InvalidInput, match=r"all 4 labels have kT=0\.1"):
        require_varied(store, ("kT",))
    foreign = gs.datasets.from_arrays(store[0].system, store[0].spins, store[0].field)
    with pytest.raises(InvalidInput, match=r"no parameter 'J'.*tells no Hamiltonian"):
        label_parameters(foreign, ("J",))
