"""Equilibrium solvers' common base: the ensemble they are given, and the full electronic state they return."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar, TypeAlias

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.described import Recipe, RecipeOf
from gnnspin.core.errors import InvalidInput
from gnnspin.core.modes import independent_of_modes, outside_inference
from gnnspin.core.spins import as_spins
from gnnspin.electrons.electronic_source import ElectronicSource
from gnnspin.electrons.ensemble import Ensemble, FixedBy
from gnnspin.electrons.hamiltonian import SDHamiltonian
from gnnspin.electrons.state import ElectronicState


class EquilibriumSource(ElectronicSource, default_kind="exact_diagonalization"):
    """Field source of electrons in equilibrium; a subclass solves the parts of a system one by one.

    At fixed mu the energy is the grand potential Omega, at fixed filling or electron number the free energy
    F = Omega + mu N; in both ``-dE/dS_i = sum_{m on i} J_m <c+_m sigma c_m>`` holds exactly at any temperature.

    Parameters
    ----------
    hamiltonian : SDHamiltonian
        Its system may be a union: every part is then solved by itself.
    kT : float
        Temperature in units of the hopping, > 0, or >= 0 where `takes_zero_temperature`.
    **fixed
        Exactly one of `mu`, `filling` and `n_electrons`, see `FixedBy`.
    device : torch.device or str
        Where the electrons are solved.

    Attributes
    ----------
    hamiltonian : SDHamiltonian
    ensemble : Ensemble
        Temperature and what is held fixed.

    Raises
    ------
    InvalidInput
        If a number is out of range or not exactly one of `mu`, `filling`, `n_electrons` is given.
    """

    #: Whether kT = 0 is allowed.
    takes_zero_temperature: ClassVar[bool] = False

    ensemble: Ensemble

    def __init__(
        self, hamiltonian: SDHamiltonian, kT: float, device: torch.device | str | None, fixed: FixedBy
    ) -> None:
        self.ensemble = self._checked_ensemble(kT, fixed)
        self.hamiltonian, self.system = hamiltonian, hamiltonian.system
        self.device = torch.device("cpu" if device is None else device)
        self._constraints = self.ensemble.constraints(hamiltonian)

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        """Raise InvalidInput where the ensemble is out of range, or several or none of its constraints are given."""
        values = recipe.arguments()
        cls._checked_ensemble(values["kT"], FixedBy(**{name: values[name] for name in FixedBy.__annotations__}))  # type: ignore[typeddict-item]

    @classmethod
    def _checked_ensemble(cls, kT: float, fixed: FixedBy) -> Ensemble:
        ensemble = Ensemble.of(kT, fixed)
        if ensemble.kT == 0 and not cls.takes_zero_temperature:
            raise InvalidInput(
                f"kT={ensemble.kT} must be a positive temperature: a step has no finite expansion; "
                "use ExactDiagonalization, or a small kT"
            )
        return ensemble

    @property
    def kT(self) -> float:
        """Electronic temperature in units of the hopping."""
        return self.ensemble.kT

    @property
    def mu(self) -> float | None:
        """Chemical potential, where it is held fixed."""
        return self.ensemble.mu

    @property
    def filling(self) -> float | None:
        """Electrons per spin-orbital, where they are held fixed."""
        return self.ensemble.filling

    @property
    def n_electrons(self) -> float | tuple[float, ...] | None:
        """Electron number, or one per part of a union, where it is held fixed."""
        return self.ensemble.n_electrons

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.hamiltonian}, {self.ensemble})"

    @abstractmethod
    def _part_states(self, spins: Tensor) -> list[ElectronicState]:
        """State of every part, numbers of shape (R,), for spins (R, N, 3)."""

    @independent_of_modes
    def solve(self, spins: Tensor | ArrayLike, time: float | None = None) -> ElectronicState:
        """Energies, field, density and thermodynamics.

        Parameters
        ----------
        spins : (..., N, 3)
            Unit spins.
        time : float, optional
            Ignored: equilibrium does not depend on time.

        Returns
        -------
        ElectronicState
            On the spins' device; the field in the spins' dtype, everything else in float64.

        Raises
        ------
        InvalidInput
            If the spins have the wrong shape or are not finite unit vectors.
        """
        del time
        given = as_spins(spins, self.system.n_sites).detach()
        states = self._part_states(outside_inference(given.to(self.device, self.dtype)).reshape(-1, *given.shape[-2:]))
        replicas = given.shape[:-2]
        shape = replicas if self.system.n_graphs == 1 else (*replicas, self.system.n_graphs)

        def total(name: str) -> Tensor:
            return torch.stack([getattr(state, name) for state in states], -1).to(given.device).reshape(shape)

        return ElectronicState(
            energy=total("energy"),
            field=torch.cat([state.field for state in states], 1).to(given).reshape(given.shape),
            density=torch.cat([state.density for state in states], 1).to(given.device).reshape(given.shape[:-1]),
            mu=total("mu"),
            n_electrons=total("n_electrons"),
            internal_energy=total("internal_energy"),
            entropy=total("entropy"),
        )


#: Solver of a configuration, built on a Hamiltonian: ``recipe.build(system, hamiltonian=...)``.
SolverRecipe: TypeAlias = Annotated[Recipe, RecipeOf(EquilibriumSource, without=("hamiltonian",))]
