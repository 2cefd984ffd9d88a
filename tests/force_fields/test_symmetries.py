"""Symmetries measured on sources whose symmetries are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

import gnnspin as gs
from gnnspin.core.source import FieldSource
from gnnspin.electrons.hopping.rules import HoppingRule
from gnnspin.force_fields.symmetries import source_symmetries, symmetry_violations
from gnnspin.systems import SpinSystem

NEAREST = gs.electrons.NearestNeighborHopping(t=1.0)
SQUARE = gs.systems.square(6, 6)


def electrons(system: SpinSystem, hopping: HoppingRule, J: float = 1.0) -> FieldSource:
    hamiltonian = gs.electrons.SDHamiltonian(system, hopping, J=J)
    return gs.electrons.ExactDiagonalization(hamiltonian, kT=0.1, mu=-0.7)


#: Real hops of a knight in one sense of rotation: C4 without mirrors, even in time.
KNIGHT = gs.electrons.CellHopping([(2, 1, 0), (-1, 2, 0), (-2, -1, 0), (1, -2, 0)], [[[-0.7]]] * 4, [0])
SPACE = {"translation", "point_group", "mirrors"}
WITH_SPINS = {"point_group_with_spins", "mirrors_with_spins"}
BROKEN = {
    "heisenberg": (gs.classical.Heisenberg(gs.systems.kagome(4, 4), J=1.0), set()),
    "double exchange": (electrons(SQUARE, NEAREST), set()),
    "cubic": (electrons(gs.systems.simple_cubic(3, 3, 3), NEAREST), set()),
    "open": (electrons(gs.systems.square(4, 5, pbc=False), NEAREST), set()),
    "dzyaloshinskii-moriya": (
        gs.classical.DzyaloshinskiiMoriya(SQUARE, D=0.4, rule="interfacial"),
        {"spin_rotation", "point_group", "mirrors", "mirrors_with_time_reversal"},
    ),
    "rashba": (
        electrons(SQUARE, NEAREST + gs.electrons.RashbaHopping(0.3)),
        {"spin_rotation", "point_group", "mirrors", "mirrors_with_time_reversal"},
    ),
    "field": (
        gs.classical.Zeeman(SQUARE, B=(0.0, 0.0, 0.3)),
        {"spin_rotation", "time_reversal", "mirrors_with_time_reversal", "mirrors_with_spins"},
    ),
    "flux": (
        electrons(SQUARE, gs.electrons.PeierlsHopping(NEAREST, flux=1 / 6)),
        {"time_reversal", "mirrors", "mirrors_with_spins"},
    ),
    "knight": (
        electrons(SQUARE, NEAREST + KNIGHT),
        {"mirrors", "mirrors_with_spins", "mirrors_with_time_reversal"},
    ),
    "current around a torus": (
        electrons(SQUARE, gs.electrons.TwistedHopping(NEAREST, (0.5, 0.0, 0.0))),
        {"time_reversal", "point_group", "mirrors", "mirrors_with_time_reversal", *WITH_SPINS},
    ),
    "disorder": (
        electrons(SQUARE, NEAREST + gs.electrons.OnsiteDisorder(1.0, seed=0)),
        {*SPACE, "mirrors_with_time_reversal", *WITH_SPINS},
    ),
}


@pytest.mark.parametrize("name", list(BROKEN))
def test_known_symmetries(name: str) -> None:
    source, broken = BROKEN[name]
    found = source_symmetries(source)
    assert found.broken == broken
    assert all(found.violations[kind] > 0.05 for kind in broken)
    assert all(found.violations[kind] < 1e-10 for kind in found.held)


@pytest.mark.parametrize("name", list(BROKEN))
def test_generators_tell_what_all_operations_tell(name: str) -> None:
    source, broken = BROKEN[name]
    few = source_symmetries(source, every=False)
    assert few.broken == {kind for kind in broken if "with" not in kind}
    assert len(few.operations) <= 12


def test_the_point_group_has_all_its_operations_in_both_sublattices() -> None:
    """The honeycomb lattice has 12 operations about a hexagon, though a site has 6."""
    found = source_symmetries(gs.classical.Heisenberg(gs.systems.honeycomb(4, 4), J=1.0))
    kinds = [operation.kind for operation in found.operations]
    assert (kinds.count("point_group"), kinds.count("mirrors"), kinds.count("translation")) == (5, 6, 2)


def test_the_odd_share_is_the_part_of_the_torque_that_changes_sign() -> None:
    """An exchange with a field: the even torque is that of the exchange, the odd one that of the field."""
    exchange = gs.classical.Heisenberg(SQUARE, J=0.5)
    field = gs.classical.Zeeman(SQUARE, B=(0.0, 0.0, 0.3))
    spins = gs.core.random_spins(36, seed=0)
    odd, both = field.torque(spins).square().mean(), (exchange + field).torque(spins).square().mean()
    share = source_symmetries(exchange + field).shares["time_reversal"]
    assert share == pytest.approx(math.sqrt(float(odd / both)), rel=1e-10)


def test_a_polar_axis_in_the_plane_leaves_its_own_mirror() -> None:
    square = gs.systems.square(4, 4)
    arrays = square.arrays() | {"polar_axis": np.array([1.0, 0.0, 0.0])}
    found = source_symmetries(gs.classical.Heisenberg(SpinSystem.from_arrays(arrays), J=1.0))
    assert [o.name for o in found.operations if o.kind in ("point_group", "mirrors")] == ["mirror"]


def test_a_source_without_a_torque_has_every_symmetry() -> None:
    assert not source_symmetries(gs.classical.Heisenberg(SQUARE, J=0.0)).broken


def test_a_union_is_tried_on_its_spins_alone() -> None:
    both = gs.systems.union([SQUARE, SQUARE])
    assert set(source_symmetries(gs.classical.Heisenberg(both, J=1.0)).violations) == {"spin_rotation", "time_reversal"}


def test_report_and_violations_name_the_same() -> None:
    source = BROKEN["flux"][0]
    found = source_symmetries(source)
    assert "mirrors with time reversal  holds" in str(found)
    assert symmetry_violations(source).keys() == {kind for kind in found.violations if "with" not in kind}
