"""A learning over a range of Hamiltonians: points, labels, errors by point, what is kept and what is refused."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gnnspin as gs
from gnnspin.core import InvalidInput
from gnnspin.core.spins import normalize
from gnnspin.datasets import LabelStore
from gnnspin.datasets.conditions import parameter_value
from gnnspin.force_fields import last_layer
from gnnspin.learning import LearnConfig, engine, learn, rounds
from gnnspin.learning.exact import choose_solver, exact_source
from gnnspin.learning.ladder import ladder
from gnnspin.learning.ranges import N_POINTS
from gnnspin.learning.setup import fastest
from gnnspin.learning.visits import Visits

CONFIG: dict[str, Any] = {
    "hamiltonian": {},
    "kT": 0.2,
    "filling": 0.3,
    "family": {"J": [2.0, 4.0]},
    "runs": [{"system": {"kind": "triangular", "shape": [9, 9]}, "duration": 10.0, "damping": 0.2, "kT": 0.05}],
    "label_systems": [{"kind": "triangular", "shape": [6, 6]}],
    "solver": {"kind": "exact_diagonalization"},
    "ladder": [
        {
            "name": "spin_cluster_expansion",
            "cutoff": 1.1,
            "hyperparameters": {"layers": 1, "channels": 2, "scalars": 0, "max_degree": 0, "hidden": 4},
        }
    ],
    "target": 0.001,
    "budget": {"minutes": 60, "labels": 44},
    "workers": 1,
}

SPINS = gs.core.random_spins(36, seed=0)


def configuration(**changes: Any) -> LearnConfig:
    return LearnConfig.model_validate({**CONFIG, **changes})


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def short(patch: pytest.MonkeyPatch) -> None:
    """Rounds that take seconds, and costs that are the same in every process."""
    patch.setattr(rounds, "_EPOCHS", (2, 2))
    patch.setattr(rounds, "_REPLICAS", (2, 2))
    patch.setattr(last_layer, "_STEPS", 50)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A learning over J that runs through at once."""
    folder = tmp_path_factory.mktemp("learning") / "run"
    with pytest.MonkeyPatch.context() as patch:
        short(patch)
        found = learn(configuration(), folder, progress=False)
    return folder, found


def test_every_round_has_its_own_points_and_all_lie_in_the_ranges() -> None:
    ranges = {"J": (1.0, 6.0), "filling": (0.1, 0.5)}
    config = configuration(family=ranges, filling=None)
    first = [tuple(point.values()) for point in config.points(0)]
    assert first == [(3.5, 0.3), *itertools.product(*ranges.values())]
    later = [tuple(point.values()) for number in range(1, 7) for point in config.points(number)]
    assert len({*first, *later}) == len(first) + 6 * N_POINTS
    scaled = [(np.array(later)[:, k] - low) / (high - low) for k, (low, high) in enumerate(ranges.values())]
    for shares in scaled:
        assert (np.histogram(shares, bins=4, range=(0, 1))[0] >= 4).all()
    assert config.points(2) != configuration(family=ranges, filling=None, seed=1).points(2)
    assert configuration(family=None, hamiltonian={"J": 3.0}).points(5) == [{}]


def test_labels_are_solved_at_the_point_that_they_record(learned: tuple[Path, Any]) -> None:
    folder, found = learned
    for k, name in itertools.product(range(len(found.rounds)), ("labels", "tests")):
        store = LabelStore(folder / f"round_{k:02d}" / f"{name}.h5")
        couplings = [parameter_value("J", label.provenance) for label in store]
        visited_in = k if name == "tests" else max(0, k - 1)
        assert set(couplings) <= {point["J"] for point in configuration().points(visited_in)}
        assert len(set(couplings)) > 1
        for label, J in zip(store, couplings, strict=True):
            hamiltonian = gs.electrons.SDHamiltonian(label.system, J=J)
            exact = gs.electrons.ExactDiagonalization(hamiltonian, kT=0.2, filling=0.3)
            np.testing.assert_allclose(label.field, exact.field(label.spins), atol=1e-10)


def test_every_point_is_tested_in_every_stretch_of_time_and_told_apart(learned: tuple[Path, Any]) -> None:
    folder, found = learned
    tests = LabelStore(folder / "round_00" / "tests.h5")
    assert {each.n_snapshots for each in found.rounds[0].points} == {len(tests) // 3}
    assert len(found.rounds[0].stretches) == 3
    for error in found.rounds[0].points:
        own = [label for label in tests if f"J = {parameter_value('J', label.provenance):g}" == error.name]
        family = gs.load(folder / "round_00" / "model.safetensors", tests.systems[0])
        member = family.at(J=parameter_value("J", own[0].provenance))
        squares = [float((member.torque(each.spins) - each.torque).square().mean()) for each in own]
        assert error.torque_rmse == pytest.approx(np.mean(squares) ** 0.5, rel=1e-5)


def test_a_target_of_trajectories_is_the_largest_angle_over_the_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short(monkeypatch)
    config = configuration(target={"angle": 3.2, "after": 2.0})
    found = learn(config, tmp_path / "run", progress=False)
    assert found.stop == "target"
    assert len(found.rounds) == 1
    folder, drawn = tmp_path / "run" / "round_00", gs.runs.read_json(tmp_path / "run/round_00/tested_states.json")
    tests, angles = LabelStore(folder / "tests.h5"), []
    for d, point in enumerate(config.points(0)):
        own = [k for k, where in enumerate(drawn) if where[0] == d]
        label, ends = tests[own[len(own) // 2]], []
        hamiltonian = gs.electrons.SDHamiltonian(label.system, J=point["J"])
        exact = gs.electrons.ExactDiagonalization(hamiltonian, kT=0.2, filling=0.3)
        for source in (exact, gs.load(folder / "model.safetensors", label.system).at(**point)):
            step = gs.runs.read_json(tmp_path / "run/setup.json")["steps"][0]
            n_steps = max(1, round(2.0 / step))
            run = gs.dynamics.simulate(source, label.spins, dt=step, n_steps=n_steps, damping=0.2, progress=False)
            ends.append(run.spins)
        angles.append(gs.core.spins.rms_angle(*ends))
    assert found.rounds[0].angle == pytest.approx(max(angles), rel=1e-6)
    assert max(angles) > 1.01 * min(angles)


def test_models_of_two_rounds_are_compared_on_the_tests_of_the_later(learned: tuple[Path, Any]) -> None:
    folder, found = learned
    tests = LabelStore(folder / "round_01" / "tests.h5")
    errors = [
        gs.training.evaluate(gs.load(folder / f"round_{k:02d}" / "model.safetensors", tests.systems[0]), tests)
        for k in (0, 1)
    ]
    assert found.rounds[1].change == pytest.approx(errors[1].torque_rmse / errors[0].torque_rmse, rel=1e-5)
    assert found.rounds[0].change == 1.0


def test_it_leaves_a_family_with_error_bars_and_a_report_by_point(learned: tuple[Path, Any]) -> None:
    folder, found = learned
    force_field = gs.load(folder / "model.safetensors", gs.systems.triangular(6, 6)).at(J=2.7)
    torque, radius = force_field.torque_with_error_bar(SPINS)
    assert radius.shape == torque.shape[:-1]
    assert found.rounds[-1].n_labels <= CONFIG["budget"]["labels"]
    report = (folder / "report.md").read_text(encoding="utf-8")
    assert "J from 2 to 4" in report
    worst = found.rounds[found.best].worst_point
    assert f"at worst {100 * worst.relative:.1f} % at {worst.name}" in report
    for point in found.rounds[found.best].points:
        assert f"| {point.name} |" in report


def test_the_full_size_is_run_at_the_point_of_the_best_round_nearest_to_the_middle(learned: tuple[Path, Any]) -> None:
    folder, found = learned
    J = min((point["J"] for point in configuration().points(found.best)), key=lambda value: abs(value - 3.0))
    run = Visits.read(folder / f"round_{found.best:02d}" / "full_size_0.npz")
    system = gs.systems.triangular(9, 9)
    exact = gs.electrons.ExactDiagonalization(gs.electrons.SDHamiltonian(system, J=J), kT=0.2, filling=0.3)
    assert len(found.full_size.errors) == 3
    for each in found.full_size.errors:
        spins = torch.from_numpy(run.spins[int(np.argmin(np.abs(run.times - each.first))), 0]).double()
        assert each.torque_rms == pytest.approx(float(exact.torque(normalize(spins)).square().mean().sqrt()), rel=1e-5)


def test_a_killed_learning_goes_on_as_if_it_had_not_been(
    learned: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, found = learned
    short(monkeypatch)
    make_tests = engine.make_tests

    def killed(context: Any, this: Any, plan: Any) -> None:
        if this.number == 1:
            raise Killed
        make_tests(context, this, plan)

    monkeypatch.setattr(engine, "make_tests", killed)
    with pytest.raises(Killed):
        learn(configuration(), tmp_path / "run", progress=False)
    assert (tmp_path / "run" / "round_01" / "model.safetensors").exists()
    monkeypatch.setattr(engine, "make_tests", make_tests)
    again = learn(configuration(), tmp_path / "run", progress=False, resume=True)
    assert [each.stretches for each in again.rounds] == [each.stretches for each in found.rounds]
    assert [each.points for each in again.rounds] == [each.points for each in found.rounds]
    fields = [
        gs.load(where / "model.safetensors", gs.systems.triangular(6, 6)).at(J=2.7).field(SPINS)
        for where in (folder, tmp_path / "run")
    ]
    assert (fields[0] == fields[1]).all()


def test_every_rung_is_a_family_of_the_ranges_chosen_in_their_middle() -> None:
    config = configuration(ladder=None)
    assert config.hamiltonian.J == 3.0
    models = [model for model, _ in ladder(config, gs.systems.triangular(6, 6), 4.0)]
    assert len(models) > 1
    assert all(model.conditions == {"J": (2.0, 4.0)} for model in models)


def test_time_steps_are_those_of_the_fastest_point() -> None:
    """At fixed filling torques first grow with the coupling: the fastest member is at the upper end of a weak range."""
    config = configuration(family={"J": [0.2, 1.0]})
    system = gs.systems.triangular(6, 6)
    slow, *others = [exact_source(config.at({"J": J}), CONFIG["solver"], system) for J in (0.2, 0.6, 1.0)]
    assert fastest(config.runs[0], [slow, *others]) is others[-1]
    assert fastest(config.runs[0], [slow]) is slow


def test_a_solver_is_as_wrong_as_in_the_worst_corner() -> None:
    config = configuration(family={"kT": [0.05, 0.4]}, kT=None, solver=None, hamiltonian={"J": 3.0})
    system, spins = gs.systems.triangular(6, 6), gs.core.random_spins(36, seed=config.seed)
    for solver in choose_solver(config, system, 0.1):
        errors = []
        for kT in (0.05, 0.225, 0.4):
            member = config.at({"kT": kT})
            exact = exact_source(member, CONFIG["solver"], system).torque(spins)
            given = exact_source(member, solver.settings, system).torque(spins)
            errors.append(float((given - exact).square().mean().sqrt() / exact.square().mean().sqrt()))
        assert solver.error == pytest.approx(max(errors), rel=1e-3, abs=1e-12)


def test_a_configuration_that_was_written_is_read_as_it_was() -> None:
    for config in (
        configuration(),
        configuration(family={"filling": [0.1, 0.4], "hopping.t": [0.8, 1.5]}, filling=None, hamiltonian={"J": 3.0}),
    ):
        assert LearnConfig.model_validate(config.model_dump(mode="json")) == config


def test_a_member_has_the_numbers_of_its_point() -> None:
    hamiltonian = {"J": 3.0, "hopping": {"kind": "shells", "amplitudes": [1.0, 0.2]}}
    config = configuration(family={"kT": [0.1, 0.3], "amplitudes.1": [0.0, 0.5]}, kT=None, hamiltonian=hamiltonian)
    member = config.at({"kT": 0.1, "amplitudes.1": 0.4})
    assert (config.kT, member.kT, member.filling, member.family) == (0.2, 0.1, 0.3, None)
    assert [each.arguments()["amplitudes"] for each in (config.hamiltonian.hopping, member.hamiltonian.hopping)] == [
        (1.0, 0.25),
        (1.0, 0.4),
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"family": {"U": [1.0, 2.0]}}, "there is no parameter 'U'; numbers here: .*hamiltonian.J"),
        ({"hamiltonian": {"J": 2.5}}, "J=2.5 is given as a number and, in family, as a range; leave one of them out"),
        ({"family": {"filling": [0.1, 0.5]}, "filling": "1/4"}, "filling=1/4 is given as a number and"),
        ({"family": {"mu": [-3.0, 1.0]}}, "give either mu or filling"),
        ({"family": {"J": [-1.0, 2.0]}}, r"range of J is \[-1, 2\]; give one above 0"),
        ({"family": {"hamiltonian.J": [-1.0, 2.0]}}, r"range of J is \[-1, 2\]; give one above 0"),
        ({"family": {"filling": [0.5, 1.2]}, "filling": None}, r"range of filling is \[0.5, 1.2\]; give one between"),
        ({"family": {"kT": [0.0, 0.2]}, "kT": None}, r"range of kT is \[0, 0.2\]; give one above 0"),
        ({"family": {"J": [4.0, 2.0]}}, r"range of J is \[4, 2\]; give \[low, high\]"),
        ({"family": {"spin_fraction": [0.6, 1.2]}}, r"at {'spin_fraction': 1.2}: hamiltonian: .*spin_fraction=1.2"),
        ({"family": {}}, "at least 1"),
        ({"ladder": [{**CONFIG["ladder"][0], "conditions": {"J": [2.0, 4.0]}}]}, "give these ranges as family"),
    ],
)
def test_what_is_not_meant_is_refused_with_its_remedy(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        configuration(**changes)


def test_labels_that_do_not_suffice_for_the_first_round_are_refused(tmp_path: Path) -> None:
    config = configuration(family={"J": [2.0, 4.0], "kT": [0.1, 0.3]}, kT=None, budget={"labels": 34})
    with pytest.raises(InvalidInput, match=r"budget.labels=34 is too small.* 4 corners .*give 35 or more"):
        learn(config, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()
