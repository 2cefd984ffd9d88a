"""Exchange on a Bravais lattice as sums of shifted arrays: no neighbour table, contiguous memory."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnspin.graphs.radius import shell_ranks
from gnnspin.graphs.shells import shell_cutoff
from gnnspin.systems.lattice import cell_neighbors, is_lattice
from gnnspin.systems.system import FloatArray, SpinSystem

#: Where a shifted array is written and what is read, as slices along the three lattice axes.
Window = tuple[tuple[slice, ...], tuple[slice, ...]]


class LatticeExchange:
    """Field ``H_i = sum_j J_s S_j`` of a lattice with one site per cell; equal to the sum over bonds to rounding.

    Every bond vector is one shift of the lattice; a shift across a periodic boundary is split into windows that do not
    wrap. The windows of the first shift, which cover a periodic lattice, are written, the others added, and the sum is
    scaled once. The arithmetic is that of the spins' dtype and device.

    Parameters
    ----------
    lattice_shape : three ints
        Sites along each lattice direction.
    shifts : sequence of (three ints, float)
        Bond vectors in lattice coordinates, both directions of every bond, and their exchange.
    pbc : three bools
        Periodic directions.
    """

    def __init__(
        self, lattice_shape: tuple[int, int, int], shifts: Sequence[tuple[Sequence[int], float]], pbc: Sequence[bool]
    ) -> None:
        self.lattice_shape = lattice_shape
        nonzero = [(tuple(shift), exchange) for shift, exchange in shifts if exchange]
        periodic = all(p or n == 1 for p, n in zip(pbc, lattice_shape, strict=True))
        self._rolls = nonzero if periodic else []
        self._compiled: Callable[[Tensor], Tensor] | None = None
        self._scale = nonzero[0][1] if nonzero else 1.0
        self._windows = [
            (window, exchange / self._scale)
            for shift, exchange in nonzero
            for window in _windows(lattice_shape, shift, pbc)
        ]
        first = nonzero[0][0] if nonzero else (0, 0, 0)
        covers = bool(nonzero) and all(periodic or not n for n, periodic in zip(first, pbc, strict=True))
        self._n_written = len(list(_windows(lattice_shape, first, pbc))) if covers else 0

    @classmethod
    def of(cls, system: SpinSystem, exchange: FloatArray) -> LatticeExchange | None:
        """Exchange of the first ``len(exchange)`` neighbour shells, or None where `system` is no Bravais lattice."""
        if system.lattice_shape is None or system.n_basis > 1 or not is_lattice(system):
            return None
        vectors, shells = _shell_vectors(system, len(exchange))
        return cls(
            system.lattice_shape,
            [(vector.tolist(), float(exchange[shell])) for vector, shell in zip(vectors, shells, strict=True)],
            system.pbc,
        )

    def compile(self, **options: Any) -> None:
        """Make one loop of the sum where all directions are periodic; compiled anew for every shape of the spins."""
        if self._rolls:
            self._compiled = torch.compile(self._rolled, dynamic=False, **options)

    def _rolled(self, spins: Tensor) -> Tensor:
        planes = spins.movedim(-1, 0)
        lattice = planes.reshape(*planes.shape[:2], *self.lattice_shape)
        terms = [
            exchange / self._scale * lattice.roll([-n for n in shift], (2, 3, 4)) for shift, exchange in self._rolls
        ]
        return (self._scale * reduce(operator.add, terms)).reshape(planes.shape).movedim(0, -1)

    def __call__(self, spins: Tensor) -> Tensor:
        """Field (R, N, 3) of spins (R, N, 3), a view with the components outermost."""
        if self._compiled is not None:
            return self._compiled(spins)
        planes = spins.movedim(-1, 0)
        lattice = planes.reshape(*planes.shape[:2], *self.lattice_shape)
        new = torch.empty_like if self._n_written else torch.zeros_like
        field = new(lattice, memory_format=torch.contiguous_format)
        for (target, origin), _ in self._windows[: self._n_written]:
            field[:, :, *target].copy_(lattice[:, :, *origin])
        for (target, origin), exchange in self._windows[self._n_written :]:
            field[:, :, *target].add_(lattice[:, :, *origin], alpha=exchange)
        if self._scale != 1.0:
            field *= self._scale
        return field.reshape(planes.shape).movedim(0, -1)


def _windows(lattice_shape: Sequence[int], shift: Sequence[int], pbc: Sequence[bool]) -> Iterator[Window]:
    """Windows of ``target[n] += origin[n + shift]`` along the three axes."""
    axes = [_axis_windows(*given) for given in zip(lattice_shape, shift, pbc, strict=True)]
    for windows in product(*axes):
        yield tuple(target for target, _ in windows), tuple(origin for _, origin in windows)


def _axis_windows(length: int, shift: int, periodic: bool) -> list[tuple[slice, slice]]:
    if periodic:
        shift %= length
        inner = [(slice(0, length - shift), slice(shift, length))]
        return inner + ([(slice(length - shift, length), slice(0, shift))] if shift else [])
    if abs(shift) >= length:
        return []
    first, last = max(0, -shift), min(length, length - shift)
    return [(slice(first, last), slice(first + shift, last + shift))]


def _shell_vectors(system: SpinSystem, n_shells: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bond vectors (B, 3) of the first shells in lattice coordinates, and their shells (B,)."""
    cutoff = shell_cutoff(system, n_shells)
    if cutoff == 0:
        return np.empty((0, 3), dtype=np.int64), np.empty(0, dtype=np.int64)
    offset, _, _, vector = cell_neighbors(system, cutoff)
    distance = np.linalg.norm(vector, axis=1)
    rank = shell_ranks(distance)
    return offset[rank < n_shells], rank[rank < n_shells]
