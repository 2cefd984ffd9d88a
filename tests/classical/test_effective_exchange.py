"""Couplings read off a source: known models exactly, the triangular half-filled s-d model physically."""

import numpy as np
import pytest
import torch
from helpers import ordered

import gnnspin as gs
from gnnspin.classical import (
    Biquadratic,
    DzyaloshinskiiMoriya,
    FourSpin,
    Heisenberg,
    RingExchange,
    UniaxialAnisotropy,
    Zeeman,
    effective_exchange,
    shell_bond_list,
)
from gnnspin.core import InvalidInput, NoEnergyError, random_spins
from gnnspin.electrons import ExactDiagonalization, SDHamiltonian
from gnnspin.systems import amorphous, chain, square, triangular, union


def coupling_matrix(system, shells):
    """Symmetric (N, N) matrix of shell couplings, images added."""
    matrix, bonds = np.zeros((system.n_sites,) * 2), shell_bond_list(system, len(shells))
    for (i, j), shell in zip(bonds.pairs, bonds.shell, strict=True):
        matrix[i, j] += shells[shell]
        matrix[j, i] += shells[shell]
    return torch.from_numpy(matrix)


@pytest.mark.parametrize("system", [triangular(4, 5), amorphous(15, 4.0, 0.5, seed=0)], ids=["lattice", "packing"])
@pytest.mark.parametrize("step", [0.05, 0.4])
def test_heisenberg_and_biquadratic_are_recovered_exactly_at_any_step(system, step):
    """The on-site terms must not enter."""
    source = Heisenberg(system, J=[1.0, -0.3]) + Biquadratic(system, B=[0.25, 0.1])
    source = source + Zeeman(system, [0.1, 0.2, 0.3]) + UniaxialAnisotropy(system, K=0.4)
    found = effective_exchange(source, random_spins(system.n_sites, seed=0), step=step)
    exact = coupling_matrix(system, [1.0, -0.3]), coupling_matrix(system, [0.25, 0.1])
    torch.testing.assert_close(found.J, exact[0], atol=1e-10, rtol=0)
    torch.testing.assert_close(found.B, exact[1], atol=1e-10, rtol=0)
    assert float(found.residual.max()) < 1e-11


@pytest.mark.parametrize("order", ["ferromagnet", "neel"])
def test_collinear_reference_gives_the_slope_and_the_antisymmetric_exchange(order):
    system = square(4, 4)
    source = Heisenberg(system, J=0.7) + Biquadratic(system, B=0.2)
    vectors = 0.3 * np.ones((32, 1)) * [[0.5, 0.2, 1.0]]
    bonds = shell_bond_list(system)
    source = source + DzyaloshinskiiMoriya(system, vectors, bonds=bonds.pairs)
    found = effective_exchange(source, ordered(system, order), sites=[5])
    sign = 1 if order == "ferromagnet" else -1
    neighbors = coupling_matrix(system, [1.0])[5]
    torch.testing.assert_close(found.slope[0], (0.7 + sign * 2 * 0.2) * neighbors, atol=1e-12, rtol=0)
    assert bool(found.B[0][torch.arange(16) != 5].isnan().all())
    direction = torch.zeros(16, dtype=torch.float64)
    for i, j in bonds.pairs:
        if 5 in (i, j):
            direction[j if i == 5 else i] += 1 if i == 5 else -1
    spin = ordered(system, order)[5, 2]
    torch.testing.assert_close(found.D[0], 0.3 * direction * spin, atol=1e-12, rtol=0)


def test_hessian_equals_second_differences_of_the_energy():
    """An independent path: no fields, one source with many-spin interactions."""
    system, spins = square(3, 3, pbc=False), random_spins(9, seed=1)
    source = ExactDiagonalization(SDHamiltonian(system, J=2.0), kT=0.1, mu=-0.5)
    found = effective_exchange(source, spins, sites=[4])
    step = 1e-3
    for j in (1, 8):
        normal = torch.linalg.cross(spins[4], spins[j])
        normal = normal / normal.norm()
        moved = spins.repeat(2, 2, 1, 1)
        for a, first in enumerate((step, -step)):
            for b, second in enumerate((step, -step)):
                moved[a, b, 4] = np.cos(first) * spins[4] + np.sin(first) * normal
                moved[a, b, j] = np.cos(second) * spins[j] + np.sin(second) * normal
        energy = source.energy(moved)
        mixed = (energy[0, 0] - energy[0, 1] - energy[1, 0] + energy[1, 1]) / (4 * step**2)
        assert float(normal @ found.hessian[0, j] @ normal) == pytest.approx(float(mixed), abs=1e-6)
        assert float(-found.slope[0, j]) == pytest.approx(float(mixed), abs=1e-6)


def test_four_spin_couplings_are_recovered():
    """K_0 (ij)(kl) + K_1 (ik)(jl) + K_2 (il)(jk), also where a ring exchange puts all three on one plaquette."""
    system, spins = triangular(4, 4), random_spins(16, seed=0)
    source = (
        Heisenberg(system) + Biquadratic(system, B=0.3) + FourSpin(system, [[0, 1, 5, 4], [0, 5, 1, 4]], [0.4, -0.2])
    )
    quadruples = [[0, 1, 5, 4], [0, 1, 9, 11]]
    found = effective_exchange(source, spins, sites=[0], quadruples=quadruples)
    exact = torch.tensor([[0.4, -0.2, 0.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(found.K, exact, atol=1e-9, rtol=0)
    ring = effective_exchange(source + RingExchange(system, K=0.1), spins, sites=[0], quadruples=quadruples[:1]).K
    torch.testing.assert_close(
        ring, exact[:1] + torch.tensor([[-0.1, 0.1, -0.1]], dtype=torch.float64), atol=1e-9, rtol=0
    )


def test_half_filled_triangular_magnet_has_antiferromagnetic_exchange():
    """120-degree state, J = 6: six equal antiferromagnetic neighbours, below t^2 / 2J = 1/12, others far weaker."""
    system = triangular(12, 12)
    source = ExactDiagonalization(SDHamiltonian(system, J=6.0), kT=0.002, filling=0.5)
    found = effective_exchange(source, ordered(system, "120"), sites=[0])
    neighbors = coupling_matrix(system, [1.0])[0] > 0
    exchange = found.J[0, neighbors]
    assert float(exchange.std()) < 1e-9
    assert -1 / 12 < float(exchange.mean()) < -0.05
    assert float(found.J[0, ~neighbors].abs().max()) < 0.05 * float(exchange.mean().abs())
    assert float(found.B[0, neighbors].abs().max()) < 0.05 * float(exchange.mean().abs())


def test_strong_coupling_limit_of_the_exchange():
    """Second-order perturbation theory at half filling: J_ij = -t^2 / (2 J), corrections of order (t / J)^2."""
    system, errors = triangular(3, 3), []
    for J in (20.0, 40.0):
        source = ExactDiagonalization(SDHamiltonian(system, J=J), kT=0.002, filling=0.5)
        found = effective_exchange(source, random_spins(9, seed=0), sites=[0])
        neighbors = coupling_matrix(system, [1.0])[0]
        ratio = found.slope[0] * (2 * J) / neighbors
        errors.append(float((ratio[neighbors > 0] + 1).abs().max()))
    assert errors[1] < 0.03
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.15)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"sites": [16]}, "sites"),
        ({"step": 0.0}, "step"),
        ({"quadruples": [[0, 1, 2, 2]]}, "different"),
        ({"reference_spins": random_spins(16, replicas=(2,), seed=0)}, "one configuration"),
    ],
)
def test_errors(options, match):
    options = {"reference_spins": random_spins(16, seed=0), **options}
    with pytest.raises(InvalidInput, match=match):
        effective_exchange(Heisenberg(square(4, 4)), **options)
    with pytest.raises(InvalidInput, match="union"):
        effective_exchange(Heisenberg(union([chain(2), chain(2)])), random_spins(4, seed=0))


def test_a_field_without_energy_has_no_couplings() -> None:
    system = gs.systems.square(4, 4)
    source = gs.ForceField(gs.models.for_system("nonconservative", system, 1.1, head="vectors"), system)
    with pytest.raises(NoEnergyError, match="not a gradient"):
        effective_exchange(source, random_spins(16, seed=0))
