"""Lattice geometry, spin systems and unions."""

import numpy as np
import pytest

from gnnspin.core.errors import InvalidInput
from gnnspin.systems import SpinSystem, amorphous, chain, honeycomb, simple_cubic, square, triangular, union


def nearest(system: SpinSystem) -> tuple[float, int]:
    """Shortest distance and how many neighbours a site of the middle has at it, over the 27 nearest cells."""
    shifts = np.stack(np.meshgrid(*[[-1, 0, 1] if p else [0] for p in system.pbc], indexing="ij"), -1).reshape(-1, 3)
    difference = system.positions[None, :, None] + shifts @ system.cell - system.positions[:, None, None]
    distance = np.linalg.norm(difference, axis=-1).reshape(system.n_sites, -1)
    distance[distance < 1e-9] = np.inf
    counts = (distance < distance.min() + 1e-9).sum(1)
    return float(distance.min()), int(counts[system.n_sites // 2])


@pytest.mark.parametrize(
    ("system", "coordination"),
    [(chain(7), 2), (square(5, 6), 4), (triangular(5, 6), 6), (honeycomb(4, 5), 3), (simple_cubic(3, 4, 5), 6)],
)
def test_nearest_neighbors(system, coordination):
    distance, count = nearest(system)
    assert distance == pytest.approx(1, abs=1e-12)
    assert count == coordination


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
