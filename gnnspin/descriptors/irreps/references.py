"""Which invariants are formed: references, the vectors each irrep is compared with, and triple products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np

from gnnspin.descriptors.irreps.config import GroupIrrepsConfig
from gnnspin.descriptors.irreps.couplings import invariant_tensors
from gnnspin.descriptors.irreps.groups import Irrep
from gnnspin.descriptors.irreps.orbits import Kind, OrbitFamily
from gnnspin.descriptors.irreps.projection import Decomposition, reference_weights
from gnnspin.systems.system import FloatArray


@dataclass(frozen=True)
class Reference:
    """One reference vector: coarse-grained bonds or chiralities, decomposed.

    Attributes
    ----------
    kind : "bond" or "chirality"
    irrep : int
        Index of the irrep.
    copy : int
    start, dimension : int
        Where its components are in the stack of all reference components.
    """

    kind: Kind
    irrep: int
    copy: int
    start: int
    dimension: int

    @property
    def rows(self) -> slice:
        """Its components in the stack."""
        return slice(self.start, self.start + self.dimension)


@dataclass(frozen=True)
class Partner:
    """Tensor with which the coefficients of an irrep are multiplied: ``(q, d, d1)`` for one reference,
    ``(q, d, d1, d2)`` for two.
    """

    references: tuple[Reference, ...]
    tensor: FloatArray


@dataclass(frozen=True)
class TripleProduct:
    """Bispectrum coefficients of three references: ``tensor (q, d1, d2, d3)``."""

    references: tuple[Reference, Reference, Reference]
    tensor: FloatArray


def find_references(
    families: Sequence[OrbitFamily], parts: Sequence[Decomposition], irreps: Sequence[Irrep], most: int
) -> list[Reference]:
    """References of every kind and irrep that occurs, at most `most` of each."""
    found: list[Reference] = []
    start = 0
    kinds: tuple[Kind, Kind] = ("bond", "chirality")
    for kind in kinds:
        for k, irrep in enumerate(irreps):
            copies = sum(int(p.multiplicity[k]) for f, p in zip(families, parts, strict=True) if f.kind == kind)
            for copy in range(min(copies, irrep.dimension, most)):
                found.append(Reference(kind, k, copy, start, irrep.dimension))
                start += irrep.dimension
    return found


def stacked_weights(family: OrbitFamily, references: Sequence[Reference], irreps: Sequence[Irrep]) -> FloatArray:
    """Weights (components of all references, n) of the members of one orbit."""
    rows = references[-1].rows.stop if references else 0
    weights = np.zeros((rows, family.size))
    for reference in references:
        if reference.kind == family.kind:
            weights[reference.rows] = reference_weights(family, irreps[reference.irrep], reference.copy)
    return weights


def phase_partners(
    kind: Kind, irrep: int, references: Sequence[Reference], irreps: Sequence[Irrep], config: GroupIrrepsConfig
) -> list[Partner]:
    """References of the same irrep and, unless time reversal forbids it, of the other kind."""
    if config.phases == "none" or enters_linearly(kind, irreps[irrep], config):
        return []
    return [
        Partner((reference,), irreps[irrep].commutants)
        for reference in references
        if reference.irrep == irrep
        and reference.copy < config.phase_references
        and (reference.kind == kind or not config.time_reversal)
    ]


def product_partners(
    kind: Kind, irrep: int, references: Sequence[Reference], irreps: Sequence[Irrep], config: GroupIrrepsConfig
) -> list[Partner]:
    """Products of two references that transform like the irrep."""
    if config.bispectrum != "orbits" or irreps[irrep].is_identity:
        return []
    found = []
    for first, second in combinations_with_replacement(_directional(references, irreps, config), 2):
        if not _allowed((kind, first.kind, second.kind), config):
            continue
        identical = [(1, 2)] if first == second else []
        tensor = invariant_tensors((irreps[irrep], irreps[first.irrep], irreps[second.irrep]), identical)
        if len(tensor):
            found.append(Partner((first, second), tensor))
    return found


def triple_products(
    references: Sequence[Reference], irreps: Sequence[Irrep], config: GroupIrrepsConfig
) -> list[TripleProduct]:
    """Bispectrum coefficients of the references among themselves."""
    if config.bispectrum != "references":
        return []
    found = []
    for three in combinations_with_replacement(_directional(references, irreps, config), 3):
        if not _allowed((three[0].kind, three[1].kind, three[2].kind), config):
            continue
        same = [tuple(k for k in range(3) if three[k] == reference) for reference in dict.fromkeys(three)]
        identical = [positions for positions in same if len(positions) > 1]
        own = (irreps[three[0].irrep], irreps[three[1].irrep], irreps[three[2].irrep])
        tensor = invariant_tensors(own, identical)
        if len(tensor):
            found.append(TripleProduct((three[0], three[1], three[2]), tensor))
    return found


def enters_linearly(kind: Kind, irrep: Irrep, config: GroupIrrepsConfig) -> bool:
    """Whether coefficients are invariants themselves and taken as they are."""
    odd = kind == "chirality" and config.time_reversal
    return irrep.is_identity and config.identity == "linear" and not odd


def _directional(
    references: Sequence[Reference], irreps: Sequence[Irrep], config: GroupIrrepsConfig
) -> list[Reference]:
    """References of the bispectrum: all irreps but the identity, whose products with others are nothing new."""
    return [
        reference
        for reference in references
        if not irreps[reference.irrep].is_identity and reference.copy < config.bispectrum_references
    ]


def _allowed(kinds: tuple[Kind, Kind, Kind], config: GroupIrrepsConfig) -> bool:
    return not config.time_reversal or kinds.count("chirality") % 2 == 0
