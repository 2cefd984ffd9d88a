"""Checks of spins and elementary operations."""

import math

import numpy as np
import pytest
import torch

from gnnspin.core import InvalidInput, as_spins, normalize, project_tangent, random_rotation, random_spins, torque
from gnnspin.core.spins import rms_angle


@pytest.mark.parametrize(
    ("spins", "reason"),
    [
        (np.zeros((4, 2)), r"\(4, 2\)"),
        (np.zeros(3), r"\(3,\)"),
        (np.ones((4, 3)), r"index \[0\].*normalise"),
        (np.array([[0, 0, 1.0], [0, np.nan, 1.0]]), r"index \[1\].*nan"),
        (np.array([[[0, 0, 1.0]] * 2, [[0, 0, 1.0], [0, 0, np.inf]]]), r"index \[1, 1\].*inf"),
        (np.array([[0, 0, 1.01]]), r"1\.01"),
        (np.array([[0, 0, 1j]]), "complex"),
        (torch.tensor([[0, 0, 1j]]), "complex"),
        (np.array([["0", "0", "1"]]), "type <U1"),
    ],
)
def test_bad_spins_are_named(spins, reason):
    with pytest.raises(InvalidInput, match=reason):
        as_spins(spins)


def test_wrong_number_of_sites():
    with pytest.raises(InvalidInput, match="4 sites; the system has 5"):
        as_spins(random_spins(4, seed=0), 5)


def test_integers_become_floats_and_tensors_pass_through():
    assert as_spins([[0, 0, 1]]).dtype == torch.float64
    given = random_spins(3, seed=0).float()
    assert as_spins(given) is given


def test_random_spins_are_uniform_unit_vectors():
    spins = random_spins(20_000, replicas=(2,), seed=0)
    assert spins.shape == (2, 20_000, 3)
    torch.testing.assert_close(spins.norm(dim=-1), torch.ones(2, 20_000, dtype=torch.float64))
    flat = spins.reshape(-1, 3)
    second = flat.T @ flat / len(flat)
    assert flat.mean(0).abs().max() < 5 / np.sqrt(3 * len(flat))
    assert (second - torch.eye(3) / 3).abs().max() < 5 / np.sqrt(len(flat))
    assert random_spins(5, seed=1).equal(random_spins(5, seed=1))
    assert not random_spins(5, seed=1).equal(random_spins(5, seed=2))


def test_rotation_is_proper_and_commutes_with_the_torque():
    rotation, spins = random_rotation(3), random_spins(10, seed=0)
    field = torch.randn(10, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(3, dtype=torch.float64))
    assert torch.linalg.det(rotation).item() == pytest.approx(1)
    torch.testing.assert_close(torque(spins @ rotation.T, field @ rotation.T), torque(spins, field) @ rotation.T)


def test_projection_keeps_the_torque_and_removes_the_rest():
    spins = random_spins(10, seed=0)
    field = torch.randn(10, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    projected = project_tangent(field, spins)
    torch.testing.assert_close((projected * spins).sum(-1), torch.zeros(10, dtype=torch.float64), atol=1e-14, rtol=0)
    torch.testing.assert_close(torque(spins, projected), torque(spins, field))
    torch.testing.assert_close(normalize(3 * spins), spins)


def test_torque_sign():
    """S along x in a field along z: S x H points to -y."""
    assert torque(torch.tensor([[1.0, 0, 0]]), torch.tensor([[0, 0, 2.0]])).tolist() == [[0, -2, 0]]


@pytest.mark.parametrize("kind", [">f8", "<f8", ">f4", ">i2"])
def test_byte_order_does_not_matter(kind):
    given = np.array([[0, 0, 1], [0, -1, 0]]).astype(kind)
    assert as_spins(given).tolist() == [[0, 0, 1], [0, -1, 0]]


def test_the_angle_between_spins_is_that_of_a_rotation_however_small():
    spins = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], dtype=torch.float64)
    for angle in (1e-9, 0.3, 3.0):
        turned = torch.tensor(
            [[math.cos(angle), math.sin(angle), 0.0], [-math.sin(angle), math.cos(angle), 0.0]], dtype=torch.float64
        )
        assert rms_angle(spins, turned) == pytest.approx(angle, rel=1e-6)
