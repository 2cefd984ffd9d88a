"""Laws of the linear spin cluster expansion and of its least-squares fit."""

from __future__ import annotations

import gnnspin as gs
from gnnspin.core import random_spins
from gnnspin.testing import ModelPhysics, assert_paths_agree, force_field

NAME = "linear_cluster_expansion"


class TestLinear(ModelPhysics):
    name = NAME
    hyperparameters = {"max_degree": 2, "n_radial": 3}  # noqa: RUF012


def test_lattice_stencil_equals_edge_list() -> None:
    system = gs.systems.honeycomb(4, 5, pbc=(True, False))
    assert_paths_agree(force_field(NAME, system, max_degree=1).model, system)


def test_odd_terms_are_chiralities() -> None:
    source = force_field(NAME, gs.systems.square(6, 6), time_reversal=False)
    spins = random_spins(36, seed=1)
    assert float((source.field(-spins) + source.field(spins)).abs().max()) > 1e-3


def test_one_shell_has_no_chirality() -> None:
    """Antisymmetric pairs of radial functions need two of them."""
    source = force_field(NAME, gs.systems.kagome(4, 4), cutoff=1.1)
    assert source.field(random_spins(48, seed=0)).shape == (48, 3)
