"""Runs of a cheap source that an expensive one corrects now and then."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from sources import ring, zeeman

import gnnspin as gs
from gnnspin.core import InvalidInput, StoreError, project_tangent, random_spins
from gnnspin.dynamics import resume, simulate
from gnnspin.dynamics.job import SimulationConfig
from gnnspin.trajectories import Trajectory

SQUARE = gs.systems.square(4, 4)
CHEAP = gs.classical.Heisenberg(SQUARE, (-1.0,))
EXACT = CHEAP + gs.classical.Heisenberg(SQUARE, (0.0, 0.3)) + gs.classical.Biquadratic(SQUARE, 0.2)
START = random_spins(16, replicas=(2,), seed=1)
OPTIONS = {"dt": 0.05, "damping": 0.1, "progress": False}


@pytest.mark.parametrize("integrator", ["semi_implicit", "extrapolated_midpoint", "heun"])
def test_a_correction_that_finds_nothing_changes_nothing(integrator: str) -> None:
    options = OPTIONS | {"n_steps": 20, "kT": 0.1, "integrator": integrator}
    plain = simulate(CHEAP, START, **options)
    corrected = simulate(CHEAP, START, correction=CHEAP, correct_every=3, **options)
    assert torch.equal(plain.spins, corrected.spins)
    assert not corrected.observables["correction"].any()


@pytest.mark.parametrize("integrator", ["semi_implicit", "extrapolated_midpoint"])
def test_error_falls_with_the_square_of_the_interval(integrator: str) -> None:
    """What is missing is extrapolated linearly in time: half the interval leaves a quarter of the error."""
    options = OPTIONS | {"dt": 0.01, "n_steps": 96, "integrator": integrator}
    exact = simulate(EXACT, START, **options).spins
    errors = [
        float((simulate(CHEAP, START, correction=EXACT, correct_every=every, **options).spins - exact).norm())
        for every in (16, 8, 4)
    ]
    uncorrected = float((simulate(CHEAP, START, **options).spins - exact).norm())
    assert errors[0] < 0.1 * uncorrected
    for coarse, fine in itertools.pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(2.0, abs=0.35)


def test_size_is_the_torque_error_where_it_was_measured() -> None:
    run = simulate(
        CHEAP,
        START,
        n_steps=9,
        correction=EXACT,
        correct_every=4,
        observers={"spins": lambda state: state.spins.clone()},
        **OPTIONS,
    )
    spins = torch.from_numpy(run.observables["spins"])
    missing = project_tangent(EXACT.field(spins) - CHEAP.field(spins), spins).square().mean((-1, -2)).sqrt().numpy()
    sizes = run.observables["correction"]
    np.testing.assert_allclose(sizes[[0, 4, 8]], missing[[0, 4, 8]], rtol=1e-12)
    np.testing.assert_array_equal(sizes[[1, 2, 3, 5, 6, 7, 9]], sizes[[0, 0, 0, 4, 4, 4, 8]])


def test_the_expensive_source_is_asked_once_per_interval() -> None:
    cheap, expensive = ring(6), ring(6)
    simulate(cheap, random_spins(6, seed=0), n_steps=10, correction=expensive, correct_every=4, **OPTIONS)
    assert expensive.evaluations == 1 + 10 // 4


@pytest.mark.parametrize("integrator", ["semi_implicit", "extrapolated_midpoint"])
@pytest.mark.parametrize("until", [6, 8])
def test_resumed_from_the_file_alone_bit_for_bit(tmp_path: Path, integrator: str, until: int) -> None:
    options = OPTIONS | {"kT": 0.05, "integrator": integrator, "correction": EXACT, "correct_every": 4}
    simulate(CHEAP, START, n_steps=until, trajectory=tmp_path / "part.h5", **options)
    continued = resume(tmp_path / "part.h5", n_steps=13 - until, progress=False)
    whole = simulate(CHEAP, START, n_steps=13, trajectory=tmp_path / "whole.h5", **options)
    assert torch.equal(continued.spins, whole.spins)
    np.testing.assert_array_equal(continued.observables["correction"], whole.observables["correction"])


def test_a_torn_memory_is_not_resumed_from(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    simulate(CHEAP, START, n_steps=4, correction=EXACT, trajectory=path, save_every=2, **OPTIONS)
    with h5py.File(path, "r+") as file:
        file["checkpoint/memory/correction"][0] += 1e-3
    with Trajectory(path) as run:
        assert run.state.step == 4  # the other slot
    with h5py.File(path, "r+") as file:
        file["checkpoint/memory/correction"][1] += 1e-3
    with Trajectory(path) as run, pytest.raises(StoreError, match="no intact checkpoint"):
        _ = run.state


def test_learned_field_corrected_by_an_exact_one_is_rebuilt_with_its_weights(tmp_path: Path) -> None:
    spec = gs.graphs.GraphSpec.for_system(SQUARE, cutoff=1.5)
    learned = gs.ForceField(gs.models.build("spin_cluster_expansion", spec, channels=2), SQUARE)
    path = tmp_path / "run.h5"
    options = {"dt": 0.05, "damping": 0.1, "progress": False, "correct_every": 2}
    simulate(CHEAP, START, n_steps=3, correction=learned, trajectory=path, **options)
    continued = resume(path, n_steps=3, progress=False)
    assert torch.equal(continued.spins, simulate(CHEAP, START, n_steps=6, correction=learned, **options).spins)


def test_configurations_name_a_correction(tmp_path: Path) -> None:
    given = {
        "system": {"kind": "square", "shape": [4, 4]},
        "source": {"kind": "heisenberg", "J": [-1.0]},
        "correction": {"kind": "heisenberg", "J": [-1.0, 0.3]},
        "correct_every": 2,
        "dt": 0.05,
        "n_steps": 3,
    }
    first = SimulationConfig.model_validate(given).run(tmp_path / "a.h5", progress=False)
    assert first.observables["correction"].shape == (1,)
    longer = given | {"n_steps": 7}
    continued = SimulationConfig.model_validate(longer).run(tmp_path / "a.h5", continue_run=True, progress=False)
    whole = SimulationConfig.model_validate(longer).run(tmp_path / "b.h5", progress=False)
    assert torch.equal(continued.spins, whole.spins)
    other = longer | {"correct_every": 3}
    with pytest.raises(StoreError, match="correct_every"):
        SimulationConfig.model_validate(other).run(tmp_path / "a.h5", continue_run=True, progress=False)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="build both on one system"):
        simulate(CHEAP, START, n_steps=1, correction=zeeman(16, 1.0), **OPTIONS)
    with pytest.raises(InvalidInput, match="correct_every=0 must be"):
        simulate(CHEAP, START, n_steps=1, correction=EXACT, correct_every=0, **OPTIONS)
    simulate(CHEAP, START, n_steps=1, trajectory=tmp_path / "plain.h5", **OPTIONS)
    with pytest.raises(InvalidInput, match="without a correction"):
        resume(tmp_path / "plain.h5", correction=EXACT)
    simulate(CHEAP, START, n_steps=1, correction=EXACT, trajectory=tmp_path / "run.h5", **OPTIONS)
    with pytest.raises(InvalidInput, match="source"):
        resume(tmp_path / "run.h5", n_steps=1, correction=CHEAP)
