"""Part of a large lattice as a lattice of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gnnspin.core.errors import InvalidInput
from gnnspin.systems.distances import IntArray
from gnnspin.systems.lattice import cell_indices, cell_number, is_ideal_lattice, repeated_directions, site_cells
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


@dataclass(frozen=True)
class Window:
    """Part of a lattice that is looked at by itself, and which of its sites are far from its seam.

    Attributes
    ----------
    system : SpinSystem
        The part as a lattice of its own, closed periodically; the lattice itself where nothing is cut.
    sites : (n,) int64
        Site of the lattice that each site of the part is.
    inner : (m,) int64
        Sites of the part that are at least the buffer away from where it was cut.
    """

    system: SpinSystem
    sites: IntArray
    inner: IntArray


def windows(
    system: SpinSystem, window: int | None, buffer: int = 0, places: int = 1, shift: float = 0.0
) -> Iterator[Window]:
    """Blocks along the diagonal of a lattice with a buffer around each, or the whole system as one.

    Parameters
    ----------
    system : SpinSystem
        An ideal lattice, unless it is taken as a whole.
    window : int or None
        Edge of a block in unit cells; None: the whole system.
    buffer : int
        Unit cells around a block that belong to its part and not to its inner sites.
    places : int
        Number of blocks.
    shift : float
        Place of the first, as a share of the distance between two.

    Raises
    ------
    InvalidInput
        As from `lattice_window`.
    """
    if window is None:
        everything = np.arange(system.n_sites)
        yield Window(system, everything, everything)
        return
    whole = np.array(system.lattice_shape or (1, 1, 1))
    for k in range(places):
        yield block(system, window, buffer, np.floor((k + shift) * whole / places).astype(np.int64) + buffer)


def block(system: SpinSystem, window: int, buffer: int, corner: Sequence[int] | IntArray) -> Window:
    """A block of a lattice whose first cell is `corner`, with a buffer around it; parameters as for `windows`.

    Where block and buffer are as long as the lattice, nothing is cut and the whole length belongs to it.
    """
    whole = np.array(system.lattice_shape or (1, 1, 1))
    repeated = np.array(system.pbc) & (whole > 1)
    shape = np.where(repeated, np.minimum(window + 2 * buffer, whole), whole)
    cut = shape < whole
    part, sites = lattice_window(system, shape.tolist(), np.where(cut, np.asarray(corner) - buffer, 0).tolist())
    cells = site_cells(part)
    inner = ((cells >= buffer) & (cells < shape - buffer) | ~cut).all(1)
    return Window(part, sites, np.flatnonzero(inner))
