"""Electrons that labels record, for models that solve them."""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator

from gnnspin.core.described import Recipe, RecipeOf
from gnnspin.core.errors import InvalidInput
from gnnspin.datasets.labels import LabelSet
from gnnspin.electrons.hamiltonian import SDHamiltonian


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


def require_same_hamiltonian(labels: LabelSet, own: Recipe) -> None:
    """InvalidInput where a label records another Hamiltonian than that of a model."""
    seen: set[str] = set()
    for label in labels:
        hamiltonian = label.provenance.get("hamiltonian")
        key = json.dumps(hamiltonian, sort_keys=True, default=str)
        if hamiltonian is None or key in seen:
            continue
        seen.add(key)
        try:
            recipe = SDHamiltonian.recipe(hamiltonian)
        except InvalidInput:  # of another package: nothing to compare with
            continue
        if _in_full(recipe) != own:
            raise InvalidInput(f"the model is of {own}, a label of {recipe}; make a new model for these labels")


def one_record(records: list[dict[str, Any]], model: str) -> dict[str, Any]:
    """The only record there is among those of labels.

    Raises
    ------
    InvalidInput
        If there are several.
    """
    found = {json.dumps(record, sort_keys=True): record for record in records}
    if len(found) != 1:
        raise InvalidInput(f"the labels record {len(found)} different Hamiltonians or ensembles; {model} takes one")
    return next(iter(found.values()))
