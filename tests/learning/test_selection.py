"""Uncertainty of snapshots by draws of the last weights, and states chosen far from each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gnnspin as gs
from gnnspin.core.spins import random_spins
from gnnspin.force_fields.last_layer import torque_jacobian, weight_covariance
from gnnspin.learning import selection
from gnnspin.learning.selection import Judge, farthest_points

SYSTEM = gs.systems.square(5, 4)


def force_field() -> gs.ForceField:
    torch.manual_seed(0)
    spec = gs.graphs.GraphSpec.for_system(SYSTEM, cutoff=1.5)
    model = gs.models.build("spin_cluster_expansion", spec, layers=1, channels=2, scalars=0, hidden=6)
    return gs.ForceField(model, SYSTEM).to(dtype=torch.float64)


def test_draws_of_the_weights_give_the_trace_of_the_posterior_without_bias(monkeypatch: pytest.MonkeyPatch) -> None:
    field = force_field()
    known = random_spins(SYSTEM.n_sites, replicas=(8,), seed=1)
    spins = random_spins(SYSTEM.n_sites, replicas=(3,), seed=2)
    monkeypatch.setattr(selection, "_DRAWS", 600)
    squares = Judge(field, known)(spins)[0] ** 2
    data, mixing = field.model.prepare(SYSTEM), torch.eye(6, dtype=torch.float64)
    covariance = weight_covariance([torque_jacobian(field.model, data, each[None], mixing)[0] for each in known])
    jacobian = torque_jacobian(field.model, data, spins, mixing)[0]
    exact = torch.einsum("rnxp,pq,rnxq->rn", jacobian, covariance, jacobian).mean(1).numpy()
    # 600 draws whose squares scatter by at most sqrt(2) times their mean
    np.testing.assert_allclose(squares, exact, rtol=4 * (2 / 600) ** 0.5)


def test_features_do_not_change_when_all_spins_are_rotated_or_sites_translated() -> None:
    judge = Judge(force_field(), random_spins(SYSTEM.n_sites, replicas=(4,), seed=1))
    spins = random_spins(SYSTEM.n_sites, replicas=(2,), seed=3)
    rotation = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))[0]
    shifted = spins.reshape(2, 5, 4, 3).roll((1, 2), (1, 2)).reshape(2, 20, 3)
    for moved in (spins @ (rotation * torch.linalg.det(rotation)), shifted):
        np.testing.assert_allclose(judge(moved)[1], judge(spins)[1], atol=1e-10)


def test_points_far_from_the_known_and_from_each_other_come_first() -> None:
    points = np.array([[0.0], [0.1], [1.0], [1.05], [5.0]])
    chosen = farthest_points(points, np.ones(5), np.array([[0.0]]), 3)
    assert chosen[0] == 4
    assert chosen[1] in (2, 3)
    assert set(chosen[2:]) <= {1, 2, 3}
    assert len(farthest_points(points, np.ones(5), points[:0], 9)) == 5
    assert len(set(farthest_points(points, np.ones(5), points, 5))) == 5


def test_uncertainty_outweighs_distance() -> None:
    points = np.array([[0.0], [1.0], [2.0]])
    assert farthest_points(points, np.array([1.0, 9.0, 1.0]), np.array([[0.0]]), 1) == [1]
