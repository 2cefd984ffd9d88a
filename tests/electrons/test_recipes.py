"""Hamiltonians and solvers named in configurations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gnnspin.core import random_spins
from gnnspin.core.config import Config
from gnnspin.electrons import (
    ExactDiagonalization,
    ExponentialHopping,
    HoppingRule,
    NearestNeighborHopping,
    OnsiteDisorder,
    OnsiteEnergy,
    PeierlsHopping,
    RashbaHopping,
    SDHamiltonian,
    ShellHopping,
    TwistedHopping,
    diluted_coupling,
)
from gnnspin.electrons.equilibrium import SolverRecipe
from gnnspin.electrons.hamiltonian import HamiltonianRecipe
from gnnspin.systems import SpinSystem, chain, square


class Electrons(Config):
    """The two sections of a configuration."""

    hamiltonian: HamiltonianRecipe
    solver: SolverRecipe

    def build(self, system: SpinSystem) -> Any:
        return self.solver.build(hamiltonian=self.hamiltonian.build(system))


def electrons(hamiltonian: Any = None, solver: Any = None) -> Electrons:
    return Electrons.model_validate({"hamiltonian": hamiltonian or {"J": 2}, "solver": solver or {"mu": 0}})


def test_configuration_builds_the_same_source() -> None:
    config = electrons({"hopping": {"kind": "exponential", "length": 0.5}, "J": 6}, {"kT": 0.001, "filling": 0.5})
    direct = SDHamiltonian(chain(4), ExponentialHopping(length=0.5), J=6.0)
    expected = ExactDiagonalization(direct, kT=0.001, filling=0.5)
    assert config.build(chain(4)).specification() == expected.specification()
    assert electrons().build(chain(4)).hamiltonian.hopping == NearestNeighborHopping(t=1.0)
    assert electrons().build(chain(4)).kT == 0.01


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"kind": "shells", "amplitudes": [1, 0.2]}, ShellHopping((1.0, 0.2))),
        ({"kind": "peierls", "flux": 0.25}, PeierlsHopping(NearestNeighborHopping(), 0.25)),
        (
            {"kind": "twisted", "hopping": {"kind": "exponential"}, "phases": [0.1, 0, 0]},
            TwistedHopping(ExponentialHopping(), (0.1, 0.0, 0.0)),
        ),
        (
            {
                "kind": "sum",
                "rules": [
                    {"kind": "nearest_neighbor"},
                    {"kind": "rashba", "strength": 0.2},
                    {"kind": "disorder", "width": 1, "seed": 3},
                    {"kind": "onsite", "energies": [0, 1, 2, 3]},
                ],
            },
            NearestNeighborHopping() + RashbaHopping(0.2) + OnsiteDisorder(1.0, 3) + OnsiteEnergy([0, 1, 2, 3]),
        ),
    ],
)
def test_hopping_by_name(values: dict[str, Any], rule: HoppingRule) -> None:
    config = electrons({"hopping": values, "J": 2})
    assert Electrons.model_validate_json(config.model_dump_json()) == config
    assert HoppingRule.recipe(values).build().specification() == rule.specification()


def test_couplings_per_site_and_dilution() -> None:
    assert SDHamiltonian.recipe(J=(1.0, 2.0, 3.0)).build(chain(3)).orbital_coupling.tolist() == [1.0, 2.0, 3.0]
    dilute = SDHamiltonian.recipe(J=3.0, spin_fraction=0.5, dilution_seed=2).build(chain(10)).orbital_coupling
    assert dilute.tolist() == diluted_coupling(chain(10), 3.0, 0.5, seed=2).tolist()


@pytest.mark.parametrize("filling", ["5/12", "5 / 12", 5 / 12])
def test_filling_may_be_a_fraction(filling: Any) -> None:
    source = electrons(solver={"filling": filling}).build(square(6, 6))
    assert float(source.solve(random_spins(36, seed=0)).n_electrons) == 30
    assert json.loads(electrons(solver={"filling": filling}).model_dump_json())["solver"]["filling"] == 5 / 12


def test_wannier_functions_by_their_file(tmp_path: Path) -> None:
    path = tmp_path / "chain_hr.dat"
    lines = ["a chain", "1", "3", "1 1 1", "-1 0 0 1 1 -0.5 0.0", "0 0 0 1 1 0.2 0.0", "1 0 0 1 1 -0.5 0.0"]
    path.write_text("\n".join(lines))
    values = {"hopping": {"kind": "wannier90", "path": str(path), "orbital_basis": [0]}, "J": 1}
    built = electrons(values).hamiltonian.build(chain(5))
    rule = NearestNeighborHopping(0.5) + OnsiteEnergy([0.2] * 5)
    assert abs(built.hopping_matrix - rule.matrix(chain(5))).max() < 1e-15


@pytest.mark.parametrize(
    ("section", "values", "named"),
    [
        ("solver", {"filling": 0.5, "temperature": 1}, "temperature"),
        ("solver", {"kT": 0.1}, "exactly one"),
        ("solver", {"filling": 0.5, "mu": 0}, "exactly one"),
        ("solver", {"filling": 1.5}, "filling"),
        ("solver", {"filling": "5/0"}, "5/0"),
        ("solver", {"filling": 0.5, "kT": -1}, "kT"),
        ("solver", {"kind": "pole_expansion", "kT": 0.1, "mu": 0.0, "n_moments": 10}, "n_moments"),
        ("solver", {"kind": "pole_expansion", "kT": 0.1, "mu": 0.0, "tolerance": 1}, "tolerance"),
        ("solver", {"kind": "kernel_polynomial", "kT": 0.0, "mu": 0.0}, "kT=0"),
        ("solver", {"kind": "kernel_polynomial", "kT": 0.1, "mu": 0.0, "probes": "colored"}, "n_colors"),
        ("solver", {"kind": "driven_steady_state"}, "EquilibriumSource"),
        ("hamiltonian", {"J": 1, "hopping": {"kind": "cubic"}}, "exponential.*nearest_neighbor"),
        ("hamiltonian", {"J": 1, "hopping": {"kind": "exponential", "t": 2}}, r"hamiltonian.hopping.t\b"),
        ("hamiltonian", {"J": [1, 2], "spin_fraction": 0.5}, "one number J"),
        ("hamiltonian", {"J": 1, "hopping": {"kind": "peierls", "hopping": {"kind": "cubic"}, "flux": 1}}, "cubic"),
        ("hamiltonian", {"J": 1, "hopping": {"kind": "sum", "rules": []}}, "at least one rule"),
    ],
)
def test_bad_configuration_names_the_key(section: str, values: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named) as error:
        electrons(**{section: values})
    assert error.value.errors()[0]["loc"][0] == section


def test_every_parameter_is_documented() -> None:
    for family in (HoppingRule, SDHamiltonian, ExactDiagonalization):
        for kind in family.kinds():
            fields = family.registry[kind].parameters().model_fields
            assert all(field.description for field in fields.values()), kind


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"kT": 0.0, "mu": 0.0}, "ExactDiagonalization"),
        ({"kind": "pole_expansion", "kT": 0.1, "filling": 0.4, "tolerance": 1e-7}, "PoleExpansion"),
        ({"kind": "kernel_polynomial", "kT": 0.1, "mu": 0.2, "n_moments": 600}, "KernelPolynomial"),
    ],
)
def test_every_solver_is_built_and_agrees(values: dict[str, Any], kind: str) -> None:
    source = electrons(solver=values).build(square(6, 6))
    assert type(source).__name__ == kind
    ensemble = {k: v for k, v in values.items() if k in ("kT", "mu", "filling")}
    spins = random_spins(36, seed=0)
    exact = electrons(solver=ensemble).build(square(6, 6)).field(spins)
    assert float((source.field(spins) - exact).abs().max()) < 1e-6


def test_configurations_of_version_0_1_validate() -> None:
    """As label stores hold them: every key spelled out, null for what another solver takes."""
    hopping = {"kind": "nearest_neighbor", "t": 1.0}
    hamiltonian = {"hopping": hopping, "J": 6.0, "spin_fraction": 1.0, "dilution_seed": 0}
    solver = {"kind": "exact_diagonalization", "kT": 0.01, "mu": None, "filling": 0.5, "n_electrons": None}
    foreign = dict.fromkeys(("tolerance", "n_moments", "kernel", "probes", "n_colors", "seed"))
    polynomial = {"kind": "kernel_polynomial", "kT": 0.1, "mu": 0.0, "n_moments": 100}
    assert electrons(hamiltonian, foreign | polynomial) == electrons({"J": 6}, polynomial)
    assert electrons(hamiltonian, solver | foreign) == electrons({"J": 6}, {"filling": "1/2"})


def test_values_that_differ_from_defaults_name_the_kind() -> None:
    """They identify a run: two solvers with the same arguments are told apart."""

    def short(solver: dict[str, Any]) -> dict[str, Any]:
        return electrons(solver=solver).model_dump(mode="json", exclude_defaults=True)

    assert short({"kT": 0.1, "mu": 0.0}) == {"hamiltonian": {"J": 2}, "solver": {"kT": 0.1, "mu": 0.0}}
    poles = short({"kind": "pole_expansion", "kT": 0.1, "mu": 0.0})
    assert poles["solver"] == {"kind": "pole_expansion", "kT": 0.1, "mu": 0.0}
