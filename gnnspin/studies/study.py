"""A study: a known system from its Hamiltonian to its physics, in one configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Discriminator, Field, Tag, ValidationError, model_validator

from gnnspin.analysis.trajectory import TrajectoryAnalysisConfig
from gnnspin.core.config import Config
from gnnspin.core.described import Recipe
from gnnspin.core.errors import InvalidInput, StoreError
from gnnspin.core.yaml_loader import Loader
from gnnspin.datasets.conditions import with_parameters
from gnnspin.dynamics.job import SimulationConfig
from gnnspin.dynamics.source_config import SourceConfig
from gnnspin.electrons.electronic_source import ElectronicRecipe
from gnnspin.electrons.hamiltonian import HamiltonianRecipe
from gnnspin.labels import GenerateConfig
from gnnspin.labels.config import SourceRecipe
from gnnspin.runs import MAY_CHANGE
from gnnspin.studies.motions import MotionConfig
from gnnspin.training import TrainingConfig
from gnnspin.training.job import ModelConfig


def _named_or_described(source: object) -> str:
    return "name" if isinstance(source, str) else "source"


class StudyRun(SimulationConfig):
    """A simulation of a study: every key of `gnnspin simulate`, under the exact solver, a learned force field, or any
    other source.
    """

    source: Annotated[
        Annotated[Literal["exact", "learned"], Tag("name")] | Annotated[SourceConfig, Tag("source")],
        Discriminator(_named_or_described),
    ] = Field(  # type: ignore[assignment]
        description="exact: the labels' Hamiltonian and the study's solver; learned: the trained model; or a source of "
        "the run's own, as in `gnnspin simulate`"
    )
    parameters: dict[str, float] = Field(
        default={},
        description="parameters of the Hamiltonian and its exact solver that differ in this run, such as mu or "
        "voltage; a learned family of models is taken at those of them that it knows",
    )
    rival: str | None = Field(default=None, description="rival that drives a learned run; null: the study's model")
    after: str | None = Field(
        default=None, description="run of the study from whose last spins this one starts, in place of initial"
    )
    terms: tuple[SourceRecipe, ...] = Field(
        default=(), description="known terms that are added to the source, such as a Zeeman field"
    )

    @property
    def n_samples(self) -> int:
        """Independent samples: the packings of a union (replicas of one share its disorder), else the replicas."""
        packings = self.system.count if self.system.kind == "amorphous" else 1
        return packings if packings > 1 else self.initial.replicas

    @property
    def source_name(self) -> str:
        """The source in a word: exact, the model that drives, or the kind."""
        if isinstance(self.source, SourceConfig):
            return self.source.recipe().described_class.kind
        return self.rival or self.source

    @property
    def learned(self) -> bool:
        """Whether a learned force field drives."""
        return self.source == "learned"

    def under(self, source: Mapping[str, Any] | SourceConfig) -> SimulationConfig:
        """The simulation with its source put in, as `SourceConfig` takes it, and the known terms added to it."""
        values = {name: getattr(self, name) for name in self.model_fields_set - _BESIDE}
        given: Any = source if isinstance(source, SourceConfig) else dict(source)
        if self.terms:
            given = {"kind": "sum", "terms": [SourceConfig.model_validate(given).recipe(), *self.terms]}
        return SimulationConfig.model_validate({**values, "source": given})


#: Keys of a run that are not those of a simulation.
_BESIDE = {"terms", "parameters", "rival", "after"}


class Comparison(Config):
    """Exact against learned dynamics of one system, from the same spins and with the same noise."""

    exact: str = Field(description="name of a run under the exact solver")
    learned: str = Field(description="name of a run under the learned force field")
    observables: tuple[str, ...] = Field(
        min_length=1, description="observables of both analyses; two_time_correlation where they have waiting_times"
    )
    times: tuple[float, ...] = Field(min_length=1, description="times at which the means are compared")


class OwnErrorsConfig(Config):
    """Times at which states of a learned run are solved exactly, as a whole or in windows; a list means the times."""

    times: tuple[float, ...] = Field(min_length=1)
    window: int | None = Field(
        default=None, ge=1, description="edge in unit cells of what is compared, for large lattices; null: all sites"
    )
    buffer: int = Field(
        default=16, ge=1, description="unit cells around a window that are solved with it and not compared"
    )
    places: int = Field(default=4, ge=1, description="windows of a frame, along the diagonal of the lattice")

    @model_validator(mode="before")
    @classmethod
    def _times_alone(cls, values: object) -> object:
        return {"times": values} if isinstance(values, list | tuple) else values


class MapConfig(Config):
    """Maps of a quantity per site at several times of a run; densities of the electrons are solved exactly."""

    run: str
    quantity: Literal[
        "scalar_chirality",
        "vector_chirality",
        "bond_order",
        "spins",
        "S_z",
        "topological_charge",
        "electron_density",
        "hole_density",
    ]
    times: tuple[float, ...] = Field(min_length=1, max_length=4)


class Series(Config):
    """Observables of several runs, at their end, against a parameter by which the runs differ."""

    parameter: str = Field(description="name of the parameter, for tables and figures", examples=["magnetic field"])
    curves: dict[str, dict[str, float]] = Field(
        min_length=1, description="runs of each curve, with the value that the parameter has in them"
    )
    observables: tuple[str, ...] = Field(min_length=1, description="observables of the analyses of all these runs")
    times: tuple[float, float] | None = Field(
        default=None, description="first and last time of the frames that are averaged; null: the last frame"
    )


class CurlConfig(Config):
    """Curl of the learned fields against the exact one, on states of a run; see `gnnspin.analysis.field_curl`."""

    run: str = Field(description="run whose states are taken, its first replica, and whose exact solver is")
    times: tuple[float, ...] = Field(min_length=1)
    sites: int = Field(default=24, ge=2, description="sites of a state, those of the largest exact torque")
    step: float = Field(default=3e-3, gt=0, description="angle by which spins are turned, for central differences")
    exact: ElectronicRecipe | None = Field(
        default=None, description="exact solver, finer than that of the run: its errors are divided by the step"
    )


class Rival(Config):
    """Another model, trained on the labels of the study and measured on the same held-out ones."""

    model: ModelConfig
    training: TrainingConfig | None = Field(default=None, description="default: that of the study")
    pretrained: str | None = Field(default=None, description="model that comes with the package in its place")
    seeds: Annotated[tuple[int, ...], MAY_CHANGE] = Field(
        default=(), description="seeds of further trainings, as for the study's model"
    )


class Round(Config):
    """Labels on states that the model itself visits, and its further training on all labels so far."""

    labels: GenerateConfig = Field(
        description="as `gnnspin generate`; relaxations without a force_field of their own run under the model so far"
    )
    training: TrainingConfig | None = Field(default=None, description="default: that of the study")


class _Electrons(Config):
    """A Hamiltonian and its exact solver."""

    hamiltonian: HamiltonianRecipe
    solver: ElectronicRecipe

    def both(self) -> tuple[Recipe, Recipe]:
        return self.hamiltonian, self.solver


class Study(Config):
    """A known system: labels, a model, runs under the exact and the learned field, their observables and comparison.

    Without `labels`, `held_out` and `model` it learns nothing: runs under exact or any other sources alone.
    """

    title: str
    question: str = Field(description="what the physics should show, for the report")
    reference: str = Field(default="", description="paper, and the figures that belong to it")
    labels: GenerateConfig | None = Field(
        default=None, description="labels to train on; their Hamiltonian is that of the exact runs"
    )
    held_out: GenerateConfig | None = Field(
        default=None, description="labels of other trajectories and seeds, never trained on"
    )
    model: ModelConfig | None = Field(default=None, description="model to train; null: a study without learning")
    training: TrainingConfig = TrainingConfig()
    validation: float = Field(default=0.1, gt=0, lt=1, description="share of the labels the trainer validates on")
    rounds: tuple[Round, ...] = Field(
        default=(), description="after the training: further labels from the model's own runs, and further trainings"
    )
    rivals: dict[str, Rival] = Field(
        default={}, description="other models, trained on all labels, by the name they have in the report"
    )
    seeds: Annotated[tuple[int, ...], MAY_CHANGE] = Field(
        default=(),
        description="seeds of further trainings of the model; its errors are told as mean and spread, runs are those "
        "of the first",
    )
    pretrained: str | None = Field(default=None, description="model that comes with the package for this system")
    exact: ElectronicRecipe | None = Field(
        default=None, description="solver of the exact runs, and of the errors on the runs' own states"
    )
    runs: dict[str, StudyRun]
    analyses: dict[str, TrajectoryAnalysisConfig] = Field(default={}, description="observables, by the name of a run")
    errors: dict[str, OwnErrorsConfig] = Field(
        default={}, description="where a learned run's torques are compared with the exact ones, by run"
    )
    allowed_error: Annotated[float, MAY_CHANGE] = Field(
        default=0.1, gt=0, description="largest torque error on a run's own states, relative to the torque"
    )
    comparisons: dict[str, Comparison] = Field(default={}, description="exact against learned runs")
    series: dict[str, Series] = Field(default={}, description="observables of several runs against a parameter")
    motions: dict[str, MotionConfig] = Field(
        default={}, description="velocities of walls or skyrmions of several runs against a parameter"
    )
    curls: dict[str, CurlConfig] = Field(default={}, description="curls of the learned fields against the exact one")
    maps: dict[str, MapConfig] = Field(default={}, description="maps to draw, by the name of the figure")
    spectra: tuple[str, ...] = Field(default=(), description="runs whose last structure factor is drawn")

    @model_validator(mode="after")
    def _complete(self) -> Study:
        """Learning is there as a whole or not at all, and runs have the sources that they name."""
        given = {name: getattr(self, name) is not None for name in ("labels", "held_out", "model")}
        missing = [name for name, there in given.items() if not there]
        if missing and len(missing) < len(given):
            raise ValueError(f"{', '.join(missing)} missing; give labels, held_out and model, or none of them")
        if missing and (self.rivals or self.seeds or self.curls or self.rounds):
            raise ValueError("rounds, rivals, seeds, curls need a study that learns; give labels, held_out and model")
        if self.rounds and self.seeds:
            raise ValueError("seeds repeat one training and rounds go on with it; leave out one of them")
        for name, run in self.runs.items():
            if run.learned and missing and self.pretrained is None:
                raise ValueError(f"runs.{name}: source learned needs labels, held_out and model")
            if run.source == "exact" or run.parameters:
                self._solvable(f"runs.{name}", name)
            if run.rival is not None and (run.rival not in self.rivals or not run.learned):
                raise ValueError(
                    f"runs.{name}: rival {run.rival!r} drives a run with source learned; rivals: {list(self.rivals)}"
                )
        return self

    def electrons(self, run: str, solver: Recipe | None = None) -> tuple[Recipe, Recipe]:
        """Hamiltonian and exact solver of a run, at its parameters; `solver` in place of the study's.

        Raises
        ------
        InvalidInput
            If the study has none, or they have no such parameter.
        pydantic.ValidationError
            If a parameter is out of range.
        """
        chosen, values = solver or self.exact, self.runs[run].parameters
        if self.labels is None or chosen is None:
            raise InvalidInput(f"runs.{run}: give labels (for the Hamiltonian) and exact, its solver")
        if not values:
            return self.labels.hamiltonian, chosen
        record = {
            "hamiltonian": self.labels.hamiltonian.model_dump(mode="json"),
            "solver": {"kind": chosen.described_class.kind, **chosen.model_dump(mode="json")},
        }
        return _Electrons.model_validate(with_parameters(record, values)).both()

    def _solvable(self, key: str, run: str) -> Recipe:
        """Solver of a run; ValueError, with the key that needs it, where there is none."""
        try:
            return self.electrons(run)[1]
        except (InvalidInput, ValidationError) as error:
            raise ValueError(f"{key}: {error}") from error

    @model_validator(mode="after")
    def _names_are_known(self) -> Study:
        named: dict[str, Iterable[str]] = {
            "analyses": self.analyses,
            "errors": self.errors,
            "comparisons": [run for each in self.comparisons.values() for run in (each.exact, each.learned)],
            "series": [run for each in self.series.values() for curve in each.curves.values() for run in curve],
            "motions": [run for each in self.motions.values() for run in each.runs()],
            "curls": [each.run for each in self.curls.values()],
            "maps": [each.run for each in self.maps.values()],
            "spectra": self.spectra,
            "runs.after": [run.after for run in self.runs.values() if run.after is not None],
        }
        for key, names in named.items():
            for name in names:
                if name not in self.runs:
                    raise ValueError(f"{key}: {name!r} is none of the runs {list(self.runs)}")
        return self

    @model_validator(mode="after")
    def _results_are_possible(self) -> Study:
        order = list(self.runs)
        for name, run in self.runs.items():
            if run.after is not None and order.index(run.after) >= order.index(name):
                raise ValueError(f"runs.{name}: after={run.after!r} must stand before it among the runs")
        for name, errors in self.errors.items():
            if not self.runs[name].learned:
                raise ValueError(f"errors: {name!r} runs under the exact solver; name a learned run")
            exact = self._solvable(f"errors.{name}", name)
            if errors.window is not None and exact.arguments().get("mu") is None:
                raise ValueError(
                    f"errors.{name}: windows have no electron number of their own; give exact.mu, or solve all"
                )
        for label, each in self.comparisons.items():
            self._comparable(label, each)
        for label, series in self.series.items():
            for curve in series.curves.values():
                for measured in curve:
                    self._require_measured(f"series.{label}", measured, series.observables)
        for label, motion in self.motions.items():
            for measured in motion.runs():
                self._require_measured(f"motions.{label}", measured, (motion.observable,))
            if motion.reference is not None and motion.reference not in motion.curves:
                raise ValueError(f"motions.{label}: reference {motion.reference!r} is none of {list(motion.curves)}")
        for label, drawn in self.maps.items():
            if drawn.quantity in ("electron_density", "hole_density"):
                self._solvable(f"maps.{label}", drawn.run)
        return self

    def _comparable(self, label: str, each: Comparison) -> None:
        if self.runs[each.exact].learned or not self.runs[each.learned].learned:
            raise ValueError(f"comparisons.{label}: give an exact run as exact and a learned one as learned")
        if self.runs[each.exact].initial != self.runs[each.learned].initial:
            raise ValueError(f"comparisons.{label}: give both runs the same initial spins, replicas included")
        if self.runs[each.exact].n_samples < 2:
            raise ValueError(
                f"comparisons.{label}: errors of means need two replicas or more (initial.replicas), or two packings"
            )
        for run in (each.exact, each.learned):
            self._require_measured(f"comparisons.{label}", run, each.observables)

    def _require_measured(self, key: str, run: str, observables: Iterable[str]) -> None:
        known = self.analyses[run].names if run in self.analyses else ()
        missing = [name for name in observables if name not in known]
        if missing:
            raise ValueError(f"{key}: analyses.{run} lacks {', '.join(missing)}")


def read_study(path: Path, size: str | None = None) -> Study:
    """Read a study from a YAML file.

    Parameters
    ----------
    path : Path
        Keys of `Study`; beside them ``sizes``: a mapping from names to keys that differ, merged key by key. Where a
        list or a number stands, it is replaced; ``null`` for a mapping or list drops it.
    size : str, optional
        One of ``sizes``; default: the first, if there are any.

    Raises
    ------
    StoreError
        If the file is missing or not YAML.
    InvalidInput
        If the size is unknown.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise StoreError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(values, dict):
        raise InvalidInput(f"{path} must hold a mapping of keys at its top level")
    sizes = values.pop("sizes", {})
    chosen = size if size is not None else next(iter(sizes), None)
    if chosen is not None and chosen not in sizes:
        raise InvalidInput(f"unknown size {chosen!r} of {path.stem}; known: {', '.join(sizes) or 'none'}")
    return Study.model_validate(_merged(values, sizes[chosen] or {}) if chosen is not None else values)


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in changes.items():
        if value is None and isinstance(base.get(name), Mapping | list):
            del merged[name]
        elif isinstance(value, Mapping) and isinstance(base.get(name), Mapping):
            merged[name] = _merged(base[name], value)
        else:
            merged[name] = value
    return merged
