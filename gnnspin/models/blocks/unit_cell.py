"""The unit cell of the lattice a model is made for."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from gnnspin.core.config import Config
from gnnspin.core.errors import InvalidInput
from gnnspin.graphs.radius import MATCH_TOLERANCE
from gnnspin.systems import SpinSystem
from gnnspin.systems.lattice import is_lattice

Vector = tuple[float, float, float]


class UnitCell(Config):
    """The lattice a kernel is made for."""

    vectors: tuple[Vector, Vector, Vector] = Field(description="primitive vectors")
    basis: tuple[Vector, ...] = Field(description="positions of the cell's sites")
    extended: tuple[bool, bool, bool] = Field(description="directions in which the cell repeats")

    @classmethod
    def of(cls, system: SpinSystem) -> UnitCell:
        """Unit cell of `system`; InvalidInput if it is no lattice."""
        if not is_lattice(system):
            raise InvalidInput(
                f"this is a model of lattices; {system} is none. Choose a graph model, or put the sites in the order "
                "of a lattice by gs.systems.as_lattice(system)"
            )
        first = system.positions[: system.n_basis] - system.positions[0]
        shape = system.lattice_shape or (1, 1, 1)
        extended = shape[0] > 1, shape[1] > 1, shape[2] > 1
        return cls(vectors=system.primitive_vectors.tolist(), basis=first.tolist(), extended=extended)

    def system(self) -> SpinSystem:
        """One cell, periodic where it repeats."""
        return SpinSystem(self.basis, cell=self.vectors, pbc=self.extended, lattice_shape=(1, 1, 1))

    def check(self, system: SpinSystem) -> None:
        """Raise InvalidInput unless `system` repeats this cell."""
        cell = UnitCell.of(system)
        room = MATCH_TOLERANCE * system.spacing
        same = len(cell.basis) == len(self.basis) and np.allclose(cell.basis, self.basis, rtol=0, atol=room)
        extended = np.array(self.extended) | np.array(cell.extended)
        given, own = np.array(cell.vectors)[extended], np.array(self.vectors)[extended]
        if not same or not np.allclose(given, own, rtol=0, atol=room):
            raise InvalidInput(f"{system} has another unit cell than the lattice the model was made for")
