"""Arrays move between devices and precisions as one, whatever holds them."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Data

import gnnspin as gs
from gnnspin.core.config import Config
from gnnspin.core.containers import TensorContainer, kept_in, move_arrays
from gnnspin.training.batches import Batch

THIRD = torch.tensor(1.0, dtype=torch.float64) / 3


class Pair(NamedTuple):
    """Two arrays by name."""

    first: Tensor
    second: Tensor


class Foreign:
    """An object with a rule of its own."""

    def __init__(self, moves: tuple[Any, ...] = ()) -> None:
        self.moves = moves

    def to(self, device: Any, dtype: Any) -> Foreign:
        return Foreign((*self.moves, (device, dtype)))


@dataclass(frozen=True)
class Inner(TensorContainer):
    value: Tensor
    name: str = "inner"


@dataclass(frozen=True)
class Outer(TensorContainer):
    real: Tensor
    wave: Tensor
    index: Tensor
    mask: Tensor
    sparse: Tensor
    inner: Inner
    nothing: Inner | None
    several: tuple[Inner, ...]
    pair: Pair
    table: dict[str, Tensor]
    graph: Data
    foreign: Foreign
    exact: Inner | None = field(default=None, metadata=kept_in(torch.float64))


def outer() -> Outer:
    index = torch.tensor([[0, 1], [1, 0]])
    graph = Data(edge_index=index, edge_distance=THIRD.expand(2), num_nodes=2)
    pair = Pair(THIRD, index)
    several = (Inner(THIRD), Inner(index))
    mask, sparse = torch.tensor([True]), torch.eye(2, dtype=torch.float64).to_sparse()
    wave = torch.complex(THIRD, -THIRD)
    return Outer(
        THIRD,
        wave,
        index,
        mask,
        sparse,
        Inner(THIRD),
        None,
        several,
        pair,
        {"a": THIRD},
        graph,
        Foreign(),
        Inner(THIRD),
    )


def arrays(value: Any) -> list[Tensor]:
    """All tensors in an object, at any depth."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Data):
        return arrays(tuple(value.to_dict().values()))
    if isinstance(value, tuple | list):
        return [tensor for entry in value for tensor in arrays(entry)]
    if is_dataclass(value):
        return arrays([getattr(value, each.name) for each in fields(value)])
    return []


def test_every_array_takes_the_precision_of_its_kind() -> None:
    before = outer()
    after = before.to(dtype=torch.float32)
    single = THIRD.to(torch.float32)
    assert float(single) != float(THIRD)
    for value in (after.real, after.inner.value, after.several[0].value, after.pair.first, after.table["a"]):
        assert value.dtype == torch.float32
        assert torch.equal(value, single)
    assert after.wave.dtype == torch.complex64
    assert torch.equal(after.wave, torch.complex(single, -single))
    assert after.sparse.dtype == torch.float32
    assert after.sparse.is_sparse
    assert after.graph.edge_distance.dtype == torch.float32
    assert after.graph.edge_index.dtype == torch.int64
    assert after.index.dtype == after.several[1].value.dtype == torch.int64
    assert after.mask.dtype == torch.bool
    assert after.exact is not None
    assert torch.equal(after.exact.value, THIRD)
    assert after.nothing is None
    assert after.inner.name == "inner"
    assert isinstance(after.pair, Pair)
    assert after.foreign.moves == ((None, torch.float32),)
    assert before.real.dtype == before.graph.edge_distance.dtype == torch.float64


def test_without_a_precision_arrays_only_move() -> None:
    before, after = outer(), outer().to("meta")
    assert [array.dtype for array in arrays(after)] == [array.dtype for array in arrays(before)]
    assert {array.device.type for array in arrays(after)} == {"meta"}


def test_a_batch_keeps_its_precisions_on_another_device() -> None:
    """Energies stay in double precision beside spins in single precision."""
    system = gs.systems.square(4, 4)
    model = gs.models.for_system("spin_cluster_expansion", system, cutoff=1.1)
    data = move_arrays(model.prepare(system), dtype=torch.float32)
    spins = gs.core.random_spins(16, replicas=(2,), seed=0).float()
    batch = Batch(system, data, spins, spins, torch.zeros(2, 1, dtype=torch.float64)).to("meta")
    assert {array.device.type for array in arrays(batch)} == {"meta"}
    assert batch.energy is not None
    assert batch.energy.dtype == torch.float64
    assert {array.dtype for array in arrays((batch.data, batch.spins, batch.field))} == {torch.float32, torch.int64}
    assert batch.system is system


def test_gradients_flow_through_a_move() -> None:
    value = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(Inner(value).to(dtype=torch.float32).value.square().sum(), value)
    assert torch.equal(gradient, torch.tensor([4.0], dtype=torch.float64))


class DistanceHyperparameters(Config):
    """No hyperparameters."""


class GraphModel(gs.models.SpinModel):
    """Energies from a bare graph, as an author may write them: not registered."""

    name = "graph_model_of_a_test"
    Hyperparameters = DistanceHyperparameters

    def __init__(self, spec: gs.graphs.GraphSpec, hyperparameters: DistanceHyperparameters) -> None:
        super().__init__(spec, hyperparameters)
        self.weight = nn.Parameter(torch.ones(()))

    def prepare(self, system: gs.systems.SpinSystem) -> Data:
        return self.spec.graph(system)

    def dimensionless_energies(self, data: Data, spins: Tensor) -> Tensor:
        source, target = data.edge_index
        bonds = (spins[:, source] * spins[:, target]).sum(-1) * data.edge_distance * self.weight
        return torch.zeros_like(spins[..., 0]).index_add(1, target, bonds)


def test_a_bare_graph_follows_its_model() -> None:
    """`Data.to(device, dtype)` takes the second argument for the name of an attribute, and moves nothing."""
    system = gs.systems.square(4, 4)
    model = GraphModel(gs.graphs.GraphSpec.for_system(system, 1.1), DistanceHyperparameters())
    source = gs.ForceField(model, system)
    assert source.data.edge_distance.dtype == torch.float32
    assert source.to(dtype=torch.float64).data.edge_distance.dtype == torch.float64
    assert {array.device.type for array in arrays(move_arrays(model.prepare(system), "meta", torch.float32))} == {
        "meta"
    }
    spins = gs.core.random_spins(16, seed=0)
    grid = spins.view(4, 4, 3)
    exact = -2 * sum(grid.roll(shift, axis) for shift in (1, -1) for axis in (0, 1)).view(16, 3)
    assert torch.allclose(source.field(spins), exact, atol=1e-12)


@pytest.mark.parametrize("name", ["moment_network", "spin_cluster_expansion", "invariant_message_passing", "schnet"])
def test_prepared_geometry_moves_whole(name: str) -> None:
    system = gs.systems.honeycomb(4, 4)
    values = {"hopping": {"kind": "nearest_neighbor"}, "J": 2.0, "hops": 2} if name == "moment_network" else {}
    model = gs.models.for_system(name, system, cutoff=1.1, **values)
    data = model.prepare(system)
    assert len(arrays(data)) > 2
    assert {array.device.type for array in arrays(move_arrays(data, "meta", torch.float32))} == {"meta"}
    single = move_arrays(data, dtype=torch.float32)
    if name == "moment_network":
        assert {array.dtype for array in arrays(single.deep_walks) if array.is_floating_point()} == {torch.float64}
        single = single.walks
    assert {array.dtype for array in arrays(single) if array.is_floating_point()} == {torch.float32}
