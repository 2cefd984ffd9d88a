"""Few poles fitted to torques: against the torques themselves, a search over nothing, and the Fermi function."""

import numpy as np
import pytest
import torch

import gnnspin as gs
from gnnspin.core import random_spins
from gnnspin.electrons.occupation import occupy
from gnnspin.electrons.poles.fitting import RationalOccupation, TorqueSpectra
from gnnspin.electrons.poles.rational import fermi_poles

SYSTEM = gs.systems.triangular(6, 6)
HAMILTONIAN = gs.electrons.SDHamiltonian(SYSTEM, J=3.0)
SPINS = random_spins(36, replicas=(4,), seed=0)
MU, KT = -3.2, 0.1


def spectra(**fixed):
    found = TorqueSpectra(KT, (-10.0, 8.0))
    for spins in SPINS:
        found.add(HAMILTONIAN, spins, **fixed)
    return found


def torque_error(occupation, mu):
    """Error over torque of a function of the levels, each state's by itself, at its chemical potential."""
    shares = []
    for spins, potential in zip(SPINS, mu, strict=True):
        levels, vectors = torch.linalg.eigh(HAMILTONIAN.dense(spins))

        def torques(weights, vectors=vectors, spins=spins):
            matrix = (vectors * weights) @ vectors.mH
            blocks = matrix.view(36, 2, 36, 2).diagonal(dim1=0, dim2=2).movedim(-1, 0)
            spin = torch.stack(
                [2 * blocks[:, 1, 0].real, 2 * blocks[:, 1, 0].imag, (blocks[:, 0, 0] - blocks[:, 1, 1]).real], -1
            )
            return torch.linalg.cross(spins, 3.0 * spin)

        exact = torques(occupy(levels, KT, mu=float(potential)).weights)
        found = torques(torch.from_numpy(occupation(levels.numpy() - float(potential))))
        shares.append(float((found - exact).square().sum() / exact.square().sum()))
    return float(np.sqrt(np.mean(shares)))


@pytest.mark.parametrize("n_poles", [1, 2, 3])
def test_the_error_is_that_of_the_torques(n_poles):
    """To the grid's resolution; the mean over states of squares."""
    found = spectra(mu=MU).fit(n_poles, fixed_number=False)
    assert len(found.poles) == n_poles
    assert (found.poles.imag >= KT).all()
    assert torque_error(found, [MU] * 4) == pytest.approx(found.error, rel=2e-2)


def test_more_poles_are_better_and_fewer_do_as_well_as_many_for_all_levels():
    fitted = [spectra(mu=MU).fit(n, fixed_number=False).error for n in (1, 2, 3)]
    assert fitted[0] > 3 * fitted[1] > 9 * fitted[2]
    everywhere = fermi_poles(128.0, 3e-2)
    uniform = torque_error(lambda x: everywhere.occupation(x / KT), [MU] * 4)
    assert len(everywhere.frequencies) >= 3
    assert fitted[1] < uniform


def test_no_weights_are_better():
    """The gradient of the error with respect to the weights vanishes, that with respect to the poles too."""
    found = spectra(mu=MU).fit(2, fixed_number=False)
    best = torque_error(found, [MU] * 4)
    random = np.random.default_rng(0)
    for _ in range(8):
        poles = found.poles * (1 + 0.03 * random.normal(size=2))
        weights = found.weights * (1 + 0.03 * random.normal(size=2))
        other = RationalOccupation(poles, weights, found.constant)
        assert torque_error(other, [MU] * 4) > best


def test_number_of_electrons_at_fixed_mu():
    """The constant is chosen so that the mean number of the states is right."""
    found, total, exact = spectra(mu=MU).fit(2, fixed_number=False), 0.0, 0.0
    for spins in SPINS:
        levels = torch.linalg.eigvalsh(HAMILTONIAN.dense(spins))
        total += float(found(levels.numpy() - MU).sum())
        exact += float(occupy(levels, KT, mu=MU).n_electrons)
    assert total == pytest.approx(exact, rel=1e-3)


def test_fixed_number_counts_the_response_of_mu():
    """The error told is that of torques at the chemical potential which the function itself gives the number."""
    number = 20.0
    states = TorqueSpectra(KT, (-10.0, 8.0))
    for spins in SPINS:
        states.add(HAMILTONIAN, spins, n_electrons=number)
    found = states.fit(3, fixed_number=True)
    shares = []
    for spins in SPINS:
        levels, vectors = torch.linalg.eigh(HAMILTONIAN.dense(spins))
        exact = gs.electrons.ExactDiagonalization(HAMILTONIAN, KT, n_electrons=number)
        mu = float(exact.solve(spins).mu)
        step = 1e-3
        for _ in range(60):  # Newton with a numerical slope
            missing = number - float(found(levels.numpy() - mu).sum())
            slope = (float(found(levels.numpy() - mu - step).sum()) - float(found(levels.numpy() - mu).sum())) / step
            mu += np.clip(missing / slope, -0.1, 0.1)
        matrix = (vectors * torch.from_numpy(found(levels.numpy() - mu))) @ vectors.mH
        blocks = matrix.view(36, 2, 36, 2).diagonal(dim1=0, dim2=2).movedim(-1, 0)
        spin = torch.stack(
            [2 * blocks[:, 1, 0].real, 2 * blocks[:, 1, 0].imag, (blocks[:, 0, 0] - blocks[:, 1, 1]).real], -1
        )
        wrong = torch.linalg.cross(spins, 3.0 * spin) - exact.torque(spins)
        shares.append(float(wrong.square().sum() / exact.torque(spins).square().sum()))
    assert float(np.sqrt(np.mean(shares))) == pytest.approx(found.error, rel=0.1)


def test_slope_is_the_derivative():
    found = RationalOccupation(np.array([0.1 + 0.5j, -1 + 2j]), np.array([0.3 + 0.1j, 1 - 0.4j]), 0.3)
    x, step = np.linspace(-5, 5, 11), 1e-5
    assert np.allclose(found.slope(x), (found(x + step) - found(x - step)) / (2 * step), atol=1e-8)
