"""Labels published by other groups: an oracle must reproduce them to their own precision."""

import numpy as np
import pytest
import torch
from helpers import published, sites, unit

from gnnspin.electrons import ExactDiagonalization, SDHamiltonian
from gnnspin.systems import square


def rms(values: torch.Tensor) -> float:
    return values.square().mean().sqrt().item()


@pytest.mark.parametrize("index", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in (13, 42, 77, 99))])
def test_kondo_square_random(index):
    data = published("kondo_square_random/train.npz")
    ed = ExactDiagonalization(SDHamiltonian(square(30, 30), J=3.5), kT=0.0, n_electrons=864)
    state = ed.solve(unit(sites(data["spins"][index])))
    assert rms(state.field - torch.from_numpy(sites(data["field"][index]))) < 2e-6
    assert abs(state.energy.item() - float(data["energy"][index])) < 2e-4


@pytest.mark.parametrize("step", [20000, pytest.param(30000, marks=pytest.mark.slow)])
def test_double_exchange_square_late_quench(step):
    data = published("double_exchange_square/quench.npz")
    index = int(np.flatnonzero(data["step"] == step)[0])
    ed = ExactDiagonalization(SDHamiltonian(square(30, 30), J=6.0), kT=0.003, filling=0.485)
    state = ed.solve(unit(sites(data["spins"][index])))
    assert rms(state.field - torch.from_numpy(sites(data["field"][index]))) < 2e-5
    assert rms(state.density - torch.from_numpy(sites(data["density"][index]))) < 2e-5
