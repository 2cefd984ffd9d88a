"""Time-reversed labels against the exact solver."""

import torch

import gnnspin as gs
from gnnspin.core import random_spins
from gnnspin.datasets import Label, LabelStore
from gnnspin.datasets.augmentation import time_reversed, with_time_reversed


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
