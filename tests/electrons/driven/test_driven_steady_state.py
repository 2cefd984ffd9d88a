"""Driven steady state: quadrature, limits, conservation laws, Landauer currents, published labels."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from helpers import published, sites, unit
from scipy import sparse
from scipy.integrate import quad_vec

from gnnspin.core import InvalidInput, NoEnergyError, random_rotation, random_spins
from gnnspin.electrons import ExactDiagonalization, SDHamiltonian
from gnnspin.electrons.driven.driven_steady_state import DrivenSteadyState
from gnnspin.electrons.driven.leads import PeriodicLead, SemiInfiniteLead
from gnnspin.systems import chain, square, union

RIBBON = square(4, 3, pbc=(False, True))
HAMILTONIAN = SDHamiltonian(RIBBON, J=1.5)
LEFT, RIGHT = [0, 1, 2], [9, 10, 11]
SPINS = random_spins(12, seed=0)


def driven(**options):
    options = {"contacts": (LEFT, RIGHT), "kT": 0.05, "mu": -0.4, **options}
    return DrivenSteadyState(options.pop("hamiltonian", HAMILTONIAN), **options)


def densities(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Density and spin of 2x2 blocks (M, 2, 2) of the density matrix."""
    spin = [2 * blocks[:, 1, 0].real, 2 * blocks[:, 1, 0].imag, (blocks[:, 0, 0] - blocks[:, 1, 1]).real]
    return (blocks[:, 0, 0] + blocks[:, 1, 1]).real, np.stack(spin, 1)


def integrated(source: DrivenSteadyState, spins: torch.Tensor) -> tuple[np.ndarray, np.ndarray, float]:
    """Density, spin and left current by adaptive quadrature of f G Gamma G+ over the whole real axis, tail included."""
    matrix, widths = source.hamiltonian.dense(spins).numpy(), source._widths.numpy()
    damped, size = matrix - 0.5j * np.diag(widths.sum(0)), len(matrix)
    left, right = source.potentials

    def fermi(energy: float, mu: float) -> float:
        return 0.5 * (1 - math.tanh((energy - mu) / (2 * source.kT))) if source.kT else float(energy < mu)

    def integrand(energy: float) -> np.ndarray:
        green = np.linalg.inv(energy * np.eye(size) - damped)
        filled = widths[0] * fermi(energy, left) + widths[1] * fermi(energy, right)
        rows = green.reshape(-1, 2, size)
        blocks = np.einsum("iaj,j,ibj->iab", rows, filled, rows.conj())
        passed = np.einsum("i,ij,j,ij->", widths[0], green, widths[1], green.conj()).real
        flow = passed * (fermi(energy, left) - fermi(energy, right))
        return np.concatenate([blocks.real.ravel(), blocks.imag.ravel(), [flow]]) / (2 * math.pi)

    lowest = -12.0 if source.bottom is None else source.bottom
    cuts = sorted({lowest, 6.0, 12.0, left, right, *(e for e in np.linalg.eigvalsh(matrix) if e > lowest)})
    total = sum(quad_vec(integrand, a, b, epsabs=1e-11, epsrel=0)[0] for a, b in pairwise(cuts))
    if source.bottom is None:
        total = total + quad_vec(lambda u: integrand(-1 / u) / u**2, 1e-12, 1 / 12, epsabs=1e-11, epsrel=0)[0]
    real, imaginary = total[:-1].reshape(2, -1, 2, 2)
    return *densities(real + 1j * imaginary), total[-1]


@pytest.mark.parametrize("kT", [0.05, 0.0])
@pytest.mark.parametrize(("voltage", "bottom"), [(0.0, None), (0.7, None), (0.7, -3.0)])
def test_closed_form_equals_adaptive_quadrature(kT, voltage, bottom):
    source = driven(gamma=(1.0, [0.5, 0.0, 2.0]), voltage=voltage, kT=kT, bottom=bottom)
    state = source.solve(SPINS)
    density, spin, current = integrated(source, SPINS)
    assert np.abs(state.density.numpy() - density).max() < 1e-8
    assert np.abs(state.spin_density.numpy() - spin).max() < 1e-8
    assert abs(float(state.currents[0]) - current) < 1e-8
    torch.testing.assert_close(state.field, 1.5 * state.spin_density)


def test_zero_voltage_equals_matsubara_sum_of_the_same_contacts():
    """The density matrix is 1/2 + kT sum over Matsubara frequencies of G(mu + i w); the tail is extrapolated."""
    source = driven(gamma=0.8, kT=0.2)
    matrix = HAMILTONIAN.dense(SPINS).numpy()
    half_width = 0.5 * np.diag(source._widths.numpy().sum(0))
    sums = []
    for n_frequencies in (1000, 2000, 4000):
        frequencies = math.pi * 0.2 * (2 * np.arange(n_frequencies) + 1)
        inverse = (source.mu + 1j * frequencies)[:, None, None] * np.eye(24) - matrix + 1j * half_width
        green = np.linalg.inv(inverse).sum(0)
        sums.append(0.2 * (green + green.conj().T))
    # partial sums converge as c/n for the occupation and faster for the spin: Richardson in 1/n
    once = [2 * sums[1] - sums[0], 2 * sums[2] - sums[1]]
    rho = 0.5 * np.eye(24) + (4 * once[1] - once[0]) / 3
    density, spin = densities(np.stack([rho[2 * m : 2 * m + 2, 2 * m : 2 * m + 2] for m in range(12)]))
    state = source.solve(SPINS)
    assert np.abs(state.spin_density.numpy() - spin).max() < 1e-8
    assert np.abs(state.density.numpy() - density).max() < 1e-6


@pytest.mark.parametrize("kT", [0.05, 0.0])
def test_vanishing_coupling_gives_exact_diagonalisation_linearly(kT):
    exact = ExactDiagonalization(HAMILTONIAN, kT=kT, mu=-0.4).field(SPINS)
    errors = [float((driven(gamma=g, kT=kT).field(SPINS) - exact).abs().max()) for g in (0.02, 0.01, 0.005, 1e-9)]
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.05)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.05)
    assert errors[0] > 1e-4
    assert errors[3] < 1e-9


def test_weakly_coupled_level_between_unequal_leads_is_filled_in_proportion_to_the_widths():
    """One level inside the bias window: n = Gamma_L / (Gamma_L + Gamma_R) per spin, also for widths near rounding."""
    dot = SDHamiltonian(chain(1, pbc=False), J=0.0)
    for scale in (1e-3, 1e-8):
        source = DrivenSteadyState(dot, ([0], [0]), gamma=(3 * scale, scale), voltage=1.0, kT=0.001)
        state = source.solve(random_spins(1, seed=0))
        assert float(state.density[0]) == pytest.approx(2 * 0.75, abs=max(3 * scale, 1e-7))
        assert float(state.currents[0]) / scale == pytest.approx(2 * 0.75, rel=0.01)


def test_levels_without_contact_are_filled_with_the_mean_of_the_leads():
    """Sites 1 and 2 of four isolated sites touch no lead; theirs is the mean occupation, finite at kT = 0."""
    isolated = SDHamiltonian(chain(4, pbc=False), sparse.csr_array((4, 4)), J=0.3)
    source = DrivenSteadyState(isolated, ([0], [3]), gamma=0.1, voltage=0.8, kT=0.0)
    state = source.solve(random_spins(4, seed=0))
    torch.testing.assert_close(state.density[1:3], torch.ones(2, dtype=torch.float64))
    assert float(state.spin_density[1:3].norm(dim=1).max()) < 1e-12
    assert bool(torch.isfinite(state.field).all())


def test_exceptional_point_is_smooth():
    """Two sites, hopping -t, loss on one: h - i Gamma/2 is defective at Gamma = 4 t."""
    pair = SDHamiltonian(chain(2, pbc=False), J=0.0)
    spins = random_spins(2, seed=0)

    def density(gamma: float) -> torch.Tensor:
        return DrivenSteadyState(pair, ([0], [1]), gamma=(gamma + 0.5, 0.5), voltage=1.0, kT=0.1).solve(spins).density

    middle = (density(4.0 - 1e-3) + density(4.0 + 1e-3)) / 2
    torch.testing.assert_close(density(4.0), middle, atol=1e-6, rtol=0)
    torch.testing.assert_close(density(4.0), (density(4.0 - 1e-5) + density(4.0 + 1e-5)) / 2, atol=1e-9, rtol=0)


@pytest.mark.parametrize("leads", ["wide_band", SemiInfiniteLead()])
def test_total_torque_vanishes_in_equilibrium_only_and_currents_are_conserved(leads):
    rest = driven(leads=leads).solve(SPINS)
    assert float(torch.linalg.cross(SPINS, rest.field).sum(0).norm()) < 1e-8
    assert not rest.currents.any()
    biased = driven(leads=leads, voltage=0.7).solve(SPINS)
    assert float(torch.linalg.cross(SPINS, biased.field).sum(0).norm()) > 1e-3
    assert float(biased.currents[0]) > 1e-3
    assert abs(float(biased.currents.sum())) < 1e-12


@pytest.mark.parametrize("leads", ["wide_band", SemiInfiniteLead()])
def test_spin_reversal_and_rotation(leads):
    """H(-S) = -H(S) in equilibrium and not under bias; rotating all spins rotates the field."""
    rest, biased = driven(leads=leads), driven(leads=leads, voltage=0.7)
    torch.testing.assert_close(rest.field(-SPINS), -rest.field(SPINS), atol=1e-8, rtol=0)
    assert float((biased.field(-SPINS) + biased.field(SPINS)).norm(dim=1).max()) > 1e-3
    rotation = random_rotation(1)
    torch.testing.assert_close(biased.field(SPINS @ rotation.T), biased.field(SPINS) @ rotation.T, atol=1e-8, rtol=0)


def test_field_is_a_gradient_without_bias_and_not_with_it():
    """Curl: the tangential derivatives of H_i by S_j and of H_j by S_i are transposes of each other, or not."""

    def asymmetry(voltage: float) -> float:
        source = driven(voltage=voltage)
        moved = SPINS.repeat(2, 2, 3, 1, 1)
        step = 1e-4
        for number, site in enumerate((1, 7)):
            for axis in range(3):
                moved[0, number, axis, site, axis] += step
                moved[1, number, axis, site, axis] -= step
        field = source.field(moved)
        derivative = (field[0] - field[1]) / (2 * step)  # (moved site, axis, N, component)
        return float((derivative[0, :, 7] - derivative[1, :, 1].T).abs().max())

    assert asymmetry(0.0) < 1e-7
    assert asymmetry(0.7) > 1e-3


def test_landauer_current_of_a_clean_chain_in_closed_form():
    """One site with Gamma/2 on both sides: I = 2/(2 pi) int (Gamma^2/4) / (E^2 + Gamma^2/4) over the window."""
    dot = SDHamiltonian(chain(1, pbc=False), J=0.0)
    gamma, voltage = 0.4, 0.6
    source = DrivenSteadyState(dot, ([0], [0]), gamma=gamma, voltage=voltage, kT=0.0)
    exact = 2 / (2 * math.pi) * gamma * 2 * math.atan(voltage / 2 / gamma)
    assert float(source.solve(random_spins(1, seed=0)).currents[0]) == pytest.approx(exact, abs=1e-12)


@pytest.mark.parametrize("kT", [0.0, 0.02])
def test_conductance_of_matched_leads_is_quantised(kT):
    """Chain: 2 channels, I = 2 V / (2 pi). Ribbon of 3 rows at mu = -1.5: modes at -2 and +1 (twice) are all open."""
    spins = random_spins(6, seed=0)
    wire = SDHamiltonian(chain(6, pbc=False), J=0.0)
    source = DrivenSteadyState(wire, ([0], [5]), voltage=0.1, kT=kT, mu=0.3, leads=SemiInfiniteLead())
    assert float(source.solve(spins).currents[0]) * 2 * math.pi / 0.1 == pytest.approx(2, abs=1e-7)
    ribbon = SDHamiltonian(RIBBON, J=0.0)
    for mu, channels in ((-3.2, 2), (-0.5, 6), (0.9, 4)):
        source = driven(hamiltonian=ribbon, voltage=0.1, kT=kT, mu=mu, leads=SemiInfiniteLead())
        current = float(source.solve(SPINS).currents[0])
        assert current * 2 * math.pi / 0.1 == pytest.approx(channels, abs=1e-5)


def test_density_of_an_infinite_chain():
    """A clean chain with matched leads is infinite: n = 2 arccos(-mu / 2) / pi per site, without a spin density."""
    wire = SDHamiltonian(chain(5, pbc=False), J=0.0)
    state = DrivenSteadyState(wire, ([0], [4]), kT=0.0, mu=0.5, leads=SemiInfiniteLead()).solve(random_spins(5, seed=0))
    exact = 2 * math.acos(-0.5 / 2) / math.pi
    torch.testing.assert_close(state.density, torch.full((5,), exact, dtype=torch.float64), atol=1e-8, rtol=0)
    assert float(state.spin_density.abs().max()) < 1e-8


@pytest.mark.parametrize("J", [1.5, 6.0])
def test_lattice_leads_equal_long_explicit_ones(J):
    """At J = 6 most levels lie outside the leads' band -4 .. 3: bound states, held by the contour."""
    length, kT = 60, 0.08
    long = square(4 + 2 * length, 3, pbc=(False, True))
    middle = slice(3 * length, 3 * length + 12)
    couplings, spins = np.zeros(long.n_sites), torch.zeros(long.n_sites, 3, dtype=torch.float64)
    couplings[middle], spins[:, 2], spins[middle] = J, 1.0, SPINS
    exact = ExactDiagonalization(SDHamiltonian(long, J=couplings), kT=kT, mu=-0.4).solve(spins)
    source = driven(hamiltonian=SDHamiltonian(RIBBON, J=J), kT=kT, leads=SemiInfiniteLead())
    state = source.solve(SPINS)
    torch.testing.assert_close(state.field, exact.field[middle], atol=1e-7, rtol=0)
    torch.testing.assert_close(state.density, exact.density[middle], atol=1e-7, rtol=0)


def test_closed_and_decimated_leads_give_one_answer_under_bias():
    hop = HAMILTONIAN.one_body[:6][:, :6].toarray()
    periodic = PeriodicLead(hop, -np.eye(6))
    closed = driven(voltage=0.4, leads=SemiInfiniteLead()).solve(SPINS)
    other = driven(voltage=0.4, leads=[SemiInfiniteLead(), periodic], tolerance=1e-8).solve(SPINS)
    torch.testing.assert_close(other.field, closed.field, atol=1e-6, rtol=0)
    torch.testing.assert_close(other.currents, closed.currents, atol=1e-6, rtol=0)


def test_wide_band_limit_of_lattice_leads():
    """Leads with a wide band, t_c^2 / t = Gamma / 2, become wide-band leads; the error falls with the band width."""
    wide = driven(gamma=1.0, voltage=0.7).solve(SPINS)
    errors = []
    for t in (40.0, 160.0):
        lead = SemiInfiniteLead(t=t, coupling=math.sqrt(t / 2))
        state = driven(leads=lead, voltage=0.7, tolerance=1e-8).solve(SPINS)
        errors.append(float((state.field - wide.field).abs().max()))
    assert errors[0] < 0.02
    assert errors[1] < errors[0] / 3


def test_three_leads_spin_orbit_and_several_orbitals():
    """Rows of an orbital without a site spin, complex hopping and a third terminal: currents still add to zero."""
    generator = np.random.default_rng(0)
    matrix = generator.normal(size=(12, 12)) + 1j * generator.normal(size=(12, 12))  # six orbitals with spin
    h = SDHamiltonian(chain(3, pbc=False), sparse.csr_array(matrix + matrix.conj().T), J=[1.0, 0.0] * 3, orbitals=2)
    source = DrivenSteadyState(h, ([0], [1], [2]), gamma=(0.5, 1.0, [2.0]), voltage=(0.5, 0.0, -0.2), kT=0.05)
    state = source.solve(random_spins(3, replicas=(2,), seed=0))
    assert state.currents.shape == (2, 3)
    torch.testing.assert_close(state.currents.sum(-1), torch.zeros(2, dtype=torch.float64), atol=1e-12, rtol=0)
    torch.testing.assert_close(state.n_electrons, state.density.sum(-1))
    rest = DrivenSteadyState(h, ([0], [1], [2]), gamma=1e-9, kT=0.05).field(random_spins(3, seed=1))
    exact = ExactDiagonalization(h, kT=0.05, mu=0.0).field(random_spins(3, seed=1))
    torch.testing.assert_close(rest, exact, atol=1e-8, rtol=0)


def test_protocol():
    source = driven(voltage=0.3)
    with pytest.raises(NoEnergyError, match="no energy"):
        source.energy(SPINS)
    spins = random_spins(12, replicas=(2, 2), seed=3)
    field = source.field(spins)
    assert field[1, 0].equal(source.field(spins[1, 0]))
    assert source.solve(spins).currents.shape == (2, 2, 2)
    assert source.field(SPINS.float()).dtype == torch.float32
    for one in (source, driven(leads=SemiInfiniteLead())):
        assert json.loads(json.dumps(one.specification())) == one.specification()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"contacts": ()}, "no contacts"),
        ({"contacts": ([0], [12])}, "outside"),
        ({"contacts": ([0, 0], [1])}, "twice"),
        ({"contacts": ([0], [])}, "list of site"),
        ({"gamma": -1.0}, "gamma"),
        ({"gamma": (1.0, [1.0, 2.0])}, "gamma of contact 1"),
        ({"gamma": (1.0, 1.0, 1.0)}, "entries"),
        ({"kT": -0.1}, "kT"),
        ({"mu": math.inf}, "mu"),
        ({"voltage": (1.0, 2.0, 3.0)}, "voltage"),
        ({"contacts": ([0], [1], [2]), "voltage": 1.0}, "voltage"),
        ({"leads": "narrow"}, "wide_band"),
        ({"leads": [SemiInfiniteLead()]}, "one per contact"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"bottom": -1.0}, "bottom"),
        ({"bottom": -9.0, "leads": SemiInfiniteLead()}, "bottom"),
        ({"hamiltonian": SDHamiltonian(union([RIBBON, RIBBON]))}, "union"),
    ],
)
def test_errors(options, match):
    with pytest.raises(InvalidInput, match=match):
        driven(**options)


def correlation(first: torch.Tensor, second: torch.Tensor) -> float:
    return float(np.corrcoef(first.reshape(-1).numpy(), second.reshape(-1).numpy())[0, 1])


def test_published_driven_wall_far_from_the_leads_is_the_closed_system():
    """Columns 8 to 18, a half-filled antiferromagnet: leads and the ends of a cut at columns 4, 22 are screened."""
    data = published("driven_wall_negf/c0.npz")
    cut = slice(4 * 24, 23 * 24)
    spins, field = unit(sites(data["spins"]))[cut], torch.from_numpy(sites(data["field"]))[cut]
    closed = ExactDiagonalization(SDHamiltonian(square(19, 24, pbc=(False, True)), J=3.8), kT=0.0025, filling=0.5)
    inner = slice(4 * 24, 15 * 24)
    computed, stored = closed.torque(spins)[inner], torch.linalg.cross(spins, field)[inner]
    assert correlation(computed, stored) > 0.999


def test_published_driven_wall_next_to_the_right_lead():
    """The last seven columns, density included: Gamma = 2, a bath on every site and energies above -8.5, all fitted."""
    data = published("driven_wall_negf/c0.npz")
    spins, field = unit(sites(data["spins"]))[-240:], torch.from_numpy(sites(data["field"]))[-240:]
    h = SDHamiltonian(square(10, 24, pbc=(False, True)), J=3.8)
    contacts = range(216, 240), range(240)
    source = DrivenSteadyState(h, contacts, gamma=(2.0, 0.02), kT=0.0025, mu=-3.3, bottom=-8.5)
    state = source.solve(spins)
    computed, stored = (torch.linalg.cross(spins, value)[-168:] for value in (state.field, field))
    assert correlation(computed, stored) > 0.9995
    difference = state.density.numpy()[-168:] - sites(data["density"])[-168:]
    assert np.sqrt(np.square(difference).mean()) < 1e-3


def test_kwant_scattering_density():
    """Spin and charge density injected by each lead, against scattering states of kwant."""
    kwant = pytest.importorskip("kwant", reason="kwant is not installed; this comparison runs where it is")
    system, size = HAMILTONIAN.dense(SPINS).numpy(), 3
    lattice = kwant.lattice.square(norbs=2)
    builder = kwant.Builder()
    place = {m: lattice(m // size, m % size) for m in range(12)}
    for m, site in place.items():
        builder[site] = system[2 * m : 2 * m + 2, 2 * m : 2 * m + 2]
    for m, n in zip(*np.nonzero(np.triu(abs(HAMILTONIAN.hopping_matrix.toarray()))), strict=True):
        builder[place[m], place[n]] = system[2 * m : 2 * m + 2, 2 * n : 2 * n + 2]
    lead = kwant.Builder(kwant.TranslationalSymmetry((-1, 0)))
    for y in range(size):
        lead[lattice(0, y)] = np.zeros((2, 2))
    for y in range(size):
        lead[lattice(0, y), lattice(0, (y + 1) % size)] = -np.eye(2)
        lead[lattice(1, y), lattice(0, y)] = -np.eye(2)
    builder.attach_lead(lead)
    builder.attach_lead(lead.reversed())
    finished = builder.finalized()
    source = driven(leads=SemiInfiniteLead())
    from gnnspin.electrons.driven.lattice_contacts import LatticeContacts

    energy = torch.tensor([-0.3], dtype=torch.float64)
    contacts = LatticeContacts(HAMILTONIAN.dense(SPINS), source._rows, source._attached)
    blocks, transmission = contacts.injected(energy)
    states = kwant.wave_function(finished, energy=-0.3)
    order = [finished.id_by_site[place[m]] for m in range(12)]
    for number in range(2):
        psi = states(number).reshape(-1, 12, 2)[:, order]
        expected = np.einsum("kma,kmb->mab", psi, psi.conj())
        assert np.abs(blocks[0, number].numpy() - expected).max() < 1e-6
    assert float(transmission[0, 0, 1]) == pytest.approx(kwant.smatrix(finished, -0.3).transmission(1, 0), abs=1e-6)
