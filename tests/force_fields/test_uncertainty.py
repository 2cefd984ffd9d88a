"""Error bars of torques: what they cover, and that a file keeps them."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import gnnspin as gs
from gnnspin.cli import evaluate
from gnnspin.core import InvalidInput, StoreError, random_spins
from gnnspin.core.errors import UntrustedField
from gnnspin.datasets import from_arrays
from gnnspin.dynamics import simulate
from gnnspin.dynamics.job import SimulationConfig
from gnnspin.force_fields import Committee, ForceField, calibrate, coverage, last_layer, uncertainty
from gnnspin.force_fields.calibration import Calibration, rank_correlation
from gnnspin.force_fields.last_layer import Surroundings, torque_jacobian, weight_covariance
from gnnspin.force_fields.model_file import load_any, save_calibrated
from gnnspin.force_fields.uncertainty import exact_deviation

SYSTEM = gs.systems.triangular(6, 6)
SPEC = gs.graphs.GraphSpec.for_system(SYSTEM, cutoff=1.1)
NAMES = ("spin_cluster_expansion", "oriented_cluster_expansion", "behler_parrinello", "moment_network")


def _model(name: str = "spin_cluster_expansion", seed: int = 0) -> gs.models.base.SpinModel:
    torch.manual_seed(seed)
    options: dict[str, Any] = {
        "spin_cluster_expansion": {"layers": 2, "channels": 2, "hidden": 4},
        "oriented_cluster_expansion": {"layers": 2, "channels": 2, "hidden": 4, "filters": 2},
        "behler_parrinello": {"descriptor": {"kind": "magnetic_acsf"}, "hidden": [5, 4], "activation": "silu"},
        "moment_network": {"hopping": gs.electrons.NearestNeighborHopping(), "J": 3.0, "hops": 1, "hidden": 4},
    }[name]
    hyperparameters = gs.models.architecture(name).for_system(SYSTEM, options)
    model = gs.models.build(name, SPEC, **hyperparameters).double()
    model.calibrate(model.prepare(SYSTEM), random_spins(36, replicas=(4,), seed=9))
    return model.float()


def _labels(force_field: ForceField, count: int, seed: int, noise: float = 0.1) -> gs.datasets.LabelsInMemory:
    """Labels from which the force field differs by Gaussian fields."""
    spins = random_spins(36, replicas=(count,), seed=seed)
    generator = torch.Generator().manual_seed(seed + 1000)
    errors = noise * torch.randn(spins.shape, generator=generator, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return from_arrays(SYSTEM, spins, force_field.field(spins) + errors)


@pytest.fixture(scope="module")
def calibrated() -> ForceField:
    """A force field with error bars, learned in fewer steps than usual."""
    last_layer._STEPS, uncertainty._SPIRALS, uncertainty._PERTURBED = 300, 6, 2
    uncertainty._SNAPSHOTS = 6
    force_field = ForceField(_model(), SYSTEM)
    calibrate(force_field, _labels(force_field, 24, seed=1))
    return force_field


@pytest.mark.parametrize("name", NAMES)
def test_torque_is_linear_in_the_last_weights(name: str) -> None:
    """The Jacobian times a change of the last weights is the change of the torque, in every architecture."""
    model = _model(name).double()
    units = model.hidden_units
    spins, data = random_spins(36, replicas=(2,), seed=2), model.prepare(SYSTEM)
    before = model.fields(data, spins)
    changes = []
    with torch.no_grad():
        for unit in units:
            (parent,) = [m for m in model.modules() if isinstance(m, torch.nn.Sequential) and unit.module in list(m)]
            weight = parent[-1].weight
            changes.append(torch.randn(weight.shape[1], dtype=torch.float64))
            weight[0] += changes[-1]
    after = model.fields(data, spins)
    change = torch.cat(changes)
    jacobian, hidden = torque_jacobian(model, data, spins, torch.eye(len(change), dtype=torch.float64))
    assert hidden.shape == (2, 36, len(change))
    found = model.energy_scale * torch.einsum("rnxp,p->rnx", jacobian, change)
    torch.testing.assert_close(found, torch.linalg.cross(spins, after - before), rtol=1e-6, atol=1e-9)


def test_covariance_is_that_of_a_least_squares_fit() -> None:
    """Torques J w plus unit noise, fitted many times: the weights scatter with (J^T J)^-1, to 5 standard errors."""
    generator = torch.Generator().manual_seed(3)
    jacobian = torch.randn(1, 40, 3, 2, generator=generator, dtype=torch.float64)
    rows = jacobian.reshape(-1, 2)
    noise = torch.randn(len(rows), 20_000, generator=generator, dtype=torch.float64)
    fitted = torch.linalg.lstsq(rows, noise).solution
    expected = weight_covariance([jacobian]) * 3 / len(rows)
    error = expected.diagonal().outer(expected.diagonal()).sqrt() * (2 / 20_000) ** 0.5
    assert bool(((fitted @ fitted.T / 20_000 - expected).abs() < 5 * error).all())


def test_radii_cover_what_they_promise_whatever_the_score() -> None:
    """Split conformal prediction: coverage of fresh errors, to 5 standard errors of both samples."""
    generator = np.random.default_rng(4)

    def draw(count: int) -> tuple[np.ndarray, np.ndarray]:
        scale = generator.gamma(2.0, size=count) + 0.1
        return scale * generator.rayleigh(size=count), scale**0.5  # a score that is wrong by a power

    errors, scores = draw(4000)
    found = Calibration.of([errors], [scores])
    fresh, fresh_scores = draw(20_000)
    for level in (0.5, 0.75, 0.9, 0.95):
        share = float((fresh <= found.factor(level) * fresh_scores).mean())
        tolerance = 5 * (level * (1 - level) * (1 / 4000 + 1 / 20_000)) ** 0.5 + (0.01 if level == 0.75 else 0)
        assert share == pytest.approx(level, abs=tolerance)
    assert Calibration.from_dict(found.to_dict()) == found
    with pytest.raises(InvalidInput, match=r"level=0.3 must be between 0.5 and 0.99"):
        found.factor(0.3)


def test_rank_correlation() -> None:
    values = np.array([1.0, 2.0, 5.0, 3.0])
    assert rank_correlation(values, np.exp(values)) == pytest.approx(1.0)
    assert rank_correlation(values, -values) == pytest.approx(-1.0)
    assert rank_correlation(values, np.ones(4)) == 0.0


def test_error_bars_hold_on_fresh_labels(calibrated: ForceField) -> None:
    """Errors of one size everywhere: 24 x 36 spins calibrate, 40 x 36 judge; 5 standard errors."""
    found = coverage(calibrated, _labels(calibrated, 40, seed=5))
    for level, share in zip(found.levels, found.shares, strict=True):
        assert share == pytest.approx(level, abs=5 * (level * (1 - level) * (1 / 864 + 1 / 1440)) ** 0.5)
    spins = random_spins(36, replicas=(2, 3), seed=6)
    torque, radius = calibrated.torque_with_error_bar(spins, 0.9)
    torch.testing.assert_close(torque, calibrated.torque(spins))
    assert radius.shape == (2, 3, 36)
    expected = calibrated.torque_and_error(spins)[1].square().mean().sqrt()
    assert float(expected) == pytest.approx(0.1 * 2**0.5, rel=0.15)  # two components across the spin


def test_the_network_stands_in_for_the_backward_passes(calibrated: ForceField) -> None:
    spins = random_spins(36, replicas=(6,), seed=7, dtype=torch.float32)
    slow, fast = exact_deviation(calibrated, spins), calibrated.torque_and_error(spins)[1]
    assert np.corrcoef(slow.log().numpy().ravel(), fast.log().numpy().ravel())[0, 1] > 0.7


def test_error_bars_have_the_symmetries_of_the_energy(calibrated: ForceField) -> None:
    spins = random_spins(36, seed=8)
    radius = calibrated.torque_with_error_bar(spins)[1]
    turned = calibrated.torque_with_error_bar(spins @ gs.core.random_rotation(1).T)[1]
    torch.testing.assert_close(turned, radius, rtol=1e-3, atol=0)
    moved = calibrated.torque_with_error_bar(spins.reshape(6, 6, 3).roll(1, 0).reshape(36, 3))[1]
    torch.testing.assert_close(moved.reshape(6, 6), radius.reshape(6, 6).roll(1, 0), rtol=1e-3, atol=0)


def test_saved_moved_and_tiled(calibrated: ForceField, tmp_path: Path) -> None:
    spins = random_spins(36, seed=8)
    path = gs.save(calibrated, tmp_path / "model.safetensors")
    restored = gs.load(path, SYSTEM)
    assert restored.calibration == calibrated.calibration
    assert torch.equal(restored.torque_with_error_bar(spins)[1], calibrated.torque_with_error_bar(spins)[1])
    large = restored.on(gs.systems.triangular(24, 6))
    many = random_spins(144, seed=8)
    whole = large.torque_with_error_bar(many)[1]
    torch.testing.assert_close(large.tile(120).torque_with_error_bar(many)[1], whole, rtol=1e-4, atol=0)
    plain = gs.load(gs.save(ForceField(_model(), SYSTEM), tmp_path / "plain.safetensors"), SYSTEM)
    with pytest.raises(InvalidInput, match="has no error bars; calibrate it"):
        plain.torque_with_error_bar(spins)


def test_committees_calibrate_their_spread(tmp_path: Path) -> None:
    committee = Committee([ForceField(_model(seed=k), SYSTEM) for k in range(3)])
    labels = _labels(committee.members[0], 12, seed=1)
    found = save_calibrated(committee, labels, tmp_path / "committee")
    restored = load_any(tmp_path / "committee", SYSTEM)
    assert restored.calibration == found
    spins = random_spins(36, seed=2)
    torque, radius = restored.torque_with_error_bar(spins, 0.8)
    torch.testing.assert_close(radius, found.factor(0.8) * committee.spread(spins))
    torch.testing.assert_close(torque, committee.torque(spins))
    assert coverage(restored, labels, (0.8,)).shares[0] == pytest.approx(0.8, abs=0.01)
    with pytest.raises(StoreError, match="exists; choose another"):
        save_calibrated(committee, labels, tmp_path / "committee")


def test_what_cannot_be_calibrated_says_so() -> None:
    force_field = ForceField(_model(), SYSTEM)
    labels = _labels(force_field, 3, seed=1)
    with pytest.raises(InvalidInput, match=r"108 spins are too few"):
        calibrate(force_field, labels)
    with pytest.raises(InvalidInput, match="no labels to calibrate on"):
        calibrate(force_field, labels.subset([]))
    with pytest.raises(InvalidInput, match="members of a committee must differ"):
        calibrate(Committee([force_field, force_field]), _labels(force_field, 8, seed=1))


def test_observer_warns_stores_and_stops(calibrated: ForceField, tmp_path: Path) -> None:
    start = random_spins(36, replicas=(2,), seed=3)
    options: dict[str, Any] = {"dt": 0.01, "n_steps": 4, "damping": 0.1, "progress": False}
    run = simulate(calibrated, start, observers=["torque_error"], **options)
    torque, error = calibrated.torque_and_error(start)
    expected = torch.stack([error.amax(-1), error.square().mean(-1).sqrt()], dim=-1)
    np.testing.assert_allclose(run.observables["torque_error"][0], expected, rtol=1e-6)
    relative = float((expected[:, 1] / torque.square().sum(-1).mean(-1).sqrt()).max())

    def observed(**thresholds: Any) -> gs.dynamics.Run:
        observer = {"kind": "torque_error", **thresholds}
        return simulate(calibrated, start, observers=[observer], observe_every=2, **options)

    with warnings.catch_warnings():
        warnings.simplefilter("error", UntrustedField)
        observed(warn=2 * relative, stop=2 * relative, store=2 * relative, snapshots=tmp_path / "none")
    assert not (tmp_path / "none").exists()
    with pytest.warns(UntrustedField, match=r"step 0: the model expects its torque to be wrong by"):
        observed(warn=0.5 * relative, stop=0.6 * relative)
    observed(store=0.5 * relative, snapshots=tmp_path / "kept")
    with np.load(tmp_path / "kept" / "step_00000000.npz") as stored:
        np.testing.assert_allclose(stored["spins"], start, atol=1e-15)
    stopped = observed(stop=0.5 * relative)
    assert stopped.state.step == 0
    assert "more than stop=" in str(stopped.stop_reason)
    assert stopped.observables["torque_error"].shape == (1, 2, 2)


def test_observer_of_a_sum_takes_the_rest_as_exact(calibrated: ForceField) -> None:
    zeeman = gs.classical.Zeeman(SYSTEM, B=[0.0, 0.0, 1.0])
    start = random_spins(36, seed=3)
    runs = [
        simulate(source, start, dt=0.01, n_steps=0, damping=0.1, observers=["torque_error"], progress=False)
        for source in (calibrated, calibrated + zeeman)
    ]
    np.testing.assert_allclose(*(run.observables["torque_error"] for run in runs), rtol=1e-6)
    with pytest.raises(InvalidInput, match="no learned model"):
        simulate(zeeman, start, dt=0.01, n_steps=0, damping=0.1, observers=["torque_error"], progress=False)


def test_thresholds_are_checked_in_configurations() -> None:
    values = {
        "system": {"kind": "chain", "shape": [4]},
        "source": {"kind": "heisenberg", "J": 1.0},
        "dt": 0.1,
        "n_steps": 1,
    }
    for bad, said in (({"warn": -1.0}, "warn=-1.0 must be positive"), ({"store": 0.3}, "give both")):
        with pytest.raises(ValueError, match=said):
            SimulationConfig.model_validate({**values, "observers": [{"kind": "torque_error", **bad}]})


def test_neighbours_mean() -> None:
    around, values = Surroundings.of(SYSTEM, SPEC), torch.randn(2, 36, 3)
    table: Tensor = values.reshape(2, 6, 6, 3)
    steps = [(1, 0), (-1, 0), (0, 1), (0, -1), (1, -1), (-1, 1)]
    expected = torch.stack([table.roll(step, (1, 2)) for step in steps]).mean(0)
    torch.testing.assert_close(around.mean(values), expected.reshape(2, 36, 3))


def test_command_line_calibrates_and_judges(
    calibrated: ForceField, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = gs.save(ForceField(_model(), SYSTEM), tmp_path / "plain.safetensors")
    store = _labels(calibrated, 8, seed=1).save(tmp_path / "labels.h5")
    better = tmp_path / "better.safetensors"
    evaluate(plain, str(store.path), calibrate=better)
    assert f"error bars from 288 spins in {better}" in capsys.readouterr().out
    evaluate(better, str(store.path))
    assert re.search(r"error bars hold for 50%: 5\d\.\d%, 90%: 9\d\.\d%", capsys.readouterr().out)
