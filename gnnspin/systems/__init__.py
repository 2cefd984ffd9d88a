"""Spin systems: lattices, amorphous packings and disjoint unions."""

from gnnspin.systems.amorphous import amorphous
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
from gnnspin.systems.system import SpinSystem, UnionSystem, union

__all__ = [
    "SpinSystem",
    "UnionSystem",
    "amorphous",
    "bcc",
    "bravais",
    "chain",
    "fcc",
    "honeycomb",
    "kagome",
    "pyrochlore",
    "simple_cubic",
    "square",
    "triangular",
    "union",
]
