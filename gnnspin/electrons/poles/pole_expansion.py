"""Pole expansion and selected inversion: exact fields without diagonalisation."""

from __future__ import annotations

from typing import Unpack

import numpy as np
import torch
from torch import Tensor

from gnnspin.core.described import Recipe
from gnnspin.core.errors import InvalidInput
from gnnspin.electrons.ensemble import FixedBy
from gnnspin.electrons.equilibrium import EquilibriumSource
from gnnspin.electrons.hamiltonian import SDHamiltonian
from gnnspin.electrons.poles.pole_sums import PolePart
from gnnspin.electrons.state import ElectronicState


class PoleExpansion(EquilibriumSource, kind="pole_expansion"):
    """Field source that sums Green's functions at the poles of a rational Fermi function; any sparse H.

    The density matrix is ``f(H) = 1/2 + kT sum_j R_j Re G(z_j)`` with ``G(z) = (z - H)^-1`` at the poles
    ``z_j = mu + i omega_j kT`` of `rational.fermi_poles` and Re the Hermitian part; only its diagonal blocks are
    computed, by `SelectedInverse`. The grand potential comes from log-determinants at the same poles,
    ``Omega = Tr(H - mu)/2 - kT sum_j R_j ln|det(z_j - H)| + const``, of which the returned field is the exact gradient.
    At fixed electron number `NumberSearch` finds mu with about two evaluations' worth of Green's functions; at the mu
    found, f(H) and Omega are combinations of those at nearby poles, and the energy is ``F = Omega + mu N``.

    All is in double precision, but for `field` (and `torque`, and dynamics) where the tolerance leaves room: Green's
    functions in single precision, which cost half as much, err by less than a twentieth of ``tolerance`` if that is at
    least ``5e-7 W / kT``, W the width of the spectrum. Field and energy then agree to the tolerance only.

    Cost grows as N^1.5 in two dimensions and N^2 in three; on a graph that connects everything with everything the
    selected inversion is a dense inverse per pole (`dense` is then True), and `ExactDiagonalization` is the better
    choice. The idea is that of Lin et al., J. Phys.: Condens. Matter 25, 295501 (2013),
    doi:10.1088/0953-8984/25/29/295501.

    Parameters
    ----------
    hamiltonian : SDHamiltonian
        Its system may be a union: every part is then solved by itself.
    kT : float
        Temperature in units of the hopping, > 0.
    **fixed
        Exactly one of `mu`, `filling` and `n_electrons`, see `FixedBy`. In a gap, mu is defined only as far as N(mu)
        is: any value that gives this number within the tolerance.
    tolerance : float
        Error of every site's field ``|delta H_i|``, in units of the hopping. Occupations are approximated to
        ``tolerance / (2 max_i sum_m |J_m|)``, which at fixed mu makes it a strict bound; at fixed number mu depends on
        the occupations of all levels, and they are approximated at least 10 times better.
    mu_start : float, optional
        Where the search for mu begins at fixed electron number; every evaluation begins there, so that the result is
        a function of the spins alone. A value within a few kT of the answer (`solve` gives ``state.mu``) saves half of
        the evaluations, one further away nothing. Default: the search begins with the whole spectrum.
    device : torch.device or str
        Where the matrices are inverted.

    Raises
    ------
    InvalidInput
        If a number is out of range, kT is zero, or not exactly one of `mu`, `filling`, `n_electrons` is given.
    ConvergenceError
        If the tolerance cannot be reached in float64 at this temperature.

    Examples
    --------
    >>> from gnnspin.core import random_spins
    >>> from gnnspin.systems import triangular
    >>> oracle = PoleExpansion(SDHamiltonian(triangular(6, 6), J=3.0), kT=0.01, mu=-3.2)
    >>> oracle.field(random_spins(36, seed=0)).shape
    torch.Size([36, 3])
    """

    def __init__(
        self,
        hamiltonian: SDHamiltonian,
        kT: float = 0.01,
        *,
        tolerance: float = 1e-8,
        mu_start: float | None = None,
        device: torch.device | str | None = None,
        **fixed: Unpack[FixedBy],
    ) -> None:
        _check(tolerance, mu_start)
        super().__init__(hamiltonian, kT, device, fixed)
        self.tolerance, self.mu_start = float(tolerance), None if mu_start is None else float(mu_start)
        self._parts = [
            PolePart(part, self.kT, constraint, self.tolerance, self.mu_start, self.device)
            for part, constraint in zip(hamiltonian.parts, self._constraints, strict=True)
        ]

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        super().check(recipe)
        values = recipe.arguments()
        _check(values["tolerance"], values["mu_start"])

    @property
    def n_poles(self) -> int:
        """Poles in the upper half plane: matrices inverted per replica; the largest number among the parts."""
        return max(len(part.poles.frequencies) for part in self._parts)

    @property
    def dense(self) -> bool:
        """Whether some part is so densely connected that its matrices are inverted as dense ones."""
        return any(part.inverse.dense for part in self._parts)

    @property
    def relative_work(self) -> float:
        """Complex multiply-adds of all poles at one mu, over the sum of D^3 of the parts.

        Measured against diagonalisation with eigenvectors on one thread: below about 3 the expansion is the faster one
        at fixed mu, and still at 6 in single precision; below about 1 at fixed number, where a search takes 2 to 2.5
        times as many poles. In torch, without native code, a third of these.
        """
        own = sum(len(part.poles.frequencies) * part.inverse.cost for part in self._parts)
        return own / sum(float(part.n_levels) ** 3 for part in self._parts)

    def _part_states(self, spins: Tensor) -> list[ElectronicState]:
        return [part.solve(piece) for part, piece in self._pieces(spins)]

    def energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Energies (R, n_graphs); see `FieldSource.energies`."""
        del time
        return torch.stack([part.potential(piece) for part, piece in self._pieces(spins)], -1)

    def fields(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Fields (R, N, 3); see `FieldSource.fields`."""
        del time
        return torch.cat([part.field(piece) for part, piece in self._pieces(spins)], 1)

    def energies_and_fields(self, spins: Tensor, time: float | None = None) -> tuple[Tensor, Tensor]:
        """Both, from one evaluation; see `FieldSource.energies_and_fields`."""
        del time
        solved = [part.solve(piece) for part, piece in self._pieces(spins)]
        return torch.stack([part.energy for part in solved], -1), torch.cat([part.field for part in solved], 1)

    def _pieces(self, spins: Tensor) -> list[tuple[PolePart, Tensor]]:
        sizes = [part.hamiltonian.system.n_sites for part in self._parts]
        return list(zip(self._parts, spins.split(sizes, dim=1), strict=True))

    def __repr__(self) -> str:
        return f"PoleExpansion({self.hamiltonian}, {self.ensemble}, tolerance={self.tolerance})"


def _check(tolerance: float, mu_start: float | None) -> None:
    if not 0 < tolerance <= 0.1:
        raise InvalidInput(f"tolerance={tolerance} must lie between 0 and 0.1, in units of the hopping")
    if mu_start is not None and not np.isfinite(mu_start):
        raise InvalidInput(f"mu_start={mu_start} must be finite")
