"""Curie temperature of the simple-cubic Heisenberg ferromagnet from crossings of the Binder cumulant."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from gnnspin.classical import Heisenberg
from gnnspin.sampling.sampler import sample
from gnnspin.sampling.updates import HeatBath
from gnnspin.systems import simple_cubic

#: Holm, Janke, Phys. Rev. B 48, 936 (1993), doi:10.1103/PhysRevB.48.936: J / kT_c = 0.6930(1), and the cumulant there,
#: 0.6217(8).
EXACT_KT, EXACT_CUMULANT = 1.4430, 0.6217
TEMPERATURES = np.linspace(1.39, 1.49, 5)


def square_magnetization(state):
    return state.spins.mean(-2).square().sum(-1)


def cumulants(length: int, copies: int, n_sweeps: int) -> tuple[np.ndarray, np.ndarray]:
    """Binder cumulants ``1 - <m^4> / 3 <m^2>^2`` (T,) and their errors, from independent copies."""
    system = simple_cubic(length, length, length)
    source = Heisenberg(system, J=1.0)
    bath = HeatBath(source, TEMPERATURES, overrelaxation=2, cutoff=1.01, seed=length)
    up = torch.tensor([0.0, 0.0, 1.0]).expand(copies, len(TEMPERATURES), system.n_sites, 3)
    start = sample(bath, up, n_sweeps=100).state
    square = sample(bath, start, n_sweeps=n_sweeps, observers=[square_magnetization]).observables
    moments = np.stack([square["square_magnetization"] ** k for k in (1, 2)]).mean(1).astype(float)
    second, fourth = moments
    whole = 1 - fourth.mean(0) / (3 * second.mean(0) ** 2)
    left_out = [1 - np.delete(fourth, k, 0).mean(0) / (3 * np.delete(second, k, 0).mean(0) ** 2) for k in range(copies)]
    return whole, np.sqrt((copies - 1) * np.var(left_out, axis=0))


@pytest.mark.slow
def test_binder_cumulants_cross_at_the_curie_temperature():
    lines = {}
    for length, copies, n_sweeps in ((6, 24, 1200), (8, 20, 1000), (12, 10, 800)):
        values, errors = cumulants(length, copies, n_sweeps)
        assert errors.max() < 0.01
        assert (np.diff(values) < 3 * errors[1:]).all()
        lines[length] = np.polyfit(TEMPERATURES - EXACT_KT, values, 2, w=1 / errors)
    for small, large in itertools.combinations(lines, 2):
        roots = np.roots(lines[small] - lines[large])
        crossing = roots[np.abs(roots).argmin()].real
        assert abs(crossing) < 0.01 * EXACT_KT
        assert np.polyval(lines[small], crossing) == pytest.approx(EXACT_CUMULANT, abs=0.015)
