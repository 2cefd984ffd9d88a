"""Networks of torch_geometric as models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import GAT, GCN

import gnnspin as gs
from gnnspin.core import InvalidInput, StoreError, random_rotation, random_spins
from gnnspin.datasets import Label, LabelStore
from gnnspin.models.architectures.pyg import NETWORKS
from gnnspin.models.blocks.invariant_graph import InvariantGraph
from gnnspin.testing import ModelPhysics
from gnnspin.training import TrainingConfig, evaluate, fit

SQUARE = gs.systems.square(6, 6)
SPEC = gs.graphs.GraphSpec.for_system(SQUARE, 1.5)
ARGUMENTS = {
    "in_channels": "node_channels",
    "edge_dim": "edge_channels",
    "hidden_channels": 8,
    "num_layers": 2,
    "out_channels": 1,
    "v2": True,
}
READS = {"x": "x", "edge_index": "edge_index", "edge_attr": "edge_attr"}


class TestSchNet(ModelPhysics):
    name = "schnet"
    hyperparameters = {"channels": 6, "n_radial": 4}  # noqa: RUF012


class TestGATv2(ModelPhysics):
    name = "gatv2"
    hyperparameters = {"channels": 4, "heads": 2, "n_radial": 4}  # noqa: RUF012


def attention(**values: Any) -> gs.models.SpinModel:
    torch.manual_seed(0)
    return gs.models.from_pyg(GAT, SPEC, layers=2, arguments=ARGUMENTS, reads=READS, **values)


def test_every_invariant_is_one() -> None:
    """Rotated and reversed spins give the same numbers; chiralities are among them."""
    invariants = InvariantGraph(SPEC, 4, 3, 2, 1.5).double()
    data = invariants.prepare(SQUARE).to("cpu", torch.float64)
    spins = random_spins(36, replicas=(2,), seed=0)
    graph = invariants(data, spins)
    assert graph.x.shape == (72, invariants.node_channels)
    assert graph.edge_attr.shape[1] == invariants.edge_channels
    for moved in (spins @ random_rotation(1).T, -spins):
        other = invariants(data, moved)
        assert torch.allclose(other.x, graph.x, atol=1e-10)
        assert torch.allclose(other.edge_attr, graph.edge_attr, atol=1e-12)
    squares = graph.x[:, -invariants.triplets.n_symmetric :]  # type: ignore[union-attr]
    assert float(squares.abs().max()) > 1e-3
    flat = invariants(data, torch.nn.functional.normalize(spins * torch.tensor([1.0, 1.0, 0.0]), dim=-1))
    assert float(flat.x[:, -invariants.triplets.n_symmetric :].abs().max()) < 1e-12  # type: ignore[union-attr]


def test_a_class_of_the_library_is_saved_and_loaded(tmp_path: Path) -> None:
    source = gs.ForceField(attention(), SQUARE)
    loaded = gs.load(gs.save(source, tmp_path / "model.safetensors"), gs.systems.square(8, 6))
    spins = random_spins(48, seed=0)
    assert torch.equal(loaded.field(spins), source.on(loaded.system).field(spins))
    assert float(loaded.field(spins).abs().max()) > 1e-6


def test_a_network_of_ones_own(tmp_path: Path) -> None:
    """By a registered name only: a file never imports anything."""

    @gs.models.register_network("test_sum")
    class Sum(nn.Module):
        def __init__(self, width: int, gain: float) -> None:
            super().__init__()
            self.linear, self.gain = nn.Linear(width, 1), gain

        def forward(self, data: Data) -> Tensor:
            return self.gain * self.linear(data.x)

    try:
        model = gs.models.from_pyg(Sum, SPEC, layers=1, arguments={"width": "node_channels", "gain": 2.0})
        source = gs.ForceField(model, SQUARE)
        path = gs.save(source, tmp_path / "model.safetensors")
        spins = random_spins(36, seed=0)
        assert torch.equal(gs.load(path, SQUARE).field(spins), source.field(spins))
    finally:
        del NETWORKS._known["test_sum"]
    with pytest.raises(StoreError, match="network 'test_sum' is unknown"):
        gs.load(path, SQUARE)


def test_specification_asks_for_triplets() -> None:
    """Triplets of the whole cutoff where the graph specification has them, as many as the argument says otherwise."""
    with_all = gs.models.from_pyg(
        GAT, gs.graphs.GraphSpec.for_system(SQUARE, 1.5, triplets=True), layers=2, arguments=ARGUMENTS, reads=READS
    )
    without, short = attention(triplet_cutoff=None), attention(triplet_cutoff=1.0)
    counts = [m.prepare(SQUARE).graph.triplet_index.shape[1] // 36 for m in (with_all, short, without)]
    assert counts == [28, 6, 0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["schnet", "gatv2", "pyg"])
def test_learns_an_exchange_model(name: str, tmp_path: Path) -> None:
    """A short training lowers the torque error of a bilinear and biquadratic model to a fraction of the signal."""
    source = gs.classical.Heisenberg(SQUARE, (-1.0, 0.4)) + gs.classical.Biquadratic(SQUARE, 0.3)
    store = LabelStore.create(tmp_path / "labels.h5")
    for seed in range(16):
        spins = random_spins(36, seed=seed)
        energy, field = source.energy_and_field(spins)
        store.append(Label(SQUARE, spins, field, energy=float(energy)))
    train, test = store.subset(range(12)), store.subset(range(12, 16))
    torch.manual_seed(0)
    model = attention() if name == "pyg" else gs.models.build(name, SPEC)
    config = TrainingConfig(optimizer="adamw", learning_rate=0.01, max_epochs=12)
    result = fit(model, train, test, config, directory=tmp_path / "run", progress=False)
    found = evaluate(result.force_field, test)
    assert found.torque_rmse < 0.45 * found.torque_rms


def test_errors_name_the_remedy() -> None:
    with pytest.raises(InvalidInput, match="register_network"):
        gs.models.from_pyg(nn.Linear, SPEC, layers=1)
    with pytest.raises(InvalidInput, match="give its class and arguments"):
        gs.models.from_pyg(GCN(2, 2, 1), SPEC, layers=1)
    with pytest.raises(InvalidInput, match="no class of torch_geometric"):
        gs.models.from_pyg("torch_geometric.nn.nothing", SPEC, layers=1)
    with pytest.raises(InvalidInput, match="in_channels"):
        gs.models.from_pyg(GAT, SPEC, layers=1)
    wide = gs.models.from_pyg(GAT, SPEC, layers=2, arguments={**ARGUMENTS, "out_channels": 3}, reads=READS)
    with pytest.raises(InvalidInput, match="one number per node"):
        gs.ForceField(wide, SQUARE).field(random_spins(36, seed=0))
    lost = gs.models.from_pyg(GAT, SPEC, layers=2, arguments=ARGUMENTS, reads={"x": "nodes"})
    with pytest.raises(InvalidInput, match="nodes"):
        gs.ForceField(lost, SQUARE).field(random_spins(36, seed=0))
