"""A lattice in tiles has the energies and fields of the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gnnspin as gs
from gnnspin.core import InvalidInput, random_spins
from gnnspin.force_fields.tiling import Tiling
from gnnspin.systems import SpinSystem
from gnnspin.testing import close, force_field

MODELS = {
    "spin_cluster_expansion": {"layers": 2, "channels": 2, "scalars": 2, "hidden": 6},
    "oriented_cluster_expansion": {"layers": 2, "filters": 3, "channels": 2, "scalars": 2, "factors": 3, "hidden": 6},
    "moment_network": {"hopping": {"kind": "nearest_neighbor"}, "J": 2.0, "hops": 2, "hidden": 6},
}
FIRST, SECOND, THIRD = MODELS
#: Lattices with the sites per tile and the models that are always tried there.
LATTICES = [
    (gs.systems.square(30, 7), 140, (FIRST, THIRD)),
    (gs.systems.square(17, 23, pbc=False), 200, (FIRST, SECOND)),
    (gs.systems.triangular(16, 19), 190, (FIRST,)),
    (gs.systems.honeycomb(14, 5, pbc=(False, True)), 100, (FIRST, SECOND, THIRD)),
    (gs.systems.chain(50), 20, (FIRST, SECOND, THIRD)),
]


@pytest.mark.parametrize(
    ("system", "max_sites", "name"),
    [
        pytest.param(system, max_sites, name, marks=() if name in always else pytest.mark.slow)
        for system, max_sites, always in LATTICES
        for name in MODELS
    ],
    ids=repr,
)
def test_tiles_are_the_whole(system: SpinSystem, max_sites: int, name: str) -> None:
    source = force_field(name, system, cutoff=1.1, **MODELS[name])
    spins = random_spins(system.n_sites, replicas=(2,), seed=1)
    energy, field = source.energy_and_field(spins)
    tiled = source.tile(max_sites)
    assert tiled is source
    tiled_energy, tiled_field = source.energy_and_field(spins)
    assert close(tiled_field, field, field)
    assert torch.allclose(tiled_energy, energy, atol=1e-9)
    assert torch.allclose(source.energy(spins), energy, atol=1e-9)


@pytest.mark.parametrize("pbc", [True, False])
@pytest.mark.parametrize("shape", [(40, 9, 1), (23, 31, 1), (9, 11, 13)])
def test_every_site_is_owned_once_and_far_from_cut_edges(shape: tuple[int, int, int], pbc: bool) -> None:
    system = gs.systems.square(*shape[:2], pbc=pbc) if shape[2] == 1 else gs.systems.simple_cubic(*shape, pbc=pbc)
    tiling = Tiling.of(system, 2.0, 343)
    assert tiling.window.n_sites <= 343
    assert len(tiling.sites) > 1
    count = torch.zeros(system.n_sites, dtype=torch.int64)
    for sites, owned in zip(tiling.sites, tiling.owned, strict=True):
        assert len(sites.unique()) == len(sites)
        count[sites[owned]] += 1
        held = set(sites.tolist())
        graph = gs.graphs.radius_graph(system, 2.0)
        sender, center = graph.edge_index
        reached = sender[torch.isin(center, sites[owned])]
        assert set(reached.tolist()) <= held
    assert bool((count == 1).all())


def test_a_disordered_hamiltonian_cannot_be_tiled() -> None:
    rules = [{"kind": "nearest_neighbor"}, {"kind": "disorder", "width": 1.0, "seed": 1}]
    values = {**MODELS["moment_network"], "hopping": {"kind": "sum", "rules": rules}}
    source = force_field("moment_network", gs.systems.square(20, 20), cutoff=1.1, **values)
    with pytest.raises(InvalidInput, match="from cell to cell"):
        source.tile(200)


def test_what_cannot_be_tiled() -> None:
    source = force_field(
        "spin_cluster_expansion", gs.systems.square(20, 20), cutoff=1.1, **MODELS["spin_cluster_expansion"]
    )
    with pytest.raises(InvalidInput, match="max_sites=30"):
        source.tile(30)
    square = gs.systems.square(6, 6)
    species = np.zeros(36)
    species[3] = 1
    mixed = SpinSystem(square.positions, square.cell, square.pbc, species, lattice_shape=square.lattice_shape)
    with pytest.raises(InvalidInput, match="repeats from cell to cell"):
        Tiling.of(mixed, 1.0, 20)
