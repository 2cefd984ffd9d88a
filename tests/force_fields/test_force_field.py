"""Switches of a force field: same physics, other speed."""

from __future__ import annotations

import shutil

import pytest
import torch

import gnnspin as gs
from gnnspin.core import random_spins
from gnnspin.core.errors import InvalidInput
from gnnspin.testing import force_field

SMALL = {"channels": 3, "scalars": 2, "hidden": 8, "max_degree": 2}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_equals_plain() -> None:
    source = force_field("spin_cluster_expansion", gs.systems.triangular(6, 6), **SMALL)
    spins = random_spins(36, replicas=(2,), seed=0)
    plain = source.field(spins)
    assert float(plain.abs().max()) > 0.1
    compiled = source.compile().field(spins)
    assert torch.allclose(compiled, plain, atol=1e-9)


def test_nothing_returned_carries_a_graph() -> None:
    source = force_field("spin_cluster_expansion", gs.systems.square(6, 6), **SMALL)
    spins = random_spins(36, seed=0).requires_grad_()
    energy, field = source.energy_and_field(spins)
    assert not energy.requires_grad
    assert not field.requires_grad
    assert torch.equal(source.torque(spins), torch.linalg.cross(spins, field).detach())


def test_dtype_and_energy_precision() -> None:
    """Single-precision evaluation, energies in float64, fields in the dtype of the spins."""
    source = force_field("spin_cluster_expansion", gs.systems.square(6, 6), **SMALL).to(dtype=torch.float32)
    energy, field = source.energy_and_field(random_spins(36, seed=0))
    assert energy.dtype == torch.float64
    assert field.dtype == torch.float64
    assert source.field(random_spins(36, seed=0, dtype=torch.float32)).dtype == torch.float32


def test_two_force_fields_of_one_model_do_not_disturb_each_other() -> None:
    """The same weights on two systems and in two precisions, and a model whose training goes on."""
    small = force_field("spin_cluster_expansion", gs.systems.square(6, 6), **SMALL)
    model = small.model
    spins = random_spins(36, seed=0)
    before = small.field(spins)
    large = small.on(gs.systems.square(12, 12)).to(dtype=torch.float32)
    assert large.field(random_spins(144, seed=0)).shape == (144, 3)
    again = gs.ForceField(model, small.system, dtype=torch.float64)
    with torch.no_grad():
        model.energy_scale.mul_(2)
    assert torch.equal(again.field(spins), before)
    assert torch.allclose(small.field(spins), 2 * before)


def test_products_in_lower_precision_change_little_and_can_be_taken_back():
    system = gs.systems.triangular(24, 24)
    force_field = gs.load("pretrained:tetrahedral_fast", system)
    spins = gs.core.random_spins(576, seed=0)
    exact = force_field.field(spins)
    scale = exact.square().mean().sqrt()
    change = {
        d: (force_field.products_in(d).field(spins) - exact).square().mean().sqrt() / scale
        for d in (torch.bfloat16, torch.float16)
    }
    assert 1e-6 < change[torch.float16] < change[torch.bfloat16] < 0.02
    assert torch.equal(force_field.products_in(None).field(spins), exact)
    with pytest.raises(InvalidInput, match="float64"):
        force_field.products_in(torch.float64)
