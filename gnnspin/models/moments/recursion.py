r"""Local Chebyshev moments of an s-d Hamiltonian from walks.

The recursion :math:`V_{n+1} = 2\tilde H V_n - V_{n-1}`, :math:`\tilde H = (H-b)/W`, on the columns
:math:`V_n(j) = [T_n(\tilde H)]_{ji}` of every source i is message passing on pairs (source, node) whose messages are
2x2 matrices; after n steps it has reached the ball of n hops. The doubling identities
:math:`T_{2n} = 2T_nT_n - 1,\ T_{2n+1} = 2T_{n+1}T_n - T_1` then give the local blocks
:math:`[T_n]_{ii} = (m_n + \mathbf m_n\cdot\sigma)/2` up to degree 2R + 1 from balls of R hops
(Weisse, Wellein, Alvermann and Fehske, Rev. Mod. Phys. 78, 275, 2006, doi:10.1103/RevModPhys.78.275).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gnnspin.core.containers import TensorContainer
from gnnspin.models.moments.quaternions import sparse_product, spin_components, spin_product
from gnnspin.models.moments.walks import PAIRS_PER_CHUNK, StepMatrices, WalkGeometry, WalkTables


@dataclass(frozen=True)
class ScaledHamiltonian(TensorContainer):
    """Coefficients of :math:`(H - b)/W`.

    Attributes
    ----------
    coupling : scalar tensor
        J.
    amplitudes : (K,)
        Coefficients of the real terms of the hopping.
    center, half_width : scalar tensors
        b and W; the spectrum must lie within b - W .. b + W for every configuration of the spins.
    """

    coupling: Tensor
    amplitudes: Tensor
    center: Tensor
    half_width: Tensor


def local_moments(
    geometry: WalkGeometry,
    hamiltonian: ScaledHamiltonian,
    spins: Tensor,
    degree: int,
    *,
    pairs_per_chunk: int = PAIRS_PER_CHUNK,
) -> tuple[Tensor, Tensor]:
    """Moments m_n and vectors of every site, n = 0 .. degree.

    Parameters
    ----------
    geometry : WalkGeometry
        With balls of at least ``degree // 2`` hops.
    hamiltonian : ScaledHamiltonian
    spins : (R, N, 3)
    degree : int
        Largest degree, at most ``2 * geometry.hops + 1``.
    pairs_per_chunk : int
        Largest number of pairs treated at a time; beyond it, gradients recompute their chunk.

    Returns
    -------
    scalar : (R, degree + 1, N)
        Traces of the blocks.
    vector : (R, 3, degree + 1, N)
        Traces of the blocks times sigma.
    """
    moments, _ = moments_and_bonds(geometry, hamiltonian, spins, degree, 1, pairs_per_chunk=pairs_per_chunk)
    return moments[:, 0], moments[:, 1:]


def moments_and_bonds(
    geometry: WalkGeometry,
    hamiltonian: ScaledHamiltonian,
    spins: Tensor,
    degree: int,
    bond_degree: int,
    *,
    pairs_per_chunk: int = PAIRS_PER_CHUNK,
) -> tuple[Tensor, Tensor]:
    r"""Moments of every site, and sums over its bonds of the blocks between neighbours.

    A block between sites that one hop joins is
    :math:`[T_n]_{ji} = a_{ji} + \mathbf b_{ji}\cdot\sigma + i(\dots)`. The sums are
    :math:`\sum_j (h_{ij}/W) Y_m(\hat r_{ij})\,a_{ji}` and the same of :math:`\mathbf S_i\cdot\mathbf b_{ji}`, for
    n = 2 .. `bond_degree`. Where hopping is bipartite the first is zero for even n and the second for odd n.

    Parameters
    ----------
    geometry, hamiltonian, spins, degree, pairs_per_chunk
        As for `local_moments`.
    bond_degree : int
        Largest degree n of the bonds, at most ``(degree + 1) // 2``; below 2 for none.

    Returns
    -------
    moments : (R, 4, degree + 1, N)
        Scalars and vectors of `local_moments`.
    bonds : (R, 2 (bond_degree - 1), M, N)
        The two sums of every n in turn.
    """
    largest = max(table.node.numel() for table in geometry.tables)
    together = max(1, pairs_per_chunk // largest)
    replica_slices = [slice(r, r + together) for r in range(0, len(spins), together)]
    chunks = [
        (table, replicas, copies)
        for replicas in replica_slices
        for table in geometry.tables
        for copies in _copy_chunks(table, pairs_per_chunk)
    ]
    results: dict[int, list[tuple[Tensor, Tensor]]] = {}
    for table, replicas, copies in chunks:
        arguments = (table, hamiltonian, spins[replicas], copies, degree, bond_degree)
        if len(chunks) > 1 and torch.is_grad_enabled():
            part: tuple[Tensor, Tensor] = checkpoint(_chunk_moments, *arguments, use_reentrant=False)
        else:
            part = _chunk_moments(*arguments)
        results.setdefault(replicas.start, []).append(part)
    moments, bonds = (
        torch.cat([torch.cat([part[k] for part in parts], dim=-1) for parts in results.values()]) for k in (0, 1)
    )
    return moments, bonds


def _copy_chunks(table: WalkTables, limit: int) -> list[slice]:
    """Slices of the copies of a table, at most `limit` pairs each where that is possible."""
    copies = max(1, limit // table.n_pairs)
    return [slice(c, c + copies) for c in range(0, table.node.shape[1], copies)]


def _chunk_moments(
    table: WalkTables, hamiltonian: ScaledHamiltonian, spins: Tensor, copies: slice, degree: int, bond_degree: int
) -> tuple[Tensor, Tensor]:
    """Moments (R, 4, degree + 1, sites) and sums over bonds (R, F, M, sites) of the sources of some copies."""
    node = table.node[:, copies]
    gathered = gather(spins, node)
    states = walk_states(table, hamiltonian, gathered, (degree + 1) // 2)

    def by_site(values: Tensor) -> Tensor:
        """(X, Y, B, K) as (R, Y, X, sites)."""
        split = values.reshape(*values.shape[:2], table.n_sources, len(spins), node.shape[1])
        return split.permute(3, 1, 0, 4, 2).flatten(-2)

    bonds = _bonds(table, hamiltonian, gathered[: table.n_sources], states[: bond_degree + 1])
    return by_site(contract(table, states, degree)), by_site(bonds)


def _bonds(table: WalkTables, hamiltonian: ScaledHamiltonian, spins: Tensor, states: list[Tensor]) -> Tensor:
    """Sums over bonds (M, F, B, K), of columns V_0 .. V_n and spins (B, 3, K) of the sources."""

    def summed(values: Tensor) -> Tensor:
        """Weighted sums (B, M, ...) over the bonds of values (T_1, ...)."""
        factors = hamiltonian.amplitudes / hamiltonian.half_width
        parts = [factor * sparse_product(*pair, values) for factor, pair in zip(factors, table.bonds, strict=True)]
        return sum(parts[1:], parts[0]).unflatten(0, (table.n_sources, -1))

    found: list[Tensor] = []
    for n, state in enumerate(states[2:], start=2):
        near = state[: table.sizes[1]]
        scalar, vector = summed(near[:, 0, 0]), (summed(near[:, -1, 1:]) * spins[:, None]).sum(2)
        if table.bipartite:
            scalar, vector = (scalar, torch.zeros_like(vector)) if n % 2 else (torch.zeros_like(scalar), vector)
        found += [scalar, vector]
    if not found:
        return spins.new_zeros(0, 0, table.n_sources, spins.shape[-1])
    return torch.stack(found).permute(2, 0, 1, 3)


def gather(spins: Tensor, node: Tensor) -> Tensor:
    """Spins (T, 3, R * C) of nodes (T, C), from spins (R, N, 3)."""
    pairs, copies = node.shape
    components = spins.permute(2, 0, 1).reshape(-1, spins.shape[1])
    found = components.index_select(1, node.flatten()).reshape(3, len(spins), pairs, copies)
    return found.permute(2, 0, 1, 3).reshape(pairs, 3, -1)


def walk_states(table: WalkTables, hamiltonian: ScaledHamiltonian, spins: Tensor, n_steps: int) -> list[Tensor]:
    """Columns V_n, n = 0 .. n_steps, of shapes (T_n, P, 4, K), of spins (T, 3, K) at the nodes."""
    planes = 1 if table.bipartite else 2
    doubled = spins * (-2 * hamiltonian.coupling / hamiltonian.half_width)
    if table.bipartite:
        doubled = doubled * table.parity[:, None, None]
    alternating = (doubled, -doubled if table.bipartite else doubled)
    first = spins.new_zeros(table.n_sources, planes, 4, spins.shape[-1])
    first[:, 0, 0] = 1
    states = [first, _twice_applied(table, hamiltonian, alternating[0], first, None, 0) / 2]
    for n in range(1, n_steps):
        states.append(_twice_applied(table, hamiltonian, alternating[n % 2], states[n], states[n - 1], n))
    return states[: n_steps + 1]


def _twice_applied(
    table: WalkTables, hamiltonian: ScaledHamiltonian, exchange: Tensor, state: Tensor, former: Tensor | None, n: int
) -> Tensor:
    """2 (H - b)/W applied to a state of degree n, less the former one; `exchange` is -2 (J/W) S of the nodes."""
    step = table.steps[min(n, len(table.steps) - 1)]
    result = _hop(step, hamiltonian, state)
    local = spin_product(exchange[: len(state)], state)
    if not table.bipartite:
        local = local - state * (2 * hamiltonian.center / hamiltonian.half_width)
    if former is not None:
        local = torch.cat([local[: len(former)] - former, local[len(former) :]])
    if len(local) == len(result):
        return result + local
    return torch.cat([result[: len(local)] + local, result[len(local) :]])


def _hop(step: StepMatrices, hamiltonian: ScaledHamiltonian, state: Tensor) -> Tensor:
    """Twice the hopping over W, applied to a state."""
    factors = 2 * hamiltonian.amplitudes / hamiltonian.half_width
    total = factors[0] * sparse_product(*step.real[0], state)
    for factor, pair in zip(factors[1:], step.real[1:], strict=True):
        total = total + factor * sparse_product(*pair, state)
    if step.imaginary is None:
        return total
    turned = torch.stack([-state[:, 1], state[:, 0]], dim=1) * (2 / hamiltonian.half_width)
    return total + sparse_product(*step.imaginary, turned)


def contract(table: WalkTables, states: list[Tensor], degree: int) -> Tensor:
    """Moments (degree + 1, 4, B, K): trace, then trace with sigma, from columns V_0 .. V_((degree + 1) // 2)."""
    columns = states[0].shape[-1]
    zero = states[0].new_zeros(1, table.n_sources, columns)
    vector_zero = states[0].new_zeros(3, table.n_sources, columns)
    one = torch.cat([2 * torch.ones_like(zero), vector_zero])
    first = _own_block(table, states[1])
    moments = [one, first]
    for n in range(2, degree + 1):
        high, low = states[(n + 1) // 2], states[n // 2]
        product = _block_product(table, high, low, n // 2)
        moments.append(4 * product - (first if n % 2 else one))
    return torch.stack(moments[: degree + 1])


def _own_block(table: WalkTables, state: Tensor) -> Tensor:
    """Moments (4, B, K) of degree 1: the blocks between every source and itself, which are Hermitian."""
    own = state[: table.n_sources]
    if table.bipartite:
        return 2 * torch.cat([torch.zeros_like(own[:, 0, :1]), own[:, 0, 1:]], dim=1).transpose(0, 1)
    return 2 * torch.cat([own[:, 0, :1], own[:, 1, 1:]], dim=1).transpose(0, 1)


def _block_product(table: WalkTables, high: Tensor, low: Tensor, n: int) -> Tensor:
    """Half the trace, plain and with sigma, (4, B, K), of ``sum_j high(j)^+ low(j)``, a Hermitian matrix."""
    rows = len(low)
    radius = table.sizes.index(rows)
    same = high is low
    scalar = None
    if same or not table.bipartite:
        scalar = _summed(table, (high[:rows] * low).sum((1, 2)), radius)
    if table.bipartite and same:
        assert scalar is not None
        return torch.cat([scalar[None], scalar.new_zeros(3, *scalar.shape)])
    vector = spin_components(high[:rows], low, left=False)
    if table.bipartite:
        vector = vector * (table.parity[:rows, None, None] * (-1) ** n)
    vector = _summed(table, vector, radius).transpose(0, 1)
    if scalar is None:
        scalar = torch.zeros_like(vector[0])
    return torch.cat([scalar[None], vector])


def _summed(table: WalkTables, values: Tensor, radius: int) -> Tensor:
    """Sum over the nodes of each source, (B, ...), of values (T_n, ...)."""
    return sparse_product(*table.sums[radius], values)
