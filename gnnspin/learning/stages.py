"""The stages of a round: labels, training, runs, tests, errors; each finds what an earlier process has left."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from gnnspin.core.source import FieldSource
from gnnspin.core.spins import rms_angle
from gnnspin.datasets import LabelStore, holdout
from gnnspin.datasets.labels import LabelSet
from gnnspin.dynamics import simulate
from gnnspin.force_fields.files import load, save
from gnnspin.force_fields.force_field import ForceField
from gnnspin.force_fields.members import member_or_itself
from gnnspin.labels.plan import derived_seed
from gnnspin.learning.config import IntendedRun, TrajectoryTarget
from gnnspin.learning.context import Context, Round, evenly
from gnnspin.learning.ladder import learning_rate, solved
from gnnspin.learning.rounds import ENOUGH_STEPS, RoundPlan, RoundResult, StretchError, limit_of
from gnnspin.learning.setup import torque_target
from gnnspin.learning.states import first_states, tested_states, worthy_states
from gnnspin.learning.visits import STRETCHES, Visits, visited
from gnnspin.models.blocks.layered_expansion import LayeredExpansion
from gnnspin.runs import write_json
from gnnspin.training import TrainingConfig, evaluate, fit
from gnnspin.training.evaluate import PartErrors

#: Labels that choose the weights, and labels on which the training error is measured, at most.
_VALIDATION, _TRAINED = 24, 24

#: Sites of a batch; steps from which weights are averaged over a thousand of them, not a hundred.
_BATCH_SITES, _LONG_TRAINING = 250, 10_000


def make_labels(context: Context, this: Round, plan: RoundPlan) -> None:
    """Solve states to train on: at first those of exact runs, then those that the last round's runs visited."""
    if this.number == 0:
        states = first_states(context, this, plan.n_labels)
    else:
        states = worthy_states(context, context.round(this.number - 1), plan.n_labels)
    context.solve(states, this.folder, "labels")


def train_model(context: Context, this: Round, plan: RoundPlan) -> None:
    """Train on all labels so far: the model of the round before further, or a new one."""
    if this.model.exists():
        return
    train, validation = _training_sets(context, this)
    system = train.systems[0]
    if plan.further:
        model = load(context.round(this.number - 1).model, system).model
    else:
        model = context.setup.rungs[plan.rung][0].build(system, train)
    batch = _batch_size(train)
    settings = TrainingConfig(
        max_epochs=plan.epochs,
        learning_rate=learning_rate(context.setup.rungs[plan.rung][0]),
        batch_size=batch,
        validate_every=max(1, plan.epochs // 10),
        ema=0.99 if len(train) * plan.epochs < _LONG_TRAINING * batch else 0.999,
        seed=derived_seed(context.config.seed, 7, this.number) % 2**31,
    )
    result = fit(
        model, train, validation, settings, directory=this.folder / "training", trained=plan.further, resume=True,
        progress=context.progress,
    )  # fmt: skip
    if result.interrupted:
        raise KeyboardInterrupt
    write_json(this.trained, {"seconds_per_label": result.seconds / (plan.epochs * len(train))})
    save(result.force_field, this.model)


def _batch_size(labels: LabelSet) -> int:
    """Snapshots of one step: one lattice, a few small packings."""
    return max(1, round(_BATCH_SITES / float(np.mean([each.n_sites for each in labels.systems]))))


def _training_sets(context: Context, this: Round) -> tuple[LabelSet, LabelSet]:
    """Labels to train on, and others that choose the weights: tests of earlier rounds, as soon as there are any."""
    labels = context.labels(this.number + 1)
    if this.number == 0:
        return holdout(labels, 0.15, seed=context.config.seed)
    tests = context.tests(this.number)
    return labels, tests.subset(evenly(len(tests), _VALIDATION))


def make_runs(context: Context, this: Round, plan: RoundPlan) -> None:
    """Drive the intended runs by the model of this round."""
    for j, drive in enumerate(context.drives(this.number)):
        if not this.visits(j).exists():
            seed = derived_seed(context.config.seed, 1, this.number, j)
            replicas = max(1, plan.replicas // len(drive.place.configs))
            system = drive.place.system
            visited(
                context.config.runs[drive.run], system, context.field(this.model, system, drive.point),
                context.setup.steps[drive.run], replicas=replicas, seed=seed, progress=context.progress,
            ).write(this.visits(j))  # fmt: skip


def make_tests(context: Context, this: Round, plan: RoundPlan) -> None:
    """Solve visited states that were drawn at random."""
    context.solve(tested_states(context, this, plan.n_tests), this.folder, "tests")


def found_errors(context: Context, this: Round, plan: RoundPlan, before: RoundResult | None) -> RoundResult:
    """Errors of the model of this round on the states of its runs, and what limits them; its time is yet unknown."""
    tests, labels = LabelStore(this.tests), context.labels(this.number + 1)
    force_field = load(this.model, tests.systems[0])
    trained = evaluate(force_field, labels.subset(evenly(len(labels), _TRAINED)))
    training_error = trained.torque_rmse / trained.torque_rms
    made = len(labels) + len(context.tests(this.number + 1))
    stretches = _stretch_errors(context, this, force_field, tests)
    angle = _trajectory_angle(context, this, tests)
    steps = plan.epochs * math.ceil(len(labels) / _batch_size(labels)) + (
        before.n_steps if before is not None and plan.further else 0
    )
    points, change = _errors_by_point(context, this, force_field, tests)
    result = RoundResult(plan, len(labels), made, steps, 0.0, training_error, stretches, "data", angle, points, change)
    if solved(context.setup.rungs[plan.rung][0]):
        floor, steps = 0.0, ENOUGH_STEPS
    else:
        floor = context.setup.reach.floor(2 * _reach(member_or_itself(force_field, context.config.middle)))
    limit = limit_of(training_error, result.error, torque_target(context.config), floor, steps)
    return replace(result, limit=limit)


def _reach(force_field: ForceField) -> float:
    """Radius of a site energy of the model, apart from the chemical potential that all sites share."""
    model = force_field.model
    return model._reach if isinstance(model, LayeredExpansion) else model.receptive_radius


def _stretch_errors(context: Context, this: Round, force_field: ForceField, tests: LabelStore) -> list[StretchError]:
    """Errors by stretch of time of each intended run, at all points together."""
    drawn, found = this.tested_states() or [], []
    drives = context.drives(this.number)
    visits = [Visits.read(this.visits(d)) for d in range(len(drives))]
    for j in range(len(context.config.runs)):
        for stretch in range(STRETCHES):
            own = [k for k, (d, _, t, _) in enumerate(drawn) if drives[d].run == j and visits[d].stretch(t) == stretch]
            if own:
                at = [float(visits[d].times[t]) for d, _, t, _ in (drawn[k] for k in own)]
                errors = evaluate(force_field, tests.subset(own))
                found.append(StretchError(j, min(at), max(at), errors.torque_rms, errors.torque_rmse, len(own)))
    return found


def _errors_by_point(
    context: Context, this: Round, force_field: ForceField, tests: LabelStore
) -> tuple[list[PartErrors], float]:
    """Errors at the points of a family, and the error over that of the model of the round before; see `RoundResult`."""
    if context.config.family is None:
        return [], 1.0
    errors = evaluate(force_field, tests)
    if this.number == 0:
        return list(errors.by_parameters), 1.0
    before = evaluate(load(context.round(this.number - 1).model, tests.systems[0]), tests)
    return list(errors.by_parameters), errors.torque_rmse / before.torque_rmse


def _trajectory_angle(context: Context, this: Round, tests: LabelStore) -> float | None:
    """Largest error of a trajectory, each driven run from its middle tested state, where the target is one."""
    target = context.config.target
    if not isinstance(target, TrajectoryTarget):
        return None
    drawn, angles = this.tested_states() or [], []
    for d, drive in enumerate(context.drives(this.number)):
        own = [k for k, where in enumerate(drawn) if where[0] == d]
        if own:
            label = tests[own[len(own) // 2]]
            sources = (
                context.exact(label.system, drive.point), context.field(this.model, label.system, drive.point)
            )  # fmt: skip
            run, step = context.config.runs[drive.run], context.setup.steps[drive.run]
            angles.append(trajectory_angle(run, sources, label.spins, step, target.after))
    return max(angles)


def trajectory_angle(
    run: IntendedRun, sources: tuple[FieldSource, FieldSource], spins: torch.Tensor, dt: float, after: float
) -> float:
    """Root-mean-square angle in radians between the motions of spins (N, 3) under two sources, without noise."""
    ends = [
        simulate(
            source, spins, dt=dt, n_steps=max(1, round(after / dt)), damping=run.damping, integrator=run.integrator,
            progress=False,
        ).spins
        for source in sources
    ]  # fmt: skip
    return rms_angle(*ends)
