"""Structures in and out: ASE atoms and every file format that ASE reads and writes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gnnspin.core.errors import InvalidInput, StoreError
from gnnspin.core.spins import as_spins
from gnnspin.runs import replaced
from gnnspin.systems.distances import pairs_within
from gnnspin.systems.extended_xyz import write_extended_xyz
from gnnspin.systems.lattice import cell_indices, is_lattice
from gnnspin.systems.magnetic_cif import read_magnetic_cif
from gnnspin.systems.ovf import read_ovf
from gnnspin.systems.system import FloatArray, SpinSystem

if TYPE_CHECKING:  # ase takes long to import
    from ase import Atoms

#: Sites closer than this part of the mean spacing of the sites coincide.
OVERLAP = 1e-3
#: Formats that store magnetic moments as vectors.
_WITH_MOMENTS = ("extxyz", "traj")
_LATTICE_SHAPE, _POLAR_AXIS = "lattice_shape", "polar_axis"
#: Suffixes of OVF files.
_OVF = (".ovf", ".omf", ".ohf")
#: Columns of extended XYZ files that this package writes: species of the sites, and unit spins.
_KIND, _SPIN = "kind", "spin"

Species = str | int | Sequence[str | int]


def from_ase(
    atoms: Atoms, *, species: Species | None = None, repeat: int | tuple[int, int, int] | None = None
) -> SpinSystem:
    """Spin system of the atoms, in the units of their positions.

    Parameters
    ----------
    atoms : ase.Atoms
        Cell and periodic directions are kept; cell vectors that are missing in open directions are completed.
    species : symbol, atomic number, or several, optional
        The magnetic atoms; default all. The system's ``species`` are the integers of an array ``kind``, as `to_ase`
        writes it, else atomic numbers (0 for ASE's dummy atom X).
    repeat : int or three ints, optional
        Number of copies of the cell along its vectors. The result is a lattice: ``lattice_shape`` is `repeat`, so that
        models run on their lattice path. Without it, the shape that `to_ase` noted is kept if it is still true.

    Returns
    -------
    SpinSystem
        See `spins_from_ase` for the magnetic moments.

    Raises
    ------
    InvalidInput
        If no atom is selected, a periodic direction has no cell vector, or two sites coincide.

    Examples
    --------
    >>> from ase.build import bulk
    >>> from_ase(bulk("Fe"), repeat=4).lattice_shape
    (4, 4, 4)
    """
    shape = _copies(repeat)
    chosen = _selected(atoms, species)
    for direction, (periodic, vector) in enumerate(zip(chosen.pbc, chosen.cell, strict=True)):
        if periodic and not np.any(vector):
            raise InvalidInput(f"direction {direction} of the atoms is periodic but has no cell vector; set atoms.cell")
    cell = np.array(chosen.cell.complete())
    numbers = np.array(chosen.arrays.get(_KIND, chosen.numbers))
    if shape is None:
        positions = np.array(chosen.positions)
        shape = _noted_shape(atoms, positions, cell)
    else:
        offsets = cell_indices(shape)
        positions = ((offsets @ cell)[:, None] + chosen.positions).reshape(-1, 3)
        numbers, cell = np.tile(numbers, len(offsets)), cell * np.array(shape)[:, None]
    _warn_of_partial_occupancy(atoms, species)
    pbc, axis = [bool(p) for p in chosen.pbc], atoms.info.get(_POLAR_AXIS)
    system = SpinSystem(positions, cell, pbc, numbers, lattice_shape=shape, polar_axis=axis)
    _require_distinct(system)
    return system


def spins_from_ase(
    atoms: Atoms, *, species: Species | None = None, repeat: int | tuple[int, int, int] | None = None
) -> Tensor:
    """Directions of the atoms' magnetic moments, (N, 3), for the sites of `from_ase` with the same arguments.

    Moments are the calculated ones where there are any, else the initial ones, else the vectors of an array ``spin``.
    Collinear moments lie along z. Lengths are dropped: spins are unit vectors.

    Raises
    ------
    InvalidInput
        If no atom is selected, or a selected atom has no moment.
    """
    chosen = _selected(atoms, species)
    moments = _moments(atoms)[_mask(atoms, species)].astype(float)
    if moments.ndim == 1:
        moments = moments[:, None] * np.array([0.0, 0.0, 1.0])
    length = np.linalg.norm(moments, axis=1)
    if (length == 0).any():
        site = int(np.argmin(length))
        raise InvalidInput(
            f"site {site} ({chosen[site].symbol}) has no magnetic moment; set it, or choose the magnetic atoms "
            "with species="
        )
    copies = int(np.prod(_copies(repeat) or (1, 1, 1)))
    return torch.from_numpy(np.tile(moments / length[:, None], (copies, 1)))


def _moments(atoms: Atoms) -> np.ndarray:
    results = getattr(atoms.calc, "results", {})
    if "magmoms" in results:
        return np.asarray(results["magmoms"])
    initial = atoms.get_initial_magnetic_moments()
    return np.asarray(initial if initial.any() else atoms.arrays.get(_SPIN, initial))


def to_ase(system: SpinSystem, spins: Tensor | None = None) -> Atoms:
    """ASE atoms of a system; species are atomic numbers, 0 the dummy atom X.

    Species that are no atomic numbers become atoms X with an integer array ``kind``. Lattice shape and polar axis are
    noted in ``atoms.info``; `from_ase` reads all of this.

    Parameters
    ----------
    system : SpinSystem
        Not a union.
    spins : (N, 3), optional
        Become the initial magnetic moments, vectors of length 1.

    Raises
    ------
    InvalidInput
        If the system is a union, or the spins do not fit.
    """
    from ase import Atoms
    from ase.data import atomic_numbers

    if system.n_graphs > 1:
        raise InvalidInput("a union has no single structure; convert each of system.parts")
    elements = system.species.min() >= 0 and system.species.max() <= max(atomic_numbers.values())
    numbers = system.species if elements else np.zeros_like(system.species)
    atoms = Atoms(numbers=numbers, positions=system.positions, cell=system.cell, pbc=system.pbc)
    if not elements:
        atoms.set_array(_KIND, system.species.copy())
    if system.polar_axis is not None:
        atoms.info[_POLAR_AXIS] = np.array(system.polar_axis)
    if system.lattice_shape is not None:
        atoms.info[_LATTICE_SHAPE] = np.array(system.lattice_shape)
    if spins is not None:
        if spins.ndim != 2:
            raise InvalidInput(f"spins have shape {tuple(spins.shape)}; convert one replica (n_sites, 3) at a time")
        atoms.set_initial_magnetic_moments(as_spins(spins, system.n_sites).detach().cpu().double().numpy())
    return atoms


def read(path: str | Path, *, index: int = -1, **options: Any) -> SpinSystem:
    """Spin system of a structure file (CIF, mCIF, extended XYZ, POSCAR, OVF, ...); the format follows from the name.

    Of an mCIF file all atoms of the cell are read, of an OVF file what `read_ovf` gives.

    Parameters
    ----------
    path : path
    index : int
        Which structure of a file with several; default the last.
    **options
        `species` and `repeat` of `from_ase`.

    Raises
    ------
    StoreError
        If the file is missing or ASE cannot read it.
    InvalidInput
        See `from_ase`.

    Examples
    --------
    >>> gs.systems.read("MnSi.cif", species="Mn", repeat=(6, 6, 6))        # doctest: +SKIP
    """
    if Path(path).suffix.lower() in _OVF:
        return _read_ovf(path, options)[0]
    return from_ase(_atoms(path, index), **options)


def read_spins(path: str | Path, *, index: int = -1, **options: Any) -> Tensor:
    """Directions (N, 3) of the magnetic moments in a structure file; arguments as in `read`.

    Raises
    ------
    StoreError
        If the file is missing or ASE cannot read it.
    InvalidInput
        If an atom has no moment.
    """
    if Path(path).suffix.lower() in _OVF:
        return _read_ovf(path, options)[1]
    return spins_from_ase(_atoms(path, index), **options)


def _read_ovf(path: str | Path, options: dict[str, Any]) -> tuple[SpinSystem, Tensor]:
    if options:
        raise InvalidInput(f"{', '.join(options)}: an OVF file has neither species nor a unit cell; leave this out")
    return read_ovf(path)


def write(path: str | Path, system: SpinSystem, spins: Tensor | None = None) -> None:
    """Write a structure file in one step; the format follows from the name. Spins need extended XYZ or traj.

    Both keep a lattice shape, too, and every digit of positions and spins.

    Raises
    ------
    InvalidInput
        If the format is unknown or cannot hold the spins, and as in `to_ase`.
    StoreError
        If the file cannot be written.
    """
    from ase import io

    atoms = to_ase(system, spins)
    target = Path(path)
    if not target.parent.is_dir():
        raise StoreError(f"{target} cannot be written: folder {target.parent} does not exist")
    try:
        kind = io.formats.filetype(str(target), read=False, guess=True)
        if spins is not None and kind not in _WITH_MOMENTS:
            raise InvalidInput(f"format {kind} holds no vector moments; write {target.stem}.extxyz, or leave out spins")
        if kind == "extxyz" and target.suffix in (".xyz", ".extxyz"):
            write_extended_xyz(target, atoms)
            return
        with replaced(target) as temporary:
            named = temporary.with_name(f"{temporary.name}{target.suffix}")  # a suffix may ask for compression
            try:
                io.write(named, atoms, format=kind)
                named.replace(temporary)
            finally:
                named.unlink(missing_ok=True)
    except io.formats.UnknownFileTypeError as error:
        raise InvalidInput(f"{target.name}: unknown structure format {error}; use .extxyz or .cif, say") from error
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error}") from error


def _atoms(path: str | Path, index: int) -> Atoms:
    from ase import io

    source = Path(path)
    if not isinstance(index, int | np.integer):
        raise InvalidInput(f"index={index!r} must be the number of one structure; ase.io.read(path, ':') gives all")
    if not source.is_file():
        raise StoreError(f"{source} does not exist; give the path of a structure file")
    if source.suffix.lower() == ".mcif":
        return read_magnetic_cif(source)
    try:
        atoms = io.read(source, index=index)
    except Exception as error:  # every reader of ASE raises its own
        raise StoreError(f"{source} cannot be read as a structure: {error!r}") from error
    return atoms


def _copies(repeat: int | tuple[int, int, int] | None) -> tuple[int, int, int] | None:
    if repeat is None:
        return None
    copies = np.asarray(repeat)
    whole = np.issubdtype(copies.dtype, np.number) and copies.shape in ((), (3,)) and bool((copies % 1 == 0).all())
    if not whole or (copies < 1).any():
        raise InvalidInput(f"repeat={repeat!r} must be one integer or three, all at least 1")
    a, b, c = np.broadcast_to(copies, 3).astype(int).tolist()
    return a, b, c


def _mask(atoms: Atoms, species: Species | None) -> np.ndarray:
    from ase.data import atomic_numbers

    if species is None:
        return np.ones(len(atoms), dtype=bool)
    wanted = [species] if isinstance(species, str | int) else list(species)
    unknown = [name for name in wanted if isinstance(name, str) and name not in atomic_numbers]
    if unknown:
        raise InvalidInput(f"species={species}: {unknown[0]!r} is no chemical symbol")
    numbers = [atomic_numbers[name] if isinstance(name, str) else int(name) for name in wanted]
    return np.isin(atoms.numbers, numbers)


def _selected(atoms: Atoms, species: Species | None) -> Atoms:
    chosen = atoms[_mask(atoms, species)]
    if len(chosen) == 0:
        present = sorted(set(atoms.get_chemical_symbols()))
        raise InvalidInput(
            f"no atoms: species={species} selects none of {present}" if present else "there are no atoms"
        )
    return chosen


def _noted_shape(atoms: Atoms, positions: FloatArray, cell: FloatArray) -> tuple[int, int, int] | None:
    """Lattice shape that `to_ase` noted, if the positions still form that lattice."""
    noted = np.asarray(atoms.info.get(_LATTICE_SHAPE, ()))
    if noted.shape != (3,) or len(positions) % int(noted.prod()):
        return None
    shape = int(noted[0]), int(noted[1]), int(noted[2])
    pbc = [bool(p) for p in atoms.pbc]
    return shape if is_lattice(SpinSystem(positions, cell, pbc, lattice_shape=shape)) else None


def _warn_of_partial_occupancy(atoms: Atoms, species: Species | None) -> None:
    """Warn of sites that a structure file fills with atoms in part only: each becomes a whole spin."""
    occupancy = atoms.info.get("occupancy") or {}
    kinds = atoms.arrays.get("spacegroup_kinds")
    if not occupancy or kinds is None:
        return
    partial = {
        f"{symbol} {share:g}"
        for kind in set(kinds[_mask(atoms, species)].tolist())
        for symbol, share in occupancy.get(str(kind), occupancy.get(kind, {})).items()
        if share < 1
    }
    if partial:
        warnings.warn(
            f"sites that are occupied in part ({', '.join(sorted(partial))}) become full spins; remove some of them, "
            "or give simulate(vacancies=...)",
            stacklevel=4,
        )


def _require_distinct(system: SpinSystem) -> None:
    """Raise InvalidInput where two sites, or images of them, coincide."""
    if system.n_sites == 1:
        return
    extents = np.where(system.pbc, np.linalg.norm(system.cell, axis=1), np.ptp(system.positions, axis=0))
    extents = extents[extents > 0]
    i, j = np.array([0]), np.array([1])
    if len(extents):
        spacing = float((extents.prod() / system.n_sites) ** (1 / len(extents)))
        i, j, _ = pairs_within(system, OVERLAP * spacing)
    if len(i):
        first, second = sorted((int(i[0]), int(j[0])))
        where = system.positions[first].tolist()
        raise InvalidInput(f"sites {first} and {second} coincide at {where}; remove one of them")
