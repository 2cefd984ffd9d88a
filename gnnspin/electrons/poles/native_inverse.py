"""Selected inversion in C++: one matrix per thread, front after front, compiled for this machine at first use."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnspin.core.native_library import NativeLibrary
from gnnspin.electrons.poles.fronts import FrontRows

#: Fields of the structure `Plan` in the source, in their order: single numbers, tables, single numbers.
_COUNTS = ("fronts", "orbitals_total")
_TABLES = (
    "pivots", "boundary", "parent", "first_child", "child", "place", "distance",
    "first_entry", "entry_row", "entry_column", "entry_re", "entry_im",
    "first_orbital", "orbital", "orbital_row",
    "first_run", "run_here", "run_there", "run_length",
)  # fmt: skip
_SIZES = ("workspace", "largest_pivots", "largest_boundary", "largest_size")


class _Plan(ctypes.Structure):
    _fields_ = (
        [(name, ctypes.c_int64) for name in _COUNTS]
        + [(name, ctypes.c_void_p) for name in _TABLES]
        + [(name, ctypes.c_int64) for name in _SIZES]
    )


class NativeInverse:
    """Selected inversion of ``z - K - X`` on the CPU; arguments as those of `SelectedInverse`.

    Results do not depend on the number of threads nor on the matrices that are inverted together.

    Parameters
    ----------
    rows : FrontRows
        Of K.
    dtype : torch.dtype
        complex64 or complex128.

    Raises
    ------
    NoCompiler
        If the kernel cannot be built, see `NativeLibrary`.
    """

    def __init__(self, rows: FrontRows, dtype: torch.dtype) -> None:
        source = Path(__file__).with_name("selected_inverse.cpp")
        self._library = NativeLibrary(source, dtype.to_real())
        self._tables = _tables(rows, self._library.block_length)
        sizes = self._tables["pivots"] + self._tables["boundary"]
        self._dtype, self._workspace = dtype, int(2 * (sizes * self._tables["distance"]).sum())
        numbers = {
            "fronts": len(sizes),
            "orbitals_total": rows.matrix.shape[0] // 2,
            "workspace": self._workspace,
            "largest_pivots": int(self._tables["pivots"].max()),
            "largest_boundary": int(self._tables["boundary"].max()),
            "largest_size": int(sizes.max()),
        }
        self._plan = _Plan(**numbers, **{name: self._tables[name].ctypes.data for name in _TABLES})

    def __call__(
        self, shifts: Tensor, exchange: Tensor, inverse: bool, angles: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """log|det| or log det (B,), and the diagonal 2x2 blocks of the inverse (B, M, 2, 2), if they are wanted."""
        shifts, exchange = shifts.to(self._dtype).contiguous(), exchange.to(self._dtype).contiguous()
        threads = max(1, min(torch.get_num_threads(), len(shifts)))
        workspace = torch.empty(threads * self._workspace, dtype=self._dtype.to_real())
        logarithms = torch.empty(len(shifts), dtype=torch.float64)
        angle = torch.empty_like(logarithms) if angles else None
        blocks = torch.empty_like(exchange) if inverse else None
        self._library.selected_inverse(
            ctypes.byref(self._plan),
            ctypes.c_int64(len(shifts)),
            ctypes.c_void_p(shifts.data_ptr()),
            ctypes.c_void_p(exchange.data_ptr()),
            ctypes.c_void_p(None if blocks is None else blocks.data_ptr()),
            ctypes.c_void_p(logarithms.data_ptr()),
            ctypes.c_void_p(None if angle is None else angle.data_ptr()),
            ctypes.c_void_p(workspace.data_ptr()),
            ctypes.c_int64(threads),
        )
        return logarithms if angle is None else torch.complex(logarithms, angle), blocks


def _tables(rows: FrontRows, lanes: int) -> dict[str, NDArray[Any]]:
    """Tables of the plan; fronts in the order of elimination, children before parents."""
    count = len(rows.pivots)
    pieces: dict[str, list[Any]] = {name: [] for name in _TABLES}
    for front in reversed(range(count)):
        pivots, boundary, parent = rows.pivots[front], rows.boundaries[front], rows.parents[front]
        size = len(pivots) + len(boundary)
        pieces["pivots"].append(len(pivots))
        pieces["boundary"].append(len(boundary))
        pieces["parent"].append(-1 if parent < 0 else count - 1 - parent)
        children = [count - 1 - child for child in rows.children[front]]
        pieces["child"].append(np.array(children, dtype=np.int64))
        pieces["distance"].append(lanes * (-(-size // lanes) | 1))  # an odd number of vectors: rows in all cache sets
        local = rows.places(front, len(pivots))
        row, column, values = rows.entries(front)
        pieces["entry_row"].append(local[row])
        pieces["entry_column"].append(local[column])
        pieces["entry_re"].append(-values.real)
        pieces["entry_im"].append(-values.imag)
        even = pivots[pivots % 2 == 0]
        pieces["orbital"].append(even // 2)
        pieces["orbital_row"].append(local[even])
        there = boundary[:0] if parent < 0 else rows.places(parent, len(rows.pivots[parent]))[boundary]
        starts = np.flatnonzero(np.diff(there, prepend=-2) != 1)
        pieces["run_here"].append(starts)
        pieces["run_there"].append(there[starts])
        pieces["run_length"].append(np.diff(starts, append=len(there)))
    starts_of = {"child": "child", "entry": "entry_row", "orbital": "orbital", "run": "run_here"}
    for name, table in starts_of.items():
        pieces[f"first_{name}"] = list(np.cumsum([0, *(len(part) for part in pieces[table])]))
    sizes = np.array(pieces["pivots"]) + np.array(pieces["boundary"])
    pieces["place"] = list(np.cumsum([0, *(2 * sizes * np.array(pieces["distance"]))[:-1]]))
    real = ("entry_re", "entry_im")
    return {
        name: np.ascontiguousarray(np.hstack(parts), dtype=np.float64 if name in real else np.int64)
        for name, parts in pieces.items()
    }
