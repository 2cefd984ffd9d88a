"""Laws of the equivariant tensor network, with spin space free and locked to real space."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch

import gnnspin as gs
from gnnspin.core import random_rotation, random_spins
from gnnspin.systems import SpinSystem
from gnnspin.testing.models import EXACT, SYSTEMS, ModelPhysics, close, force_field
from gnnspin.testing.permutations import orthogonal_matrices, permutation

NAME = "equivariant_tensor_network"
SMALL = {"channels": 2, "hidden": 8}


@lru_cache
def network(key: str, coupling: str) -> gs.ForceField:
    return force_field(NAME, SYSTEMS[key], coupling=coupling, **SMALL)


class TestIndependent(ModelPhysics):
    name = NAME
    hyperparameters = {"coupling": "independent", **SMALL}  # noqa: RUF012

    def source(self, key: str) -> gs.ForceField:
        return network(key, "independent").on(SYSTEMS[key])


def joint_operation(system: SpinSystem, matrix: np.ndarray, spins: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Image of each site under a rotation or reflection about site 0, and spins (axial vectors) carried along."""
    image = permutation(system, matrix, system.positions[0], np.zeros(3))
    assert image is not None
    axial = torch.from_numpy(np.linalg.det(matrix) * matrix)
    return image, torch.empty_like(spins).index_copy(0, image, spins @ axial.T)


def breaking(source: gs.ForceField, matrix: np.ndarray) -> float:
    """Change of the field under a joint operation."""
    spins = random_spins(source.system.n_sites, seed=1)
    axial = torch.from_numpy(np.linalg.det(matrix) * matrix)
    image, moved = joint_operation(source.system, matrix, spins)
    field = source.field(spins)
    assert float(field.square().mean().sqrt()) > 1e-2
    return float((source.field(moved)[image] - field @ axial.T).abs().max())


def square(polar: bool) -> SpinSystem:
    plain = gs.systems.square(6, 6)
    return SpinSystem.from_arrays({**plain.arrays(), **({"polar_axis": np.array([0, 0, 1.0])} if polar else {})})


class TestLocked(ModelPhysics):
    """Spins turn with space: the laws of spins alone must be broken, those of joint operations hold."""

    name = NAME
    hyperparameters = {"coupling": "locked", **SMALL}  # noqa: RUF012

    def source(self, key: str) -> gs.ForceField:
        return network(key, "locked").on(SYSTEMS[key])

    def test_spin_rotation(self, key: str) -> None:
        source, rotation = self.source(key), random_rotation(3)
        assert source.model.symmetries == {"time_reversal", "translation"}
        spins = random_spins(source.system.n_sites, seed=1)
        field = source.field(spins)
        assert float((source.field(spins @ rotation.T) - field @ rotation.T).abs().max()) > 1e-4

    @pytest.mark.parametrize("lattice", ["square", "simple_cubic"])
    def test_point_group(self, lattice: str) -> None:
        source = self.source(lattice)
        matrices = orthogonal_matrices(planar=lattice != "simple_cubic")
        for matrix in matrices if lattice == "square" else matrices[::7]:
            if permutation(source.system, matrix, source.system.positions[0], np.zeros(3)) is not None:
                assert breaking(source, matrix) < EXACT

    def test_space_rotation_of_an_amorphous_system(self) -> None:
        system, source = gs.systems.amorphous(60, 4.2, 0.5, seed=0), self.source("amorphous")
        matrix = random_rotation(7).numpy() @ np.diag([1.0, 1.0, -1.0])
        axial = torch.from_numpy(np.linalg.det(matrix) * matrix)
        moved = SpinSystem(system.positions @ matrix.T + 0.7, cell=system.cell @ matrix.T, pbc=True)
        spins = random_spins(60, seed=1)
        field = source.field(spins)
        assert close(source.on(moved).field(spins @ axial.T), field @ axial.T, field)

    def test_space_alone_may_not_turn(self) -> None:
        source = self.source("square")
        spins = random_spins(49, seed=1)
        image = permutation(source.system, np.diag([1.0, -1.0, 1.0]), source.system.positions[0], np.zeros(3))
        moved = torch.empty_like(spins).index_copy(0, image, spins)
        assert float((source.field(moved)[image] - source.field(spins)).abs().max()) > 1e-4


@pytest.mark.parametrize("time_reversal", [True, False])
def test_a_polar_axis_leaves_c4v_and_breaks_the_mirror_across_it(time_reversal: bool) -> None:
    hyperparameters = {"coupling": "locked", "time_reversal": time_reversal, **SMALL}
    polar = force_field(NAME, square(polar=True), **hyperparameters)
    plain = force_field(NAME, square(polar=False), **hyperparameters)
    c4v = [m for m in orthogonal_matrices(planar=True) if np.allclose(np.abs(m).max(0), 1)]
    assert len(c4v) == 8
    assert max(breaking(polar, matrix) for matrix in c4v) < EXACT
    mirror = np.diag([1.0, 1.0, -1.0])
    assert breaking(polar, mirror) > 1e-4
    assert breaking(plain, mirror) < EXACT


def spiral_energies(source: gs.ForceField, turns: int) -> tuple[float, float]:
    """Energies of spirals in the xz plane that turn along +x and along -x."""
    x = torch.from_numpy(source.system.positions[:, 0].copy())
    angle = 2 * torch.pi * turns / 6 * x
    energies = [
        float(source.energy(torch.stack([torch.sin(s * angle), 0 * angle, torch.cos(angle)], dim=-1))) for s in (1, -1)
    ]
    return energies[0], energies[1]


def test_dzyaloshinskii_moriya_needs_the_polar_axis() -> None:
    """A chain of inversion centres forbids E(q) - E(-q); the polar axis allows it."""
    left, right = spiral_energies(force_field(NAME, square(polar=False), coupling="locked", **SMALL), 1)
    assert left == pytest.approx(right, abs=1e-9)
    left, right = spiral_energies(force_field(NAME, square(polar=True), coupling="locked", **SMALL), 1)
    assert abs(left - right) > 1e-3
    left, right = spiral_energies(force_field(NAME, square(polar=True), coupling="independent", **SMALL), 1)
    assert left == pytest.approx(right, abs=1e-9)


@pytest.mark.parametrize("coupling", ["independent", "locked"])
def test_without_time_reversal_energies_are_not_even(coupling: str) -> None:
    source = force_field(NAME, square(polar=False), coupling=coupling, time_reversal=False, **SMALL)
    spins = random_spins(36, seed=1)
    assert float((source.field(-spins) + source.field(spins)).abs().max()) > 1e-3


@pytest.mark.parametrize("coupling", ["independent", "locked"])
def test_lattice_stencil_equals_edge_list(coupling: str) -> None:
    source = network("honeycomb", coupling).on(SYSTEMS["honeycomb"])
    assert source.data.neighbors.stencil is not None
    spins = random_spins(source.system.n_sites, replicas=(2,), seed=2)
    fast = source.field(spins)
    source.data = replace(source.data, neighbors=source.data.neighbors.without_stencil())
    assert close(source.field(spins), fast, fast)


def test_symmetry_survives_single_precision_and_a_file(tmp_path: Path) -> None:
    """Weights are rounded by a training in float32, coupling coefficients are not."""
    system = square(polar=True)
    source = force_field(NAME, system, coupling="locked", **SMALL).to(dtype=torch.float32)
    loaded = gs.load(gs.save(source, tmp_path / "model.safetensors"), system=system)
    double = gs.ForceField(loaded.model, system, dtype=torch.float64)
    spins = random_spins(36, seed=1)
    assert torch.equal(loaded.field(spins.float()), source.field(spins.float()))
    for matrix in orthogonal_matrices(planar=True)[::3]:
        if permutation(system, matrix, system.positions[0], np.zeros(3)) is not None:
            assert breaking(double, matrix) < EXACT
