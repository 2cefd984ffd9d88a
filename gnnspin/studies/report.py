"""The report a study leaves: its figures as numbers, in Markdown."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gnnspin.analysis.curl import CurlAgreement
from gnnspin.analysis.trajectory_result import TrajectoryAnalysis
from gnnspin.observables.growth import GrowthComparison
from gnnspin.runs import write_text
from gnnspin.runs.stages import Stages
from gnnspin.studies.errors import OwnErrors
from gnnspin.studies.exact_and_learned import Agreement
from gnnspin.studies.motions import Movement
from gnnspin.studies.series import Point
from gnnspin.studies.study import Study
from gnnspin.studies.tables import curl_sections, motion_headlines, motion_sections, section, with_error
from gnnspin.training import Evaluation
from gnnspin.training.evaluate import r2


@dataclass
class Results:
    """Results of a study, from which its report is written.

    Attributes
    ----------
    study : Study
    errors : dict
        Held-out errors: "all", and one entry per kind of snapshot; empty where a pretrained model was used.
    of_models : dict
        Held-out errors of the study's model and its rivals, by name: one per seed.
    own : dict
        Errors of learned runs on their own states, by run.
    analyses, agreements : dict
        By the names of runs and of comparisons.
    series : dict
        Observables against a parameter, by the name of the series.
    motions : dict
        Motions of walls and skyrmions, by name.
    curls : dict
        Curls of the models against the exact one, by name and model.
    """

    study: Study
    errors: dict[str, Evaluation] = field(default_factory=dict)
    of_models: dict[str, list[Evaluation]] = field(default_factory=dict)
    own: dict[str, list[OwnErrors]] = field(default_factory=dict)
    analyses: dict[str, TrajectoryAnalysis] = field(default_factory=dict)
    agreements: dict[str, Agreement] = field(default_factory=dict)
    series: dict[str, list[Point]] = field(default_factory=dict)
    motions: dict[str, list[Movement]] = field(default_factory=dict)
    curls: dict[str, dict[str, CurlAgreement]] = field(default_factory=dict)


def write_report(results: Results, stages: Stages, folder: Path) -> list[str]:
    """Write ``report.md`` into `folder`.

    Returns
    -------
    list of str
        The headline figures, then every file a reader would open.
    """
    study, headline = results.study, _headline(results, stages)
    figures = sorted(folder.glob("*.png")) + sorted(folder.glob("analysis/*/*.png"))
    text = [
        f"# {study.title}",
        study.question,
        *([f"Reference: {study.reference}"] if study.reference else []),
        "\n".join(f"- {line}" for line in headline),
        *_held_out(results.errors),
        *_models(results),
        *curl_sections(results.curls),
        *_own(results),
        *_agreements(results.agreements),
        *_series(results),
        *motion_sections(study.motions, results.motions),
        *_observables(results.analyses),
        *_cost(study, stages),
        "## Figures",
        *(f"![{path.stem.replace('_', ' ')}]({path.relative_to(folder)})" for path in figures),
        "The configuration of everything is in `study.json`.",
    ]
    write_text(folder / "report.md", "\n\n".join(text) + "\n")
    tables = sorted(folder.glob("analysis/*/observables.csv"))
    models = sorted(folder.glob("training/model.safetensors")) + sorted(
        folder.glob("rounds/*/training/model.safetensors")
    )
    return [*headline, *(str(path) for path in [folder / "report.md", *figures, *tables, *models])]


def _headline(results: Results, stages: Stages) -> list[str]:
    lines = []
    if "all" in results.errors:
        overall = results.errors["all"]
        lines.append(
            f"held-out torque: {r2(overall.torque_r2)}, RMSE {overall.torque_rmse:.5f} t per component "
            f"(signal {overall.torque_rms:.4f})"
        )
    for run, errors in results.own.items():
        worst = max(errors, key=lambda each: each.relative)
        verdict = "within" if worst.relative <= results.study.allowed_error else "ABOVE"
        lines.append(
            f"{run}: torque error on its own states at most {100 * worst.relative:.1f} % (time {worst.time:g}), "
            f"{verdict} the {100 * results.study.allowed_error:g} % asked for"
        )
    for name, agreement in results.agreements.items():
        deviations = [abs(each.deviation) for each in agreement.differences]
        if deviations:
            lines.append(
                f"{name}: means differ by at most {max(deviations):.1f} standard errors at {len(deviations)} points"
            )
        lines += [
            f"{name}: {each.observable} at time {each.time:g} differs by {each.difference:.2g} of {each.signal:.2g} "
            f"(rms over distances), {each.chi_square**0.5:.1f} standard errors"
            for each in agreement.profiles
        ]
    lines += motion_headlines(results.motions)
    for run, found in results.analyses.items():
        lines += [f"{run}: {name} {_value(found, name)} at the end" for name in _scalars(found)]
        lines += [f"{run}: growth of {name}: {_laws(law)}" for name, law in found.growth.items()]
    seconds, memory = sum(stages.seconds.values()), stages.peak_memory / 2**30
    return [*lines, f"wall time {seconds:.0f} s, peak memory {memory:.2f} GiB"]


def _laws(found: GrowthComparison) -> str:
    """The preferred law, and the exponent of a power of the time where that was fitted."""
    exponent = found.fits["power"].exponent if "power" in found.fits else None
    return f"{found.preferred} preferred" + ("" if exponent is None else f", exponent {exponent} of a power")


#: Columns of errors on labels, with the numbers of `_errors_of`.
_ERRORS = ("number", "signal", "RMSE", "mean square per spin", "R2")


def _errors_of(found: Evaluation) -> tuple[str, ...]:
    return (
        str(found.n_snapshots),
        f"{found.torque_rms:.4f}",
        f"{found.torque_rmse:.5f}",
        f"{found.torque_mse_per_spin:.2e}",
        r2(found.torque_r2).removeprefix("R2 "),
    )


def _held_out(errors: dict[str, Evaluation]) -> list[str]:
    return section(
        "Errors on held-out snapshots",
        "Torques per Cartesian component in units of the hopping.",
        ("snapshots", *_ERRORS),
        [(kind, *_errors_of(found)) for kind, found in errors.items()],
    )


def _models(results: Results) -> list[str]:
    if len(results.of_models) < 2 and all(len(found) < 2 for found in results.of_models.values()):
        return []
    rows: list[tuple[str, ...]] = []
    for name, found in results.of_models.items():
        rows.append((name, *_errors_of(found[0])))
        if len(found) > 1:
            values = np.array([[each.torque_rmse, each.torque_r2 or np.nan] for each in found])
            mean, spread = values.mean(0), values.std(0, ddof=1)
            told = (f"{mean[0]:.5f} ± {spread[0]:.5f}", "", f"{mean[1]:.5f} ± {spread[1]:.5f}")
            rows.append((f"{name}: {len(found)} seeds", *_errors_of(found[0])[:2], *told))
    text = "Errors on all held-out snapshots, as above; of several seeds mean and standard deviation."
    return section("Models on the same labels", text, ("model", *_ERRORS), rows)


def _own(results: Results) -> list[str]:
    rows = [
        (
            run,
            each.n_sites,
            f"{each.time:g}",
            f"{each.torque_rms:.5f}",
            f"{each.torque_rmse:.5f}",
            f"{100 * each.relative:.1f} %",
        )
        for run, errors in results.own.items()
        for each in errors
    ]
    return section(
        "Errors on the states that the learned runs visit",
        "Frames of the runs solved exactly; torques per component, the error also relative to the torque.",
        ("run", "sites", "time", "torque", "error", "relative"),
        rows,
    )


def _agreements(agreements: dict[str, Agreement]) -> list[str]:
    rows = [
        (
            name, each.observable, f"{each.time:g}", f"{each.exact:.4g} ± {each.exact_error:.1g}",
            f"{each.learned:.4g} ± {each.learned_error:.1g}", f"{each.deviation:+.1f}", f"{each.paired_error:.1g}",
        )
        for name, agreement in agreements.items()
        for each in agreement.differences
    ]  # fmt: skip
    text = [
        f"{name}: at time {agreement.times[k]:g} the rms angle between exact and learned spins is "
        f"{agreement.angles[k]:.3f} rad; the exact ones have turned by {agreement.turned[k]:.2f} since the start."
        for name, agreement in agreements.items()
        for k in sorted({min(1, len(agreement.times) - 1), len(agreement.times) // 2, len(agreement.times) - 1})
    ]
    title = "Exact against learned dynamics"
    notes = (
        "Means over replicas; the difference in joint standard errors, and the standard error of paired differences."
    )
    columns = ("comparison", "observable", "time", "exact", "learned", "difference", "paired error")
    return [*section(title, notes, columns, rows), *_profiles(agreements), *text]


def _profiles(agreements: dict[str, Agreement]) -> list[str]:
    rows = [
        (
            name, each.observable, f"{each.time:g}", each.n_points, f"{each.signal:.3g}", f"{each.difference:.2g}",
            f"{each.error:.1g}", f"{each.paired_error:.1g}", f"{each.chi_square:.2f}",
        )
        for name, agreement in agreements.items()
        for each in agreement.profiles
    ]  # fmt: skip
    return section(
        "Exact against learned profiles",
        "Root mean squares over the distances: of the exact mean profile, of learned less exact, of the joint standard "
        "error and of that of paired differences; and the mean square of the difference in joint standard errors.",
        ("comparison", "profile", "time", "points", "exact", "difference", "error", "paired error", "chi square"),
        rows,
    )


def _series(results: Results) -> list[str]:
    text = []
    for name, points in results.series.items():
        parameter = results.study.series[name].parameter
        rows = [
            (p.observable, p.curve, f"{p.parameter:g}", with_error(p.mean, p.error), p.n_samples, p.run) for p in points
        ]
        columns = ("observable", "curve", parameter, "mean", "samples", "run")
        text += section(f"{name.replace('_', ' ').capitalize()} against {parameter}", "", columns, rows)
    return text


def _observables(analyses: dict[str, TrajectoryAnalysis]) -> list[str]:
    text = [f"### {run}\n\n```text\n{found}\n```" for run, found in analyses.items()]
    return ["## Observables of the runs", *text] if text else []


def _cost(study: Study, stages: Stages) -> list[str]:
    rows = []
    for name, run in study.runs.items():
        seconds, memory = stages.seconds.get(f"run {name}", 0.0), stages.memory.get(f"run {name}", 0.0)
        spins = run.system.build().n_sites * run.initial.replicas
        each = f"{1e6 * seconds / (spins * run.n_steps):.1f}"
        rows.append((name, run.source_name, spins, run.n_steps, each, f"{seconds:.0f} s", f"{memory / 2**30:.2f} GiB"))
    others = ", ".join(f"{name} {value:.0f} s" for name, value in stages.seconds.items() if not name.startswith("run "))
    return section(
        "Cost",
        "Wall times, observables and interruptions included, and the largest memory of the process during each run (on "
        f"a GPU, what was allocated there). Other stages: {others}.",
        ("run", "source", "spins", "steps", "µs per spin and step", "wall time", "memory"),
        rows,
    )


def _scalars(found: TrajectoryAnalysis) -> list[str]:
    return [name for name in found.values if found.independent(name).ndim == 2]


def _value(found: TrajectoryAnalysis, name: str) -> str:
    return with_error(float(found.mean(name)[-1]), float(found.error(name)[-1]))
