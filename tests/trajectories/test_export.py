"""Exported files read back: positions, spins and times, for every kind of system."""

from __future__ import annotations

import base64
import builtins
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from gnnspin.classical import Heisenberg
from gnnspin.core import InvalidInput, StoreError, random_spins
from gnnspin.dynamics import simulate
from gnnspin.systems import SpinSystem, amorphous, chain, honeycomb, read_spins, simple_cubic, square, triangular, union
from gnnspin.systems import read as read_structure
from gnnspin.systems import read_ovf as read_ovf_file
from gnnspin.trajectories import Trajectory
from gnnspin.trajectories.export import export_trajectory, write_extxyz, write_ovf, write_vtk
from gnnspin.trajectories.vtk import vtk_suffix

pytest.importorskip("ase")

SYSTEMS = {
    "cubic": (simple_cubic(2, 3, 4), ".vti"),
    "stretched": (
        SpinSystem([[0.5, 0, 0], [0.5, 2.0, 0]], cell=np.diag([3.0, 4.0, 1.0]), pbc=True, lattice_shape=(1, 2, 1)),
        ".vti",
    ),
    "triangular": (triangular(4, 3), ".vts"),
    "honeycomb": (honeycomb(3, 2), ".vtu"),
    "amorphous": (amorphous(12, 3.0, 0.5, seed=0), ".vtu"),
}


@pytest.fixture
def trajectory(tmp_path):
    system = triangular(4, 3)
    path = tmp_path / "run.h5"
    spins = random_spins(12, replicas=(3,), seed=0)
    simulate(Heisenberg(system), spins, dt=0.1, n_steps=6, damping=0.1, save_every=2, trajectory=path)
    return path


def read_vtk(path):
    """Positions (N, 3), spins and kinds in file order: a small independent reader of the three kinds."""
    root = ElementTree.parse(path).getroot()
    assert (root.get("byte_order"), root.get("header_type")) == ("LittleEndian", "UInt64")
    grid = root.find(root.get("type"))
    arrays = {element.get("Name"): decode(element) for element in root.iter("DataArray")}
    if root.get("type") == "ImageData":
        low, high = np.array(grid.get("WholeExtent").split(), dtype=int).reshape(3, 2).T
        origin, spacing = (np.array(grid.get(name).split(), dtype=float) for name in ("Origin", "Spacing"))
        z, y, x = np.meshgrid(*[np.arange(a, b + 1) for a, b in zip(low[::-1], high[::-1], strict=True)], indexing="ij")
        arrays["positions"] = np.stack([x, y, z], -1).reshape(-1, 3) * spacing + origin
    if root.get("type") == "StructuredGrid":
        extent = np.array(grid.get("WholeExtent").split(), dtype=int)
        grid_shape = (extent[1::2] - extent[::2] + 1)[::-1]
        first = arrays["positions"].reshape(*grid_shape, 3)
        assert_allclose(np.diff(first, axis=2), np.broadcast_to([1.0, 0, 0], np.diff(first, axis=2).shape), atol=1e-12)
    if root.get("type") == "UnstructuredGrid":
        n = len(arrays["spin"])
        assert arrays["connectivity"].tolist() == list(range(n))
        assert arrays["offsets"].tolist() == list(range(1, n + 1))
        assert set(arrays["types"].tolist()) == {1}
    return arrays["positions"], arrays["spin"], arrays["kind"]


def decode(element):
    kinds = {"Float64": "<f8", "Int64": "<i8", "UInt8": "<u1"}
    if element.get("format") == "ascii":
        values = np.array(element.text.split(), dtype=float).astype(kinds[element.get("type")])
    else:
        raw = base64.b64decode(element.text)
        assert np.frombuffer(raw[:8], "<u8")[0] == len(raw) - 8
        values = np.frombuffer(raw[8:], kinds[element.get("type")])
    return values.reshape(-1, int(element.get("NumberOfComponents", 1))).squeeze()


def read_ovf(path):
    """Header, positions (N, 3) and spins (N, 3) of an OVF 2.0 file: a small independent reader."""
    raw = path.read_bytes()
    assert raw.startswith(b"# OOMMF OVF 2.0\n")
    begin = raw.index(b"# Begin: Data")
    line_end = raw.index(b"\n", begin)
    lines = [line[2:].split(":", 1) for line in raw[:begin].decode().splitlines()]
    header = {line[0].strip(): line[1].strip() for line in lines if len(line) == 2 and line[0] != "Desc"}
    representation = raw[begin:line_end].decode().split(":")[1].split()[1:]
    data = raw[line_end + 1 : raw.index(f"# End: Data {' '.join(representation)}".encode(), line_end)]
    rectangular = header["meshtype"] == "rectangular"
    if rectangular:
        nodes, base, step = (
            np.array([float(header[axis + name]) for axis in "xyz"]) for name in ("nodes", "base", "stepsize")
        )
        n_values = 3 * int(nodes.prod())
    else:
        n_values = 6 * int(header["pointcount"])
    if representation == ["Text"]:
        values = np.array(data.split(), dtype=float)
    else:
        size = int(representation[1])
        numbers = np.frombuffer(data[: size * (n_values + 1)], f"<f{size}").astype(float)
        assert numbers[0] == {4: 1234567.0, 8: 123456789012345.0}[size]
        assert data[size * (n_values + 1) :] == b"\n"
        values = numbers[1:]
    assert len(values) == n_values
    if not rectangular:
        return header, values.reshape(-1, 6)[:, :3], values.reshape(-1, 6)[:, 3:]
    z, y, x = np.meshgrid(*[np.arange(int(n)) for n in nodes[::-1]], indexing="ij")
    return header, np.stack([x, y, z], -1).reshape(-1, 3) * step + base, values.reshape(-1, 3)


def assert_same_sites(system, spins, positions, found, atol=0.0):
    """Match by position, whatever the order in the file."""
    distances = np.linalg.norm(system.positions[:, None] - positions, axis=-1)
    order = distances.argmin(1)
    assert distances.min(1).max() < 1e-6
    assert sorted(order.tolist()) == list(range(system.n_sites))
    assert_allclose(found[order], spins, atol=atol, rtol=0)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("name", SYSTEMS)
def test_vtk_round_trip(name, binary, tmp_path):
    system, suffix = SYSTEMS[name]
    spins = random_spins(system.n_sites, seed=1)
    assert vtk_suffix(system) == suffix
    for ending in {suffix, ".vtu"}:
        path = tmp_path / f"a{ending}"
        write_vtk(path, system, spins, binary=binary)
        positions, found, kinds = read_vtk(path)
        assert_same_sites(system, spins.numpy(), positions, found)
        assert kinds.tolist() == [0] * system.n_sites


@pytest.mark.parametrize(("binary", "precision"), [(True, 4), (True, 8), (False, 4), (False, 8)])
@pytest.mark.parametrize("name", SYSTEMS)
def test_ovf_round_trip(name, binary, precision, tmp_path):
    system, suffix = SYSTEMS[name]
    spins = random_spins(system.n_sites, seed=1)
    write_ovf(tmp_path / "a.ovf", system, spins, binary=binary, precision=precision, time=1.5, step=3)
    header, positions, found = read_ovf(tmp_path / "a.ovf")
    assert header["meshtype"] == ("rectangular" if suffix == ".vti" else "irregular")
    assert (header["valuedim"], header["Segment count"]) == ("3", "1")
    assert_same_sites(system, spins.numpy(), positions, found, atol=1e-7 if precision == 4 else 0)
    assert "# Desc: Total simulation time: 1.5" in (tmp_path / "a.ovf").read_bytes()[:400].decode("latin1")


def test_extxyz_round_trip(tmp_path):
    from ase.io import read

    system = triangular(4, 3)
    spins = random_spins(12, replicas=(2,), seed=1)
    for k in range(2):
        write_extxyz(tmp_path / "a.xyz", system, spins[k], append=k > 0, time=0.5 * k)
    frames = read(tmp_path / "a.xyz", index=":")
    assert [atoms.info["time"] for atoms in frames] == [0.0, 0.5]
    for atoms, expected in zip(frames, spins, strict=True):
        assert_allclose(atoms.arrays["spin"], expected, atol=1e-15, rtol=0)
        assert_allclose(atoms.positions, system.positions, atol=1e-15, rtol=0)
        assert_allclose(atoms.cell[:], system.cell, atol=1e-15, rtol=0)
        assert tuple(atoms.pbc) == system.pbc
        assert atoms.arrays["kind"].tolist() == [0] * 12


@pytest.mark.parametrize("name", SYSTEMS)
def test_own_extxyz_is_read_back(name, tmp_path):
    system, _ = SYSTEMS[name]
    spins = random_spins(system.n_sites, seed=1)
    write_extxyz(tmp_path / "a.xyz", system, spins, step=7)
    back = read_structure(tmp_path / "a.xyz")
    assert (back.lattice_shape, back.pbc) == (system.lattice_shape, system.pbc)
    assert_allclose(back.positions, system.positions, atol=1e-15, rtol=0)
    assert back.species.tolist() == system.species.tolist()
    assert_allclose(read_spins(tmp_path / "a.xyz"), spins, atol=1e-15, rtol=0)


def test_extxyz_holds_elements_or_any_species_and_moments_of_ase(tmp_path):
    from ase.io import read

    positions = [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    spins = random_spins(3, seed=2)
    for species, symbols in (([26, 27, 26], ["Fe", "Co", "Fe"]), ([-1, 500, 3], ["X", "X", "X"])):
        system = SpinSystem(positions, species=species, polar_axis=[0, 0, 1])
        write_extxyz(tmp_path / "a.xyz", system, spins)
        atoms = read(tmp_path / "a.xyz")
        assert atoms.get_chemical_symbols() == symbols
        assert_allclose(atoms.get_initial_magnetic_moments(), spins, atol=1e-15, rtol=0)
        back = read_structure(tmp_path / "a.xyz")
        assert back.species.tolist() == species
        assert back.polar_axis.tolist() == [0, 0, 1]
    atoms.set_initial_magnetic_moments(None)  # as files of the previous version: vectors called spin alone
    atoms.write(tmp_path / "old.xyz")
    assert_allclose(read_spins(tmp_path / "old.xyz"), spins, atol=1e-7)


@pytest.mark.parametrize(("binary", "precision"), [(True, 4), (True, 8), (False, 8)])
@pytest.mark.parametrize("name", SYSTEMS)
def test_own_ovf_is_read_back(name, binary, precision, tmp_path):
    system, suffix = SYSTEMS[name]
    spins = random_spins(system.n_sites, seed=1)
    path = tmp_path / "a.ovf"
    write_ovf(path, system, spins, binary=binary, precision=precision)
    back = read_structure(path)
    assert_allclose(back.positions, system.positions, atol=1e-6)
    assert_allclose(read_spins(path), spins, atol=1e-7 if precision == 4 else 1e-15)
    if suffix == ".vti":
        periodic, _ = read_ovf_file(path, pbc=system.pbc)
        assert periodic.lattice_shape == system.lattice_shape
        assert_allclose(np.diag(periodic.cell)[list(system.pbc)], np.diag(system.cell)[list(system.pbc)])
    else:
        with pytest.raises(InvalidInput, match="irregular mesh"):
            read_ovf_file(path, pbc=True)


def test_cells_without_a_moment_and_damaged_ovf_files(tmp_path):
    path = tmp_path / "a.ovf"
    write_ovf(path, square(2, 2), random_spins(4, seed=0), binary=False)
    text = path.read_text(encoding="utf-8").splitlines()
    begin = text.index("# Begin: Data Text")
    path.write_text("\n".join([*text[: begin + 1], "0 0 0", *text[begin + 2 :]]), encoding="utf-8")
    system, spins = read_ovf_file(path)
    assert (system.n_sites, system.lattice_shape, len(spins)) == (3, None, 3)
    assert_allclose(system.positions[0], [0, 1, 0])  # the cell at the origin is the empty one
    write_ovf(path, square(2, 2), random_spins(4, seed=0))
    path.write_bytes(path.read_bytes()[:-80])
    with pytest.raises(StoreError, match=r"a\.ovf cannot be read as OVF 2\.0"):
        read_ovf_file(path)
    with pytest.raises(InvalidInput, match="species: an OVF file has neither"):
        read_structure(path, species="Fe")


def test_trajectory_is_exported_frame_by_frame(trajectory, tmp_path):
    from ase.io import read

    stored = Trajectory(trajectory)
    assert export_trajectory(stored, tmp_path / "run.xyz", replica=1) == [tmp_path / "run.xyz"]
    export_trajectory(stored, tmp_path / "run.xyz", replica=1)  # overwrites
    frames = read(tmp_path / "run.xyz", index=":")
    assert [atoms.info["step"] for atoms in frames] == [0, 2, 4, 6]
    assert_allclose([atoms.info["time"] for atoms in frames], stored.times)
    assert_allclose(frames[2].arrays["spin"], stored[2][1], atol=1e-15, rtol=0)

    collection, *files = export_trajectory(trajectory, tmp_path / "run.pvd", replica=2, frames=slice(1, None, 2))
    listed = ElementTree.parse(collection).getroot().findall("Collection/DataSet")
    assert [tmp_path / element.get("file") for element in listed] == files
    assert_allclose([float(element.get("timestep")) for element in listed], stored.times[1::2])
    assert [file.suffix for file in files] == [".vts", ".vts"]
    positions, found, _ = read_vtk(files[1])
    assert_same_sites(stored.system, stored[3][2], positions, found)

    files = export_trajectory(stored, tmp_path / "run.ovf", binary=False)
    assert [file.name for file in files] == [f"run_{k:06d}.ovf" for k in range(4)]
    _, positions, found = read_ovf(files[3])
    assert_same_sites(stored.system, stored[3][0], positions, found, atol=1e-8)
    stored.close()


def test_part_of_a_union(tmp_path):
    system = union([chain(3), square(2, 2)])
    path = tmp_path / "run.h5"
    simulate(Heisenberg(system), random_spins(7, seed=0), dt=0.1, n_steps=1, damping=0.1, trajectory=path)
    [file, *_] = export_trajectory(path, tmp_path / "b.ovf", part=1)
    with Trajectory(path) as stored:
        _, positions, found = read_ovf(file)
        assert_same_sites(system.parts[1], stored[0][3:], positions, found, atol=1e-7)
    with pytest.raises(InvalidInput, match="part=2"):
        export_trajectory(path, tmp_path / "c.ovf", part=2)


def test_ase_is_asked_for_by_name(monkeypatch, tmp_path):
    real = builtins.__import__

    def without_ase(name, *arguments, **options):
        if name.split(".")[0] == "ase":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_ase)
    with pytest.raises(InvalidInput, match="pip install ase"):
        write_extxyz(tmp_path / "a.xyz", chain(3), random_spins(3, seed=0))


def test_bad_input(trajectory, tmp_path):
    with pytest.raises(InvalidInput, match="format 'abc'"):
        export_trajectory(trajectory, tmp_path / "run.abc")
    with pytest.raises(InvalidInput, match="chooses none of the 4 frames"):
        export_trajectory(trajectory, tmp_path / "run.xyz", frames=slice(0, 0))
    with pytest.raises(InvalidInput, match="replica=3"):
        export_trajectory(trajectory, tmp_path / "run.xyz", replica=3)
    with pytest.raises(StoreError):
        export_trajectory(tmp_path / "none.h5", tmp_path / "run.xyz")
    with pytest.raises(InvalidInput, match=r"written as \.vts"):
        write_vtk(tmp_path / "a.vti", triangular(3, 3), random_spins(9, seed=0))
    with pytest.raises(InvalidInput, match="precision=2"):
        write_ovf(tmp_path / "a.ovf", chain(3), random_spins(3, seed=0), precision=2)
    with pytest.raises(InvalidInput, match="not a unit vector"):
        write_ovf(tmp_path / "a.ovf", chain(3), torch.zeros(3, 3))
    assert not list(tmp_path.glob("run.*[!5]"))
