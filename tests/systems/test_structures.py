"""Structures in and out through ASE."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk, graphene
from ase.calculators.singlepoint import SinglePointCalculator

import gnnspin as gs
from gnnspin.core import random_spins
from gnnspin.core.errors import InvalidInput, StoreError
from gnnspin.graphs import GraphSpec, radius_graph
from gnnspin.systems import from_ase, spins_from_ase, to_ase
from gnnspin.systems.lattice import is_lattice

MNO_CIF = """data_MnO
_cell_length_a 4.44
_cell_length_b 4.44
_cell_length_c 4.44
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
_symmetry_Int_Tables_number 225
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Mn1 Mn 0 0 0
O1 O 0.5 0.5 0.5
"""


def test_cif_repeated_is_a_lattice(tmp_path: Path) -> None:
    """The manganese of MnO: an fcc lattice, 12 neighbours at a / sqrt(2), shells that a model of a lattice takes."""
    path = tmp_path / "mno.cif"
    path.write_text(MNO_CIF)
    system = gs.systems.read(path, species="Mn", repeat=(2, 3, 2))
    assert (system.n_sites, system.n_basis, system.lattice_shape) == (48, 4, (2, 3, 2))
    assert set(system.species.tolist()) == {25}
    assert is_lattice(system)
    graph = radius_graph(system, 3.2)
    assert torch.allclose(graph.edge_distance, torch.tensor(4.44 / 2**0.5, dtype=torch.float64))
    assert graph.edge_index.shape[1] == 12 * 48
    assert GraphSpec.for_system(system, 3.2).shells is not None
    assert gs.systems.read(path).n_sites == 8


def test_repeated_crystal_equals_the_lattice_builder() -> None:
    atoms = bulk("Fe", "bcc", a=2 / 3**0.5)
    system, expected = from_ase(atoms, repeat=3), gs.systems.bcc(3, 3, 3)
    ours, theirs = radius_graph(system, 1.2), radius_graph(expected, 1.2)
    assert torch.allclose(ours.edge_distance.sort()[0], theirs.edge_distance.sort()[0])
    assert np.allclose(system.cell, expected.cell)
    assert np.allclose(system.positions, expected.positions)
    assert np.allclose(from_ase(atoms.repeat(3)).positions, system.positions)  # ASE's order is ours


def test_partly_periodic() -> None:
    """Graphene: two periodic directions and no third cell vector."""
    atoms = graphene(size=(1, 1, 1), vacuum=None)
    assert not atoms.cell[2].any()
    system = from_ase(atoms, repeat=(4, 4, 1))
    assert system.pbc == (True, True, False)
    assert radius_graph(system, 1.5).edge_index.shape[1] == 3 * 32


@pytest.mark.parametrize("suffix", ["extxyz", "traj"])
@pytest.mark.parametrize(
    "system",
    [
        gs.systems.triangular(3, 4),
        gs.systems.square(3, 2, pbc=(True, False)),
        gs.systems.amorphous(20, 3.0, 0.5, seed=0),
        gs.systems.SpinSystem([[0, 0, 0], [1.5, 0, 0]], cell=np.diag([3, 4, 5]), pbc=True, species=[26, 27]),
    ],
    ids=repr,
)
def test_round_trip(tmp_path: Path, suffix: str, system: gs.systems.SpinSystem) -> None:
    spins = random_spins(system.n_sites, seed=1)
    path = tmp_path / f"structure.{suffix}"
    gs.systems.write(path, system, spins)
    back = gs.systems.read(path)
    assert (back.pbc, back.lattice_shape) == (system.pbc, system.lattice_shape)
    assert np.allclose(back.positions, system.positions, atol=0, rtol=0)
    assert np.allclose(back.cell, system.cell, atol=0, rtol=0)
    assert np.array_equal(back.species, system.species)
    assert torch.allclose(gs.systems.read_spins(path), spins, atol=1e-15, rtol=0)


def test_round_trip_in_memory_is_exact() -> None:
    system, spins = gs.systems.honeycomb(3, 3), random_spins(18, seed=2)
    atoms = to_ase(system, spins)
    assert from_ase(atoms) == system
    assert torch.allclose(spins_from_ase(atoms), spins, atol=1e-15)


def test_a_changed_crystal_is_no_lattice() -> None:
    """The noted shape is dropped where the positions no longer agree with it."""
    atoms = to_ase(gs.systems.square(4, 4))
    assert from_ase(atoms).lattice_shape == (4, 4, 1)
    atoms.positions[3, 0] += 0.1
    assert from_ase(atoms).lattice_shape is None
    doubled = to_ase(gs.systems.square(4, 4)).repeat((2, 1, 1))
    assert from_ase(doubled).lattice_shape is None
    assert from_ase(to_ase(gs.systems.square(4, 4))[:7]).lattice_shape is None


def test_cif_without_spins(tmp_path: Path) -> None:
    system = from_ase(bulk("Fe"), repeat=2)
    gs.systems.write(tmp_path / "iron.cif", system)
    assert gs.systems.read(tmp_path / "iron.cif").n_sites == 8
    with pytest.raises(InvalidInput, match="extxyz"):
        gs.systems.write(tmp_path / "iron.cif", system, random_spins(8, seed=0))


def test_moments() -> None:
    """Collinear moments lie along z, lengths are dropped, calculated moments come first, copies repeat."""
    atoms = Atoms("FeOFe", positions=[[0, 0, 0], [1, 0, 0], [2, 0, 0]], cell=[4, 4, 4], pbc=True)
    atoms.set_initial_magnetic_moments([2.2, 0.0, -2.2])
    expected = torch.tensor([[0, 0, 1], [0, 0, -1]], dtype=torch.float64)
    assert torch.equal(spins_from_ase(atoms, species="Fe"), expected)
    assert torch.equal(spins_from_ase(atoms, species="Fe", repeat=(2, 1, 1)), expected.repeat(2, 1))
    assert from_ase(atoms, species="Fe", repeat=(2, 1, 1)).n_sites == 4
    with pytest.raises(InvalidInput, match=r"site 1 \(O\) has no magnetic moment"):
        spins_from_ase(atoms)
    atoms.calc = SinglePointCalculator(atoms, magmoms=np.array([[0, 3.0, 0], [0, 0, 0], [1.0, 0, 0]]))
    assert torch.equal(spins_from_ase(atoms, species=["Fe"])[:, :2], torch.tensor([[0, 1.0], [1, 0]]).double())


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="does not exist"):
        gs.systems.read(tmp_path / "nothing.cif")
    (tmp_path / "damaged.cif").write_text("nonsense")
    with pytest.raises(StoreError, match="cannot be read"):
        gs.systems.read(tmp_path / "damaged.cif")
    with pytest.raises(InvalidInput, match="there are no atoms"):
        from_ase(Atoms())
    with pytest.raises(InvalidInput, match="selects none"):
        from_ase(bulk("Fe"), species="Mn")
    with pytest.raises(InvalidInput, match="'Xx' is no chemical symbol"):
        from_ase(bulk("Fe"), species="Xx")
    with pytest.raises(InvalidInput, match=r"direction 1 .* no cell vector"):
        from_ase(Atoms("Fe", cell=[3, 0, 0], pbc=[True, True, False]))
    with pytest.raises(InvalidInput, match="repeat=0"):
        from_ase(bulk("Fe"), repeat=0)
    with pytest.raises(InvalidInput, match="union"):
        to_ase(gs.systems.union([gs.systems.chain(3), gs.systems.chain(4)]))
    with pytest.raises(InvalidInput, match="replica"):
        to_ase(gs.systems.chain(3), random_spins(3, replicas=(2,), seed=0))
    with pytest.raises(InvalidInput, match="format"):
        gs.systems.write(tmp_path / "chain.unheard", gs.systems.chain(3))
    with pytest.raises(StoreError, match="cannot be written"):
        gs.systems.write(tmp_path / "missing" / "chain.extxyz", gs.systems.chain(3))


@pytest.mark.parametrize("pbc", [True, False])
@pytest.mark.parametrize("shift", [[0, 0, 0], [1, 0, 0], [2, -1, 3]])
def test_coinciding_sites(pbc: bool, shift: list[int]) -> None:
    """Two sites at one place, or at images of one place in a skew cell."""
    cell = np.array([[3.0, 0, 0], [1.4, 2.7, 0], [0.3, 0.2, 3.3]])
    positions = np.array([[0.1, 0.1, 0.1], [1.5, 1.5, 1.0], [0.1, 0.1, 0.1 + 1e-5]])
    positions[2] += shift @ cell
    atoms = Atoms("Fe3", positions=positions, cell=cell, pbc=pbc)
    if pbc or not any(shift):
        with pytest.raises(InvalidInput, match="sites 0 and 2 coincide"):
            from_ase(atoms)
    else:
        assert from_ase(atoms).n_sites == 3


def test_numpy_integers_repeat_as_integers_do() -> None:
    expected = from_ase(bulk("Fe"), repeat=2)
    for repeat in (np.int64(2), np.array([2, 2, 2]), [2, 2, 2], (np.int32(2), 2, 2.0)):
        assert from_ase(bulk("Fe"), repeat=repeat) == expected  # type: ignore[arg-type]
    for bad in ("2", (2, 2), 2.5, (1, 2, "x")):
        with pytest.raises(InvalidInput, match="repeat="):
            from_ase(bulk("Fe"), repeat=bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("a", [5e-9, 1e6])
def test_structures_in_any_unit_of_length(a: float) -> None:
    """Neither taken for coinciding sites where the unit is large, nor the reverse where it is small."""
    atoms = Atoms("Fe2", [[0, 0, 0], [0.5 * a, 0.5 * a, 0.5 * a]], cell=[a, a, a], pbc=True)
    assert from_ase(atoms, repeat=2).spacing == pytest.approx(0.75**0.5 * a)
    double = Atoms("Fe2", [[0, 0, 0], [1e-4 * a, 0, a]], cell=[a, a, a], pbc=True)
    with pytest.raises(InvalidInput, match="sites 0 and 1 coincide"):
        from_ase(double)


def test_partial_occupancy_warns(tmp_path: Path) -> None:
    header, loop = MNO_CIF.split("loop_")
    rows = loop.replace("_atom_site_fract_z\n", "_atom_site_fract_z\n_atom_site_occupancy\n")
    text = header + "loop_" + rows.replace("Mn 0 0 0", "Mn 0 0 0 0.7").replace("O 0.5 0.5 0.5", "O 0.5 0.5 0.5 1")
    (tmp_path / "a.cif").write_text(text, encoding="utf-8")
    with pytest.warns(UserWarning, match=r"occupied in part \(Mn 0\.7\) become full spins"):
        gs.systems.read(tmp_path / "a.cif", species="Mn")
    assert gs.systems.read(tmp_path / "a.cif", species="O").n_sites == 4


MCIF = """data_test
_cell_length_a {a}
_cell_length_b {a}
_cell_length_c 5.0
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma {gamma}
loop_
_space_group_symop_magn_operation.id
_space_group_symop_magn_operation.xyz
{operations}
loop_
_space_group_symop_magn_centering.id
_space_group_symop_magn_centering.xyz
{centrings}
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Fe1 Fe {site}
O1 O 0 0 0.25
loop_
_atom_site_moment.label
_atom_site_moment.crystalaxis_x
_atom_site_moment.crystalaxis_y
_atom_site_moment.crystalaxis_z
Fe1 {moment}
"""


def test_magnetic_cif_of_layers_that_alternate(tmp_path: Path) -> None:
    """Centring by half a cell with time reversal: iron layers along c with opposite moments."""
    text = MCIF.format(
        a=3.0, gamma=90, operations="1 x,y,z,+1\n2 -x,-y,-z,+1", centrings="1 x,y,z,+1\n2 x,y,z+1/2,-1",
        site="0 0 0", moment="0 1.5 2.0",
    )  # fmt: skip
    (tmp_path / "a.mcif").write_text(text, encoding="utf-8")
    system = gs.systems.read(tmp_path / "a.mcif", species="Fe")
    assert np.allclose(system.positions, [[0, 0, 0], [0, 0, 2.5]])
    up = torch.tensor([0.0, 0.6, 0.8], dtype=torch.float64)
    assert torch.allclose(gs.systems.read_spins(tmp_path / "a.mcif", species="Fe"), torch.stack([up, -up]))
    assert gs.systems.read(tmp_path / "a.mcif").n_sites == 4
    assert gs.systems.read(tmp_path / "a.mcif", species="Fe", repeat=(2, 2, 1)).lattice_shape == (2, 2, 1)


def test_magnetic_cif_on_hexagonal_axes(tmp_path: Path) -> None:
    """Three sites on a three-fold axis, moments along their own crystal axes: a triangular 120-degree state."""
    text = MCIF.format(
        a=4.0, gamma=120, operations="1 x,y,z,+1\n2 -y,x-y,z,+1\n3 -x+y,-x,z,+1\n4 x,y,-z,+1",
        centrings="1 x,y,z,+1", site="0.3 0 0", moment="0 0 3.0",
    )  # fmt: skip
    (tmp_path / "axial.mcif").write_text(text, encoding="utf-8")
    spins = gs.systems.read_spins(tmp_path / "axial.mcif", species="Fe")
    assert torch.allclose(spins, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(3, 3))
    radial = text.replace("4 x,y,-z,+1", "4 x,y,-z,-1").replace("0 0 3.0", "3.0 0 0")
    (tmp_path / "radial.mcif").write_text(radial, encoding="utf-8")
    spins = gs.systems.read_spins(tmp_path / "radial.mcif", species="Fe")
    third = 2 * np.pi / 3
    expected = [[np.cos(k * third), np.sin(k * third), 0] for k in range(3)]
    assert np.allclose(spins, expected, atol=1e-12)
    assert np.allclose(spins.sum(0), 0, atol=1e-12)
    (tmp_path / "none.mcif").write_text(MNO_CIF, encoding="utf-8")
    with pytest.raises(StoreError, match=r"none\.mcif cannot be read as a magnetic CIF"):
        gs.systems.read(tmp_path / "none.mcif")


def test_several_structures_at_once_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="index=':' must be the number of one structure"):
        gs.systems.read(tmp_path / "a.xyz", index=":")  # type: ignore[arg-type]
