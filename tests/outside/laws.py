"""Tests of the package's own: the suites of `gnnspin.testing`, and what files say of its objects.

Run beside ``labels.h5``, ``training/model.safetensors`` and ``run.h5`` of `test_outside`.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import gnnspin as gs
from gnnspin.core import FieldSource, random_spins
from gnnspin.electrons import HoppingRule
from gnnspin.testing import HoppingPhysics, ModelPhysics, SourcePhysics


class TestModel(ModelPhysics):
    name = "spinplus_bonds"
    hyperparameters = {"degree": 3}  # noqa: RUF012
    systems = ("square", "amorphous")


class TestTransfer(SourcePhysics):
    symmetries = frozenset({"time_reversal", "translation", "point_group", "mirrors"})

    def source(self) -> FieldSource:
        return FieldSource.from_specification({"kind": "spinplus_transfer", "strength": 0.3}, gs.systems.square(4, 4))

    def test_torque_of_slonczewski(self) -> None:
        source, spins = self.source(), random_spins(16, seed=0)
        along = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
        expected = 0.3 * (along - spins * spins[:, 2:])
        assert torch.allclose(source.torque(spins), expected, atol=1e-14)


class TestExponential(HoppingPhysics):
    def rule(self) -> HoppingRule:
        return HoppingRule.from_specification({"kind": "spinplus_exponential", "length": 0.7})

    def test_amplitudes(self) -> None:
        matrix = self.rule().matrix(gs.systems.square(4, 4)).toarray()
        found = np.unique(matrix[matrix != 0].round(12))
        assert found == pytest.approx([-1.0, -np.exp(-(2**0.5 - 1) / 0.7)])


def test_spiral_turns_once() -> None:
    assert "spinplus_spiral" in gs.observables.available_orders(gs.systems.square(4, 4))
    assert "spinplus_spiral" not in gs.observables.available_orders(gs.systems.amorphous(20, 3.0, 0.5, seed=0))
    spins = gs.observables.reference_order("spinplus_spiral", gs.systems.square(8, 3)).reshape(8, 3, 3)
    turned = torch.linalg.cross(spins, spins.roll(-1, 0))[..., 2]
    assert torch.allclose(turned, torch.full_like(turned, np.sin(2 * np.pi / 8)))


def test_model_from_its_file() -> None:
    force_field = gs.load("training/model.safetensors", system=gs.systems.square(4, 4))
    assert type(force_field.model).__module__ == "spinplus.model"
    assert force_field.model.hyperparameters.degree == 3
    assert float(force_field.model.coefficients.detach().abs().min()) > 0


def test_labels_say_what_made_them() -> None:
    store = gs.datasets.LabelStore("labels.h5")
    described = json.loads(json.dumps(store.metadata))
    assert {"kind": "spinplus_exponential", "t": 1.0, "length": 0.6, "cutoff": 1.5} in list(mappings(described))


def test_sources_of_a_trajectory_are_rebuilt_from_it() -> None:
    with gs.trajectories.Trajectory("run.h5") as run:
        source, spins = run.rebuild_source(), torch.from_numpy(run[-1]).double()
    assert not source.has_energy
    learned, transfer = source.terms
    again = gs.load("training/model.safetensors", system=source.system)
    assert torch.equal(learned.field(spins), again.field(spins))
    assert transfer.specification() == {
        "kind": "spinplus_transfer",
        "strength": 0.05,
        "polarization": [0.0, 0.6, 0.8],
    }
    again = FieldSource.from_specification(json.loads(json.dumps(transfer.specification())), source.system)
    assert torch.equal(transfer.field(spins), again.field(spins))


def mappings(value: object):
    """All mappings inside a value."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from mappings(each)
