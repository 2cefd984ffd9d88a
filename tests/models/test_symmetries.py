"""Every architecture keeps the symmetries it claims, and no others, whatever its weights are."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import gnnspin as gs
from gnnspin.models.symmetries import symmetry_violations

HAMILTONIAN = {"hopping": {"kind": "nearest_neighbor"}, "J": 3.0}
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
    "oriented_cluster_expansion": [{}, {"time_reversal": False}, {"fixed_number": True}],
    "spin_cluster_expansion": [{}, {"time_reversal": False}, {"fixed_number": True}],
}
CASES = [(name, values) for name in gs.models.available() for values in HYPERPARAMETERS.get(name, [{}])]


@pytest.mark.parametrize(("name", "values"), CASES, ids=[f"{name}-{k}" for k, (name, _) in enumerate(CASES)])
def test_a_model_has_the_symmetries_it_claims(name: str, values: dict[str, Any]) -> None:
    system = gs.systems.square(6, 6)
    torch.manual_seed(0)
    model = gs.models.for_system(name, system, 1.5, **values)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    source = gs.ForceField(model, system).to(dtype=torch.float64)
    source.model.calibrate(source.model.prepare(system), gs.core.random_spins(36, replicas=(4,), seed=1).double())
    for symmetry, violation in symmetry_violations(source).items():
        if symmetry in model.symmetries:
            assert violation < 1e-9, symmetry
        else:
            assert violation > 1e-6, symmetry
