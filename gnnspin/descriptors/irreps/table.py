"""Orbits, multiplicities and feature counts of a group-irrep descriptor, ready to print."""

from __future__ import annotations

from dataclasses import dataclass

from gnnspin.descriptors.irreps.orbits import Kind
from gnnspin.systems.symmetry import schoenflies


@dataclass(frozen=True)
class OrbitRow:
    """Orbits of one kind that the group permutes alike.

    Attributes
    ----------
    kind : "bond" or "chirality"
    n_orbits, size : int
        Number of orbits and members of each.
    multiplicity : dict of label to int
        Copies of each irrep in one orbit.
    n_amplitudes, n_phases, n_products : int
        Features of all these orbits.
    """

    kind: Kind
    n_orbits: int
    size: int
    multiplicity: dict[str, int]
    n_amplitudes: int
    n_phases: int
    n_products: int

    @property
    def content(self) -> str:
        """The decomposition, such as ``A1 + B1 + 2 E``."""
        return " + ".join(label if copies == 1 else f"{copies} {label}" for label, copies in self.multiplicity.items())


@dataclass(frozen=True)
class IrrepsTable:
    """Summary of a descriptor; `str` gives a table.

    Attributes
    ----------
    group : str
        Hermann-Mauguin symbol.
    order : int
        Operations of the group.
    irreps : dict of label to dimension
    n_neighbors : int
        Sites within the cutoff, without the site itself.
    rows : tuple of OrbitRow
    n_triple_products : int
        Bispectrum coefficients of the references.
    """

    group: str
    order: int
    irreps: dict[str, int]
    n_neighbors: int
    rows: tuple[OrbitRow, ...]
    n_triple_products: int

    @property
    def n_amplitudes(self) -> int:
        """Amplitudes, identity coefficients included."""
        return sum(row.n_amplitudes for row in self.rows)

    @property
    def n_phases(self) -> int:
        """Phases against references."""
        return sum(row.n_phases for row in self.rows)

    @property
    def n_products(self) -> int:
        """Bispectrum coefficients of all kinds."""
        return sum(row.n_products for row in self.rows) + self.n_triple_products

    @property
    def n_features(self) -> int:
        """All features."""
        return self.n_amplitudes + self.n_phases + self.n_products

    def __str__(self) -> str:
        lines = [
            f"site group {self.group} ({schoenflies(self.group)}) of order {self.order}, "
            f"irreps {', '.join(self.irreps)}; "
            f"{self.n_neighbors} neighbours",
            f"{'variables':<12}{'orbits':>7}{'size':>6}{'amplitudes':>12}{'phases':>8}{'products':>10}  one orbit",
        ]
        lines += [
            f"{row.kind:<12}{row.n_orbits:>7}{row.size:>6}{row.n_amplitudes:>12}{row.n_phases:>8}{row.n_products:>10}"
            f"  {row.content}"
            for row in self.rows
        ]
        lines.append(f"{'references':<12}{'':>7}{'':>6}{'':>12}{'':>8}{self.n_triple_products:>10}")
        lines.append(
            f"{'total':<12}{'':>7}{'':>6}{self.n_amplitudes:>12}{self.n_phases:>8}{self.n_products:>10}"
            f"  {self.n_features} features"
        )
        return "\n".join(lines)
