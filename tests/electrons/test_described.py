"""Every rule, lead, Hamiltonian and solver is described in full: what is built from its description is the same."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

from gnnspin.core import random_spins
from gnnspin.core.described import Described
from gnnspin.core.source import FieldSource
from gnnspin.electrons import (
    CellHopping,
    DrivenSteadyState,
    ExactDiagonalization,
    ExponentialHopping,
    HaldaneHopping,
    HoppingRule,
    KernelPolynomial,
    Lead,
    MatrixHopping,
    NearestNeighborHopping,
    OnsiteDisorder,
    OnsiteEnergy,
    PeierlsHopping,
    PeriodicLead,
    PoleExpansion,
    RashbaHopping,
    SDHamiltonian,
    SemiInfiniteLead,
    ShellHopping,
    TwistedHopping,
    Wannier90Hopping,
)
from gnnspin.systems import SpinSystem, square, triangular, union

SYSTEM = square(4, 4)
RIBBON = square(4, 3, pbc=False)


def random_matrix(n: int, seed: int) -> sparse.csr_array:
    generator = np.random.default_rng(seed)
    matrix = generator.normal(size=(n, n)) + 1j * generator.normal(size=(n, n))
    matrix[abs(matrix) < 1.5] = 0
    return sparse.csr_array(matrix + matrix.conj().T)


BLOCK = np.array([[0.1 + 0.2j, -1.0], [0.5j, 0.3]])
SPINFUL = random_matrix(4, 1).toarray().reshape(2, 2, 2, 2)

RULES: list[HoppingRule] = [
    NearestNeighborHopping(t=1.3),
    ShellHopping((1.0, -0.4)),
    ExponentialHopping(t0=0.7, length=1.9),
    RashbaHopping(0.3, (1.0, 1.0, 0.0)),
    HaldaneHopping(0.2, 0.7, (0.0, 0.0, -1.0)),
    OnsiteEnergy(np.linspace(-1, 1, 16)),
    OnsiteDisorder(0.8, seed=3, distribution="normal"),
    PeierlsHopping(ShellHopping((1.0, 0.2)), 0.25),
    TwistedHopping(NearestNeighborHopping(0.9), (0.3, -0.2, 0.0)),
    NearestNeighborHopping() + RashbaHopping(0.2) + OnsiteDisorder(0.5, seed=1),
    CellHopping([[1, 0, 0], [-1, 0, 0]], [BLOCK, BLOCK.conj().T], [0, 0]),
    CellHopping([[0, 0, 0]], SPINFUL[None], [0, 0]),
    MatrixHopping(random_matrix(32, 0), orbitals=2),
    MatrixHopping(random_matrix(32, 2)),
]
LEADS: list[Lead] = [
    SemiInfiniteLead(t=1.2, coupling=0.8, onsite=0.1),
    PeriodicLead(random_matrix(6, 4).toarray(), random_matrix(6, 5).toarray(), np.eye(6) * 0.5, broadening=1e-6),
]


def hamiltonian(system: SpinSystem = SYSTEM, **options: Any) -> SDHamiltonian:
    return SDHamiltonian(system, **{"hopping": ShellHopping((1.0, 0.3)), "J": 2.0} | options)


HAMILTONIANS = [
    hamiltonian(J=np.linspace(0.0, 3.0, 16)),
    hamiltonian(spin_fraction=0.4, dilution_seed=5),
    hamiltonian(hopping=random_matrix(32, 0), orbitals=2),
]
RIBBONS = SDHamiltonian(RIBBON, NearestNeighborHopping(1.1), J=1.5)
CONTACTS = ([0, 1, 2], [9, 10, 11])
SOURCES: list[FieldSource] = [
    ExactDiagonalization(hamiltonian(), kT=0.0, filling=0.3),
    ExactDiagonalization(hamiltonian(union([SYSTEM, triangular(3, 3)])), kT=0.02, n_electrons=[10, 4.5]),
    PoleExpansion(hamiltonian(), kT=0.07, filling=5 / 12, tolerance=1e-5, mu_start=-0.7),
    KernelPolynomial(hamiltonian(), kT=0.2, mu=-0.4, tolerance=1e-3, product="stencil", dtype=torch.float32),
    KernelPolynomial(
        hamiltonian(union([SYSTEM, triangular(3, 3)])), kT=0.3, filling=0.4, n_moments=(60, 90), kernel="jackson"
    ),
    KernelPolynomial(hamiltonian(), kT=0.3, n_electrons=9.0, probes="colored", n_colors=4, seed=7),
    DrivenSteadyState(RIBBONS, CONTACTS, gamma=([0.5, 1.0, 0.7], 0.4), voltage=0.6, kT=0.05, mu=0.1, bottom=-20.0),
    DrivenSteadyState(RIBBONS, CONTACTS, voltage=[0.1, -0.3], kT=0.05, mu=0.2, leads=LEADS[:1] * 2, tolerance=1e-5),
    DrivenSteadyState(
        RIBBONS, (*CONTACTS, range(12)), (1.0, 1.0, 0.05), (0.3, -0.3, 0.0), kT=0.05, method="sparse", tolerance=1e-4
    ),
]


def kind_of(one: Described) -> str:
    return type(one).kind


def again(one: Any, family: type[Described], system: SpinSystem | None = None) -> Any:
    """What is built from the description as a file gives it back."""
    return family.from_specification(json.loads(json.dumps(one.specification())), system)


def test_every_class_has_an_example() -> None:
    def kinds(examples: list[Any]) -> set[str]:
        return {type(each).kind for each in examples}

    ours = {kind for kind in HoppingRule.registry if HoppingRule.registry[kind].__module__.startswith("gnnspin.")}
    assert ours == kinds(RULES) | {"wannier90"}
    assert {kind for kind in Lead.registry if Lead.registry[kind].__module__.startswith("gnnspin.")} == kinds(LEADS)
    assert set(SDHamiltonian.registry) == kinds(HAMILTONIANS)
    solvers = {kind for kind in FieldSource.registry if "gnnspin.electrons" in FieldSource.registry[kind].__module__}
    assert solvers == kinds(SOURCES)


@pytest.mark.parametrize("rule", RULES, ids=kind_of)
def test_rules(rule: HoppingRule) -> None:
    built = again(rule, HoppingRule)
    assert type(built) is type(rule)
    assert built.specification() == rule.specification()
    assert (built.matrix(SYSTEM) != rule.matrix(SYSTEM)).nnz == 0


@pytest.mark.parametrize("lead", LEADS, ids=["semi_infinite", "periodic"])
def test_leads(lead: Lead) -> None:
    built = again(lead, Lead)
    assert built.specification() == lead.specification()
    contact, energies = torch.eye(6, dtype=torch.complex128), torch.tensor([0.3 + 0.1j, -1.0 + 0.01j])
    first, second = (one.attach(contact).self_energy(energies.to(torch.complex128)) for one in (lead, built))
    assert torch.equal(first, second)


@pytest.mark.parametrize("given", HAMILTONIANS, ids=["sites", "dilute", "matrix"])
def test_hamiltonians(given: SDHamiltonian) -> None:
    built = again(given, SDHamiltonian, SYSTEM)
    assert built.specification() == given.specification()
    assert torch.equal(built.dense(random_spins(16, seed=0)), given.dense(random_spins(16, seed=0)))


@pytest.mark.parametrize("source", SOURCES, ids=kind_of)
def test_sources(source: FieldSource) -> None:
    built = again(source, FieldSource, source.system)
    assert built.specification() == source.specification()
    spins = random_spins(source.system.n_sites, seed=0)
    assert torch.equal(built.field(spins), source.field(spins))
    if source.has_energy:
        assert torch.equal(built.energy(spins), source.energy(spins))


def test_a_wannier_model_is_stored_without_its_file(tmp_path: Any) -> None:
    path = tmp_path / "chain_hr.dat"
    rows = ["a chain", "1", "3", "1 1 1", "-1 0 0 1 1 -0.5 0.1", "0 0 0 1 1 0.2 0.0", "1 0 0 1 1 -0.5 -0.1"]
    path.write_text("\n".join(rows))
    rule = HoppingRule.recipe({"kind": "wannier90", "path": str(path), "orbital_basis": [0]}).build()
    assert isinstance(rule, Wannier90Hopping)
    path.unlink()
    built = again(rule, HoppingRule)
    assert built.specification() == rule.specification()
    assert (built.matrix(SYSTEM) != rule.matrix(SYSTEM)).nnz == 0


@pytest.mark.parametrize("rule", RULES, ids=kind_of)
def test_declared_physics_holds(rule: HoppingRule) -> None:
    built = SDHamiltonian(SYSTEM, rule, J=1.0)
    assert not rule.time_reversal or built.time_reversal
    hops = rule.hops(SYSTEM)
    assert rule.acts_on_spin or not hops.spinful or built.spin_diagonal or isinstance(rule, MatrixHopping)
    diagonal = np.asarray(built.one_body.diagonal())
    assert rule.has_onsite or not diagonal.any()
    if rule.n_shells is not None:
        lengths = np.linalg.norm(hops.vector, axis=-1)
        assert lengths.max(initial=0.0) <= [0.0, 1.0, 2**0.5][rule.n_shells] + 1e-9
    if rule.isotropic:
        quarter = np.arange(16).reshape(4, 4).T[:, ::-1].ravel()
        matrix = built.one_body.toarray()[::2, ::2]
        np.testing.assert_allclose(matrix[np.ix_(quarter, quarter)], matrix, atol=1e-12)
