"""Spins of one's own become labels as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

import gnnspin as gs
from gnnspin.core import InvalidInput, StoreError
from gnnspin.core.spins import random_spins
from gnnspin.labels import GenerateConfig, generate
from gnnspin.labels.given import GivenSpins, given_spins

SYSTEMS = [{"kind": "square", "shape": [3, 4]}, {"kind": "square", "shape": [4, 4]}]


def configuration(path: Path, **sampler: Any) -> GenerateConfig:
    return GenerateConfig.model_validate(
        {
            "systems": SYSTEMS,
            "hamiltonian": {"J": 2.0},
            "solver": {"kT": 0.1, "mu": -1.0},
            "samplers": [{"kind": "given", "path": path, **sampler}, {"kind": "random", "count": 1}],
        }
    )


@pytest.fixture
def given(tmp_path: Path) -> tuple[Path, np.ndarray]:
    spins = random_spins(16, replicas=(3,), seed=4).numpy()
    path = tmp_path / "mine.npz"
    GivenSpins(spins, np.array([0.0, 2.0, 5.5])).write(path)
    return path, spins


def test_labels_are_of_these_spins_on_their_system_alone(tmp_path: Path, given: tuple[Path, np.ndarray]) -> None:
    path, spins = given
    store = generate(configuration(path, system=1), tmp_path / "labels.h5", progress=False)
    own = [label for label in store if label.provenance["sampler"]["kind"] == "given"]
    assert len(store) == 3 + 2
    solver = gs.electrons.ExactDiagonalization(
        gs.electrons.SDHamiltonian(gs.systems.square(4, 4), J=2.0), kT=0.1, mu=-1.0
    )
    for label, one, time in zip(own, spins, (0.0, 2.0, 5.5), strict=True):
        assert label.provenance["sampler"]["time"] == time
        torch.testing.assert_close(label.spins, torch.from_numpy(one), atol=1e-12, rtol=0)
        torch.testing.assert_close(label.field, solver.field(torch.from_numpy(one)), atol=1e-10, rtol=0)


def test_at_one_point_of_a_family_they_are_solved_there_alone(tmp_path: Path, given: tuple[Path, np.ndarray]) -> None:
    points = {"points": [{"J": 1.0}, {"J": 3.0}]}

    def family(**sampler: Any) -> GenerateConfig:
        plain = configuration(given[0], system=1, **sampler).model_dump(mode="json", exclude={"family"})
        return GenerateConfig.model_validate({**plain, "family": points})

    store = generate(family(point=1), tmp_path / "labels.h5", progress=False)
    couplings = [
        label.provenance["hamiltonian"]["J"] for label in store if label.provenance["sampler"]["kind"] == "given"
    ]
    assert couplings == [3.0, 3.0, 3.0]
    with pytest.raises(InvalidInput, match="point=2, but there are 2 points, from 0"):
        generate(family(point=2), tmp_path / "others.h5", progress=False)


def test_other_spins_in_the_file_are_another_set(tmp_path: Path, given: tuple[Path, np.ndarray]) -> None:
    path, spins = given
    generate(configuration(path, system=1), tmp_path / "labels.h5", progress=False)
    GivenSpins(spins[::-1].copy(), None).write(path)
    with pytest.raises(StoreError, match="other content"):
        generate(configuration(path, system=1), tmp_path / "labels.h5", progress=False, resume=True)


def test_a_plain_array_will_do(tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", random_spins(12, replicas=(2,), seed=0).numpy())
    found = given_spins(tmp_path / "mine.npy", 12)
    assert found.spins.shape == (2, 12, 3)
    assert found.times is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"spins": np.ones((2, 12, 3))}, "length 1.73"),
        ({"spins": np.zeros((2, 11, 3))}, r"shape \(2, 11, 3\)"),
        ({"other": np.zeros((2, 12, 3))}, "holds other"),
        ({"spins": np.tile([0.0, 0.0, 1.0], (2, 12, 1)), "times": np.zeros(3)}, "one finite number"),
    ],
)
def test_what_is_no_set_of_unit_spins_is_refused(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "mine.npz", **arrays)
    with pytest.raises(InvalidInput, match=message):
        given_spins(tmp_path / "mine.npz", 12)


def test_a_missing_file_and_a_missing_system_are_named(tmp_path: Path, given: tuple[Path, np.ndarray]) -> None:
    with pytest.raises(ValidationError, match="existing file"):
        configuration(tmp_path / "none.npz")
    with pytest.raises(InvalidInput, match="system=2, but there are 2 systems"):
        generate(configuration(given[0], system=2), tmp_path / "labels.h5", progress=False)
