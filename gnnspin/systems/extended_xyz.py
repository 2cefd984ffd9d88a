"""Extended XYZ with all digits: the comment line is that of ASE, the columns have 17 digits in place of 8 decimals."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gnnspin.runs import replaced

if TYPE_CHECKING:  # ase takes long to import
    from ase import Atoms

#: Decimal digits that tell any two double-precision numbers apart.
_DIGITS = 17
_OWN_NAMES = {"species": "symbols", "pos": "positions"}


def extended_xyz(atoms: Atoms) -> str:
    """One frame of an extended XYZ file, from which every number is read back exactly.

    ASE has no option for the format of its columns, which is ``%16.8f``.
    """
    from ase.io.extxyz import key_val_str_to_dict, write_xyz

    text = StringIO()
    write_xyz(text, [atoms])
    number, comment, *_ = text.getvalue().splitlines()
    fields = str(key_val_str_to_dict(comment)["Properties"]).split(":")
    columns = [_column(atoms, name, kind) for name, kind in zip(fields[::3], fields[1::3], strict=True)]
    rows = [" ".join(cells) for cells in zip(*columns, strict=True)]
    return "\n".join([number, comment, *rows, ""])


def write_extended_xyz(path: str | Path, atoms: Atoms, *, append: bool = False) -> None:
    """Write atoms as an extended XYZ file in one step, or append them as another frame."""
    if append:
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.write(extended_xyz(atoms))
        return
    with replaced(Path(path)) as temporary:
        temporary.write_text(extended_xyz(atoms), encoding="utf-8")


def _column(atoms: Atoms, name: str, kind: str) -> list[str]:
    """Text of every row of a property."""
    values = atoms.symbols if name == "species" else atoms.arrays[_OWN_NAMES.get(name, name)]
    table = np.array(values, dtype=object if kind == "S" else None)
    written = {"R": lambda value: f"{value:.{_DIGITS}g}", "L": lambda value: "T" if value else "F"}.get(kind, str)
    return [" ".join(map(written, row)) for row in table.reshape(len(atoms), -1).tolist()]
