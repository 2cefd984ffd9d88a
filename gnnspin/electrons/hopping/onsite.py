"""Onsite energies: given, or random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from gnnspin.core.errors import InvalidInput
from gnnspin.core.numbers import seed_number
from gnnspin.electrons.hopping.rules import HoppingRule, Hops
from gnnspin.systems.system import FloatArray, IntArray, SpinSystem


class OnsiteEnergy(HoppingRule, kind="onsite"):
    """Energy e_i on every orbital of site i: ``sum_i e_i n_i``.

    Parameters
    ----------
    energies : (N,)
        In units of the hopping. The rule then works on systems of N sites only.
    orbitals_per_site : int
        Orbitals of the rules it is added to.

    Raises
    ------
    InvalidInput
        If the energies are not a list of finite numbers; when applied to a system with another number of sites.
    """

    time_reversal = True
    n_shells = 0

    def __init__(self, energies: ArrayLike, orbitals_per_site: int = 1) -> None:
        self.energies = np.array(energies, dtype=np.float64)
        if self.energies.ndim != 1 or not np.isfinite(self.energies).all():
            raise InvalidInput(f"energies of shape {self.energies.shape} must be finite numbers (N,), one per site")
        self.energies.setflags(write=False)
        self.orbitals_per_site = _positive(orbitals_per_site)

    def orbitals(self, system: SpinSystem) -> IntArray:
        return np.full(system.n_sites, self.orbitals_per_site)

    def part_hops(self, system: SpinSystem) -> Hops:
        if len(self.energies) != system.n_sites:
            raise InvalidInput(f"{len(self.energies)} onsite energies do not fit a system of {system.n_sites} sites")
        return onsite_hops(np.repeat(self.energies, self.orbitals_per_site))

    def hops(self, system: SpinSystem) -> Hops:
        """Onsite terms of all sites of a system; the energies are those of all sites of a union."""
        return self.part_hops(system)

    def __repr__(self) -> str:
        return f"OnsiteEnergy({len(self.energies)} sites)"


@dataclass(frozen=True)
class OnsiteDisorder(HoppingRule, kind="disorder"):
    """Independent random onsite energies, the same on all orbitals of a site (Anderson disorder).

    They are a function of the seed and of the number of sites; every part of a union draws its own as if it were alone.

    Parameters
    ----------
    width : float
        Uniform between -width/2 and width/2, or the standard deviation of a normal distribution; >= 0.
    seed : int
        Decides the realisation.
    distribution : "uniform" or "normal"
        Distribution of the energies.
    orbitals_per_site : int
        Orbitals of the rules it is added to.

    Raises
    ------
    InvalidInput
        If a value is out of range.

    Notes
    -----
    P. W. Anderson, Phys. Rev. 109, 1492 (1958), doi:10.1103/PhysRev.109.1492.
    """

    width: float
    seed: int
    distribution: Literal["uniform", "normal"] = "uniform"
    orbitals_per_site: int = 1

    time_reversal = True
    n_shells = 0

    def __post_init__(self) -> None:
        if not np.isfinite(self.width) or self.width < 0:
            raise InvalidInput(f"width={self.width} must be a finite energy >= 0")
        if self.distribution not in ("uniform", "normal"):
            raise InvalidInput(f"distribution={self.distribution!r} must be 'uniform' or 'normal'")
        object.__setattr__(self, "seed", seed_number(self.seed))
        _positive(self.orbitals_per_site)

    def energies(self, system: SpinSystem) -> FloatArray:
        """Energies (N,) of one system that is not a union."""
        generator = np.random.default_rng(self.seed)
        if self.distribution == "normal":
            return self.width * generator.standard_normal(system.n_sites)
        return self.width * (generator.random(system.n_sites) - 0.5)

    def orbitals(self, system: SpinSystem) -> IntArray:
        return np.full(system.n_sites, self.orbitals_per_site)

    def part_hops(self, system: SpinSystem) -> Hops:
        return onsite_hops(np.repeat(self.energies(system), self.orbitals_per_site))


def diluted_coupling(system: SpinSystem, J: float, spin_fraction: float, *, seed: int) -> FloatArray:
    """Couplings (N,) of a dilute magnet: J on ``round(spin_fraction * N)`` random sites, 0 on the others.

    Every part of a union is diluted as if it were alone. The spins of the others have no energy and no field.

    Raises
    ------
    InvalidInput
        If `spin_fraction` is not between 0 and 1, or `seed` no whole number.
    """
    if not 0 <= spin_fraction <= 1:
        raise InvalidInput(f"spin_fraction={spin_fraction} must lie between 0 and 1")
    seed, couplings = seed_number(seed), []
    for part in system.parts:
        values = np.zeros(part.n_sites)
        order = np.random.default_rng(seed).permutation(part.n_sites)
        values[order[: round(spin_fraction * part.n_sites)]] = J
        couplings.append(values)
    return np.concatenate(couplings)


def onsite_hops(energies: FloatArray) -> Hops:
    """Diagonal terms of given energies (M,)."""
    index = np.arange(len(energies))
    return Hops(index, index, np.zeros((len(energies), 3)), energies)


def _positive(orbitals_per_site: int) -> int:
    if int(orbitals_per_site) != orbitals_per_site or orbitals_per_site < 1:
        raise InvalidInput(f"orbitals_per_site={orbitals_per_site} must be an integer >= 1")
    return int(orbitals_per_site)
