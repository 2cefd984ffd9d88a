"""Pretrained models load, know their symmetries, and come with a card."""

from __future__ import annotations

import pytest
import torch

import gnnspin as gs
from gnnspin.analysis.symmetries import symmetry_violations
from gnnspin.core import InvalidInput, random_spins, torque
from gnnspin.force_fields import model_card, pretrained

SYSTEMS = {
    "amorphous_sd": gs.systems.amorphous(60, 4.2, 0.5, seed=3),
    "amorphous_sd_fast": gs.systems.amorphous(60, 4.2, 0.5, seed=3),
    "double_exchange_poles": gs.systems.square(10, 10),
    "double_exchange_published": gs.systems.square(10, 10),
    "double_exchange_square": gs.systems.square(10, 10),
    "driven_wall_square": gs.systems.square(10, 6, pbc=(False, True)),
    "kondo_square_random": gs.systems.square(10, 10),
    "kondo_square_random_poles": gs.systems.square(10, 10),
    "kondo_square_random_fixed_number": gs.systems.square(10, 10),
    "skyrmion_triangular": gs.systems.triangular(24, 24),
    "skyrmion_triangular_poles": gs.systems.triangular(24, 24),
    "cubic_double_exchange": gs.systems.simple_cubic(8, 8, 8),
    "tetrahedral": gs.systems.triangular(10, 10),
    "tetrahedral_fast": gs.systems.triangular(10, 10),
    "tetrahedral_medium": gs.systems.triangular(10, 10),
    "tetrahedral_poles": gs.systems.triangular(10, 10),
    "tetrahedral_small": gs.systems.triangular(10, 10),
    "tetrahedral_tiny": gs.systems.triangular(10, 10),
    "triangular_120": gs.systems.triangular(10, 10),
    "triangular_sd": gs.systems.triangular(10, 10),
}
#: Members of families.
AT = {"triangular_sd": {"J": 3.0, "filling": 0.3}, "driven_wall_square": {"voltage.0": 0.3}}


def test_every_model_of_the_package_is_tested_here() -> None:
    assert set(pretrained()) == set(SYSTEMS)


def violations(source: gs.ForceField) -> list[float]:
    """Of all symmetries; of driven models, which a current and its leads leave few, of those that they claim."""
    found = symmetry_violations(source)
    return [value for key, value in found.items() if source.has_energy or key in source.model.symmetries]


@pytest.mark.parametrize("name", list(SYSTEMS))
def test_symmetries_hold_in_single_precision(name: str) -> None:
    source = gs.load(f"pretrained:{name}", system=SYSTEMS[name], at=AT.get(name))
    # Green's functions amplify rounding by the width of the spectrum over the height of the lowest pole
    assert max(violations(source)) < (1e-4 if source.model.solved else 2e-5)
    double = source.to(dtype=torch.float64)
    assert max(violations(double)) < 1e-10


@pytest.mark.parametrize("name", list(SYSTEMS))
def test_torque_has_the_size_of_the_labels(name: str) -> None:
    """A few hundredths of the hopping on random spins, some thousandths at weak coupling."""
    source = gs.load(f"pretrained:{name}", system=SYSTEMS[name], at=AT.get(name))
    spins = random_spins(source.system.n_sites, seed=2)
    size = float(torque(spins, source.field(spins)).square().mean().sqrt())
    assert (0.003 if name.startswith("skyrmion_triangular") else 0.005) < size < 0.15


def test_fields_are_those_of_the_exact_solver() -> None:
    """120-degree order at half filling: a small system the model has never seen."""
    system = gs.systems.triangular(9, 9)
    h = gs.electrons.SDHamiltonian(system, hopping=gs.electrons.NearestNeighborHopping(t=1.0), J=6.0)
    spins = random_spins(81, seed=11)
    exact = torque(spins, gs.electrons.ExactDiagonalization(h, kT=0.002, filling=0.5).field(spins))
    learned = torque(spins, gs.load("pretrained:triangular_120", system=system).field(spins))
    error = float((learned - exact).square().mean() / exact.square().mean())
    assert error < 0.01


@pytest.mark.parametrize(("coupling", "filling"), [(2.5, 0.4), (5.0, 0.45)])
def test_a_family_has_the_fields_of_the_exact_solver(coupling: float, filling: float) -> None:
    """At points that were not trained on, on a size that was not: most of the torque, mostly within error bars."""
    system = gs.systems.triangular(9, 9)
    h = gs.electrons.SDHamiltonian(system, J=coupling)
    spins = random_spins(81, seed=11)
    exact = torque(spins, gs.electrons.ExactDiagonalization(h, kT=0.05, filling=filling).field(spins))
    member = gs.load("pretrained:triangular_sd", system=system, at={"J": coupling, "filling": filling})
    learned, radius = member.torque_with_error_bar(spins, 0.95)
    assert float((learned - exact).square().mean() / exact.square().mean()) < 0.05
    assert float(((learned - exact).norm(dim=-1) <= radius).double().mean()) > 0.75


def test_cards_name_data_errors_and_the_command() -> None:
    for name in pretrained():
        card = model_card(name)
        assert f"python scripts/pretrain.py {name}" in card
        assert "Range of validity" in card
        assert "| labels | snapshots | torque RMSE |" in card


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(InvalidInput, match="there are amorphous_sd"):
        gs.load("pretrained:square", system=gs.systems.square(4, 4))
