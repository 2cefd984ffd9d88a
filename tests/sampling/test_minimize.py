"""Ground states of closed form, found from random spins."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from helpers import ordered
from sources import Paramagnet

import gnnspin as gs
from gnnspin.classical import CubicAnisotropy, DzyaloshinskiiMoriya, Heisenberg, UniaxialAnisotropy, Zeeman
from gnnspin.core import FieldSource, InvalidInput, NoEnergyError, random_spins
from gnnspin.sampling.minimize import inner, minimize, moved_along, transported
from gnnspin.systems import chain, simple_cubic, square, triangular, union


@pytest.mark.parametrize(
    ("system", "J", "energy"),
    [
        (square(12, 12), 1.0, -2.0),
        (square(12, 12), -1.0, -2.0),
        (triangular(12, 12), -1.0, -1.5),
        (simple_cubic(6, 6, 6), 1.0, -3.0),
    ],
    ids=["ferromagnet", "Neel", "120 degrees", "cubic"],
)
def test_exchange_alone_reaches_its_ground_state(system, J, energy):
    source = Heisenberg(system, J=J)
    result = minimize(source, random_spins(system.n_sites, replicas=(3,), seed=0), tolerance=1e-9)
    assert result.converged.all()
    best = float(result.energy.min()) / system.n_sites
    assert best == pytest.approx(energy, abs=1e-12)
    assert (source.torque(result.spins).norm(dim=-1).amax(-1) <= 1e-9 * (1 + 1e-6)).all()
    assert result.iterations < 200


@pytest.mark.parametrize("field", [0.0, 0.05, 0.3])
def test_cone_of_a_chiral_chain_in_a_field(field):
    """E/N = -Q - B^2 / 4(Q - J), Q^2 = J^2 + D^2, cos(theta) = B / 2(Q - J): D along the chain, turn -atan(D/J)."""
    n_sites, turns, J = 24, 3, 1.0
    D = J * math.tan(2 * math.pi * turns / n_sites)
    Q = math.hypot(J, D)
    system = chain(n_sites)
    source = Heisenberg(system, J=J) + DzyaloshinskiiMoriya(system, D, "bulk") + Zeeman(system, [field, 0, 0])
    result = minimize(source, random_spins(n_sites, replicas=(12,), seed=2), tolerance=1e-10)
    assert result.converged.all()
    best = int(result.energy.argmin())
    assert float(result.energy[best]) / n_sites == pytest.approx(-Q - field**2 / (4 * (Q - J)), abs=1e-12)
    spins = result.spins[best].numpy()
    np.testing.assert_allclose(spins[:, 0], field / (2 * (Q - J)), atol=1e-8)
    phase = np.arctan2(spins[:, 2], spins[:, 1])
    turn = np.angle(np.exp(1j * np.diff(phase)))
    np.testing.assert_allclose(turn, -math.atan(D / J), atol=1e-7)


def test_tilted_antiferromagnet_in_a_field():
    """Square lattice, J = -1: the sublattices tilt to cos(theta) = B / 8, E/N = -2 - B^2 / 16."""
    system = square(6, 6)
    source = Heisenberg(system, J=-1.0) + Zeeman(system, [0, 0, 2.0])
    result = minimize(source, random_spins(36, replicas=(3,), seed=1), tolerance=1e-10)
    assert float(result.energy.min()) / 36 == pytest.approx(-2 - 4 / 16, abs=1e-12)
    np.testing.assert_allclose(result.spins[int(result.energy.argmin()), :, 2], 2 / 8, atol=1e-8)


def test_energy_never_rises_and_history_is_complete():
    system = square(8, 8)
    source = Heisenberg(system, J=[1.0, -0.6]) + CubicAnisotropy(system, 0.3) + UniaxialAnisotropy(system, 0.2)
    result = minimize(source, random_spins(64, replicas=(2, 2), seed=3))
    assert result.energies.shape == result.torques.shape == (result.iterations + 1, 2, 2)
    assert (np.diff(result.energies, axis=0) <= 1e-12 * np.abs(result.energies[:-1])).all()
    np.testing.assert_allclose(result.energies[-1], result.energy)
    np.testing.assert_allclose(result.torques[-1], result.torque)
    assert result.converged.all()
    assert result.evaluations < 3 * result.iterations


def test_pinned_ends_twist_a_long_chain():
    """The twist spreads evenly; the condition number of the chain is about 4 (N / pi)^2, 1500."""
    n_sites = 60
    source = Heisenberg(chain(n_sites, pbc=False), J=1.0)
    start = random_spins(n_sites, seed=0)
    start[[0, -1]] = torch.tensor([[1.0, 0, 0], [math.cos(2.0), math.sin(2.0), 0]], dtype=torch.float64)
    pinned = torch.zeros(n_sites, dtype=torch.bool)
    pinned[[0, -1]] = True
    result = minimize(source, start, pinned=pinned, tolerance=1e-10)
    assert result.converged
    assert result.iterations < 800
    torch.testing.assert_close(result.spins[[0, -1]], start[[0, -1]], atol=1e-15, rtol=0)
    assert result.energy.item() == pytest.approx(-(n_sites - 1) * math.cos(2.0 / (n_sites - 1)), abs=1e-9)


def test_replica_alone_equals_the_same_replica_in_a_batch():
    source, spins = Heisenberg(triangular(6, 6), J=-1.0), random_spins(36, replicas=(4,), seed=5)
    batch = minimize(source, spins, max_iterations=10)
    alone = minimize(source, spins[2], max_iterations=10)
    torch.testing.assert_close(alone.spins, batch.spins[2], atol=1e-10, rtol=0)
    assert alone.energy.shape == ()


def test_single_precision_and_unions():
    parts = [square(4, 4), chain(6)]
    source = Heisenberg(union(parts), J=1.0)
    result = minimize(source, random_spins(22, replicas=(2,), seed=0, dtype=torch.float32), tolerance=1e-4)
    assert result.spins.dtype == torch.float32
    assert result.converged.all()
    torch.testing.assert_close(result.energy, torch.tensor([[-32.0, -6.0]] * 2, dtype=torch.float64), atol=1e-5, rtol=0)


def test_minimum_of_the_electrons_is_below_the_start():
    system = gs.systems.square(4, 4)
    h = gs.electrons.SDHamiltonian(system, hopping=gs.electrons.NearestNeighborHopping(t=1.0), J=6.0)
    source = gs.electrons.ExactDiagonalization(h, kT=0.1, filling=0.5)
    result = minimize(source, random_spins(16, replicas=(2,), seed=0), tolerance=1e-6)
    neel = source.energy(ordered(system, "neel"))
    assert result.converged.all()
    assert float(result.energy.min()) == pytest.approx(float(neel), abs=1e-9)


def test_starting_at_the_minimum_does_nothing_and_running_out_is_reported():
    source = Heisenberg(square(4, 4))
    up = torch.tensor([0.0, 0, 1]).double().expand(16, 3)
    result = minimize(source, up)
    assert result.converged
    assert (result.iterations, result.evaluations) == (0, 1)
    short = minimize(source, random_spins(16, seed=0), max_iterations=2)
    assert not short.converged
    assert short.iterations == 2


def test_parallel_transport_is_isometric_and_geodesics_close():
    spins, a, b = (random_spins(5, replicas=(2,), seed=k).movedim(-1, 0) for k in range(3))
    a, b = (v - (v * spins).sum(0) * spins for v in (a, b))
    end = moved_along(spins, a)
    carried = transported(b, spins, a)
    torch.testing.assert_close((end * carried).sum(0), torch.zeros(2, 5).double(), atol=1e-14, rtol=0)
    torch.testing.assert_close(inner(carried, transported(a, spins, a)), inner(b, a))
    torch.testing.assert_close(moved_along(end, -transported(a, spins, a)), spins)


class Driven(Paramagnet):
    has_energy = False


@pytest.mark.parametrize(
    ("options", "message"),
    [({"tolerance": 0.0}, "tolerance=0.0"), ({"memory": 0}, "memory=0"), ({"pinned": [True, False]}, "pinned has")],
)
def test_bad_input(options, message):
    with pytest.raises(InvalidInput, match=message):
        minimize(Heisenberg(chain(4)), random_spins(4, seed=0), **options)


def test_source_without_energy_is_refused():
    source: FieldSource = Driven(4, 1.0)
    with pytest.raises(NoEnergyError):
        minimize(source, random_spins(4, seed=0))
