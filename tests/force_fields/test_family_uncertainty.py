"""Error bars of families: they hold inside, grow outside, and are kept in files."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch

import gnnspin as gs
from gnnspin.core import InvalidInput, move_arrays, random_spins
from gnnspin.datasets import JoinedLabels, from_arrays
from gnnspin.force_fields import ForceField, calibrate, coverage, family_variance, last_layer
from gnnspin.force_fields.uncertainty import exact_deviation
from gnnspin.models import Family

SYSTEM = gs.systems.triangular(5, 5)
INSIDE = (1.0, 2.0, 3.0, 4.0, 5.0)


@pytest.fixture(scope="module")
def calibrated() -> Iterator[tuple[ForceField, JoinedLabels]]:
    """A family with error bars, learned in fewer steps than usual, and its labels: fields of members plus noise."""
    patch = pytest.MonkeyPatch()
    patch.setattr(last_layer, "_STEPS", 300)
    patch.setattr(family_variance, "_OTHERS", 10)
    patch.setattr(family_variance, "_SNAPSHOTS", 10)
    torch.manual_seed(0)
    values = {"channels": 2, "hidden": 4}
    model = gs.models.for_system("family", SYSTEM, 1.1, hyperparameters=values, conditions={"J": (1.0, 5.0)})
    assert isinstance(model, Family)
    torch.nn.init.normal_(model.modulation.head, std=0.05)
    model.calibrate(
        move_arrays(model.prepare(SYSTEM), dtype=torch.float32), random_spins(25, replicas=(4,), seed=9).float()
    )
    family = ForceField(model, SYSTEM)
    labels = JoinedLabels([_labels(family, J, k) for k, J in enumerate(INSIDE)])
    calibrate(family, labels)
    yield family, labels
    patch.undo()


def _labels(family: ForceField, J: float, seed: int) -> gs.datasets.LabelsInMemory:
    spins = random_spins(25, replicas=(6,), seed=seed)
    noise = 0.05 * torch.randn(spins.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return from_arrays(SYSTEM, spins, family.at(J=J).field(spins) + noise, provenance={"hamiltonian": {"J": J}})


def test_error_bars_hold_on_the_labels(calibrated: tuple[ForceField, JoinedLabels]) -> None:
    family, labels = calibrated
    found = coverage(family, labels, levels=(0.5, 0.9))
    assert found.shares == pytest.approx((0.5, 0.9), abs=0.01)


def test_uncertainty_grows_outside_of_the_range(calibrated: tuple[ForceField, JoinedLabels]) -> None:
    """Beyond the range error bars grow with the distance, and are larger than anywhere inside."""
    family, _ = calibrated
    spins = random_spins(25, seed=77)

    def size(J: float) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return float(family.at(J=J).torque_and_error(spins)[1].square().mean().sqrt())

    inside = [size(J) for J in (1.5, 2.5, 3.5, 4.5)]
    above, below = [size(J) for J in (6.0, 8.0, 20.0)], [size(J) for J in (0.0, -2.0, -14.0)]
    for outside in (above, below):
        assert outside[0] > max(inside)
        assert all(b > a for a, b in pairwise(outside))
        assert outside[-1] > 20 * max(inside)


def test_the_posterior_of_a_member_is_that_of_weights_quadratic_in_the_parameter(
    calibrated: tuple[ForceField, JoinedLabels],
) -> None:
    """Its covariance is phi C phi, least among the labels, and what the network stands in for is of that size."""
    family, _ = calibrated
    uncertainty = family.uncertainty
    size = len(uncertainty.weight)  # type: ignore[union-attr]
    joint = uncertainty.factor.double() @ uncertainty.factor.double().T  # type: ignore[union-attr]
    x = 0.4
    products = torch.tensor([1.0, x, x * x], dtype=torch.float64)
    blocks = joint.reshape(3, size, 3, size)
    expected = torch.einsum("q,qarb,r->ab", products, blocks, products)
    found = uncertainty.member_covariance(torch.tensor([x]))  # type: ignore[union-attr]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
    member = family.at(J=3.0)
    spins = random_spins(25, replicas=(2,), seed=5)
    ratio = exact_deviation(member, spins) / member._scored(spins)[2]
    assert 0.7 < float(ratio.log().mean().exp()) < 1.4


def test_files_keep_error_bars_of_families_and_members(
    tmp_path: Path, calibrated: tuple[ForceField, JoinedLabels]
) -> None:
    family, _ = calibrated
    spins = random_spins(25, seed=3)
    torque, radius = family.at(J=2.5).torque_with_error_bar(spins, 0.9)
    loaded = gs.load(gs.save(family, tmp_path / "family.safetensors"), SYSTEM)
    for member in (
        loaded.at(J=2.5),
        gs.load(tmp_path / "family.safetensors", SYSTEM, at={"J": 2.5}),
        gs.load(gs.save(loaded.at(J=2.5), tmp_path / "member.safetensors"), SYSTEM),
        loaded.on(SYSTEM).at(J=2.5),
    ):
        found = member.torque_with_error_bar(spins, 0.9)
        assert torch.equal(found[0], torque)
        assert torch.equal(found[1], radius)


def test_a_family_itself_has_no_error_bars(calibrated: tuple[ForceField, JoinedLabels]) -> None:
    with pytest.raises(InvalidInput, match=r"choose a member with \.at\(J=\.\.\.\)"):
        calibrated[0].torque_with_error_bar(random_spins(25, seed=3))
    with pytest.raises(InvalidInput, match="choose a member of the family"):
        exact_deviation(calibrated[0], random_spins(25, replicas=(1,), seed=3))
