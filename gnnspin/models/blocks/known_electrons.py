"""Electrons that labels record, for models that solve them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator

from gnnspin.core.described import Recipe, RecipeOf
from gnnspin.core.errors import InvalidInput
from gnnspin.datasets.labels import LabelSet
from gnnspin.electrons.hamiltonian import SDHamiltonian
from gnnspin.systems import SpinSystem


def _in_full(recipe: Recipe) -> Recipe:
    """The same Hamiltonian without the files that it was read from, so that a model needs nothing else."""
    hopping = recipe.arguments().get("hopping")
    if not isinstance(hopping, Recipe):
        return recipe
    return SDHamiltonian.recipe({**recipe.model_dump(), "kind": SDHamiltonian.kind, "hopping": hopping.build()})


#: A Hamiltonian of which everything is stored.
HamiltonianInFull: TypeAlias = Annotated[Recipe, RecipeOf(SDHamiltonian), AfterValidator(_in_full)]


def hopping_symmetries(recipe: Recipe) -> frozenset[str]:
    """Symmetries of a Hamiltonian as far as its hopping tells; sites of different kinds keep those of spins alone."""
    hopping = recipe.arguments()["hopping"]
    kept: frozenset[str] = hopping.build().symmetries if isinstance(hopping, Recipe) else frozenset()
    if recipe.arguments()["spin_fraction"] < 1 or not isinstance(recipe.arguments()["J"], int | float):
        kept &= {"spin_rotation", "time_reversal"}
    return kept


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
