"""Undirected bonds of neighbour shells, and terms that are a sum over clusters of sites."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.graphs.shells import shell_bonds
from gnnspin.systems.distances import LENGTH_TOLERANCE
from gnnspin.systems.system import FloatArray, IntArray, SpinSystem


@dataclass(frozen=True)
class BondList:
    """Bonds (i, j), each once; a pair joined by several periodic images appears once per image.

    Attributes
    ----------
    pairs : (B, 2)
        Ends i and j.
    vector : (B, 3)
        ``r_j - r_i`` of the image in question.
    shell : (B,)
        Rank of the bond's distance, 0 for the nearest neighbours.
    """

    pairs: IntArray
    vector: FloatArray
    shell: IntArray


def shell_bond_list(system: SpinSystem, n_shells: int = 1) -> BondList:
    """Bonds of the first `n_shells` neighbour shells of each part of a union, from the lower to the higher site.

    An open system with fewer shells gives those it has.
    """
    bonds = shell_bonds(system, n_shells)
    own = bonds.site == bonds.neighbor
    kept = (bonds.site < bonds.neighbor) | (own & _points_up(bonds.vector, system.spacing))
    return BondList(np.stack([bonds.site, bonds.neighbor], 1)[kept], bonds.vector[kept], bonds.shell[kept])


def _points_up(vector: FloatArray, spacing: float) -> np.ndarray:
    """Whether the first component that is not zero is positive: true for one of v and -v."""
    signs = np.sign(np.where(np.abs(vector) < LENGTH_TOLERANCE * spacing, 0.0, vector))
    return signs @ np.array([9.0, 3.0, 1.0]) > 0


def parallelograms(system: SpinSystem) -> IntArray:
    """Parallelograms of nearest-neighbour bonds, each once, (P, 4) sites in cyclic order.

    The unit squares of the square lattice (one per site), the rhombi of the triangular lattice (three per site), the
    faces of the cubic lattice; none on the honeycomb and kagome lattices.
    """
    bonds = shell_bond_list(system)
    up = _points_up(bonds.vector, system.spacing)[:, None]
    start = np.where(up[:, 0], bonds.pairs[:, 0], bonds.pairs[:, 1])
    end = np.where(up[:, 0], bonds.pairs[:, 1], bonds.pairs[:, 0])
    vector = np.where(up, bonds.vector, -bonds.vector)
    keys = [tuple(key) for key in np.round(vector / (10 * LENGTH_TOLERANCE * system.spacing)).astype(np.int64).tolist()]
    step = {(int(i), key): int(j) for i, key, j in zip(start, keys, end, strict=True)}
    outgoing: dict[int, list[tuple[int, ...]]] = {}
    for i, key in step:
        outgoing.setdefault(i, []).append(key)
    found = []
    for i, directions in outgoing.items():
        for a in directions:
            for b in directions:
                j, k, m = step[i, a], step.get((step[i, a], b)), step[i, b]
                if a < b and k is not None and step.get((m, a)) == k:
                    found.append((i, j, k, m))
    return np.array(found, dtype=np.int64).reshape(-1, 4)


def checked_clusters(clusters: ArrayLike, size: int, system: SpinSystem, name: str) -> IntArray:
    """Validate a list of clusters (B, size) of site numbers within one part of the system."""
    array = np.asarray(clusters)
    array = array.reshape(-1, size) if array.size == 0 else array
    if array.ndim != 2 or array.shape[1] != size or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise InvalidInput(f"{name} have shape {array.shape}; give integers ({name}, {size}), site numbers")
    array = array.astype(np.int64)
    if array.size and (array.min() < 0 or array.max() >= system.n_sites):
        raise InvalidInput(f"{name} hold sites outside 0 .. {system.n_sites - 1}")
    parts = system.graph_index[array]
    if (parts != parts[:, :1]).any():
        raise InvalidInput(
            f"{name} connect different parts of a union: {array[(parts != parts[:, :1]).any(1)][0].tolist()}"
        )
    return array


def checked_couplings(values: ArrayLike, n_clusters: int, name: str) -> FloatArray:
    """Validate one number for all clusters or one per cluster, (B,)."""
    array = np.asarray(values, dtype=np.float64)
    if array.shape not in ((), (n_clusters,)) or not np.isfinite(array).all():
        raise InvalidInput(f"{name} has shape {array.shape}; give a finite number, or {n_clusters} of them")
    return np.broadcast_to(array, (n_clusters,)).copy()


def shell_couplings(values: ArrayLike, name: str) -> FloatArray:
    """Validate one number per neighbour shell, (n_shells,)."""
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if array.ndim != 1 or len(array) == 0 or not np.isfinite(array).all():
        raise InvalidInput(f"{name}={values!r} must be a finite number, or one finite number per neighbour shell")
    return array


def unit_vectors(vectors: FloatArray) -> FloatArray:
    """Vectors (..., 3) divided by their lengths; those of unit length to rounding stay bit for bit as they are."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit = np.abs(lengths - 1) <= 8 * np.finfo(np.float64).eps
    return np.where(unit, vectors, vectors / lengths)


def surface_normal(normal: ArrayLike | None, system: SpinSystem) -> FloatArray:
    """Validate a normal, of unit length then; default the system's polar axis, else z."""
    polar = next((part.polar_axis for part in system.parts if part.polar_axis is not None), None)
    given = polar if normal is None else normal
    axis = np.asarray([0.0, 0.0, 1.0] if given is None else given, dtype=np.float64)
    if axis.shape != (3,) or not np.isfinite(axis).all() or not axis.any():
        raise InvalidInput(f"normal={normal!r} must be three finite numbers, not all zero")
    return unit_vectors(axis)


def share_among_sites(energies: Tensor, clusters: Tensor, n_sites: int) -> Tensor:
    """Energies per cluster (R, B) split equally among the cluster's sites (B, k), shape (R, N)."""
    size = clusters.shape[1]
    shares = (energies / size).repeat_interleave(size, dim=1)
    return torch.zeros(len(energies), n_sites, dtype=energies.dtype, device=energies.device).index_add(
        1, clusters.reshape(-1), shares
    )
