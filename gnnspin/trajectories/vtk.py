"""VTK XML files of spins, for ParaView.

Three kinds, by the system: ``.vti`` image data for lattices with one site per cell along the Cartesian axes, ``.vts``
structured grids for other lattices with one site per cell (triangular, bcc, fcc: the true, oblique cells, with the
surface between the sites), ``.vtu`` points for everything else.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import as_spins
from gnnspin.runs import replaced
from gnnspin.systems.system import SpinSystem

_TYPES = {"float64": "Float64", "int64": "Int64", "uint8": "UInt8"}
_KINDS = {".vti": "ImageData", ".vts": "StructuredGrid", ".vtu": "UnstructuredGrid"}


def vtk_suffix(system: SpinSystem) -> str:
    """Suffix of the kind of file that fits `system`: .vti, .vts or .vtu."""
    if system.lattice_shape is None or system.n_basis != 1:
        return ".vtu"
    return ".vti" if is_rectangular(system) else ".vts"


def is_rectangular(system: SpinSystem) -> bool:
    """Whether the sites form a lattice with one site per cell and primitive vectors along +x, +y and +z."""
    if system.n_graphs > 1 or system.lattice_shape is None or system.n_basis != 1:
        return False
    vectors = system.primitive_vectors
    diagonal = np.diag(vectors)
    return bool(np.abs(vectors - np.diag(diagonal)).max() <= 1e-12 * np.abs(vectors).max() and (diagonal > 0).all())


def write_vtk(path: str | Path, system: SpinSystem, spins: ArrayLike, *, binary: bool = True) -> None:
    """Write spins (N, 3) as the point vectors ``spin``, with the species as ``kind``.

    Parameters
    ----------
    path : path
        Its suffix must be that of the kind: `vtk_suffix`, or ``.vtu``, which fits every system.
    system : SpinSystem
    spins : (N, 3)
        Unit spins.
    binary : bool
        Base64-encoded little-endian numbers, or decimal text (17 digits): both are exact.

    Raises
    ------
    InvalidInput
        If the suffix does not fit the system, or the spins do not.
    """
    path = Path(path)
    suffix = path.suffix
    if suffix not in (".vtu", vtk_suffix(system)):
        raise InvalidInput(f"{path.name}: this system is written as {vtk_suffix(system)} or .vtu")
    vectors = as_spins(spins, system.n_sites).cpu().numpy().astype(np.float64)
    order = np.arange(system.n_sites)
    if suffix != ".vtu":  # VTK counts the first direction fastest, the package the last
        assert system.lattice_shape is not None
        order = order.reshape(system.lattice_shape).transpose(2, 1, 0).ravel()
    kind = _KINDS[suffix]
    attributes = {"type": kind, "version": "1.0", "byte_order": "LittleEndian", "header_type": "UInt64"}
    root = Element("VTKFile", attributes)
    grid = SubElement(root, kind, {} if suffix == ".vtu" else _extent(system, suffix))
    piece = SubElement(grid, "Piece", _piece(system, suffix))
    data = SubElement(piece, "PointData", {"Vectors": "spin", "Scalars": "kind"})
    _array(data, "spin", vectors[order], binary)
    _array(data, "kind", system.species[order], binary)
    if suffix != ".vti":
        _array(SubElement(piece, "Points"), "positions", system.positions[order], binary)
    if suffix == ".vtu":
        cells = SubElement(piece, "Cells")
        _array(cells, "connectivity", order, binary)
        _array(cells, "offsets", order + 1, binary)
        _array(cells, "types", np.ones(system.n_sites, dtype=np.uint8), binary)  # 1: vertex
    _write(path, root)


def write_pvd(path: str | Path, files: Sequence[Path], times: Sequence[float]) -> None:
    """Write the collection that gives each file its time; files are named relative to the collection's folder."""
    root = Element("VTKFile", {"type": "Collection", "version": "1.0", "byte_order": "LittleEndian"})
    collection = SubElement(root, "Collection")
    for file, time in zip(files, times, strict=True):
        SubElement(collection, "DataSet", {"timestep": repr(float(time)), "part": "0", "file": Path(file).name})
    ElementTree.indent(root)
    _write(path, root)


def _write(path: str | Path, root: Element) -> None:
    with replaced(Path(path)) as temporary:
        ElementTree.ElementTree(root).write(temporary, xml_declaration=True, encoding="utf-8")


def _extent(system: SpinSystem, suffix: str) -> dict[str, str]:
    assert system.lattice_shape is not None
    extent = {"WholeExtent": _numbers(value for n in system.lattice_shape for value in (0, n - 1))}
    if suffix == ".vti":
        extent["Origin"] = _numbers(system.positions[0].tolist())
        extent["Spacing"] = _numbers(np.diag(system.primitive_vectors).tolist())
    return extent


def _piece(system: SpinSystem, suffix: str) -> dict[str, str]:
    if suffix == ".vtu":
        return {"NumberOfPoints": str(system.n_sites), "NumberOfCells": str(system.n_sites)}
    return {"Extent": _extent(system, suffix)["WholeExtent"]}


def _numbers(values: Any) -> str:
    return " ".join(repr(value) for value in values)


def _array(parent: Element, name: str, values: NDArray[Any], binary: bool) -> None:
    attributes = {"type": _TYPES[values.dtype.name], "Name": name}
    if values.ndim == 2:
        attributes["NumberOfComponents"] = str(values.shape[1])
    element = SubElement(parent, "DataArray", attributes | {"format": "binary" if binary else "ascii"})
    little = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"))
    if binary:
        header = np.array([little.nbytes], dtype="<u8").tobytes()
        element.text = base64.b64encode(header + little.tobytes()).decode()
    else:
        element.text = _numbers(little.ravel().tolist())
