"""From spins to features; columns run over sites and replicas, so that every operation works on whole rows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gnnspin.descriptors.irreps.references import Partner, TripleProduct
from gnnspin.systems.system import FloatArray


def bonds(spins: Tensor, members: Tensor) -> Tensor:
    """Bonds S_j . S_k (P, C) of spins (V, 3, C) for vertex pairs (2, P)."""
    return (spins.index_select(0, members[0]) * spins.index_select(0, members[1])).sum(1)


def chiralities(spins: Tensor, cross_members: Tensor, members: Tensor) -> Tensor:
    """Chiralities S_j . S_m x S_n (T, C) of spins (V, 3, C): members (2, T) are j and the index of the pair (m, n)."""
    cross = torch.linalg.cross(spins.index_select(0, cross_members[0]), spins.index_select(0, cross_members[1]), dim=1)
    return (spins.index_select(0, members[0]) * cross.index_select(0, members[1])).sum(1)


class ExactTensor(nn.Module):
    """Constant numbers that stay in float64 when the module around them changes precision, and are saved with it.

    Parameters
    ----------
    values : array
    """

    def __init__(self, values: FloatArray) -> None:
        super().__init__()
        self._exact = torch.tensor(values, dtype=torch.float64)
        self._copies: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def forward(self, like: Tensor) -> Tensor:
        """The numbers in the dtype and on the device of `like`."""
        key = (like.device, like.dtype)
        if key not in self._copies:
            self._copies[key] = self._exact.to(*key)
        return self._copies[key]

    def get_extra_state(self) -> Tensor:
        """The numbers, for the state of the module."""
        return self._exact

    def set_extra_state(self, state: Tensor) -> None:
        """Take the numbers of a saved module."""
        self._exact = state.to("cpu", torch.float64)
        self._copies.clear()


class IrrepBlock(nn.Module):
    """Features of the copies of one irrep in all orbits of a family.

    Parameters
    ----------
    columns : slice
        Its coefficients, copies times components.
    dimension : int
    linear : bool
        The coefficients are features themselves; otherwise their squared length is.
    phases, products : sequences of Partner
        Single references and products of two.
    normalized : bool
        Phases are cosines; 0 where a vector vanishes.
    """

    def __init__(
        self,
        columns: slice,
        dimension: int,
        *,
        linear: bool,
        phases: Sequence[Partner],
        products: Sequence[Partner],
        normalized: bool,
    ) -> None:
        super().__init__()
        self.columns, self.dimension = columns, dimension
        self.linear, self.normalized = linear, normalized
        self.phases = nn.ModuleList(PartnerVectors(partner) for partner in phases)
        self.products = nn.ModuleList(PartnerVectors(partner) for partner in products)
        copies = (columns.stop - columns.start) // dimension
        self.n_amplitudes = copies
        self.n_phases = copies * sum(len(partner.tensor) for partner in phases)
        self.n_products = copies * sum(len(partner.tensor) for partner in products)

    def forward(self, coefficients: Tensor, reference: Tensor) -> list[Tensor]:
        """Amplitudes, phases and products, each (features, C), of coefficients (O, n, C)."""
        own = coefficients[:, self.columns].reshape(-1, self.dimension, coefficients.shape[-1])
        squared = None if self.linear else own.square().sum(1)
        amplitude = own[:, 0] if squared is None else squared
        phases = [_inner(own, vectors(reference), normalized=self.normalized) for vectors in self.phases]
        products = [_inner(own, vectors(reference), normalized=False) for vectors in self.products]
        empty = amplitude[:0]
        return [amplitude, torch.cat([empty, *phases]), torch.cat([empty, *products])]


class PartnerVectors(nn.Module):
    """Vectors (q, d, C) of one irrep, linear in one reference or bilinear in two."""

    def __init__(self, partner: Partner) -> None:
        super().__init__()
        self.rows = [reference.rows for reference in partner.references]
        self.tensor = ExactTensor(partner.tensor)

    def forward(self, reference: Tensor) -> Tensor:
        """Contract with the stack of reference components (rows, C)."""
        vectors = [reference[rows] for rows in self.rows]
        if len(vectors) == 1:
            return torch.einsum("qij,jc->qic", self.tensor(reference), vectors[0])
        return torch.einsum("qijk,jc,kc->qic", self.tensor(reference), *vectors)


class TripleBlock(nn.Module):
    """Bispectrum coefficients of three references."""

    def __init__(self, product: TripleProduct) -> None:
        super().__init__()
        self.rows = [reference.rows for reference in product.references]
        self.n_features = len(product.tensor)
        self.tensor = ExactTensor(product.tensor)

    def forward(self, reference: Tensor) -> Tensor:
        """Coefficients (q, C) from the stack of reference components (rows, C)."""
        return torch.einsum("qijk,ic,jc,kc->qc", self.tensor(reference), *(reference[rows] for rows in self.rows))


class OrbitProjection(nn.Module):
    """Features of one family of orbits.

    Parameters
    ----------
    basis : (n, n)
        Symmetry-adapted combinations as columns.
    weights : (rows, n)
        Share of each member in the stack of reference components.
    n_orbits : int
    blocks : sequence of IrrepBlock

    Attributes
    ----------
    counts : (int, int, int)
        Number of amplitudes, phases and products.
    """

    def __init__(self, basis: FloatArray, weights: FloatArray, n_orbits: int, blocks: Sequence[IrrepBlock]) -> None:
        super().__init__()
        self.n_orbits = n_orbits
        self.blocks = nn.ModuleList(blocks)
        self.basis = ExactTensor(basis)
        self.weights = ExactTensor(weights)
        self.counts = (
            n_orbits * sum(block.n_amplitudes for block in blocks),
            n_orbits * sum(block.n_phases for block in blocks),
            n_orbits * sum(block.n_products for block in blocks),
        )

    def coefficients(self, variables: Tensor) -> Tensor:
        """Coefficients f (O, n, C) of variables (O n, C)."""
        return self.basis(variables).T @ variables.reshape(self.n_orbits, -1, variables.shape[-1])

    def reference(self, variables: Tensor) -> Tensor:
        """Share (rows, C) of these orbits in the reference components."""
        return self.weights(variables) @ variables.reshape(self.n_orbits, -1, variables.shape[-1]).sum(0)

    def forward(self, variables: Tensor, reference: Tensor) -> list[list[Tensor]]:
        """Amplitudes, phases and products of every irrep."""
        coefficients = self.coefficients(variables)
        features = [block(coefficients, reference) for block in self.blocks]
        return [list(kind) for kind in zip(*features, strict=True)]


def _inner(vectors: Tensor, partners: Tensor, *, normalized: bool) -> Tensor:
    """Inner products (m q, C) of vectors (m, d, C) with partners (q, d, C)."""
    products = (vectors[:, None] * partners).sum(2)
    if normalized:
        norm = vectors.square().sum(1)[:, None] * partners.square().sum(1)
        products = torch.where(norm > 0, products * norm.clamp_min(torch.finfo(norm.dtype).tiny).rsqrt(), 0.0)
    return products.flatten(0, 1)
