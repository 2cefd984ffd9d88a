"""Symmetries of a field source, measured by evaluations on random spins.

A symmetry maps spins to spins and torques to torques. The violation of an operation g is the largest change of a
component of the torque, ``max |T(g S) - g T(S)|``, relative to the root mean square of all components on random spins.
Half the root mean square change is the share of the torque that a model with this symmetry cannot have, if g is its own
inverse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gnnspin.core.modes import independent_of_modes
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import random_rotation, random_spins, torque
from gnnspin.force_fields.force_field import ForceField
from gnnspin.systems.operations import SiteOperation, site_operations
from gnnspin.systems.system import FloatArray, SpinSystem


@dataclass(frozen=True)
class SymmetryOperation:
    """One operation applied to a source.

    Attributes
    ----------
    kind : str
        As in `SpinModel.symmetries`; or ``point_group_with_spins``, ``mirrors_with_spins`` (spins are turned with the
        positions, as axial vectors) and ``mirrors_with_time_reversal``.
    name : str
        The operation in words.
    violation : float
        Largest change of the torque relative to its root mean square.
    share : float
        Half the root mean square change, relative likewise: of an operation that is its own inverse the share of the
        torque that is odd under it, out of reach of every model with the symmetry.
    holds : bool
        Whether the violation is within the tolerance.
    """

    kind: str
    name: str
    violation: float
    share: float
    holds: bool


@dataclass(frozen=True)
class SourceSymmetries:
    """Symmetries of a source as `source_symmetries` measured them.

    Attributes
    ----------
    operations : tuple of SymmetryOperation
    torque : float
        Root mean square of a torque component of the random spins, in units of the hopping.
    tolerance : float
        Violation up to which an operation holds.
    """

    operations: tuple[SymmetryOperation, ...]
    torque: float
    tolerance: float

    @property
    def violations(self) -> dict[str, float]:
        """Largest violation of each kind."""
        return {kind: max(operation.violation for operation in found) for kind, found in self._by_kind().items()}

    @property
    def shares(self) -> dict[str, float]:
        """Largest share of the torque, of each kind, that is odd under an operation."""
        return {kind: max(operation.share for operation in found) for kind, found in self._by_kind().items()}

    @property
    def held(self) -> frozenset[str]:
        """Kinds of which every operation holds."""
        return frozenset(kind for kind, value in self.violations.items() if value <= self.tolerance)

    @property
    def broken(self) -> frozenset[str]:
        """Kinds of which an operation does not hold."""
        return frozenset(self.violations) - self.held

    def _by_kind(self) -> dict[str, list[SymmetryOperation]]:
        kinds: dict[str, list[SymmetryOperation]] = {}
        for operation in self.operations:
            kinds.setdefault(operation.kind, []).append(operation)
        return kinds

    def __str__(self) -> str:
        lines = [f"torque of random spins {self.torque:.4g} (root mean square of a component)"]
        lines.append(f"{'symmetry':27} {'verdict':7} {'largest change':>14} {'odd share':>9} {'tried':>5}")
        violations, shares = self.violations, self.shares
        for kind, found in self._by_kind().items():
            verdict = "holds" if kind in self.held else "broken"
            name, numbers = kind.replace("_", " "), f"{violations[kind]:14.1e} {shares[kind]:9.1e}"
            lines.append(f"{name:27} {verdict:7} {numbers} {len(found):5}")
        return "\n".join(lines)


@independent_of_modes
def source_symmetries(
    source: FieldSource, *, seed: int = 0, tolerance: float = 1e-3, every: bool = True
) -> SourceSymmetries:
    """Symmetries that a field source has, by evaluations on random spins.

    Tried are a rotation of all spins, their inversion, the primitive translations of the system, and the proper and
    improper operations of its space group, each on the positions alone, together with the spins (as spin-orbit terms
    ask for), and the improper ones with time reversal (which flux through plaquettes leaves). On a system without a
    lattice a force field is tried on rotated and mirrored positions.

    Parameters
    ----------
    source : FieldSource
        Of one system, not of a union. Exact solvers, models, sums: anything with a field.
    seed : int
        Of the random spins and rotations.
    tolerance : float
        Largest change of the torque, relative to its root mean square, at which an operation holds. Float32 models
        reach 1e-4; probes of a stochastic solver break every symmetry by their noise.
    every : bool
        Every operation of the space group. False: only operations that generate the others, on positions alone.

    Returns
    -------
    SourceSymmetries

    Examples
    --------
    >>> import gnnspin as gs
    >>> found = gs.analysis.source_symmetries(gs.classical.Heisenberg(gs.systems.square(6, 6), J=1.0))
    >>> sorted(found.held - {"translation"})[:3]
    ['mirrors', 'mirrors_with_spins', 'mirrors_with_time_reversal']
    >>> found.broken
    frozenset()
    """
    system = source.system
    spins = random_spins(system.n_sites, seed=seed)
    reference = torque(spins, source.field(spins))
    scale = float(reference.square().mean().sqrt())
    trial = _Trial(source, spins, reference, scale or 1.0, tolerance)
    rotation = random_rotation(seed)
    found = [
        trial("spin_rotation", "random rotation of all spins", lambda v: v @ rotation.T),
        trial("time_reversal", "inversion of all spins", torch.neg, even=True),
    ]
    operations = site_operations(system)
    for operation in operations if every else _generators(operations):
        found += trial.spatial(operation, every=every)
    if system.n_graphs == 1 and not operations and isinstance(source, ForceField):
        found += trial.turned_space(source, seed + 1)
    return SourceSymmetries(tuple(found), scale, tolerance)


@independent_of_modes
def symmetry_violations(source: FieldSource, *, seed: int = 0) -> dict[str, float]:
    """Largest change of the torque under the operations a model may claim, relative to its root mean square.

    Parameters
    ----------
    source : FieldSource
        A conservative source of equilibrium has all these symmetries if its electrons have no spin-orbit coupling and
        no complex hopping.
    seed : int
        Of the random spins and rotations.

    Returns
    -------
    dict
        By the names of `SpinModel.symmetries`, those that the system has; of operations that generate the others, see
        `source_symmetries`.
    """
    return source_symmetries(source, seed=seed, every=False).violations


@dataclass(frozen=True)
class _Trial:
    """Random spins (N, 3) of a source and their torque; called with an operation it says how far that holds."""

    source: FieldSource
    spins: Tensor
    reference: Tensor
    scale: float
    tolerance: float

    def __call__(
        self, kind: str, name: str, act: Callable[[Tensor], Tensor], *, even: bool = False
    ) -> SymmetryOperation:
        """Apply `act` to spins and torques alike; to the spins alone where the torque is `even` in them."""
        moved = act(self.spins)
        return self.result(kind, name, self.source, moved, self.reference if even else act(self.reference))

    def result(self, kind: str, name: str, source: FieldSource, spins: Tensor, expected: Tensor) -> SymmetryOperation:
        change = (torque(spins, source.field(spins)) - expected) / self.scale
        violation = float(change.abs().max())
        share = float(change.square().mean().sqrt()) / 2
        return SymmetryOperation(kind, name, violation, share, violation <= self.tolerance)

    def spatial(self, operation: SiteOperation, *, every: bool) -> Iterator[SymmetryOperation]:
        """The operation on positions alone; with `every` also with the spins, and improper ones with inversion."""
        kind, name, moved = operation.kind, operation.name, operation.moved
        yield self(kind, name, moved)
        if not every or kind == "translation":
            return
        axial = torch.from_numpy(np.linalg.det(operation.matrix) * operation.matrix)
        yield self(f"{kind}_with_spins", f"{name}, spins turned", lambda v: moved(v) @ axial.T)
        if kind == "mirrors":
            spins, expected = -moved(self.spins), moved(self.reference)
            yield self.result(f"{kind}_with_time_reversal", f"{name}, spins inverted", self.source, spins, expected)

    def turned_space(self, source: ForceField, seed: int) -> Iterator[SymmetryOperation]:
        """A force field with all positions rotated, and mirrored besides."""
        rotation = random_rotation(seed).numpy()
        for kind, matrix in (("space_rotation", rotation), ("mirrors", rotation @ np.diag([1.0, 1.0, -1.0]))):
            elsewhere = source.on(_turned(source.system, matrix))
            yield self.result(kind, "random rotation of all positions", elsewhere, self.spins, self.reference)


def _generators(operations: tuple[SiteOperation, ...]) -> list[SiteOperation]:
    """All translations, and proper and improper operations that generate all others of theirs."""
    kept = [operation for operation in operations if operation.kind == "translation"]
    for kind in ("point_group", "mirrors"):
        group: dict[bytes, FloatArray] = {}
        chosen: list[FloatArray] = []
        for operation in operations:
            if operation.kind == kind and _key(operation.matrix) not in group:
                kept.append(operation)
                chosen.append(operation.matrix)
                group = _generated(chosen)
    return kept


def _generated(generators: list[FloatArray]) -> dict[bytes, FloatArray]:
    """All products of orthogonal matrices, by their rounded entries."""
    group, new = {}, [np.eye(3)]
    while new:
        group.update({_key(matrix): matrix for matrix in new})
        products = {_key(a @ b): a @ b for a in new for b in generators}
        new = [matrix for key, matrix in products.items() if key not in group]
    return group


def _key(matrix: FloatArray) -> bytes:
    return (np.round(matrix, 3) + 0.0).tobytes()


def _turned(system: SpinSystem, matrix: FloatArray) -> SpinSystem:
    axis = None if system.polar_axis is None else matrix @ np.asarray(system.polar_axis)
    return SpinSystem(system.positions @ matrix.T, system.cell @ matrix.T, system.pbc, system.species, polar_axis=axis)
