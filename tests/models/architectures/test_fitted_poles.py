"""Fitted poles: exact derivatives, the physics of the whole Hamiltonian, and what labels have to record."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch

import gnnspin as gs
from gnnspin.core import InvalidInput, StoreError, random_spins
from gnnspin.datasets import Label, LabelStore
from gnnspin.electrons import ExactDiagonalization, SDHamiltonian
from gnnspin.training import TrainingConfig, evaluate, fit
from gnnspin.training.job import ModelConfig

SYSTEM = gs.systems.triangular(6, 6)
FIXED = {"mu": {"mu": -3.2}, "filling": {"filling": 0.25}}


def labels(path: Path, fixed: dict[str, float], count: int = 6, seed: int = 0, J: float = 3.0) -> LabelStore:
    source = ExactDiagonalization(SDHamiltonian(SYSTEM, J=J), 0.1, **fixed)
    record = {"hamiltonian": source.hamiltonian.specification(), "solver": source.specification()}
    record["solver"].pop("hamiltonian")
    store = LabelStore.create(path)
    for k in range(count):
        spins = random_spins(36, seed=100 * seed + k)
        state = source.solve(spins)
        store.append(Label(SYSTEM, spins, state.field, energy=float(state.energy), provenance=record))
    return store


def fitted(tmp_path: Path, fixed: dict[str, float], poles: int) -> gs.ForceField:
    train = labels(tmp_path / "train.h5", fixed)
    model = ModelConfig(name="fitted_poles", cutoff=1.0, hyperparameters={"poles": poles}).build(SYSTEM, train)
    result = fit(model, train, train, TrainingConfig(), directory=tmp_path / "fit", progress=False)
    return result.force_field


@pytest.mark.parametrize(("fixed", "poles"), [("mu", 2), ("filling", 3)])
def test_learned_from_few_labels_it_is_good_on_others(tmp_path: Path, fixed: str, poles: int) -> None:
    """Torques of other states within some per cent; so are those of another size of the lattice."""
    field = fitted(tmp_path, FIXED[fixed], poles)
    test = labels(tmp_path / "test.h5", FIXED[fixed], seed=1)
    found = evaluate(field, test)
    assert found.torque_rmse < 0.06 * found.torque_rms
    larger = gs.systems.triangular(8, 8)
    exact = ExactDiagonalization(SDHamiltonian(larger, J=3.0), 0.1, **FIXED[fixed])
    spins = random_spins(64, replicas=(2,), seed=3)
    wrong = field.on(larger).torque(spins) - exact.torque(spins)
    assert float(wrong.square().mean() / exact.torque(spins).square().mean()) < 0.1**2


@pytest.mark.parametrize("fixed", ["mu", "filling"])
def test_the_field_is_the_gradient_of_the_energy(tmp_path: Path, fixed: str) -> None:
    field = fitted(tmp_path, FIXED[fixed], 3).to(dtype=torch.float64)
    spins, step = random_spins(36, seed=9, dtype=torch.float64), 1e-4
    exact = field.field(spins)
    for site in (0, 17):
        turned = torch.linalg.cross(spins[site], torch.tensor([0.3, -0.5, 0.8], dtype=torch.float64))
        turned = turned / turned.norm()
        ends = []
        for angle in (step, -step):
            moved = spins.clone()
            moved[site] = math.cos(angle) * spins[site] + math.sin(angle) * turned
            ends.append(field.energy(moved))
        slope = float(ends[0] - ends[1]) / (2 * step)
        assert slope == pytest.approx(-float(exact[site] @ turned), abs=2e-3 * float(exact.norm(dim=-1).mean()))


def test_the_number_of_electrons_is_held(tmp_path: Path) -> None:
    """At fixed filling Tr r(H - mu) is the number, for every replica by itself, wherever the search begins."""
    field = fitted(tmp_path, FIXED["filling"], 3).to(dtype=torch.float64)
    (part,), occupation = field.data.parts, field.model.occupation
    spins = random_spins(36, replicas=(3,), seed=5, dtype=torch.float64)
    results = [
        part.solve(spins, occupation, torch.full((3,), start, dtype=torch.float64), 18.0)
        for start in (-4.0, -3.0, -1.0)
    ]
    for state in results:
        for one, mu in zip(spins, state.mu.tolist(), strict=True):
            levels = torch.linalg.eigvalsh(part.hamiltonian.dense(one)).numpy()
            assert float(occupation.function()(levels - mu).sum()) == pytest.approx(18.0, abs=0.02)
        assert torch.allclose(state.field, results[0].field, atol=0.02 * float(results[0].field.std()))
        assert torch.allclose(state.energy, results[0].energy, atol=1e-3)


def test_parts_of_a_union_are_solved_one_by_one(tmp_path: Path) -> None:
    field = fitted(tmp_path, FIXED["filling"], 3)
    both = gs.systems.union([SYSTEM, gs.systems.triangular(4, 6)])
    spins = random_spins(60, replicas=(2,), seed=2)
    joined = field.on(both)
    assert torch.allclose(joined.field(spins)[:, :36], field.field(spins[:, :36]), atol=1e-5)
    assert joined.energy(spins).shape == (2, 2)
    assert torch.allclose(joined.energy(spins)[:, 0], field.energy(spins[:, :36]), atol=1e-3)


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    field = fitted(tmp_path, FIXED["mu"], 2)
    again = gs.load(gs.save(field, tmp_path / "model.safetensors"), SYSTEM)
    spins = random_spins(36, seed=4)
    assert torch.equal(again.field(spins), field.field(spins))
    assert torch.equal(again.energy(spins), field.energy(spins))


def test_spin_orbit_terms_leave_out_symmetries(tmp_path: Path) -> None:
    """What the Hamiltonian lacks is found from the labels and not claimed."""
    rashba = gs.electrons.SumHopping([gs.electrons.NearestNeighborHopping(), gs.electrons.RashbaHopping(0.4)])
    source = ExactDiagonalization(SDHamiltonian(SYSTEM, rashba, J=2.0), 0.1, mu=-2.0)
    record = {"hamiltonian": source.hamiltonian.specification(), "solver": {"kT": 0.1, "mu": -2.0}}
    record["solver"]["kind"] = "exact_diagonalization"
    store = LabelStore.create(tmp_path / "rashba.h5")
    for k in range(4):
        spins = random_spins(36, seed=k)
        store.append(Label(SYSTEM, spins, source.field(spins), provenance=record))
    model = ModelConfig(name="fitted_poles", cutoff=1.0, hyperparameters={"poles": 3}).build(SYSTEM, store)
    assert "spin_rotation" not in model.symmetries
    assert {"time_reversal", "translation"} <= model.symmetries
    model.start_from(store)
    found = evaluate(gs.ForceField(model, SYSTEM), store)
    assert found.torque_rmse < 0.05 * found.torque_rms


@pytest.mark.parametrize(
    ("hamiltonian", "lacking"),
    [
        ({"J": 1.0}, set()),
        ({"J": [1.0] * 36}, {"translation", "point_group", "mirrors", "space_rotation"}),
        (
            {"hopping": {"kind": "peierls", "hopping": {"kind": "nearest_neighbor"}, "flux": 1 / 6}, "J": 1.0},
            {"time_reversal", "translation", "point_group", "mirrors", "space_rotation"},
        ),
        (
            {"hopping": {"kind": "rashba", "strength": 0.3}, "J": 1.0},
            {"spin_rotation", "point_group", "mirrors", "space_rotation"},
        ),
    ],
)
def test_what_the_hopping_lacks_is_not_claimed(hamiltonian: dict[str, Any], lacking: set[str]) -> None:
    """Also without labels that say what the Hamiltonian breaks."""
    model = gs.models.for_system("fitted_poles", SYSTEM, 1.0, hamiltonian=hamiltonian, kT=0.1, mu=0.0)
    assert gs.models.base.SYMMETRIES - model.symmetries == lacking


def test_states_without_a_torque_do_not_count(tmp_path: Path) -> None:
    """A ferromagnet among the labels changes nothing; alone it is refused."""
    source = ExactDiagonalization(SDHamiltonian(SYSTEM, J=3.0), 0.1, mu=-3.2)
    train = labels(tmp_path / "train.h5", FIXED["mu"])
    calm = LabelStore.create(tmp_path / "calm.h5")
    spins = torch.zeros(36, 3, dtype=torch.float64)
    spins[:, 2] = 1.0
    calm.append(Label(SYSTEM, spins, source.field(spins), provenance=train[0].provenance))
    fits = []
    for chosen in (train, gs.datasets.JoinedLabels([train, calm])):
        model = ModelConfig(name="fitted_poles", cutoff=1.0, hyperparameters={"poles": 2}).build(SYSTEM, train)
        model.start_from(chosen)
        fits.append(model.poles.detach())
    assert torch.allclose(fits[0], fits[1], rtol=1e-3)
    with pytest.raises(InvalidInput, match="no torque"):
        model.start_from(calm)


@pytest.mark.parametrize(("fixed", "poles"), [("mu", 2), ("filling", 3)])
def test_error_bars_hold_and_are_kept(tmp_path: Path, fixed: str, poles: int) -> None:
    """From the covariance of the weights; on other states about as often as they say; the same from a file."""
    field = fitted(tmp_path, FIXED[fixed], poles)
    gs.force_fields.calibrate(field, labels(tmp_path / "calibration.h5", FIXED[fixed], count=12, seed=2))
    test = labels(tmp_path / "test.h5", FIXED[fixed], count=12, seed=3)
    found = gs.force_fields.coverage(field, test, levels=(0.9,))
    assert 0.82 < found.shares[0] < 0.96
    spins = test[0].spins
    torque, radius = field.torque_with_error_bar(spins, 0.9)
    assert torch.allclose(torque, field.torque(spins), atol=1e-6)
    again = gs.load(gs.save(field, tmp_path / "model.safetensors"), SYSTEM)
    assert torch.equal(again.torque_with_error_bar(spins, 0.9)[1], radius)
    turned = spins @ gs.core.random_rotation(1).T
    assert torch.allclose(field.torque_with_error_bar(turned, 0.9)[1], radius, rtol=1e-3)


@pytest.mark.parametrize("fixed", ["mu", "filling"])
def test_fields_are_the_sum_of_their_weights_columns(tmp_path: Path, fixed: str) -> None:
    """Torque = J w: the columns of error bars are those of the field, at the mu of its last evaluation."""
    field = fitted(tmp_path, FIXED[fixed], 3).to(dtype=torch.float64)
    spins = random_spins(36, replicas=(2,), seed=8, dtype=torch.float64)
    found, columns = field.model.fields_and_columns(field.data, spins)
    weights = torch.view_as_real(field.model.occupation.weights).flatten()
    assert columns.shape == (2, 36, 3, 6)
    assert torch.allclose(columns @ weights, found, atol=(1e-12 if fixed == "mu" else 0.02) * float(found.abs().max()))


def test_resumed_it_is_what_it_was(tmp_path: Path) -> None:
    """A training that is gone on with after its end leaves the fitted model, not a new one."""
    train = labels(tmp_path / "train.h5", FIXED["mu"])
    fields = []
    for resume in (False, True):
        model = ModelConfig(name="fitted_poles", cutoff=1.0).build(SYSTEM, train)
        result = fit(model, train, train, directory=tmp_path / "fit", resume=resume, progress=False)
        fields.append(result.force_field.field(train[0].spins))
    assert torch.equal(*fields)


@pytest.mark.parametrize(
    ("system", "J", "filling"),
    [(gs.systems.square(6, 6), 6.0, 0.5), (gs.systems.triangular(6, 6), 6.0, 0.5), (gs.systems.chain(24), 3.0, 0.5)],
    ids=["square", "triangular", "chain"],
)
def test_insulators_keep_one_chemical_potential_in_their_gap(
    tmp_path: Path, system: gs.systems.SpinSystem, J: float, filling: float
) -> None:
    """At half filling the exchange opens a gap in which any mu holds the number: nothing is searched for."""
    source = ExactDiagonalization(SDHamiltonian(system, J=J), 0.02, filling=filling)
    record = {"hamiltonian": {"J": J}, "solver": {"kT": 0.02, "filling": filling}}
    store = LabelStore.create(tmp_path / "labels.h5")
    for k in range(8):
        spins = random_spins(system.n_sites, seed=k)
        state = source.solve(spins)
        store.append(Label(system, spins, state.field, energy=float(state.energy), provenance=record))
    model = ModelConfig(name="fitted_poles", cutoff=1.0, hyperparameters={"poles": 3}).build(system, store)
    model.start_from(store[:6])
    field = gs.ForceField(model, system)
    assert float(model.mu_range[0]) == float(model.mu_range[1])
    test = evaluate(field, store.subset([6, 7]))
    assert test.torque_rmse < 0.02 * test.torque_rms
    gap = float(field.energy(store[6].spins) - field.energy(store[7].spins)) - (store[6].energy - store[7].energy)
    assert abs(gap) < 0.02 * system.n_sites


def test_the_search_begins_where_the_fitted_states_had_their_chemical_potentials(tmp_path: Path) -> None:
    """Whatever the polynomial in the alignment says of states unlike those."""
    field = fitted(tmp_path, FIXED["filling"], 3)
    model, spins = field.model, random_spins(36, replicas=(2,), seed=5)
    low, high = model.mu_range.tolist()
    assert -6 < low < high < -1
    model.mu_of_alignment.fill_(50.0)
    assert (model.start_of_mu(field.data.parts[0], spins) - high).abs().max() < 1e-6


def test_copies_are_made_before_and_after_the_first_field(tmp_path: Path) -> None:
    larger = gs.systems.triangular(12, 12)
    field, spins = fitted(tmp_path, FIXED["mu"], 2).on(larger), random_spins(144, seed=0)
    expected = field.field(spins)
    assert torch.equal(copy.deepcopy(field).field(spins), expected)


class TestBadInput:
    def test_no_hamiltonian(self) -> None:
        with pytest.raises(InvalidInput, match="needs hamiltonian, kT, mu or filling"):
            gs.models.for_system("fitted_poles", SYSTEM, 1.0)

    def test_labels_that_record_none(self, tmp_path: Path) -> None:
        store = LabelStore.create(tmp_path / "bare.h5")
        store.append(Label(SYSTEM, random_spins(36, seed=0), torch.ones(36, 3)))
        with pytest.raises(InvalidInput, match="do not record it"):
            ModelConfig(name="fitted_poles", cutoff=1.0).build(SYSTEM, store)

    def test_what_is_given_is_not_asked_of_the_labels(self, tmp_path: Path) -> None:
        """Labels from elsewhere may record anything, or nothing."""
        store = LabelStore.create(tmp_path / "bare.h5")
        provenance = {"hamiltonian": {"t": 1.0}, "solver": {"kT": 0.0, "n_electrons": 18.0}}
        store.append(Label(SYSTEM, random_spins(36, seed=0), torch.ones(36, 3), provenance=provenance))
        values = {"hamiltonian": {"J": 3.0}, "kT": 0.1, "filling": 0.25}
        model = ModelConfig(name="fitted_poles", cutoff=1.0, hyperparameters=values).build(SYSTEM, store)
        assert (model.hyperparameters.filling, model.hyperparameters.kT) == (0.25, 0.1)

    def test_labels_of_several_hamiltonians(self, tmp_path: Path) -> None:
        several = gs.datasets.JoinedLabels(
            [labels(tmp_path / f"{J}.h5", FIXED["mu"], count=1, J=J) for J in (2.0, 3.0)]
        )
        with pytest.raises(InvalidInput, match="2 different"):
            ModelConfig(name="fitted_poles", cutoff=1.0).build(SYSTEM, several)

    def test_labels_of_driven_electrons(self, tmp_path: Path) -> None:
        store = LabelStore.create(tmp_path / "driven.h5")
        solver = {"kind": "driven_steady_state", "contacts": ["left", "right"], "voltage": 1.0, "kT": 0.1, "mu": 0.0}
        provenance = {"hamiltonian": {"J": 3.0}, "solver": solver}
        store.append(Label(SYSTEM, random_spins(36, seed=0), torch.ones(36, 3), provenance=provenance))
        with pytest.raises(InvalidInput, match="in equilibrium"):
            ModelConfig(name="fitted_poles", cutoff=1.0).build(SYSTEM, store)

    @pytest.mark.parametrize(("change", "message"), [({"mu": -1.0}, "mu=-1"), ({"hamiltonian": {"J": 2.0}}, "J=2")])
    def test_other_electrons_than_those_of_the_labels(
        self, tmp_path: Path, change: dict[str, Any], message: str
    ) -> None:
        train = labels(tmp_path / "train.h5", FIXED["mu"], count=2)
        values = {"hamiltonian": {"J": 3.0}, "kT": 0.1, "mu": -3.2} | change
        model = gs.models.for_system("fitted_poles", SYSTEM, 1.0, **values)
        with pytest.raises(InvalidInput, match=message):
            model.start_from(train)

    def test_hot_electrons_are_fitted(self, tmp_path: Path) -> None:
        """A temperature of the width of the band leaves no room for a ladder of poles, and one pole does."""
        chain = gs.systems.chain(24)
        source = ExactDiagonalization(SDHamiltonian(chain, J=1.0), 1.0, mu=0.5)
        spins = random_spins(24, replicas=(4,), seed=0)
        record = {"hamiltonian": {"J": 1.0}, "solver": {"kT": 1.0, "mu": 0.5}}
        store = LabelStore.create(tmp_path / "hot.h5")
        for each in spins:
            store.append(Label(chain, each, source.field(each), provenance=record))
        model = ModelConfig(name="fitted_poles", cutoff=1.0).build(chain, store)
        model.start_from(store)
        found = evaluate(gs.ForceField(model, chain), store)
        assert found.torque_rmse < 0.01 * found.torque_rms

    def test_mu_and_filling(self) -> None:
        with pytest.raises(InvalidInput, match="both given"):
            gs.models.for_system("fitted_poles", SYSTEM, 1.0, hamiltonian={"J": 1.0}, kT=0.1, mu=0.0, filling=0.5)

    def test_no_gradient_of_its_weights(self, tmp_path: Path) -> None:
        field = fitted(tmp_path, FIXED["mu"], 1)
        with pytest.raises(InvalidInput, match="solved for"):
            field.model.energies_and_fields(field.data, random_spins(36, replicas=(1,), seed=0), create_graph=True)

    def test_a_family(self) -> None:
        with pytest.raises(InvalidInput, match="one Hamiltonian"):
            gs.models.for_system("family", SYSTEM, 1.0, model="fitted_poles", conditions={"J": (1.0, 2.0)})

    def test_a_symmetry_that_there_is_not(self) -> None:
        with pytest.raises(InvalidInput, match="known: mirrors"):
            gs.models.for_system("fitted_poles", SYSTEM, 1.0, hamiltonian={"J": 1.0}, kT=0.1, mu=0.0, broken=("foo",))

    def test_labels_at_zero_temperature(self, tmp_path: Path) -> None:
        store = LabelStore.create(tmp_path / "cold.h5")
        provenance = {"hamiltonian": {"J": 3.0}, "solver": {"kT": 0.0, "mu": 0.0}}
        store.append(Label(SYSTEM, random_spins(36, seed=0), torch.ones(36, 3), provenance=provenance))
        with pytest.raises(InvalidInput, match="kT=0; give"):
            ModelConfig(name="fitted_poles", cutoff=1.0).build(SYSTEM, store)

    def test_no_windows(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInput):
            fitted(tmp_path, FIXED["mu"], 1).tile(9)

    def test_a_second_training_in_the_same_folder(self, tmp_path: Path) -> None:
        fitted(tmp_path, FIXED["mu"], 1)
        train = LabelStore(tmp_path / "train.h5")
        model = ModelConfig(name="fitted_poles", cutoff=1.0).build(SYSTEM, train)
        with pytest.raises(StoreError):
            fit(model, train, train, TrainingConfig(), directory=tmp_path / "fit", progress=False)
