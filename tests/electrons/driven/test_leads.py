"""Self-energies of semi-infinite leads: closed forms, decimation, analyticity; the quadrature they are used with."""

import math

import numpy as np
import pytest
import torch
from scipy.special import digamma as scipy_digamma

from gnnspin.core import ConvergenceError, InvalidInput
from gnnspin.electrons.driven.digamma import digamma, fermi_integral
from gnnspin.electrons.driven.leads import PeriodicLead, SemiInfiniteLead, chain_self_energy, surface_green_function
from gnnspin.electrons.driven.quadrature import gauss_kronrod, integrate


def ring_layer(n_rows: int) -> torch.Tensor:
    """Hopping -1 around a ring of sites, both spins."""
    hop = -(np.roll(np.eye(n_rows), 1, 0) + np.roll(np.eye(n_rows), -1, 0))
    return torch.from_numpy(np.kron(hop, np.eye(2))).to(torch.complex128)


def test_digamma_against_scipy():
    generator = torch.Generator().manual_seed(0)
    real = 0.5 + 5 * torch.rand(500, generator=generator, dtype=torch.float64)
    real[:250] = 0.5
    points = torch.complex(real, 30 * torch.randn(500, generator=generator, dtype=torch.float64))
    expected = torch.from_numpy(scipy_digamma(points.numpy()))
    torch.testing.assert_close(digamma(points), expected, atol=1e-13, rtol=1e-13)


def test_fermi_integral_on_the_real_axis_is_the_fermi_function_and_continuous_at_zero_temperature():
    energies = torch.tensor([-1.0, 0.2, 0.3, 0.4, 2.0], dtype=torch.complex128)
    fermi = -fermi_integral(energies, 0.3, 0.05).imag / math.pi
    torch.testing.assert_close(fermi, torch.sigmoid((0.3 - energies.real) / 0.05), atol=1e-14, rtol=0)
    step = -fermi_integral(energies, 0.3, 0.0).imag / math.pi
    torch.testing.assert_close(step, torch.tensor([1, 1, 0.5, 0, 0], dtype=torch.float64), atol=1e-14, rtol=0)
    below = energies - 0.1j
    torch.testing.assert_close(fermi_integral(below, 0.3, 1e-7), fermi_integral(below, 0.3, 0.0), atol=1e-9, rtol=0)


def test_chain_self_energy_solves_its_equation_on_the_retarded_branch():
    """Sigma = t^2 / (x - Sigma), decaying away from the band, Im Sigma = -sqrt(4 t^2 - x^2) / 2 inside."""
    x = torch.tensor([-5.0, -2.5, -1.9, 0.0, 0.7, 1.9, 2.5, 50.0], dtype=torch.complex128)
    sigma = chain_self_energy(x, 1.2)
    torch.testing.assert_close(sigma * (x - sigma), torch.full_like(x, 1.44))
    inside = (4 * 1.44 - x.real.square()).clamp(min=0).sqrt() / 2
    torch.testing.assert_close(-sigma.imag, inside, atol=1e-14, rtol=0)
    assert bool((sigma.abs() <= 1.2 + 1e-12).all())
    torch.testing.assert_close(sigma[-1].real, torch.tensor(1.44 / 50, dtype=torch.float64), atol=1e-4, rtol=0)
    negative_zero = torch.complex(x.real, torch.full_like(x.real, -0.0))
    torch.testing.assert_close(chain_self_energy(negative_zero, 1.2), sigma, atol=0, rtol=0)


@pytest.mark.parametrize("energies", [torch.linspace(-5, 5, 41) + 0.37j, torch.linspace(-3.91, 3.87, 30) + 0j])
def test_decimation_equals_the_closed_form(energies):
    energies = energies.to(torch.complex128)
    layer = ring_layer(3)
    closed = SemiInfiniteLead(t=1.0, coupling=0.6).attach(layer)
    hopping = -np.eye(6)
    decimated = PeriodicLead(layer.numpy(), hopping, 0.6 * hopping).attach(layer)
    tolerance = 1e-12 if energies.imag.any() else 1e-7
    torch.testing.assert_close(decimated.self_energy(energies), closed.self_energy(energies), atol=tolerance, rtol=0)
    assert decimated.band_edges() == pytest.approx([-4.0, 3.0])
    assert closed.band_edges()[[0, -1]] == pytest.approx([-4.0, 3.0])


def test_surface_green_function_of_layers_that_do_not_commute():
    """Adding one more layer changes nothing: g = (z - cell - V g V+)^-1."""
    generator = torch.Generator().manual_seed(0)
    cell, hopping = (torch.randn(3, 3, generator=generator, dtype=torch.complex128) for _ in range(2))
    cell = cell + cell.mH
    z = torch.tensor([0.1 + 0.2j, -3.0 + 0.01j], dtype=torch.complex128)
    surface = surface_green_function(z, cell, hopping)
    again = torch.linalg.inv(z[:, None, None] * torch.eye(3) - cell - hopping @ surface @ hopping.mH)
    torch.testing.assert_close(surface, again, atol=1e-11, rtol=1e-11)


def test_lead_errors_and_specifications():
    for bad in ({"t": 0.0}, {"t": math.nan}, {"coupling": math.inf}):
        with pytest.raises(InvalidInput, match="lead"):
            SemiInfiniteLead(**bad)
    for arguments in ((np.eye(2), np.eye(3)), ([[0, 1], [0, 0]], np.eye(2))):
        with pytest.raises(InvalidInput, match="lead"):
            PeriodicLead(*arguments)
    with pytest.raises(InvalidInput, match="broadening"):
        PeriodicLead(np.eye(2), np.eye(2), broadening=0.0)
    with pytest.raises(InvalidInput, match="rows"):
        PeriodicLead(np.eye(2), np.eye(2)).attach(ring_layer(3))
    assert SemiInfiniteLead(t=2.0).specification()["t"] == 2.0
    assert PeriodicLead(np.eye(2), np.eye(2)).specification()["cell"]["real"] == [[1.0, 0.0], [0.0, 1.0]]


def test_kronrod_rule_is_exact_for_polynomials_and_quadrature_meets_its_tolerance():
    nodes, kronrod, gauss = gauss_kronrod()
    for degree in range(0, 24, 2):
        assert float(kronrod @ nodes**degree) == pytest.approx(2 / (degree + 1), abs=1e-14)
        assert degree > 13 or float(gauss @ nodes**degree) == pytest.approx(2 / (degree + 1), abs=1e-14)

    def peak_and_root(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x.sqrt(), 1e-4 / math.pi / ((x - 0.3).square() + 1e-8)], 1)

    exact = [2 / 3, (math.atan(7000) + math.atan(3000)) / math.pi]
    assert integrate(peak_and_root, [0, 1], 1e-10).tolist() == pytest.approx(exact, abs=1e-10)
    with pytest.raises(ConvergenceError, match="tolerance"):
        integrate(lambda x: 1 / x.abs(), [0, 1], 1e-10)
