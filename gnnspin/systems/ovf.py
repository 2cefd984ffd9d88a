"""Read OVF 2.0 files of magnetic moments (OOMMF, mumax3, Spirit and this package write them).

Format: https://math.nist.gov/oommf/doc/userguide20a5/userguide/OVF_2.0_format.html
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnspin.core.errors import InvalidInput, StoreError
from gnnspin.systems.system import SpinSystem

#: First number of binary data, by which readers tell byte order and precision.
CHECK_VALUES = {4: 1234567.0, 8: 123456789012345.0}


def read_ovf(path: str | Path, *, pbc: bool | Sequence[bool] = False) -> tuple[SpinSystem, Tensor]:
    """Positions and directions of the moments in an OVF 2.0 file with one segment.

    Parameters
    ----------
    path : path
    pbc : bool or three bools
        Which directions are periodic, which the format does not say; only of a rectangular mesh.

    Returns
    -------
    system : SpinSystem
        A rectangular mesh becomes a lattice with one site per cell in the order of this package, the last direction
        fastest. Cells without a moment are left out, and the rest is then no lattice. An irregular mesh becomes its
        points in the order of the file.
    spins : (N, 3) float64 tensor
        Unit vectors; lengths are dropped.

    Raises
    ------
    StoreError
        If the file is missing, truncated, or no OVF 2.0 file of vectors with three components.
    InvalidInput
        If an irregular mesh is said to be periodic, or no cell has a moment.
    """
    source = Path(path)
    if not source.is_file():
        raise StoreError(f"{source} does not exist; give the path of an OVF file")
    raw = source.read_bytes()
    try:
        header, table = _parsed(raw)
    except (ValueError, KeyError, IndexError) as error:
        raise StoreError(f"{source} cannot be read as OVF 2.0: {error}") from error
    if header["meshtype"] == "rectangular":
        return _rectangular(header, table, pbc)
    if np.any(pbc):
        raise InvalidInput(f"pbc={pbc}: the irregular mesh in {source} has no cell that could be repeated")
    keep = np.linalg.norm(table[:, 3:], axis=1) > 0
    return SpinSystem(table[keep, :3]), _directions(table[keep, 3:])


def _parsed(raw: bytes) -> tuple[dict[str, str], NDArray[np.float64]]:
    """Header, and the table of the data, one row per node."""
    if not raw.startswith((b"# OOMMF OVF 2.0", b"# OOMMF: OVF 2.0")):
        raise ValueError("its first line is not '# OOMMF OVF 2.0'; convert older files with OOMMF's avf2ovf")
    begin = raw.index(b"# Begin: Data")
    end_of_line = raw.index(b"\n", begin)
    lines = [line[1:].split(":", 1) for line in raw[:begin].decode("utf-8", "replace").splitlines()]
    header = {line[0].strip().lower(): line[1].strip() for line in lines if len(line) == 2}
    if header["valuedim"] != "3":
        raise ValueError(f"valuedim is {header['valuedim']}, not 3")
    rectangular = header["meshtype"] == "rectangular"
    n_rows = int(np.prod([int(header[f"{axis}nodes"]) for axis in "xyz"])) if rectangular else int(header["pointcount"])
    shape = (n_rows, 3 if rectangular else 6)
    kind = raw[begin:end_of_line].decode().split(":")[1].split()[1:]
    if kind[0].lower() == "text":
        text = raw[end_of_line + 1 : raw.index(b"# End: Data", end_of_line)].decode()
        values = [line.split("#")[0].split() for line in text.splitlines()]
        return header, np.array([float(x) for row in values for x in row]).reshape(shape)
    size = int(kind[1])
    numbers = np.frombuffer(raw, f"<f{size}", count=1 + shape[0] * shape[1], offset=end_of_line + 1).astype(np.float64)
    if numbers[0] != CHECK_VALUES[size]:
        raise ValueError(f"the binary data begin with {numbers[0]}, not {CHECK_VALUES[size]}")
    return header, numbers[1:].reshape(shape)


def _rectangular(header: dict[str, str], table: NDArray[np.float64], pbc: Any) -> tuple[SpinSystem, Tensor]:
    nodes = [int(header[f"{axis}nodes"]) for axis in "xyz"]
    base, step = (np.array([float(header[f"{axis}{name}"]) for axis in "xyz"]) for name in ("base", "stepsize"))
    moments = table.reshape(*nodes[::-1], 3).transpose(2, 1, 0, 3).reshape(-1, 3)
    positions = base + np.indices(nodes).reshape(3, -1).T * step
    keep = np.linalg.norm(moments, axis=1) > 0
    cell = np.diag(step * nodes)
    system = SpinSystem(positions[keep], cell, pbc, lattice_shape=nodes if keep.all() else None)
    return system, _directions(moments[keep])


def _directions(moments: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(moments / np.linalg.norm(moments, axis=1)[:, None])
