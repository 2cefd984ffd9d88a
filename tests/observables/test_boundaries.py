"""Boundaries between two orders: bulk on both sides, canting angles, place, width, waves, periodic slabs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError

import gnnspin as gs
from gnnspin.core import InvalidInput
from gnnspin.observables import BoundaryConfig, domain_wall, order_boundary

RIBBON = gs.systems.square(40, 6, pbc=(False, True))


def test_both_orders_far_away_and_canted_sublattices_between() -> None:
    """The sublattices make the angle theta with the ferromagnet, ``cos 2 theta = tanh((x - x0) / w)``: by hand."""
    spins = order_boundary(RIBBON, place=0.5, width=2.0).numpy()
    x, y, _ = RIBBON.positions.T
    theta = np.arccos(np.tanh((x - 19.5) / 2.0)) / 2
    sign = (-1.0) ** np.round(x + y)
    expected = np.stack([np.cos(theta), 0 * x, sign * sign[0] * np.sin(theta)], 1)
    np.testing.assert_allclose(spins, expected, atol=1e-12)
    neel = gs.observables.reference_order("neel", RIBBON).numpy()
    np.testing.assert_allclose(spins[x < 1], neel[x < 1], atol=1e-3)


@pytest.mark.parametrize("place", [0.2, 0.55, 0.8])
def test_the_wall_is_found_where_it_was_put(place: float) -> None:
    spins = order_boundary(RIBBON, place=place)
    assert float(domain_wall(RIBBON, spins, order="bonds").mean_position()) == pytest.approx(39 * place, abs=0.2)


def test_a_wave_moves_the_rows_by_its_sine() -> None:
    found = domain_wall(RIBBON, order_boundary(RIBBON, wave=1.5, phase=30.0), order="bonds").position.numpy()
    rows = np.arange(6)
    np.testing.assert_allclose(found - 19.5, 1.5 * np.sin(2 * np.pi * rows / 6 + math.pi / 6), atol=0.35)


def test_along_a_period_the_second_order_fills_half() -> None:
    ring = gs.systems.chain(40)
    spins = order_boundary(ring, place=0.25, width=0.5)
    x = torch.arange(40)
    inside = (x - 10).abs() < 8
    assert bool((spins[inside, 0] > 0.99).all())
    assert bool((spins[(x - 30).abs() < 8, 0].abs() < 0.01).all())


def test_equal_orders_have_no_boundary_and_opposite_ones_no_way() -> None:
    same = order_boundary(RIBBON, ("neel", "neel"), turn=0.0)
    torch.testing.assert_close(same, gs.observables.reference_order("neel", RIBBON), atol=1e-12, rtol=0)
    with pytest.raises(InvalidInput, match="opposite spins"):
        order_boundary(RIBBON, ("ferromagnet", "neel"), turn=0.0)
    with pytest.raises(InvalidInput, match="place=2"):
        order_boundary(RIBBON, place=2)
    with pytest.raises(InvalidInput, match="wave=1"):
        order_boundary(gs.systems.chain(40), wave=1)
    with pytest.raises(ValidationError, match="'naal' is unknown"):
        BoundaryConfig(orders=("naal", "neel"))


def test_ends_of_a_lattice_by_name() -> None:
    lattice = gs.systems.square(3, 4, pbc=False)
    for name, axis, value in (("left", 0, 0), ("right", 0, 2), ("bottom", 1, 0), ("top", 1, 3)):
        sites = gs.systems.ends.named_sites(lattice, name)
        assert sorted(sites) == np.flatnonzero(lattice.positions[:, axis] == value).tolist()
    assert gs.systems.ends.named_sites(lattice, "all").tolist() == list(range(12))
    for system, name, message in (
        (RIBBON, "top", "direction 1 is periodic"),
        (lattice, "front", "known: left"),
        (gs.systems.amorphous(n_sites=8, box=3.0, min_distance=0.1, seed=0), "left", "no lattice"),
    ):
        with pytest.raises(InvalidInput, match=message):
            gs.systems.ends.named_sites(system, name)
