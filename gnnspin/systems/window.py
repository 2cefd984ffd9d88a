"""Part of a large lattice as a lattice of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gnnspin.core.errors import InvalidInput
from gnnspin.systems.distances import IntArray
from gnnspin.systems.lattice import cell_indices, cell_number, is_ideal_lattice, repeated_directions
from gnnspin.systems.system import SpinSystem


def lattice_window(
    system: SpinSystem, shape: Sequence[int], start: Sequence[int] = (0, 0, 0)
) -> tuple[SpinSystem, IntArray]:
    """A block of unit cells, closed periodically, and the sites of the lattice that it is.

    Far from its seam, a block has the neighbours that its sites have in the lattice: quantities that depend on near
    spins alone are those of the lattice there.

    Parameters
    ----------
    system : SpinSystem
        An ideal lattice.
    shape : three integers
        Unit cells of the block; a direction in which it is as long as the lattice keeps its boundary.
    start : three integers
        First cell of the block; indices wrap around the lattice.

    Returns
    -------
    window : SpinSystem
        Lattice of `shape`.
    sites : (n,) int64
        Site of `system` that each site of the window is.

    Raises
    ------
    InvalidInput
        If the system is no ideal lattice, or the block does not fit into it.
    """
    if not is_ideal_lattice(system) or system.lattice_shape is None:
        raise InvalidInput(f"{system} is no lattice whose cells repeat; a window needs one")
    whole, block = np.array(system.lattice_shape), np.array(shape)
    if block.shape != (3,) or (block < 1).any() or (block > whole).any():
        raise InvalidInput(f"window of {list(shape)} cells does not fit into a lattice of {whole.tolist()} cells")
    open_ends = ~np.array(system.pbc) & (block < whole)
    if open_ends.any():
        raise InvalidInput(f"window of {block.tolist()} cells: give the full length in directions with open ends")
    cells = cell_indices(block)
    basis, primitive = system.n_basis, system.primitive_vectors
    sites = cell_number(cells + np.asarray(start), whole)[:, None] * basis + np.arange(basis)
    positions = (cells @ primitive)[:, None] + system.positions[:basis]
    cell = np.where(np.array(repeated_directions(system))[:, None], block[:, None] * primitive, system.cell)
    window = SpinSystem(
        positions.reshape(-1, 3),
        cell=cell,
        pbc=system.pbc,
        species=np.tile(system.species[:basis], len(cells)),
        lattice_shape=block.tolist(),
        polar_axis=system.polar_axis,
    )
    return window, sites.reshape(-1)
