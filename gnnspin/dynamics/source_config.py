"""Field sources described in a configuration file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator

import gnnspin.classical  # noqa: F401  (defines kinds of sources)
from gnnspin.core.config import Config
from gnnspin.core.described import Recipe, RecipeOf
from gnnspin.core.errors import InvalidInput
from gnnspin.core.source import FieldSource
from gnnspin.electrons.electronic_source import ElectronicRecipe
from gnnspin.electrons.hamiltonian import HamiltonianRecipe
from gnnspin.force_fields.model_file import ModelFile
from gnnspin.systems import SpinSystem


class SourceConfig(Config):
    """Field source: a learned model, a Hamiltonian with an exact solver, or any kind of source with its parameters."""

    model: str | None = Field(default=None, description="file of a learned force field, or folder of a committee")
    device: Literal["cpu", "cuda"] = Field(default="cpu", description="where the source is computed")
    hamiltonian: HamiltonianRecipe | None = Field(default=None, description="the electrons of an exact solver")
    solver: ElectronicRecipe | None = Field(
        default=None, description="exact solver, with its temperature and ensemble, or its contacts and voltage"
    )
    described: Annotated[Recipe, RecipeOf(FieldSource)] | None = Field(
        default=None, description="any source: its kind and parameters, here or directly under source"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_a_kind(cls, given: Any) -> Any:
        """A kind with its parameters stands directly under ``source``."""
        if not isinstance(given, Mapping) or "kind" not in given:
            return given
        outside = {name: value for name, value in given.items() if name == "device"}
        return {**outside, "described": {name: value for name, value in given.items() if name != "device"}}

    @model_validator(mode="after")
    def _one_source(self) -> SourceConfig:
        exact = self.hamiltonian is not None or self.solver is not None
        if (self.model is not None) + exact + (self.described is not None) != 1:
            raise ValueError("give one of: model, hamiltonian and solver, or a kind of source with its parameters")
        if exact and (self.hamiltonian is None or self.solver is None):
            raise ValueError("give either model, or hamiltonian and solver")
        return self

    def recipe(self) -> Recipe:
        """The source as one description by its kind, such as a term of a sum."""
        if self.described is not None:
            return self.described
        if self.model is not None:
            return ModelFile.recipe({"kind": "model", "path": self.model})
        assert self.solver is not None
        kind = self.solver.described_class.kind
        return FieldSource.recipe({**self.solver.arguments(), "kind": kind, "hamiltonian": self.hamiltonian})

    def build(self, system: SpinSystem) -> FieldSource:
        """The field source on `system`.

        Raises
        ------
        InvalidInput
            If it does not fit the system, or there is no CUDA device.
        StoreError
            If a model file cannot be read.
        """
        if self.device == "cuda" and not torch.cuda.is_available():
            raise InvalidInput("source.device=cuda, but torch finds no CUDA device here; set it to cpu")
        if self.hamiltonian is None or self.solver is None:
            return self.recipe().build(system, self.device)
        return self.solver.build(device=self.device, hamiltonian=self.hamiltonian.build(system))
