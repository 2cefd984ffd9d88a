"""Lattice geometry, spin systems and unions."""

import numpy as np
import pytest

from gnnspin.core.errors import InvalidInput
from gnnspin.systems import (
    SpinSystem,
    amorphous,
    bcc,
    chain,
    fcc,
    honeycomb,
    kagome,
    pyrochlore,
    simple_cubic,
    square,
    triangular,
    union,
)
from gnnspin.systems.config import LatticeConfig
from gnnspin.systems.lattice import cell_indices, cell_number, cells_present


def shells(system: SpinSystem, n_shells: int) -> list[tuple[float, set[int]]]:
    """Distance of each shell and the numbers of neighbours that occur in it, over the 27 nearest cells."""
    shifts = np.stack(np.meshgrid(*[[-1, 0, 1] if p else [0] for p in system.pbc], indexing="ij"), -1).reshape(-1, 3)
    difference = system.positions[None, :, None] + shifts @ system.cell - system.positions[:, None, None]
    distance = np.round(np.linalg.norm(difference, axis=-1).reshape(system.n_sites, -1), 9)
    values = np.unique(distance)[1 : n_shells + 1]
    return [(float(d), set((distance == d).sum(1).tolist())) for d in values]


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        (chain(7), [(1, 2), (2, 2), (3, 2)]),
        (square(5, 6), [(1, 4), (2**0.5, 4), (2, 4), (5**0.5, 8)]),
        (triangular(5, 6), [(1, 6), (3**0.5, 6), (2, 6)]),
        (honeycomb(4, 5), [(1, 3), (3**0.5, 6), (2, 3)]),
        (kagome(4, 5), [(1, 4), (3**0.5, 4), (2, 6), (7**0.5, 8)]),
        (simple_cubic(4, 4, 5), [(1, 6), (2**0.5, 12), (3**0.5, 8)]),
        (bcc(5, 5, 6), [(1, 8), (2 / 3**0.5, 6), ((8 / 3) ** 0.5, 12)]),
        (fcc(5, 5, 6), [(1, 12), (2**0.5, 6), (3**0.5, 24), (2, 12)]),
        (pyrochlore(3, 3, 4), [(1, 6), (3**0.5, 12), (2, 12)]),
    ],
)
def test_neighbor_shells(system, expected):
    """Every site has the textbook number of neighbours in each of the first shells."""
    found = shells(system, len(expected))
    np.testing.assert_allclose([distance for distance, _ in found], [distance for distance, _ in expected], atol=1e-8)
    assert [counts for _, counts in found] == [{count} for _, count in expected]


@pytest.mark.parametrize(
    ("system", "size", "n_up"), [(kagome(3, 4), 3, 12), (pyrochlore(2, 3, 3), 4, 18)], ids=["kagome", "pyrochlore"]
)
def test_sites_of_one_cell_form_a_triangle_or_a_tetrahedron(system, size, n_up):
    positions = system.positions.reshape(n_up, size, 3)
    distance = np.linalg.norm(positions[:, :, None] - positions[:, None], axis=-1)
    np.testing.assert_allclose(distance, np.broadcast_to(1 - np.eye(size), distance.shape), atol=1e-12)
    assert system.n_basis == size


@pytest.mark.parametrize(("kind", "volume"), [(bcc, 4 / 27**0.5), (fcc, 0.5**0.5), (pyrochlore, 32**0.5 / 4 * 4)])
def test_cell_volumes(kind, volume):
    """Primitive cells of the cubic lattices: a^3/2 for bcc, a^3/4 for fcc, right-handed."""
    np.testing.assert_allclose(np.linalg.det(kind(1, 1, 1).primitive_vectors), volume, rtol=1e-12)


@pytest.mark.parametrize(
    ("kind", "shape", "n_sites"),
    [("kagome", (2, 3), 18), ("bcc", (2, 3, 4), 24), ("fcc", (2, 2, 2), 8), ("pyrochlore", (1, 2, 2), 16)],
)
def test_configuration_builds_the_lattice(kind, shape, n_sites):
    system = LatticeConfig(kind=kind, shape=shape).build()
    assert system.n_sites == n_sites
    assert system.lattice_shape == (*shape, 1)[:3]
    with pytest.raises(InvalidInput, match=f"of a {kind}"):
        LatticeConfig(kind=kind, shape=(2,)).build()


def test_site_order_is_row_major_with_the_basis_last():
    lattice = honeycomb(3, 4)
    vectors = lattice.primitive_vectors
    np.testing.assert_allclose(vectors[:2], [[np.sqrt(3), 0, 0], [np.sqrt(3) / 2, 1.5, 0]])
    for n1, n2, basis in np.ndindex(3, 4, 2):
        site = (n1 * 4 + n2) * 2 + basis
        np.testing.assert_allclose(lattice.positions[site], n1 * vectors[0] + n2 * vectors[1] + [0, basis, 0])
        assert lattice.basis_index[site] == basis
    assert lattice.lattice_shape == (3, 4, 1)
    assert lattice.n_basis == 2
    np.testing.assert_allclose(triangular(4, 5).positions[1 * 5 + 2], [2, np.sqrt(3), 0])
    np.testing.assert_allclose(simple_cubic(2, 3, 4).positions[(1 * 3 + 2) * 4 + 3], [1, 2, 3])


def test_periodic_directions():
    assert square(3, 3).pbc == (True, True, False)
    assert square(3, 3, pbc=False).pbc == (False, False, False)
    assert square(3, 4, pbc=(False, True)).pbc == (False, True, False)
    with pytest.raises(InvalidInput, match="2, one per direction"):
        square(3, 3, pbc=(True,))


@pytest.mark.parametrize("length", [0, -3, 2.5])
def test_bad_lengths(length):
    with pytest.raises(InvalidInput, match=str(length)):
        square(3, length)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"positions": [[0, 0]]}, r"\(1, 2\)"),
        ({"positions": np.zeros((0, 3))}, r"\(0, 3\)"),
        ({"positions": [[0, 0, np.nan]]}, "not finite"),
        ({"positions": [[0, 0, 0]], "pbc": True}, "needs a cell"),
        ({"positions": [[0, 0, 0]], "cell": np.ones((3, 3))}, "singular"),
        ({"positions": [[0, 0, 0]], "cell": np.eye(2)}, r"\(2, 2\)"),
        ({"positions": [[0, 0, 0]], "pbc": (True, False), "cell": np.eye(3)}, "one bool or three"),
        ({"positions": [[0, 0, 0]], "species": [0, 1]}, "species"),
        ({"positions": np.eye(3), "lattice_shape": (2, 1, 1)}, "lattice_shape"),
    ],
)
def test_bad_systems(arguments, reason):
    with pytest.raises(InvalidInput, match=reason):
        SpinSystem(**arguments)


def test_systems_are_immutable_and_compare_by_geometry():
    system = triangular(3, 4)
    with pytest.raises(ValueError, match="read-only"):
        system.positions[0, 0] = 1.0
    assert system == triangular(3, 4)
    assert hash(system) == hash(triangular(3, 4))
    different = [triangular(4, 3), triangular(3, 4, pbc=False), square(3, 4), SpinSystem(system.positions)]
    assert len({s.fingerprint for s in [system, *different]}) == 5
    assert SpinSystem.from_arrays(system.arrays()) == system


def test_union_keeps_its_parts_in_order():
    parts = [chain(3), square(2, 2), amorphous(5, 4.0, 0.5, seed=0)]
    joined = union([union(parts[:2]), parts[2]])
    assert joined.n_sites == 12
    assert joined.parts == tuple(parts)
    assert joined.n_graphs == 3
    assert joined.graph_index.tolist() == [0] * 3 + [1] * 4 + [2] * 5
    np.testing.assert_array_equal(joined.positions, np.concatenate([part.positions for part in parts]))
    assert joined == union(parts)
    assert joined != union(parts[::-1])
    assert union([parts[0]]) is parts[0]
    for name in ("cell", "pbc"):
        with pytest.raises(InvalidInput, match="union"):
            getattr(joined, name)
    with pytest.raises(InvalidInput, match="empty"):
        union([])


def test_cells_by_number_wrap_where_the_boundary_is_periodic():
    shape, pbc = (3, 4, 2), (True, False, True)
    cells = cell_indices(shape)
    assert cell_number(cells, shape).tolist() == list(range(24))
    far = cells + np.array([3, 0, -2])
    assert cell_number(far, shape).tolist() == list(range(24))
    assert cells_present(far, shape, pbc).all()
    assert cells_present(cells + np.array([0, 1, 0]), shape, pbc).tolist() == (cells[:, 1] < 3).tolist()
