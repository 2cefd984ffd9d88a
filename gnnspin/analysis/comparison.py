"""Architectures compared: every model on every set of labels, with several sizes of the training set and seeds."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, stdev
from typing import Annotated, Any

import torch
from pydantic import Field, field_validator, model_validator

from gnnspin.analysis.cost import enlarged, field_cost
from gnnspin.analysis.symmetries import symmetry_violations
from gnnspin.core.config import Config
from gnnspin.core.errors import InvalidInput
from gnnspin.datasets import holdout, open_labels
from gnnspin.datasets.labels import LabelSet
from gnnspin.force_fields.files import save
from gnnspin.runs import MAY_BE_UNRECORDED, claim, read_json, write_json
from gnnspin.systems import SpinSystem
from gnnspin.systems.config import SystemConfig
from gnnspin.training.config import TrainingConfig
from gnnspin.training.evaluate import NOT_TRAINED, evaluate
from gnnspin.training.fit import fit
from gnnspin.training.job import MODEL_FILE, ModelConfig

RESULT_FILE = "result.json"


class Competitor(Config):
    """A model and how it is trained."""

    model: ModelConfig
    training: TrainingConfig = TrainingConfig()
    sizes: tuple[int, ...] | None = Field(
        default=None, description="numbers of training labels this model is trained on; null: those of the labels"
    )


class KnownResult(Config):
    """A result of others, drawn beside the measured ones."""

    name: str
    torque_rmse: float = Field(gt=0, description="torque error per component in units of the hopping")
    microseconds_per_site: float | None = Field(default=None, gt=0, description="of a field evaluation; null: unknown")


class Arena(Config):
    """Labels to compare models on."""

    train: str | tuple[str, ...] = Field(description="labels to train on: a store or published:NAME, or several")
    test: float | str | tuple[str, ...] = Field(
        default=0.15, description="labels of the reported errors: a store, or a share set aside"
    )
    validation: float = Field(default=0.1, gt=0, lt=1, description="share of the rest that chooses the weights")
    sizes: tuple[int, ...] = Field(default=(), description="numbers of training labels; empty: all of them")
    timing_system: SystemConfig | None = Field(
        default=None, description="where costs are measured; null: copies of the first system, 2304 sites at least"
    )
    known: tuple[KnownResult, ...] = Field(default=(), description="published results to draw")
    floors: dict[float, float] = Field(
        default_factory=dict, description="irreducible torque error by radius, from `gnnspin analyze locality`"
    )

    @field_validator("sizes")
    @classmethod
    def _positive(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        if any(size < 1 for size in sizes):
            raise ValueError(f"sizes={list(sizes)} must be positive numbers of labels")
        return tuple(sorted(sizes))

    @model_validator(mode="after")
    def _tests_on_other_labels(self) -> Arena:
        if not isinstance(self.test, float):
            train, test = ({names} if isinstance(names, str) else set(names) for names in (self.train, self.test))
            if train & test:
                raise ValueError(
                    f"test: {', '.join(sorted(train & test))} is trained on; give other labels, or a share"
                )
        return self

    def load(self) -> tuple[LabelSet, LabelSet, LabelSet]:
        """Training, validation and test labels; the test labels are set aside first."""
        labels = open_labels(self.train)
        if not isinstance(self.test, float):
            rest, test = labels, open_labels(self.test)
        else:
            rest, test = holdout(labels, self.test, seed=0)
        train, validation = holdout(rest, self.validation, seed=1)
        return train, validation, test


class RunSettings(Config):
    """Settings for which a run's folder is claimed: model, training, paths of the labels and their fingerprints."""

    competitor: Competitor
    data: Arena
    labels: Annotated[tuple[str, ...] | None, MAY_BE_UNRECORDED] = None


class ComparisonConfig(Config):
    """Configuration of `gnnspin compare`."""

    models: dict[str, Competitor] = Field(min_length=1, description="name in tables and figures: model and training")
    data: dict[str, Arena] = Field(min_length=1, description="name in tables and figures: labels")
    seeds: tuple[int, ...] = Field(default=(0,), min_length=1, description="seeds of initial weights and batches")
    only: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="models that meet a set of labels; default: every model meets every set"
    )
    compiled: bool = Field(default=False, description="also time compiled models (needs a C++ compiler)")
    equal_steps: bool = Field(
        default=False,
        description="`max_epochs` holds for the largest size; smaller ones see their labels more often",
    )

    @model_validator(mode="after")
    def _only_what_is_listed(self) -> ComparisonConfig:
        for data, names in self.only.items():
            for name in names:
                if data not in self.data or name not in self.models:
                    raise ValueError(f"only: {data}: {name} names a set of labels or a model that is not listed")
        return self

    def runs(self) -> list[Run]:
        """All trainings, small ones first."""
        runs = [
            Run(data, name, size, seed)
            for data, arena in self.data.items()
            for size in (arena.sizes or (0,))
            for seed in self.seeds
            for name in self.only.get(data, tuple(self.models))
            if size in (self.models[name].sizes or (size,))
        ]
        return sorted(runs, key=lambda run: run.size or 10**9)

    def training(self, run: Run) -> TrainingConfig:
        """The training of one run, its seed not yet set."""
        training, sizes = self.models[run.model].training, self.data[run.data].sizes
        if not (self.equal_steps and run.size):
            return training
        factor = max(sizes) / run.size
        return training.model_copy(
            update={key: max(1, round(factor * getattr(training, key))) for key in ("max_epochs", "validate_every")}
        )

    def settings(self, run: Run, labels: tuple[str, ...]) -> RunSettings:
        """Settings that decide the outcome of one run; `labels` are the fingerprints of its sets."""
        arena = self.data[run.data]
        return RunSettings(
            competitor=Competitor(model=self.models[run.model].model, training=self.training(run)),
            data=Arena(train=arena.train, test=arena.test, validation=arena.validation),
            labels=labels,
        )


@dataclass(frozen=True)
class Run:
    """One training of a comparison; `size` 0 stands for all labels."""

    data: str
    model: str
    size: int
    seed: int

    @property
    def folder(self) -> Path:
        """Where it leaves its files, relative to the comparison's folder."""
        return Path(self.data, self.model, f"{self.size or 'all'}-seed{self.seed}")


def compare(
    config: ComparisonConfig, directory: str | Path, *, n_workers: int = 1, progress: bool = True
) -> list[dict[str, Any]]:
    """Train, evaluate and time every model; a run that has finished before is not repeated, one cut short goes on.

    Parameters
    ----------
    config : ComparisonConfig
        May gain models, labels and seeds between calls with one directory, and sizes; with `equal_steps` none above
        the largest, which sets the epochs of all.
    directory : path
        Keeps one folder per run.
    n_workers : int
        Trainings at a time, one thread each.
    progress : bool
        Show progress bars.

    Returns
    -------
    list of dict
        One row per run, in the order of `config.runs()`.

    Raises
    ------
    InvalidInput
        If labels, models and sizes do not fit together, before any training.
    StoreError
        If the directory holds runs of a different configuration of the same names.
    """
    directory = Path(directory)
    runs = config.runs()
    fingerprints = {}
    for data, arena in config.data.items():
        sets = arena.load()
        train, fingerprints[data] = sets[0], tuple(labels.fingerprint for labels in sets)
        for name in config.only.get(data, tuple(config.models)):
            config.models[name].model.build(train.systems[0], train)
        if arena.sizes and arena.sizes[-1] > len(train):
            raise InvalidInput(f"{data}: {arena.sizes[-1]} training labels asked for, {len(train)} are there")
    waiting = [run for run in runs if not (directory / run.folder / RESULT_FILE).exists()]
    for run in runs:
        claim(
            directory / run.folder / "run.json",
            config.settings(run, fingerprints[run.data]),
            resume=True,
            kind=f"run of {run.model} on {run.data}",
        )
    if n_workers == 1:
        for run in waiting:
            compete(config, run, directory, progress=progress)
    else:
        context = get_context("spawn")
        with ProcessPoolExecutor(
            n_workers, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)
        ) as pool:
            for future in as_completed([pool.submit(compete, config, run, directory) for run in waiting]):
                future.result()
    return [read_json(directory / run.folder / RESULT_FILE) for run in runs]


def compete(config: ComparisonConfig, run: Run, directory: Path, *, progress: bool = False) -> dict[str, Any]:
    """One run of a comparison: its row, which is also left as ``result.json``."""
    arena, competitor = config.data[run.data], config.models[run.model]
    train, validation, test = arena.load()
    if run.size:
        train = train.subset(range(0, len(train), max(1, len(train) // run.size)))[: run.size]
    model = competitor.model.model_copy(update={"seed": run.seed}).build(train.systems[0], train)
    training = config.training(run).model_copy(update={"seed": run.seed})
    folder = directory / run.folder
    result = fit(model, train, validation, training, directory=folder, resume=True, progress=progress)
    if result.interrupted:
        raise KeyboardInterrupt
    path = save(result.force_field, folder / MODEL_FILE)
    system = enlarged(train.systems[0]) if arena.timing_system is None else arena.timing_system.build()
    cost = field_cost(path, system)
    compiled = _compiled_cost(path, system) if config.compiled and model.compiles else None
    evaluation = evaluate(result.force_field, test)
    row = {
        **{"data": run.data, "model": run.model, "architecture": model.name, "seed": run.seed},
        "n_training": len(train),
        **{f"test_{key}": value for key, value in evaluation.numbers().items()},
        **evaluation.parts(),
        "parameters": model.n_parameters,
        "torque_receptive_radius": model.torque_receptive_radius,
        "training_seconds": result.seconds,
        "microseconds_per_site": cost.microseconds_per_site,
        "compiled_microseconds_per_site": compiled,
        "timed_sites": cost.n_sites,
        "megabytes": cost.megabytes,
        **{f"violation_{key}": value for key, value in symmetry_violations(result.force_field).items()},
    }
    write_json(folder / RESULT_FILE, row)
    return row


#: Lists of errors in a row, which have no mean over seeds and no place in a table.
_PARTS = ("by_sampler", "by_time", "by_parameters")


def over_seeds(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each model, set of labels and size: means over seeds, largest symmetry violations, smallest costs.

    The cost of a field differs between seeds only by what else the machine does. ``seeds`` counts the runs, and
    ``test_torque_rmse_spread`` is the standard deviation of their torque errors (None of a single one).
    """
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["data"], row["model"], row["n_training"]), []).append(row)
    return [_over_seeds(group) for group in groups.values()]


def _over_seeds(runs: list[dict[str, Any]]) -> dict[str, Any]:
    summary = dict(runs[0])
    for key in summary:
        values = [run[key] for run in runs if run.get(key) is not None]
        if not values or key in ("data", "model", "architecture", "seed", "n_training", *_PARTS):
            continue
        if key.startswith("violation_"):
            summary[key] = max(values)
        elif key in ("microseconds_per_site", "compiled_microseconds_per_site", "megabytes"):
            summary[key] = min(values)
        elif key.startswith("test_") or key == "training_seconds":
            summary[key] = fmean(values)
    errors = [run["test_torque_rmse"] for run in runs]
    return {**summary, "seeds": len(runs), "test_torque_rmse_spread": stdev(errors) if len(runs) > 1 else None}


def table(rows: list[dict[str, Any]]) -> str:
    """Rows of a comparison as a Markdown table, see `over_seeds`; the most accurate first within each set of labels."""
    columns = {
        "data": "data",
        "model": "model",
        "n_training": "labels",
        "seeds": "seeds",
        "parameters": "parameters",
        "test_torque_rmse": "torque RMSE",
        "test_torque_rmse_spread": "spread",
        "test_torque_mse_per_spin": "torque MSE per spin",
        "test_torque_r2": "R2",
        "test_field_rmse": "field RMSE",
        "test_energy_rmse_per_site": "energy RMSE",
        "torque_receptive_radius": "torque radius",
        "microseconds_per_site": "µs per site",
        "compiled_microseconds_per_site": "compiled",
        "megabytes": "MB",
        "training_seconds": "training s",
    }
    violations = sorted({key for row in rows for key in row if key.startswith("violation_")})
    columns.update({key: key.removeprefix("violation_").replace("_", " ") for key in violations})
    ordered = sorted(over_seeds(rows), key=lambda row: (row["data"], -row["n_training"], row["test_torque_rmse"]))
    lines = ["| " + " | ".join(columns.values()) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_cell(key, row) for key in columns) + " |" for row in ordered]
    return "\n".join(lines) + "\n"


def front(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that no other row of the list beats in both accuracy and cost."""

    def beaten(row: dict[str, Any]) -> bool:
        return any(
            other["test_torque_rmse"] < row["test_torque_rmse"]
            and other["microseconds_per_site"] < row["microseconds_per_site"]
            for other in rows
        )

    return [row for row in rows if not beaten(row)]


def by_data(rows: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Rows of each set of labels."""
    for data in dict.fromkeys(row["data"] for row in rows):
        yield data, [row for row in rows if row["data"] == data]


def _cell(key: str, row: dict[str, Any]) -> str:
    value = row.get(key)
    if key == "test_field_rmse" and not row.get("test_field_trained", True):
        return NOT_TRAINED
    if value is None:
        return "undefined" if key == "test_torque_r2" else ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _compiled_cost(path: Path, system: SpinSystem) -> float | None:
    """Cost of the compiled model; None, with a warning, for one that `torch.compile` cannot compile."""
    try:
        return field_cost(path, system, compiled=True).microseconds_per_site
    except RuntimeError as error:
        warnings.warn(f"{path} cannot be compiled: {str(error).strip().splitlines()[0]}", stacklevel=2)
        return None
