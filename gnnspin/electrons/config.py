"""Hamiltonians and solvers described in a configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from gnnspin.core.config import Config
from gnnspin.electrons.exact_diagonalization import ExactDiagonalization
from gnnspin.electrons.hamiltonian import SDHamiltonian
from gnnspin.electrons.hopping.haldane import HaldaneHopping
from gnnspin.electrons.hopping.onsite import OnsiteDisorder, OnsiteEnergy, diluted_coupling
from gnnspin.electrons.hopping.phases import PeierlsHopping, TwistedHopping
from gnnspin.electrons.hopping.rashba import RashbaHopping
from gnnspin.electrons.hopping.rules import ExponentialHopping, NearestNeighborHopping, ShellHopping, SumHopping
from gnnspin.electrons.hopping.wannier import CellHopping, wannier90_hopping
from gnnspin.electrons.poles.pole_expansion import PoleExpansion
from gnnspin.electrons.polynomials.kernel_polynomial import KernelPolynomial
from gnnspin.systems.system import FloatArray, SpinSystem


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


class ShellConfig(Config):
    """Hopping -t_s on every bond of neighbour shell s."""

    kind: Literal["shells"] = "shells"
    amplitudes: tuple[float, ...] = Field(min_length=1, description="t_1, t_2, ... of the neighbour shells")

    def build(self) -> ShellHopping:
        """The rule."""
        return ShellHopping(self.amplitudes)


class RashbaConfig(Config):
    """Rashba spin-orbit hopping on nearest-neighbour bonds; add it to another hopping with `sum`."""

    kind: Literal["rashba"] = "rashba"
    strength: float = Field(description="amplitude in units of the hopping")
    axis: tuple[float, float, float] | None = Field(
        default=None, description="direction in which up and down differ; default the system's polar axis, else z"
    )

    def build(self) -> RashbaHopping:
        """The rule."""
        return RashbaHopping(self.strength, self.axis)


class HaldaneConfig(Config):
    """Hopping between second neighbours with a phase by sense of rotation; add it to another hopping with `sum`."""

    kind: Literal["haldane"] = "haldane"
    t2: float = Field(description="amplitude in units of the hopping")
    phase: float = Field(default=np.pi / 2, description="phase in radians of a hop by way of a left turn")
    axis: tuple[float, float, float] | None = Field(
        default=None, description="direction from which turns are seen; default the system's polar axis, else z"
    )

    def build(self) -> HaldaneHopping:
        """The rule."""
        return HaldaneHopping(self.t2, self.phase, self.axis)


class OnsiteConfig(Config):
    """Given onsite energies; add them to another hopping with `sum`."""

    kind: Literal["onsite"] = "onsite"
    energies: tuple[float, ...] = Field(min_length=1, description="energy of every site")
    orbitals_per_site: int = Field(default=1, ge=1, description="orbitals of the rules it is added to")

    def build(self) -> OnsiteEnergy:
        """The rule."""
        return OnsiteEnergy(self.energies, self.orbitals_per_site)


class DisorderConfig(Config):
    """Random onsite energies; add them to another hopping with `sum`."""

    kind: Literal["disorder"] = "disorder"
    width: float = Field(ge=0, description="full width if uniform, standard deviation if normal")
    seed: int = Field(ge=0, description="realisation")
    distribution: Literal["uniform", "normal"] = Field(default="uniform", description="distribution of the energies")
    orbitals_per_site: int = Field(default=1, ge=1, description="orbitals of the rules it is added to")

    def build(self) -> OnsiteDisorder:
        """The rule."""
        return OnsiteDisorder(self.width, self.seed, self.distribution, self.orbitals_per_site)


class PeierlsConfig(Config):
    """A uniform magnetic field acting on another hopping."""

    kind: Literal["peierls"] = "peierls"
    hopping: HoppingConfig = Field(default=NearestNeighborConfig(), description="hopping without the field")
    flux: float = Field(description="flux quanta per primitive cell")

    def build(self) -> PeierlsHopping:
        """The rule."""
        return PeierlsHopping(self.hopping.build(), self.flux)


class TwistedConfig(Config):
    """Twisted boundary conditions for another hopping."""

    kind: Literal["twisted"] = "twisted"
    hopping: HoppingConfig = Field(default=NearestNeighborConfig(), description="hopping with periodic boundaries")
    phases: tuple[float, float, float] = Field(description="phase in radians across each cell vector")

    def build(self) -> TwistedHopping:
        """The rule."""
        return TwistedHopping(self.hopping.build(), self.phases)


class SumConfig(Config):
    """Sum of hoppings on the same orbitals."""

    kind: Literal["sum"] = "sum"
    rules: tuple[HoppingConfig, ...] = Field(min_length=1, description="hoppings that add")

    def build(self) -> SumHopping:
        """The rule."""
        return SumHopping(tuple(rule.build() for rule in self.rules))


class Wannier90Config(Config):
    """Hopping of a Wannier90 calculation, in eV, on a lattice with its primitive vectors and basis."""

    kind: Literal["wannier90"] = "wannier90"
    path: Path = Field(description="seedname_hr.dat")
    orbital_basis: tuple[int, ...] = Field(min_length=1, description="basis site of each spatial Wannier function")
    spinor: Literal["interleaved", "blocks"] | None = Field(
        default=None, description="order of up and down functions of a calculation with spin-orbit terms"
    )
    smallest: float = Field(default=0.0, ge=0, description="drop matrix elements below this, in eV")

    def build(self) -> CellHopping:
        """The rule."""
        return wannier90_hopping(self.path, self.orbital_basis, spinor=self.spinor, smallest=self.smallest)


HoppingConfig = Annotated[
    NearestNeighborConfig
    | ShellConfig
    | ExponentialConfig
    | RashbaConfig
    | HaldaneConfig
    | OnsiteConfig
    | DisorderConfig
    | PeierlsConfig
    | TwistedConfig
    | SumConfig
    | Wannier90Config,
    Field(discriminator="kind"),
]

for _recursive in (PeierlsConfig, TwistedConfig, SumConfig):
    _recursive.model_rebuild()


class HamiltonianConfig(Config):
    """An s-d Hamiltonian: hopping and coupling to the spins."""

    hopping: HoppingConfig = Field(default=NearestNeighborConfig(), description="hopping rule")
    J: float | tuple[float, ...] = Field(
        description="coupling of electron spin to classical spin, in units of the hopping: one for all, one per site "
        "or one per orbital",
        examples=[3.0],
    )
    spin_fraction: float = Field(default=1.0, ge=0, le=1, description="sites that carry a spin; J is 0 on the others")
    dilution_seed: int = Field(default=0, ge=0, description="which sites carry a spin where spin_fraction < 1")

    @model_validator(mode="after")
    def _dilute_one_coupling(self) -> HamiltonianConfig:
        if self.spin_fraction < 1 and not isinstance(self.J, float):
            raise ValueError("spin_fraction < 1 needs one number J; or set J to 0 on the sites without a spin yourself")
        return self

    def build(self, system: SpinSystem) -> SDHamiltonian:
        """The Hamiltonian on `system`."""
        coupling: float | FloatArray = np.array(self.J) if isinstance(self.J, tuple) else self.J
        if self.spin_fraction < 1 and isinstance(self.J, float):
            coupling = diluted_coupling(system, self.J, self.spin_fraction, seed=self.dilution_seed)
        return SDHamiltonian(system, self.hopping.build(), coupling)


_ENSEMBLE = ("mu", "filling", "n_electrons")
_OWN = {
    "exact_diagonalization": (),
    "pole_expansion": ("tolerance",),
    "kernel_polynomial": ("tolerance", "n_moments", "kernel", "probes", "n_colors", "seed"),
}


class SolverConfig(Config):
    """An exact solver and the ensemble: exactly one of `mu`, `filling`, `n_electrons`."""

    kind: Literal["exact_diagonalization", "pole_expansion", "kernel_polynomial"] = Field(
        default="exact_diagonalization", description="solver; which one when: docs/solvers.md"
    )
    kT: float = Field(default=0.01, ge=0, description="electronic temperature in units of the hopping; 0 only exactly")
    mu: float | None = Field(default=None, description="chemical potential in units of the hopping")
    filling: float | None = Field(default=None, ge=0, le=1, description="electrons per spin-orbital")
    n_electrons: float | None = Field(default=None, ge=0, description="electron number")
    tolerance: float | None = Field(default=None, gt=0, description="error of the field (poles, polynomials)")
    n_moments: int | None = Field(default=None, ge=2, description="Chebyshev moments, in place of a tolerance")
    kernel: Literal["none", "jackson"] | None = Field(default=None, description="damping of the moments")
    probes: Literal["deterministic", "colored"] | None = Field(default=None, description="of the polynomials")
    n_colors: int | None = Field(default=None, ge=1, description="colours of coloured probes")
    seed: int | None = Field(default=None, ge=0, description="seed of coloured probes")

    @model_validator(mode="after")
    def _consistent(self) -> SolverConfig:
        given = [name for name in _ENSEMBLE if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"got {' and '.join(given) or 'none'} of mu, filling and n_electrons; give exactly one")
        foreign = [name for names in _OWN.values() for name in names if name not in _OWN[self.kind]]
        for name in foreign:
            if getattr(self, name) is not None:
                raise ValueError(f"{name} means nothing to {self.kind}; leave it out")
        if self.kind != "exact_diagonalization" and self.kT == 0:
            raise ValueError(f"kT=0 is for exact_diagonalization alone; {self.kind} needs kT > 0")
        return self

    def build(self, hamiltonian: SDHamiltonian) -> ExactDiagonalization | PoleExpansion | KernelPolynomial:
        """The solver as a field source."""
        solver = {
            "exact_diagonalization": ExactDiagonalization,
            "pole_expansion": PoleExpansion,
            "kernel_polynomial": KernelPolynomial,
        }[self.kind]
        names = (*_ENSEMBLE, *_OWN[self.kind])
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return solver(hamiltonian, kT=self.kT, **given)
