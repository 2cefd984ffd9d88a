"""`SpinSystem`: where the spins sit. Geometry only, immutable, float64."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnspin.core.errors import InvalidInput
from gnnspin.systems.distances import LENGTH_TOLERANCE, FloatArray, IntArray, closest_distance
from gnnspin.systems.lattice import cell_spacing, is_lattice

#: Smallest volume of a cell, as part of that of the right-angled cell with the same edges.
_SINGULAR = 1e-12


class SpinSystem:
    """Positions of classical spins, periodic or not.

    Site order on a lattice is row-major in the Bravais indices:
    ``i = ((n1 * L2 + n2) * L3 + n3) * n_basis + basis_index``.

    Parameters
    ----------
    positions : (N, 3)
        Cartesian positions; may lie outside the cell.
    cell : (3, 3), optional
        Rows are the cell vectors. Needed where a direction is periodic; directions that are not periodic may have any
        vector that makes the cell non-singular. Default: the identity.
    pbc : bool or three bools
        Which cell directions are periodic.
    species : sequence of N integers, optional
        Kind of magnetic site; default all 0.
    lattice_shape : (L1, L2, L3), optional
        Number of unit cells along each cell vector, when the sites form a lattice in the order above.
    polar_axis : (3,), optional
        Direction along which up and down differ (a surface normal), for spin-orbit models.

    Raises
    ------
    InvalidInput
        On wrong shapes, values that are not finite, a singular cell, or coinciding sites.

    Examples
    --------
    >>> SpinSystem(positions=[[0, 0, 0], [1, 0, 0]], cell=np.diag([2, 1, 1]), pbc=(True, False, False)).n_sites
    2
    """

    def __init__(
        self,
        positions: ArrayLike,
        cell: ArrayLike | None = None,
        pbc: bool | Sequence[bool] = False,
        species: ArrayLike | None = None,
        *,
        lattice_shape: Sequence[int] | None = None,
        polar_axis: ArrayLike | None = None,
    ) -> None:
        self._positions = _frozen(positions, "positions")
        if self._positions.ndim != 2 or self._positions.shape[1] != 3 or len(self._positions) == 0:
            raise InvalidInput(f"positions have shape {self._positions.shape}; expected (n_sites, 3) with n_sites >= 1")
        self._pbc = periodic_directions(pbc)
        self._cell = _frozen(np.eye(3) if cell is None else cell, "cell")
        if self._cell.shape != (3, 3):
            raise InvalidInput(f"cell has shape {self._cell.shape}; expected (3, 3), rows are cell vectors")
        if cell is None and any(self._pbc):
            raise InvalidInput(f"pbc={self._pbc} needs a cell; give cell=(3, 3) with the cell vectors as rows")
        if not _volume_fraction(self._cell) > _SINGULAR:
            raise InvalidInput(f"cell {self._cell.tolist()} is singular; its three rows must be linearly independent")
        self._species = _integers(np.zeros(self.n_sites) if species is None else species, self.n_sites, "species")
        self._lattice_shape = self._check_shape(lattice_shape)
        self._polar_axis = None if polar_axis is None else _frozen(polar_axis, "polar_axis")
        if self._polar_axis is not None and self._polar_axis.shape != (3,):
            raise InvalidInput(f"polar_axis has shape {self._polar_axis.shape}; expected (3,)")

    def _check_shape(self, shape: Sequence[int] | None) -> tuple[int, int, int] | None:
        if shape is None:
            return None
        if len(shape) != 3 or any(int(n) < 1 for n in shape) or self.n_sites % int(np.prod(shape)):
            raise InvalidInput(f"lattice_shape {tuple(shape)} does not divide {self.n_sites} sites into unit cells")
        return int(shape[0]), int(shape[1]), int(shape[2])

    @property
    def positions(self) -> FloatArray:
        """Cartesian positions (N, 3), read-only."""
        return self._positions

    @property
    def cell(self) -> FloatArray:
        """Cell vectors as rows (3, 3), read-only."""
        return self._cell

    @property
    def pbc(self) -> tuple[bool, bool, bool]:
        """Which cell directions are periodic."""
        return self._pbc

    @property
    def species(self) -> IntArray:
        """Kind of each site (N,)."""
        return self._species

    @property
    def polar_axis(self) -> FloatArray | None:
        """Polar axis (3,) or None."""
        return self._polar_axis

    @property
    def lattice_shape(self) -> tuple[int, int, int] | None:
        """Unit cells per direction, or None for a system that is not a lattice."""
        return self._lattice_shape

    @property
    def n_sites(self) -> int:
        """Number of sites N."""
        return len(self._positions)

    @property
    def n_basis(self) -> int:
        """Sites per unit cell (N when the system is not a lattice)."""
        return self.n_sites // int(np.prod(self._lattice_shape)) if self._lattice_shape else self.n_sites

    @property
    def basis_index(self) -> IntArray:
        """Index of each site within its unit cell (N,)."""
        return np.arange(self.n_sites) % self.n_basis

    @property
    def parts(self) -> tuple[SpinSystem, ...]:
        """The disjoint systems this one consists of; ``(self,)`` unless it is a union."""
        return (self,)

    @property
    def n_graphs(self) -> int:
        """Number of disjoint systems."""
        return len(self.parts)

    @property
    def graph_index(self) -> IntArray:
        """Which of the disjoint systems each site belongs to (N,)."""
        return np.repeat(np.arange(self.n_graphs), [part.n_sites for part in self.parts])

    @property
    def primitive_vectors(self) -> FloatArray:
        """Primitive translations of the lattice as rows (3, 3).

        Raises
        ------
        InvalidInput
            If the system is not a lattice.
        """
        if self._lattice_shape is None:
            raise InvalidInput("this system is not a lattice and has no primitive vectors")
        return self.cell / np.array(self._lattice_shape)[:, None]

    @cached_property
    def spacing(self) -> float:
        """Distance of the closest two sites, images included; infinite for one site alone.

        Lengths that differ by less than 1e-6 of it are equal to the library, whatever the unit of length.

        Raises
        ------
        InvalidInput
            If two sites coincide.
        """
        spacing = cell_spacing(self) if is_lattice(self) else closest_distance(self)
        if not spacing > LENGTH_TOLERANCE * np.ptp(self.positions, axis=0).max(initial=0.0) / self.n_sites:
            raise InvalidInput(f"two sites are {spacing:.1e} apart; positions must be distinct")
        return spacing

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the geometry; equal systems have equal fingerprints."""
        digest = hashlib.sha256()
        for name, array in self.arrays().items():
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:32]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All data as named arrays, for storage; `from_arrays` is the inverse."""
        arrays: dict[str, NDArray[Any]] = {
            "positions": self.positions,
            "cell": self.cell,
            "pbc": np.array(self.pbc),
            "species": self.species,
        }
        if self.lattice_shape is not None:
            arrays["lattice_shape"] = np.array(self.lattice_shape)
        if self.polar_axis is not None:
            arrays["polar_axis"] = self.polar_axis
        return arrays

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> SpinSystem:
        """Rebuild a system from `arrays`."""
        shape = arrays.get("lattice_shape")
        return cls(
            positions=arrays["positions"],
            cell=arrays["cell"],
            pbc=[bool(p) for p in arrays["pbc"]],
            species=arrays["species"],
            lattice_shape=None if shape is None else [int(n) for n in shape],
            polar_axis=arrays.get("polar_axis"),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SpinSystem) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        lattice = f", lattice_shape={self.lattice_shape}" if self.lattice_shape else ""
        return f"SpinSystem(n_sites={self.n_sites}{lattice}, pbc={self.pbc})"


class UnionSystem(SpinSystem):
    """Disjoint systems side by side; made by `union`. Sites of different parts never interact."""

    def __init__(self, parts: Sequence[SpinSystem]) -> None:
        flat = [leaf for part in parts for leaf in part.parts]
        if not flat:
            raise InvalidInput("union() needs at least one system; got an empty list")
        super().__init__(
            positions=np.concatenate([part.positions for part in flat]),
            species=np.concatenate([part.species for part in flat]),
        )
        self._parts = tuple(flat)

    @property
    def parts(self) -> tuple[SpinSystem, ...]:
        """The disjoint systems, in site order."""
        return self._parts

    @property
    def cell(self) -> FloatArray:
        """Not defined for a union."""
        raise InvalidInput("a union of systems has no single cell; use system.parts[k].cell")

    @property
    def pbc(self) -> tuple[bool, bool, bool]:
        """Not defined for a union."""
        raise InvalidInput("a union of systems has no single pbc; use system.parts[k].pbc")

    @cached_property
    def spacing(self) -> float:
        """Smallest `SpinSystem.spacing` of the parts."""
        return min(part.spacing for part in self._parts)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the parts' fingerprints."""
        return hashlib.sha256("union".join(part.fingerprint for part in self._parts).encode()).hexdigest()[:32]

    def __repr__(self) -> str:
        return f"UnionSystem({self.n_graphs} systems, n_sites={self.n_sites})"


def union(systems: Sequence[SpinSystem]) -> SpinSystem:
    """Join systems into one whose energies have shape ``(..., n_graphs)``; a single system is returned as it is.

    Raises
    ------
    InvalidInput
        If the list is empty.
    """
    return systems[0] if len(systems) == 1 else UnionSystem(systems)


def periodic_directions(pbc: bool | Sequence[bool]) -> tuple[bool, bool, bool]:
    """Expand `pbc` to one bool per direction."""
    flags = [pbc] * 3 if isinstance(pbc, bool | np.bool_) else list(pbc)
    if len(flags) != 3:
        raise InvalidInput(f"pbc={pbc} must be one bool or three")
    return bool(flags[0]), bool(flags[1]), bool(flags[2])


def _volume_fraction(cell: FloatArray) -> float:
    """Volume of a cell (3, 3) over the product of its edges, whatever their lengths; 0 with a zero row."""
    edges = np.linalg.norm(cell, axis=1, keepdims=True)
    return abs(float(np.linalg.det(cell / edges))) if (edges > 0).all() else 0.0


def _frozen(values: ArrayLike, name: str) -> FloatArray:
    if np.iscomplexobj(values):
        raise InvalidInput(f"{name} are complex; give real numbers")
    array = np.array(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise InvalidInput(f"{name} contain values that are not finite")
    array.setflags(write=False)
    return array


def _integers(values: ArrayLike, n_sites: int, name: str) -> IntArray:
    array = np.array(values, dtype=np.int64)
    if array.shape != (n_sites,):
        raise InvalidInput(f"{name} have shape {array.shape}; expected ({n_sites},)")
    array.setflags(write=False)
    return array
