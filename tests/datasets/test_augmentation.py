"""Time-reversed labels against the exact solver; copies stay together."""

import pytest
import torch

import gnnspin as gs
from gnnspin.core import InvalidInput, random_spins
from gnnspin.datasets import Label, LabelStore, holdout, k_folds
from gnnspin.datasets.augmentation import spin_rotated, time_reversed, with_time_reversed


def label(system: gs.systems.SpinSystem, spins: torch.Tensor) -> Label:
    hamiltonian = gs.electrons.SDHamiltonian(system, gs.electrons.NearestNeighborHopping(t=1.0), J=3.0)
    state = gs.electrons.ExactDiagonalization(hamiltonian, kT=0.05, mu=-1.0).solve(spins)
    return Label(system, spins, state.field, energy=float(state.energy), density=state.density)


def test_time_reversed_labels_are_what_the_solver_gives(tmp_path) -> None:
    store = LabelStore.create(tmp_path / "labels.h5")
    systems = [gs.systems.square(4, 4), gs.systems.triangular(4, 4)]
    for seed, system in enumerate([*systems, systems[0]]):
        store.append(label(system, random_spins(16, seed=seed)))
    both = with_time_reversed(store)
    assert len(both) == 6
    assert both.systems == store.systems
    assert torch.equal(both[2].field, store[2].field)
    for k, reversed_label in enumerate(time_reversed(store)):
        exact = label(store[k].system, -store[k].spins)
        assert torch.equal(reversed_label.spins, exact.spins)
        assert torch.allclose(reversed_label.field, exact.field, atol=1e-9)
        assert abs(reversed_label.energy - exact.energy) < 1e-9
        assert torch.equal(both[3 + k].field, reversed_label.field)
    stacked = both.stacked(both.by_system()[systems[0]])
    assert torch.equal(stacked.spins, torch.stack([both[k].spins for k in (0, 2, 3, 5)]))
    assert torch.equal(stacked.torque[:2], stacked.torque[2:])
    assert torch.equal(stacked.energy[:2], stacked.energy[2:])


@pytest.mark.parametrize("augmented", [with_time_reversed, spin_rotated])
def test_copies_are_not_divided(tmp_path, augmented) -> None:
    """A copy of a training label among those held out would pass for a new one."""
    store = LabelStore.create(tmp_path / "labels.h5")
    system = gs.systems.square(4, 4)
    for seed in range(4):
        spins = random_spins(16, seed=seed)
        store.append(Label(system, spins, spins))
    for split in (lambda labels: holdout(labels, 0.3), lambda labels: k_folds(labels, 2)):
        with pytest.raises(InvalidInput, match="split the labels first"):
            split(augmented(store))
