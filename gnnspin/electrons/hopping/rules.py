"""Hopping rules: from the geometry of a system to its hops and to the Hermitian matrix of amplitudes.

A model of another package enters as a matrix and positions (`SDHamiltonian` takes any Hermitian scipy.sparse matrix).
From kwant, for a finalised closed system with one orbital per site (two with spin, up first)::

    system = SpinSystem([(*site.pos, 0.0) for site in model.sites])
    hamiltonian = SDHamiltonian(system, model.hamiltonian_submatrix(sparse=True), J=1.0)

From pythtb 1.8, for a finite piece (``cut_piece(..., glue_edgs=True)`` makes it periodic) in two dimensions::

    system = SpinSystem(np.pad(piece.get_orb() @ piece.get_lat(), ((0, 0), (0, 1))))
    hamiltonian = SDHamiltonian(system, csr_array(piece._gen_ham().reshape(2 * (piece._norb * piece._nspin,))), J=1.0)
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gnnspin.core.described import Described, Recipe
from gnnspin.core.errors import InvalidInput
from gnnspin.graphs.shells import Bonds, shell_bonds
from gnnspin.systems.distances import minimum_image_vectors
from gnnspin.systems.system import FloatArray, IntArray, SpinSystem


@dataclass(frozen=True)
class Hops:
    """Directed terms ``h c+_m c_n`` of a one-body Hamiltonian, both directions of every bond listed.

    Attributes
    ----------
    row, column : (E,)
        Orbitals m and n. A pair that several periodic images join appears once per image.
    vector : (E, 3)
        From the site of m to the image of the site of n that the hop connects; zero for onsite terms.
    amplitude : (E,) or (E, 2, 2)
        h, alike for both spin directions; or a matrix in spin space (rows: spin of c+_m, up first).
    """

    row: IntArray
    column: IntArray
    vector: FloatArray
    amplitude: NDArray[Any]

    @property
    def spinful(self) -> bool:
        """Whether the amplitudes are matrices in spin space."""
        return self.amplitude.ndim == 3

    def with_spin(self) -> Hops:
        """The same hops with amplitudes (E, 2, 2)."""
        return self if self.spinful else replace(self, amplitude=self.amplitude[:, None, None] * np.eye(2))

    def times(self, phase: NDArray[Any]) -> Hops:
        """Every amplitude multiplied by a factor (E,)."""
        return replace(self, amplitude=(self.amplitude.T * phase).T)

    def matrix(self, n_orbitals: int) -> sparse.csr_array:
        """Sum of all terms: (M, M), or (2M, 2M) with rows ``2 m + a`` for amplitudes in spin space."""
        if not self.spinful:
            return sparse.coo_array((self.amplitude, (self.row, self.column)), shape=(n_orbitals,) * 2).tocsr()
        row, column = (
            np.broadcast_to(2 * index[:, None, None], self.amplitude.shape) for index in (self.row, self.column)
        )
        spin = np.arange(2)
        entries = (self.amplitude.ravel(), ((row + spin[:, None]).ravel(), (column + spin).ravel()))
        matrix = sparse.coo_array(entries, shape=(2 * n_orbitals,) * 2).tocsr()
        matrix.eliminate_zeros()
        return matrix


def joined(hops: Sequence[Hops], offsets: Sequence[int]) -> Hops:
    """All hops in one list, the orbitals of each shifted by its offset."""
    alike = [part.with_spin() for part in hops] if any(part.spinful for part in hops) else hops
    return Hops(
        row=np.concatenate([part.row + shift for part, shift in zip(alike, offsets, strict=True)]),
        column=np.concatenate([part.column + shift for part, shift in zip(alike, offsets, strict=True)]),
        vector=np.concatenate([part.vector for part in alike]),
        amplitude=np.concatenate([part.amplitude for part in alike]),
    )


class HoppingRule(Described, family="hopping rule", group="gnnspin.hopping_rules"):
    """A rule that gives the hops of any system; different parts of a union are not connected.

    A subclass implements `part_hops`, and `orbitals` where a site has several. Rules on the same orbitals add:
    ``NearestNeighborHopping() + RashbaHopping(0.2)`` is a rule.

    A subclass also declares what its hops are on every system, so that nobody has to guess from its name: whether they
    are invariant under time reversal and so on. The defaults claim nothing, which is always right.
    """

    @abstractmethod
    def part_hops(self, system: SpinSystem) -> Hops:
        """Hops of one system that is not a union."""

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        """Build the rule: it needs nothing but its arguments."""
        recipe.build()

    @property
    def time_reversal(self) -> bool:
        """Invariance under time reversal: reversing all spins reverses all fields."""
        return False

    @property
    def translation(self) -> bool:
        """Invariance of energies under the translations of a lattice, on every system, however small."""
        return False

    @property
    def isotropic(self) -> bool:
        """Whether amplitudes are functions of distances alone: every point operation of a system leaves them."""
        return False

    @property
    def acts_on_spin(self) -> bool:
        """Whether hops turn the electron's spin (spin-orbit terms), so that a global rotation of spins costs energy."""
        return False

    @property
    def symmetries(self) -> frozenset[str]:
        """Operations that leave energies as they are, as far as the rule tells; named as in `SpinModel.symmetries`."""
        kept = {
            "spin_rotation": not self.acts_on_spin,
            "time_reversal": self.time_reversal,
            "translation": self.translation,
            **dict.fromkeys(("point_group", "mirrors", "space_rotation"), self.isotropic),
        }
        return frozenset(name for name, holds in kept.items() if holds)

    @property
    def has_onsite(self) -> bool:
        """Whether there may be onsite terms."""
        return True

    @property
    def has_infinite_range(self) -> bool:
        """Whether hops reach all distances and fall off smoothly."""
        return False

    @property
    def has_bond_vectors(self) -> bool:
        """Whether hops say which periodic image they join, which phases (fields, twists) need."""
        return True

    @property
    def n_shells(self) -> int | None:
        """Neighbour shells that hops reach, 0 for onsite terms alone; None where that depends on the system."""
        return None

    def orbitals(self, system: SpinSystem) -> IntArray:
        """Number of orbitals on every site (N,); one unless a rule says otherwise."""
        return np.ones(system.n_sites, dtype=np.int64)

    def hops(self, system: SpinSystem) -> Hops:
        """All hops of a system, those of a union part by part."""
        counts = [int(self.orbitals(part).sum()) for part in system.parts]
        return joined([self.part_hops(part) for part in system.parts], np.cumsum([0, *counts[:-1]]).tolist())

    def matrix(self, system: SpinSystem) -> sparse.csr_array:
        """Amplitudes between the orbitals of a system.

        Parameters
        ----------
        system : SpinSystem
            Any system; different parts of a union are not connected.

        Returns
        -------
        (M, M) Hermitian sparse array, or (2M, 2M) where the rule acts on the spin; in units of the hopping
        """
        return self.hops(system).matrix(int(self.orbitals(system).sum()))

    def __add__(self, other: HoppingRule) -> SumHopping:
        if not isinstance(other, HoppingRule):
            return NotImplemented
        return SumHopping((self, other))


@dataclass(frozen=True)
class SumHopping(HoppingRule, kind="sum"):
    """Sum of rules on the same orbitals.

    Parameters
    ----------
    rules : tuple of HoppingRule
        Hoppings that add.

    Raises
    ------
    InvalidInput
        If there is no rule; when applied to a system on which the rules have different numbers of orbitals.
    """

    rules: tuple[HoppingRule, ...]

    def __post_init__(self) -> None:
        if not self.rules:
            raise InvalidInput("a sum of hopping rules needs at least one rule")
        flat = [term for rule in self.rules for term in (rule.rules if isinstance(rule, SumHopping) else (rule,))]
        object.__setattr__(self, "rules", tuple(flat))

    def orbitals(self, system: SpinSystem) -> IntArray:
        first, *others = (rule.orbitals(system) for rule in self.rules)
        for rule, counts in zip(self.rules[1:], others, strict=True):
            if not np.array_equal(first, counts):
                raise InvalidInput(f"{rule} and {self.rules[0]} have different numbers of orbitals on a site")
        return first

    def part_hops(self, system: SpinSystem) -> Hops:
        return joined([rule.part_hops(system) for rule in self.rules], [0] * len(self.rules))

    def hops(self, system: SpinSystem) -> Hops:
        self.orbitals(system)
        return joined([rule.hops(system) for rule in self.rules], [0] * len(self.rules))

    @property
    def time_reversal(self) -> bool:
        return all(rule.time_reversal for rule in self.rules)

    @property
    def translation(self) -> bool:
        return all(rule.translation for rule in self.rules)

    @property
    def isotropic(self) -> bool:
        return all(rule.isotropic for rule in self.rules)

    @property
    def acts_on_spin(self) -> bool:
        return any(rule.acts_on_spin for rule in self.rules)

    @property
    def has_onsite(self) -> bool:
        return any(rule.has_onsite for rule in self.rules)

    @property
    def has_infinite_range(self) -> bool:
        return any(rule.has_infinite_range for rule in self.rules)

    @property
    def has_bond_vectors(self) -> bool:
        return all(rule.has_bond_vectors for rule in self.rules)

    @property
    def n_shells(self) -> int | None:
        shells = [rule.n_shells for rule in self.rules]
        known = [number for number in shells if number is not None]
        return max(known) if len(known) == len(shells) else None


@dataclass(frozen=True)
class ShellHopping(HoppingRule, kind="shells"):
    """h_ij = -t_s on every bond of neighbour shell s = 1, 2, ..., each bond once.

    Shells are the distances that occur in the system, in ascending order. Where several periodic images join one pair
    their amplitudes add, so that the levels are those of the infinite lattice's bands.

    Parameters
    ----------
    amplitudes : sequence of float
        t_1, t_2, ...; a further shell has none.

    Raises
    ------
    InvalidInput
        If there is no amplitude or one is not finite.
    """

    amplitudes: tuple[float, ...]

    time_reversal = translation = isotropic = True
    has_onsite = False

    def __post_init__(self) -> None:
        values = tuple(float(t) for t in self.amplitudes)
        if not values:
            raise InvalidInput("amplitudes=() must hold at least one number, one per neighbour shell")
        for value in values:
            _require_finite("amplitude", value)
        object.__setattr__(self, "amplitudes", values)

    @property
    def n_shells(self) -> int:
        return len(self.amplitudes)

    def part_hops(self, system: SpinSystem) -> Hops:
        bonds = shell_bonds(system, len(self.amplitudes))
        return hops_on_bonds(bonds, -np.array(self.amplitudes)[bonds.shell])


@dataclass(frozen=True)
class NearestNeighborHopping(HoppingRule, kind="nearest_neighbor"):
    """h_ij = -t on every bond of the first neighbour shell, each bond once.

    The first shell is the shortest distance that occurs in the system. Where several periodic images join one pair (a
    lattice of length 1 or 2) their amplitudes add, so that the levels are those of the infinite lattice's bands.

    Parameters
    ----------
    t : float
        Hopping amplitude; its unit is the unit of energy.

    Raises
    ------
    InvalidInput
        If `t` is not finite.
    """

    t: float = 1.0

    time_reversal = translation = isotropic = True
    has_onsite = False
    n_shells = 1

    def __post_init__(self) -> None:
        _require_finite("t", self.t)

    def part_hops(self, system: SpinSystem) -> Hops:
        bonds = shell_bonds(system)
        return hops_on_bonds(bonds, np.full(len(bonds.site), -float(self.t)))


@dataclass(frozen=True)
class ExponentialHopping(HoppingRule, kind="exponential"):
    """``h_ij = +t0 exp(-|r_ij| / length)`` between all pairs, r_ij the minimum image (glass paper, eq. 17-18).

    Parameters
    ----------
    t0 : float
        Amplitude at distance zero; note the sign, which is opposite to `NearestNeighborHopping`.
    length : float
        Decay length, > 0.

    Raises
    ------
    InvalidInput
        If `t0` is not finite or `length` is not positive.
    """

    t0: float = 1.0
    length: float = 1.0

    time_reversal = translation = isotropic = True
    has_onsite = False
    has_infinite_range = True

    def __post_init__(self) -> None:
        _require_finite("t0", self.t0)
        if not np.isfinite(self.length) or self.length <= 0:
            raise InvalidInput(f"length={self.length} must be positive; it is the decay length of the hopping")

    def part_hops(self, system: SpinSystem) -> Hops:
        row, column = np.nonzero(~np.eye(system.n_sites, dtype=bool))
        vector = minimum_image_vectors(system)[row, column]
        return Hops(row, column, vector, self.t0 * np.exp(-np.linalg.norm(vector, axis=1) / self.length))


def hops_on_bonds(bonds: Bonds, amplitude: NDArray[Any]) -> Hops:
    """One hop per directed bond, for one orbital per site; `amplitude` (E,) or (E, 2, 2)."""
    return Hops(bonds.site, bonds.neighbor, bonds.vector, amplitude)


def _require_finite(name: str, value: float) -> None:
    if not np.isfinite(value):
        raise InvalidInput(f"{name}={value} must be a finite amplitude")
