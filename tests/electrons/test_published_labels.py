"""Labels published by other groups: an oracle must reproduce them to their own precision."""

import numpy as np
import pytest
import torch
from helpers import published, sites, unit

from gnnspin.electrons import ExactDiagonalization, SDHamiltonian
from gnnspin.systems import square


def rms(values: torch.Tensor) -> float:
    return values.square().mean().sqrt().item()


def kondo_errors(index: int) -> tuple[torch.Tensor, float]:
    """Field and energy minus the published ones; these energies are float32, in steps of 2.4e-4."""
    data = published("kondo_square_random/train.npz")
    ed = ExactDiagonalization(SDHamiltonian(square(30, 30), J=3.5), kT=0.0, n_electrons=864)
    state = ed.solve(unit(sites(data["spins"][index])))
    return state.field - torch.from_numpy(sites(data["field"][index])), state.energy.item() - float(
        data["energy"][index]
    )


@pytest.mark.slow
def test_kondo_square_random():
    field, energy = kondo_errors(0)
    assert rms(field) < 2e-6
    assert abs(energy) < 5e-4


@pytest.mark.slow
def test_kondo_square_random_together():
    errors = [kondo_errors(index) for index in (13, 42, 77, 99)]
    assert rms(torch.stack([field for field, _ in errors])) < 2e-6
    assert max(abs(energy) for _, energy in errors) < 5e-4


@pytest.mark.parametrize("step", [pytest.param(step, marks=pytest.mark.slow) for step in (20000, 30000)])
def test_double_exchange_square_late_quench(step):
    data = published("double_exchange_square/quench.npz")
    index = int(np.flatnonzero(data["step"] == step)[0])
    ed = ExactDiagonalization(SDHamiltonian(square(30, 30), J=6.0), kT=0.003, filling=0.485)
    state = ed.solve(unit(sites(data["spins"][index])))
    assert rms(state.field - torch.from_numpy(sites(data["field"][index]))) < 2e-5
    assert rms(state.density - torch.from_numpy(sites(data["density"][index]))) < 2e-5
