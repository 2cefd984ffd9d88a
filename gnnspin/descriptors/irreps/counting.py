"""How many features each choice of cutoff, bonds and triples gives: for comparing with published feature counts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product as cartesian
from typing import Literal

import numpy as np

from gnnspin.descriptors.irreps.config import GroupIrrepsConfig
from gnnspin.descriptors.irreps.groups import Irrep, irreps_of
from gnnspin.descriptors.irreps.neighborhood import LatticeTemplate, Neighborhood
from gnnspin.descriptors.irreps.orbits import Kind, bond_members, chirality_members, find_orbits, sides
from gnnspin.descriptors.irreps.projection import decompose
from gnnspin.descriptors.irreps.references import Reference, triple_products
from gnnspin.systems import SpinSystem
from gnnspin.systems.system import IntArray

Members = Literal["all", "centre", "none"]

#: Selections with more triples than this are not counted.
MOST_TRIPLES = 20_000


@dataclass(frozen=True)
class FeatureChoice:
    """One choice and its number of features.

    Attributes
    ----------
    cutoff : float
    n_neighbors : int
    pairs, triples : "all", "centre" or "none"
    pair_range, triple_range : float
        Largest side; infinite without a limit.
    recipe : str
        "amplitudes"; "amplitudes and phases"; "with bispectrum": with the time-even triple products of references too.
    n_amplitudes, n_phases, n_products : int
    """

    cutoff: float
    n_neighbors: int
    pairs: Members
    pair_range: float
    triples: Members
    triple_range: float
    recipe: str
    n_amplitudes: int
    n_phases: int
    n_products: int

    @property
    def n_features(self) -> int:
        """All features."""
        return self.n_amplitudes + self.n_phases + self.n_products


def nearest_feature_counts(system: SpinSystem, target: int, cutoffs: Iterable[float]) -> list[FeatureChoice]:
    """Choices for a lattice, those whose number of features is nearest to `target` first.

    Counted as the review does: every copy of every irrep has an amplitude, and where phases are taken, one phase.
    Products are those of references with all their independent copies. Choices without limits come first among equals.

    Parameters
    ----------
    system : SpinSystem
        A lattice.
    target : int
    cutoffs : floats
        Radii of the neighbourhood to try; for each, all ranges of bonds and triples that differ are tried.
    """
    choices = []
    for cutoff in cutoffs:
        neighborhood = Neighborhood.of(LatticeTemplate.of(system), cutoff)
        irreps = irreps_of(neighborhood.group)
        dimensions = [irrep.dimension for irrep in irreps]
        products: dict[tuple[int, ...], int] = {}
        bond, chirality = (_copies(neighborhood, irreps, kind) for kind in ("bond", "chirality"))
        for ((pairs, pair_range), b), ((triples, triple_range), c) in cartesian(bond.items(), chirality.items()):
            if pairs == "none":
                continue
            copies = int(b.sum() + c.sum())
            signature = (*np.minimum(b, dimensions), *np.minimum(c, dimensions))
            if signature not in products:
                products[signature] = _n_products(irreps, b, c)
            where = (cutoff, len(neighborhood.vertices) - 1, pairs, pair_range, triples, triple_range)
            choices.append(FeatureChoice(*where, "amplitudes", copies, 0, 0))
            choices.append(FeatureChoice(*where, "amplitudes and phases", copies, copies, 0))
            choices.append(FeatureChoice(*where, "with bispectrum", copies, copies, products[signature]))
    limits = [np.isfinite([choice.pair_range, choice.triple_range]).sum() for choice in choices]
    order = sorted(range(len(choices)), key=lambda k: (abs(choices[k].n_features - target), limits[k]))
    return [choices[k] for k in order]


def _copies(neighborhood: Neighborhood, irreps: Sequence[Irrep], kind: Kind) -> dict[tuple[Members, float], IntArray]:
    """Copies of every irrep for each selection of members whose content differs."""
    select, size = (bond_members, 2) if kind == "bond" else (chirality_members, 3)
    found: dict[tuple[Members, float], IntArray] = {("none", np.inf): np.zeros(len(irreps), dtype=np.int64)}
    modes: tuple[Members, Members] = ("centre", "all")
    for mode in modes:
        members = select(neighborhood, np.inf, centre_only=mode == "centre")
        if size == 3 and len(members) > MOST_TRIPLES:
            continue
        families = find_orbits(neighborhood, members, kind)
        unit = 1e-6 * neighborhood.spacing
        longest = [unit * np.round(sides(neighborhood, family.vertices[:, 0])[:, -1] / unit) for family in families]
        parts = [decompose(family, tuple(irreps), neighborhood.group.product).multiplicity for family in families]
        limits = np.unique(np.concatenate(longest))
        for limit in limits:
            total = sum(int((own <= limit).sum()) * copies for own, copies in zip(longest, parts, strict=True))
            found[mode, np.inf if limit == limits[-1] else float(limit)] = np.asarray(total)
    return found


def _n_products(irreps: Sequence[Irrep], bond: IntArray, chirality: IntArray) -> int:
    """Triple products of references of the irreps that occur."""
    most = max(irrep.dimension for irrep in irreps)
    kinds: tuple[tuple[Kind, IntArray], ...] = (("bond", bond), ("chirality", chirality))
    references = [
        Reference(kind, k, copy, 0, irrep.dimension)
        for kind, copies in kinds
        for k, irrep in enumerate(irreps)
        for copy in range(min(int(copies[k]), irrep.dimension))
    ]
    config = GroupIrrepsConfig(bispectrum_references=most)
    return sum(len(found.tensor) for found in triple_products(references, irreps, config))
