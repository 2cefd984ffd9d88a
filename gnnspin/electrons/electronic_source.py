"""Sources that solve the electrons of an s-d Hamiltonian, in equilibrium or between leads."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any, TypeAlias

from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.described import Recipe, RecipeOf
from gnnspin.core.source import FieldSource
from gnnspin.electrons.hamiltonian import SDHamiltonian


class ElectronicSource(FieldSource, default_kind="exact_diagonalization"):
    """Field source that solves electrons: a state with field, density and number, and more in equilibrium.

    Attributes
    ----------
    hamiltonian : SDHamiltonian
    """

    hamiltonian: SDHamiltonian

    @abstractmethod
    def solve(self, spins: Tensor | ArrayLike, time: float | None = None) -> Any:
        """State of the electrons for spins (..., N, 3); see the solvers for what it holds."""


#: Solver of labels, built on a Hamiltonian: ``recipe.build(system, hamiltonian=...)``.
ElectronicRecipe: TypeAlias = Annotated[Recipe, RecipeOf(ElectronicSource, without=("hamiltonian",))]
