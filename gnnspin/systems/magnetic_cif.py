"""Read magnetic CIF files (mCIF), such as those of the MAGNDATA collection.

Positions and moments of the asymmetric unit are carried through the operations and centrings of the magnetic space
group: a moment, an axial vector that time reversal inverts, goes to ``theta det(R) R m``. Definition of the tags:
magnetic CIF dictionary of the IUCr; Gallego et al., J. Appl. Cryst. 49, 1750 (2016), doi:10.1107/S1600576716012863.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gnnspin.core.errors import StoreError

if TYPE_CHECKING:  # ase takes long to import
    from ase import Atoms

FloatArray = NDArray[np.float64]

#: Two images of an atom closer than this, in fractions of the cell, are one.
_SAME_SITE = 1e-3

_OPERATIONS = ("_space_group_symop_magn_operation.xyz", "_space_group_symop.magn_operation_xyz")
_CENTRINGS = ("_space_group_symop_magn_centering.xyz", "_space_group_symop.magn_centering_xyz")
_MOMENT = "_atom_site_moment"


def read_magnetic_cif(path: Path) -> Atoms:
    """All atoms of the cell of an mCIF file, with the moments as initial magnetic moments (N, 3) in Bohr magnetons.

    Atoms without a moment in the file have moment 0.

    Raises
    ------
    StoreError
        If the file is missing, or lacks cell, atoms or moments.
    """
    from ase import Atoms
    from ase.io.cif import parse_cif

    if not path.is_file():
        raise StoreError(f"{path} does not exist; give the path of an mCIF file")
    try:
        block = next(iter(parse_cif(str(path))))
        cell = np.array(block.get_cell().complete())
        symbols, positions, moments = _asymmetric_unit(block)
        operations = _all_operations(block)
    except Exception as error:  # ASE's parser raises what it meets
        raise StoreError(f"{path} cannot be read as a magnetic CIF: {error!r}") from error
    if not moments.any():
        raise StoreError(f"{path} holds no magnetic moments ({_MOMENT}); read it as a .cif")
    lengths = np.linalg.norm(cell, axis=1)
    found: list[tuple[str, FloatArray, FloatArray]] = []
    for symbol, position, moment in zip(symbols, positions, moments, strict=True):
        images: list[FloatArray] = []
        for rotation, shift, reversal in operations:
            image = (rotation @ position + shift) % 1.0
            if all(np.abs((image - other + 0.5) % 1.0 - 0.5).max() > _SAME_SITE for other in images):
                images.append(image)
                turned = reversal * np.linalg.det(rotation) * rotation @ (moment / lengths)
                found.append((symbol, image @ cell, turned @ cell))
    atoms = Atoms([each[0] for each in found], positions=[each[1] for each in found], cell=cell, pbc=True)
    atoms.set_initial_magnetic_moments(np.array([each[2] for each in found]))
    return atoms


def _asymmetric_unit(block: Any) -> tuple[list[str], FloatArray, FloatArray]:
    """Elements, fractional positions and moments along the crystal axes (n, 3) of the atoms that are listed."""
    labels = [str(label) for label in block["_atom_site_label"]]
    symbols = block.get_symbols()
    positions = np.array([block[f"_atom_site_fract_{axis}"] for axis in "xyz"], dtype=float).T
    moments = np.zeros_like(positions)
    listed = _column(block, f"{_MOMENT}.label", f"{_MOMENT}_label")
    components = [_column(block, f"{_MOMENT}.crystalaxis_{a}", f"{_MOMENT}_crystalaxis_{a}") for a in "xyz"]
    for label, *moment in zip(listed, *components, strict=True):
        moments[labels.index(str(label))] = [float(component) for component in moment]
    return symbols, positions, moments


def _column(block: Any, *names: str) -> list[Any]:
    """The first of several spellings of a tag, as a list."""
    for name in names:
        value = block.get(name)
        if value is not None:
            return list(value) if isinstance(value, list | tuple) else [value]
    raise ValueError(f"it has no {names[0]}")


def _all_operations(block: Any) -> list[tuple[FloatArray, FloatArray, float]]:
    """Rotation, shift and sign under time reversal of every operation followed by every centring."""
    operations = [_operation(text) for text in _column(block, *_OPERATIONS)]
    try:
        centrings = [_operation(text) for text in _column(block, *_CENTRINGS)]
    except ValueError:
        centrings = [_operation("x,y,z,+1")]
    return [
        (rotation, shift + move, reversal * sign)
        for _, move, sign in centrings
        for rotation, shift, reversal in operations
    ]


def _operation(text: str) -> tuple[FloatArray, FloatArray, float]:
    """An operation such as ``-y,x-y,z+1/3,-1``; without the last number it does not reverse time."""
    parts = [part.strip().lower() for part in text.split(",")]
    if len(parts) not in (3, 4):
        raise ValueError(f"operation {text!r} has {len(parts)} parts, not three or four")
    rotation, shift = np.zeros((3, 3)), np.zeros(3)
    for row, part in enumerate(parts[:3]):
        for term in part.replace(" ", "").replace("-", "+-").split("+"):
            if not term:
                continue
            axis = "xyz".find(term[-1])
            if axis < 0:
                shift[row] += float(Fraction(term))
            else:
                factor = term[:-1].rstrip("*")
                rotation[row, axis] += float({"": "1", "-": "-1"}.get(factor) or Fraction(factor))
    return rotation, shift, float(parts[3]) if len(parts) == 4 else 1.0
