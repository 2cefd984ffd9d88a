"""What is measured before the first round: reach, sizes, solver, ladder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import gnnspin as gs
from gnnspin.core.config_file import read_config
from gnnspin.core.spins import random_spins
from gnnspin.learning import LearnConfig
from gnnspin.learning.exact import choose_solver, exact_source
from gnnspin.learning.ladder import affordable, first_solved, ladder, models_for
from gnnspin.learning.places import Place
from gnnspin.learning.reach import Reach, label_system, measured_on, quick_reach
from gnnspin.systems.config import AmorphousConfig, LatticeConfig


def configuration(**changes: Any) -> LearnConfig:
    values = {
        "hamiltonian": {"J": 4.0},
        "kT": 0.1,
        "mu": -2.0,
        "runs": [{"system": {"kind": "square", "shape": [6, 6]}, "duration": 20.0}],
    }
    return LearnConfig.model_validate({**values, **changes})


def test_neighbours_alone_reach_no_farther_than_neighbours() -> None:
    reach = quick_reach(gs.classical.Heisenberg(gs.systems.square(8, 8), J=1.0), seed=0)
    assert all(floor == pytest.approx(0.0, abs=1e-12) for floor in reach.floors)


def test_exchange_beyond_a_radius_is_its_floor() -> None:
    """J at the fourth shell (distance sqrt 5), none else: all of the torque is missed within 2, none beyond 3."""
    system = gs.systems.square(10, 10)
    reach = quick_reach(gs.classical.Heisenberg(system, J=[0.0, 0.0, 0.0, 1.0]), seed=0)
    assert reach.floors[0] == pytest.approx(1.0, abs=0.35)
    assert max(reach.floors[1:]) < 1e-12
    assert reach.needed(0.1) == pytest.approx(3.05)
    assert reach.floor(2.5) == reach.floors[0]
    assert reach.floor(50.0) == reach.floors[-1]
    assert reach.floor(0.1) == reach.floors[0]


def test_a_ribbon_with_ends_and_a_cluster_are_measured_too() -> None:
    for system in (gs.systems.square(20, 6, pbc=(False, True)), gs.systems.chain(9, pbc=False)):
        reach = quick_reach(gs.classical.Heisenberg(system, J=1.0), seed=1)
        assert max(reach.floors) < 1e-12


def test_labels_are_solved_where_the_torque_finds_room() -> None:
    large = LatticeConfig(kind="triangular", shape=(200, 200))
    for radius in (4.0, 8.0, 11.0):
        system = label_system(large, radius).build()
        width = system.lattice_shape[0] * 3**0.5 / 2
        assert width > 2 * radius
    assert label_system(LatticeConfig(kind="triangular", shape=(6, 6)), 8.0).shape == (6, 6)
    ribbon = LatticeConfig(kind="square", shape=(500, 8), pbc=(False, True))
    assert label_system(ribbon, 3.0).shape[1] == 8


def test_large_packings_are_cut_at_equal_density_and_new_in_every_round() -> None:
    config = AmorphousConfig(kind="amorphous", n_sites=1200, box=12.0, min_distance=0.5)
    smaller = label_system(config, 4.0)
    assert smaller.n_sites / smaller.box**3 == pytest.approx(1200 / 12.0**3)
    first, second = Place.of(smaller, 0), Place.of(smaller, 1)
    assert len(first.configs) == smaller.count > 1
    assert not set(first.system.parts) & set(second.system.parts)
    assert [config.build() for config in first.configs] == list(first.system.parts)
    assert measured_on(config).n_sites == smaller.n_sites


def test_the_cheapest_good_solver_is_chosen_and_is_good() -> None:
    config, system, target = configuration(), gs.systems.square(6, 6), 0.05
    chosen, *others = choose_solver(config, system, target)
    spins = random_spins(36, seed=9)
    exact = gs.electrons.ExactDiagonalization(gs.electrons.SDHamiltonian(system, J=4.0), kT=0.1, mu=-2.0)
    found = exact_source(config, chosen.settings, system)
    error = (found.torque(spins) - exact.torque(spins)).square().mean() / exact.torque(spins).square().mean()
    assert error.sqrt() < 0.2 * target
    assert all(each.seconds >= chosen.seconds or each.error > 0.1 * target for each in others)


def test_zero_temperature_is_diagonalised() -> None:
    config = configuration(kT=0.0)
    assert choose_solver(config, gs.systems.square(4, 4), 0.05)[0].settings == {"kind": "exact_diagonalization"}
    with pytest.raises(ValueError, match="positive temperature"):
        configuration(kT=0.0, solver={"kind": "pole_expansion"})


def test_the_ladder_goes_up_in_size_and_fixes_the_number_with_the_filling() -> None:
    """In an order that no timing changes."""
    system = gs.systems.square(6, 6)
    found = ladder(configuration(), system, 4.0)
    assert [model.hyperparameters["layers"] for model, _ in found] == [2, 2, 3, 4]
    for each in (gs.systems.simple_cubic(4, 4, 4), gs.systems.amorphous(30, 3.4, 0.5, seed=0)):
        widths = [model.hyperparameters["hidden"] for model, _ in ladder(configuration(), each, 4.0)]
        assert widths == sorted(widths)
    assert not any("fixed_number" in model.hyperparameters for model, _ in found)
    assert affordable(found, 1.0) == found[:1]
    fixed = ladder(configuration(mu=None, filling=0.3), gs.systems.amorphous(30, 3.4, 0.5, seed=0), 2.0)
    assert all(model.hyperparameters["fixed_number"] for model, _ in fixed)
    own = [{"name": "spin_cluster_expansion", "cutoff": 1.5}]
    assert [model.cutoff for model, _ in ladder(configuration(ladder=own), system, 4.0)] == [1.5]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"filling": 0.2}, "either mu or filling"),
        ({"mu": None}, "either mu or filling"),
        ({"target": 1.5}, "share of the torque"),
        ({"label_systems": [{"kind": "square", "shape": [4, 4]}] * 2}, "2 label_systems for 1 runs"),
        ({"solver": {"kind": "pole_expansion", "tolerance": -1.0}}, "tolerance"),
        ({"solver": {"kind": "pole_expansion", "kT": 0.2}}, "kT belongs beside it"),
        ({"runs": []}, "at least 1"),
        ({"budget": {"labels": 3}}, "greater than or equal"),
    ],
)
def test_wrong_configurations_are_refused_with_their_values(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        configuration(**changes)


def test_reach_that_was_never_small_enough_is_the_largest() -> None:
    assert Reach([1.0, 2.0], [0.5, 0.2]).needed(0.1) == 2.0
    assert Reach([1.0, 2.0], [0.5, 0.05]).needed(0.1) == 2.0


@pytest.mark.parametrize(
    "system",
    [
        {"kind": "chain", "shape": [40]},
        {"kind": "honeycomb", "shape": [40, 40]},
        {"kind": "kagome", "shape": [40, 40]},
        {"kind": "fcc", "shape": [40, 40, 40]},
        {"kind": "pyrochlore", "shape": [20, 20, 20]},
        {"kind": "square", "shape": [4, 30], "pbc": [False, True]},
    ],
)
def test_every_lattice_has_models_that_can_be_built(system: dict[str, Any]) -> None:
    config = configuration(runs=[{"system": system, "duration": 10.0}])
    small = config.runs[0].system.model_copy(update={"shape": tuple(min(n, 4) for n in system["shape"])}).build()
    for radius in (3.0, 8.0):
        for model in models_for(config, small, radius * small.spacing):
            assert model.build(small).n_parameters > 0
    assert measured_on(config.runs[0].system).build().n_sites < 1000


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "scripts" / "learning").glob("*.yaml")), ids=str)
def test_the_configurations_of_the_documentation_are_valid(path: Path) -> None:
    assert read_config(path, LearnConfig).runs


@pytest.mark.parametrize(("fixed", "fewest"), [({"mu": -2.0}, 2), ({"mu": None, "filling": 0.3}, 3)])
def test_models_without_a_limit_of_range_end_the_ladder_of_one_sparse_hamiltonian(
    fixed: dict[str, Any], fewest: int
) -> None:
    """With the electrons that are learned; one more pole at fixed filling; none where they were not asked for."""
    config, system = configuration(**fixed), gs.systems.square(10, 10)
    rungs = ladder(config, system, 4.0, poles=True)
    first = first_solved(rungs)
    assert first is not None
    assert [model.hyperparameters["poles"] for model, _ in rungs[first:]] == [fewest, fewest + 1]
    model = rungs[first][0].build(system)
    recipe = model.hyperparameters.hamiltonian  # type: ignore[attr-defined]
    assert recipe.build(system).J == 4.0
    assert (model.hyperparameters.mu, model.hyperparameters.filling) == (config.mu, config.filling)  # type: ignore[attr-defined]
    assert affordable(rungs, 1.0)[1:] == rungs[first:]
    assert first_solved(ladder(config, system, 4.0)) is None
    wide = gs.systems.SpinSystem(3 * system.positions, 3 * system.cell, system.pbc)
    rungs = ladder(config, wide, 12.0, poles=True)
    assert gs.ForceField(rungs[-1][0].build(wide), wide).field(random_spins(100, seed=0)).shape == (100, 3)
