"""Hamiltonians and solvers described in a configuration file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gnnspin.core.config import Config
from gnnspin.electrons.exact_diagonalization import ExactDiagonalization
from gnnspin.electrons.hamiltonian import SDHamiltonian
from gnnspin.electrons.hopping import ExponentialHopping, NearestNeighborHopping
from gnnspin.systems.system import SpinSystem


class NearestNeighborConfig(Config):
    """Hopping -t on every bond of the first neighbour shell."""

    kind: Literal["nearest_neighbor"] = "nearest_neighbor"
    t: float = Field(default=1.0, description="hopping amplitude, the unit of energy")

    def build(self) -> NearestNeighborHopping:
        """The rule."""
        return NearestNeighborHopping(t=self.t)


class ExponentialConfig(Config):
    """Hopping +t0 exp(-distance / length) between all pairs."""

    kind: Literal["exponential"] = "exponential"
    t0: float = Field(default=1.0, description="amplitude at distance zero")
    length: float = Field(default=1.0, gt=0, description="decay length")

    def build(self) -> ExponentialHopping:
        """The rule."""
        return ExponentialHopping(t0=self.t0, length=self.length)


HoppingConfig = Annotated[NearestNeighborConfig | ExponentialConfig, Field(discriminator="kind")]


class HamiltonianConfig(Config):
    """An s-d Hamiltonian: hopping and coupling to the spins."""

    hopping: HoppingConfig = Field(default=NearestNeighborConfig(), description="hopping rule")
    J: float = Field(description="coupling of electron spin to classical spin, in units of the hopping", examples=[3.0])

    def build(self, system: SpinSystem) -> SDHamiltonian:
        """The Hamiltonian on `system`."""
        return SDHamiltonian(system, self.hopping.build(), self.J)


class SolverConfig(Config):
    """An exact solver and the ensemble: exactly one of `mu`, `filling`, `n_electrons`."""

    kind: Literal["exact_diagonalization"] = Field(default="exact_diagonalization", description="solver")
    kT: float = Field(default=0.01, ge=0, description="electronic temperature in units of the hopping; 0 is allowed")
    mu: float | None = Field(default=None, description="chemical potential in units of the hopping")
    filling: float | None = Field(default=None, ge=0, le=1, description="electrons per spin-orbital")
    n_electrons: float | None = Field(default=None, ge=0, description="electron number")

    @model_validator(mode="after")
    def _one_constraint(self) -> SolverConfig:
        given = [name for name in ("mu", "filling", "n_electrons") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"got {' and '.join(given) or 'none'} of mu, filling and n_electrons; give exactly one")
        return self

    def build(self, hamiltonian: SDHamiltonian) -> ExactDiagonalization:
        """The solver as a field source."""
        return ExactDiagonalization(
            hamiltonian, kT=self.kT, mu=self.mu, filling=self.filling, n_electrons=self.n_electrons
        )
