"""Sites of a lattice in rows padded by a halo, so that the neighbours of a block of sites are a block of positions."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gnnspin.systems import SpinSystem
from gnnspin.systems.distances import IntArray


class RowsStructure(ctypes.Structure):
    """Sizes of a `PaddedRows` as native kernels read them (``struct Rows``)."""

    _fields_ = [(name, ctypes.c_int64) for name in ("count", "length", "halo", "periodic", "room")]


@dataclass(frozen=True)
class Neighborhood:
    """Places of the neighbours of a kernel with D displacements, for every site of the unit cell.

    Attributes
    ----------
    cells : (D, n_basis, 3)
        Cell of the neighbour, relative to the centre's.
    basis : (D, n_basis)
        Its place in the unit cell; -1 where there is none.
    """

    cells: IntArray
    basis: IntArray

    @classmethod
    def of(cls, cells: IntArray, center: IntArray, neighbor: IntArray, index: IntArray, count: int) -> Neighborhood:
        """Neighbourhood made of the pairs of one unit cell, of which `index` numbers the `count` displacements."""
        shape = count, int(center.max()) + 1
        found = cls(np.zeros((*shape, 3), dtype=np.int64), np.full(shape, -1))
        found.cells[index, center], found.basis[index, center] = cells, neighbor
        return found

    def reversed(self) -> Neighborhood:
        """The centres whose neighbour a site is."""
        cells, basis = np.zeros_like(self.cells), np.full_like(self.basis, -1)
        for d, b in zip(*np.nonzero(self.basis >= 0), strict=True):
            cells[d, self.basis[d, b]], basis[d, self.basis[d, b]] = -self.cells[d, b], b
        return Neighborhood(cells, basis)


class PaddedRows:
    """Rows of sites along one direction of a lattice, with room for their neighbours at both ends.

    Parameters
    ----------
    system : SpinSystem
        A lattice.
    halo : int
        Room at each end for the reach of all kernels along the rows.
    block : int
        Sites of a block; shorter rows get room for one.
    axis : int
        Direction of the rows.

    Attributes
    ----------
    count, length, room : int
        Number of rows, sites in each, and places in each with halos. Arrays of C features are (count + 1, C, room); the
        last row is zero, for neighbours that do not exist.
    """

    def __init__(self, system: SpinSystem, halo: int, block: int, axis: int) -> None:
        shape = system.lattice_shape
        assert shape is not None
        self.system, self.axis, self.halo = system, axis, halo
        self.length = shape[axis]
        self.room = -(-self.length // block) * block + 2 * halo
        self._others = [d for d in range(3) if d != axis]
        self.count = system.n_sites // self.length
        cell, basis = np.divmod(np.arange(system.n_sites), system.n_basis)
        places = np.stack(np.unravel_index(cell, shape), axis=1)
        self._row_of_site = torch.from_numpy(self._row(places, basis))
        self._place_of_site = torch.from_numpy(places[:, axis].copy())
        self.structure = RowsStructure(self.count, self.length, halo, bool(system.pbc[axis]), self.room)

    @staticmethod
    def best_axis(system: SpinSystem) -> int:
        """The longest direction of the lattice."""
        assert system.lattice_shape is not None
        return int(np.argmax(system.lattice_shape))

    def _row(self, places: IntArray, basis: IntArray) -> IntArray:
        """Number of the row of sites at cells `places` (n, 3)."""
        assert self.system.lattice_shape is not None
        a, b = self._others
        return (basis * self.system.lattice_shape[a] + places[:, a]) * self.system.lattice_shape[b] + places[:, b]

    def table(self, neighborhood: Neighborhood) -> Tensor:
        """Row and column (count, D, 2) of each neighbour of the first site of every row; if none, the zero row."""
        shape = np.array(self.system.lattice_shape)
        a, b = self._others
        row = np.arange(self.count)
        places = np.zeros((self.count, 3), dtype=np.int64)
        basis, rest = np.divmod(row, shape[a] * shape[b])
        places[:, a], places[:, b] = np.divmod(rest, shape[b])
        moved = places[:, None] + neighborhood.cells[:, basis].transpose(1, 0, 2)  # (rows, D, 3)
        to = neighborhood.basis[:, basis].T
        exists = to >= 0
        for d in self._others:
            if not self.system.pbc[d]:
                exists &= (moved[..., d] >= 0) & (moved[..., d] < shape[d])
            moved[..., d] %= shape[d]
        found = self._row(moved.reshape(-1, 3), to.reshape(-1)).reshape(to.shape)
        column = self.halo + np.where(exists, moved[..., self.axis], 0)
        return torch.from_numpy(np.stack([np.where(exists, found, self.count), column], axis=-1))

    def array(self, channels: int, dtype: torch.dtype) -> Tensor:
        """Array of zeros for `channels` features."""
        return torch.zeros(self.count + 1, channels, self.room, dtype=dtype)

    def write(self, values: Tensor, out: Tensor) -> None:
        """Write values (C, N) of the sites, halos included, to an array."""
        out[self._row_of_site, :, self.halo + self._place_of_site] = values.T
        h, end = self.halo, self.halo + self.length
        if h:
            periodic = bool(self.system.pbc[self.axis])
            out[..., end : end + h] = out[..., h : 2 * h] if periodic else 0
            out[..., :h] = out[..., end - h : end] if periodic else 0

    def read(self, features: Tensor) -> Tensor:
        """Values (C, N) of the sites in an array."""
        return features[self._row_of_site, :, self.halo + self._place_of_site].T
