"""Laws of every learned force field: inherit `ModelPhysics` and name the architecture."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from gnnspin.core import random_rotation, random_spins
from gnnspin.core.containers import move_arrays
from gnnspin.force_fields.force_field import ForceField
from gnnspin.graphs import GraphSpec
from gnnspin.models import SpinModel, architecture, build
from gnnspin.systems import SpinSystem, amorphous, chain, honeycomb, simple_cubic, square, triangular, union
from gnnspin.testing.permutations import site_symmetries, translations

SYSTEMS = {
    "square": square(7, 7),
    "triangular": triangular(7, 7),
    "honeycomb": honeycomb(5, 5),
    "simple_cubic": simple_cubic(4, 4, 4),
    "amorphous": amorphous(60, 4.2, 0.5, seed=0),
}
ORDER = {"square": 8, "triangular": 12, "honeycomb": 6, "simple_cubic": 48}
EXACT = 1e-10
#: Permutations of the spins whose fields are evaluated together, as replicas.
BATCH = 16


def force_field(model_name: str, system: SpinSystem, cutoff: float = 2.3, **hyperparameters: Any) -> ForceField:
    """A float64 force field with random weights, calibrated so that its fields are of order one."""
    torch.manual_seed(1)
    spec = GraphSpec.for_system(system, cutoff)
    values = architecture(model_name).for_system(system, hyperparameters)
    model = build(model_name, spec, **values).double()
    data = move_arrays(model.prepare(system), "cpu", torch.float64)
    model.calibrate(data, random_spins(system.n_sites, replicas=(2,), seed=5))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return ForceField(model, system, dtype=torch.float64)


def close(a: Tensor, b: Tensor, scale: Tensor) -> bool:
    """Equal to EXACT relative to a field that must itself be far from zero."""
    rms = float(scale.square().mean().sqrt())
    assert rms > 1e-2
    return float((a - b).abs().max()) < EXACT * max(1.0, rms)


def fields_follow(source: ForceField, images: Sequence[Tensor]) -> bool:
    """Fields move with the spins that go from each site to its image (N,), for every permutation in `images`."""
    spins = random_spins(source.system.n_sites, seed=1)
    field = source.field(spins)
    for image in torch.stack(list(images)).split(BATCH):
        moved = spins[image.argsort(dim=-1)]
        turned = source.field(moved).take_along_dim(image[..., None], dim=1)
        if not close(turned, field.expand_as(turned), field):
            return False
    return True


class ModelPhysics:
    """Laws of a model; a subclass sets `name`, `hyperparameters`, and the `systems` it is for.

    Time reversal and mirrors are exact where the model claims them, and broken where it does not.
    """

    name: str
    hyperparameters: ClassVar[dict[str, Any]] = {}
    systems: tuple[str, ...] = tuple(SYSTEMS)

    def source(self, key: str) -> ForceField:
        """Force field of the model under test on the system `key`; the test is skipped where the system is left out."""
        if key not in self.systems:
            pytest.skip(f"not for {key} systems")
        return copy.deepcopy(_source(type(self), key))  # type: ignore[arg-type]  # a class is hashable

    @pytest.fixture(params=list(SYSTEMS))
    def key(self, request: pytest.FixtureRequest) -> str:
        return str(request.param)

    def test_spin_rotation(self, key: str) -> None:
        """Fields rotate with all spins, and the energy stays."""
        source, rotation = self.source(key), random_rotation(3)
        spins = random_spins(source.system.n_sites, seed=1)
        energy, field = source.energy_and_field(spins)
        turned_energy, turned = source.energy_and_field(spins @ rotation.T)
        assert close(turned, field @ rotation.T, field)
        assert float((turned_energy - energy).abs()) < EXACT * source.system.n_sites

    def test_time_reversal(self, key: str) -> None:
        """Fields change sign with all spins if, and only if, the model claims time reversal."""
        source = self.source(key)
        spins = random_spins(source.system.n_sites, seed=1)
        field = source.field(spins)
        held = close(source.field(-spins), -field, field)
        assert held == ("time_reversal" in source.model.symmetries)

    @pytest.mark.parametrize("lattice", list(ORDER))
    def test_point_group(self, lattice: str) -> None:
        """Every element of the point group of every basis site permutes the fields."""
        source = self.source(lattice)
        mirrors = "mirrors" in source.model.symmetries
        for site in range(source.system.n_basis):
            group = site_symmetries(source.system, site, planar=lattice != "simple_cubic", mirrors=mirrors)
            assert len(group) == ORDER[lattice] // (1 if mirrors else 2)
            assert fields_follow(source, group)

    @pytest.mark.parametrize("lattice", list(ORDER))
    def test_translations(self, lattice: str) -> None:
        """Fields move with the spins under every translation of the lattice."""
        source = self.source(lattice)
        assert fields_follow(source, translations(source.system))

    def test_space_rotation_of_an_amorphous_system(self) -> None:
        """Rotating, shifting and relabelling sites changes no field; neither does reflecting them, where claimed."""
        system = SYSTEMS["amorphous"]
        source = self.source("amorphous")
        spins = random_spins(system.n_sites, seed=1)
        order = np.random.default_rng(0).permutation(system.n_sites)
        for mirror in (1.0, -1.0):
            matrix = random_rotation(7).numpy() @ np.diag([1.0, 1.0, mirror])
            moved = SpinSystem((system.positions @ matrix.T + 0.7)[order], cell=system.cell @ matrix.T, pbc=True)
            held = close(source.on(moved).field(spins[order]), source.field(spins)[order], source.field(spins))
            assert held == (mirror > 0 or "mirrors" in source.model.symmetries)

    def test_field_is_minus_the_gradient(self, key: str) -> None:
        """Fields are minus the derivative of the energy, by fourth-order differences."""
        source = self.source(key)
        spins = random_spins(source.system.n_sites, seed=1)
        field, step = source.field(spins), 1e-4
        for site, axis in ((0, 0), (3, 1), (source.system.n_sites - 1, 2)):
            moved = spins.repeat(4, 1, 1)
            moved[:, site, axis] += step * torch.tensor([-2, -1, 1, 2], dtype=spins.dtype)
            values = source.energy(moved).tolist()
            gradient = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * step)
            assert gradient == pytest.approx(-float(field[site, axis]), abs=1e-7)

    def test_smooth_at_the_cutoff(self) -> None:
        """A neighbour that crosses the cutoff changes fields continuously, with a continuous slope."""
        source = self.source("amorphous")
        cutoff = source.model.spec.cutoff
        spins = random_spins(3, seed=4)

        def field(distance: float) -> Tensor:
            line = SpinSystem(np.array([[0, 0, 0], [-1, 0.3, 0], [distance, 0, 0]]))
            return source.on(line).field(spins)[0]

        h = 1e-4
        below, at, above = (field(cutoff + s * h) for s in (-1, 0, 1))
        inner = field(0.8 * cutoff) - field(0.8 * cutoff - h)
        assert float((at - below).abs().max()) < 0.01 * float(inner.abs().max())
        assert float((above - at).abs().max()) < 0.01 * float(inner.abs().max())

    def test_replicas_are_independent(self, key: str) -> None:
        """Fields and energies of a replica in a batch are those of the replica alone."""
        source = self.source(key)
        spins = random_spins(source.system.n_sites, replicas=(2, 2), seed=1)
        batch_energy, batch_field = source.energy_and_field(spins)
        energy, field = source.energy_and_field(spins[1, 0])
        assert close(batch_field[1, 0], field, field)
        assert float(batch_energy[1, 0]) == pytest.approx(float(energy), abs=1e-10 * source.system.n_sites)

    def test_union_is_each_part(self) -> None:
        """Fields and energies of a union are those of each part alone."""
        parts = [amorphous(40, 3.6, 0.5, seed=s) for s in (1, 2)]
        source = self.source("amorphous")
        spins = random_spins(80, replicas=(2,), seed=1)
        joint_energy, joint = source.on(union(parts)).energy_and_field(spins)
        assert joint_energy.shape == (2, 2)
        for k, part in enumerate(parts):
            own = spins[:, 40 * k : 40 * (k + 1)]
            energy, field = source.on(part).energy_and_field(own)
            assert close(joint[:, 40 * k : 40 * (k + 1)], field, field)
            assert torch.allclose(joint_energy[:, k], energy, atol=1e-10)

    def test_single_precision(self, key: str) -> None:
        """Fields in single precision differ from those in double by less than 1e-4 of the largest."""
        double = self.source(key)
        spins = random_spins(double.system.n_sites, seed=1)
        exact = double.field(spins)
        single = double.to(dtype=torch.float32).field(spins.float())
        assert single.dtype == torch.float32
        assert float((single.double() - exact).abs().max()) < 1e-4 * float(exact.abs().max())

    def test_nothing_beyond_the_receptive_field(self) -> None:
        """The energy of a site depends on spins within layers * cutoff, and on all shells within the cutoff."""
        system = chain(41)
        source = force_field(self.name, system, cutoff=2.3, **self.hyperparameters)
        spins = random_spins(41, seed=1).requires_grad_()
        site = source.model.site_energies(source.data, spins)[20]
        (gradient,) = torch.autograd.grad(site, spins)
        depends = gradient.norm(dim=-1) > 0
        assert bool(depends[18:23].all())
        assert not bool(depends[:10].any())


@lru_cache(maxsize=len(SYSTEMS))
def _source(suite: type[ModelPhysics], key: str) -> ForceField:
    return force_field(suite.name, SYSTEMS[key], **suite.hyperparameters)


def assert_paths_agree(model: SpinModel, system: SpinSystem) -> None:
    """The lattice stencil and the edge list give one field."""
    source = ForceField(model, system, dtype=torch.float64)
    assert source.data.stencil is not None
    spins = random_spins(system.n_sites, replicas=(2,), seed=2)
    fast = source.field(spins)
    source.data = source.data.without_stencil()
    assert close(source.field(spins), fast, fast)
