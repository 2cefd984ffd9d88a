"""Laws of families: a member is the family at its parameters, and an ordinary model."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import gnnspin as gs
from gnnspin.analysis.symmetries import symmetry_violations
from gnnspin.core import ExtrapolationWarning, InvalidInput, random_spins
from gnnspin.core.containers import move_arrays
from gnnspin.models import Family

TRIANGULAR = gs.systems.triangular(6, 6)
RANGES = {"J": (1.0, 6.0), "filling": (0.1, 0.5)}
VALUES = {"J": 2.0, "filling": 0.35}
SMALL: dict[str, dict[str, Any]] = {
    "spin_cluster_expansion": {"channels": 3, "hidden": 8},
    "oriented_cluster_expansion": {"channels": 3, "hidden": 8, "filters": 4},
    "moment_network": {"hops": 2, "hidden": 8, "linear_degree": 7},
    "linear_cluster_expansion": {},
    "nonconservative": {"head": "vectors", "drive": (1.0, 0.0, 0.0), "hyperparameters": {"channels": 3, "hidden": 8}},
    "vector_message_passing": {"channels": 3, "hidden": 8},
}


def family(name: str, system: gs.systems.SpinSystem = TRIANGULAR, **options: Any) -> Family:
    """A family whose weights depend on the parameters, float64."""
    torch.manual_seed(0)
    inner = {**SMALL[name], **options}
    made = gs.models.for_system("family", system, 1.2, model=name, hyperparameters=inner, conditions=RANGES).double()
    assert isinstance(made, Family)
    made.calibrate(prepared(made, system), random_spins(system.n_sites, replicas=(3,), seed=5))
    with torch.no_grad():
        made.modulation.head.normal_(std=0.1)
        for parameter in made.base.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        made.log_scale += torch.linspace(-0.3, 0.4, len(made.log_scale))
        made.shift += 0.1
    return made


def prepared(made: gs.models.SpinModel, system: gs.systems.SpinSystem) -> Any:
    return move_arrays(made.prepare(system), "cpu", torch.float64)


def row(*values: float) -> Tensor:
    return torch.tensor([values], dtype=torch.float64)


@pytest.mark.parametrize("name", list(SMALL))
def test_a_member_is_the_family_at_its_parameters(name: str) -> None:
    """Energies and fields agree to rounding; at other parameters they are others."""
    made = family(name)
    member = made.at(**VALUES)
    assert type(member) is type(made.base)
    spins = random_spins(36, replicas=(2,), seed=1)
    data = made.with_parameters(prepared(made, TRIANGULAR), row(2.0, 0.35))
    energies, fields = made.energies_and_fields(data, spins)
    own, expected = member.energies_and_fields(prepared(member, TRIANGULAR), spins)
    size = float(expected.abs().max())
    assert size > 1e-3
    torch.testing.assert_close(fields, expected, rtol=0, atol=1e-12 * size)
    if own is not None:
        torch.testing.assert_close(energies, own, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(made.site_energies(data, spins), own, rtol=1e-12, atol=1e-12)
    other = made.at(J=5.0, filling=0.2)
    moved = other.energies_and_fields(prepared(other, TRIANGULAR), spins)[1]
    assert float((moved - expected).abs().max()) > 1e-2 * size


@pytest.mark.parametrize("name", ["spin_cluster_expansion", "oriented_cluster_expansion", "nonconservative"])
def test_members_have_the_symmetries_of_their_architecture(name: str) -> None:
    made = family(name)
    source = gs.ForceField(made, TRIANGULAR, dtype=torch.float64).at(**VALUES)
    assert source.model.symmetries == made.symmetries
    for symmetry, violation in symmetry_violations(source).items():
        assert (violation < 1e-9) == (symmetry in made.symmetries), symmetry


def test_field_is_minus_the_gradient_of_the_energy() -> None:
    source = gs.ForceField(family("spin_cluster_expansion"), TRIANGULAR, dtype=torch.float64).at(**VALUES)
    spins, step = random_spins(36, seed=1), 1e-5
    direction = torch.randn(36, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    direction -= (direction * spins).sum(-1, keepdim=True) * spins
    sides = [spins * np.cos(s) + direction * np.sin(s) for s in (step, -step)]
    slope = sum(
        sign * float(source.energy(side / side.norm(dim=-1, keepdim=True)))
        for sign, side in zip((1, -1), sides, strict=True)
    ) / (2 * step)
    assert slope == pytest.approx(-float((source.field(spins) * direction).sum()), rel=1e-5)


def test_systems_of_a_union_have_parameters_of_their_own() -> None:
    """Every system at its own parameters is the same as by itself; derivatives reach the weights."""
    systems = [gs.systems.amorphous(30, 3.3, 0.5, seed=s) for s in (1, 2, 3)]
    torch.manual_seed(0)
    made = gs.models.for_system(
        "family", systems[0], 1.2, hyperparameters=SMALL["spin_cluster_expansion"], conditions=RANGES
    ).double()
    assert isinstance(made, Family)
    torch.nn.init.normal_(made.modulation.head, std=0.1)
    parameters = torch.tensor([[1.0, 0.2], [4.0, 0.5], [1.0, 0.2]], dtype=torch.float64)
    whole = gs.systems.union(systems)
    spins = random_spins(90, replicas=(1,), seed=2)
    made.calibrate(prepared(made, whole), spins)
    data = made.with_parameters(prepared(made, whole), parameters)
    energies, fields = made.energies_and_fields(data, spins, create_graph=True)
    assert energies is not None
    torch.testing.assert_close(made.site_energies(data, spins), energies, rtol=1e-12, atol=1e-12)
    for k, system in enumerate(systems):
        part = slice(30 * k, 30 * (k + 1))
        alone = made.with_parameters(prepared(made, system), parameters[k : k + 1])
        own, expected = made.energies_and_fields(alone, spins[:, part])
        size = float(expected.abs().max())
        torch.testing.assert_close(fields[:, part], expected, rtol=0, atol=1e-12 * size)
        torch.testing.assert_close(energies[:, part], own, rtol=1e-12, atol=1e-12)
    fields.square().sum().backward()
    assert made.modulation.head.grad is not None
    assert float(made.modulation.head.grad.abs().max()) > 0


def test_files_keep_the_family_and_load_members(tmp_path: Path) -> None:
    source = gs.ForceField(family("spin_cluster_expansion"), TRIANGULAR)
    path = gs.save(source, tmp_path / "family.safetensors")
    spins = random_spins(36, seed=1)
    expected = source.at(**VALUES).field(spins)
    assert torch.equal(gs.load(path, TRIANGULAR).at(**VALUES).field(spins), expected)
    member = gs.load(path, TRIANGULAR, at=VALUES)
    assert torch.equal(member.field(spins), expected)
    assert member.provenance["parameters"] == VALUES
    again = gs.load(gs.save(member, tmp_path / "member.safetensors"), TRIANGULAR)
    assert torch.equal(again.field(spins), expected)
    named = gs.core.FieldSource.from_specification(
        {"kind": "model", "path": str(path), "at": VALUES}, system=TRIANGULAR
    )
    assert torch.equal(named.field(spins), expected)
    with pytest.raises(InvalidInput, match="missing J, filling"):
        gs.core.FieldSource.from_specification({"kind": "model", "path": str(path)}, system=TRIANGULAR)


def test_native_code_evaluates_a_member() -> None:
    source = gs.ForceField(family("spin_cluster_expansion"), TRIANGULAR, dtype=torch.float64).at(**VALUES)
    spins = random_spins(36, seed=1)
    expected = source.field(spins)
    try:
        found = source.native().field(spins)
    except gs.models.native.NoCompiler:
        pytest.skip("no compiler")
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_wrong_parameters_are_refused() -> None:
    source = gs.ForceField(family("spin_cluster_expansion"), TRIANGULAR)
    spins = random_spins(36, seed=1)
    for call in (source.field, source.energy):
        with pytest.raises(
            InvalidInput, match=r"choose a member with \.at\(J=\.\.\., filling=\.\.\.\) out of J from 1"
        ):
            call(spins)
    with pytest.raises(InvalidInput, match=r"missing filling; unknown mu: the family has J from 1 to 6, filling from"):
        source.at(J=1.0, mu=-3.0)
    with pytest.raises(InvalidInput, match="finite"):
        source.at(J=float("nan"), filling=0.2)
    with pytest.raises(InvalidInput, match="is no family"):
        source.at(**VALUES).at(**VALUES)
    with pytest.raises(InvalidInput, match="family of families"):
        gs.models.for_system("family", TRIANGULAR, 1.2, model="family", conditions=RANGES)
    with pytest.raises(InvalidInput, match=r"range of J is \[6, 1\]"):
        gs.models.for_system("family", TRIANGULAR, 1.2, conditions={"J": (6.0, 1.0)})


def test_parameters_outside_the_range_are_warned_about() -> None:
    source = gs.ForceField(family("spin_cluster_expansion"), TRIANGULAR)
    with pytest.warns(ExtrapolationWarning, match=r"J=7 is outside of the range of the family, J from 1 to 6"):
        source.at(J=7.0, filling=0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source.at(J=6.0, filling=0.1)


def test_scale_is_fitted_to_torques_and_constant_outside() -> None:
    """An exponential of a quadratic polynomial is met; beyond the range the scale is that at its end."""
    made = family("spin_cluster_expansion")
    points = torch.tensor([[1 + 5 * x, 0.1 + 0.4 * y] for x in np.linspace(0, 1, 6) for y in np.linspace(0, 1, 6)])
    x, y = made.scaled(points).unbind(-1)
    torques = torch.exp(0.2 + 0.7 * x - 0.4 * y + 0.3 * x * y - 0.2 * x * x)
    made.fit_units(points, torques)
    torch.testing.assert_close(made.torque_scale(points), torques, rtol=2e-2, atol=0)
    assert torch.equal(made.torque_scale(row(9.0, 0.3)), made.torque_scale(row(6.0, 0.3)))
    torch.testing.assert_close(made.unscaled(made.scaled(points)), points.double())


def moment_family(conditions: dict[str, tuple[float, float]], **options: Any) -> Family:
    """A family of moment networks of nearest-neighbour hopping as it is before any training, without a closure."""
    inner = {"hopping": {"kind": "nearest_neighbor"}, "hops": 1, "hidden": 4, **options}
    made = gs.models.for_system(
        "family", TRIANGULAR, 1.1, model="moment_network", hyperparameters=inner, conditions=conditions
    ).double()
    assert isinstance(made, Family)
    made.calibrate(prepared(made, TRIANGULAR), random_spins(36, replicas=(2,), seed=5))
    for parameter in made.base.network.parameters():  # type: ignore[union-attr]
        torch.nn.init.zeros_(parameter)
    return made


def test_moments_take_their_coefficients_from_mu_and_temperature() -> None:
    """Untrained, the linear part is the Chebyshev series of the grand potential at every (mu, kT): it is exact."""
    made = moment_family({"mu": (-6.0, 2.0), "kT": (0.3, 1.0)}, J=2.0, linear_degree=120)
    spins = random_spins(36, seed=3)
    electrons = gs.electrons.SDHamiltonian(TRIANGULAR, J=2.0)
    for mu, kT in ((-3.0, 0.4), (0.5, 0.8)):
        exact = gs.electrons.ExactDiagonalization(electrons, mu=mu, kT=kT)
        member = gs.ForceField(made, TRIANGULAR, dtype=torch.float64).at(mu=mu, kT=kT)
        torch.testing.assert_close(member.field(spins), exact.field(spins), rtol=0, atol=1e-6)
        other = random_spins(36, seed=4)
        difference = float(member.energy(spins) - member.energy(other))
        assert difference == pytest.approx(float(exact.energy(spins) - exact.energy(other)), abs=1e-5)


def test_moments_take_their_coupling_from_the_parameters() -> None:
    conditions = {"J": (1.0, 4.0), "mu": (-6.0, 2.0), "kT": (0.3, 1.0)}
    made = moment_family(conditions, linear_degree=120)
    spins = random_spins(36, seed=3)
    for J in (1.5, 4.0):
        exact = gs.electrons.ExactDiagonalization(gs.electrons.SDHamiltonian(TRIANGULAR, J=J), mu=-2.0, kT=0.6)
        member = gs.ForceField(made, TRIANGULAR, dtype=torch.float64).at(J=J, mu=-2.0, kT=0.6)
        torch.testing.assert_close(member.field(spins), exact.field(spins), rtol=0, atol=1e-5)
    fixed = moment_family({"J": (1.0, 4.0)}, J=2.0)
    with pytest.raises(InvalidInput, match=r"J=2 is fixed in the hyperparameters"):
        fixed.at(J=1.5)
