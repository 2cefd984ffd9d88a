"""Random packings."""

import time

import numpy as np
import pytest

from gnnspin.core.errors import InvalidInput
from gnnspin.systems import amorphous
from gnnspin.systems.config import AmorphousConfig


def shortest_distance(system) -> float:
    difference = system.positions[None] - system.positions[:, None]
    if all(system.pbc):
        edges = np.diag(system.cell)
        difference -= edges * np.round(difference / edges)
    distance = np.linalg.norm(difference, axis=-1)
    return float(distance[~np.eye(system.n_sites, dtype=bool)].min())


@pytest.mark.parametrize(
    ("n_sites", "box", "distance", "pbc"),
    [
        (100, 5.0, 0.5, True),
        (100, 5.0, 0.5, False),
        (500, 8.55, 0.5, True),
        (185, 5.0, 0.75, True),
        (60, (2.0, 9.0, 4.0), 0.7, True),
        (20, 2.2, 0.6, True),
    ],
)
def test_minimum_distance_and_box(n_sites, box, distance, pbc):
    system = amorphous(n_sites, box, distance, seed=3, pbc=pbc)
    assert system.n_sites == n_sites
    assert shortest_distance(system) >= distance
    assert system.positions.min() >= 0
    assert bool((system.positions <= np.asarray(box)).all())
    assert system.pbc == (pbc,) * 3
    np.testing.assert_allclose(np.diag(system.cell), np.broadcast_to(box, 3))


def test_seed_decides():
    assert amorphous(50, 4.0, 0.5, seed=1) == amorphous(50, 4.0, 0.5, seed=1)
    assert amorphous(50, 4.0, 0.5, seed=1) != amorphous(50, 4.0, 0.5, seed=2)


def test_sites_are_uniform_without_a_minimum_distance():
    positions = amorphous(4000, 2.0, 0.0, seed=0).positions
    assert np.abs(positions.mean(0) - 1).max() < 5 * 2 / np.sqrt(12 * 4000)
    assert np.abs(positions.var(0) - 4 / 12).max() < 0.05


def test_impossible_density_is_refused_at_once():
    start = time.perf_counter()
    with pytest.raises(InvalidInput, match=r"jams at.*min_distance below"):
        amorphous(1000, 5.0, 0.9, seed=0)
    assert time.perf_counter() - start < 1


def test_attempts_run_out_with_an_error_that_counts():
    with pytest.raises(InvalidInput, match=r"placed \d+ of 70 sites"):
        amorphous(70, 2.0, 0.43, seed=0, max_attempts_per_site=20)


@pytest.mark.parametrize(
    "arguments",
    [
        {"n_sites": 0},
        {"box": -1.0},
        {"box": float("nan")},
        {"min_distance": -0.1},
        {"min_distance": 6.0},
    ],
)
def test_bad_arguments(arguments):
    with pytest.raises(InvalidInput):
        amorphous(**{"n_sites": 10, "box": 5.0, "min_distance": 0.5, "seed": 0, **arguments})


def test_configured_packings_are_numbered_from_their_seed():
    described = {"kind": "amorphous", "n_sites": 20, "box": 4.0, "min_distance": 0.5}
    several = AmorphousConfig.model_validate({**described, "seed": 3, "count": 2}).build()
    assert several.n_graphs == 2
    for number, part in enumerate(several.parts, start=3):
        assert part.fingerprint == amorphous(20, 4.0, 0.5, seed=number).fingerprint
        alone = AmorphousConfig.model_validate({**described, "seed": number}).build()
        assert alone.fingerprint == part.fingerprint
