"""Every architecture keeps the symmetries it claims, and no others, whatever its weights are."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import gnnspin as gs
from gnnspin.analysis.symmetries import symmetry_violations

HAMILTONIAN = {"hopping": {"kind": "nearest_neighbor"}, "J": 3.0}
HANDED: list[dict[str, Any]] = [{"mirrors": False}, {"mirrors": False, "time_reversal": False}]
HYPERPARAMETERS: dict[str, list[dict[str, Any]]] = {
    "behler_parrinello": [{"descriptor": {"kind": "group_irreps"}, "hidden": [8], "activation": "silu"}],
    "equivariant_tensor_network": [{}, {"coupling": "locked"}],
    "moment_network": [HAMILTONIAN],
    "moment_cluster_expansion": [HAMILTONIAN],
    "nonconservative": [
        {},
        {"head": "pair"},
        {"head": "vectors", "drive": (1.0, 0.0, 0.0)},
        {"head": "site_pairs", "time_reversal": True},
        {"head": "pair", "model": "oriented_cluster_expansion"},
    ],
    "linear_cluster_expansion": [{}, *HANDED],
    "oriented_cluster_expansion": [{}, {"time_reversal": False}, {"fixed_number": True}, *HANDED],
    "fitted_poles": [
        {"hamiltonian": {"J": 2.0}, "kT": 0.1, "mu": -1.0},
        {"hamiltonian": {"J": 2.0}, "kT": 0.1, "filling": 0.3},
    ],
    "fitted_steady_state": [
        {
            "hamiltonian": {"J": 2.0},
            "solver": {
                "kind": "driven_steady_state",
                "contacts": [[0], [12]],
                "voltage": 0.5,
                "kT": 0.1,
                "mu": -1,
            },
        }
    ],
    "pyg": [
        {
            "network": "torch_geometric.nn.GAT",
            "layers": 1,
            "arguments": {"in_channels": "node_channels", "hidden_channels": 4, "num_layers": 1, "out_channels": 1},
            "reads": {"x": "x", "edge_index": "edge_index"},
        }
    ],
    "spin_cluster_expansion": [{}, {"time_reversal": False}, {"fixed_number": True}, *HANDED],
}
SQUARE = gs.systems.square(6, 6)
PACKING = gs.systems.amorphous(40, 3.7, 0.5, seed=0)
EXPANSIONS = ("spin_cluster_expansion", "oriented_cluster_expansion")
SPECIAL = [
    ("nonconservative", {"model": "spin_cluster_expansion", "hyperparameters": HANDED[0]}, SQUARE),
    ("spin_cluster_expansion", {"site_kind": "basis"}, gs.systems.kagome(4, 4)),
    ("oriented_cluster_expansion", {"site_kind": "basis"}, gs.systems.kagome(4, 4)),
    ("spin_cluster_expansion", {}, gs.systems.kagome(4, 4)),
    *((name, values, gs.systems.honeycomb(4, 4)) for name in EXPANSIONS for values in HANDED),
    *((name, values, gs.systems.simple_cubic(3, 3, 3)) for name in EXPANSIONS for values in HANDED),
    *(("spin_cluster_expansion", values, PACKING) for values in HANDED),
    (
        "moment_network",
        {"hopping": {"kind": "peierls", "hopping": {"kind": "nearest_neighbor"}, "flux": 1 / 6}, "J": 3.0},
        gs.systems.square(6, 6),
    ),
    (
        "moment_network",
        {
            "hopping": {
                "kind": "sum",
                "rules": [{"kind": "nearest_neighbor"}, {"kind": "disorder", "width": 1.0, "seed": 1}],
            },
            "J": 3.0,
        },
        gs.systems.square(6, 6),
    ),
    (
        "equivariant_tensor_network",
        {"coupling": "locked"},
        gs.systems.SpinSystem(PACKING.positions, PACKING.cell, PACKING.pbc, polar_axis=(0.0, 0.0, 1.0)),
    ),
]
SQUARE = gs.systems.square(6, 6)
#: Symmetries that hold without being claimed: the torus holds whole flux quanta in every row and column.
ALSO = {"peierls": {"point_group", "translation"}}
#: A family has no field of its own; its members are models of the others.
NAMES = [name for name in gs.models.available() if name != "family"]
CASES = [(name, values, SQUARE) for name in NAMES for values in HYPERPARAMETERS.get(name, [{}])] + SPECIAL


@pytest.mark.parametrize(
    ("name", "values", "system"), CASES, ids=[f"{name}-{k}" for k, (name, _, _) in enumerate(CASES)]
)
def test_a_model_has_the_symmetries_it_claims(name: str, values: dict[str, Any], system: gs.systems.SpinSystem) -> None:
    """Violations vanish for what is claimed, on this lattice and with this Hamiltonian, and for nothing else."""
    torch.manual_seed(0)
    model = gs.models.for_system(name, system, 1.5, **values)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    source = gs.ForceField(model, system).to(dtype=torch.float64)
    source.model.calibrate(
        source.model.prepare(system), gs.core.random_spins(system.n_sites, replicas=(4,), seed=1).double()
    )
    also = ALSO.get(values.get("hopping", {}).get("kind"), set())
    for symmetry, violation in symmetry_violations(source).items():
        if symmetry in model.symmetries | also:
            assert violation < 1e-9, symmetry
        else:
            assert violation > 1e-6, symmetry


@pytest.mark.parametrize("name", NAMES)
def test_species_differ_to_a_model_or_are_refused(name: str) -> None:
    square = gs.systems.square(6, 6)
    species = [(x + y) % 2 for x in range(6) for y in range(6)]
    vectors = square.primitive_vectors * [[6], [6], [1]]
    system = gs.systems.SpinSystem(square.positions, vectors, square.pbc, species)
    values = HYPERPARAMETERS.get(name, [{}])[0]
    try:
        source = gs.ForceField(gs.models.for_system(name, system, 1.5, **values), system)
    except gs.core.InvalidInput:
        return
    assert source.model.tells_species
    spins = gs.core.random_spins(36, seed=0)
    swapped = gs.systems.SpinSystem(square.positions, vectors, square.pbc, [1 - kind for kind in species])
    assert not torch.allclose(source.field(spins), source.on(swapped).field(spins), atol=1e-4)
