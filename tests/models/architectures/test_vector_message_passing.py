"""Laws of vector message passing."""

from __future__ import annotations

import pytest
import torch

import gnnspin as gs
from gnnspin.core import random_rotation, random_spins
from gnnspin.models.architectures.vector_message_passing import VectorMessageHyperparameters, VectorMessagePassing
from gnnspin.testing import ModelPhysics, assert_paths_agree, force_field

NAME = "vector_message_passing"
SMALL = {"channels": 3, "hidden": 8}


class TestTwoLayers(ModelPhysics):
    name = NAME
    hyperparameters = {"layers": 2, **SMALL}  # noqa: RUF012


def test_lattice_stencil_equals_edge_list() -> None:
    for system in (gs.systems.honeycomb(4, 5, pbc=(True, False)), gs.systems.simple_cubic(4, 5, 3)):
        assert_paths_agree(force_field(NAME, system, **SMALL).model, system)


def test_without_time_reversal_energies_are_not_even_but_still_invariant_under_rotation() -> None:
    source = force_field(NAME, gs.systems.square(6, 6), time_reversal=False, **SMALL)
    spins, rotation = random_spins(36, seed=1), random_rotation(3)
    field = source.field(spins)
    assert float((source.field(-spins) + field).abs().max()) > 1e-3
    assert float((source.field(spins @ rotation.T) - field @ rotation.T).abs().max()) < 1e-10


def test_site_vectors_turn_with_the_spins_and_change_sign_with_them() -> None:
    system = gs.systems.square(6, 6)
    spec = gs.graphs.GraphSpec.for_system(system, 2.0)
    model = (
        VectorMessagePassing(spec, VectorMessageHyperparameters(**SMALL), vector_output=True)
        .double()
        .requires_grad_(False)
    )
    data = model.prepare(system).to("cpu", torch.float64)
    spins, rotation = random_spins(36, replicas=(2,), seed=1), random_rotation(3)
    vectors = model.site_vectors(data, spins)
    assert vectors.shape == (2, model.n_vectors, 36, 3)
    assert float(vectors.square().mean()) > 1e-4
    assert torch.allclose(model.site_vectors(data, spins @ rotation.T), vectors @ rotation.T, atol=1e-10)
    assert torch.allclose(model.site_vectors(data, -spins), -vectors, atol=1e-10)


@pytest.mark.parametrize("head", ["energy", "pair", "vectors"])
def test_every_head_takes_it(head: str) -> None:
    system = gs.systems.square(6, 6)
    base = {"model": NAME, "hyperparameters": SMALL, "head": head}
    source = force_field("nonconservative", system, **base)
    assert source.field(random_spins(36, seed=1)).shape == (36, 3)
