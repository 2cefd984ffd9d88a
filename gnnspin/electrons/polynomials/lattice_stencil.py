"""Translation-invariant hopping as shifts of a lattice: no matrix, no indices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from torch import Tensor

from gnnspin.electrons.hamiltonian import SDHamiltonian
from gnnspin.systems.lattice import cell_indices

#: Amplitudes that differ by less than this, relative to the largest, are equal.
_EQUAL = 1e-12


@dataclass(frozen=True)
class Shift:
    """Amplitude h_ij from basis site `source` of the cell at +displacement to basis site `target`."""

    displacement: tuple[int, int, int]
    target: int
    source: int
    amplitude: complex


@dataclass(frozen=True)
class LatticeStencil:
    """Hopping of a periodic lattice, the same in every unit cell.

    Attributes
    ----------
    lattice_shape : (L1, L2, L3)
    n_basis : int
        Orbitals per unit cell.
    shifts : tuple of Shift
    """

    lattice_shape: tuple[int, int, int]
    n_basis: int
    shifts: tuple[Shift, ...]

    def add_product(self, current: Tensor, result: Tensor, scale: float) -> Tensor:
        """Add ``scale h current`` to `result` in place; both (4M, R), four real rows per orbital."""
        shape = (*self.lattice_shape, self.n_basis, 2, 2, current.shape[1])
        old, new = current.view(shape), result.view(shape)
        for shift in self.shifts:
            source, target = old[:, :, :, shift.source], new[:, :, :, shift.target]
            for to, start in _wrapped_slices(shift.displacement, self.lattice_shape):
                given, received = source[start], target[to]
                if shift.amplitude.real:
                    received.add_(given, alpha=scale * shift.amplitude.real)
                if shift.amplitude.imag:
                    received[..., 0, :].add_(given[..., 1, :], alpha=-scale * shift.amplitude.imag)
                    received[..., 1, :].add_(given[..., 0, :], alpha=scale * shift.amplitude.imag)
        return result


def lattice_stencil(hamiltonian: SDHamiltonian) -> LatticeStencil | None:
    """Stencil of a Hamiltonian on one lattice; None if its hopping is not the same in every cell, or mixes the spins.

    Open boundaries, disorder, or numbers of orbitals that differ between cells break translation invariance.
    """
    shape, n_orbitals = hamiltonian.system.lattice_shape, hamiltonian.n_orbitals
    if shape is None or not hamiltonian.spin_diagonal or n_orbitals % int(np.prod(shape)):
        return None
    n_cells = int(np.prod(shape))
    n_basis = n_orbitals // n_cells
    sites_per_cell = hamiltonian.system.n_sites // n_cells
    if not np.array_equal(hamiltonian.orbital_site // sites_per_cell, np.arange(n_orbitals) // n_basis):
        return None
    elements = hamiltonian.hopping_matrix.tocoo()
    row, column = elements.coords
    cells = [cell_indices(shape)[axis // n_basis] for axis in (row, column)]
    displacement = (cells[1] - cells[0]) % np.array(shape)
    keys = np.column_stack([displacement, row % n_basis, column % n_basis])
    unique, group = np.unique(keys, axis=0, return_inverse=True)
    group = group.reshape(-1)
    first = np.zeros(len(unique), dtype=elements.data.dtype)
    first[group] = elements.data
    uniform = np.abs(elements.data - first[group]).max(initial=0.0) <= _EQUAL * np.abs(first).max(initial=0.0)
    if not uniform or (np.bincount(group) != n_cells).any():
        return None
    shifts = [
        Shift((int(key[0]), int(key[1]), int(key[2])), int(key[3]), int(key[4]), complex(amplitude))
        for key, amplitude in zip(unique, first, strict=True)
    ]
    return LatticeStencil(shape, n_basis, tuple(shifts))


def _wrapped_slices(
    displacement: tuple[int, int, int], lengths: tuple[int, int, int]
) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Pairs of slices (to, from) that move every cell's neighbour at +displacement onto it, wrapped at the boundary."""
    axes = []
    for d, length in zip(displacement, lengths, strict=True):
        whole = [(slice(0, length - d), slice(d, length))]
        axes.append(whole if d == 0 else [*whole, (slice(length - d, length), slice(0, d))])
    for pieces in product(*axes):
        yield tuple(piece[0] for piece in pieces), tuple(piece[1] for piece in pieces)
