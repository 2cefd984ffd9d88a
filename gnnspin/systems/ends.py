"""Sites at the ends of a lattice, by name."""

from __future__ import annotations

import numpy as np

from gnnspin.core.errors import InvalidInput
from gnnspin.systems.lattice import is_lattice
from gnnspin.systems.system import IntArray, SpinSystem

#: Lattice direction of each end, and whether it is the last cells along it.
_ENDS = {"left": (0, False), "right": (0, True), "bottom": (1, False), "top": (1, True)}


def named_sites(system: SpinSystem, name: str) -> IntArray:
    """Numbers (M,) of the sites at an end of a lattice.

    Parameters
    ----------
    system : SpinSystem
        A lattice; any system for "all".
    name : str
        "left", "right": first and last cells along the first lattice direction; "bottom", "top": along the second;
        "all": every site.

    Raises
    ------
    InvalidInput
        If the name is unknown, or the system has no such end: no lattice, a periodic direction, or a single cell.

    Examples
    --------
    >>> from gnnspin.systems import square
    >>> named_sites(square(3, 2, pbc=(False, True)), "right").tolist()
    [4, 5]
    """
    if name == "all":
        return np.arange(system.n_sites)
    if name not in _ENDS:
        raise InvalidInput(f"sites {name!r} are unknown; known: {', '.join(_ENDS)}, all, or a list of site numbers")
    direction, last = _ENDS[name]
    if not is_lattice(system) or system.lattice_shape is None:
        raise InvalidInput(f"{system} is no lattice and has no end {name!r}; give a list of site numbers")
    if system.pbc[direction] or system.lattice_shape[direction] < 2:
        raise InvalidInput(
            f"{system} has no end {name!r}: direction {direction} is periodic or one cell long; make it open, or give "
            "a list of site numbers"
        )
    numbers = np.arange(system.n_sites).reshape(*system.lattice_shape, system.n_basis)
    return np.asarray(np.moveaxis(numbers, direction, 0)[-1 if last else 0].ravel(), dtype=np.int64)
