"""The irreducible error against closed forms; responses against derivatives and receptive fields."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import gnnspin as gs
from gnnspin.analysis import LocalityConfig, analyze_locality, conditional_variance, response, response_agreement
from gnnspin.analysis import locality as module
from gnnspin.cli import app
from gnnspin.core import InvalidInput, StoreError, random_spins
from gnnspin.datasets import Label, LabelStore
from gnnspin.systems.distances import distances_from
from gnnspin.testing import force_field

SQUARE = gs.systems.square(7, 7)
J = (1.0, 0.0, 0.4)  # shells at 1, sqrt 2, 2
EXCHANGE = gs.classical.Heisenberg(SQUARE, J=J)


def configuration(**values: Any) -> LocalityConfig:
    given = {
        "system": {"kind": "square", "shape": [4, 4]},
        "source": {"hamiltonian": {"J": 2.0}, "solver": {"kT": 0.1, "mu": -1.0}},
        "ensemble": {"kind": "random", "count": 3},
        "radii": [1.0, 1.5],
        "centers": 2,
        "responses": 1,
        **values,
    }
    return LocalityConfig.model_validate(given)


def test_classical_exchange() -> None:
    """With z neighbours outside ``Var = z J^2 <|S x S'|^2> / 3 = 2 z J^2 / 9`` per component, none gives zero."""
    samples: dict[float, list[float]] = {0.5: [], 1.0: [], 1.5: [], 2.0: []}
    for k in range(150):
        spins = random_spins(49, seed=2 * k)
        around = [random_spins(49, seed=100_000 + 2 * k + r) for r in range(2)]
        for radius, values in samples.items():
            values.append(conditional_variance(EXCHANGE, spins, k % 49, around, radius))
    expected = {0.5: 4 * (J[0] ** 2 + J[2] ** 2), 1.0: 4 * J[2] ** 2, 1.5: 4 * J[2] ** 2, 2.0: 0.0}
    for radius, values in samples.items():
        error = np.std(values) / np.sqrt(len(values))
        assert np.mean(values) == pytest.approx(2 / 9 * expected[radius], abs=3.5 * error + 1e-25)
    assert max(samples[2.0]) < 1e-25


def test_estimate_is_unbiased_for_any_number_of_resamples() -> None:
    means = {}
    for resamples in (1, 4):
        draws = np.random.default_rng(0)
        values = []
        for k in range(300 // resamples):
            around = [random_spins(49, seed=int(draws.integers(2**40))) for _ in range(resamples)]
            values.append(conditional_variance(EXCHANGE, random_spins(49, seed=k), 0, around, 0.5))
        means[resamples] = np.mean(values)
        assert means[resamples] == pytest.approx(8 / 9 * 1.16, rel=0.15)


def test_response_of_exchange() -> None:
    """|dT_i/dS_j| = J sqrt(1 + (S_i.S_j)^2) on both tangent planes; exactly nothing beyond the couplings."""
    spins, site = random_spins(49, seed=1), 24
    distance = distances_from(SQUARE, site)
    cosine = (spins @ spins[site]).numpy()
    expected = np.zeros(49)
    for coupling, r in ((J[0], 1.0), (J[2], 2.0)):
        shell = np.abs(distance - r) < 1e-9
        expected[shell] = coupling * np.sqrt(1 + cosine[shell] ** 2)
    measured = response(EXCHANGE, spins, site)
    others = np.arange(49) != site
    assert np.allclose(measured.numpy()[others], expected[others], atol=1e-7)
    field = EXCHANGE.field(spins)[site]
    own = (field - field @ spins[site] * spins[site]).norm() ** 2 + 2 * (field @ spins[site]) ** 2
    assert float(measured[site]) == pytest.approx(float(own.sqrt()), abs=1e-6)


def test_reciprocity_equals_turning_every_spin() -> None:
    """Electrons: four solves with the one spin turned give what turning every spin gives."""
    hamiltonian = gs.electrons.SDHamiltonian(gs.systems.triangular(4, 3), J=2.0)
    source = gs.electrons.ExactDiagonalization(hamiltonian, kT=0.1, filling=0.3)
    spins = random_spins(12, seed=0)
    fast = response(source, spins, 5)
    source.has_energy = False
    assert torch.allclose(response(source, spins, 5), fast, atol=1e-6)
    assert float(fast.min()) > 1e-4


@pytest.mark.parametrize("name", ["spin_cluster_expansion", "nonconservative"])
def test_numerical_receptive_field(name: str) -> None:
    """The torque of an energy model reaches twice its receptive radius; a direct head reaches once."""
    inner = {"layers": 1, "channels": 2, "scalars": 2, "hidden": 4, "max_degree": 1}
    values: dict[str, Any] = inner if name == "spin_cluster_expansion" else {"hyperparameters": inner, "hidden": 4}
    source = force_field(name, gs.systems.chain(15), cutoff=2.0, **values)
    distance = distances_from(source.system, 7)
    nonzero = response(source, random_spins(15, seed=0), 7).numpy() > 1e-9
    reach = 4 if name == "spin_cluster_expansion" else 2
    assert nonzero[distance <= reach].all()
    assert not nonzero[distance > reach].any()


def test_distances_in_a_skew_cell() -> None:
    system = gs.systems.triangular(6, 6)
    graph = gs.graphs.radius_graph(system, 2.9)
    own = graph.edge_index[1] == 8
    found = distances_from(system, 8)
    assert np.allclose(found[graph.edge_index[0][own]], graph.edge_distance[own])
    assert (found <= 2.9).sum() == int(own.sum()) + 1


def test_analysis_is_reproducible_and_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configuration()
    whole = analyze_locality(config, tmp_path / "whole", progress=False)
    assert whole.n_centers == 6
    assert 0 < whole.floor[1] < whole.floor[0] < 1.5 * whole.signal
    assert whole.distances == pytest.approx([1, 2**0.5, 2, 5**0.5, 8**0.5], abs=1e-3)
    original, calls = module.response, []

    def interrupt(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(module, "response", interrupt)
    with pytest.raises(KeyboardInterrupt):
        analyze_locality(config, tmp_path / "part", progress=False)
    assert len(json.loads((tmp_path / "part" / "locality.json").read_text())["records"]) == 2
    monkeypatch.undo()
    with pytest.raises(StoreError, match="exists"):
        analyze_locality(config, tmp_path / "part", progress=False)
    with pytest.raises(StoreError, match="another analysis of locality"):
        analyze_locality(configuration(seed=1), tmp_path / "part", resume=True, progress=False)
    assert analyze_locality(config, tmp_path / "part", resume=True, progress=False) == whole
    assert sorted(p.name for p in (tmp_path / "part").iterdir()) == ["locality.json"]


def test_noise_about_an_order() -> None:
    """Surroundings keep the order and its direction: without noise nothing is left to vary."""
    quiet = {"kind": "perturbed_order", "orders": ["neel"], "amplitude": [0.0, 0.0], "count": 1}
    ensemble = module.build_ensemble(configuration(ensemble=quiet).ensemble, configuration().system, 0)
    assert torch.equal(ensemble.draw(0), ensemble.redraw(0, (1, 2, 3)))
    noisy = module.build_ensemble(
        configuration(ensemble={**quiet, "amplitude": [0.1, 0.1]}).ensemble, configuration().system, 0
    )
    change = (noisy.draw(0) - noisy.redraw(0, (1, 2, 3))).norm(dim=-1)
    assert 0.05 < float(change.mean()) < 0.4


def test_ensemble_of_labels(tmp_path: Path) -> None:
    system = gs.systems.square(4, 4)
    store = LabelStore.create(tmp_path / "labels.h5", {})
    for k in range(4):
        store.append(Label(system=system, spins=random_spins(16, seed=k), field=torch.zeros(16, 3)))
    stored = {"kind": "labels", "labels": str(tmp_path / "labels.h5"), "count": 4}
    result = analyze_locality(configuration(system=None, ensemble=stored), tmp_path / "out", progress=False)
    assert result.n_centers == 8
    ensemble = module.build_ensemble(configuration(system=None, ensemble=stored).ensemble, None, 0)
    for index in range(4):
        assert not any(torch.equal(ensemble.draw(index), ensemble.redraw(index, (k,))) for k in range(10))
    with pytest.raises(InvalidInput, match="at least 5"):
        module.build_ensemble(configuration(system=None, ensemble={**stored, "count": 5}).ensemble, None, 0)


def test_command_line(tmp_path: Path) -> None:
    config = tmp_path / "locality.yaml"
    config.write_text(json.dumps(configuration().model_dump(mode="json", exclude_none=True)))
    result = CliRunner().invoke(app, ["analyze", "locality", str(config), "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert "irreducible" in result.output
    assert (tmp_path / "out" / "locality.png").stat().st_size > 5000


def test_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="covers"):
        analyze_locality(configuration(radii=[9.0]), tmp_path / "out", progress=False)
    with pytest.raises(InvalidInput, match="site=99"):
        response(EXCHANGE, random_spins(49, seed=0), 99)
    with pytest.raises(ValueError, match="give a system"):
        configuration(system=None)


def test_agreement_tells_what_a_model_misses():
    """Exchange to two shells against exchange to one that is 10 % too strong: 0.99 near, nothing farther."""
    system = gs.systems.square(6, 6)
    exact, model = gs.classical.Heisenberg(system, (1.0, 0.5)), gs.classical.Heisenberg(system, 1.1)
    spins = random_spins(36, replicas=(2,), seed=0)
    near, far = response_agreement(model, exact, spins, [3, 20], [0.5, 1.2, 1.6, 3.0])
    assert (near.nearest, near.farthest, far.farthest) == (0.5, 1.2, 1.6)
    assert near.r2 == pytest.approx(0.99, abs=1e-4)
    assert far.r2 == pytest.approx(0.0, abs=1e-4)
    assert near.share + far.share == pytest.approx(1.0)
    assert near.exact == pytest.approx(2 * far.exact, rel=0.4)
    with pytest.raises(InvalidInput, match="configurations"):
        response_agreement(model, exact, spins[0], [3], [0.5, 1.2])
