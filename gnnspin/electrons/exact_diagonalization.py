"""Exact diagonalisation: the reference field source of itinerant magnets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Unpack

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.spins import as_spins
from gnnspin.electrons.density import spin_density
from gnnspin.electrons.ensemble import FixedBy
from gnnspin.electrons.equilibrium import EquilibriumSource
from gnnspin.electrons.hamiltonian import SDHamiltonian
from gnnspin.electrons.occupation import Occupation, gap, occupy
from gnnspin.electrons.state import ElectronicState

#: Memory that the matrices diagonalised together may take, in bytes. Processors solve them one after another anyway.
CHUNK_BYTES = {"cpu": 2**26, "cuda": 2**32}

#: Occupations below this do not reach the last digit of a field.
_NEGLIGIBLE = 1e-18


class ExactDiagonalization(EquilibriumSource, kind="exact_diagonalization"):
    """Field source that diagonalises H for every spin configuration; float64, cost O(N^3).

    At fixed mu the energy is the grand potential Omega, at fixed filling or electron number the free energy
    F = Omega + mu N; in both ``-dE/dS_i = sum_{m on i} J_m <c+_m sigma c_m>`` holds exactly at any temperature.

    Parameters
    ----------
    hamiltonian : SDHamiltonian
        Its system may be a union: every part is then diagonalised by itself.
    kT : float
        Temperature in units of the hopping, >= 0; at 0 levels are filled in steps and a degenerate level is shared.
    **fixed
        Exactly one of `mu`, `filling` and `n_electrons`, see `FixedBy`.
    device : torch.device or str
        Where the matrices are diagonalised.

    Raises
    ------
    InvalidInput
        If a number is out of range or not exactly one of `mu`, `filling`, `n_electrons` is given.

    Examples
    --------
    >>> from gnnspin.core import random_spins
    >>> from gnnspin.systems import triangular
    >>> oracle = ExactDiagonalization(SDHamiltonian(triangular(6, 6), J=3.0), kT=0.01, mu=-3.2)
    >>> oracle.field(random_spins(36, seed=0)).shape
    torch.Size([36, 3])
    """

    takes_zero_temperature = True

    def __init__(
        self,
        hamiltonian: SDHamiltonian,
        kT: float = 0.01,
        *,
        device: torch.device | str = "cpu",
        **fixed: Unpack[FixedBy],
    ) -> None:
        super().__init__(hamiltonian, kT, device, fixed)

    def _part_states(self, spins: Tensor) -> list[ElectronicState]:
        return [
            ElectronicState(
                energy=part.occupation.potential,
                field=part.field,
                density=part.density,
                mu=part.occupation.mu,
                n_electrons=part.occupation.n_electrons,
                internal_energy=part.occupation.internal_energy,
                entropy=part.occupation.entropy,
            )
            for part in self._solve_parts(spins, field=True)
        ]

    def levels(self, spins: Tensor | ArrayLike) -> Tensor:
        """Eigenvalues of H in ascending order, (..., D); parameters and errors as in `solve`, and not of a union."""
        return self._single(spins, lambda matrix: torch.linalg.eigvalsh(matrix))

    def density_matrix(self, spins: Tensor | ArrayLike) -> Tensor:
        """One-particle density matrix ``rho_ab = <c+_b c_a>``, the Fermi function of H.

        Parameters
        ----------
        spins : (..., N, 3)
            Unit spins.

        Returns
        -------
        (..., D, D) complex128 tensor
            Rows ordered as in `SDHamiltonian`; its trace is the electron number.

        Raises
        ------
        InvalidInput
            If the spins have the wrong shape or are not finite unit vectors, or the system is a union.
        """
        constraint = self._constraints[0]

        def fermi_function(matrix: Tensor) -> Tensor:
            levels, vectors = torch.linalg.eigh(matrix)
            weights = occupy(levels, self.kT, **constraint).weights
            return (vectors * weights.unsqueeze(-2).to(vectors.dtype)) @ vectors.mH

        return self._single(spins, fermi_function)

    @torch.no_grad()
    def gap(self, spins: Tensor | ArrayLike) -> Tensor:
        """`cluster_gap` under its former name."""
        return self.cluster_gap(spins)

    @torch.no_grad()
    def cluster_gap(self, spins: Tensor | ArrayLike) -> Tensor:
        """Distance between the highest filled and the lowest empty level of this finite system at kT = 0.

        The levels are those of one cell at one crystal momentum; the gap of the crystal whose spins repeat is that of
        `gnnspin.electrons.bands` over all momenta, and may be closed where this one is open.

        Parameters
        ----------
        spins : (..., N, 3)
            Unit spins.

        Returns
        -------
        (...) tensor, or (..., n_graphs) for a union
            0 where a level is partly filled, infinite where no level is filled or none is empty.
        """
        given = as_spins(spins, self.system.n_sites).detach()
        pieces = given.to(self.device, self.dtype).split([part.system.n_sites for part in self.hamiltonian.parts], -2)
        gaps = [
            gap(torch.linalg.eigvalsh(part.dense(piece)), **constraint)
            for part, piece, constraint in zip(self.hamiltonian.parts, pieces, self._constraints, strict=True)
        ]
        return (gaps[0] if self.system.n_graphs == 1 else torch.stack(gaps, -1)).to(given.device)

    @torch.no_grad()
    def _single(self, spins: Tensor | ArrayLike, function: Callable[[Tensor], Tensor]) -> Tensor:
        """A function of the matrices (R, D, D) of a system that is not a union, chunk by chunk."""
        if self.system.n_graphs > 1:
            raise InvalidInput("a union has no single matrix; use one solver for each of hamiltonian.parts")
        given = as_spins(spins, self.system.n_sites).detach()
        own = given.to(self.device, self.dtype).reshape(-1, *given.shape[-2:])
        results = torch.cat([function(self.hamiltonian.dense(piece)) for piece in own.split(self._chunk())])
        return results.to(given.device).reshape(*given.shape[:-2], *results.shape[1:])

    def _chunk(self, part: SDHamiltonian | None = None) -> int:
        """Matrices diagonalised together."""
        size = (part or self.hamiltonian).n_spin_orbitals
        return max(1, CHUNK_BYTES.get(self.device.type, CHUNK_BYTES["cuda"]) // (5 * 16 * size**2))

    def energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Energies (R, n_graphs); see `FieldSource.energies`."""
        del time
        solved = self._solve_parts(spins, field=False)
        return torch.stack([part.occupation.potential for part in solved], -1)

    def fields(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Fields (R, N, 3); see `FieldSource.fields`."""
        return self.energies_and_fields(spins, time)[1]

    def energies_and_fields(self, spins: Tensor, time: float | None = None) -> tuple[Tensor, Tensor]:
        """Both, from one evaluation; see `FieldSource.energies_and_fields`."""
        del time
        solved = self._solve_parts(spins, field=True)
        energies = torch.stack([part.occupation.potential for part in solved], -1)
        return energies, torch.cat([part.field for part in solved], 1)

    def _solve_parts(self, spins: Tensor, *, field: bool) -> list[_Solution]:
        """One solution per part of the system for spins (R, N, 3); without `field` only eigenvalues are computed."""
        parts = self.hamiltonian.parts
        pieces = spins.split([part.system.n_sites for part in parts], dim=1)
        return [
            self._solve_part(part, piece, constraint, field=field)
            for part, piece, constraint in zip(parts, pieces, self._constraints, strict=True)
        ]

    def _solve_part(
        self, part: SDHamiltonian, spins: Tensor, constraint: dict[str, float], *, field: bool
    ) -> _Solution:
        """Diagonalise chunk by chunk, so that memory does not grow with the number of replicas."""
        occupations, fields, densities = [], [], []
        for piece in spins.split(self._chunk(part)):
            matrix = part.unchecked_dense(piece)
            if not field:
                occupations.append(occupy(torch.linalg.eigvalsh(matrix), self.kT, **constraint))
                continue
            levels, vectors = torch.linalg.eigh(matrix)
            occupation = occupy(levels, self.kT, **constraint)
            density, spin = orbital_densities(vectors, occupation.weights)
            occupations.append(occupation)
            fields.append(part.site_field(spin))
            densities.append(part.site_density(density))
        empty = spins.new_empty(0)
        return _Solution(
            Occupation(**{name: torch.cat([getattr(o, name) for o in occupations]) for name in _occupation_names()}),
            torch.cat(fields) if field else empty,
            torch.cat(densities) if field else empty,
        )


@dataclass(frozen=True)
class _Solution:
    """Occupation, field (R, n, 3) and density (R, n) of one part."""

    occupation: Occupation
    field: Tensor
    density: Tensor


def orbital_densities(vectors: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Density <c+_m c_m> and spin <c+_m sigma c_m> of every orbital; only diagonal blocks of the density matrix.

    The full set of levels has density 2 and spin 0 on every orbital: with more than half of them occupied the sum runs
    over the holes instead.

    Parameters
    ----------
    vectors : (R, 2M, K)
        Orthonormal eigenvectors as columns, rows ordered as in `SDHamiltonian`.
    weights : (R, K)
        Occupations.

    Returns
    -------
    (R, M) and (R, M, 3)
    """
    more_than_half = weights.mean() > 0.5
    signed = weights - more_than_half.to(weights.dtype)
    used = (signed.abs() > _NEGLIGIBLE).any(0).to(torch.int64)
    ends = torch.stack([more_than_half.to(torch.int64), used.argmax(), used.flip(0).argmax(), used.sum()])
    holes, first, beyond, number = ends.tolist()  # one wait for the device
    last = len(used) - beyond if number else first
    signed = signed[:, first:last].unsqueeze(1)
    orbitals = vectors.mT[:, first:last].unflatten(-1, (-1, 2))
    up, down = orbitals.unbind(-1)
    flip = (signed.to(up.dtype) @ (up.conj() * down)).squeeze(1)
    n_up, n_down = ((signed @ (part.real.square() + part.imag.square())).squeeze(1) for part in (up, down))
    density = n_up + n_down + (2.0 if holes else 0.0)
    return density, spin_density(n_up, n_down, flip)


def _occupation_names() -> list[str]:
    return list(Occupation.__dataclass_fields__)
