"""How rounds divide time and labels, and what follows from their errors."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import pytest

from gnnspin.learning.rounds import (
    ENOUGH_STEPS,
    Costs,
    RoundPlan,
    RoundResult,
    StretchError,
    best_of,
    limit_of,
    next_rung,
    number_of_rounds,
    share_of_round,
    stagnates,
)
from gnnspin.training.evaluate import PartErrors

COSTS = Costs(label=0.1, step=0.05, run=2.0)


def result(errors: tuple[float, ...], *, rung: int = 0, trained: float = 0.1) -> RoundResult:
    plan = RoundPlan(rung, False, 10, 3, 4, 6)
    stretches = [StretchError(0, k, k + 1, 0.5, 0.5 * error, 2) for k, error in enumerate(errors)]
    return RoundResult(plan, 100, 120, 5000, 60.0, trained, stretches, "data")


@pytest.mark.parametrize("rounds", [1, 3, 6])
def test_every_round_has_twice_the_time_of_the_one_before_and_nothing_is_left(rounds: int) -> None:
    left, times = 1.0, []
    for k in range(rounds):
        times.append(left * share_of_round(rounds - k))
        left -= times[-1]
    assert left == pytest.approx(0.0, abs=1e-12)
    assert all(after == pytest.approx(2 * before) for before, after in itertools.pairwise(times))


@pytest.mark.parametrize("seconds", [60.0, 600.0, 3600.0])
def test_a_plan_takes_about_the_time_it_is_given(seconds: float) -> None:
    plan = RoundPlan.within(seconds, COSTS, 100, 10_000, rung=0, further=True, n_runs=1)
    assert 0.5 * seconds < plan.seconds(COSTS, 100) < 1.3 * seconds


def test_a_plan_keeps_to_the_labels_that_are_left_and_tests_all_stretches_of_all_runs() -> None:
    plan = RoundPlan.within(3600.0, COSTS, 0, 50, rung=0, further=False, n_runs=2)
    assert plan.n_labels + plan.n_tests <= 50
    assert plan.n_tests % 6 == 0
    assert plan.n_tests > 0


def test_time_goes_to_training_where_labels_are_not_what_is_wanting():
    by_limit = {
        limit: RoundPlan.within(900.0, COSTS, 100, 10_000, rung=0, further=True, n_runs=1, limit=limit)
        for limit in ("data", "training", "capacity")
    }
    steps = {limit: plan.epochs * (100 + plan.n_labels) for limit, plan in by_limit.items()}
    assert by_limit["training"] == by_limit["capacity"]
    assert by_limit["training"].n_labels < 0.5 * by_limit["data"].n_labels
    assert steps["training"] > 1.3 * steps["data"]
    assert all(plan.seconds(COSTS, 100) < 1.3 * 900 for plan in by_limit.values())


def test_dear_training_steps_make_fewer_labels_not_fewer_passes() -> None:
    cheap = RoundPlan.within(600.0, COSTS, 0, 10_000, rung=0, further=False, n_runs=1)
    dear = RoundPlan.within(600.0, replace(COSTS, step=2.0), 0, 10_000, rung=0, further=False, n_runs=1)
    assert dear.n_labels < cheap.n_labels
    assert dear.epochs >= 3


def test_what_limits_the_error() -> None:
    enough = ENOUGH_STEPS
    assert limit_of(0.02, 0.2, 0.05, 0.0, enough) == "data"
    assert limit_of(0.2, 0.21, 0.05, 0.01, enough) == "capacity"
    assert limit_of(0.2, 0.21, 0.05, 0.18, enough) == "locality"
    assert limit_of(0.2, 0.21, 0.05, 0.01, enough - 1) == "training"
    assert limit_of(0.03, 0.035, 0.05, 0.0, enough) == "data"


def test_only_the_models_own_errors_lead_up_the_ladder() -> None:
    limited = replace(result((0.3, 0.3), trained=0.29), limit="capacity")
    assert next_rung([limited], 0.2, 5, None, 3) == 1
    assert next_rung([limited], 0.05, 5, None, 3) == 2
    assert next_rung([limited], 0.05, 2, None, 3) == 1
    assert next_rung([replace(limited, limit="data")], 0.05, 5, None, 3) == 0
    assert next_rung([replace(limited, limit="training")], 0.05, 5, None, 3) == 0


def test_a_model_without_a_limit_of_range_is_taken_where_others_will_not_do() -> None:
    """Where the range limits, or the pace of the rounds is too slow for the target; not where it is fast enough."""
    far = replace(result((0.3, 0.3), trained=0.29), limit="locality")
    assert next_rung([far], 0.25, 6, 4, 3) == 4
    slow = [replace(result((worst, worst), trained=0.05), limit="data") for worst in (0.32, 0.3)]
    assert next_rung(slow, 0.1, 6, 4, 3) == 4
    fast = [replace(result((worst, worst), trained=0.05), limit="data") for worst in (0.5, 0.3)]
    assert next_rung(fast, 0.1, 6, 4, 3) == 0
    assert next_rung(fast, 0.1, 6, 4, 1) == 4
    assert next_rung(slow, 0.1, 4, None, 3) == 0
    climbing = replace(result((0.2, 0.2), trained=0.19), limit="capacity")
    assert next_rung([climbing], 0.1, 6, 1, 5) == 1
    beyond = replace(climbing, plan=replace(climbing.plan, rung=4))
    assert next_rung([beyond], 0.1, 6, 4, 3) == 5
    worse = replace(result((0.9, 0.9), trained=0.89, rung=4), limit="capacity")
    assert next_rung([*slow, worse], 0.1, 6, 4, 2) == 0
    assert next_rung([*slow, worse, slow[-1]], 0.1, 6, 4, 1) == 0
    top = replace(climbing, plan=replace(climbing.plan, rung=3))
    assert next_rung([top, worse, top], 0.1, 6, 4, 1) == 3


def test_the_worst_stretch_counts_unless_its_torque_has_died() -> None:
    assert result((0.1, 0.3, 0.2)).worst == pytest.approx(0.3)
    dead = StretchError(0, 3, 4, 0.01, 0.02, 2)
    both = result((0.1, 0.3))
    assert replace(both, stretches=[*both.stretches, dead]).worst == pytest.approx(0.3)
    assert result((0.1, 0.3)).error == pytest.approx(((0.1**2 + 0.3**2) / 2) ** 0.5)


def test_stagnation_needs_two_rounds_of_one_model() -> None:
    slow = [result((0.3,)), result((0.295,)), result((0.29,))]
    assert stagnates(slow)
    assert not stagnates(slow[:2])
    assert not stagnates([result((0.3,)), result((0.25,)), result((0.24,))])
    assert not stagnates([result((0.3,), rung=0), result((0.295,), rung=1), result((0.29,), rung=1)])
    assert best_of([result((0.3,)), result((0.2,)), result((0.25,))]) == 1


def test_rounds_of_a_family_are_compared_on_the_same_tests_not_by_the_points_they_met() -> None:
    points = [PartErrors("J = 2", 3, 0.1, 0.5)]
    easy, hard = result((0.2,)), replace(result((0.3,)), change=0.8, points=points)
    assert best_of([easy, hard]) == 1
    assert not stagnates([easy, hard, hard])
    assert stagnates([easy, hard, replace(hard, change=0.97), replace(hard, change=1.02)])
    assert best_of([easy, hard, replace(hard, change=0.97), replace(hard, change=1.02)]) == 2
    assert RoundResult.restored(json.loads(json.dumps(hard.record()))) == hard


def test_a_result_is_found_again_as_it_was() -> None:
    found = replace(result((0.1, 0.2)), angle=0.3)
    assert RoundResult.restored(json.loads(json.dumps(found.record()))) == found


def test_short_budgets_have_three_rounds_and_long_ones_six() -> None:
    assert [number_of_rounds(60 * minutes) for minutes in (1, 8, 120, 1000)] == [3, 4, 6, 6]


def test_replicas_offer_several_states_for_each_label_of_the_next_round_where_that_is_affordable() -> None:
    plan = RoundPlan.within(600.0, COSTS, 0, 10_000, rung=0, further=False, n_runs=1)
    assert plan.replicas == 16
    dear = RoundPlan.within(600.0, replace(COSTS, run=30.0), 0, 10_000, rung=0, further=False, n_runs=1)
    assert dear.replicas == 6
    few = RoundPlan.within(600.0, replace(COSTS, run=30.0), 0, 30, rung=0, further=False, n_runs=1)
    assert few.replicas == 3
