"""Few energies in place of the integrals of a steady state: the same sums, and what a fit to torques makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import gnnspin as gs
from gnnspin.core import InvalidInput, random_rotation, random_spins
from gnnspin.electrons import DrivenSteadyState, SDHamiltonian, SemiInfiniteLead
from gnnspin.electrons.driven.few_energies import SteadyStateNodes, few_energies_fields, rough_nodes
from gnnspin.electrons.driven.fitting import DrivenLabel, SteadyStateFit

RIBBON = gs.systems.square(8, 3, pbc=(False, True))
WIDE: dict[str, Any] = {"contacts": ("left", "right", "all"), "gamma": (2.0, 2.0, 0.1), "kT": 0.05, "mu": -2.0}


def driven(bias: float = 0.6, system: gs.SpinSystem = RIBBON, **options: Any) -> DrivenSteadyState:
    electrons = {**WIDE, "voltage": (bias / 2, -bias / 2, 0.0), **options}
    return DrivenSteadyState(SDHamiltonian(system, J=2.0), **electrons)


def torques(spins: Tensor, fields: Tensor) -> Tensor:
    return torch.linalg.cross(spins.double().expand_as(fields), fields.double())


def labels(source: DrivenSteadyState, count: int, seed: int = 0) -> list[DrivenLabel]:
    spins = random_spins(source.system.n_sites, replicas=(count,), seed=seed, dtype=torch.float64)
    found = torques(spins, source.field(spins))
    return [DrivenLabel(source.green_functions, one, torque) for one, torque in zip(spins, found, strict=True)]


def error(nodes: SteadyStateNodes, states: list[DrivenLabel], dtype: torch.dtype = torch.float64) -> float:
    """Root-mean-square torque error over the torque."""
    wrong, size = 0.0, 0.0
    for each in states:
        found = torques(each.spins, few_energies_fields(each.contacts, each.spins[None].to(dtype), nodes)[0])
        wrong += float((found - each.torque).square().sum())
        size += float(each.torque.square().sum())
    return (wrong / size) ** 0.5


def test_with_the_energies_of_the_exact_rules_the_torque_is_exact() -> None:
    """The sums are those of the integrals: with their points and weights nothing but rules' errors is left."""
    source = driven(method="sparse", tolerance=1e-7)
    plan = source._sparse
    assert plan is not None
    energies, rates = torch.zeros(3, 200, dtype=torch.complex128), torch.zeros(3, 200, dtype=torch.float64)
    for lead, window in enumerate(plan._windows[:2]):
        assert window is not None
        at, steps = (torch.from_numpy(each) for each in window.rule(200))
        energies[lead] = at.to(torch.complex128)
        rates[lead] = steps * plan._excess(lead, at) / (2 * np.pi)
    nodes = SteadyStateNodes(plan._points, plan._weights, energies, rates)
    assert nodes.driven == [0, 1]
    spins = random_spins(24, replicas=(2,), seed=1, dtype=torch.float64)
    found = torques(spins, few_energies_fields(source.green_functions, spins, nodes))
    exact = torques(spins, driven(method="dense").field(spins))
    assert torch.allclose(found, exact, atol=1e-6)
    assert float(exact.norm()) > 0.1


def test_more_energies_err_less_on_states_never_seen() -> None:
    """Two and two, and four and four; single precision changes nothing."""
    source = driven()
    states, others = labels(source, 10), labels(source, 4, seed=1)
    errors = []
    for count in (2, 4):
        nodes, own = SteadyStateFit(states, source.potentials, source.kT, count, count).search()
        assert error(nodes, states) == pytest.approx(own, rel=0.3)
        errors.append(error(nodes, others))
        assert error(nodes, others, torch.float32) == pytest.approx(errors[-1], rel=0.02)
    assert errors[1] < 0.5 * errors[0] < 0.05


def test_numbers_of_one_ribbon_hold_on_another() -> None:
    source = driven()
    nodes, _ = SteadyStateFit(labels(source, 10), source.potentials, source.kT, 4, 4).search()
    longer = driven(system=gs.systems.square(12, 4, pbc=(False, True)))
    assert error(nodes, labels(longer, 3, seed=2)) < 0.03


def test_fields_turn_with_all_spins() -> None:
    source = driven()
    nodes = rough_nodes(source.potentials, source.kT, 3, 3)
    spins, rotation = random_spins(24, seed=3, dtype=torch.float64), random_rotation(4).double()
    fields = few_energies_fields(source.green_functions, torch.stack([spins, spins @ rotation.mT]), nodes)
    assert torch.allclose(fields[1], fields[0] @ rotation.mT, atol=1e-12)


def test_without_voltage_nothing_is_injected() -> None:
    """Before and after a fit: no lead drives, and the torques are those of an equilibrium with the same contacts."""
    source = driven(0.0)
    assert rough_nodes(source.potentials, source.kT, 3, 3).driven == []
    nodes, own = SteadyStateFit(labels(source, 6), source.potentials, source.kT, 3, 3).search()
    assert nodes.driven == []
    assert own < 0.02


@pytest.mark.parametrize("options", [{"gamma": 2.0}, {"leads": SemiInfiniteLead(), "gamma": 1.0}])
def test_without_a_bath_energies_keep_off_the_real_axis(options: dict[str, Any]) -> None:
    """Levels may be arbitrarily narrow there; both leads inject, beyond the mean of their Fermi functions."""
    source = driven(contacts=("left", "right"), voltage=0.6, **options)
    nodes, own = SteadyStateFit(labels(source, 8), source.potentials, source.kT, 4, 3).search()
    assert nodes.driven == [0, 1]
    assert float(nodes.energies.imag.min()) >= 0.999 * source.kT
    assert own < 0.2


def test_errors_do_not_rise_with_the_number_of_energies() -> None:
    """Up to more unknowns than most of them can use: the selection on the grid begins with different ones."""
    source = driven()
    states = labels(source, 8)
    found = [SteadyStateFit(states, source.potentials, source.kT, count, count).search()[1] for count in (3, 6, 12)]
    assert found[2] < found[1] < found[0]


def test_states_without_torque_are_refused() -> None:
    """Also where rounding is left of it: a voltage of ferromagnets among others of random spins."""
    source, spins = driven(), gs.observables.reference_order("ferromagnet", RIBBON)
    for torque in (torch.zeros(24, 3), torques(spins.float(), source.field(spins.float()))):
        state = DrivenLabel(source.green_functions, spins, torque)
        with pytest.raises(InvalidInput, match="no torque"):
            SteadyStateFit([state], source.potentials, source.kT, 2, 2)
