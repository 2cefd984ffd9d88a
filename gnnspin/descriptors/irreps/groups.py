"""Real irreducible representations of a site's point group, with labels and characters computed from the matrices."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from spgrep import get_crystallographic_pointgroup_irreps_from_symmetry  # type: ignore[import-untyped]

from gnnspin.systems.symmetry import SiteSymmetry, quiet_spglib
from gnnspin.systems.system import FloatArray, IntArray


@dataclass(frozen=True)
class Irrep:
    """One irreducible representation over the real numbers.

    Attributes
    ----------
    label : str
        Mulliken symbol, see `irreps_of`.
    matrices : (G, d, d)
        Orthogonal matrices in the order of the group's operations.
    """

    label: str
    matrices: FloatArray

    @property
    def dimension(self) -> int:
        """Dimension d."""
        return self.matrices.shape[1]

    @property
    def is_identity(self) -> bool:
        """Whether every operation is represented by 1."""
        return self.dimension == 1 and bool(np.allclose(self.matrices, 1))

    @cached_property
    def character(self) -> FloatArray:
        """Traces (G,)."""
        return np.trace(self.matrices, axis1=1, axis2=2)

    @cached_property
    def commutants(self) -> FloatArray:
        """Orthogonal matrices (c, d, d) that commute with the representation: 1, and for complex types one more.

        A real irrep that splits in two complex conjugate ones (E of the groups 3, 4, 6, 23) has c = 2; the second
        matrix is antisymmetric.
        """
        n = self.dimension
        found = [np.eye(n)]
        for row, column in zip(*np.triu_indices(n, 1), strict=True):
            seed = np.zeros((n, n))
            seed[row, column], seed[column, row] = -1.0, 1.0
            mean = np.einsum("gij,jk,glk->il", self.matrices, seed, self.matrices) / len(self.matrices)
            if np.abs(mean).max() > 1e-8 and len(found) == 1:
                found.append(mean * np.sqrt(n) / np.linalg.norm(mean))
        return np.stack(found)


def irreps_of(group: SiteSymmetry) -> tuple[Irrep, ...]:
    """All irreducible representations over the reals, the identity representation first.

    The matrices come from spgrep (Shinohara and Togo, J. Open Source Softw. 8, 5269, 2023). Labels follow Mulliken: A
    and B for representations even and odd under the rotation of highest order, E and T for dimensions 2 and 3, indices
    1 and 2 for even and odd under a twofold axis across it or a mirror through it (one that contains the first lattice
    vector, where there is one), g and u under inversion, primes under the mirror across the axis, E1 and E2 by angular
    momentum; in cubic groups 1 and 2 by the fourfold rotation or rotoinversion. Where that leaves two alike, as among
    the three axes of 222, they are numbered.
    """
    with quiet_spglib():
        found = get_crystallographic_pointgroup_irreps_from_symmetry(group.lattice_rotations, real=True)
    matrices = [np.real(each) for each in found]
    labels = [_label(group, np.trace(each, axis1=1, axis2=2)) for each in matrices]
    counts, seen = Counter(labels), Counter[str]()
    irreps = []
    for label, each in zip(labels, matrices, strict=True):
        seen[label] += 1
        irreps.append(Irrep(f"{label}({seen[label]})" if counts[label] > 1 else label, each))
    return tuple(sorted(irreps, key=lambda irrep: (not irrep.is_identity, irrep.dimension, irrep.label)))


def multiplicities(character: FloatArray, irreps: tuple[Irrep, ...]) -> IntArray:
    """How often each irrep occurs in the representation whose traces (G,) are given: <chi, chi_Gamma> / c."""
    overlap = np.array([character @ irrep.character for irrep in irreps])
    return np.round(overlap / [irrep.character @ irrep.character for irrep in irreps]).astype(np.int64)


def _label(group: SiteSymmetry, character: FloatArray) -> str:
    rotations = group.rotations
    determinant = np.round(np.linalg.det(rotations)).astype(int)
    fold = _fold(rotations * determinant[:, None, None])
    dimension = round(character[0])
    inversion = (group.lattice_rotations == -np.eye(3, dtype=int)).all((1, 2))
    parity = ("" if not inversion.any() else "g" if character[inversion][0] > 0 else "u") if len(rotations) > 1 else ""
    fourfold = np.flatnonzero(fold == 4)
    if np.count_nonzero((fold == 3) & (determinant == 1)) == 8:
        if not len(fourfold) or dimension == 2:
            return "_AET"[dimension] + parity
        return "_AET"[dimension] + ("1" if character[_first_proper(fourfold, determinant)] > 0 else "2") + parity
    order = int(fold[determinant == 1].max())
    principal = int(np.flatnonzero((fold == order) & (determinant == 1))[0])
    axis = _axis(rotations[principal]) if order > 1 else None
    prime = _prime(rotations, determinant, axis, character) if not parity else ""
    if dimension == 2:
        momentum = round(order * np.arccos(np.clip(character[principal] / 2, -1, 1)) / (2 * np.pi))
        return "E" + (str(momentum) if order == 6 else "") + parity + prime
    letter = "A" if order == 1 or character[principal] > 0 else "B"
    secondary = _secondary(group, determinant, fold, axis)
    index = "" if secondary is None else "1" if character[secondary] > 0 else "2"
    return letter + index + parity + prime


def _fold(proper: FloatArray) -> IntArray:
    """Order 1, 2, 3, 4 or 6 of proper rotations (G, 3, 3)."""
    cosine = np.clip((np.trace(proper, axis1=1, axis2=2) - 1) / 2, -1, 1)
    return np.round(2 * np.pi / np.where(cosine > 0.99, 2 * np.pi, np.arccos(cosine))).astype(np.int64)


def _axis(rotation: FloatArray) -> FloatArray:
    """Unit vector (3,) along the axis of a proper rotation."""
    return np.linalg.svd(rotation - np.eye(3))[2][-1]


def _first_proper(candidates: IntArray, determinant: IntArray) -> int:
    return int(candidates[np.argsort(-determinant[candidates], kind="stable")[0]])


def _prime(rotations: FloatArray, determinant: IntArray, axis: FloatArray | None, character: FloatArray) -> str:
    """Prime or double prime by the mirror across the axis; of the only mirror where there is no axis."""
    mirrors = (determinant == -1) & np.isclose(np.trace(rotations, axis1=1, axis2=2), 1)
    if axis is not None:
        mirrors &= np.isclose(rotations @ axis, -axis).all(-1)
    if not mirrors.any():
        return ""
    return "'" if character[mirrors][0] > 0 else "''"


def _secondary(group: SiteSymmetry, determinant: IntArray, fold: IntArray, axis: FloatArray | None) -> int | None:
    """Twofold axis across the principal one, else a mirror through it."""
    if axis is None:
        return None
    traces = np.trace(group.rotations, axis1=1, axis2=2)
    across = (determinant == 1) & (fold == 2) & np.isclose(group.rotations @ axis, -axis).all(-1)
    through = (determinant == -1) & np.isclose(traces, 1) & np.isclose(group.rotations @ axis, axis).all(-1)
    candidates = np.flatnonzero(across) if across.any() else np.flatnonzero(through)
    if not len(candidates):
        return None
    along_first = [g for g in candidates if (group.lattice_rotations[g][:, 0] == [1, 0, 0]).all()]
    return int((along_first or list(candidates))[0])
