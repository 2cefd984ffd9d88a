"""The group-irrep descriptor: bonds and chiralities around each site, reduced by the site's point group."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gnnspin.core.containers import TensorContainer
from gnnspin.core.errors import InvalidInput
from gnnspin.descriptors.base import Descriptor
from gnnspin.descriptors.irreps.config import GroupIrrepsConfig
from gnnspin.descriptors.irreps.evaluation import IrrepBlock, OrbitProjection, TripleBlock, bonds, chiralities
from gnnspin.descriptors.irreps.groups import irreps_of
from gnnspin.descriptors.irreps.neighborhood import Neighborhood
from gnnspin.descriptors.irreps.orbits import OrbitFamily, bond_members, chirality_members, find_orbits
from gnnspin.descriptors.irreps.projection import decompose
from gnnspin.descriptors.irreps.references import (
    enters_linearly,
    find_references,
    phase_partners,
    product_partners,
    stacked_weights,
    triple_products,
)
from gnnspin.descriptors.irreps.table import IrrepsTable, OrbitRow
from gnnspin.graphs import GraphSpec, radius_graph, shell_distances
from gnnspin.systems import SpinSystem

#: Floating-point numbers that one chunk of sites may hold at a time.
CHUNK_NUMBERS = 2**25


@dataclass(frozen=True)
class SiteTable(TensorContainer):
    """Sites of the neighbourhoods of one system, the result of `GroupIrreps.prepare`.

    Attributes
    ----------
    sites : (N, V) int64
        Site at every vertex of every neighbourhood; N where an open edge has none.
    """

    sites: Tensor


class GroupIrreps(Descriptor, config=GroupIrrepsConfig):
    r"""Invariants of bonds and scalar chiralities under the point group of a site.

    Bonds :math:`b_{jk} = S_j\cdot S_k` and chiralities :math:`\chi_{jmn} = S_j\cdot S_m\times S_n` of the spins within
    the cutoff of site i, the site's own included, form orbits under its point group. Each orbit carries a signed
    permutation representation, which is reduced to coefficients :math:`f^\Gamma_r`. Features, in this order:

    1. amplitudes :math:`|f^\Gamma_r|^2`, and the coefficients of the identity representation as they are;
    2. phases against references of the same irrep, coarse-grained over the neighbourhood:
       :math:`f^\Gamma_r\cdot f^\Gamma_{ref}` (smooth) or the cosine of the angle between them (the paper's);
    3. bispectrum coefficients with Clebsch-Gordan coefficients.

    Source: review of machine-learned force fields for itinerant magnets, eq. 6-8; Zhang, Zhang and Chern,
    arXiv:2201.00798. The paper's phase jumps where a coefficient vanishes, so forces do too; the smooth one does not.
    With `time_reversal` chirality enters in even products only.

    Parameters
    ----------
    spec : GraphSpec
        Its cutoff bounds the neighbourhood.
    config : GroupIrrepsConfig

    Examples
    --------
    >>> import gnnspin as gs
    >>> from gnnspin.descriptors import GroupIrrepsConfig
    >>> system = gs.systems.square(6, 6)
    >>> spec = gs.graphs.GraphSpec.for_system(system, cutoff=1.5)
    >>> descriptor = GroupIrrepsConfig.for_system(system).build(spec)
    >>> spins = gs.core.random_spins(36, replicas=(1,), seed=0)
    >>> descriptor.double()(descriptor.prepare(system), spins).shape[-1] == descriptor.n_features
    True
    """

    config: GroupIrrepsConfig
    bond_members: Tensor
    cross_members: Tensor
    chirality_members: Tensor

    def __init__(self, spec: GraphSpec, config: GroupIrrepsConfig) -> None:
        super().__init__(spec, config)
        if config.lattice is None:
            raise InvalidInput("group_irreps needs a lattice; make the configuration with GroupIrrepsConfig.for_system")
        self.neighborhood = Neighborhood.of(config.lattice, spec.cutoff)
        self.irreps = irreps_of(self.neighborhood.group)
        self.families = self._find_families()
        product = self.neighborhood.group.product
        self.decompositions = [decompose(family, self.irreps, product) for family in self.families]
        copies = max(config.phase_references, config.bispectrum_references)
        self.references = find_references(self.families, self.decompositions, self.irreps, copies)
        self.projections = nn.ModuleList(self._projection(k) for k in range(len(self.families)))
        self.triples = nn.ModuleList(TripleBlock(t) for t in triple_products(self.references, self.irreps, config))
        self._register_members()

    @property
    def n_features(self) -> int:
        """Number F of features: powers, phases and bispectra of all families of neighbours, see `table`."""
        return self.table().n_features

    def table(self) -> IrrepsTable:
        """Orbits, their decompositions and the number of features; print it."""
        rows = []
        for family, parts, projection in zip(self.families, self.decompositions, self._orbit_projections, strict=True):
            content = {irrep.label: int(m) for irrep, m in zip(self.irreps, parts.multiplicity, strict=True) if m}
            rows.append(OrbitRow(family.kind, family.n_orbits, family.size, content, *projection.counts))
        group = self.neighborhood.group
        return IrrepsTable(
            group=group.name,
            order=group.order,
            irreps={irrep.label: irrep.dimension for irrep in self.irreps},
            n_neighbors=len(self.neighborhood.vertices) - 1,
            rows=tuple(rows),
            n_triple_products=sum(cast(TripleBlock, block).n_features for block in self.triples),
        )

    def prepare(self, system: SpinSystem) -> SiteTable:
        """Sites of every neighbourhood.

        Raises
        ------
        InvalidInput
            If `system` is not a piece of the lattice the descriptor is made for.
        """
        return SiteTable(torch.from_numpy(self.neighborhood.table(system, self.spec.cutoff)))

    def forward(self, data: SiteTable, spins: Tensor) -> Tensor:
        """Features (R, N, F) of spins (R, N, 3).

        Sites are worked on in chunks whose intermediates are computed again in the backward pass, so that memory does
        not grow with the system beyond the features themselves.
        """
        padded = nn.functional.pad(spins, (0, 0, 0, 1))
        chunk = max(1, CHUNK_NUMBERS // (self._numbers_per_site * len(spins)))
        pieces = data.sites.split(chunk)
        evaluate = self._features
        if len(pieces) > 1 and torch.is_grad_enabled() and spins.requires_grad:
            evaluate = partial(checkpoint, self._features, use_reentrant=False)
        return torch.cat([evaluate(padded, piece) for piece in pieces], dim=1)

    def coefficients(self, data: SiteTable, spins: Tensor) -> list[Tensor]:
        """Coefficients (O, n, R N) of every family of orbits, columns of `decompositions` along n."""
        padded = nn.functional.pad(spins, (0, 0, 0, 1))
        variables = self._variables(padded, data.sites)
        return [p.coefficients(v) for p, v in zip(self._orbit_projections, variables, strict=True)]

    def _features(self, padded: Tensor, sites: Tensor) -> Tensor:
        """Features (R, n, F) of the sites of a table (n, V)."""
        variables = self._variables(padded, sites)
        reference = sum(p.reference(v) for p, v in zip(self._orbit_projections, variables, strict=True))
        assert isinstance(reference, Tensor)
        blocks: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
        for projection, values in zip(self._orbit_projections, variables, strict=True):
            for kind, features in zip(blocks, projection(values, reference), strict=True):
                kind += features
        products = [block(reference) for block in self.triples]
        features = torch.cat([*blocks[0], *blocks[1], *blocks[2], *products])
        return features.T.reshape(len(padded), len(sites), -1)

    def _variables(self, padded: Tensor, sites: Tensor) -> list[Tensor]:
        """Bonds or chiralities (members, C) of every family, for the C = R n sites of a table (n, V)."""
        spins = padded[:, sites].permute(2, 3, 0, 1).reshape(sites.shape[1], 3, -1)
        values = bonds(spins, self.bond_members)
        if len(self.chirality_members):
            values = torch.cat([values, chiralities(spins, self.cross_members, self.chirality_members)])
        return list(values.split([family.n_orbits * family.size for family in self.families]))

    @property
    def _orbit_projections(self) -> list[OrbitProjection]:
        return [cast(OrbitProjection, projection) for projection in self.projections]

    def _find_families(self) -> list[OrbitFamily]:
        config, around = self.config, self.neighborhood
        longest = self._longest(config.pair_range, config.pair_shells, "pair")
        pairs = bond_members(around, longest, centre_only=config.pairs == "centre")
        families = find_orbits(around, pairs, "bond")
        if config.triples != "none":
            longest = self._longest(config.triple_range, config.triple_shells, "triple")
            triples = chirality_members(around, longest, centre_only=config.triples == "centre")
            families += find_orbits(around, triples, "chirality")
        if not families:
            raise InvalidInput("no bond and no triple is within the given ranges; increase pair_range or triple_range")
        return families

    def _longest(self, distance: float | None, shells: int | None, name: str) -> float:
        """Largest side that is kept."""
        if distance is not None and shells is not None:
            raise InvalidInput(f"{name}_range={distance} and {name}_shells={shells}: give one of them")
        if shells is None:
            return np.inf if distance is None else distance
        assert self.config.lattice is not None
        graph = radius_graph(self.config.lattice.system(), 2 * self.spec.cutoff)
        return float(shell_distances(graph.edge_distance.numpy())[:shells][-1])

    def _projection(self, k: int) -> OrbitProjection:
        family, parts, config = self.families[k], self.decompositions[k], self.config
        blocks, start = [], 0
        for index, copies in enumerate(parts.multiplicity):
            if copies == 0:
                continue
            irrep = self.irreps[index]
            columns = slice(start, start + int(copies) * irrep.dimension)
            start = columns.stop
            blocks.append(
                IrrepBlock(
                    columns,
                    irrep.dimension,
                    linear=enters_linearly(family.kind, irrep, config),
                    phases=phase_partners(family.kind, index, self.references, self.irreps, config),
                    products=product_partners(family.kind, index, self.references, self.irreps, config),
                    normalized=config.phases == "paper",
                )
            )
        weights = stacked_weights(family, self.references, self.irreps)
        total = sum(each.n_orbits for each in self.families if each.kind == family.kind)
        return OrbitProjection(parts.basis, weights / np.sqrt(total), family.n_orbits, blocks)

    def _register_members(self) -> None:
        """Vertices of every variable; triples as their first vertex and the pair whose cross product it meets."""
        pairs, triples = (
            torch.cat([torch.zeros(0, n, dtype=torch.int64)] + [torch.from_numpy(vertices) for vertices in members])
            for n, members in (
                (2, [family.vertices.reshape(-1, 2) for family in self.families if family.kind == "bond"]),
                (3, [family.vertices.reshape(-1, 3) for family in self.families if family.kind == "chirality"]),
            )
        )
        cross, index = triples[:, 1:].unique(dim=0, return_inverse=True)
        self.register_buffer("bond_members", pairs.T.contiguous(), persistent=False)
        self.register_buffer("cross_members", cross.T.contiguous(), persistent=False)
        self.register_buffer("chirality_members", torch.stack([triples[:, 0], index]), persistent=False)
        members = 12 * pairs.shape[0] + 16 * triples.shape[0] + 12 * cross.shape[0]
        self._numbers_per_site = members + 2 * self.n_features
