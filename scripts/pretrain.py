"""Make one of the models that come with the package, with its card: labels, training, errors on labels held out.

    python scripts/pretrain.py kondo_square_random --output runs/pretrained

Everything is fixed by scripts/pretrained/NAME.yaml; --install copies the result into the package. What is there already
(labels, checkpoints) is used, so that the same command continues an interrupted one.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from pydantic import Field

import gnnspin as gs
from gnnspin.analysis.cost import field_cost
from gnnspin.cli import read_config
from gnnspin.core.config import Config
from gnnspin.datasets import LabelSet, open_labels
from gnnspin.datasets.conditions import label_parameters
from gnnspin.force_fields.last_layer import has_uncertain_weights
from gnnspin.force_fields.members import on_labels
from gnnspin.force_fields.pretrained import pretrained_folder
from gnnspin.labels import GenerateConfig, generate
from gnnspin.runs import claim, write_text
from gnnspin.systems.config import SystemConfig
from gnnspin.training import Evaluation, TrainingConfig, evaluate
from gnnspin.training.job import ModelConfig

RECIPES = Path(__file__).parent / "pretrained"


class Held(Config):
    """Labels of a reported error."""

    labels: str = Field(description="a set of labels")
    first: int = Field(default=0, description="position of the first label of the set that is held")
    last: int | None = Field(default=None, description="position after the last; null: the end")
    kind: str | None = Field(default=None, description="only labels of this sampler")
    until: float | None = Field(default=None, description="only labels of trajectories up to this time")
    after: float | None = Field(default=None, description="only labels of trajectories after this time")

    def holds(self, labels: LabelSet) -> list[int]:
        """Positions of these labels in their set."""
        chosen = range(len(labels))[self.first : self.last]
        return [k for k in chosen if self._agrees(labels[k].provenance.get("sampler", {}))]

    def _agrees(self, sampler: Any) -> bool:
        time = sampler.get("time", 0.0)
        return (
            (self.kind is None or sampler.get("kind") == self.kind)
            and (self.until is None or time <= self.until)
            and (self.after is None or time > self.after)
        )


class Recipe(Config):
    """How a pretrained model is made."""

    title: str
    data: str = Field(description="sentence on the labels for the card")
    validity: str = Field(description="where the model may be used, for the card")
    generate: dict[str, str | None] = Field(
        default_factory=dict,
        description="files of `gnnspin generate`; recipe of the model that drives their trajectories, or null",
    )
    train: tuple[str, ...] = Field(description="sets to train on, generated above or published:NAME")
    validation: tuple[Held, ...] = Field(description="labels that choose the weights")
    test: dict[str, Held] = Field(description="labels of the reported errors, by their name on the card")
    model: ModelConfig
    training: TrainingConfig
    timing_system: SystemConfig = Field(description="where the cost of a field is measured")


def _r2(errors: gs.training.Evaluation) -> str:
    return "undefined" if errors.torque_r2 is None else f"{errors.torque_r2:.4f}"


def main(
    name: Annotated[str, typer.Argument(help="Name of a file in scripts/pretrained.")],
    output: Annotated[Path, typer.Option(help="Folder for labels, checkpoints, model.")] = Path("runs/pretrained"),
    workers: Annotated[int, typer.Option(help="Processes that solve labels.")] = 1,
    install: Annotated[bool, typer.Option("--install", help="Copy model and card into the package.")] = False,
) -> None:
    """Make a model and its card."""
    path = make(name, output, workers)
    card = path.with_suffix(".md")
    typer.echo(card.read_text(encoding="utf-8"))
    if install:
        for file in (path, card):
            shutil.copy(file, pretrained_folder() / file.name)


def make(name: str, output: Path, workers: int) -> Path:
    """Make a model and its card in ``output / name``; the path of the model."""
    recipe = read_config(RECIPES / f"{name}.yaml", Recipe)
    sets = _sets(recipe, output, workers)
    train, validation, tests = _split(recipe, sets)
    model = recipe.model.build(train.systems[0], train)
    folder = output / name
    fixed = recipe.model_copy(update={"title": "", "data": "", "validity": ""})
    claim(folder / "training" / "recipe.json", fixed, resume=True, kind="recipe")
    result = gs.training.fit(model, train, validation, recipe.training, directory=folder / "training", resume=True)
    if result.interrupted:
        raise typer.Exit(130)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gs.core.ExtrapolationWarning)
        errors = {key: evaluate(result.force_field, labels) for key, labels in tests.items()}
    result.force_field.provenance.update(
        name=name, data=recipe.data, errors={key: each.numbers() for key, each in errors.items()}
    )
    bars = _error_bars(result.force_field, validation, _inside(result.force_field, tests))
    path = gs.save(result.force_field, folder / f"{name}.safetensors")
    timed = gs.save(_middle(result.force_field), folder / "timed.safetensors")
    cost = field_cost(timed, recipe.timing_system.build()).microseconds_per_site
    points = _points_table(result.force_field, tests)
    write_text(path.with_suffix(".md"), _card(name, recipe, result, errors, len(train), cost, bars) + points)
    return path


def _middle(force_field: gs.ForceField) -> gs.ForceField:
    """The member of a family in the middle of its ranges; any other model itself."""
    if not isinstance(force_field.model, gs.models.Family):
        return force_field
    ranges = force_field.model.hyperparameters.conditions
    return force_field.at(**{name: (low + high) / 2 for name, (low, high) in ranges.items()})


def _points_table(force_field: gs.ForceField, tests: Mapping[str, LabelSet]) -> str:
    """Errors of a family by point of its parameters, and what error bars it has say there; nothing for other models."""
    family = force_field.model
    if not isinstance(family, gs.models.Family):
        return ""
    names, bars = family.parameter_names, force_field.uncertainty is not None
    together = gs.datasets.JoinedLabels(list(tests.values()))
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gs.core.ExtrapolationWarning)
        for _, member, indices in on_labels(force_field, together):
            values = member.provenance["parameters"]
            labels = together.subset(indices)
            errors = evaluate(member, labels)
            cells = [f"{errors.torque_rms:.4f}", f"{errors.torque_rmse:.4f}"]
            cells.append(f"{errors.torque_rmse / errors.torque_rms:.1%}")
            if bars:
                covered = gs.force_fields.coverage(member, labels, levels=(0.9,))
                expected = [member.torque_and_error(label.spins)[1].square().mean() for label in labels]
                cells += [f"{float(np.sqrt(np.mean(expected) / 3)):.4f}", f"{covered.shares[0]:.0%}"]
            where = "outside" if family.outside(values) else "inside"
            rows.append((where, *values.values(), together.systems[together.system_index[indices[0]]].n_sites, cells))
    told = ", the error that the error bars expect, and the share of spins within their 90 % error bar" if bars else ""
    titles = ["torque rms", "torque RMSE", "share", *(["expected RMSE", "within 90 %"] if bars else [])]
    lines = [
        "",
        f"Errors by point of the parameters, on labels not trained on; per Cartesian component, with the share of the "
        f"signal{told}:",
        "",
        f"| {' | '.join(names)} | where | sites | {' | '.join(titles)} |",
        "|" + "---|" * (len(names) + 2 + len(titles)),
    ]
    for where, *values, sites, cells in sorted(rows, key=lambda row: row[: 2 + len(names)]):
        lines.append(f"| {' | '.join(f'{value:.4g}' for value in values)} | {where} | {sites} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _error_bars(force_field: gs.ForceField, validation: LabelSet, tests: Mapping[str, LabelSet]) -> str:
    """Give the model error bars, from labels that chose its weights; whether they hold on the tests, in words."""
    if not has_uncertain_weights(force_field.model):
        return ""
    gs.force_fields.calibrate(force_field, validation)
    together = gs.datasets.JoinedLabels(list(tests.values()))
    return f"- Error bars from the labels that chose the weights: {gs.force_fields.coverage(force_field, together)}."


def _inside(force_field: gs.ForceField, tests: Mapping[str, LabelSet]) -> dict[str, LabelSet]:
    """Those tests of a family whose labels are all inside of its ranges; all of any other model."""
    family = force_field.model
    if not isinstance(family, gs.models.Family):
        return dict(tests)
    points = {key: label_parameters(labels, family.parameter_names) for key, labels in tests.items()}
    named = {key: [dict(zip(family.parameter_names, row, strict=True)) for row in rows] for key, rows in points.items()}
    return {key: labels for key, labels in tests.items() if not any(family.outside(values) for values in named[key])}


def _sets(recipe: Recipe, output: Path, workers: int) -> dict[str, LabelSet]:
    """Open all sets of labels, generating those that are not there."""
    folder = output / "labels"
    for name, driver in recipe.generate.items():
        config = read_config(RECIPES / f"{name}.yaml", GenerateConfig)
        if driver is not None:
            config = _driven(config, _made(driver, output, workers))
        generate(config, folder / f"{name}.h5", n_workers=workers, resume=True)
    names = {*recipe.train, *(held.labels for held in (*recipe.validation, *recipe.test.values()))}
    return {name: open_labels(str(folder / f"{name}.h5") if name in recipe.generate else name) for name in names}


def _made(name: str, output: Path, workers: int) -> Path:
    """Path of a model, made now unless it is there."""
    path = output / name / f"{name}.safetensors"
    return path if path.exists() else make(name, output, workers)


def _driven(config: GenerateConfig, force_field: Path) -> GenerateConfig:
    """The configuration with its trajectories driven by a model."""
    values = config.model_dump()
    for sampler in values["samplers"]:
        if sampler["kind"] == "relaxation":
            sampler["force_field"] = force_field
    return GenerateConfig.model_validate(values)


def _split(recipe: Recipe, sets: dict[str, LabelSet]) -> tuple[LabelSet, LabelSet, dict[str, LabelSet]]:
    """Training, validation and test labels; what is held is never trained on."""
    held: dict[str, set[int]] = {name: set() for name in sets}
    for part in (*recipe.validation, *recipe.test.values()):
        held[part.labels].update(part.holds(sets[part.labels]))

    def joined(choose: Callable[[str], Sequence[int]], names: Sequence[str]) -> LabelSet:
        return gs.datasets.JoinedLabels([sets[name].subset(np.array(choose(name), dtype=int)) for name in names])

    train = joined(lambda name: [k for k in range(len(sets[name])) if k not in held[name]], recipe.train)
    validation = gs.datasets.JoinedLabels([sets[v.labels].subset(v.holds(sets[v.labels])) for v in recipe.validation])
    tests: dict[str, LabelSet] = {
        key: sets[part.labels].subset(part.holds(sets[part.labels])) for key, part in recipe.test.items()
    }
    return train, validation, tests


def _card(
    name: str,
    recipe: Recipe,
    result: gs.training.FitResult,
    errors: dict[str, Evaluation],
    n_train: int,
    cost: float,
    bars: str,
) -> str:
    model = result.force_field.model
    lines = [
        f"# {name}",
        "",
        recipe.title,
        "",
        f"- Data: {recipe.data} {n_train} snapshots were trained on.",
        f"- Model: {model.name}, {model.n_parameters} parameters, cutoff {model.spec.cutoff:g}, torque receptive "
        f"radius {model.torque_receptive_radius:g}; a field takes {cost:.1f} µs of processor time per site (float32).",
        f"- Range of validity: {recipe.validity}",
        *([bars] if bars else []),
        f"- Reproduce: `python scripts/pretrain.py {name}`",
        "",
        "Errors on labels that were not trained on, in units of the hopping:",
        "",
        "| labels | snapshots | torque RMSE | torque rms | R2 | torque MSE per spin | field RMSE | energy RMSE |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for key, e in errors.items():
        field = f"{e.field_rmse:.4f}" if e.field_trained else "not trained"
        energy = "" if e.energy_rmse_per_site is None else f"{e.energy_rmse_per_site:.2g}"
        lines.append(
            f"| {key} | {e.n_snapshots} | {e.torque_rmse:.5f} | {e.torque_rms:.4f} | {_r2(e)} | "
            f"{e.torque_mse_per_spin:.3g} | {field} | {energy} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    typer.run(main)
