"""The lattice a descriptor is made for, as plain numbers, and the neighbourhood of its sites."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from gnnspin.core.config import Config
from gnnspin.core.errors import InvalidInput
from gnnspin.graphs import radius_graph
from gnnspin.systems.distances import no_neighbor
from gnnspin.systems.lattice import is_ideal_lattice, repeated_directions
from gnnspin.systems.symmetry import CrystalSymmetry, SiteSymmetry
from gnnspin.systems.system import FloatArray, IntArray, SpinSystem

#: Neighbours this part of the closest distance from where the lattice has one are not its neighbours.
POSITION_TOLERANCE = 1e-4

Vector = tuple[float, float, float]


class LatticeTemplate(Config):
    """Geometry of a lattice as plain numbers, so that a saved descriptor can be built again without a system.

    Attributes
    ----------
    vectors : three vectors
        Primitive translations; those of directions that are not repeated are unused.
    basis : vectors
        Sites of one cell.
    repeated : three bools
        Directions with translations.
    species : integers
        Kind of each basis site.
    """

    vectors: tuple[Vector, Vector, Vector]
    basis: tuple[Vector, ...]
    repeated: tuple[bool, bool, bool]
    species: tuple[int, ...]

    @classmethod
    def of(cls, system: SpinSystem) -> LatticeTemplate:
        """Template of a system: its unit cell on a lattice, otherwise its whole cell.

        Open edges do not count: the template is the infinite lattice, and sites missing at an edge have no spin.

        Raises
        ------
        InvalidInput
            If the system is not periodic and not a lattice.
        """
        first = system.parts[0]
        if is_ideal_lattice(first):
            vectors, n_basis, repeated = first.primitive_vectors, first.n_basis, repeated_directions(first)
        elif any(first.pbc):
            vectors, n_basis, repeated = first.cell, first.n_sites, first.pbc
        else:
            raise InvalidInput(
                f"{first} is neither a lattice nor periodic, so its sites share no point group; use a lattice of "
                "gnnspin.systems, or a model for disordered systems such as magnetic symmetry functions"
            )
        basis = first.positions[:n_basis] - first.positions[0]
        return cls(
            vectors=tuple(map(tuple, vectors.tolist())),  # type: ignore[arg-type]
            basis=tuple(map(tuple, basis.tolist())),
            repeated=repeated,
            species=tuple(first.species[:n_basis].tolist()),
        )

    def system(self) -> SpinSystem:
        """One cell of the lattice."""
        return SpinSystem(
            self.basis, cell=self.vectors, pbc=self.repeated, species=self.species, lattice_shape=(1, 1, 1)
        )


@dataclass(frozen=True)
class Neighborhood:
    """A site, its neighbours within the cutoff, and how the site's point group permutes them.

    Attributes
    ----------
    group : SiteSymmetry
    vertices : (V, 3)
        Displacements; vertex 0 is the site itself.
    permutations : (G, V)
        Vertex that each operation moves a vertex to.
    frames : (B, 3, 3)
        The neighbours of basis site b are at ``frames[b] @ vertices``.
    """

    group: SiteSymmetry
    vertices: FloatArray
    permutations: IntArray
    frames: FloatArray

    @property
    def spacing(self) -> float:
        """Distance of the nearest neighbours."""
        return float(np.linalg.norm(self.vertices[1:], axis=1).min())

    @classmethod
    def of(cls, template: LatticeTemplate, cutoff: float) -> Neighborhood:
        """Neighbourhood of the sites of a lattice.

        Raises
        ------
        InvalidInput
            If the basis has sites that no operation maps on each other, or there is no neighbour within `cutoff`.
        """
        crystal = CrystalSymmetry.of(template.vectors, template.basis, template.repeated, template.species)
        representative, frames = crystal.frames()
        if representative.any():
            other = int(np.flatnonzero(representative)[0])
            raise InvalidInput(
                f"basis sites 0 and {int(representative[other])} are not equivalent (no operation of the lattice maps "
                "one on the other), so they share no set of orbits; use a model without a lattice template, such as "
                "spin_cluster_expansion or magnetic symmetry functions"
            )
        graph = radius_graph(template.system(), cutoff)
        vectors = graph.edge_vector.numpy()[graph.edge_index[1].numpy() == 0]
        if not len(vectors):
            raise no_neighbor(template.system(), cutoff)
        length = np.linalg.norm(vectors, axis=1)
        key = np.round(np.column_stack([vectors[:, ::-1], length]) / length.min(), 6)
        vertices = np.concatenate([np.zeros((1, 3)), vectors[np.lexsort(key.T)]])
        group = crystal.point_group(0)
        images = vertices @ group.rotations.transpose(0, 2, 1)
        distance, permutations = map(np.asarray, cKDTree(vertices).query(images))
        assert distance.max() < POSITION_TOLERANCE * length.min()
        return cls(group, vertices, permutations.astype(np.int64), frames)

    def table(self, system: SpinSystem, cutoff: float) -> IntArray:
        """Site (N, V) at every vertex of every site of `system`; N where an open edge has none.

        Raises
        ------
        InvalidInput
            If a site has a neighbour where the lattice of the template has none, or the unit cells differ.
        """
        offsets = np.cumsum([0] + [part.n_sites for part in system.parts])
        tables = [self._part_table(part, cutoff) for part in system.parts]
        for table, offset, part in zip(tables, offsets, system.parts, strict=False):
            missing = table == part.n_sites
            table += offset
            table[missing] = system.n_sites
        return np.concatenate(tables)

    def _part_table(self, system: SpinSystem, cutoff: float) -> IntArray:
        n_basis = len(self.frames)
        if n_basis > 1 and system.n_basis != n_basis:
            raise InvalidInput(
                f"the descriptor is made for a lattice of {n_basis} sites per cell, this system has {system.n_basis}; "
                "build the descriptor for it, or make the system with the same unit cell"
            )
        graph = radius_graph(system, cutoff)
        neighbor, centre = graph.edge_index.numpy()
        vector = graph.edge_vector.numpy()
        table = np.full((system.n_sites, len(self.vertices)), system.n_sites)
        table[:, 0] = np.arange(system.n_sites)
        for b, frame in enumerate(self.frames):
            own = centre % n_basis == b
            distance, vertex = map(np.asarray, cKDTree(self.vertices @ frame.T).query(vector[own]))
            if len(distance) and distance.max() > POSITION_TOLERANCE * self.spacing:
                site, where = int(centre[own][distance.argmax()]), vector[own][distance.argmax()]
                raise InvalidInput(
                    f"site {site} has a neighbour at {where.tolist()}, where the lattice the descriptor "
                    "is made for has none; build it with GroupIrrepsConfig.for_system of this lattice"
                )
            table[centre[own], vertex] = neighbor[own]
        return table
