"""The orders that come with the library.

Regular magnetic orders of the triangular, honeycomb and kagome lattices: Messio, Lhuillier and Misguich, Phys. Rev. B
83, 184401 (2011), doi:10.1103/PhysRevB.83.184401.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order

from gnnspin.core.errors import InvalidInput
from gnnspin.graphs.radius import radius_graph
from gnnspin.observables.lattice_types import HONEYCOMB, KAGOME, TRIANGULAR, pattern_on
from gnnspin.observables.orders import register_order, repeated
from gnnspin.observables.reciprocal import dimension
from gnnspin.systems.system import FloatArray, SpinSystem

_UP = np.array([0.0, 0.0, 1.0])


@register_order("ferromagnet")
def ferromagnet(system: SpinSystem) -> FloatArray:
    """All spins along z, on any system."""
    return np.tile(_UP, (system.n_sites, 1))


@register_order("neel")
def neel(system: SpinSystem) -> FloatArray:
    """Up and down, opposite on every nearest-neighbour bond of a bipartite lattice; the first site is up."""
    shape = system.lattice_shape or (1, 1, 1)
    for k in range(dimension(system)):
        if system.n_basis == 1 and system.pbc[k] and shape[k] % 2:
            raise InvalidInput(
                f"neel order needs periodic lengths that are multiples of 2; length {k + 1} is {shape[k]}"
            )
    j, i = radius_graph(system, system.spacing).edge_index.numpy()
    bonds = coo_array((np.ones(len(i)), (i, j)), shape=(system.n_sites, system.n_sites)).tocsr()
    order, before = breadth_first_order(bonds, 0)
    sign = np.zeros(system.n_sites)
    sign[0] = 1
    for site in order[1:]:
        sign[site] = -sign[before[site]]
    if len(i) == 0 or (sign[i] * sign[j] > 0).any() or (sign == 0).any():
        raise InvalidInput(
            "neel order needs a bipartite lattice whose rings of bonds are even: chain, square, honeycomb, simple cubic"
        )
    return sign[:, None] * _UP


@register_order("stripe")
def stripe(system: SpinSystem) -> FloatArray:
    """Up and down in alternating rows of cells along the first direction of a lattice."""
    dimension(system)
    block = np.tile(np.array([1.0, -1.0])[:, None, None, None, None] * _UP, (1, 1, 1, system.n_basis, 1))
    return repeated(block, system, "stripe")


@register_order("120-degree")
def hundred_twenty(system: SpinSystem) -> FloatArray:
    """Three sublattices of the triangular lattice at 120 degrees in the xy plane, turned by +120 degrees along a1."""
    n1, n2 = _cells(3)
    return pattern_on(TRIANGULAR, _planar((n1 - n2) % 3)[:, :, None], system, "120-degree")


@register_order("tetrahedral")
def tetrahedral(system: SpinSystem) -> FloatArray:
    """Four sublattices of the triangular lattice towards the corners of a tetrahedron, chirality positive."""
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3)
    n1, n2 = _cells(2)
    return pattern_on(TRIANGULAR, corners[2 * n2 + n1][:, :, None], system, "tetrahedral")


@register_order("zigzag")
def zigzag(system: SpinSystem) -> FloatArray:
    """Zigzag chains of the honeycomb lattice along its first primitive vector, alternately up and down.

    Two of the three neighbours are parallel; the peak of S(q) is at one M point. Choi et al., Phys. Rev. Lett. 108,
    127204 (2012), doi:10.1103/PhysRevLett.108.127204.
    """
    _, n2 = _cells(2)
    sign = (-1.0) ** np.stack([n2, n2 + 1], axis=-1)
    return pattern_on(HONEYCOMB, sign[..., None] * _UP, system, "zigzag")


@register_order("q0")
def q0(system: SpinSystem) -> FloatArray:
    """Kagome q = 0: the three sublattices at 120 degrees, vector chirality equal on up and down triangles."""
    n1, _ = _cells(1)
    return pattern_on(KAGOME, _planar(0 * n1[..., None] + np.arange(3)), system, "q0")


@register_order("sqrt3")
def sqrt3(system: SpinSystem) -> FloatArray:
    """Kagome sqrt(3) x sqrt(3): 120 degrees on every triangle, vector chirality opposite on up and down triangles."""
    n1, n2 = _cells(3)
    return pattern_on(KAGOME, _planar((n2 - n1)[..., None] + np.arange(3)), system, "sqrt3")


@register_order("cuboc1")
def cuboc1(system: SpinSystem) -> FloatArray:
    """Kagome cuboc1: twelve sublattices towards the midpoints of a cube's edges, neighbours at 120 degrees.

    The three spins of a triangle are coplanar, the planes of neighbouring triangles differ.
    """
    x, y, z, none = _modulations()
    spins = [[none, y, -z], [-x, none, z], [x, -y, none]]
    return pattern_on(KAGOME, _sublattices(spins), system, "cuboc1")


@register_order("cuboc2")
def cuboc2(system: SpinSystem) -> FloatArray:
    """Kagome cuboc2: twelve sublattices towards the midpoints of a cube's edges, neighbours at 60 degrees.

    Scalar chirality ``+-1 / sqrt(2)`` on every triangle; its mirror image is ``-spins``.
    """
    x, y, z, none = _modulations()
    spins = [[none, y, z], [x, none, z], [x, y, none]]
    return pattern_on(KAGOME, _sublattices(spins), system, "cuboc2")


def _cells(period: int) -> list[NDArray[np.int64]]:
    """Indices n1 and n2 of a block of cells, both (period, period)."""
    return list(np.meshgrid(np.arange(period), np.arange(period), indexing="ij"))


def _planar(third_turns: NDArray[np.int64]) -> FloatArray:
    """Unit vectors in the xy plane at multiples of 120 degrees."""
    angle = 2 * np.pi / 3 * third_turns
    return np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=-1)


def _modulations() -> list[FloatArray]:
    """Signs of x, y and z over 2 x 2 cells, one M point each, constant along the bonds that share it; and zeros."""
    n1, n2 = _cells(2)
    return [np.asarray(signs, dtype=np.float64) for signs in (1 - 2 * ((n1 + n2) % 2), 1 - 2 * n1, 1 - 2 * n2, 0 * n1)]


def _sublattices(components: list[list[FloatArray]]) -> FloatArray:
    """Block (2, 2, 3, 3) of unit spins from three sublattices' components (2, 2)."""
    return np.moveaxis(np.array(components), (0, 1), (2, 3)) / np.sqrt(2)
