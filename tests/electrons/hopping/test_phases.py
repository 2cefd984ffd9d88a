"""Peierls phases and twisted boundaries against Hofstadter bands, gauge invariance and Bloch momenta."""

import numpy as np
import pytest

from gnnspin.core import InvalidInput
from gnnspin.electrons import (
    ExponentialHopping,
    MatrixHopping,
    NearestNeighborHopping,
    OnsiteEnergy,
    PeierlsHopping,
    RashbaHopping,
    SDHamiltonian,
    ShellHopping,
    TwistedHopping,
    chern_number,
)
from gnnspin.systems import SpinSystem, amorphous, chain, honeycomb, kagome, pyrochlore, square, triangular, union


def levels(rule, system):
    return np.linalg.eigvalsh(rule.matrix(system).toarray())


def loop_phase(matrix, sites):
    """Flux quanta through a closed path: the phase of h_12 h_23 ... h_n1, in turns, against that of -1 per hop."""
    product = np.prod([-matrix[a, b] for a, b in zip(sites, [*sites[1:], sites[0]], strict=True)])
    return np.angle(product) / (2 * np.pi)


@pytest.mark.parametrize(("p", "q"), [(1, 3), (2, 5), (-1, 4)])
def test_hofstadter_bands(p, q):
    """Harper: h(k) has diagonal -2 cos(k2 + 2 pi p n / q) and hopping -1, with exp(i q k1) around the magnetic cell."""
    shape = (q, 6)
    expected = []
    for k2 in 2 * np.pi * np.arange(6) / 6:
        matrix = np.diag(-2 * np.cos(k2 + 2 * np.pi * p * np.arange(q) / q)).astype(complex)
        for n in range(q):
            matrix[n, (n + 1) % q] -= 1
            matrix[(n + 1) % q, n] -= 1
        expected.append(np.linalg.eigvalsh(matrix))
    found = levels(PeierlsHopping(NearestNeighborHopping(), flux=p / q), square(*shape))
    np.testing.assert_allclose(found, np.sort(np.concatenate(expected)), atol=1e-12)


def test_every_plaquette_holds_the_flux_boundaries_included():
    """All plaquettes of a square and triangles of a triangular torus, clockwise and anticlockwise."""
    n1, n2 = np.indices((5, 4)).reshape(2, -1)

    def site(a, b):
        return (a % 5) * 4 + b % 4

    flux = 3 / 20
    matrix = PeierlsHopping(NearestNeighborHopping(), flux).matrix(square(5, 4)).toarray()
    slanted = PeierlsHopping(NearestNeighborHopping(), flux).matrix(triangular(5, 4)).toarray()
    for a, b in zip(n1.tolist(), n2.tolist(), strict=True):
        plaquette = [site(a, b), site(a + 1, b), site(a + 1, b + 1), site(a, b + 1)]
        turns = loop_phase(matrix, plaquette)
        assert abs(turns) == pytest.approx(flux, abs=1e-12)
        assert turns == pytest.approx(loop_phase(matrix, [site(0, 0), site(1, 0), site(1, 1), site(0, 1)]), abs=1e-12)
        assert loop_phase(matrix, plaquette[::-1]) == pytest.approx(-turns, abs=1e-12)
        up = [site(a, b), site(a + 1, b), site(a, b + 1)]
        down = [site(a + 1, b), site(a + 1, b + 1), site(a, b + 1)]
        for triangle in (up, down):
            assert loop_phase(slanted, triangle) == pytest.approx(turns / 2, abs=1e-12)


@pytest.mark.parametrize(
    ("rule", "system", "flux"),
    [
        (ShellHopping((1.0, 0.3)), triangular(4, 3), 1 / 12),
        (ShellHopping((1.0, 0.3)), kagome(3, 3), 2 / 9),
        (ShellHopping((1.0, 0.3)), pyrochlore(2, 2, 2), 1 / 4),
        (ExponentialHopping(), amorphous(15, 3.0, 0.5, seed=1), 2),
    ],
)
def test_moving_sites_by_cell_vectors_is_a_gauge_transformation(rule, system, flux):
    jumps = np.random.default_rng(0).integers(-2, 3, (system.n_sites, 3)) * np.array(system.pbc)
    moved = SpinSystem(
        system.positions + jumps @ system.cell, system.cell, system.pbc, lattice_shape=system.lattice_shape
    )
    field = PeierlsHopping(rule, flux)
    matrix = field.matrix(system).toarray()
    np.testing.assert_allclose(matrix, matrix.conj().T, atol=1e-13)
    np.testing.assert_allclose(levels(field, moved), levels(field, system), atol=1e-11)
    assert np.abs(levels(field, system) - levels(rule, system)).max() > 1e-2


def test_origin_does_not_matter_for_an_open_system():
    given = amorphous(15, 3.0, 0.5, seed=1, pbc=False)
    shifted = SpinSystem(given.positions + np.array([0.3, -0.2, 0.1]), given.cell)
    rule = PeierlsHopping(ExponentialHopping(), 1.7)
    np.testing.assert_allclose(levels(rule, shifted), levels(rule, given), atol=1e-12)


def test_landau_levels_of_an_open_flake_do_not_depend_on_the_shape_of_the_cell():
    positions = square(6, 6, pbc=False).positions
    flakes = [SpinSystem(positions, cell) for cell in (np.diag([4.0, 2, 1]), [[2.0, 0, 0], [3, 4, 0], [0, 0, 1]])]
    found = [levels(PeierlsHopping(NearestNeighborHopping(), 8 * 0.07), flake) for flake in flakes]
    np.testing.assert_allclose(found[0], found[1], atol=1e-12)


def test_flux_through_a_torus_is_an_integer():
    with pytest.raises(InvalidInput, match=r"flux=0.1 puts 1.6 flux quanta.*multiple of 1/16"):
        PeierlsHopping(NearestNeighborHopping(), 0.1).matrix(square(4, 4))
    with pytest.raises(InvalidInput, match="flux=nan"):
        PeierlsHopping(NearestNeighborHopping(), float("nan"))
    cylinder = square(4, 4, pbc=(True, False))
    assert np.ptp(levels(PeierlsHopping(NearestNeighborHopping(), 0.1), cylinder)) > 1


@pytest.mark.parametrize(("p", "q", "chern"), [(1, 3, 1), (-1, 3, -1), (1, 4, 1), (2, 5, -2)])
def test_hofstadter_gap_obeys_the_diophantine_equation(p, q, chern):
    """One band below the gap: 1 = q s + p C (Thouless et al. 1982); both spin directions count."""
    hamiltonian = SDHamiltonian(square(q, 1), PeierlsHopping(NearestNeighborHopping(), p / q), J=0.0)
    spins = np.tile([0.0, 0, 1], (q, 1))
    reference = SDHamiltonian(square(3, 1), PeierlsHopping(NearestNeighborHopping(), 1 / 3), J=0.0)
    sign = np.sign(chern_number(reference, spins[:3], 2))
    assert chern_number(hamiltonian, spins, 2) == 2 * sign * chern


@pytest.mark.parametrize("kind", [chain, square, triangular, honeycomb])
def test_twists_are_crystal_momenta(kind):
    """Levels of a long system are those of one cell over all twists allowed by its length."""
    dimension = 1 if kind is chain else 2
    large = kind(*[4] * dimension)
    found = []
    for n in np.ndindex(*[2] * dimension):
        phases = tuple(np.pad(np.pi * np.array(n, dtype=float), (0, 3 - dimension)))
        found.append(levels(TwistedHopping(ShellHopping((1.0, 0.2)), phases), kind(*[2] * dimension)))
    np.testing.assert_allclose(np.sort(np.concatenate(found)), levels(ShellHopping((1.0, 0.2)), large), atol=1e-12)


def test_twisted_chain_in_closed_form():
    found = levels(TwistedHopping(NearestNeighborHopping(), (0.7, 0, 0)), chain(5))
    np.testing.assert_allclose(found, np.sort(-2 * np.cos((2 * np.pi * np.arange(5) + 0.7) / 5)), atol=1e-12)


def test_twist_and_field_together_and_with_spin():
    rule = TwistedHopping(PeierlsHopping(NearestNeighborHopping() + RashbaHopping(0.3), 1 / 4), (0.3, 0.4, 0))
    hamiltonian = SDHamiltonian(union([square(4, 3), square(2, 2)]), rule, J=1.0)
    assert not hamiltonian.spin_diagonal
    assert not hamiltonian.time_reversal
    assert len(hamiltonian.parts) == 2
    field_only = SDHamiltonian(square(4, 3), PeierlsHopping(NearestNeighborHopping(), 1 / 4), J=1.0)
    assert not field_only.time_reversal
    assert SDHamiltonian(square(4, 3), RashbaHopping(0.3), J=1.0).time_reversal


def test_bad_phases():
    with pytest.raises(InvalidInput, match="three finite numbers"):
        TwistedHopping(NearestNeighborHopping(), (0.1, 0.2))
    with pytest.raises(InvalidInput, match="open boundary"):
        TwistedHopping(NearestNeighborHopping(), (0.1, 0, 0)).matrix(chain(4, pbc=False))


def test_a_matrix_takes_no_phases():
    """It does not say which image an amplitude joins: on small cells several images add up in one."""
    matrix = MatrixHopping(NearestNeighborHopping().matrix(square(2, 2)))
    for wrapped in (
        lambda: PeierlsHopping(matrix, 0.5),
        lambda: TwistedHopping(matrix + OnsiteEnergy([0.0] * 4), (1, 0, 0)),
    ):
        with pytest.raises(InvalidInput, match=r"which periodic image.*CellHopping"):
            wrapped()
