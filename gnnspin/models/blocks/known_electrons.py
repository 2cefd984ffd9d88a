"""Models that solve the electrons of a known Hamiltonian, and what labels record of these."""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import torch
from pydantic import AfterValidator, Field, model_validator
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from gnnspin.core.config import Config
from gnnspin.core.described import Recipe, RecipeOf
from gnnspin.core.errors import InvalidInput
from gnnspin.datasets.labels import LabelSet
from gnnspin.electrons.hamiltonian import SDHamiltonian
from gnnspin.models.base import SYMMETRIES, SpinModel
from gnnspin.systems import SpinSystem


def _in_full(recipe: Recipe) -> Recipe:
    """The same Hamiltonian without the files that it was read from, so that a model needs nothing else."""
    hopping = recipe.arguments().get("hopping")
    if not isinstance(hopping, Recipe):
        return recipe
    return SDHamiltonian.recipe({**recipe.model_dump(), "kind": SDHamiltonian.kind, "hopping": hopping.build()})


#: A Hamiltonian of which everything is stored.
HamiltonianInFull: TypeAlias = Annotated[Recipe, RecipeOf(SDHamiltonian), AfterValidator(_in_full)]


class ElectronsHyperparameters(Config):
    """Hyperparameters of `SolvedElectrons`."""

    hamiltonian: HamiltonianInFull | None = Field(
        default=None, description="the electrons and their coupling to the spins; null: those of the labels"
    )
    broken: tuple[str, ...] = Field(
        default=(), description="symmetries that the Hamiltonian lacks, as `gnnspin train` measures them"
    )

    @model_validator(mode="after")
    def _known_symmetries(self) -> ElectronsHyperparameters:
        if not set(self.broken) <= SYMMETRIES:
            raise ValueError(f"broken={list(self.broken)}; known: {', '.join(sorted(SYMMETRIES))}")
        return self


class SolvedElectrons(SpinModel):
    """Base of models that solve the electrons of a known Hamiltonian, with few numbers that labels tell.

    A subclass writes `solution`, `prepare` and `start_from`. Forces reach as far as the electrons, and all weights are
    solved for: there is no gradient with respect to them.
    """

    capabilities = frozenset({"solved"})
    hyperparameters: ElectronsHyperparameters

    @abstractmethod
    def solution(self, data: Any, spins: Tensor) -> tuple[Tensor | None, Tensor]:
        """Site energies (R, N) without `energy_shift`, None where there are none, and fields (R, N, 3)."""

    @classmethod
    def without(cls, broken: Collection[str], system: SpinSystem, values: dict[str, Any]) -> dict[str, Any]:
        """Complete hyperparameters by the symmetries that the Hamiltonian lacks."""
        del system
        return {"broken": tuple(sorted(broken)), **values}

    @property
    def symmetries(self) -> frozenset[str]:
        """Those of the Hamiltonian as far as its hopping tells, without those that were found to be broken.

        Where sites differ in coupling, those of the spins alone.
        """
        recipe = self.hyperparameters.hamiltonian
        assert recipe is not None
        hopping = recipe.arguments()["hopping"]
        kept: frozenset[str] = hopping.build().symmetries if isinstance(hopping, Recipe) else frozenset()
        if recipe.arguments()["spin_fraction"] < 1 or not isinstance(recipe.arguments()["J"], int | float):
            kept &= {"spin_rotation", "time_reversal"}
        return kept - set(self.hyperparameters.broken)

    @property
    def receptive_radius(self) -> float:
        """Infinite: electrons carry a torque through the whole system."""
        return math.inf

    def dimensionless_energies(self, data: Any, spins: Tensor) -> Tensor:
        energies, _ = self._solved(data, spins)
        if energies is None:
            raise InvalidInput(f"{self.name} has no energy; its field is not a gradient")
        return energies / self.energy_scale

    def energies_and_fields(
        self, data: Any, spins: Tensor, *, create_graph: bool = False
    ) -> tuple[Tensor | None, Tensor]:
        """Site energies (R, N), None where there are none, and fields (R, N, 3).

        Raises
        ------
        InvalidInput
            With `create_graph`: the weights are solved for, no gradient with respect to them is needed or given.
        """
        if create_graph:
            raise InvalidInput(f"{self.name} has no gradient with respect to its weights: they are solved for")
        energies, fields = self._solved(data, spins.reshape(-1, *spins.shape[-2:]))
        site = None if energies is None else (energies + self.energy_shift).reshape(spins.shape[:-1])
        return site, fields.reshape(spins.shape)

    @torch.no_grad()
    def _solved(self, data: Any, spins: Tensor) -> tuple[Tensor | None, Tensor]:
        if isinstance(spins, FakeTensor):
            raise InvalidInput(
                f"the memory of {self.name} cannot be predicted: its inversions are no tensor operations"
            )
        return self.solution(data, spins.detach())


@dataclass(frozen=True)
class ElectronRecord:
    """Labels of one system that record the same electrons.

    Attributes
    ----------
    hamiltonian, solver : dict or None
        What they record; None: nothing.
    system : SpinSystem
    indices : list of int
        Their places among the labels.
    """

    hamiltonian: dict[str, Any] | None
    solver: dict[str, Any] | None
    system: SpinSystem
    indices: list[int]


def electron_records(labels: LabelSet) -> list[ElectronRecord]:
    """Records of all labels, each of them once; spins and fields are not read."""
    found: dict[tuple[int, str], ElectronRecord] = {}
    for k, provenance in enumerate(labels.provenances):
        hamiltonian, solver = provenance.get("hamiltonian"), provenance.get("solver")
        number = int(labels.system_index[k])
        key = number, json.dumps([hamiltonian, solver], sort_keys=True, default=str)
        if key not in found:
            found[key] = ElectronRecord(hamiltonian, solver, labels.systems[number], [])
        found[key].indices.append(k)
    return list(found.values())


def require_same_hamiltonian(records: Iterable[ElectronRecord], own: Recipe) -> None:
    """InvalidInput where a label records another Hamiltonian than that of a model."""
    for record in records:
        if record.hamiltonian is None:
            continue
        try:
            recipe = SDHamiltonian.recipe(record.hamiltonian)
        except InvalidInput:  # of another package: nothing to compare with
            continue
        if _in_full(recipe) != own:
            raise InvalidInput(f"the model is of {own}, a label of {recipe}; make a new model for these labels")


def one_record(records: Sequence[dict[str, Any]], model: str) -> dict[str, Any]:
    """The only record there is among those of labels.

    Raises
    ------
    InvalidInput
        If there are several.
    """
    found = {json.dumps(record, sort_keys=True, default=str): record for record in records}
    contacts = {json.dumps(record.get("solver", {}).get("contacts"), default=str) for record in records}
    if len(contacts) > 1:
        raise InvalidInput("the labels' contacts differ; where systems differ in size, name them: left, right, all")
    if len(found) != 1:
        raise InvalidInput(f"the labels record {len(found)} different Hamiltonians or ensembles; {model} takes one")
    return next(iter(found.values()))
