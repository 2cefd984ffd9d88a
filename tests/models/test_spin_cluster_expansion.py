"""Laws of the spin cluster expansion network."""

from __future__ import annotations

import pytest
import torch
from physics_suite import ModelPhysics, assert_paths_agree, force_field

import gnnspin as gs
from gnnspin.core import InvalidInput, random_spins
from gnnspin.systems import SpinSystem


class TestTwoLayers(ModelPhysics):
    name = "spin_cluster_expansion"
    hyperparameters = {"layers": 2, "channels": 3, "scalars": 2, "hidden": 8, "max_degree": 3}  # noqa: RUF012


class TestOneLayer(ModelPhysics):
    name = "spin_cluster_expansion"
    hyperparameters = {"layers": 1, "channels": 3, "hidden": 8, "max_degree": 2}  # noqa: RUF012


@pytest.mark.parametrize(
    "system",
    [
        gs.systems.square(7, 6),
        gs.systems.square(7, 6, pbc=(False, True)),
        gs.systems.square(8, 6, pbc=False),
        gs.systems.triangular(6, 9),
        gs.systems.triangular(3, 3),
        gs.systems.honeycomb(4, 5),
        gs.systems.honeycomb(4, 5, pbc=(True, False)),
        gs.systems.simple_cubic(4, 5, 3),
        gs.systems.chain(9),
        gs.systems.chain(9, pbc=False),
    ],
    ids=repr,
)
def test_lattice_stencil_equals_edge_list(system: SpinSystem) -> None:
    hyperparameters = {"channels": 3, "scalars": 2, "hidden": 8}
    assert_paths_agree(force_field("spin_cluster_expansion", system, **hyperparameters).model, system)


def test_cutoff_beyond_a_tiny_cell_falls_back_to_edges() -> None:
    system = gs.systems.square(2, 2)
    source = force_field("spin_cluster_expansion", system, cutoff=3.0, channels=2, hidden=8)
    assert source.data.stencil is None
    tiled = gs.systems.square(8, 8)
    spins = random_spins(4, seed=0)
    repeated = spins.reshape(2, 2, 3).repeat(4, 4, 1).reshape(64, 3)
    assert torch.allclose(source.on(tiled).field(repeated)[:2], source.field(spins)[:2], atol=1e-10)


def test_unknown_hyperparameter_is_named() -> None:
    spec = gs.graphs.GraphSpec.for_system(gs.systems.square(4, 4), 1.5)
    with pytest.raises(InvalidInput, match="chanels"):
        gs.models.build("spin_cluster_expansion", spec, chanels=3)
    with pytest.raises(InvalidInput, match="layers"):
        gs.models.build("spin_cluster_expansion", spec, layers=0)
    with pytest.raises(InvalidInput, match="available: "):
        gs.models.build("spin_cluster", spec)
    with pytest.raises(InvalidInput, match="cutoff"):
        gs.graphs.GraphSpec.for_system(gs.systems.square(4, 4), 0.0)
    with pytest.raises(InvalidInput, match="no site has a neighbour"):
        gs.graphs.GraphSpec.for_system(gs.systems.square(4, 4), 0.5)


def test_model_refuses_another_lattice() -> None:
    source = force_field("spin_cluster_expansion", gs.systems.square(6, 6), channels=2, hidden=8)
    with pytest.raises(InvalidInput, match="shells"):
        source.on(gs.systems.triangular(6, 6))
    with pytest.raises(InvalidInput, match="outside the xy plane"):
        source.on(gs.systems.simple_cubic(4, 4, 4))
