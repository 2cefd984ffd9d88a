"""Orbits of bonds and scalar chiralities around a site: signed permutation representations of its point group.

An operation g maps the bond (j, k) to (gj, gk) and the chirality (j, m, n) to (gj, gm, gn); spins are relabelled, not
rotated. As chi_jmn changes sign with the order of its sites, a triple that g maps on itself in another cyclic order is
mapped on minus itself: the permutation is signed.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from gnnspin.descriptors.irreps.neighborhood import Neighborhood
from gnnspin.systems.distances import LENGTH_TOLERANCE
from gnnspin.systems.system import FloatArray, IntArray

Kind = Literal["bond", "chirality"]

#: A direction in no symmetry plane: it selects one sector of the neighbourhood.
_GENERIC = np.array([0.9123, 0.3371, 0.2341])


@dataclass(frozen=True)
class OrbitFamily:
    """Orbits that the group permutes in the same way: one projection serves them all.

    Member a of an orbit is the image of its representative under the operation ``cosets[a]``; every operation h in
    the `stabilizer` maps the representative on `signs` times itself.

    Attributes
    ----------
    kind : "bond" or "chirality"
    stabilizer, signs : (H,)
    cosets : (n,)
        One operation per member; the identity first.
    member, member_sign : (G,)
        Operation g maps the representative on ``member_sign[g]`` times member ``member[g]``.
    vertices : (O, n, k)
        The k = 2 or 3 vertices of every member of O orbits, in the order that gives the variable its sign.
    """

    kind: Kind
    stabilizer: IntArray
    signs: IntArray
    cosets: IntArray
    member: IntArray
    member_sign: IntArray
    vertices: IntArray

    @property
    def size(self) -> int:
        """Members n of each orbit."""
        return len(self.cosets)

    @property
    def n_orbits(self) -> int:
        """Number O of orbits."""
        return len(self.vertices)

    def action(self, product: IntArray) -> FloatArray:
        """Signed permutation matrices (G, n, n): column a holds the image of member a."""
        order = len(product)
        matrices = np.zeros((order, self.size, self.size))
        for a, coset in enumerate(self.cosets):
            image = product[:, coset]
            matrices[np.arange(order), self.member[image], a] = self.member_sign[image]
        return matrices


def bond_members(neighborhood: Neighborhood, longest: float, *, centre_only: bool) -> IntArray:
    """Vertex pairs (P, 2) whose members are at most `longest` apart; optionally only those with the site itself."""
    return _members(neighborhood, 2, longest, centre_only=centre_only)


def chirality_members(neighborhood: Neighborhood, longest: float, *, centre_only: bool) -> IntArray:
    """Vertex triples (T, 3) with no side longer than `longest`; optionally only those with the site itself."""
    return _members(neighborhood, 3, longest, centre_only=centre_only)


def find_orbits(neighborhood: Neighborhood, members: IntArray, kind: Kind) -> list[OrbitFamily]:
    """Families of orbits of the given members (P, k), which the group must map on each other.

    The representative of an orbit is the member whose centre lies farthest along a generic direction, so that all
    representatives lie in one sector of the neighbourhood. Chiralities of representatives run counterclockwise, seen
    from above a plane or from outside in three dimensions.
    """
    if not len(members):
        return []
    families: dict[tuple[bytes, bytes], list[tuple[IntArray, IntArray, IntArray, IntArray]]] = defaultdict(list)
    groups: dict[tuple[bytes, bytes], tuple[IntArray, IntArray]] = {}
    for representative in _representatives(neighborhood, members):
        images = neighborhood.permutations[:, _oriented(neighborhood, representative)]
        keys, signs = _sorted_with_sign(images)
        same = (keys == keys[0]).all(1)
        stabilizer, character = np.flatnonzero(same), (signs * signs[0])[same]
        _, first, member = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        ranks = np.argsort(np.argsort(first))
        cosets, member = np.sort(first), ranks[member.reshape(-1)]
        key = (stabilizer.tobytes(), character.tobytes())
        groups[key] = (stabilizer, character)
        families[key].append((images[cosets], cosets, member, signs * signs[cosets][member]))
    result = []
    for key, orbits in families.items():
        _, cosets, member, member_sign = orbits[0]
        vertices = np.stack([orbit[0] for orbit in orbits])
        result.append(OrbitFamily(kind, *groups[key], cosets, member, member_sign, vertices))
    return sorted(result, key=lambda family: -family.size)


def sides(neighborhood: Neighborhood, vertices: IntArray) -> FloatArray:
    """Distances between the vertices (..., k) of bonds (..., 1) or triples (..., 3), ascending."""
    points = neighborhood.vertices[vertices]
    pairs = list(combinations(range(vertices.shape[-1]), 2))
    lengths = [np.linalg.norm(points[..., i, :] - points[..., j, :], axis=-1) for i, j in pairs]
    return np.sort(np.stack(lengths, axis=-1), axis=-1)


def _members(neighborhood: Neighborhood, n: int, longest: float, *, centre_only: bool) -> IntArray:
    count = len(neighborhood.vertices)
    if centre_only:
        others = np.array(list(combinations(range(1, count), n - 1)), dtype=np.int64).reshape(-1, n - 1)
        found = np.column_stack([np.zeros(len(others), dtype=np.int64), others])
    else:
        found = np.array(list(combinations(range(count), n)), dtype=np.int64).reshape(-1, n)
    return found[sides(neighborhood, found)[:, -1] <= longest * (1 + LENGTH_TOLERANCE)] if len(found) else found


def _representatives(neighborhood: Neighborhood, members: IntArray) -> list[IntArray]:
    """One member (k,) of each orbit, in order of the sides, then of the distance of the centre from the site."""
    keys = np.sort(neighborhood.permutations[:, members], axis=-1)
    weights = len(neighborhood.vertices) ** np.arange(members.shape[1])[::-1]
    codes = keys @ weights
    centres = neighborhood.vertices[members].mean(1) / neighborhood.spacing
    along = np.round(centres @ _GENERIC, 6)
    shape = np.round(sides(neighborhood, members)[:, ::-1] / neighborhood.spacing, 6)
    orbit = codes.min(0)
    order = np.lexsort((members @ weights, -along, orbit))
    first = order[np.unique(orbit[order], return_index=True)[1]]
    remoteness = np.round(np.linalg.norm(centres, axis=1), 6)
    sorting = np.lexsort((first, remoteness[first], *shape[first].T[::-1]))
    return list(members[first[sorting]])


def _oriented(neighborhood: Neighborhood, vertices: IntArray) -> IntArray:
    if len(vertices) == 2:
        return vertices
    points = neighborhood.vertices[vertices] / neighborhood.spacing
    normal = np.cross(points[1] - points[0], points[2] - points[0])
    planar = bool((np.abs(neighborhood.vertices[:, 2]) < LENGTH_TOLERANCE * neighborhood.spacing).all())
    outward = normal[2] if planar else normal @ points.mean(0)
    if abs(outward) < 1e-6:
        outward = normal @ _GENERIC
    return vertices[[0, 2, 1]] if outward < -1e-6 else vertices


def _sorted_with_sign(images: IntArray) -> tuple[IntArray, IntArray]:
    """Vertices in ascending order (G, k) and the sign (G,) of the variable: -1 for odd orders of three sites."""
    order = np.argsort(images, axis=1)
    keys = np.take_along_axis(images, order, axis=1)
    if images.shape[1] == 2:
        return keys, np.ones(len(images), dtype=np.int64)
    even = (order[:, 1] - order[:, 0]) % 3 == 1
    return keys, np.where(even, 1, -1)
