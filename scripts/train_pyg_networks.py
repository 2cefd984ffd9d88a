"""Train networks of torch_geometric on exact fields of a small double-exchange system and print their torque errors."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch_geometric.nn import GAT

import gnnspin as gs
from gnnspin.datasets import Label, LabelStore

SYSTEM = gs.systems.square(8, 8)
SPEC = gs.graphs.GraphSpec.for_system(SYSTEM, 2.0)


def labels(path: Path, count: int) -> LabelStore:
    """Random spins and their exact fields: J = 3.5, filling 0.48, kT = 0.1."""
    hamiltonian = gs.electrons.SDHamiltonian(SYSTEM, gs.electrons.NearestNeighborHopping(), J=3.5)
    source = gs.electrons.ExactDiagonalization(hamiltonian, kT=0.1, filling=0.48)
    store = LabelStore.create(path)
    for seed in range(count):
        spins = gs.core.random_spins(SYSTEM.n_sites, seed=seed)
        store.append(Label(SYSTEM, spins, source.field(spins)))
    return store


def models() -> dict[str, gs.models.SpinModel]:
    """Three networks, the last one a class of the library as it is."""
    attention = {"in_channels": "node_channels", "edge_dim": "edge_channels", "hidden_channels": 32}
    return {
        "schnet": gs.models.build("schnet", SPEC),
        "gatv2": gs.models.build("gatv2", SPEC),
        "torch_geometric.nn.GAT": gs.models.from_pyg(
            GAT,
            SPEC,
            layers=2,
            arguments={**attention, "num_layers": 2, "out_channels": 1, "heads": 4, "v2": True},
            reads={"x": "x", "edge_index": "edge_index", "edge_attr": "edge_attr"},
        ),
    }


def main() -> None:
    """Print a line for every network."""
    with tempfile.TemporaryDirectory() as folder:
        store = labels(Path(folder) / "labels.h5", 50)
        train, test = store.subset(range(40)), store.subset(range(40, 50))
        config = gs.training.TrainingConfig(
            optimizer="adamw", learning_rate=5e-3, batch_size=4, ema=None, max_epochs=20, validate_every=5
        )
        torch.manual_seed(0)
        for name, model in models().items():
            result = gs.training.fit(model, train, test, config, directory=Path(folder) / name, progress=False)
            found = gs.training.evaluate(result.force_field, test)
            print(
                f"{name:24} {model.n_parameters:6} parameters, {result.seconds:4.0f} s, "
                f"torque error {found.torque_rmse:.4f} (signal {found.torque_rms:.4f})"
            )


if __name__ == "__main__":
    main()
