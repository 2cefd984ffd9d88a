"""Large lattices in tiles: each is evaluated with a border as wide as a torque reaches, of which nothing is kept."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.placed import Placed
from gnnspin.systems import SpinSystem
from gnnspin.systems.lattice import cell_indices, cell_number, is_ideal_lattice
from gnnspin.systems.system import FloatArray, IntArray


@dataclass(frozen=True)
class Tiling:
    """Cover of a lattice by windows of one shape.

    Attributes
    ----------
    window : SpinSystem
        The lattice of one window, open in the directions that are cut.
    sites : (T, n) int64
        Sites of the whole lattice that each window holds.
    owned : (T, n) bool
        Those whose energies and fields are taken from it: every site of the lattice once.
    """

    window: SpinSystem
    sites: Tensor
    owned: Tensor

    def windows(self, device: torch.device) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Of every window its sites (n,), the places (m,) of those it owns, and these sites (m,), on a device."""
        return [tuple(table.on(device) for table in tables) for tables in self._tables]  # type: ignore[misc]

    @cached_property
    def _tables(self) -> list[tuple[Placed, Placed, Placed]]:
        kept = [owned.nonzero().squeeze(-1) for owned in self.owned]
        return [
            (Placed(sites), Placed(places), Placed(sites[places]))
            for sites, places in zip(self.sites, kept, strict=True)
        ]

    @classmethod
    def of(cls, system: SpinSystem, reach: float, max_sites: int) -> Tiling:
        """Windows of at most `max_sites` sites whose cut edges are at least `reach` away from all sites they own.

        Raises
        ------
        InvalidInput
            If `system` is no lattice that repeats from cell to cell, `reach` is not finite, or `max_sites` leaves no
            room inside the border.
        """
        if not math.isfinite(reach):
            raise InvalidInput("a torque of this model depends on all spins; it cannot run in tiles")
        if not is_ideal_lattice(system):
            raise InvalidInput(f"tiles need a lattice that repeats from cell to cell; {system} is none")
        shape = np.array(system.lattice_shape)
        heights = 1 / np.linalg.norm(np.linalg.inv(system.primitive_vectors), axis=0)
        basis = system.positions[: system.n_basis]
        spread = np.linalg.norm(basis[:, None] - basis, axis=-1).max()
        border = np.ceil((reach + spread) / heights).astype(np.int64)
        size = _window_shape(shape, border, system.n_basis, max_sites)
        cut = size < shape
        starts, owned = zip(
            *(_segments(*each) for each in zip(shape, size, border, system.pbc, strict=True)), strict=True
        )
        corners = np.stack(np.meshgrid(*starts, indexing="ij"), axis=-1).reshape(-1, 3)
        inside = np.ones((1, *size), dtype=bool)
        for axis, flags in enumerate(owned):
            aligned = flags.reshape(-1, *(size[d] if d == axis else 1 for d in range(3)))
            inside = (inside[:, None] & aligned[None]).reshape(-1, *size)
        cells = cell_indices(size)
        index = cell_number(corners[:, None] + cells, shape)
        sites = index[..., None] * system.n_basis + np.arange(system.n_basis)
        return cls(
            window=_window(system, size, cut),
            sites=torch.from_numpy(sites.reshape(len(corners), -1)),
            owned=torch.from_numpy(np.repeat(inside.reshape(len(corners), -1), system.n_basis, axis=1)),
        )


def _window_shape(shape: IntArray, border: IntArray, n_basis: int, max_sites: int) -> IntArray:
    """Unit cells (3,) of a window: as near to equal sides as the lattice allows."""
    size = shape.copy()
    while n_basis * math.prod(size.tolist()) > max_sites:
        room = size - (2 * border + 1)
        axis = int(np.argmax(np.where(room > 0, size, 0)))
        if room[axis] <= 0:
            raise InvalidInput(
                f"max_sites={max_sites}: the smallest window with its border has {n_basis * math.prod(size.tolist())} "
                "sites; allow more"
            )
        others = n_basis * math.prod(np.delete(size, axis).tolist())
        second = max(n for d, n in enumerate(size.tolist()) if d != axis)
        size[axis] = max(2 * border[axis] + 1, min(size[axis] - 1, max(second, max_sites // others)))
    return np.array([_even(*each) for each in zip(shape.tolist(), size.tolist(), border.tolist(), strict=True)])


def _even(length: int, size: int, border: int) -> int:
    """The smallest window that covers a direction with as few as windows of `size` do, so that they overlap less."""
    if size == length:
        return size
    windows = -(-length // (size - 2 * border))
    return min(size, -(-length // windows) + 2 * border)


def _segments(length: int, size: int, border: int, periodic: bool) -> tuple[IntArray, np.ndarray]:
    """Starts (T,) of the windows along one direction and the cells (T, size) they own.

    A window owns what is at least `border` away from its cut ends; its end is not cut where an open lattice ends.
    """
    if size == length:
        return np.zeros(1, dtype=np.int64), np.ones((1, size), dtype=bool)
    taken = np.zeros(length, dtype=bool)
    starts, owned = [], []
    first = 0
    while first < length:
        start = first - border if periodic else min(max(first - border, 0), length - size)
        cells = start + np.arange(size)
        low = start if not periodic and start == 0 else start + border
        high = length if not periodic and start + size == length else start + size - border
        own = (cells >= low) & (cells < min(high, length)) & ~taken[cells % length]
        taken[cells[own]] = True
        starts.append(start)
        owned.append(own)
        first = min(high, length)
    return np.array(starts), np.array(owned)


def _window(system: SpinSystem, size: IntArray, cut: np.ndarray) -> SpinSystem:
    """The lattice of `size` unit cells, open where it is cut."""
    vectors: FloatArray = system.primitive_vectors
    cells = cell_indices(size)
    positions = (cells @ vectors)[:, None] + system.positions[: system.n_basis]
    kept = ~cut & np.array(system.pbc)
    return SpinSystem(
        positions.reshape(-1, 3),
        vectors * size[:, None],
        (bool(kept[0]), bool(kept[1]), bool(kept[2])),
        np.tile(system.species[: system.n_basis], len(cells)),
        lattice_shape=(int(size[0]), int(size[1]), int(size[2])),
        polar_axis=system.polar_axis,
    )
