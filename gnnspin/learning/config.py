"""Configuration of `learn`: a Hamiltonian, what its force field is for, how good it must be, and what it may cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from gnnspin.core.config import Config
from gnnspin.core.described import Recipe
from gnnspin.core.parameter_types import FractionalNumber
from gnnspin.datasets.conditions import Ranges, with_parameters
from gnnspin.dynamics import INTEGRATORS
from gnnspin.dynamics.initial import InitialConfig
from gnnspin.electrons.equilibrium import EquilibriumSource
from gnnspin.electrons.hamiltonian import HamiltonianRecipe
from gnnspin.labels.config import SourceRecipe, TemperatureRecipe
from gnnspin.learning.ranges import at_the_middle, middle, nearest_to_the_middle, points_of_round
from gnnspin.runs import MAY_CHANGE
from gnnspin.systems.config import SystemConfig
from gnnspin.training.job import ModelConfig

#: Labels without which nothing can be learned or measured.
FEWEST_LABELS = 24


class IntendedRun(Config):
    """A simulation that the force field is for."""

    system: SystemConfig = Field(description="where it runs; labels are solved on smaller pieces of it if it is large")
    initial: InitialConfig = Field(default=InitialConfig(), description="initial spins; their seed is that of each run")
    duration: float = Field(gt=0, description="time of the run in 1/(gamma t)")
    damping: float = Field(default=0.1, ge=0, description="dimensionless damping lambda")
    kT: Annotated[float, Field(ge=0)] | TemperatureRecipe = Field(
        default=0.0, description="temperature of the spins in units of the hopping: a number, or a protocol by its kind"
    )
    terms: tuple[SourceRecipe, ...] = Field(
        default=(), description="known terms that push the spins besides, such as a Zeeman field; never learned"
    )
    integrator: str = Field(default="semi_implicit", description="name of the integrator")

    @model_validator(mode="after")
    def _repeatable(self) -> IntendedRun:
        INTEGRATORS[self.integrator]
        if self.initial.file is not None and self.initial.amplitude == 0:
            raise ValueError(
                f"initial.file={self.initial.file} alone starts every run from the same spins; give initial.amplitude, "
                "the noise on them"
            )
        return self

    def temperature(self) -> Any:
        """Temperature of the spins as `simulate` takes it."""
        return self.kT.build() if isinstance(self.kT, Recipe) else self.kT


class TrajectoryTarget(Config):
    """An error of trajectories: exact and learned motion from one visited state of every run, without noise."""

    angle: float = Field(
        gt=0, description="root-mean-square angle between the spins, in radians, the largest of all runs"
    )
    after: float = Field(gt=0, description="time after which it is measured, in 1/(gamma t)")


class Budget(Config):
    """Limits of the cost of a learning, which stops at the first it reaches."""

    minutes: float = Field(default=120.0, gt=0, description="wall time on this machine")
    labels: int = Field(default=4000, ge=FEWEST_LABELS, description="exact solutions, those of tests included")


class LearnConfig(Config):
    """Configuration of `gnnspin learn`: a Hamiltonian, its electrons, the runs that are meant, target and budget.

    Everything else is chosen from measurements on the Hamiltonian, unless it is given. With a `family` the numbers of
    its parameters are those in the middle of their ranges.
    """

    hamiltonian: HamiltonianRecipe = Field(description="the electrons and their coupling to the spins")
    kT: float = Field(ge=0, description="temperature of the electrons in units of the hopping")
    mu: float | None = Field(default=None, description="chemical potential; or give the filling")
    filling: FractionalNumber | None = Field(
        default=None, description="electrons per spin-orbital, held fixed; 5/12 may be written"
    )
    family: Annotated[Ranges, Field(min_length=1)] | None = Field(
        default=None,
        description="ranges [low, high] of parameters of the Hamiltonian or its electrons, in place of their numbers: "
        "one model is learned for all of them",
        examples=[{"J": [1.0, 6.0], "filling": [0.1, 0.5]}],
    )
    runs: tuple[IntendedRun, ...] = Field(min_length=1, description="the simulations that the force field is for")
    target: float | TrajectoryTarget = Field(
        default=0.05,
        description="torque error over torque on visited states, at every time; or an angle between trajectories",
    )
    budget: Annotated[Budget, MAY_CHANGE] = Field(default=Budget(), description="wall time and labels")
    solver: dict[str, Any] | None = Field(
        default=None,
        description="exact solver: its kind and settings, without kT, mu and filling; null: the cheapest good enough",
        examples=[{"kind": "pole_expansion", "tolerance": 1e-3}],
    )
    label_systems: tuple[SystemConfig, ...] | None = Field(
        default=None, description="systems of the labels, one for each run; null: as large as the locality asks"
    )
    ladder: tuple[ModelConfig, ...] | None = Field(
        default=None, min_length=1, description="models from the cheapest up; null: chosen for system and locality"
    )
    selection: Literal["uncertain", "random"] = Field(
        default="uncertain",
        description="which visited states are labelled: uncertain ones unlike those known, or any",
    )
    workers: Annotated[int | None, MAY_CHANGE] = Field(
        default=None, ge=1, description="processes that solve labels; null: one per core, where Dask is installed"
    )
    seed: int = Field(default=0, ge=0, description="fixes everything random")

    @model_validator(mode="before")
    @classmethod
    def _family_at_its_middle(cls, values: Any) -> Any:
        given = isinstance(values, Mapping) and values.get("family") is not None
        return at_the_middle(values) if given else values

    @model_validator(mode="after")
    def _consistent(self) -> LearnConfig:
        if (self.mu is None) == (self.filling is None):
            raise ValueError("give either mu or filling")
        if self.filling is not None and not 0 < self.filling < 1:
            raise ValueError(f"filling={self.filling} must lie between 0 and 1")
        if isinstance(self.target, float) and not 0 < self.target < 1:
            raise ValueError(f"target={self.target} must be a share of the torque between 0 and 1")
        if self.label_systems is not None and len(self.label_systems) != len(self.runs):
            raise ValueError(f"{len(self.label_systems)} label_systems for {len(self.runs)} runs; give one for each")
        if self.solver is not None:
            twice = [name for name in ("kT", "mu", "filling", "n_electrons") if name in self.solver]
            if twice:
                raise ValueError(f"solver: {', '.join(twice)} belongs beside it, not in it")
            self.recipe(self.solver)
        self._check_family()
        return self

    def _check_family(self) -> None:
        for point in self.points(0):
            try:
                self.at(point)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"]))
                raise ValueError(f"family: at {point}: {where}: {first['msg']}") from error
        for k, model in enumerate(self.ladder or ()):
            if model.conditions is not None:
                raise ValueError(
                    f"ladder.{k}.conditions={model.conditions}: give these ranges as family, not in a model"
                )

    def points(self, number: int) -> list[dict[str, float]]:
        """Parameters at which the intended runs of a round are driven; one point without any where there is no family.

        See `gnnspin.learning.ranges.points_of_round`.
        """
        return [{}] if self.family is None else points_of_round(self.family, self.seed, number)

    def central_point(self, number: int) -> dict[str, float]:
        """Of the points of a round that nearest to the middle of the ranges."""
        return nearest_to_the_middle(self.family or {}, self.points(number))

    @property
    def middle(self) -> dict[str, float]:
        """Parameters in the middle of their ranges; none where there is no family."""
        return middle(self.family or {})

    def at(self, point: Mapping[str, float]) -> LearnConfig:
        """The configuration of one member of the family, without the others; itself where `point` is empty."""
        if not point:
            return self
        record = with_parameters(
            {"hamiltonian": self.hamiltonian.model_dump(mode="json"), "solver": self.ensemble}, point
        )
        kind = {"kind": self.hamiltonian.described_class.kind}
        rest = {name: getattr(self, name) for name in type(self).model_fields}
        changed = {"hamiltonian": {**kind, **record["hamiltonian"]}, **record["solver"], "family": None}
        return LearnConfig.model_validate({**rest, **changed})

    def recipe(self, settings: Mapping[str, Any]) -> Recipe:
        """An exact solver of these electrons with the given kind and settings."""
        return EquilibriumSource.recipe({**settings, **self.ensemble}, without=("hamiltonian",))

    @property
    def ensemble(self) -> dict[str, float]:
        """Temperature of the electrons and what is held fixed, as a solver takes them."""
        fixed = {"mu": self.mu} if self.filling is None else {"filling": self.filling}
        return {"kT": self.kT, **{name: value for name, value in fixed.items() if value is not None}}
