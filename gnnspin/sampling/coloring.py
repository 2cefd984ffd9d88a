"""Which spins a source couples, and groups of spins that may be updated at once."""

from __future__ import annotations

import heapq
import itertools

import numpy as np
import torch
from scipy.sparse import coo_array, csr_array
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.numbers import seed_number
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import random_spins
from gnnspin.graphs.radius import radius_graph
from gnnspin.systems.system import SpinSystem

#: Sites times replicas per batch of probing evaluations.
_PROBE_SITES = 1 << 20


@independent_of_modes
def coupled_sites(source: FieldSource, cutoff: float | None = None, *, seed: int = 0) -> csr_array:
    """Pairs of different sites that interact: ``H_i`` depends on ``S_j``.

    Parameters
    ----------
    source : FieldSource
    cutoff : float, optional
        Take every pair closer than or at this distance. Default: find the pairs by probing, that is, change one spin of
        a random configuration at a time and look which fields change; N field evaluations, done in batches.
    seed : int
        Seed of the random configuration.

    Returns
    -------
    (N, N) sparse array of bool, symmetric, without diagonal
    """
    n_sites = source.system.n_sites
    seed = seed_number(seed)
    rows, columns = _within(source.system, cutoff) if cutoff is not None else _probed(source, seed)
    different = rows != columns
    rows, columns = rows[different], columns[different]
    both = np.concatenate([rows, columns]), np.concatenate([columns, rows])
    pairs = coo_array((np.ones(len(both[0]), dtype=bool), both), shape=(n_sites, n_sites)).tocsr()
    pairs.sum_duplicates()
    return pairs


def color_sites(pairs: csr_array) -> list[Tensor]:
    """Groups of sites of which no two interact, by the DSATUR heuristic.

    The site whose partners have the most different colours goes next and takes the first colour that is free: exact for
    bipartite couplings (a checkerboard), three colours for the triangular lattice where its size allows, in general at
    most one more than the largest number of partners. Brelaz, Commun. ACM 22, 251 (1979), doi:10.1145/359094.359101.

    Parameters
    ----------
    pairs : (N, N) sparse array
        As from `coupled_sites`.

    Returns
    -------
    list of (n,) int64 tensors
        Every site belongs to exactly one; ascending.
    """
    starts, partners = pairs.indptr.tolist(), pairs.indices.tolist()
    colors, around = [-1] * pairs.shape[0], [set[int]() for _ in range(pairs.shape[0])]
    queue = [(0, starts[site] - starts[site + 1], site) for site in range(pairs.shape[0])]
    heapq.heapify(queue)
    while queue:
        _, _, site = heapq.heappop(queue)
        if colors[site] >= 0:
            continue
        colors[site] = next(color for color in itertools.count() if color not in around[site])
        for partner in partners[starts[site] : starts[site + 1]]:
            if colors[partner] < 0 and colors[site] not in around[partner]:
                around[partner].add(colors[site])
                rank = starts[partner] - starts[partner + 1]
                heapq.heappush(queue, (-len(around[partner]), rank, partner))
    return [torch.from_numpy(np.flatnonzero(np.array(colors) == color)) for color in range(max(colors) + 1)]


@independent_of_modes
def check_colors(source: FieldSource, colors: list[Tensor], *, seed: int = 0, trials: int = 3) -> None:
    """Raise InvalidInput if spins of one colour act on each other.

    A random half of every colour is changed, `trials` times; the fields on the other half must stay.
    """
    generator = torch.Generator().manual_seed(seed_number(seed))
    n_sites = source.system.n_sites
    spins = random_spins(n_sites, seed=seed).to(source.device)
    before = source.field(spins)
    bound = field_tolerance(source) * float(before.norm(dim=-1).max())
    for trial in range(trials):
        other = random_spins(n_sites, seed=seed + trial + 1).to(source.device)
        for sites in (group for group in colors if len(group) > 1):
            half = torch.rand(len(sites), generator=generator) < 0.5
            moved, kept = sites[half].to(source.device), sites[~half].to(source.device)
            changed = spins.clone()
            changed[moved] = other[moved]
            shift = (source.field(changed) - before)[kept].abs()
            if len(kept) and float(shift.max()) > bound:
                raise InvalidInput(
                    f"spins that are updated at once act on each other (fields change by {float(shift.max()):.1e});"
                    " the interactions reach beyond the cutoff: give a larger one, or cutoff=None to find them"
                )


def field_tolerance(source: FieldSource) -> float:
    """Relative rounding error that is expected of a field of this source."""
    return 1e-9 if source.dtype == torch.float64 else 1e-4


def _within(system: SpinSystem, cutoff: float) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = radius_graph(system, cutoff).edge_index.numpy()
    return rows, columns


def _probed(source: FieldSource, seed: int) -> tuple[np.ndarray, np.ndarray]:
    n_sites = source.system.n_sites
    spins, other = (random_spins(n_sites, seed=s).to(source.device) for s in (seed, seed + 1))
    before = source.field(spins)
    bound = field_tolerance(source) * float(before.norm(dim=-1).max())
    rows, columns = [], []
    for sites in torch.arange(n_sites, device=source.device).split(max(1, _PROBE_SITES // n_sites)):
        changed = spins.expand(len(sites), -1, -1).clone()
        changed[torch.arange(len(sites), device=source.device), sites] = other[sites]
        hit = ((source.field(changed) - before).abs().amax(-1) > bound).nonzero().cpu().numpy()
        rows.append(sites.cpu().numpy()[hit[:, 0]])
        columns.append(hit[:, 1])
    return np.concatenate(rows), np.concatenate(columns)
