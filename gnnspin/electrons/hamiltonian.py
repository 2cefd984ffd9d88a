"""The s-d Hamiltonian of electrons that hop between classical spins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.sparse import csr_array
from torch import Tensor

from gnnspin.core.described import Described, Recipe, RecipeOf
from gnnspin.core.errors import InvalidInput
from gnnspin.core.numbers import seed_number
from gnnspin.core.placed import Placed
from gnnspin.core.spins import as_spins
from gnnspin.electrons.hopping.matrix import MatrixHopping, checked_hopping, orbital_counts
from gnnspin.electrons.hopping.onsite import diluted_coupling
from gnnspin.electrons.hopping.rules import HoppingRule, NearestNeighborHopping
from gnnspin.systems.system import FloatArray, IntArray, SpinSystem


class SDHamiltonian(Described, family="Hamiltonian", group="gnnspin.hamiltonians", kind="sd", default_kind="sd"):
    """H = K - sum_m J_m S_site(m) . c+_m sigma c_m, with classical unit spins S_i and K independent of the spins.

    Spatial orbitals m = 0 .. M-1 are ordered site by site, one per site in the simplest case. Matrices have D = 2M
    rows, one per spin-orbital, spin up before spin down: row ``2 m + a``. In the simplest case K is the hopping
    ``sum_ij,a h_ij c+_ia c_ja``; in general it holds several orbitals per site and spin-orbit terms.

    Parameters
    ----------
    system : SpinSystem
        Where the sites are.
    hopping : HoppingRule or Hermitian scipy.sparse matrix
        Hopping rule. A matrix is bound to this system, see `MatrixHopping`: (M, M) acts on both spin directions alike,
        (2M, 2M) has the row order above and may mix the spin directions (spin-orbit terms).
    J : float, (N,) or (M,)
        Coupling of the electron spin to the classical spin, in units of the hopping: one for all, one per site, or
        one per orbital; 0 where there is no spin or the orbital does not feel it. Positive J favours electrons
        parallel to the spin.
    orbitals : int or (N,) integers, optional
        Number of spatial orbitals on every site. Default: what the rule says, one for a matrix.
    spin_fraction : float
        Part of the sites that carry a spin, 0 to 1; J is 0 on the others, which `diluted_coupling` draws. Below 1, J is
        one number.
    dilution_seed : int
        Which sites carry a spin where `spin_fraction` is below 1.

    Attributes
    ----------
    system : SpinSystem
    one_body : (D, D) csr_array
        The matrix K, Hermitian, float64 or complex128.
    spin_diagonal : bool
        Whether K is hopping (x) identity in spin space: no spin-orbit terms.
    orbital_site : (M,) array
        Site of every orbital, ascending.
    orbital_coupling : (M,) array
        J of every orbital.

    Raises
    ------
    InvalidInput
        If the matrix has the wrong shape, is not Hermitian or connects the parts of a union, or J has the wrong shape
        or is not finite, or a number of orbitals is not an integer >= 0.

    Examples
    --------
    >>> from gnnspin.systems import square
    >>> SDHamiltonian(square(4, 4), J=3.0).n_spin_orbitals
    32

    Two orbitals per site, of which only the first feels the spin:

    >>> import numpy as np, scipy.sparse
    >>> bonds = NearestNeighborHopping().matrix(square(4, 4))
    >>> hopping = scipy.sparse.kron(bonds, np.array([[1.0, 0.3], [0.3, 0.5]]))
    >>> SDHamiltonian(square(4, 4), hopping, J=np.tile([3.0, 0.0], 16), orbitals=2).n_spin_orbitals
    64
    """

    def __init__(
        self,
        system: SpinSystem,
        hopping: HoppingRule | sparse.sparray | sparse.spmatrix | None = NearestNeighborHopping(),  # noqa: B008
        J: float | ArrayLike = 1.0,
        *,
        orbitals: int | Sequence[int] | IntArray | None = None,
        spin_fraction: float = 1.0,
        dilution_seed: int = 0,
    ) -> None:
        _check_dilution(J, spin_fraction, dilution_seed)
        self.system = system
        self.hopping, self._orbitals = _as_rule(hopping, orbitals)
        self.spin_fraction, self.dilution_seed = float(spin_fraction), seed_number(dilution_seed, "dilution_seed")
        self.orbital_site = np.repeat(np.arange(system.n_sites), _orbital_counts(self.hopping, system, self._orbitals))
        matrix = checked_hopping(self.hopping.matrix(system), system, self.orbital_site)
        self._hopping_matrix = matrix if matrix.shape[0] == self.n_orbitals else _spin_independent(matrix)
        self.spin_diagonal = self._hopping_matrix is not None
        spinful = matrix if self._hopping_matrix is None else sparse.kron(self._hopping_matrix, np.eye(2))
        self.one_body = sparse.csr_array(spinful)
        if isinstance(self.hopping, MatrixHopping):
            self.hopping = self.hopping.reduced(self._hopping_matrix)
        dilute = self.spin_fraction < 1
        given = diluted_coupling(system, float(np.asarray(J)), spin_fraction, seed=dilution_seed) if dilute else J
        self.orbital_coupling = _orbital_couplings(given, system.n_sites, self.orbital_site)
        self._J = float(np.asarray(J)) if dilute else _plain_coupling(self.orbital_coupling)

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        """Raise InvalidInput where the dilution is out of range or contradicts the coupling."""
        values = recipe.arguments()
        _check_dilution(values["J"], values["spin_fraction"], values["dilution_seed"])

    @classmethod
    def renewed(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Arguments of version 0.1 in today's form: the hopping, rule or matrix, knows the orbitals of the sites."""
        hopping, orbitals = values.get("hopping"), values.get("orbitals", 1)
        if isinstance(hopping, Mapping) and hopping.get("class") == "matrix":
            hopping = {"kind": MatrixHopping.kind, "orbitals": orbitals, "digest": hopping["digest"]}
        return {**{name: value for name, value in values.items() if name != "orbitals"}, "hopping": hopping}

    @property
    def J(self) -> float | list[float]:
        """Coupling: one number where all orbitals have the same (before dilution), else one per orbital."""
        return self._J

    @property
    def n_orbitals(self) -> int:
        """Number of spatial orbitals, M."""
        return len(self.orbital_site)

    @property
    def n_spin_orbitals(self) -> int:
        """Dimension of the matrices, D = 2M; filling is electrons / D."""
        return 2 * self.n_orbitals

    @property
    def hopping_matrix(self) -> csr_array:
        """Amplitudes h_mn (M, M) that act on both spin directions alike.

        Raises
        ------
        InvalidInput
            If the Hamiltonian has spin-orbit terms.
        """
        if self._hopping_matrix is None:
            raise InvalidInput("the Hamiltonian has spin-orbit terms and no (M, M) hopping matrix; use one_body (D, D)")
        return self._hopping_matrix

    @cached_property
    def time_reversal(self) -> bool:
        """Whether K is invariant under time reversal, so that reversing every spin reverses every field.

        That is ``sigma_y K* sigma_y = K``: real hopping, Rashba terms, but not Peierls phases. A complex hopping that a
        choice of gauge would make real is not recognised.
        """
        if not np.iscomplexobj(self.one_body):
            return self.spin_diagonal or _is_zero(self._time_reversed() - self.one_body)
        return _is_zero(self._time_reversed() - self.one_body, abs(self.one_body).max())

    def _time_reversed(self) -> csr_array:
        flip = sparse.kron(sparse.eye_array(self.n_orbitals), np.array([[0.0, 1.0], [-1.0, 0.0]]), format="csr")
        return flip @ self.one_body.conj() @ flip.T

    @cached_property
    def parts(self) -> tuple[SDHamiltonian, ...]:
        """One Hamiltonian per part of a union; ``(self,)`` for a single system."""
        if self.system.n_graphs == 1:
            return (self,)
        sites = np.cumsum([0] + [part.n_sites for part in self.system.parts])
        counts = np.bincount(self.orbital_site, minlength=self.system.n_sites)
        ends = np.searchsorted(self.orbital_site, sites)
        return tuple(
            SDHamiltonian(
                part,
                self.one_body[2 * a : 2 * b, 2 * a : 2 * b],
                self.orbital_coupling[a:b],
                orbitals=counts[first:last],
            )
            for part, a, b, first, last in zip(
                self.system.parts, ends[:-1], ends[1:], sites[:-1], sites[1:], strict=True
            )
        )

    def exchange_blocks(self, spins: Tensor | ArrayLike) -> Tensor:
        """Diagonal blocks ``-J_m S_site(m) . sigma`` of H.

        Parameters
        ----------
        spins : (..., N, 3)
            Unit spins.

        Returns
        -------
        (..., M, 2, 2) complex128 tensor on the spins' device
        """
        return self.unchecked_exchange_blocks(as_spins(spins, self.system.n_sites))

    def unchecked_exchange_blocks(self, spins: Tensor) -> Tensor:
        """`exchange_blocks` of spins that are known to be unit vectors: without the check, which waits for a device."""
        x, y, z = self._exchange_vectors(spins).unbind(-1)
        rows = [torch.complex(z, torch.zeros_like(z)), torch.complex(x, -y), torch.complex(x, y)]
        return torch.stack([*rows, -rows[0]], -1).unflatten(-1, (2, 2))

    def _exchange_vectors(self, spins: Tensor) -> Tensor:
        """-J_m S_site(m), shape (..., M, 3), float64."""
        site, coupling = self.tables(spins.device)
        return -coupling.unsqueeze(-1) * spins.to(torch.float64).index_select(-2, site)

    def dense(self, spins: Tensor | ArrayLike) -> Tensor:
        """Matrix of H for given spins, on the spins' device.

        Parameters
        ----------
        spins : (..., N, 3)
            Unit spins.

        Returns
        -------
        (..., D, D) complex128 tensor, Hermitian
        """
        return self.unchecked_dense(as_spins(spins, self.system.n_sites))

    def unchecked_dense(self, spins: Tensor) -> Tensor:
        """`dense` of spins that are known to be unit vectors, see `unchecked_exchange_blocks`."""
        blocks = self.unchecked_exchange_blocks(spins)
        replicas = blocks.shape[:-3]
        matrix = self._dense_one_body.on(blocks.device).repeat(*replicas, 1, 1)
        view = matrix.view(*replicas, self.n_orbitals, 2, self.n_orbitals, 2)
        view.diagonal(dim1=-4, dim2=-2).add_(blocks.movedim(-3, -1))
        return matrix

    @cached_property
    def _dense_one_body(self) -> Placed:
        return Placed(self.one_body.toarray().astype(np.complex128))

    def sparse(self, spins: Tensor | ArrayLike) -> csr_array:
        """Matrix of H for one spin configuration.

        Parameters
        ----------
        spins : (N, 3)
            Unit spins.

        Returns
        -------
        (D, D) complex128 csr_array, Hermitian

        Raises
        ------
        InvalidInput
            If there is more than one configuration.
        """
        blocks = self.exchange_blocks(spins)
        if blocks.ndim != 3:
            raise InvalidInput(f"sparse() takes one configuration (N, 3); got replicas {tuple(blocks.shape[:-3])}")
        steps = np.arange(self.n_orbitals + 1)
        exchange = sparse.bsr_array((blocks.cpu().numpy(), steps[:-1], steps), shape=self.one_body.shape)
        return sparse.csr_array(self.one_body + exchange)

    def site_field(self, spin_density: Tensor) -> Tensor:
        """Effective field ``H_i = sum_{m on i} J_m <c+_m sigma c_m>`` (..., N, 3) of spin densities (..., M, 3)."""
        _, coupling = self.tables(spin_density.device)
        return self._site_sum(coupling.to(spin_density.dtype).unsqueeze(-1) * spin_density, -2)

    def site_density(self, orbital_density: Tensor) -> Tensor:
        """Electrons per site (..., N) of orbital densities (..., M)."""
        return self._site_sum(orbital_density, -1)

    def _site_sum(self, values: Tensor, dim: int) -> Tensor:
        if self.n_orbitals == self.system.n_sites and bool((np.diff(self.orbital_site) == 1).all()):
            return values
        shape = list(values.shape)
        shape[dim] = self.system.n_sites
        return values.new_zeros(shape).index_add_(dim, self.tables(values.device)[0], values)

    def tables(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Site (M,) and coupling (M,) of every orbital on a device, copied to it once."""
        site, coupling = self._tables
        return site.on(device), coupling.on(device)

    @cached_property
    def _tables(self) -> tuple[Placed, Placed]:
        return Placed(self.orbital_site), Placed(self.orbital_coupling)

    def __repr__(self) -> str:
        return f"SDHamiltonian({self.system}, hopping={self.hopping}, J={self.J})"


#: Hamiltonian of a configuration, built on a system.
HamiltonianRecipe: TypeAlias = Annotated[Recipe, RecipeOf(SDHamiltonian)]


def _check_dilution(J: Any, spin_fraction: float, dilution_seed: int) -> None:
    if not 0 <= spin_fraction <= 1:
        raise InvalidInput(f"spin_fraction={spin_fraction} must lie between 0 and 1")
    seed_number(dilution_seed, "dilution_seed")
    if spin_fraction < 1 and np.ndim(J):
        raise InvalidInput(
            f"spin_fraction={spin_fraction} needs one number J; or set J to 0 on the sites without a spin yourself"
        )


def _as_rule(
    hopping: Any, orbitals: int | Sequence[int] | IntArray | None
) -> tuple[HoppingRule, int | Sequence[int] | IntArray | None]:
    """The rule, a matrix as one that knows its orbitals; and the numbers of orbitals that the rule does not hold."""
    if hopping is None:
        return NearestNeighborHopping(), orbitals
    if isinstance(hopping, HoppingRule):
        return hopping, orbitals
    return MatrixHopping(hopping, 1 if orbitals is None else orbitals), None


def _orbital_counts(rule: HoppingRule, system: SpinSystem, orbitals: int | Sequence[int] | IntArray | None) -> IntArray:
    """Orbitals per site (N,), those of the rule; `orbitals` must say the same."""
    counts = rule.orbitals(system)
    if orbitals is not None and not np.array_equal(orbital_counts(orbitals, system.n_sites), counts):
        raise InvalidInput(f"orbitals={orbitals} contradicts {rule}; leave orbitals out, the rule knows them")
    return counts


def _plain_coupling(couplings: FloatArray) -> float | list[float]:
    """One number where all are equal, else the list."""
    return float(couplings[0]) if len(set(couplings.tolist())) == 1 else couplings.tolist()


def _orbital_couplings(J: float | ArrayLike, n_sites: int, orbital_site: IntArray) -> FloatArray:
    values, n_orbitals = np.array(J, dtype=np.float64), len(orbital_site)
    if values.shape not in ((), (n_sites,), (n_orbitals,)):
        raise InvalidInput(
            f"J has shape {values.shape}; give one number, ({n_sites},) for one per site"
            + ("" if n_sites == n_orbitals else f" or ({n_orbitals},) for one per orbital")
        )
    if not np.isfinite(values).all():
        raise InvalidInput("J contains values that are not finite")
    per_site = values.shape == (n_sites,) != (n_orbitals,)
    couplings = values[orbital_site] if per_site else np.broadcast_to(values, (n_orbitals,)).copy()
    couplings.setflags(write=False)
    return couplings


def _spin_independent(matrix: sparse.csr_array) -> csr_array | None:
    """The (M, M) block of a matrix that is block (x) identity in spin space; None if it is not."""
    up, down = matrix[::2, ::2], matrix[1::2, 1::2]
    if _is_zero(matrix[::2, 1::2]) and _is_zero(up - down):
        return sparse.csr_array(up)
    return None


def _is_zero(matrix: sparse.csr_array, scale: float = 0.0) -> bool:
    return matrix.nnz == 0 or bool(abs(matrix).max() <= 1e-14 * scale)
