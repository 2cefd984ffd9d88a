"""Systems described in a configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from gnnspin.core.config import Config
from gnnspin.core.errors import InvalidInput
from gnnspin.systems import lattices
from gnnspin.systems.amorphous import amorphous
from gnnspin.systems.structures import read
from gnnspin.systems.system import SpinSystem, union

_DIMENSION = {
    "chain": 1,
    "square": 2,
    "triangular": 2,
    "honeycomb": 2,
    "kagome": 2,
    "simple_cubic": 3,
    "bcc": 3,
    "fcc": 3,
    "pyrochlore": 3,
}


class LatticeConfig(Config):
    """A lattice with nearest-neighbour distance 1."""

    kind: Literal["chain", "square", "triangular", "honeycomb", "kagome", "simple_cubic", "bcc", "fcc", "pyrochlore"]
    shape: tuple[int, ...] = Field(description="unit cells per direction, e.g. [24, 24]")
    pbc: bool | tuple[bool, ...] = Field(default=True, description="periodic: one bool, or one per direction")

    def build(self, seed: int = 0) -> SpinSystem:
        """Build the system; `seed` is ignored."""
        del seed
        if len(self.shape) != _DIMENSION[self.kind]:
            raise InvalidInput(f"shape {list(self.shape)} of a {self.kind} needs {_DIMENSION[self.kind]} numbers")
        return getattr(lattices, self.kind)(*self.shape, pbc=self.pbc)


class AmorphousConfig(Config):
    """Random packings with a minimum distance: one, or several side by side as one system."""

    kind: Literal["amorphous"]
    n_sites: int = Field(gt=0, description="sites of each packing")
    box: float = Field(gt=0, description="edge of the cubic box")
    min_distance: float = Field(ge=0)
    seed: int = Field(default=0, ge=0, description="number of the packing, the first of several")
    count: int = Field(default=1, ge=1, description="packings, whose sites never interact")

    def build(self, seed: int = 0) -> SpinSystem:
        """Build the packings with the numbers `seed` + `self.seed` and following; several are a union."""
        first = seed + self.seed
        seeds = ((first + k) % 2**64 for k in range(self.count))
        return union([amorphous(self.n_sites, self.box, self.min_distance, seed=each) for each in seeds])


class StructureConfig(Config):
    """The magnetic atoms in a structure file."""

    kind: Literal["structure"]
    path: Path = Field(description="CIF, extended XYZ, POSCAR, ...; the format follows from the name")
    species: int | str | tuple[int | str, ...] | None = Field(
        default=None, description="symbols or atomic numbers of the magnetic atoms; null: all"
    )
    repeat: int | tuple[int, int, int] | None = Field(default=None, description="copies of the cell along its vectors")
    index: int = Field(default=-1, description="which structure of a file with several")

    def build(self, seed: int = 0) -> SpinSystem:
        """Read the system; `seed` is ignored."""
        del seed
        return read(self.path, index=self.index, species=self.species, repeat=self.repeat)


class PositionsConfig(Config):
    """Sites at given positions."""

    kind: Literal["positions"]
    positions: tuple[tuple[float, float, float], ...] = Field(min_length=1, description="one vector per site")
    cell: tuple[tuple[float, float, float], ...] | None = Field(
        default=None, min_length=3, max_length=3, description="three cell vectors; null: none, all directions open"
    )
    pbc: bool | tuple[bool, bool, bool] = Field(default=False, description="periodic: one bool, or one per direction")
    species: tuple[int, ...] | None = Field(default=None, description="kind of each site; null: all alike")

    def build(self, seed: int = 0) -> SpinSystem:
        """Build the system; `seed` is ignored."""
        del seed
        return SpinSystem(self.positions, self.cell, self.pbc, self.species)


SystemConfig = Annotated[
    LatticeConfig | AmorphousConfig | StructureConfig | PositionsConfig, Field(discriminator="kind")
]
