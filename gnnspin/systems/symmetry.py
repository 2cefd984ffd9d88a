"""Point groups of sites and space-group operations, found by spglib from where the sites are; spins do not count.

Directions without translations (across a plane or a chain) are padded with empty space. Operations that act alike on
every site, such as a rotation about x and the mirror y -> -y on a planar lattice, count once: each is given by the
matrix that leaves the directions perpendicular to all sites alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import spglib
from numpy.typing import ArrayLike
from scipy.linalg import null_space
from scipy.spatial import cKDTree

from gnnspin.core.errors import InvalidInput
from gnnspin.systems.lattice import is_ideal_lattice, repeated_directions
from gnnspin.systems.system import FloatArray, IntArray, SpinSystem

#: Positions closer than this part of the closest distance are equal; also spglib's ``symprec`` in units of it.
SYMMETRY_TOLERANCE = 1e-5


@contextmanager
def quiet_spglib() -> Iterator[None]:
    """Without the warning by which spglib 2.7 and 2.8 announce on every call that they will raise errors one day."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*OLD_ERROR_HANDLING", category=DeprecationWarning)
        yield


@dataclass(frozen=True)
class SiteSymmetry:
    """Point group of a site.

    Attributes
    ----------
    name : str
        Hermann-Mauguin symbol; of a planar lattice that of the plane's group (``4mm`` for the square lattice).
    rotations : (G, 3, 3) float
        Orthogonal matrices about the site, Cartesian: ``r - r_site`` goes to ``R (r - r_site)``. The first is the
        identity.
    lattice_rotations : (G, 3, 3) int
        The same in a basis of lattice vectors, ``x -> W x``.
    """

    name: str
    rotations: FloatArray
    lattice_rotations: IntArray

    @property
    def order(self) -> int:
        """Number G of operations."""
        return len(self.rotations)

    @property
    def product(self) -> IntArray:
        """Table (G, G): ``R[product[g, h]] = R[g] R[h]``."""
        flat = self.lattice_rotations.reshape(self.order, 9)
        products = np.einsum("gij,hjk->ghik", self.lattice_rotations, self.lattice_rotations)
        equal = (products.reshape(self.order, self.order, 1, 9) == flat).all(-1)
        return equal.argmax(-1)


@dataclass(frozen=True)
class CrystalSymmetry:
    """Space-group operations of a lattice with a basis, modulo translations.

    Attributes
    ----------
    vectors : (3, 3)
        Primitive lattice vectors as rows; directions without translations are padded.
    basis : (B, 3)
        Cartesian positions of the given sites, several per primitive cell where the given cell is not primitive.
    rotations, lattice_rotations : (O, 3, 3)
        Cartesian and integer matrices.
    translations : (O, 3)
        Cartesian: ``r -> R r + t``.
    spacing : float
        Closest distance of two sites, the measure of all tolerances.
    """

    vectors: FloatArray
    basis: FloatArray
    rotations: FloatArray
    lattice_rotations: IntArray
    translations: FloatArray
    spacing: float

    @classmethod
    def of(
        cls, vectors: ArrayLike, basis: ArrayLike, periodic: Sequence[bool], species: ArrayLike | None = None
    ) -> CrystalSymmetry:
        """Find the operations.

        Parameters
        ----------
        vectors : (3, 3)
            Lattice vectors as rows; rows that are not periodic are not used.
        basis : (B, 3)
            Cartesian positions of the sites of one cell.
        periodic : three bools
        species : (B,) integers, optional
            Sites of different species are never mapped on each other.

        Raises
        ------
        InvalidInput
            If spglib rejects the structure.
        """
        flags = (bool(periodic[0]), bool(periodic[1]), bool(periodic[2]))
        given = SpinSystem(np.atleast_2d(np.asarray(basis, dtype=float)), cell=vectors, pbc=flags)
        spacing = given.spacing if np.isfinite(given.spacing) else 1.0
        sites = given.positions / spacing
        padded = _padded_vectors(given.cell / spacing, sites, flags)
        numbers = np.ones(len(sites), dtype=int) if species is None else np.unique(species, return_inverse=True)[1]
        with quiet_spglib():
            found = _dataset(padded, sites, numbers)
            if found is not None:
                _, kept = np.unique(found.mapping_to_primitive, return_index=True)
                primitive = np.asarray(found.primitive_lattice)
                found = _dataset(primitive, sites[kept], numbers[kept])
        if found is None:
            raise InvalidInput(f"spglib finds no symmetry of the cell {given.cell.tolist()} with {len(sites)} sites")
        to_lattice = np.linalg.inv(primitive.T)
        reduced = _reduced(primitive.T @ found.rotations @ to_lattice, primitive, padded[list(flags)], sites)
        return cls(
            vectors=primitive * spacing,
            basis=given.positions,
            rotations=primitive.T @ reduced @ to_lattice,
            lattice_rotations=reduced,
            translations=found.translations @ primitive * spacing,
            spacing=spacing,
        )

    def point_group(self, site: int) -> SiteSymmetry:
        """Operations that leave basis site `site` in place."""
        return _named(self.lattice_rotations[self._maps(site, site)], self.vectors)

    def frames(self) -> tuple[IntArray, FloatArray]:
        """Which earlier site each basis site is equivalent to, and how the surroundings of the one become the other's.

        Returns
        -------
        representative : (B,)
            Lowest equivalent basis site.
        frames : (B, 3, 3)
            Orthogonal matrices: if the representative has a neighbour at d, the site has one at ``frame @ d``. Pure
            translations and proper rotations are preferred.
        """
        n_basis = len(self.basis)
        representative = np.arange(n_basis)
        frames = np.tile(np.eye(3), (n_basis, 1, 1))
        for site in range(n_basis):
            for earlier in range(site):
                mapping = np.flatnonzero(self._maps(earlier, site))
                if representative[earlier] == earlier and len(mapping):
                    representative[site] = earlier
                    traces = np.trace(self.rotations[mapping], axis1=1, axis2=2)
                    proper = np.linalg.det(self.rotations[mapping])
                    frames[site] = self.rotations[mapping[np.lexsort((-traces, -proper))[0]]]
                    break
        return representative, frames

    def _maps(self, first: int, second: int) -> np.ndarray:
        """Which operations (O,) map site `first` on an image of site `second`."""
        difference = self.rotations @ self.basis[first] + self.translations - self.basis[second]
        fractional = difference @ np.linalg.inv(self.vectors)
        fractional -= np.round(fractional)
        return np.linalg.norm(fractional @ self.vectors, axis=1) < 10 * SYMMETRY_TOLERANCE * self.spacing


def site_symmetry(system: SpinSystem, site: int = 0) -> SiteSymmetry:
    """Point group of a site.

    On a periodic lattice it is the group of the infinite lattice, found from one primitive cell. A lattice with open
    edges has, at each site, those of these operations that map the whole system on itself. Any other system is handed
    to spglib whole (hundreds of sites, not thousands); one without periodic directions in a cubic box along x, y, z.

    Parameters
    ----------
    system : SpinSystem
    site : int

    Raises
    ------
    InvalidInput
        If there is no such site.
    """
    if not 0 <= site < system.n_sites:
        raise InvalidInput(f"site={site} is not in 0 .. {system.n_sites - 1}")
    if system.n_graphs > 1:
        part = int(system.graph_index[site])
        return site_symmetry(system.parts[part], site - int((system.graph_index < part).sum()))
    if not is_ideal_lattice(system):
        return CrystalSymmetry.of(system.cell, system.positions, system.pbc, system.species).point_group(site)
    repeated = repeated_directions(system)
    first = system.positions[: system.n_basis]
    crystal = CrystalSymmetry.of(system.primitive_vectors, first, repeated, system.species[: system.n_basis])
    group = crystal.point_group(site % system.n_basis)
    if repeated == system.pbc:
        return group
    kept = [_maps_onto_itself(system, rotation, site) for rotation in group.rotations]
    return _named(group.lattice_rotations[kept], crystal.vectors)


def schoenflies(name: str) -> str:
    """Schoenflies symbol of a Hermann-Mauguin one, from spglib's tables: ``4mm`` is ``C4v``."""
    with quiet_spglib():
        kinds = [spglib.get_spacegroup_type(hall_number) for hall_number in range(1, 531)]
    for kind in kinds:
        if kind is not None and kind.pointgroup_international == name:
            return str(kind.pointgroup_schoenflies)
    raise InvalidInput(f"{name!r} is not the Hermann-Mauguin symbol of a crystallographic point group")


def _padded_vectors(vectors: FloatArray, basis: FloatArray, periodic: tuple[bool, ...]) -> FloatArray:
    """Lattice vectors with empty space across every direction that has no translations."""
    translations = vectors[list(periodic)]
    if len(translations) == 3:
        return vectors
    extent = float(np.ptp(basis, axis=0).max()) + float(np.linalg.norm(translations, axis=1).max(initial=1.0))
    if not len(translations):
        return 5 * extent * np.eye(3)
    across = null_space(translations).T
    out_of_line = (basis - basis[0]) @ across.T
    across = np.linalg.svd(out_of_line)[2] @ across if len(across) == 2 else across
    padded = vectors.copy()
    padded[~np.array(periodic)] = 5 * extent * across
    return padded


def _dataset(vectors: FloatArray, sites: FloatArray, numbers: IntArray) -> spglib.SpglibDataset | None:
    """Symmetry data set of spglib for a cell with sites at Cartesian positions; None where spglib finds none."""
    cell = (vectors.tolist(), (sites @ np.linalg.inv(vectors)).tolist(), numbers.tolist())
    return spglib.get_symmetry_dataset(cell, SYMMETRY_TOLERANCE)


def _reduced(cartesian: FloatArray, vectors: FloatArray, periods: FloatArray, basis: FloatArray) -> IntArray:
    """Integer matrices of the operations, the identity along the directions in which no site lies."""
    displacements = np.concatenate([periods, basis - basis[0]])
    _, size, directions = np.linalg.svd(displacements)
    rank = int((size > SYMMETRY_TOLERANCE).sum())
    inside = directions[:rank].T @ directions[:rank]
    to_lattice = np.linalg.inv(vectors.T)
    reduced = to_lattice @ (inside @ cartesian @ inside + np.eye(3) - inside) @ vectors.T
    if np.abs(reduced - np.round(reduced)).max() > 1e-3:
        reduced = to_lattice @ cartesian @ vectors.T
    return np.round(reduced).astype(np.int64)


def _named(lattice_rotations: IntArray, vectors: FloatArray) -> SiteSymmetry:
    """Distinct matrices, ordered by their Cartesian entries after the identity, with the group's name."""
    unique = np.unique(lattice_rotations.reshape(-1, 9), axis=0).reshape(-1, 3, 3)
    rotations = vectors.T @ unique @ np.linalg.inv(vectors.T)
    entries = np.round(rotations, 6).reshape(-1, 9) + 0.0
    identity = (unique == np.eye(3, dtype=int)).all((1, 2))
    order = np.lexsort((*entries.T[::-1], ~identity))
    rotations, ordered = rotations[order], unique[order]
    with quiet_spglib():
        found = spglib.get_pointgroup(ordered.tolist())
    assert found is not None
    return SiteSymmetry(found[0].strip(), rotations, ordered)


def _maps_onto_itself(system: SpinSystem, rotation: FloatArray, site: int) -> bool:
    """Whether a rotation about a site maps an ideal lattice, edges and all, on itself."""
    periodic = np.array(system.pbc)
    to_cells = np.linalg.inv(system.cell)
    turned = system.cell @ rotation.T @ to_cells
    if not np.allclose(turned[periodic], np.round(turned[periodic]) * periodic, atol=1e-6):
        return False
    images = (system.positions - system.positions[site]) @ rotation.T + system.positions[site]
    room = SYMMETRY_TOLERANCE * system.spacing / np.linalg.norm(system.cell, axis=1)
    own, moved = (_wrapped(points @ to_cells, periodic, room) for points in (system.positions, images))
    nearest, index = map(np.asarray, cKDTree(own @ system.cell).query(moved @ system.cell))
    same = np.array_equal(system.species[index], system.species)
    return bool(nearest.max() < 10 * SYMMETRY_TOLERANCE * system.spacing and same)


def _wrapped(fractional: FloatArray, periodic: np.ndarray, room: FloatArray) -> FloatArray:
    """Fractional coordinates with the periodic ones in [0, 1), rounding errors up to `room` below 0 counted as 0."""
    return np.where(periodic, np.mod(fractional + room, 1.0), fractional)
