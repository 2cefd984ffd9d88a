"""Magnetic symmetry functions against plain loops over the printed equations, and their laws."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from gnnspin.core import random_rotation, random_spins
from gnnspin.descriptors import MagneticACSFConfig, magnetic_acsf
from gnnspin.graphs import GraphSpec
from gnnspin.systems import SpinSystem, amorphous, chain, honeycomb, simple_cubic, square, triangular, union

CUTOFF = 2.5
SYSTEM = amorphous(60, 4.2, 0.5, seed=0)
SPINS = random_spins(60, replicas=(2,), seed=1)
GENERAL = {
    "radial": [[1.7, 0.2], [0.9, 0.1], [1.2, 0.6]],
    "angular": [[1, 1], [2.5, -0.7], [4, -1]],
    "separation": [[1.0, 0.8], [2.0, 0.5]],
    "chiral_radial": [[0.9, 0.3], [1.4, 0.5], [2.1, 0.2]],
}


def features(config: MagneticACSFConfig, system: SpinSystem, spins: Tensor, cutoff: float = CUTOFF) -> Tensor:
    descriptor = config.build(GraphSpec(cutoff))
    values = descriptor(descriptor.prepare(system).to("cpu", spins.dtype), spins)
    assert values.shape == (len(spins), system.n_sites, descriptor.n_features)
    return values


def f2(distance: float, d: float, w: float, cutoff: float) -> float:
    """Glass eq. 9 with the cosine cutoff below it."""
    if distance > cutoff:
        return 0.0
    return math.exp(-((distance - d) ** 2) / w**2) * 0.5 * (math.cos(math.pi * distance / cutoff) + 1)


def loops(config: MagneticACSFConfig, system: SpinSystem, spins: np.ndarray, site: int, cutoff: float) -> list[float]:
    """Glass eq. 12, 13 and the chirality sums of one site, term by term; minimum images alone."""
    others = [j for j in range(system.n_sites) if j != site]
    fractional = (system.positions - system.positions[site]) @ np.linalg.inv(system.cell)
    vector = (fractional - np.round(fractional)) @ system.cell
    near = [j for j in others if np.linalg.norm(vector[j]) <= cutoff]
    length = {j: float(np.linalg.norm(vector[j])) for j in near}
    values = [sum(f2(length[j], d, w, cutoff) * spins[site] @ spins[j] for j in near) for d, w in config.radial]
    pairs = [(j, k) for j in near for k in near if j != k]
    cosine = {(j, k): float(vector[j] @ vector[k]) / (length[j] * length[k]) for j, k in pairs}
    separation = {(j, k): float(np.linalg.norm(vector[j] - vector[k])) for j, k in pairs}

    def pair_sum(zeta, sign, dp, wp, first, second, product) -> float:
        total = 0.0
        for j, k in pairs:
            f3 = 2 ** (1 - zeta) * (1 + sign * cosine[j, k]) ** zeta * f2(separation[j, k], dp, wp, cutoff)
            total += f3 * f2(length[j], *first, cutoff) * f2(length[k], *second, cutoff) * product(j, k)
        return total

    def bond(j: int, k: int) -> float:
        return float(spins[j] @ spins[k])

    def chirality(j: int, k: int) -> float:
        return float(spins[site] @ np.cross(spins[j], spins[k]))

    kernels = [(*a, *b) for a in config.angular for b in config.separation]
    values += [pair_sum(*kernel, shell, shell, bond) for kernel in kernels for shell in config.radial]
    if config.chirality == "printed":
        values += [pair_sum(*kernel, shell, shell, chirality) for kernel in kernels for shell in config.radial]
    if config.chirality == "odd":
        shells = config.chiral_radial
        both = [(a, b) for n, a in enumerate(shells) for b in shells[n + 1 :]]
        values += [pair_sum(*kernel, a, b, chirality) for kernel in kernels for a, b in both]
    return values


@pytest.mark.parametrize("chirality", ["none", "printed", "odd"])
@pytest.mark.parametrize("system", [amorphous(25, 4.2, 0.5, seed=3), triangular(5, 5)], ids=["amorphous", "triangular"])
def test_printed_equations(system: SpinSystem, chirality: str) -> None:
    config = MagneticACSFConfig(**GENERAL, chirality=chirality)
    spins = random_spins(25, replicas=(2,), seed=4)
    values = features(config, system, spins, cutoff=1.9)
    for site in (0, 11):
        expected = torch.tensor(loops(config, system, spins[1].numpy(), site, 1.9))
        assert float(expected[: 3 + 18].abs().max()) > 0.1
        assert torch.allclose(values[1, site], expected, atol=1e-12)


def test_the_paper_has_450_features_of_which_200_vanish() -> None:
    config = MagneticACSFConfig(preset="paper")
    assert config.radial[0] == (0.5, 0.05)
    assert config.radial[-1] == (2.46, 0.05)
    values = features(config, SYSTEM, SPINS)
    assert values.shape[-1] == 450
    assert bool((values[..., 250:] == 0).all())
    assert bool((values[..., :250].abs().amax((0, 1)) > 1e-8).all())  # the outermost shells carry the cutoff squared
    small = amorphous(8, 1.9, 0.5, seed=0, pbc=False)
    looped = loops(config, small, random_spins(8, seed=2).numpy(), 0, CUTOFF)
    assert max(map(abs, looped[:250])) > 0.1
    assert max(map(abs, looped[250:])) < 1e-15
    assert features(MagneticACSFConfig(preset="paper_bonds"), SYSTEM, SPINS).shape[-1] == 250


def test_even_chirality_is_all_products_of_the_odd() -> None:
    odd = features(MagneticACSFConfig(chirality="odd"), SYSTEM, SPINS)[..., 250:]
    even = features(MagneticACSFConfig(preset="even"), SYSTEM, SPINS)[..., 250:]
    rows, columns = torch.triu_indices(24, 24)
    assert odd.shape[-1] == 24
    assert torch.allclose(even, odd[..., rows] * odd[..., columns], atol=1e-15)


@pytest.mark.parametrize("chirality", ["even", "odd"])
def test_every_chiral_feature_is_nonzero(chirality: str) -> None:
    values = features(MagneticACSFConfig(chirality=chirality), SYSTEM, SPINS)[..., 250:]
    assert bool((values.abs().amax((0, 1)) > 1e-6).all())


@pytest.mark.parametrize("chirality", ["even", "odd"])
class TestSymmetry:
    """Each operation leaves every feature as it is, to 1e-10."""

    def moved(self, chirality: str, positions: np.ndarray, matrix: np.ndarray, spins: Tensor = SPINS) -> Tensor:
        config = MagneticACSFConfig(chirality=chirality)
        return features(config, SpinSystem(positions, cell=SYSTEM.cell @ matrix.T, pbc=True), spins)

    def reference(self, chirality: str) -> Tensor:
        return features(MagneticACSFConfig(chirality=chirality), SYSTEM, SPINS)

    @pytest.mark.parametrize("mirror", [1.0, -1.0], ids=["rotation", "reflection"])
    def test_space(self, chirality: str, mirror: float) -> None:
        matrix = random_rotation(7).numpy() @ np.diag([1.0, 1.0, mirror])
        values = self.moved(chirality, SYSTEM.positions @ matrix.T, matrix)
        assert torch.allclose(values, self.reference(chirality), atol=1e-10)

    def test_translation(self, chirality: str) -> None:
        values = self.moved(chirality, SYSTEM.positions + np.array([0.7, -3.1, 11.0]), np.eye(3))
        assert torch.allclose(values, self.reference(chirality), atol=1e-10)

    def test_relabelling(self, chirality: str) -> None:
        order = np.random.default_rng(0).permutation(60)
        values = self.moved(chirality, SYSTEM.positions[order], np.eye(3), SPINS[:, order])
        assert torch.allclose(values, self.reference(chirality)[:, order], atol=1e-10)

    def test_spin_rotation(self, chirality: str) -> None:
        values = self.moved(chirality, SYSTEM.positions, np.eye(3), SPINS @ random_rotation(3).T)
        assert torch.allclose(values, self.reference(chirality), atol=1e-10)

    def test_time_reversal(self, chirality: str) -> None:
        values, reference = self.moved(chirality, SYSTEM.positions, np.eye(3), -SPINS), self.reference(chirality)
        assert torch.allclose(values[..., :250], reference[..., :250], atol=1e-10)
        sign = 1 if chirality == "even" else -1
        assert torch.allclose(values[..., 250:], sign * reference[..., 250:], atol=1e-10)


@pytest.mark.parametrize("chirality", ["none", "even", "odd"])
def test_derivatives_are_finite_differences(chirality: str) -> None:
    """First and second derivatives; the second is what training on fields needs."""
    config = MagneticACSFConfig(**GENERAL, chirality=chirality)
    system = amorphous(12, 2.6, 0.5, seed=2)
    descriptor = config.build(GraphSpec(1.5))
    data, spins = descriptor.prepare(system), random_spins(12, replicas=(2,), seed=1)

    def network(moving: Tensor) -> Tensor:
        values = descriptor(data, torch.cat([moving, spins[:, 2:]], dim=1))
        return (values * torch.linspace(0.5, 1.5, values.shape[-1], dtype=values.dtype)).tanh().sum(-1)

    moving = spins[:, :2].clone().requires_grad_()
    assert torch.autograd.gradcheck(network, moving)
    assert torch.autograd.gradgradcheck(network, moving)


def test_smooth_at_the_cutoff() -> None:
    """Values and slopes vanish continuously when a neighbour leaves, or two neighbours part."""
    config = MagneticACSFConfig(radial=[[2.0, 1.0], [1.0, 1.0]], chiral_radial=[[1.0, 1.0], [2.0, 1.0]])
    spins = random_spins(3, replicas=(1,), seed=5)

    def values(distance: float, side: float) -> Tensor:
        return features(config, SpinSystem([[0, 0, 0], [-side, 0.4, 0], [distance, 0, 0]]), spins)[0]

    h = 1e-4
    for cutoff, side in ((CUTOFF, 0.8), (CUTOFF - 0.4, 0.4)):
        points = [values(cutoff + k * h, side) for k in (-2, -1, 0, 1, 2)]
        inner = (values(0.7 * cutoff, side) - values(0.7 * cutoff - h, side)).abs().max()
        for a, b in pairwise(points):
            assert float((b - a).abs().max()) < 10 * float(inner)
        middle = (points[3] - points[2]) - (points[2] - points[1])
        assert float(middle.abs().max()) < 0.01 * float(inner)


def test_every_spin_inside_the_cutoff_matters() -> None:
    for name in ("paper", "even"):
        descriptor = MagneticACSFConfig(preset=name).build(GraphSpec(CUTOFF))
        data = descriptor.prepare(SYSTEM)
        spins = SPINS[:1].clone().requires_grad_()
        values = descriptor(data, spins)[0, 17]
        (gradient,) = torch.autograd.grad((values * torch.linspace(1, 2, len(values))).sum(), spins)
        graph = descriptor.spec.graph(SYSTEM)
        inside = torch.zeros(60, dtype=torch.bool)
        inside[graph.edge_index[0, graph.edge_index[1] == 17]] = True
        size = gradient[0].norm(dim=-1)
        assert 10 < int(inside.sum()) < 59
        assert bool((size[inside] > 1e-8).all())
        assert bool((size[~inside & (torch.arange(60) != 17)] == 0).all())


def test_union_is_each_part() -> None:
    parts = [SYSTEM, amorphous(40, 3.6, 0.5, seed=1), chain(5)]
    spins = random_spins(105, replicas=(2,), seed=3)
    joint = features(MagneticACSFConfig(), union(parts), spins)
    for part, own, values in zip(parts, spins.split([60, 40, 5], dim=1), joint.split([60, 40, 5], dim=1), strict=True):
        assert torch.allclose(values, features(MagneticACSFConfig(), part, own), atol=1e-12)


@pytest.mark.parametrize("system", [square(6, 6), honeycomb(4, 4), simple_cubic(4, 4, 4), SYSTEM], ids=repr)
def test_blocks_and_recomputation_change_nothing(system: SpinSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frozen factors in one block against small blocks, factors computed anew, and a single window of shells."""
    spins = random_spins(system.n_sites, replicas=(2,), seed=1)

    def derivatives() -> list[Tensor]:
        moving = spins.clone().requires_grad_()
        values = features(MagneticACSFConfig(), system, moving)
        (first,) = torch.autograd.grad(values.pow(2).sum(), moving, create_graph=True)
        (second,) = torch.autograd.grad(first.pow(2).sum(), moving)
        return [values, first, second]

    expected = derivatives()
    monkeypatch.setattr("gnnspin.descriptors.neighborhoods._PAIRS", 2000)
    monkeypatch.setattr("gnnspin.descriptors.shell_sums._TEMPORARY", 20_000)
    monkeypatch.setattr(magnetic_acsf, "_FROZEN_VALUES", 0)
    monkeypatch.setattr(magnetic_acsf, "_WINDOW", 1000.0)
    for a, b in zip(derivatives(), expected, strict=True):
        assert torch.allclose(a, b, rtol=1e-10, atol=1e-10)


def test_sites_without_neighbours() -> None:
    system = SpinSystem([[0, 0, 0], [1, 0, 0], [9, 0, 0]])
    values = features(MagneticACSFConfig(), system, random_spins(3, replicas=(1,), seed=0))
    assert bool((values[0, 2] == 0).all())
    assert float(values[0, 0].abs().max()) > 0.1


def test_precision() -> None:
    descriptor = MagneticACSFConfig().build(GraphSpec(CUTOFF))
    data = descriptor.prepare(SYSTEM)
    exact, single = descriptor(data, SPINS), descriptor(data.to("cpu", torch.float32), SPINS.float())
    assert single.dtype == torch.float32
    assert float((single - exact).abs().max()) < 3e-5 * float(exact.abs().max())


def test_order_of_the_shells_is_kept() -> None:
    shells = [(1.9, 0.1), (0.7, 0.1), (1.2, 0.1)]
    forward = features(MagneticACSFConfig(radial=shells, chirality="none"), SYSTEM, SPINS)
    backward = features(MagneticACSFConfig(radial=shells[::-1], chirality="none"), SYSTEM, SPINS)
    assert torch.equal(forward.reshape(2, 60, 5, 3), backward.reshape(2, 60, 5, 3).flip(-1))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"radial": []}, "radial"),
        ({"radial": [[1.0, 0.0]]}, "width must be positive"),
        ({"angular": [[1.0, 2.0]]}, "lambda"),
        ({"angular": [], "chirality": "none"}, "both have entries"),
        ({"chiral_radial": [[1.0, 0.2]]}, "two shells"),
        ({"preset": "none"}, "preset"),
        ({"cutoff": 3.0}, "cutoff"),
    ],
)
def test_configuration_errors(values: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        MagneticACSFConfig(**values)


def test_configuration_round_trip() -> None:
    for config in (MagneticACSFConfig(preset="paper", angular=[[2, 1]]), MagneticACSFConfig(**GENERAL)):
        assert MagneticACSFConfig(**config.model_dump(mode="json")) == config
    only_bonds = MagneticACSFConfig(angular=[], separation=[], chirality="none")
    assert features(only_bonds, SYSTEM, SPINS).shape[-1] == 50
