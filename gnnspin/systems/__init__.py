"""Spin systems: lattices, amorphous packings, structure files, site symmetry and disjoint unions."""

from gnnspin.systems.amorphous import amorphous
from gnnspin.systems.ends import named_sites
from gnnspin.systems.lattices import (
    bcc,
    bravais,
    chain,
    fcc,
    honeycomb,
    kagome,
    pyrochlore,
    simple_cubic,
    square,
    triangular,
)
from gnnspin.systems.ovf import read_ovf
from gnnspin.systems.recognition import RecognizedLattice, as_lattice
from gnnspin.systems.structures import from_ase, read, read_spins, spins_from_ase, to_ase, write
from gnnspin.systems.symmetry import SiteSymmetry, site_symmetry
from gnnspin.systems.system import SpinSystem, UnionSystem, union

__all__ = [
    "RecognizedLattice",
    "SiteSymmetry",
    "SpinSystem",
    "UnionSystem",
    "amorphous",
    "as_lattice",
    "bcc",
    "bravais",
    "chain",
    "fcc",
    "from_ase",
    "honeycomb",
    "kagome",
    "named_sites",
    "pyrochlore",
    "read",
    "read_ovf",
    "read_spins",
    "simple_cubic",
    "site_symmetry",
    "spins_from_ase",
    "square",
    "to_ase",
    "triangular",
    "union",
    "write",
]
