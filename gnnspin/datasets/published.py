"""Readers of published data sets of exact fields.

The files are not part of the package: they are looked for in `directory`, in the environment variable
``GNNSPIN_DATA``, then in ``../shared/data``. Arrays on the square lattice are stored (y, x); here the first Bravais
index is x and the second y, so that site ``i = x * L_y + y`` sits at ``(x, y, 0)``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnspin.core.errors import InvalidInput, StoreError
from gnnspin.core.spins import normalize
from gnnspin.datasets.in_memory import LabelsInMemory
from gnnspin.datasets.labels import StackedLabels
from gnnspin.systems import square

Arrays = dict[str, NDArray[Any]]

_KONDO = {
    "source": "github.com/Miyazaki-Yu/ecnn4klm",
    "reference": "Mach. Learn.: Sci. Technol. 4, 045006 (2023)",
    "hamiltonian": {"t": 1.0, "J": 3.5},
    "solver": {"kT": 0.0, "n_electrons": 864, "filling": 0.48},
    "sampler": {"kind": "random"},
}
_DOUBLE_EXCHANGE = {
    "source": "github.com/cherngroupUVA/ML_double_exchange",
    "reference": "arXiv:2006.04205",
    "hamiltonian": {"t": 1.0, "J": 6.0},
    "solver": {"n_electrons": 873, "filling": 0.485},
}
_DRIVEN_WALL = {
    "source": "github.com/cherngroupUVA/ML_non_equilibrium_de",
    "reference": "npj Comput. Mater. 9, 32 (2023)",
    "hamiltonian": {"t": 1.0, "J": 3.8},
    "solver": {"kT": 0.0025, "conservative": False, "contacts": "both x ends, voltage along x"},
    "sampler": {"kind": "driven wall", "damping": 0.55, "dt": 0.5},
}


class PublishedLabels(LabelsInMemory):
    """One published set: R snapshots of one system. Parameters are a name and those of `LabelsInMemory`."""

    def __init__(self, name: str, labels: StackedLabels, provenance: list[dict[str, Any]]) -> None:
        super().__init__(labels, provenance)
        self.name = name

    def __repr__(self) -> str:
        return f"PublishedLabels({self.name!r}, {len(self)} labels of {self.systems[0]})"


def available() -> tuple[str, ...]:
    """Names that `load` takes."""
    return tuple(_SETS)


def load(name: str, directory: str | Path | None = None) -> PublishedLabels:
    """Read a published set.

    Parameters
    ----------
    name : str
        One of `available`: ``kondo_square_random``, ``double_exchange_square/quench`` (one trajectory: split it by
        blocks of steps), ``double_exchange_square/random`` or ``driven_wall_negf`` (a driven system: no energy).
        Another file of the same folder and layout is read by ``folder/file``, such as ``kondo_square_random/test``.
    directory : path, optional
        Folder that holds the sets; default ``GNNSPIN_DATA``, then ``../shared/data``.

    Returns
    -------
    PublishedLabels
        Normalised float64 spins; what was published about the Hamiltonian and the solver in each label's provenance.

    Raises
    ------
    InvalidInput
        If the name is unknown.
    StoreError
        If the folder or a file is missing or damaged; the message says where it was looked for.
    """
    folder, _, file = name.partition("/")
    if folder not in _READERS or (name not in _SETS and not file):
        raise InvalidInput(f"unknown published set {name!r}; known: {', '.join(_SETS)}")
    files = _SETS.get(name, [f"{folder}/{file}"])
    root = data_directory(directory)
    contents = [(Path(path).name, _read(root / f"{path}.npz")) for path in files]
    try:
        return _READERS[folder](name, contents)
    except KeyError as error:
        raise StoreError(f"a file of {name!r} in {root} has no array {error}") from error


def data_directory(directory: str | Path | None = None) -> Path:
    """Folder of the published sets: `directory`, else ``GNNSPIN_DATA``, else ``../shared/data``.

    Raises
    ------
    StoreError
        If there is no such folder.
    """
    given = directory or os.environ.get("GNNSPIN_DATA") or Path("..", "shared", "data")
    path = Path(given).expanduser()
    if not path.is_dir():
        raise StoreError(f"no folder of published data at {path}; set GNNSPIN_DATA to it or give directory=")
    return path


def _read(path: Path) -> Arrays:
    if not path.is_file():
        raise StoreError(f"published data file {path} does not exist; set GNNSPIN_DATA to the folder that holds it")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except Exception as error:  # numpy raises ValueError, OSError, BadZipFile or KeyError
        raise StoreError(f"{path} is damaged or not an npz archive: {error}") from error


def _sites(values: NDArray[Any]) -> Tensor:
    """(R, y, x, ...) to (R, N, ...) with site order x * L_y + y, float64."""
    swapped = np.swapaxes(values, 1, 2).astype(np.float64)
    return torch.from_numpy(np.ascontiguousarray(swapped).reshape(len(values), -1, *values.shape[3:]))


def _constant(value: float, length: int) -> Tensor:
    return torch.full((length,), float(value), dtype=torch.float64)


def _kondo(name: str, files: list[tuple[str, Arrays]]) -> PublishedLabels:
    """Labels of the Kondo set; at T = 0 the sum of occupied levels is both free and internal energy."""
    [(stem, arrays)] = files
    count, n_y, n_x = arrays["spins"].shape[:3]
    energy = torch.from_numpy(arrays["energy"].astype(np.float64))
    stacked = StackedLabels(
        system=square(n_x, n_y),
        spins=normalize(_sites(arrays["spins"])),
        field=_sites(arrays["field"]),
        energy=energy,
        internal_energy=energy,
        entropy=_constant(0.0, count),
        n_electrons=_constant(864, count),
    )
    return PublishedLabels(name, stacked, [{**_KONDO, "file": stem, "index": k} for k in range(count)])


def _double_exchange(name: str, files: list[tuple[str, Arrays]]) -> PublishedLabels:
    [(stem, arrays)] = files
    count, n_y, n_x = arrays["spins"].shape[:3]
    stacked = StackedLabels(
        system=square(n_x, n_y),
        spins=normalize(_sites(arrays["spins"])),
        field=_sites(arrays["field"]),
        density=_sites(arrays["density"]),
        n_electrons=_constant(873, count),
    )
    counter = "step" if "step" in arrays else "index"
    sampler = {"kind": "quench" if counter == "step" else "random"}
    rows = [{**_DOUBLE_EXCHANGE, "sampler": sampler, "file": stem, counter: int(k)} for k in arrays[counter]]
    return PublishedLabels(name, stacked, rows)


def _driven_wall(name: str, files: list[tuple[str, Arrays]]) -> PublishedLabels:
    arrays = {key: np.stack([content[key] for _, content in files]) for key in ("spins", "field", "density")}
    n_y, n_x = arrays["spins"].shape[1:3]
    density = _sites(arrays["density"])
    stacked = StackedLabels(
        system=square(n_x, n_y, pbc=(False, True)),
        spins=normalize(_sites(arrays["spins"])),
        field=_sites(arrays["field"]),
        density=density,
        n_electrons=density.sum(1),
    )
    return PublishedLabels(name, stacked, [{**_DRIVEN_WALL, "file": stem} for stem, _ in files])


_SETS: dict[str, list[str]] = {
    "kondo_square_random": ["kondo_square_random/train"],
    "double_exchange_square/quench": ["double_exchange_square/quench"],
    "double_exchange_square/random": ["double_exchange_square/random"],
    "driven_wall_negf": ["driven_wall_negf/c0", "driven_wall_negf/c500"],
}
_READERS: dict[str, Callable[[str, list[tuple[str, Arrays]]], PublishedLabels]] = {
    "kondo_square_random": _kondo,
    "double_exchange_square": _double_exchange,
    "driven_wall_negf": _driven_wall,
}
