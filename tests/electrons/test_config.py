"""Configurations of Hamiltonians and solvers."""

import pytest
from pydantic import ValidationError

from gnnspin.electrons import ExactDiagonalization, ExponentialHopping, SDHamiltonian
from gnnspin.electrons.config import HamiltonianConfig, SolverConfig
from gnnspin.systems import chain


def test_configuration_builds_the_same_source():
    config = HamiltonianConfig.model_validate({"hopping": {"kind": "exponential", "length": 0.5}, "J": 6})
    solver = SolverConfig.model_validate({"kT": 0.001, "filling": 0.5})
    direct = SDHamiltonian(chain(4), ExponentialHopping(length=0.5), J=6.0)
    expected = ExactDiagonalization(direct, kT=0.001, filling=0.5)
    assert solver.build(config.build(chain(4))).specification() == expected.specification()
    assert HamiltonianConfig(J=3.0).build(chain(4)).specification()["hopping"]["t"] == 1.0


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
    ],
)
def test_bad_configuration_names_the_key(model, values, named):
    with pytest.raises(ValidationError, match=named):
        model.model_validate(values)


@pytest.mark.parametrize("model", [SolverConfig, HamiltonianConfig])
def test_every_field_is_documented(model):
    assert all(field.description for field in model.model_fields.values())
