"""Learned fields do not depend on the caller's modes of torch, and can be copied."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

import gnnspin as gs
from gnnspin.core import random_spins
from gnnspin.datasets import Label, LabelStore
from gnnspin.training import TrainingConfig

SYSTEM = gs.systems.square(6, 6)
SPINS = random_spins(36, seed=0)

#: Small models of every architecture.
MODELS: dict[str, dict[str, Any]] = {
    "behler_parrinello": {"descriptor": {"kind": "magnetic_acsf", "radial": [(0.8, 0.5), (1.4, 0.5)]}, "hidden": (8,)},
    "convolutional": {"channels": 3},
    "equivariant_tensor_network": {"layers": 1, "channels": 2, "max_degree": 1, "hidden": 8},
    "fitted_poles": {"hamiltonian": {"J": 2.0}, "kT": 0.1, "filling": 0.3},
    "fitted_steady_state": {
        "hamiltonian": {"J": 2.0},
        "solver": {"kind": "driven_steady_state", "contacts": [[0], [12]], "voltage": 0.5, "kT": 0.1, "mu": -1.0},
    },
    "gatv2": {"channels": 3, "heads": 2},
    "pyg": {
        "network": "torch_geometric.nn.GAT",
        "layers": 1,
        "arguments": {"in_channels": "node_channels", "hidden_channels": 4, "num_layers": 1, "out_channels": 1},
        "reads": {"x": "x", "edge_index": "edge_index"},
    },
    "schnet": {"channels": 4},
    "invariant_message_passing": {"channels": 4, "hidden": 8},
    "linear_cluster_expansion": {},
    "moment_cluster_expansion": {"hopping": {"kind": "nearest_neighbor"}, "J": 2.0, "hops": 2, "channels": 3},
    "moment_network": {"hopping": {"kind": "nearest_neighbor"}, "J": 2.0, "hops": 2, "linear_degree": 6},
    "nonconservative": {"head": "site_pairs", "hyperparameters": {"channels": 3, "hidden": 8}},
    "oriented_cluster_expansion": {"channels": 3, "hidden": 8},
    "spin_cluster_expansion": {"channels": 3, "hidden": 8},
    "vector_message_passing": {"channels": 3, "hidden": 8},
}


def build(name: str) -> gs.ForceField:
    torch.manual_seed(0)
    return gs.ForceField(gs.models.for_system(name, SYSTEM, cutoff=1.6, **MODELS[name]), SYSTEM)


def values(source: gs.ForceField) -> list[torch.Tensor]:
    """Field and, where there is one, energy."""
    return [source.field(SPINS), *([source.energy(SPINS)] if source.has_energy else [])]


@contextmanager
def default_device(device: str) -> Iterator[None]:
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


#: Tensors made by accident on the device ``meta`` hold no numbers: nothing that uses them can come out right.
MODES = {
    "inference": torch.inference_mode,
    "no_grad": torch.no_grad,
    "device": lambda: default_device("meta"),
    "deterministic": deterministic,
}


def test_every_architecture_is_here() -> None:
    own = {name for name in gs.models.available() if gs.models.architecture(name).__module__.startswith("gnnspin.")}
    assert own == {*MODELS, "family"}  # whose members are models of the others


def same(found: list[torch.Tensor], expected: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("name", list(MODELS))
def test_fields_in_every_mode(name: str) -> None:
    """Built outside and evaluated inside, or built inside and evaluated anywhere: the same numbers."""
    source = build(name)
    expected = values(source)
    for mode in MODES.values():
        with mode():
            assert same(values(source), expected)
    for mode in (MODES["inference"], MODES["device"]):
        with mode():
            inside = build(name)
            assert same(values(inside), expected)
        assert same(values(inside), expected)


@pytest.mark.parametrize("name", list(MODELS))
def test_copies_are_independent_and_equal(name: str) -> None:
    source = build(name)
    for copied in (copy.deepcopy(source), gs.ForceField(copy.deepcopy(source).model, SYSTEM)):
        assert same(values(copied), values(source))
        expected = values(source)[0]
        copied.model.energy_scale.mul_(2.0)
        assert torch.equal(values(source)[0], expected)


def whole_path(folder: Path) -> list[torch.Tensor]:
    """Random spins, exact labels, a training, files, evaluation, dynamics and minimisation, as numbers."""
    system = gs.systems.square(4, 4)
    exchange = gs.classical.Heisenberg(system, J=0.3)
    spins = random_spins(16, replicas=(4,), seed=1)
    hamiltonian = gs.electrons.SDHamiltonian(system, gs.electrons.NearestNeighborHopping(), J=2.0)
    source = gs.electrons.ExactDiagonalization(hamiltonian, kT=0.1, mu=-1.0) + exchange
    energies, fields = source.energy_and_field(spins)
    labels = LabelStore.create(folder / "labels.h5")
    for one, field, energy in zip(spins, fields, energies, strict=True):
        labels.append(Label(system, one, field, energy=float(energy)))
    torch.manual_seed(0)
    with default_dtype(torch.float32):
        model = gs.models.for_system("spin_cluster_expansion", system, 1.5, channels=2, hidden=4)
    config = TrainingConfig(max_epochs=1, batch_size=2)
    result = gs.training.fit(model, labels, labels, config, directory=folder / "fit", progress=False)
    loaded = gs.load(gs.save(result.force_field, folder / "model.safetensors"), gs.systems.square(6, 4))
    evaluation = gs.training.evaluate(loaded, labels)
    start, options = random_spins(24, seed=2), {"dt": 0.1, "damping": 0.1, "kT": 0.01}
    run = gs.dynamics.simulate(loaded, start, n_steps=2, trajectory=folder / "run.h5", save_every=1, **options)
    resumed = gs.dynamics.resume(folder / "run.h5", n_steps=2)
    low = gs.sampling.minimize(exchange, spins[0], tolerance=1e-3)
    return [
        fields,
        loaded.field(start),
        torch.tensor(evaluation.torque_rmse, device="cpu"),
        run.spins,
        resumed.spins,
        low.spins,
    ]


def test_whole_path_in_every_mode(tmp_path: Path) -> None:
    """Bit for bit as without the mode."""
    folders = {name: tmp_path / name for name in ("plain", "inference", "no_grad", "device", "dtype")}
    for folder in folders.values():
        folder.mkdir()
    expected = whole_path(folders.pop("plain"))
    modes = {**MODES, "dtype": lambda: default_dtype(torch.float64)}
    for mode, folder in folders.items():
        with modes[mode]():
            found = whole_path(folder)
        assert all(torch.equal(a.to("cpu", b.dtype), b) for a, b in zip(found, expected, strict=True)), mode
