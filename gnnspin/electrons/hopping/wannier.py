"""Tight-binding models of a unit cell, and their import from Wannier90."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from gnnspin.core.described import Recipe
from gnnspin.core.errors import InvalidInput
from gnnspin.electrons.hopping.matrix import HERMITIAN_TOLERANCE, matrix_digest
from gnnspin.electrons.hopping.rules import HoppingRule, Hops
from gnnspin.systems.lattice import cell_indices, cell_number, cells_present
from gnnspin.systems.system import IntArray, SpinSystem

SpinorOrder = Literal["interleaved", "blocks"]


class CellHopping(HoppingRule, kind="cell"):
    """Hopping of a lattice from the matrix elements ``<0, m| H |R, n>`` between unit cells.

    The rule works on every lattice (`bravais` and the named lattices) whose cell has the same basis sites; orbitals are
    ordered site by site. Cells R outside an open boundary are cut off.

    Parameters
    ----------
    cells : (K, 3) integers
        Cells R in units of the primitive vectors; R and -R must both be listed.
    blocks : (K, W, W), or (K, W, 2, W, 2) with spin
        Matrix elements in units of the hopping.
    orbital_basis : (W,) integers
        Basis site of each orbital. Every basis site may hold any number, none included.

    Raises
    ------
    InvalidInput
        If a shape or a basis index does not fit or the model is not Hermitian, ``H(R) = H(-R)^+``; when applied to a
        system that is not a lattice or whose cell has too few sites.

    Examples
    --------
    A chain of two orbitals per site with different hoppings:

    >>> from gnnspin.systems import chain
    >>> right = np.diag([-1.0, -0.5])
    >>> rule = CellHopping([[1, 0, 0], [-1, 0, 0]], [right, right.T], orbital_basis=[0, 0])
    >>> rule.matrix(chain(6)).shape
    (12, 12)
    """

    def __init__(self, cells: ArrayLike, blocks: ArrayLike, orbital_basis: Sequence[int]) -> None:
        self.cells = np.asarray(cells, dtype=np.int64)
        basis = np.asarray(orbital_basis, dtype=np.int64)
        size, given = len(basis), np.asarray(blocks)
        if self.cells.ndim != 2 or self.cells.shape[1] != 3 or len(np.unique(self.cells, axis=0)) != len(self.cells):
            raise InvalidInput(f"cells have shape {self.cells.shape}; expected (K, 3) with every cell once")
        if given.shape[1:] not in ((size, size), (size, 2, size, 2)) or len(given) != len(self.cells):
            raise InvalidInput(
                f"blocks have shape {given.shape}; {len(self.cells)} cells and {size} orbitals need "
                f"({len(self.cells)}, {size}, {size}), or ({len(self.cells)}, {size}, 2, {size}, 2) with spin"
            )
        if not np.isfinite(given).all() or basis.min(initial=0) < 0:
            raise InvalidInput("blocks must be finite and orbital_basis must count basis sites from 0")
        order = np.argsort(basis, kind="stable")
        self.orbital_basis = basis[order]
        self.blocks = given[:, order][:, :, order] if given.ndim == 3 else given[:, order][:, :, :, order]
        self._require_hermitian()

    def _require_hermitian(self) -> None:
        size = self.blocks[0].size if len(self.blocks) else 0
        side = round(size**0.5)
        matrices = self.blocks.reshape(-1, side, side)
        index = {tuple(cell): k for k, cell in enumerate(self.cells.tolist())}
        for cell, matrix in zip(self.cells.tolist(), matrices, strict=True):
            opposite = index.get((-cell[0], -cell[1], -cell[2]))
            partner = np.zeros_like(matrix) if opposite is None else matrices[opposite].conj().T
            error = abs(matrix - partner).max(initial=0)
            if error > HERMITIAN_TOLERANCE * max(1.0, abs(matrices).max()):
                raise InvalidInput(f"H(R) and H(-R)^+ differ by {error:.3e} at R={cell}; list both directions")

    def orbitals(self, system: SpinSystem) -> IntArray:
        return np.concatenate([self._per_cell(part)[part.basis_index] for part in system.parts])

    def _per_cell(self, system: SpinSystem) -> IntArray:
        if system.lattice_shape is None:
            raise InvalidInput(
                f"{self} needs a lattice with {int(self.orbital_basis.max()) + 1} sites per cell; "
                f"{system} is none (bravais() makes one)"
            )
        if self.orbital_basis.max() >= system.n_basis:
            raise InvalidInput(
                f"{self} has an orbital on basis site {int(self.orbital_basis.max())}; the cells of "
                f"{system} have {system.n_basis}"
            )
        return np.bincount(self.orbital_basis, minlength=system.n_basis)

    def part_hops(self, system: SpinSystem) -> Hops:
        self._per_cell(system)
        shape = np.array(system.lattice_shape, dtype=np.int64)
        block, row, column = self._entries()
        home = cell_indices(shape)
        target = home[:, None] + self.cells[block]
        kept = cells_present(target, shape, system.pbc)
        number = cell_number(target, shape)
        width = len(self.orbital_basis)
        first = np.broadcast_to(np.arange(len(home))[:, None], kept.shape)
        sites = system.positions.reshape(len(home), -1, 3)[0]
        step = self.cells[block] @ system.primitive_vectors
        step = step + sites[self.orbital_basis[column]] - sites[self.orbital_basis[row]]
        amplitude = self.blocks[block, row, column] if self.blocks.ndim == 3 else self.blocks[block, row, :, column]
        which = np.broadcast_to(np.arange(len(block)), kept.shape)[kept]
        return Hops(
            first[kept] * width + row[which], number[kept] * width + column[which], step[which], amplitude[which]
        )

    def _entries(self) -> tuple[IntArray, IntArray, IntArray]:
        """Indices (block, row, column) of the matrix elements that are not zero."""
        present = self.blocks != 0
        block, row, column = np.nonzero(present if present.ndim == 3 else present.any((2, 4)))
        return block, row, column

    translation = True

    @property
    def time_reversal(self) -> bool:
        """Whether ``sigma_y H(R)* sigma_y = H(R)`` for all blocks; blocks without spin must be real."""
        blocks, reversed_blocks = self.blocks, self.blocks.conj()
        if self.acts_on_spin:
            flip = np.array([[0.0, 1.0], [-1.0, 0.0]])
            reversed_blocks = np.einsum("ab,kmbnc,dc->kmand", flip, reversed_blocks, flip)
        return bool((abs(blocks - reversed_blocks) <= HERMITIAN_TOLERANCE * abs(blocks).max(initial=0)).all())

    @property
    def acts_on_spin(self) -> bool:
        return self.blocks.ndim == 5

    @property
    def digest(self) -> str:
        """Hash of the matrix elements, by which files of versions before 0.2 hold them."""
        content = np.concatenate([self.blocks.reshape(len(self.cells), -1), self.cells], axis=1)
        return matrix_digest(sparse.csr_array(content))

    def completes(self, stored: Mapping[str, Any]) -> bool:
        return stored.get("digest") == self.digest and stored.get("orbital_basis") == self.orbital_basis.tolist()

    def __repr__(self) -> str:
        return f"CellHopping({len(self.orbital_basis)} orbitals, {len(self.cells)} cells)"


@dataclass(frozen=True)
class WannierData:
    """Content of a ``_hr.dat`` file.

    Attributes
    ----------
    cells : (K, 3)
        Lattice vectors R in units of the primitive vectors.
    blocks : (K, W, W)
        ``<0, m| H |R, n>`` divided by the degeneracy of R; in eV.
    """

    cells: IntArray
    blocks: NDArray[np.complex128]


def read_hr(path: str | Path) -> WannierData:
    """Read a Wannier90 ``seedname_hr.dat`` file.

    Comment, number of Wannier functions, number of R, degeneracies (fifteen per line, or any number), then lines
    ``R1 R2 R3 m n Re Im`` in any order, m and n from 1 (Wannier90 user guide, "seedname_hr.dat"). The degeneracies
    belong to the R in the order in which these first appear.

    Raises
    ------
    InvalidInput
        If the file is missing or does not have this format, or a matrix element is missing or given twice; the message
        names the line, counted from 1.
    """
    try:
        lines = Path(path).read_bytes().decode("latin-1").splitlines()
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}") from error
    try:
        width, n_cells = int(lines[1]), int(lines[2])
        degeneracy, first = _degeneracies(lines, n_cells)
        numbers = [k for k in range(first, len(lines)) if lines[k].strip()]
        rows = np.array([lines[k].split() for k in numbers], dtype=np.float64)
        if rows.shape != (n_cells * width**2, 7):
            raise ValueError(
                f"{n_cells} cells of {width} functions need {n_cells * width**2} lines of 7 numbers, found {len(rows)}"
            )
        cells, blocks = _matrix_elements(rows, np.array(numbers) + 1, width, n_cells)
    except (ValueError, IndexError) as error:
        raise InvalidInput(f"{path} is not a Wannier90 _hr.dat file: {error}") from error
    return WannierData(cells, blocks / degeneracy[:, None, None])


def _degeneracies(lines: list[str], n_cells: int) -> tuple[IntArray, int]:
    """Degeneracy (K,) of every R, however many stand on a line, and the index of the line that follows."""
    found: list[int] = []
    line = 3
    while len(found) < n_cells:
        found += [int(token) for token in lines[line].split()]
        line += 1
    if len(found) > n_cells or min(found, default=1) < 1:
        raise ValueError(f"{n_cells} degeneracies of at least 1 expected, found {found} up to line {line}")
    return np.array(found, dtype=np.int64), line


def _matrix_elements(
    rows: NDArray[np.float64], line: IntArray, width: int, n_cells: int
) -> tuple[IntArray, NDArray[np.complex128]]:
    """Cells (K, 3) in the order of their first rows, and every row (R, m, n, Re, Im) at its own place in (K, W, W)."""
    finite = np.asarray(np.isfinite(rows).all(axis=1))
    labels = np.where(finite[:, None], rows[:, :5], 0).astype(np.int64)
    wrong = (labels != rows[:, :5]).any(1) | (labels[:, 3:] < 1).any(1) | (labels[:, 3:] > width).any(1)
    wrong |= ~finite
    if wrong.any():
        k = int(wrong.argmax())
        raise ValueError(
            f"line {line[k]}: {rows[k].tolist()} must be integers R, m, n and two numbers, m and n in 1 .. {width}"
        )
    _, first, which = np.unique(labels[:, :3], axis=0, return_index=True, return_inverse=True)
    if len(first) != n_cells:
        raise ValueError(f"{n_cells} cells R announced, {len(first)} found")
    rank = np.argsort(np.argsort(first))
    cell, m, n = rank[which.reshape(-1)], labels[:, 3] - 1, labels[:, 4] - 1
    place = (cell * width + m) * width + n
    _, once = np.unique(place, return_index=True)
    if len(once) != len(place):
        k = int(np.setdiff1d(np.arange(len(place)), once)[0])
        raise ValueError(
            f"line {line[k]}: the element R, m, n = {labels[k].tolist()} is given twice, another is missing"
        )
    blocks = np.zeros((n_cells, width, width), dtype=np.complex128)
    blocks[cell, m, n] = rows[:, 5] + 1j * rows[:, 6]
    return labels[np.sort(first), :3], blocks


class Wannier90Hopping(CellHopping, kind="wannier90"):
    """Hopping rule of a Wannier90 Hamiltonian, for lattices with the primitive vectors and basis of that calculation.

    Energies stay in eV, so J, kT and mu must be in eV too. The file is made Hermitian, ``(H(R) + H(-R)^+) / 2``, to
    remove the rounding of its six decimals. Spins couple only to the orbitals whose J is not zero. What is stored with
    a model or a run holds the matrix elements themselves (kind ``cell``) and does not need the file again.

    Parameters
    ----------
    path : str or Path
        ``seedname_hr.dat``.
    orbital_basis : (W,) integers
        Basis site of each spatial Wannier function, in the file's order.
    spinor : None, "interleaved" or "blocks"
        None: the functions have no spin and serve both directions. With spin-orbit terms, W spatial functions make 2W
        in the file: up and down alternating ("interleaved"), or all up before all down ("blocks").
    smallest : float
        Matrix elements below this in size are dropped, in eV.

    Raises
    ------
    InvalidInput
        If the file cannot be read or `orbital_basis` or `spinor` do not fit it.

    Notes
    -----
    G. Pizzi et al., J. Phys.: Condens. Matter 32, 165902 (2020), doi:10.1088/1361-648X/ab51ff.

    Examples
    --------
    Four cells in each direction of a crystal with two sites, three d orbitals on the first and one p on the second::

        crystal = bravais((4, 4, 4), primitive_vectors, basis=[[0, 0, 0], [2.0, 0, 0]])
        rule = Wannier90Hopping("crystal_hr.dat", orbital_basis=[0, 0, 0, 1])
        hamiltonian = SDHamiltonian(crystal, rule, J=np.tile([0.8, 0.0], 64))
    """

    def __init__(
        self,
        path: str | Path,
        orbital_basis: Sequence[int],
        *,
        spinor: SpinorOrder | None = None,
        smallest: float = 0.0,
    ) -> None:
        super().__init__(*_hermitian_blocks(path, len(orbital_basis), spinor, smallest), orbital_basis)

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        """Nothing: the file is read when the rule is built."""
        del recipe

    def specification(self) -> dict[str, Any]:
        """Description by the matrix elements."""
        return CellHopping(self.cells, self.blocks, self.orbital_basis.tolist()).specification()


#: The rule under the name that it had as a function.
wannier90_hopping = Wannier90Hopping


def _hermitian_blocks(
    path: str | Path, size: int, spinor: SpinorOrder | None, smallest: float
) -> tuple[IntArray, NDArray[Any]]:
    """Cells (K, 3) and Hermitian blocks of a file."""
    data = read_hr(path)
    expected = size if spinor is None else 2 * size
    if data.blocks.shape[1] != expected:
        raise InvalidInput(
            f"{path} has {data.blocks.shape[1]} Wannier functions; orbital_basis of {size} entries with "
            f"spinor={spinor!r} describes {expected}"
        )
    index = {tuple(cell): k for k, cell in enumerate(data.cells.tolist())}
    missing = [cell for cell in index if tuple(-c for c in cell) not in index]
    if missing:
        raise InvalidInput(f"{path} lists the cell {missing[0]} but not its opposite")
    opposite = [index[(-cell[0], -cell[1], -cell[2])] for cell in data.cells.tolist()]
    blocks: NDArray[Any] = (data.blocks + data.blocks[opposite].conj().swapaxes(1, 2)) / 2
    blocks[abs(blocks) < smallest] = 0
    if not blocks.imag.any():
        blocks = blocks.real
    if spinor == "interleaved":
        blocks = blocks.reshape(-1, size, 2, size, 2)
    elif spinor == "blocks":
        blocks = blocks.reshape(-1, 2, size, 2, size).transpose(0, 2, 1, 4, 3)
    return data.cells, blocks
