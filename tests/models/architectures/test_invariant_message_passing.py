"""Laws of invariant message passing."""

from __future__ import annotations

import torch

import gnnspin as gs
from gnnspin.core import random_rotation, random_spins
from gnnspin.testing import ModelPhysics, force_field

NAME = "invariant_message_passing"
SMALL = {"channels": 4, "hidden": 8, "n_radial": 4}


class TestTwoLayers(ModelPhysics):
    name = NAME
    hyperparameters = {"layers": 2, **SMALL}  # noqa: RUF012


def test_without_time_reversal_energies_are_not_even_but_still_invariant_under_rotation() -> None:
    source = force_field(NAME, gs.systems.square(6, 6), time_reversal=False, **SMALL)
    spins, rotation = random_spins(36, seed=1), random_rotation(3)
    field = source.field(spins)
    assert float((source.field(-spins) + field).abs().max()) > 1e-3
    assert float((source.field(spins @ rotation.T) - field @ rotation.T).abs().max()) < 1e-10


def test_sums_of_chiralities_do_not_vanish() -> None:
    """What a sum over unordered pairs of neighbours with symmetric weights would give is zero."""
    source = force_field(NAME, gs.systems.square(6, 6), **SMALL)
    spins = random_spins(36, seed=1)
    seen: list[torch.Tensor] = []
    source.model.triplets.odd_scale.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    source.energy(spins)
    source.energy(-spins)
    assert float(seen[0].abs().max()) > 1e-2
    assert torch.allclose(seen[1], -seen[0], atol=1e-12)
