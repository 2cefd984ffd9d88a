"""Files written by the previous version load, evaluate and resume."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

import gnnspin as gs
from gnnspin.core import FieldSource, InvalidInput, random_spins
from gnnspin.dynamics import Ramp, resume
from gnnspin.dynamics.protocols import protocol_from
from gnnspin.electrons.hopping.wannier import CellHopping
from gnnspin.trajectories import Trajectory

OLD = Path(__file__).parent / "data" / "old"
REFERENCE = json.loads((OLD / "reference.json").read_text())
SYSTEM = gs.systems.square(4, 4)
#: Rounding of another processor or number of threads, in the precision of the source: zero on one machine.
TOLERANCE = {"spin_cluster_expansion": 1e-6, "moment_network": 1e-6, "exact_sum": 1e-12, "learned": 1e-6}
OBSERVERS = {"exact_sum": {"m": lambda state: gs.observables.magnetization(state.spins)}, "learned": None}


def test_labels_read_and_hold_the_fields_of_their_hamiltonian() -> None:
    store = gs.datasets.LabelStore(OLD / "labels.h5")
    assert [float(label.field.abs().sum()) for label in store] == REFERENCE["label_fields_sum"]
    hamiltonian = gs.electrons.SDHamiltonian(SYSTEM, gs.electrons.ShellHopping((1.0, 0.3)), J=2.0)
    oracle = gs.electrons.ExactDiagonalization(hamiltonian, kT=0.1, filling=0.5)
    for label in store:
        energy, field = oracle.energy_and_field(label.spins)
        torch.testing.assert_close(field, label.field, atol=1e-10, rtol=0)
        assert float(energy) == pytest.approx(label.energy, abs=1e-10)


@pytest.mark.parametrize(("name", "key"), [("spin_cluster_expansion", "field1"), ("moment_network", "field2")])
def test_models_load_with_the_same_fields(name: str, key: str) -> None:
    force_field = gs.load(OLD / f"{name}.safetensors", SYSTEM)
    expected = torch.tensor(REFERENCE[key], dtype=torch.float64)
    torch.testing.assert_close(force_field.field(random_spins(16, seed=9)), expected, atol=TOLERANCE[name], rtol=0)


@pytest.mark.parametrize("name", ["exact_sum", "learned"])
def test_trajectories_resume_bit_for_bit_from_the_file_alone(name: str, tmp_path: Path) -> None:
    path = Path(shutil.copy(OLD / f"{name}.h5", tmp_path))
    with Trajectory(path) as trajectory:
        source = trajectory.rebuild_source()
        assert source.system.fingerprint == trajectory.system.fingerprint
    run = resume(path, n_steps=4, observers=OBSERVERS[name])
    assert run.state.step == 10
    expected = torch.tensor(REFERENCE[name], dtype=torch.float64)
    torch.testing.assert_close(run.spins, expected, atol=TOLERANCE[name], rtol=0)
    again = Path(shutil.copy(OLD / f"{name}.h5", tmp_path / "given.h5"))
    assert torch.equal(resume(again, source, n_steps=4, observers=OBSERVERS[name]).spins, run.spins)


def bare_matrix(amplitude: float = 1.0, J: float = 2.0) -> gs.electrons.ExactDiagonalization:
    matrix = gs.electrons.NearestNeighborHopping(t=amplitude).matrix(SYSTEM)
    hamiltonian = gs.electrons.SDHamiltonian(SYSTEM, matrix, J=J)
    return gs.electrons.ExactDiagonalization(hamiltonian, kT=0.1, mu=-0.5)


def unit_cell(amplitude: float = 1.0) -> gs.electrons.ExactDiagonalization:
    neighbours = [[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]]
    rule = CellHopping(neighbours, np.full((4, 1, 1), -amplitude), orbital_basis=[0])
    return gs.electrons.ExactDiagonalization(gs.electrons.SDHamiltonian(SYSTEM, rule, J=2.0), kT=0.1, mu=-0.5)


@pytest.mark.parametrize(("name", "source"), [("matrix", bare_matrix), ("cell", unit_cell)])
def test_hopping_stored_as_a_hash_is_compared_with_the_source_that_is_given(
    name: str, source: Callable[..., FieldSource], tmp_path: Path
) -> None:
    """Version 0.1 wrote no more of bare matrices and of cell Hamiltonians."""
    path = tmp_path / "old.h5"
    shutil.copy(OLD / "matrix.h5", path)
    if name == "cell":
        with h5py.File(path, "r+", libver="latest") as file:
            described = json.loads(file.attrs["source"])
            described["hamiltonian"]["hopping"] = REFERENCE["cell_hopping"]
            file.attrs["source"] = json.dumps(described)
    with pytest.raises(InvalidInput, match=rf"hopping \({name}\) as a hash only.*give the source"):
        resume(path, n_steps=2)
    with pytest.raises(InvalidInput, match=r"hopping of kind .* with the hash .*the source has none"):
        resume(path, source(1.1), n_steps=2)
    with pytest.raises(InvalidInput, match=r"hamiltonian\.J \(2.5, stored 2.0\)"):
        resume(shutil.copy(OLD / "matrix.h5", tmp_path / "other.h5"), bare_matrix(J=2.5), n_steps=2)
    run = resume(path, source(), n_steps=2)
    assert run.state.step == 6
    whole = gs.dynamics.simulate(source(), random_spins(16, seed=0), dt=0.1, n_steps=6, damping=0.1, seed=3, kT=0.01)
    torch.testing.assert_close(run.spins, whole.spins, atol=1e-12, rtol=0)


def test_a_temperature_protocol_is_the_stored_one() -> None:
    with Trajectory(OLD / "exact_sum.h5") as trajectory:
        assert protocol_from(trajectory.settings["kT"]) == Ramp(0.1, 0.05, 1.0)
