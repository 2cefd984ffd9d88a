"""What an architecture declares of itself is what it can do."""

from __future__ import annotations

import pytest
import torch

import gnnspin as gs
from gnnspin.core import InvalidInput, random_rotation, random_spins
from gnnspin.models.registry import ARCHITECTURES

SYSTEM = gs.systems.square(5, 5)
SPINS = random_spins(25, replicas=(1,), seed=0)
#: A family has no field of its own; its members are models of the others.
NAMES = [name for name in ARCHITECTURES if ARCHITECTURES[name].__module__.startswith("gnnspin.") and name != "family"]


def built(name: str, **options: object) -> gs.models.SpinModel:
    """A model with the defaults of its architecture, but small."""
    kind = gs.models.architecture(name)
    known = kind.Hyperparameters.model_fields
    small = {key: value for key, value in {"channels": 4, "hidden": 8}.items() if key in known}
    if "descriptor" in known:
        small["descriptor"] = {"kind": "magnetic_acsf", "radial": [(1.0, 0.5)]}  # type: ignore[assignment]
    if name == "pyg":
        arguments = {"in_channels": "node_channels", "hidden_channels": 4, "num_layers": 1, "out_channels": 1}
        reads = {"x": "x", "edge_index": "edge_index"}
        small |= {"network": "torch_geometric.nn.GCN", "arguments": arguments, "reads": reads}  # type: ignore[dict-item]
    if "hamiltonian" in known:
        small |= {"hamiltonian": {"J": 2.0}}  # type: ignore[dict-item]
        leads = {"kind": "driven_steady_state", "contacts": [[0], [12]], "voltage": 0.5, "kT": 0.1, "mu": -1.0}
        small |= {"solver": leads} if "solver" in known else {"kT": 0.1, "mu": -1.0}  # type: ignore[dict-item]
    small = kind.for_system(SYSTEM, small) if name != "behler_parrinello" else small | {"hidden": (8,)}
    torch.manual_seed(0)
    model = kind(gs.graphs.GraphSpec.for_system(SYSTEM, 1.5), kind.Hyperparameters(**small), **options)
    return model.double()


@pytest.mark.parametrize("name", NAMES)
def test_site_resolved(name: str) -> None:
    """With the own spins as centres nothing changes; with other centres something does. Others take no centres."""
    model = built(name)
    if "site_resolved" not in model.capabilities:
        with pytest.raises(InvalidInput, match=r"choose head|gives no vectors"):
            gs.models.build("nonconservative", model.spec, head="site_pairs", model=name, hyperparameters=dumped(model))
        return
    data = model.prepare(SYSTEM).to("cpu", torch.float64)
    alone = model.dimensionless_energies(data, SPINS)
    assert torch.equal(model.dimensionless_energies(data, SPINS, SPINS), alone)  # type: ignore[call-arg]
    other = model.dimensionless_energies(data, SPINS, -SPINS.roll(1, 1))  # type: ignore[call-arg]
    assert float((other - alone).abs().max().detach()) > 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_vectors(name: str) -> None:
    """They rotate with the spins; an architecture without them says so."""
    if "vectors" not in gs.models.architecture(name).capabilities:
        model = built(name)
        with pytest.raises(InvalidInput, match="gives no vectors"):
            model.site_vectors(None, SPINS)
        return
    model, rotation = built(name, vector_output=True), random_rotation(1)
    data = model.prepare(SYSTEM).to("cpu", torch.float64)
    vectors = model.site_vectors(data, SPINS).detach()
    assert vectors.shape == (1, model.n_vectors, 25, 3)
    assert torch.allclose(model.site_vectors(data, SPINS @ rotation.T), vectors @ rotation.T, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_linear(name: str) -> None:
    """Doubled weights double the energy of a linear architecture."""
    model = built(name)
    if "linear" not in model.capabilities:
        assert not hasattr(model, "feature_groups")
        return
    data = model.prepare(SYSTEM).to("cpu", torch.float64)
    with torch.no_grad():
        model.coefficients.normal_()  # type: ignore[operator, union-attr]
        single = model.dimensionless_energies(data, SPINS)
        model.coefficients.mul_(2)  # type: ignore[operator, union-attr]
        assert torch.allclose(model.dimensionless_energies(data, SPINS), 2 * single, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_compile_refuses(name: str) -> None:
    model = built(name)
    if not model.compiles:
        with pytest.raises(InvalidInput, match=r"torch\.compile"):
            gs.ForceField(model, SYSTEM).compile()


def dumped(model: gs.models.SpinModel) -> dict[str, object]:
    return {k: v for k, v in model.hyperparameters.model_dump(mode="json").items() if k != "time_reversal"}
