"""Named arrays in files of other programs: .npz, .npy, .csv, HDF5 and extended XYZ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from gnnspin.core.errors import InvalidInput, StoreError
from gnnspin.systems.structures import from_ase
from gnnspin.systems.system import SpinSystem

Array = NDArray[Any]

#: What may be read, and the names by which it is looked for where none is given.
USUAL_NAMES: dict[str, tuple[str, ...]] = {
    "spins": ("spins", "spin", "S", "s", "moments", "magmoms"),
    "fields": ("fields", "field", "H", "h", "effective_field", "B_eff"),
    "torques": ("torques", "torque", "T", "t"),
    "energies": ("energies", "energy", "E", "e"),
    "steps": ("steps", "step"),
    "times": ("times", "time"),
}

_VECTORS = ("spins", "fields", "torques")
_COMPONENTS = "xyz"


@dataclass(frozen=True)
class Arrays:
    """Arrays of one system from one file.

    Attributes
    ----------
    values : dict
        Arrays by the names of `USUAL_NAMES` that were found.
    system : SpinSystem or None
        Where the file tells it.
    """

    values: dict[str, Array] = field(default_factory=dict)
    system: SpinSystem | None = None


def read_arrays(paths: Sequence[str | Path] | str | Path, names: Mapping[str, str] | None = None) -> list[Arrays]:
    """Read what is known of spins, fields, torques and energies.

    - ``.npz`` and HDF5 (``.h5``, ``.hdf5``): arrays by their names (in HDF5 with their groups).
    - ``.npy``: one array per file, so that several are given, each named in `names` by its file; or by a usual name
      that is the file's own, ``spins.npy``.
    - ``.csv``: a header and one row per site of each snapshot, columns such as ``snapshot, site, spin_x, spin_y,
      spin_z, field_x, field_y, field_z, energy``; rows without a snapshot are one, without a site in order.
    - extended XYZ: columns of three numbers by their names, the energy from the comment line, systems from the
      positions; consecutive frames of one system become one set of arrays.

    Parameters
    ----------
    paths : path or several
        Several only for ``.npy``.
    names : mapping, optional
        Names in the file of ``spins``, ``fields``, ``torques``, ``energies``, ``steps`` and ``times``; default: usual
        ones. Of a vector in a ``.csv`` the part before ``_x``.

    Raises
    ------
    StoreError
        If a file is missing or damaged.
    InvalidInput
        If a name is not in the file, several usual names are, there are no spins, or the suffix is unknown.
    """
    files = [Path(paths)] if isinstance(paths, str | Path) else [Path(each) for each in paths]
    given = dict(names or {})
    unknown = sorted(set(given) - set(USUAL_NAMES))
    if unknown:
        raise InvalidInput(f"names of {unknown}; known: {', '.join(USUAL_NAMES)}")
    for path in files:
        if not path.is_file():
            raise StoreError(f"{path} does not exist")
    suffix = files[0].suffix.lower() if files else ""
    if suffix == ".npy":
        return [Arrays(_of_single_arrays(files, given))]
    if len(files) != 1:
        raise InvalidInput(f"{len(files)} files; one is read at a time, unless all are .npy")
    readers = {
        ".npz": _of_npz,
        ".h5": _of_hdf5,
        ".hdf5": _of_hdf5,
        ".csv": _of_csv,
        ".xyz": _of_xyz,
        ".extxyz": _of_xyz,
    }
    if suffix not in readers:
        raise InvalidInput(f"{files[0]}: arrays are read from .npy and {', '.join(readers)}")
    try:
        found = readers[suffix](files[0], given)
    except (InvalidInput, StoreError):
        raise
    except Exception as error:  # each format has errors of its own
        raise StoreError(f"{files[0]} is damaged or no {suffix} file: {error}") from error
    return found


def _chosen(known: Sequence[str], names: Mapping[str, str], path: Path) -> dict[str, str]:
    """Name in the file of each quantity that it holds."""
    chosen = dict(names)
    for what, name in names.items():
        if name not in known:
            raise InvalidInput(f"{path} has no {name!r} for {what}; it has {', '.join(sorted(known)) or 'nothing'}")
    for what, usual in USUAL_NAMES.items():
        present = [name for name in usual if name in known and name not in names.values()]
        if what not in chosen and len(present) > 1:
            raise InvalidInput(f"{path} has {' and '.join(present)}; say which are the {what}")
        if what not in chosen and present:
            chosen[what] = present[0]
    if "spins" not in chosen:
        raise InvalidInput(f"{path} has {', '.join(sorted(known)) or 'nothing'}; say which are the spins")
    return chosen


def _of_npz(path: Path, names: Mapping[str, str]) -> list[Arrays]:
    with path.open("rb") as raw, np.load(raw, allow_pickle=False) as archive:  # numpy leaves a damaged file open
        chosen = _chosen(archive.files, names, path)
        return [Arrays({what: archive[name] for what, name in chosen.items()})]


def _of_hdf5(path: Path, names: Mapping[str, str]) -> list[Arrays]:
    with h5py.File(path, "r") as file:
        found: dict[str, h5py.Dataset] = {}
        file.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
        plain = {what: name.strip("/") for what, name in names.items()}
        return [Arrays({what: found[name][()] for what, name in _chosen(list(found), plain, path).items()})]


def _of_single_arrays(paths: Sequence[Path], names: Mapping[str, str]) -> dict[str, Array]:
    if any(path.suffix.lower() != ".npy" for path in paths):
        raise InvalidInput("several files are read only if all are .npy, one array each")
    by_name = {key: path for path in paths for key in (str(path), path.name, path.stem)}
    chosen = _chosen(list(by_name), names, paths[0].parent)
    try:
        return {what: np.load(by_name[name], allow_pickle=False) for what, name in chosen.items()}
    except (ValueError, OSError, EOFError) as error:
        raise StoreError(f"a file of {', '.join(map(str, paths))} is damaged or no array: {error}") from error


def _of_csv(path: Path, names: Mapping[str, str]) -> list[Arrays]:
    table: Any = np.genfromtxt(path, delimiter=",", names=True, dtype=np.float64, encoding="utf-8", deletechars="")
    table = np.atleast_1d(table)
    columns = [name.strip() for name in table.dtype.names or ()]
    table.dtype.names = tuple(columns)
    vectors = {name[:-2] for name in columns if all(f"{name[:-2]}_{c}" in columns for c in _COMPONENTS)}
    snapshot = table["snapshot"] if "snapshot" in columns else np.zeros(len(table))
    site = table["site"] if "site" in columns else np.arange(len(table))
    table = table[np.lexsort((site, snapshot))]
    numbers, counts = np.unique(snapshot, return_counts=True)
    if len(set(counts.tolist())) > 1:
        raise InvalidInput(
            f"{path}: snapshots have from {counts.min()} to {counts.max()} rows; give one per site to each"
        )
    rows = (len(numbers), int(counts[0]))
    values: dict[str, Array] = {}
    for what, name in _chosen([*vectors, *columns], names, path).items():
        if what in _VECTORS:
            values[what] = np.stack([table[f"{name}_{c}"] for c in _COMPONENTS], axis=-1).reshape(*rows, 3)
        else:
            column = table[name].reshape(rows)
            if not (column == column[:, :1]).all():
                raise InvalidInput(f"{path}: {name} differs from row to row of a snapshot; it is one number of each")
            values[what] = column[:, 0]
    return [Arrays(values)]


def _of_xyz(path: Path, names: Mapping[str, str]) -> list[Arrays]:
    return list(_sets_of_frames(path, names))


def _sets_of_frames(path: Path, names: Mapping[str, str]) -> Iterator[Arrays]:
    """Arrays of consecutive frames that have one system."""
    import ase.io

    frames = []
    for atoms in ase.io.iread(path, index=":"):
        columns = {**atoms.arrays, **{key: value for key, value in atoms.info.items() if np.ndim(value) == 0}}
        if atoms.calc is not None:
            columns |= {"magmoms" if key == "magmoms" else key: value for key, value in atoms.calc.results.items()}
        chosen = _chosen(list(columns), names, path)
        frames.append((from_ase(atoms), {what: np.asarray(columns[name]) for what, name in chosen.items()}))
    for _, group in groupby(frames, key=lambda frame: frame[0].fingerprint):
        members = list(group)
        common = set.intersection(*(set(values) for _, values in members))
        yield Arrays({what: np.stack([values[what] for _, values in members]) for what in common}, members[0][0])
