"""Paths, saddle points and rates: closed forms of one and two spins, a wall that enters a chain, Brown's rate."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest
import torch
from sources import ring
from torch import Tensor

import gnnspin as gs
from gnnspin.classical import Heisenberg, SlonczewskiTorque, UniaxialAnisotropy, Zeeman
from gnnspin.core import ConvergenceError, InvalidInput, NoEnergyError, random_spins
from gnnspin.sampling import (
    elastic_band,
    geodesic_distance,
    geodesic_path,
    minimize,
    minimum_modes,
    refine_saddle,
    transition_rate,
)

ONE, TWO = (gs.systems.chain(n, pbc=False) for n in (1, 2))
K, HARD = 0.5, 0.2
BIAXIAL = UniaxialAnisotropy(ONE, K) + UniaxialAnisotropy(ONE, -HARD, (0, 1, 0))
UP, X = [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]]


def up(n: int) -> Tensor:
    return torch.tensor(UP, dtype=torch.float64).repeat(n, 1)


def residual(source: gs.core.FieldSource, spins: Tensor) -> float:
    return float(source.torque(spins).norm(dim=-1).max())


def test_geodesics_run_at_constant_rate_and_reach_their_end() -> None:
    start, end = random_spins(5, seed=0), random_spins(5, seed=1)
    path = geodesic_path(start, end, 6)
    steps = geodesic_distance(path[:-1], path[1:])
    torch.testing.assert_close(steps, steps[:1].expand(5), atol=1e-12, rtol=0)
    assert float(steps.sum()) == pytest.approx(float((start * end).sum(-1).clamp(-1, 1).acos().norm()), rel=1e-12)
    assert torch.equal(path[-1], gs.core.normalize(end))
    turned = geodesic_path(up(2), -up(2), 3, axis=(0, 1, 0))[1]
    torch.testing.assert_close(turned[:, 1].abs(), torch.zeros(2, dtype=torch.float64), atol=1e-12, rtol=0)


def test_one_spin_with_an_easy_axis_exactly() -> None:
    """Barrier K, saddle along the easier of the hard directions, energies -K cos^2 on the way."""
    found = elastic_band(BIAXIAL, geodesic_path(UP, [[0.0, 0.0, -1.0]], 7, axis=(1.0, 0.3, 0.0)), tolerance=1e-8)
    assert found.converged
    assert found.barrier == pytest.approx(K, abs=1e-12)
    assert residual(BIAXIAL, found.saddle) < 1e-8
    torch.testing.assert_close(found.saddle.abs(), torch.tensor(X, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.energies, -K * found.distances.cos().square(), atol=1e-6, rtol=0)
    at, energies = found.profile(50)
    np.testing.assert_allclose(energies, -K * np.cos(at) ** 2, atol=2e-3)


def test_rate_of_one_spin_is_its_attempt_frequency_and_langers_with_damping() -> None:
    """``2 sqrt(K (K + K')) / 2 pi`` per saddle without damping; with it the growth rate of the linear motion."""
    undamped = transition_rate(BIAXIAL, UP, X)
    frequency = 2 * math.sqrt(K * (K + HARD))
    assert undamped.attempt_rate == pytest.approx(frequency / (2 * math.pi), rel=1e-9)
    assert undamped.rate(0.1) == pytest.approx(frequency / (2 * math.pi) * math.exp(-K / 0.1), rel=1e-9)
    for damping in (1e-3, 0.3):
        found = transition_rate(BIAXIAL, UP, X, damping=damping)
        drift = damping * 2 * (K - HARD)
        growth = (drift + math.sqrt(drift**2 + 16 * K * HARD * (1 + damping**2))) / 2
        assert found.growth_rate == pytest.approx(growth, rel=1e-9)
        exact = growth / (2 * math.pi) * math.sqrt((K + HARD) / HARD)
        assert found.attempt_rate == pytest.approx(exact, rel=1e-9)
    heavy = transition_rate(BIAXIAL, UP, X, moments=4.0, gamma=2.0)
    assert heavy.attempt_rate == pytest.approx(undamped.attempt_rate / 2, rel=1e-12)


def test_rate_of_an_axial_spin_is_browns() -> None:
    """One way over a ring of saddle points: ``2 lambda K sqrt(K / (pi kT)) exp(-K / kT)``; Brown 1963."""
    source, damping, kT = UniaxialAnisotropy(ONE, K), 0.3, 0.05
    found = transition_rate(source, UP, X, damping=damping, saddle_volume=2 * math.pi)
    assert (found.minimum_zero_modes, found.saddle_zero_modes) == (0, 1)
    exact = 2 * damping * K * math.sqrt(K / (math.pi * kT)) * math.exp(-K / kT)
    assert found.rate(kT) == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize(("J", "barrier"), [(0.3, 1.3), (2.0, 2.0)])
def test_two_spins_turn_one_by_one_or_together(J: float, barrier: float) -> None:
    """``E = -J S1.S2 - K sum z^2`` with K = 1: K + J below J = K, 2 K above."""
    easy = UniaxialAnisotropy(TWO, 1.0) + UniaxialAnisotropy(TWO, -0.1, (0, 1, 0))
    source = Heisenberg(TWO, J) + easy
    start = geodesic_path(up(2), -up(2), 11, axis=(0, 1, 0), noise=0.1, seed=1)
    found = elastic_band(source, start, tolerance=1e-6)
    assert found.converged
    assert found.barrier == pytest.approx(barrier, abs=1e-9)
    assert found.reverse_barrier == pytest.approx(barrier, abs=1e-9)
    values = minimum_modes(source, found.saddle, 2).eigenvalues
    assert float(values[0]) < 0 < float(values[1])


def wall_path(n: int, n_images: int, width: float) -> Tensor:
    """A wall that enters a chain at its left end and leaves it at its right."""
    x = torch.arange(n, dtype=torch.float64)
    place = torch.linspace(-3 * width, n - 1 + 3 * width, n_images, dtype=torch.float64)[:, None]
    z = torch.tanh((x - place) / width)
    return torch.stack([(1 - z * z).sqrt(), 0 * z, z], -1)


def test_a_wall_enters_a_chain_at_the_energy_of_a_fine_path() -> None:
    """The climbing image of seven finds the highest energy of a path of 33, and a saddle to 1e-6 in the torque."""
    system, anisotropy = gs.systems.chain(18, pbc=False), 0.05
    easy = UniaxialAnisotropy(system, anisotropy) + UniaxialAnisotropy(system, -0.02, (0, 1, 0))
    source = Heisenberg(system, 1.0) + easy + Zeeman(system, (0, 0, -0.02))
    width = math.sqrt(1 / (2 * anisotropy))
    few = elastic_band(source, wall_path(18, 7, width), tolerance=1e-6)
    assert few.converged
    assert residual(source, few.saddle) <= 1e-6
    many = elastic_band(source, wall_path(18, 33, width), tolerance=1e-3, climbing=False)
    assert many.climbing is None
    _, energies = many.profile(1000)
    assert few.barrier == pytest.approx(energies.max() - float(many.energies[0]), abs=2e-5)
    assert few.barrier < 2 * math.sqrt(2 * anisotropy)  # the field helps: less than a wall in the middle
    assert int((minimum_modes(source, few.saddle, 3).eigenvalues < 0).sum()) == 1


def test_refined_saddle_is_the_extremum_nearby() -> None:
    tilted = gs.core.normalize(torch.tensor([[1.0, 0.1, -0.15]], dtype=torch.float64))
    saddle = refine_saddle(BIAXIAL, tilted, tolerance=1e-12)
    torch.testing.assert_close(saddle, torch.tensor(X, dtype=torch.float64), atol=1e-12, rtol=0)
    with pytest.raises(ConvergenceError, match="the torque stays"):
        refine_saddle(BIAXIAL, tilted, max_iterations=0)


@pytest.mark.parametrize("largest", [800, 20])
def test_modes_of_a_ferromagnet_are_its_spin_waves(largest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """``B + 2 J (1 - cos k)``, each twice, by diagonalisation and by iteration."""
    monkeypatch.setattr(importlib.import_module("gnnspin.sampling.minimum_modes"), "DENSE", largest)
    n = 40
    values = minimum_modes(ring(n, 1.0, 0.3), up(n), 6).eigenvalues
    exact = [0.3 + 2 * (1 - math.cos(2 * math.pi * k / n)) for k in (0, 0, 1, 1, 1, 1)]
    np.testing.assert_allclose(values, exact, atol=1e-7)


def test_the_hessian_is_the_second_derivative_along_geodesics() -> None:
    """``E(exp(t v)) = E + t g.v + t^2 v.H.v / 2`` at a state that is no extremum, of exact electrons too."""
    system = gs.systems.square(3, 3)
    electrons = gs.electrons.ExactDiagonalization(gs.electrons.SDHamiltonian(system, J=1.5), kT=0.2, mu=-1.0)
    source, spins = electrons + UniaxialAnisotropy(system, 0.3), random_spins(9, seed=2)
    found = minimum_modes(source, spins, 18)
    for k in (0, 7, 17):
        mode, t = found.modes[k], 1e-2
        size = mode.norm(dim=-1, keepdim=True)
        energies = [
            float(source.energy(gs.core.normalize((s * size).cos() * spins + (s * size).sin() / size * mode)))
            for s in (-2 * t, -t, 0.0, t, 2 * t)
        ]
        second = np.dot([-1, 16, -30, 16, -1], energies) / (12 * t * t)
        assert float(found.eigenvalues[k]) == pytest.approx(second, abs=1e-6)
    overlap = torch.einsum("anc,bnc->ab", found.modes, found.modes)
    torch.testing.assert_close(overlap, torch.eye(18, dtype=torch.float64), atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", ["exact", "learned"])
def test_paths_of_any_source_with_an_energy(name: str) -> None:
    """What does not know a direction in space leaves the barrier of spins that turn together at 4 K."""
    system = gs.systems.chain(4)
    axes = UniaxialAnisotropy(system, 0.2) + UniaxialAnisotropy(system, -0.1, (0, 1, 0)) + Heisenberg(system, 1.0)
    if name == "exact":
        hamiltonian = gs.electrons.SDHamiltonian(system, J=1.0)
        source = gs.electrons.ExactDiagonalization(hamiltonian, kT=0.2, mu=-2.0) + axes
    else:
        spec = gs.graphs.GraphSpec.for_system(system, cutoff=1.2)
        model = gs.models.build("spin_cluster_expansion", spec, layers=1, channels=2, hidden=4)
        source = gs.ForceField(model, system) + axes
    start = geodesic_path(up(4), -up(4), 5, noise=0.05)
    found = elastic_band(source, start, tolerance=1e-3, max_iterations=200)
    assert found.converged
    assert residual(source, found.saddle) < 1.1e-3
    assert found.barrier == pytest.approx(4 * 0.2, abs=1e-4)


def test_pinned_spins_stay() -> None:
    pinned = torch.tensor([True, False])
    source = Heisenberg(TWO, 0.3) + UniaxialAnisotropy(TWO, 1.0) + UniaxialAnisotropy(TWO, -0.1, (0, 1, 0))
    end = up(2).clone()
    end[1] *= -1
    found = elastic_band(source, geodesic_path(up(2), end, 7, axis=(0, 1, 0)), pinned=pinned, tolerance=1e-7)
    assert torch.equal(found.spins[:, 0], up(7))
    # E = -J cos t - K cos^2 t has its maximum at cos t = -J / 2K, J^2 / 4K above zero
    assert found.barrier == pytest.approx(0.3 + 1.0 + 0.3**2 / 4, abs=1e-9)
    assert minimum_modes(source, up(2), 2, pinned=pinned).eigenvalues.tolist() == pytest.approx([2.3, 2.5], abs=1e-8)
    assert minimize(source, found.saddle, pinned=pinned).spins[0].tolist() == UP[0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: geodesic_path(up(2), up(3), 5), "start has shape"),
        (lambda: geodesic_path(up(2), -up(2), 2), "n_images=2"),
        (lambda: geodesic_path(up(2), -up(2), 3, noise=-1.0), "noise=-1.0"),
        (lambda: geodesic_path(up(2), -up(2), 3, axis=(0, 0, 0)), "axis"),
        (lambda: elastic_band(BIAXIAL, up(1)), "path has shape"),
        (lambda: elastic_band(BIAXIAL, geodesic_path(UP, X, 3), tolerance=0.0), "tolerance=0.0"),
        (lambda: elastic_band(BIAXIAL, up(1).expand(3, 1, 3)), "relax to one state"),
        (lambda: minimum_modes(BIAXIAL, UP, 3), "n_modes=3"),
        (lambda: transition_rate(BIAXIAL, UP, UP), "0 and 1 are needed"),
        (lambda: transition_rate(BIAXIAL, [[0.6, 0.0, 0.8]], X), "no extremum"),
        (lambda: transition_rate(UniaxialAnisotropy(ONE, K), UP, X, damping=0.1), "saddle_volume="),
        (lambda: transition_rate(BIAXIAL, UP, X, saddle_volume=1.0), "no zero mode"),
        (lambda: transition_rate(BIAXIAL, UP, X, damping=0.0), "damping=0.0"),
        (lambda: transition_rate(BIAXIAL, UP, X).rate(0.0), "kT=0.0"),
    ],
)
def test_bad_input(call, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        call()


def test_a_source_without_an_energy_has_no_paths() -> None:
    driven = BIAXIAL + SlonczewskiTorque(ONE, 0.1)
    with pytest.raises(NoEnergyError):
        elastic_band(driven, geodesic_path(UP, X, 3))
    with pytest.raises(NoEnergyError):
        transition_rate(driven, UP, X)


def test_a_path_downhill_has_no_saddle() -> None:
    found = elastic_band(Zeeman(ONE, (0, 0, 0.5)) + UniaxialAnisotropy(ONE, 0.3), geodesic_path([[0, 0, -1.0]], UP, 9))
    assert found.barrier > 0
    flat = elastic_band(BIAXIAL, geodesic_path(UP, [[0.0, 0.0, -1.0]], 5), climbing=False)
    with pytest.raises(InvalidInput, match="no image"):
        _ = flat.saddle
