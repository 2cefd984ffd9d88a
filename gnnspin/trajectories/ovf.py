"""OVF 2.0 files of spins (OOMMF vector field, https://math.nist.gov/oommf/doc/userguide20a5/userguide/OVF_2.0_format.html).

Lattices with one site per cell along the Cartesian axes become a rectangular mesh, everything else an irregular one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import as_spins
from gnnspin.runs import replaced
from gnnspin.systems.ovf import CHECK_VALUES
from gnnspin.systems.system import SpinSystem
from gnnspin.trajectories.vtk import is_rectangular


def write_ovf(
    path: str | Path,
    system: SpinSystem,
    spins: ArrayLike,
    *,
    binary: bool = True,
    precision: int = 4,
    time: float | None = None,
    step: int | None = None,
) -> None:
    """Write spins (N, 3) as an OVF 2.0 file with one segment.

    Parameters
    ----------
    path : path
    system : SpinSystem
        A rectangular lattice gives a rectangular mesh (nodes in the order x fastest, cells centred on the sites), any
        other system an irregular mesh of points ``x y z Sx Sy Sz`` in site order.
    spins : (N, 3)
        Unit spins.
    binary : bool
        Little-endian binary data, or text.
    precision : int
        Bytes per binary number, 4 or 8; text always has 9 or 17 digits, accordingly.
    time, step : optional
        Stored as descriptions.

    Raises
    ------
    InvalidInput
        If `precision` is not 4 or 8, the system is a union, or the spins do not fit it.
    """
    if precision not in CHECK_VALUES:
        raise InvalidInput(f"precision={precision} must be 4 or 8 bytes")
    if system.n_graphs > 1:
        raise InvalidInput("an OVF file holds one system; write the parts of a union one by one")
    vectors = as_spins(spins, system.n_sites).cpu().numpy().astype(np.float64)
    rectangular = is_rectangular(system)
    header = _rectangular_header(system) if rectangular else _irregular_header(system)
    if rectangular:
        assert system.lattice_shape is not None
        table = vectors.reshape(*system.lattice_shape, 3).transpose(2, 1, 0, 3).reshape(-1, 3)
    else:
        table = np.concatenate([system.positions, vectors], axis=1)
    described = {"Total simulation time": time, "Iteration": step}
    lines = [
        "OOMMF OVF 2.0", "Segment count: 1", "Begin: Segment", "Begin: Header", "Title: spins", "meshunit: 1",
        "valuedim: 3", "valuelabels: S_x S_y S_z", "valueunits: 1 1 1",
        *(f"Desc: {name}: {value}" for name, value in described.items() if value is not None),
        *header, "End: Header",
    ]  # fmt: skip
    kind = f"Binary {precision}" if binary else "Text"
    body = _binary(table, precision) if binary else _text(table, precision)
    start = "".join(f"# {line}\n" for line in [*lines, f"Begin: Data {kind}"]).encode()
    with replaced(Path(path)) as temporary:
        temporary.write_bytes(start + body + f"# End: Data {kind}\n# End: Segment\n".encode())


def _rectangular_header(system: SpinSystem) -> list[str]:
    assert system.lattice_shape is not None
    header = ["meshtype: rectangular"]
    steps = np.diag(system.primitive_vectors).tolist()
    for axis, base, step, nodes in zip("xyz", system.positions[0].tolist(), steps, system.lattice_shape, strict=True):
        header += [f"{axis}base: {base!r}", f"{axis}stepsize: {step!r}", f"{axis}nodes: {nodes}"]
        header += [f"{axis}min: {base - step / 2!r}", f"{axis}max: {base + (nodes - 0.5) * step!r}"]
    return header


def _irregular_header(system: SpinSystem) -> list[str]:
    header = ["meshtype: irregular", f"pointcount: {system.n_sites}"]
    for axis, values in zip("xyz", system.positions.T, strict=True):
        header += [f"{axis}min: {values.min().item()!r}", f"{axis}max: {values.max().item()!r}"]
    return header


def _binary(table: NDArray[np.float64], precision: int) -> bytes:
    kind = f"<f{precision}"
    return np.array([CHECK_VALUES[precision]], dtype=kind).tobytes() + table.astype(kind).tobytes() + b"\n"


def _text(table: NDArray[np.float64], precision: int) -> bytes:
    digits = 9 if precision == 4 else 17
    return "".join(" ".join(f"{value:.{digits}g}" for value in row) + "\n" for row in table.tolist()).encode()
