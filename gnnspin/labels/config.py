"""Configuration of `generate`: systems, Hamiltonian, solver, samplers and a seed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import numpy as np
from pydantic import Field, field_validator, model_validator

from gnnspin.core.config import Config
from gnnspin.core.described import Recipe, RecipeOf
from gnnspin.core.source import FieldSource
from gnnspin.datasets.conditions import with_parameters
from gnnspin.dynamics import INTEGRATORS, Protocol
from gnnspin.electrons.electronic_source import ElectronicRecipe
from gnnspin.electrons.hamiltonian import HamiltonianRecipe
from gnnspin.labels.family import FamilyConfig
from gnnspin.observables import BoundaryConfig
from gnnspin.observables.orders import ORDERS, is_order, order_digest
from gnnspin.systems.config import SystemConfig

#: A temperature that changes with time, by its kind: ``{kind: anneal, start: 0.1, end: 0.001, duration: 1000}``.
TemperatureRecipe: TypeAlias = Annotated[Recipe, RecipeOf(Protocol)]

#: A field source by its kind.
SourceRecipe: TypeAlias = Annotated[Recipe, RecipeOf(FieldSource)]


def _require_order(name: str) -> str:
    if not is_order(name):
        known = ", ".join(ORDERS.names())
        raise ValueError(f"order {name!r} is unknown; known: {known}, and existing files .npz or .npy of spins")
    return name


#: Range from which a number is drawn uniformly for each configuration.
Range: TypeAlias = tuple[float, float]


class RandomSampler(Config):
    """Independent spins, uniform on the sphere."""

    kind: Literal["random"] = "random"
    count: int = Field(gt=0, description="configurations for each system")


class PerturbedOrderSampler(Config):
    """Reference orders, rotated at random, with Gaussian noise on every spin component."""

    kind: Literal["perturbed_order"] = "perturbed_order"
    orders: tuple[str, ...] = Field(
        min_length=1,
        description="names of orders, or files of spins of one's own (.npz, .npy), one or several, used in turn",
        examples=[["120-degree"], "spins.npz"],
    )
    amplitude: Range = Field(
        default=(0.05, 0.5), description="range of the noise's standard deviation, drawn uniformly per configuration"
    )
    count: int = Field(gt=0, description="configurations for each system")

    @field_validator("orders", mode="before")
    @classmethod
    def _one_or_several(cls, orders: object) -> object:
        return (str(orders),) if isinstance(orders, str | Path) else orders

    @field_validator("orders")
    @classmethod
    def _known_orders(cls, orders: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_require_order(name) for name in orders)

    @field_validator("amplitude")
    @classmethod
    def _ordered_range(cls, amplitude: tuple[float, float]) -> tuple[float, float]:
        if not 0 <= amplitude[0] <= amplitude[1]:
            raise ValueError(f"amplitude {list(amplitude)} must be a range [low, high] with 0 <= low <= high")
        return amplitude


class BoundaryRanges(Config):
    """Boundaries between two orders with numbers drawn from ranges, see `gnnspin.observables.order_boundary`."""

    orders: tuple[str, str] = Field(
        default=("neel", "ferromagnet"), description="orders before the boundary and behind it, by name or file"
    )
    place: Range = Field(default=(0.2, 0.8), description="range of its place, as a share of the length")
    width: Range = Field(default=(1.0, 3.0), description="range of the width w of tanh(x / w)")
    wave: Range = Field(default=(0.0, 0.0), description="range of the amplitude of one wave of the boundary")
    direction: int = Field(default=0, ge=0, le=2, description="lattice direction across the boundary")
    turn: float = Field(default=90.0, description="degrees between the two orders")
    amplitude: Range = Field(default=(0.0, 0.2), description="range of the noise's standard deviation")

    @model_validator(mode="after")
    def _ranges(self) -> BoundaryRanges:
        for name in ("place", "width", "wave", "amplitude"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ValueError(f"{name}={[low, high]} must be a range [low, high] with 0 <= low <= high")
            if name in BoundaryConfig.model_fields:
                for value in (low, high):
                    self._boundary(**{name: value})
        return self

    def _boundary(self, **values: float) -> BoundaryConfig:
        return BoundaryConfig(orders=self.orders, direction=self.direction, turn=self.turn, **values)

    def drawn(self, seed: int) -> tuple[BoundaryConfig, float]:
        """A boundary and the noise on it, functions of the seed."""
        generator = np.random.default_rng(seed)
        place, width, wave, amplitude = (
            float(generator.uniform(*bounds)) for bounds in (self.place, self.width, self.wave, self.amplitude)
        )
        phase = float(generator.uniform(0, 360))
        return self._boundary(place=place, width=width, wave=wave, phase=phase), amplitude


class BoundarySampler(BoundaryRanges):
    """Boundaries between two orders, turned at random as a whole, with noise on every spin component."""

    kind: Literal["boundary"] = "boundary"
    count: int = Field(gt=0, description="configurations for each system")


class RelaxationSampler(Config):
    """Landau-Lifshitz-Gilbert trajectories from random spins or from an order, saved now and then.

    They run under the exact field, or under a trained `force_field`: only the saved snapshots are then solved exactly,
    which makes long trajectories cheap and shows the next training where the last model goes. Known `terms`, such as a
    magnetic field, push the spins besides, and the temperature may follow a protocol: annealing in a field.
    """

    kind: Literal["relaxation"] = "relaxation"
    count: int = Field(gt=0, description="trajectories for each system")
    n_steps: int = Field(gt=0, description="steps of a trajectory; a multiple of save_every")
    save_every: int = Field(gt=0, description="steps between saved snapshots; the random start itself is not saved")
    dt: float = Field(default=0.1, gt=0, description="time step in 1/(gamma t)")
    damping: float = Field(default=0.1, ge=0, description="dimensionless Landau-Lifshitz damping lambda")
    kT: Annotated[float, Field(ge=0)] | TemperatureRecipe = Field(
        default=0.0, description="temperature of the spins in units of the hopping: a number, or a protocol by its kind"
    )
    terms: tuple[SourceRecipe, ...] = Field(
        default=(),
        description="further terms that drive the spins, such as a Zeeman field; labels are of the electrons alone",
    )
    integrator: str = Field(default="semi_implicit", description="name of the integrator")
    boundary: BoundaryRanges | None = Field(
        default=None,
        description="boundary between two orders, drawn for each trajectory, that it starts from in place of an order",
    )
    order: str | None = Field(
        default=None, description="order, or file of spins (.npz, .npy), that the trajectories start from; null: random"
    )
    amplitude: float = Field(default=0.0, ge=0, description="standard deviation of the noise on the order at the start")
    force_field: Path | None = Field(
        default=None,
        description="model file that drives the spins, of a family the member at each point; null: exact field",
    )

    @field_validator("force_field")
    @classmethod
    def _existing_file(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError(f"{path} does not exist; give a model written by `gnnspin train`")
        return path

    @field_validator("order")
    @classmethod
    def _known_order(cls, order: str | None) -> str | None:
        return None if order is None else _require_order(order)

    @field_validator("integrator")
    @classmethod
    def _known_integrator(cls, name: str) -> str:
        if name not in INTEGRATORS:
            raise ValueError(f"integrator {name!r} is unknown; known: {', '.join(sorted(INTEGRATORS))}")
        return name

    @model_validator(mode="after")
    def _one_start(self) -> RelaxationSampler:
        if self.boundary is not None and (self.order is not None or self.amplitude > 0):
            raise ValueError("boundary stands in place of order and amplitude: give one of them")
        return self

    @model_validator(mode="after")
    def _whole_intervals(self) -> RelaxationSampler:
        if self.n_steps % self.save_every:
            raise ValueError(f"n_steps={self.n_steps} must be a multiple of save_every={self.save_every}")
        return self


class GivenSampler(Config):
    """Spin configurations of one's own, from a file: each becomes one label, as it is.

    ``.npy`` with unit spins (M, N, 3) in the order of the sites, or ``.npz`` with these as ``spins`` and, where they
    are snapshots of a motion, their ``times`` (M,), by which errors are then told.
    """

    kind: Literal["given"] = "given"
    path: Path = Field(description="file of spins (M, N, 3): .npy, or .npz with spins and perhaps times")
    system: int = Field(default=0, ge=0, description="number of the system the spins belong to, counted from 0")
    point: int | None = Field(
        default=None,
        ge=0,
        description="number of the point of the family at which they are solved, counted from 0; null: all",
    )

    @field_validator("path")
    @classmethod
    def _existing_file(cls, path: Path) -> Path:
        if path.suffix not in (".npy", ".npz") or not path.is_file():
            raise ValueError(f"{path} must be an existing file .npy or .npz with spins (M, N, 3)")
        return path


Sampler = Annotated[
    RandomSampler | PerturbedOrderSampler | BoundarySampler | RelaxationSampler | GivenSampler,
    Field(discriminator="kind"),
]


def _boundary_orders(sampler: Sampler) -> tuple[str, ...]:
    """Orders on both sides of the boundaries of a sampler."""
    ranges = sampler.boundary if isinstance(sampler, RelaxationSampler) else sampler
    return ranges.orders if isinstance(ranges, BoundaryRanges) else ()


class GenerateConfig(Config):
    """A set of exact labels."""

    systems: tuple[SystemConfig, ...] = Field(min_length=1, description="lattices or packings to label, each by itself")
    hamiltonian: HamiltonianRecipe = Field(description="the electrons and their coupling to the spins")
    solver: ElectronicRecipe = Field(
        description="exact solver with its temperature and mu, filling or electron number; or kind driven_steady_state "
        "with its contacts and voltage, whose labels have no energy"
    )
    samplers: tuple[Sampler, ...] = Field(min_length=1, description="where the spin configurations come from")
    family: FamilyConfig | None = Field(
        default=None,
        description="parameters of hamiltonian and solver that vary: every sampler is run at every point of a family",
    )
    seed: int = Field(default=0, ge=0, description="fixes every packing, configuration and thermal noise")

    def points(self) -> tuple[dict[str, float], ...]:
        """Parameter values of every point of the family; one point without any where there is no family."""
        return ({},) if self.family is None else self.family.all_points()

    def at(self, values: Mapping[str, float]) -> GenerateConfig:
        """The configuration of one member of the family, with these parameters in `hamiltonian` and `solver`.

        Raises
        ------
        InvalidInput
            If the sections have no such parameter.
        pydantic.ValidationError
            If a value is out of range there.
        """
        if not values:
            return self
        sections = {name: getattr(self, name).model_dump(mode="json") for name in ("hamiltonian", "solver")}
        kinds = {"solver": {"kind": self.solver.described_class.kind}}
        changed = {name: {**kinds.get(name, {}), **each} for name, each in with_parameters(sections, values).items()}
        rest = {name: getattr(self, name) for name in type(self).model_fields}
        return GenerateConfig.model_validate({**rest, **changed, "family": None})

    @property
    def fingerprint(self) -> str:
        """Hash of all values that differ from the defaults, and of the spins in files of orders.

        Equal configurations have equal fingerprints.
        """
        values = self.model_dump(mode="json", exclude_defaults=True)
        files = self.order_files()
        text = json.dumps({**values, "order_files": files} if files else values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def order_files(self) -> dict[str, str]:
        """Hash of the content of every file of an order."""
        names = [name for sampler in self.samplers if sampler.kind == "perturbed_order" for name in sampler.orders]
        names += [sampler.order for sampler in self.samplers if sampler.kind == "relaxation" and sampler.order]
        names += [name for sampler in self.samplers for name in _boundary_orders(sampler)]
        return {name: order_digest(name) for name in names if name not in ORDERS}

    def named_files(self) -> dict[str, str]:
        """Hash of the content of every file that decides on the labels: structures, models that drive, hopping."""
        paths: list[Path | None] = [system.path for system in self.systems if system.kind == "structure"]
        relaxations = [sampler for sampler in self.samplers if sampler.kind == "relaxation"]
        paths += [sampler.force_field for sampler in relaxations]
        paths += [sampler.path for sampler in self.samplers if sampler.kind == "given"]
        recipes = (self.hamiltonian, *(term for sampler in relaxations for term in sampler.terms))
        paths += [each.arguments().get("path") for recipe in recipes for each in recipe.inside()]
        return {str(path): order_digest(path) for path in paths if path is not None and Path(path).is_file()}
