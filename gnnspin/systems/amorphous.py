"""Random packings with a minimum distance: the sites of an amorphous magnet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gnnspin.core.errors import InvalidInput
from gnnspin.core.numbers import seed_number, whole_at_least, whole_number
from gnnspin.systems.system import FloatArray, SpinSystem

#: Volume fraction at which random sequential addition of spheres jams (Phys. Rev. E 88, 053312, 2013).
JAMMING_FRACTION = 0.3841

_BATCH = 64


def amorphous(
    n_sites: int,
    box: float | Sequence[float],
    min_distance: float,
    *,
    seed: int,
    pbc: bool = True,
    max_attempts_per_site: int = 20_000,
) -> SpinSystem:
    """Random sequential addition: uniform positions in a box, no two closer than `min_distance`.

    Parameters
    ----------
    n_sites : int
        Number of sites.
    box : float or three floats
        Edge lengths of the box.
    min_distance : float
        Smallest allowed distance, under minimum image when periodic (glass paper, section IV).
    seed : int
        The packing is a function of the arguments and this seed.
    pbc : bool
        Periodic in all directions, or in none.
    max_attempts_per_site : int
        Trial positions allowed per site before giving up.

    Raises
    ------
    InvalidInput
        If a number is out of range, the density exceeds what random addition can reach, or the attempts run out.
    """
    n_sites, seed = whole_number(n_sites, "n_sites"), seed_number(seed)
    max_attempts_per_site = whole_at_least(max_attempts_per_site, 1, "max_attempts_per_site")
    edges = np.broadcast_to(np.asarray(box, dtype=float), (3,)).copy()
    if n_sites < 1 or (edges <= 0).any() or not np.isfinite(edges).all():
        raise InvalidInput(f"n_sites={n_sites} and box={box} must be positive")
    if min_distance < 0 or (pbc and min_distance > edges.min()):
        raise InvalidInput(f"min_distance={min_distance} must lie between 0 and the box edge {edges.min()}")
    fraction = n_sites * np.pi / 6 * min_distance**3 / edges.prod()
    if pbc and fraction > JAMMING_FRACTION:
        largest = (JAMMING_FRACTION * 6 * edges.prod() / (np.pi * n_sites)) ** (1 / 3)
        raise InvalidInput(
            f"{n_sites} sites at min_distance={min_distance} fill {fraction:.2f} of the box; random packing jams at "
            f"{JAMMING_FRACTION}. Use min_distance below {largest:.3f}, a larger box or fewer sites"
        )
    positions = _random_sequential_addition(n_sites, edges, min_distance, seed, pbc, max_attempts_per_site)
    return SpinSystem(positions, cell=np.diag(edges), pbc=pbc)


def _random_sequential_addition(
    n_sites: int, edges: FloatArray, min_distance: float, seed: int, pbc: bool, max_attempts: int
) -> FloatArray:
    """Insert sites one by one; a grid of cells of edge >= `min_distance` limits the distance checks to 27 cells."""
    rng = np.random.default_rng(seed)
    n_cells = np.maximum(
        1, np.minimum(edges // max(min_distance, 1e-9 * edges.min()), np.ceil(n_sites ** (1 / 3))).astype(int)
    )
    occupants: dict[tuple[int, ...], list[int]] = {}
    offsets = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    positions = np.empty((n_sites, 3))
    for site in range(n_sites):
        for attempt in range(max_attempts):
            if attempt % _BATCH == 0:
                trials = rng.random((_BATCH, 3)) * edges
            trial = trials[attempt % _BATCH]
            home = np.minimum((trial / edges * n_cells).astype(int), n_cells - 1)
            around = home + offsets
            if pbc:
                around = around % n_cells
            near = [k for key in set(map(tuple, around.tolist())) for k in occupants.get(key, ())]
            separation = positions[near] - trial
            if pbc:
                separation -= edges * np.round(separation / edges)
            if not near or (separation**2).sum(1).min() >= min_distance**2:
                positions[site] = trial
                occupants.setdefault(tuple(home.tolist()), []).append(site)
                break
        else:
            raise InvalidInput(
                f"placed {site} of {n_sites} sites at min_distance={min_distance} in {max_attempts} attempts each; "
                "use a smaller min_distance, a larger box or fewer sites"
            )
    return positions
