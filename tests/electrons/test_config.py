"""Configurations of Hamiltonians and solvers."""

import pytest
from pydantic import ValidationError

from gnnspin.core import random_spins
from gnnspin.electrons import (
    ExactDiagonalization,
    ExponentialHopping,
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
from gnnspin.electrons.config import HamiltonianConfig, SolverConfig
from gnnspin.systems import chain, square


def test_configuration_builds_the_same_source():
    config = HamiltonianConfig.model_validate({"hopping": {"kind": "exponential", "length": 0.5}, "J": 6})
    solver = SolverConfig.model_validate({"kT": 0.001, "filling": 0.5})
    direct = SDHamiltonian(chain(4), ExponentialHopping(length=0.5), J=6.0)
    expected = ExactDiagonalization(direct, kT=0.001, filling=0.5)
    assert solver.build(config.build(chain(4))).specification() == expected.specification()
    assert HamiltonianConfig(J=3.0).build(chain(4)).specification()["hopping"]["t"] == 1.0


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
def test_every_hopping_has_a_configuration(values, rule):
    config = HamiltonianConfig.model_validate({"hopping": values, "J": 2})
    assert HamiltonianConfig.model_validate_json(config.model_dump_json()) == config
    expected = SDHamiltonian(chain(4), rule, J=2.0) if values["kind"] != "peierls" else None
    if expected is not None:
        assert config.build(chain(4)).specification() == expected.specification()
    assert config.hopping.build().specification() == rule.specification()


def test_couplings_per_site_and_dilution():
    assert HamiltonianConfig(J=(1.0, 2.0, 3.0)).build(chain(3)).orbital_coupling.tolist() == [1.0, 2.0, 3.0]
    dilute = HamiltonianConfig(J=3.0, spin_fraction=0.5, dilution_seed=2).build(chain(10)).orbital_coupling
    assert dilute.tolist() == diluted_coupling(chain(10), 3.0, 0.5, seed=2).tolist()


def test_wannier_configuration(tmp_path):
    path = tmp_path / "chain_hr.dat"
    lines = ["a chain", "1", "3", "1 1 1", "-1 0 0 1 1 -0.5 0.0", "0 0 0 1 1 0.2 0.0", "1 0 0 1 1 -0.5 0.0"]
    path.write_text("\n".join(lines))
    values = {"hopping": {"kind": "wannier90", "path": str(path), "orbital_basis": [0]}, "J": 1}
    built = HamiltonianConfig.model_validate(values).build(chain(5))
    rule = NearestNeighborHopping(0.5) + OnsiteEnergy([0.2] * 5)
    assert abs(built.hopping_matrix - rule.matrix(chain(5))).max() < 1e-15


@pytest.mark.parametrize(
    ("model", "values", "named"),
    [
        (SolverConfig, {"filling": 0.5, "temperature": 1}, "temperature"),
        (SolverConfig, {}, "exactly one"),
        (SolverConfig, {"filling": 0.5, "mu": 0}, "exactly one"),
        (SolverConfig, {"filling": 1.5}, "filling"),
        (SolverConfig, {"filling": 0.5, "kT": -1}, "kT"),
        (HamiltonianConfig, {"J": 1, "hopping": {"kind": "cubic"}}, "nearest_neighbor.*exponential"),
        (HamiltonianConfig, {"J": 1, "hopping": {"kind": "exponential", "t": 2}}, r"exponential\.t"),
        (HamiltonianConfig, {}, "J"),
        (HamiltonianConfig, {"J": [1, 2], "spin_fraction": 0.5}, "one number J"),
        (HamiltonianConfig, {"J": 1, "hopping": {"kind": "peierls", "hopping": {"kind": "cubic"}}}, "cubic"),
        (HamiltonianConfig, {"J": 1, "hopping": {"kind": "sum", "rules": []}}, "rules"),
    ],
)
def test_bad_configuration_names_the_key(model, values, named):
    with pytest.raises(ValidationError, match=named):
        model.model_validate(values)


@pytest.mark.parametrize("model", [SolverConfig, HamiltonianConfig])
def test_every_field_is_documented(model):
    assert all(field.description for field in model.model_fields.values())


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"kT": 0.0, "mu": 0.0}, "ExactDiagonalization"),
        ({"kind": "pole_expansion", "kT": 0.1, "filling": 0.4, "tolerance": 1e-7}, "PoleExpansion"),
        ({"kind": "kernel_polynomial", "kT": 0.1, "mu": 0.2, "n_moments": 600}, "KernelPolynomial"),
    ],
)
def test_every_solver_is_built_and_agrees(values, kind):
    system = square(6, 6)
    hamiltonian = HamiltonianConfig(J=2.0).build(system)
    source = SolverConfig(**values).build(hamiltonian)
    assert type(source).__name__ == kind
    ensemble = {k: v for k, v in values.items() if k in ("kT", "mu", "filling")}
    spins = random_spins(36, seed=0)
    exact = SolverConfig(**ensemble).build(hamiltonian).field(spins)
    assert float((source.field(spins) - exact).abs().max()) < 1e-6


def test_settings_of_another_solver_are_refused():
    with pytest.raises(ValidationError, match="means nothing to pole_expansion"):
        SolverConfig(kind="pole_expansion", kT=0.1, mu=0.0, n_moments=10)
    with pytest.raises(ValidationError, match="kT=0 is for exact_diagonalization"):
        SolverConfig(kind="kernel_polynomial", kT=0.0, mu=0.0)
