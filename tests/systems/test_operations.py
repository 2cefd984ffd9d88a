"""Space-group operations as permutations of the sites of a finite system."""

from __future__ import annotations

import pytest

import gnnspin as gs
from gnnspin.systems import SpinSystem
from gnnspin.systems.operations import site_operations


@pytest.mark.parametrize(
    ("system", "proper", "improper", "translations"),
    [
        (gs.systems.chain(6), 0, 1, 1),
        (gs.systems.square(4, 4), 3, 4, 2),
        (gs.systems.square(4, 5), 1, 2, 2),
        (gs.systems.square(4, 4, pbc=False), 3, 4, 0),
        (gs.systems.square(4, 5, pbc=(True, False, False)), 1, 2, 1),
        (gs.systems.triangular(4, 4), 5, 6, 2),
        (gs.systems.kagome(3, 3), 5, 6, 2),
        (gs.systems.simple_cubic(3, 3, 3), 23, 24, 3),
        (gs.systems.pyrochlore(2, 2, 2), 23, 24, 3),
        (gs.systems.amorphous(30, 3.4, 0.5, seed=0), 0, 0, 0),
    ],
)
def test_numbers_of_operations(system: SpinSystem, proper: int, improper: int, translations: int) -> None:
    kinds = [operation.kind for operation in site_operations(system)]
    assert [kinds.count(kind) for kind in ("point_group", "mirrors", "translation")] == [proper, improper, translations]


def test_operations_do_not_depend_on_the_unit_of_length() -> None:
    square = gs.systems.square(4, 4)
    for scale in (1e-3, 1e3):
        arrays = square.arrays() | {"positions": scale * square.positions, "cell": scale * square.cell}
        assert len(site_operations(SpinSystem.from_arrays(arrays))) == len(site_operations(square))


def test_species_are_not_exchanged() -> None:
    square = gs.systems.square(4, 4)
    striped = SpinSystem.from_arrays(square.arrays() | {"species": square.positions[:, 0].round().astype(int) % 2})
    kinds = [operation.name for operation in site_operations(striped)]
    assert "rotation by 90 degrees" not in kinds
    assert "rotation by 180 degrees" in kinds
