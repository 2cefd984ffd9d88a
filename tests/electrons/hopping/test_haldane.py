"""Haldane's model: bands, Chern number, and what flux without a field breaks."""

from __future__ import annotations

import numpy as np
import pytest

import gnnspin as gs
from gnnspin.core import InvalidInput
from gnnspin.electrons.hopping.haldane import HaldaneHopping


def test_levels_are_those_of_the_bands() -> None:
    """E(k) = -2 t2 cos(phi) sum cos(k.b) +- sqrt(|t f|^2 + (2 t2 sin(phi) sum sin(k.b))^2), Haldane's eq. 1-2."""
    system, t2, phase = gs.systems.honeycomb(6, 6), 0.15, 0.4
    rule = gs.electrons.NearestNeighborHopping(1.0) + HaldaneHopping(t2, phase)
    levels = np.linalg.eigvalsh(rule.matrix(system).toarray())
    basis, cell = system.positions[:2], system.primitive_vectors
    distances = [basis[1] - basis[0] + n1 * cell[0] + n2 * cell[1] for n1 in (-1, 0, 1) for n2 in (-1, 0, 1)]
    nearest = sorted(distances, key=lambda d: float(np.linalg.norm(d)))[:3]
    angle = [np.arctan2(d[1], d[0]) for d in nearest]
    a = [nearest[k] for k in np.argsort(angle)]
    b = [a[1] - a[2], a[2] - a[0], a[0] - a[1]]
    fractions = np.stack(np.meshgrid(np.arange(6), np.arange(6), indexing="ij"), -1).reshape(-1, 2) / 6
    k = 2 * np.pi * fractions @ np.linalg.inv(cell)[:, :2].T
    off = -sum(np.exp(1j * k @ d) for d in a)
    even, odd = sum(np.cos(k @ d) for d in b), sum(np.sin(k @ d) for d in b)
    split = np.sqrt(abs(off) ** 2 + (2 * t2 * np.sin(phase) * odd) ** 2)
    bands = -2 * t2 * np.cos(phase) * even
    assert np.allclose(levels, np.sort(np.concatenate([bands - split, bands + split])), atol=1e-12)


@pytest.mark.parametrize(("phase", "mass", "chern"), [(0.5, 0.8, 2), (0.5, 1.2, 0)])
def test_phase_diagram_of_the_half_filled_lattice(phase: float, mass: float, chern: int) -> None:
    """|C| is 1 for each spin up to a staggered energy 3 sqrt(3) t2 sin(phase), and changes sign with the phase."""
    t2 = 0.15
    system = gs.systems.honeycomb(2, 2)
    staggered = mass * 3 * np.sqrt(3) * t2 * np.sin(abs(phase)) * (-1.0) ** system.basis_index
    found = []
    for sign in (1, -1):
        hopping = gs.electrons.NearestNeighborHopping(1.0) + HaldaneHopping(t2, sign * phase)
        hopping = hopping + gs.electrons.OnsiteEnergy(tuple(staggered))
        hamiltonian = gs.electrons.SDHamiltonian(system, hopping, J=0.0)
        found.append(gs.electrons.chern_number(hamiltonian, gs.core.random_spins(8, seed=0), n_occupied=8, grid=8))
    assert abs(found[0]) == chern
    assert found[1] == -found[0]


def test_flux_without_a_field_breaks_time_reversal_and_mirrors_but_not_their_product() -> None:
    system = gs.systems.honeycomb(3, 3)
    hopping = gs.electrons.NearestNeighborHopping(1.0) + HaldaneHopping(0.15)
    hamiltonian = gs.electrons.SDHamiltonian(system, hopping, J=1.0)
    source = gs.electrons.ExactDiagonalization(hamiltonian, kT=0.1, mu=0.0)
    assert gs.analysis.source_symmetries(source).broken == {"time_reversal", "mirrors", "mirrors_with_spins"}


@pytest.mark.parametrize("lattice", [gs.systems.square, gs.systems.triangular])
def test_ways_that_turn_both_left_and_right_give_no_phase(lattice: object) -> None:
    system = lattice(5, 5)  # type: ignore[operator]
    matrix = HaldaneHopping(0.3, 0.7).matrix(system)
    assert abs(matrix - gs.electrons.ShellHopping((0.0, 0.3)).matrix(system)).max() < 1e-12


def test_the_axis_turns_left_into_right() -> None:
    system = gs.systems.honeycomb(4, 4)
    above, below = (HaldaneHopping(0.2, 0.6, (0.0, 0.0, z)).matrix(system) for z in (1.0, -1.0))
    assert abs(above - below.conj()).max() < 1e-14
    with pytest.raises(InvalidInput, match="axis"):
        HaldaneHopping(0.2, axis=(0.0, 0.0, 0.0))
    with pytest.raises(InvalidInput, match="t2"):
        HaldaneHopping(float("nan"))
