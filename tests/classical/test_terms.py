"""Classical terms: closed forms, gradients and the second implementation of the protocol."""

import json

import numpy as np
import pytest
import torch
from helpers import gradient_error, ordered

from gnnspin.classical import ClassicalTerm, Heisenberg, Zeeman
from gnnspin.core import InvalidInput, random_rotation, random_spins
from gnnspin.systems import SpinSystem, amorphous, chain, honeycomb, simple_cubic, square, triangular, union

SYSTEMS = {
    "chain": chain(7),
    "open square": square(4, 5, pbc=False),
    "ring of two": chain(2),
    "single column": triangular(1, 4),
    "honeycomb": honeycomb(3, 3),
    "amorphous": amorphous(20, 4.0, 0.5, seed=0),
}


@pytest.mark.parametrize(
    ("system", "bonds_per_site"),
    [(chain(8), 1), (square(4, 6), 2), (triangular(3, 6), 3), (honeycomb(3, 4), 1.5), (simple_cubic(3, 4, 5), 3)],
)
def test_ferromagnet_counts_each_bond_once(system, bonds_per_site):
    up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(system.n_sites, 3)
    energy = Heisenberg(system, J=0.7).energy(up).item()
    assert energy == pytest.approx(-0.7 * bonds_per_site * system.n_sites, abs=1e-12)


def test_shells_of_ordered_states():
    """Square Neel: +2 J1 - 2 J2 - 2 J3 per site; triangular 120 degrees: +1.5 J1 - 3 J2."""
    neel = square(6, 6)
    energy = Heisenberg(neel, J=[1.0, 0.3, 0.1]).energy(ordered(neel, "neel")).item()
    assert energy / 36 == pytest.approx(2 * 1.0 - 2 * 0.3 - 2 * 0.1, abs=1e-12)
    lattice = triangular(6, 6)
    energy = Heisenberg(lattice, J=[1.0, 0.3]).energy(ordered(lattice, "120")).item()
    assert energy / 36 == pytest.approx(1.5 - 3 * 0.3, abs=1e-12)


@pytest.mark.parametrize("name", SYSTEMS)
def test_field_is_the_gradient(name):
    system = SYSTEMS[name]
    spins = random_spins(system.n_sites, seed=1)
    source = Heisenberg(system, J=[1.0, -0.4]) + Zeeman(system, B=[0.1, -0.2, 0.3])
    assert gradient_error(source, spins) < 1e-9


@pytest.mark.parametrize("name", SYSTEMS)
def test_closed_field_equals_autograd(name):
    system = SYSTEMS[name]
    spins = random_spins(system.n_sites, replicas=(2,), seed=1)
    exchange = Heisenberg(system, J=[1.0, -0.4])
    torch.testing.assert_close(exchange.fields(spins), ClassicalTerm.fields(exchange, spins), atol=1e-13, rtol=0)


def test_exchange_is_invariant_under_rotation_and_exerts_no_total_torque():
    source, spins, rotation = Heisenberg(square(4, 4)), random_spins(16, seed=0), random_rotation(1)
    torch.testing.assert_close(source.field(spins @ rotation.T), source.field(spins) @ rotation.T)
    assert source.torque(spins).abs().max() > 0.1
    torch.testing.assert_close(source.torque(spins).sum(0), torch.zeros(3, dtype=torch.float64), atol=1e-12, rtol=0)


def test_union_equals_its_parts():
    parts = [chain(5), triangular(3, 4), SpinSystem([[0, 0, 0]])]
    joined, spins = union(parts), random_spins(18, replicas=(3,), seed=0)
    source = Heisenberg(joined, J=[1.0, 0.5]) + Zeeman(joined, B=[0, 0, 0.2])
    energy, field = source.energy_and_field(spins)
    assert energy.shape == (3, 3)
    for k, (part, piece) in enumerate(zip(parts, spins.split([5, 12, 1], dim=1), strict=True)):
        alone = Heisenberg(part, J=[1.0, 0.5]) + Zeeman(part, B=[0, 0, 0.2])
        torch.testing.assert_close(energy[:, k], alone.energy(piece))
        torch.testing.assert_close(field[:, torch.from_numpy(joined.graph_index == k)], alone.field(piece))


def test_shells_reach_beyond_a_short_ring_and_end_with_an_open_chain():
    """On one site every neighbour is its own image: shell n adds -J_n. An open chain of 3 has two shells."""
    spin = random_spins(1, seed=0)
    assert Heisenberg(chain(1), J=[1.0] * 12).energy(spin).item() == pytest.approx(-12, abs=1e-12)
    up = torch.tensor([0.0, 0.0, 1.0]).expand(3, 3)
    assert Heisenberg(chain(3, pbc=False), J=[1.0, 10.0, 100.0]).energy(up).item() == pytest.approx(-12, abs=1e-12)


def test_isolated_spins_do_not_interact():
    lonely = SpinSystem([[0, 0, 0]])
    assert not Heisenberg(lonely, J=[1.0, 2.0]).field(random_spins(1, seed=0)).any()


def test_batch_equals_single_and_single_precision_is_returned():
    source, spins = Heisenberg(square(4, 4)), random_spins(16, replicas=(2, 3), seed=0)
    assert source.field(spins)[1, 2].equal(source.field(spins[1, 2]))
    assert source.energy(spins).shape == (2, 3)
    assert source.field(spins.float()).dtype == torch.float32
    assert source.energy(spins.float()).dtype == torch.float64


def test_specification_and_errors():
    system = square(3, 3)
    specification = (Heisenberg(system, J=[1.0, 2.0]) + Zeeman(system, B=np.array([0, 0, 1.0]))).specification()
    assert json.loads(json.dumps(specification)) == specification
    for J in ([], float("nan"), [[1.0]]):
        with pytest.raises(InvalidInput, match="J="):
            Heisenberg(system, J=J)
    for B in ([1.0, 2.0], [0, 0, float("inf")]):
        with pytest.raises(InvalidInput, match="B="):
            Zeeman(system, B=B)
