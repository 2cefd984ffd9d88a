"""Reversal of the handedness of tetrahedral order under exact electrons and under the learned field."""

from __future__ import annotations

import pytest
import torch

import gnnspin as gs
from gnnspin.core.spins import normalize
from gnnspin.sampling import MinimumEnergyPath, elastic_band, geodesic_path, minimum_modes

SYSTEM = gs.systems.triangular(6, 6)
ORDER = torch.as_tensor(gs.observables.reference_order("tetrahedral", SYSTEM), dtype=torch.float64)
MIRRORED, COPLANAR = (normalize(ORDER * torch.tensor([1.0, 1.0, z], dtype=torch.float64)) for z in (-1.0, 0.0))
SOURCES = {
    "exact": gs.electrons.PoleExpansion(gs.electrons.SDHamiltonian(SYSTEM, J=3.0), kT=0.01, mu=-3.2, tolerance=1e-4),
    "learned": gs.load("pretrained:tetrahedral_poles", SYSTEM).to(dtype=torch.float64),
}


def reversal(name: str) -> MinimumEnergyPath:
    return elastic_band(SOURCES[name], geodesic_path(ORDER, MIRRORED, 7, noise=0.02), tolerance=1e-3)


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_small_lattices_reverse_through_the_coplanar_state(name: str) -> None:
    """The path goes over the coplanar state, which has one unstable mode, and is as high from either handedness."""
    source, path = SOURCES[name], reversal(name)
    assert path.converged
    assert path.barrier == pytest.approx(float(source.energy(COPLANAR) - source.energy(ORDER)), rel=1e-3)
    assert path.reverse_barrier == pytest.approx(path.barrier, rel=1e-6)
    unstable = minimum_modes(source, COPLANAR, 2).eigenvalues
    assert unstable[0] < -0.01
    assert unstable[1] > -1e-6


def test_the_learned_barrier_of_the_smallest_reversal_is_within_a_tenth() -> None:
    exact, learned = (reversal(name).barrier for name in ("exact", "learned"))
    assert learned == pytest.approx(exact, rel=0.1)
