"""Electrons between leads at different chemical potentials: a driven, nonconservative field source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import ConvergenceError, InvalidInput
from gnnspin.core.parameter_types import Sites
from gnnspin.core.spins import as_spins
from gnnspin.electrons.density import density_and_spin
from gnnspin.electrons.driven.lattice_contacts import LatticeContacts, lattice_steady_state
from gnnspin.electrons.driven.leads import AttachedLead, Lead
from gnnspin.electrons.driven.sparse_contacts import SparseContacts
from gnnspin.electrons.driven.sparse_steady_state import SparseSteadyState
from gnnspin.electrons.driven.wide_band import wide_band_steady_state
from gnnspin.electrons.electronic_source import ElectronicSource
from gnnspin.electrons.hamiltonian import SDHamiltonian
from gnnspin.systems.ends import named_sites
from gnnspin.systems.system import FloatArray, IntArray

#: Below so many rows matrices are treated as dense ones where `method` leaves the choice.
_SPARSE_ROWS = 256


@dataclass(frozen=True)
class DrivenState:
    """Nonequilibrium steady state; P leads, leading dimensions are replicas, energies in units of the hopping.

    Attributes
    ----------
    field : (..., N, 3)
        Effective field ``H_i = sum_{m on i} J_m <c+_m sigma c_m>``; not a gradient under bias.
    spin_density : (..., N, 3)
        ``sum_{m on i} <c+_m sigma c_m>``, twice the spin in units of hbar.
    density : (..., N)
        Electrons per site.
    n_electrons : (...)
        Electrons in the system.
    currents : (..., P)
        Particle current from each lead into the system, electrons per time (hbar = 1); they sum to zero. One open
        spin channel carries ``voltage / (2 pi)`` at low temperature.
    """

    field: Tensor
    spin_density: Tensor
    density: Tensor
    n_electrons: Tensor
    currents: Tensor


class DrivenSteadyState(ElectronicSource, kind="driven_steady_state"):
    """Field source of electrons that flow between leads; it has a field and currents but no energy.

    Noninteracting nonequilibrium Green's functions: lead p has the Fermi function f_p and the self-energy Sigma_p,
    ``Gamma_p = i (Sigma_p - Sigma_p+)``, and ``rho = sum_p int dE/(2 pi) f_p G Gamma_p G+`` (Meir and Wingreen, Phys.
    Rev. Lett. 68, 2512 (1992), doi:10.1103/PhysRevLett.68.2512). At zero voltage the field is that of equilibrium with
    the same contacts. Levels that do not feel any lead are filled with the mean of the leads' Fermi functions.

    There are two ways to the same numbers. "sparse" never makes a dense matrix of the whole system: equilibrium is a
    sum of Green's functions at complex energies, and between the chemical potentials only columns of G on the leads are
    needed, see `SparseSteadyState`; the cost of a ribbon grows with its length times the cube of its width. It asks for
    kT > 0, and is best where every level has a width: a weak bath, a lead on every site. Without one, levels that the
    leads hardly feel are found by bisection, and one that is narrower than about `tolerance` may be missed. "dense"
    costs N^3: wide-band leads, ``Sigma_p = -i Gamma_p / 2`` at all energies, in closed form by diagonalisation, see
    `wide_band_steady_state`; lattice leads by adaptive quadrature, see `lattice_steady_state`.

    Parameters
    ----------
    hamiltonian : SDHamiltonian
        Of one system, not a union.
    contacts : sequence of P sequences of sites, or names
        Sites that each lead touches, such as ``(left_sites, right_sites)``; every orbital of a site is contacted. Of a
        lattice ends have names: "left" and "right" are the first and the last cells along its first direction, "bottom"
        and "top" along its second, "all" is every site.
    gamma : float, or one entry per contact: float or one float per site
        Diagonal of Gamma_p, the level width, for wide-band leads; >= 0.
    voltage : float or sequence of P floats
        For two contacts V, ``mu_L,R = mu +- V / 2``; otherwise the shift of every lead's chemical potential.
    kT : float
        Temperature of the leads, >= 0.
    mu : float
        Chemical potential of the unbiased leads.
    leads : "wide_band", Lead or one Lead per contact
        `SemiInfiniteLead` or `PeriodicLead` for leads with a band structure; `gamma` is then not used.
    bottom : float, optional
        Energy below which wide-band leads hold no electrons, the lower end of the energy integrals; default minus
        infinity. Finite in calculations that integrate over a finite range: those lose contact electrons of order
        ``gamma / |bottom|``.
    tolerance : float
        Absolute error of the density matrix and the currents, but with dense wide-band leads, which are exact. Fields
        err by less than ``2 J`` times that, mostly by a tenth of it. From a few 1e-3 on fields are computed in single
        precision. Below 1e-8 kT must not be small: no rational Fermi function is that accurate.
    method : "auto", "dense" or "sparse"
        "auto" takes "sparse" where it is expected to be faster and no level can be missed: equilibrium, or a bath on
        every site, from a few hundred spin-orbitals on; from 2000 on also without a bath.
    device : torch.device or str
        Where the matrices are treated, in complex128.

    Raises
    ------
    InvalidInput
        If a site does not exist or appears twice in a contact, or a number is out of range; with "sparse" if kT is 0
        or `bottom` lies among the levels.
    ConvergenceError
        If "sparse" finds no rational Fermi function that meets the tolerance.

    Examples
    --------
    A wire of eight sites between two leads passes a current:

    >>> from gnnspin.core import random_spins
    >>> from gnnspin.systems import chain
    >>> wire = SDHamiltonian(chain(8, pbc=False), J=1.0)
    >>> driven = DrivenSteadyState(wire, contacts=([0], [7]), gamma=1.0, voltage=0.5, kT=0.01, mu=0.0)
    >>> state = driven.solve(random_spins(8, seed=0))
    >>> bool(state.currents[0] > 0), abs(float(state.currents.sum())) < 1e-12
    (True, True)
    """

    def __init__(
        self,
        hamiltonian: SDHamiltonian,
        contacts: Sequence[Sites],
        gamma: float | Sequence[float | ArrayLike] = 1.0,
        voltage: float | Sequence[float] = 0.0,
        kT: float = 0.01,
        mu: float = 0.0,
        *,
        leads: Literal["wide_band"] | Lead | Sequence[Lead] = "wide_band",
        bottom: float | None = None,
        tolerance: float = 1e-8,
        method: Literal["auto", "dense", "sparse"] = "auto",
        device: torch.device | str = "cpu",
    ) -> None:
        if hamiltonian.system.n_graphs > 1:
            raise InvalidInput(
                f"contacts of a union of {hamiltonian.system.n_graphs} systems; build one source per part"
            )
        if not np.isfinite(kT) or kT < 0:
            raise InvalidInput(f"kT={kT} must be zero or a positive temperature in units of the hopping")
        if not np.isfinite(mu):
            raise InvalidInput(f"mu={mu} must be finite")
        if not np.isfinite(tolerance) or tolerance <= 0:
            raise InvalidInput(f"tolerance={tolerance} must be positive")
        self.hamiltonian, self.system = hamiltonian, hamiltonian.system
        self.device = torch.device(device)
        self.kT, self.mu, self.tolerance = float(kT), float(mu), float(tolerance)
        self.contacts = _checked_contacts(contacts, hamiltonian)
        self._contacts = [
            given if isinstance(given, str) else sites for given, sites in zip(contacts, self.contacts, strict=True)
        ]
        self.potentials = lead_potentials(voltage, self.mu, len(self.contacts))
        self.voltage = np.asarray(voltage, dtype=np.float64).tolist()
        self._rows = [self._rows_of(sites) for sites in self.contacts]
        rules = _lead_rules(leads, len(self.contacts))
        self.leads: str | list[Lead] = rules or "wide_band"
        self.bottom = _checked_bottom(bottom, min(self.potentials), self.kT, wide=not rules)
        self.gamma = None if rules else _widths(gamma, self.contacts)
        self._gamma = 1.0 if self.gamma is None else self.gamma
        self._widths = None if self.gamma is None else self._row_widths(self.gamma)
        self._fed = [] if self._widths is None else [width.nonzero().squeeze(-1) for width in self._widths]
        self._attached = [self._attach(rule, rows) for rule, rows in zip(rules, self._rows, strict=False)]
        self.method = _checked_method(method)
        self._sparse = self._sparse_plan()

    @property
    def sparse(self) -> bool:
        """Whether steady states are found without a dense matrix."""
        return self._sparse is not None

    @cached_property
    def green_functions(self) -> SparseContacts:
        """Green's functions of the system with its leads attached, at any energies."""
        return SparseContacts(self.hamiltonian, self._fed or self._rows, self._widths, self._attached, self.device)

    def _sparse_plan(self) -> SparseSteadyState | None:
        """The plan of method "sparse", where "auto" expects it to be faster; None for "dense"."""
        large = self.hamiltonian.n_spin_orbitals >= _SPARSE_ROWS
        if self.method == "dense" or (self.method == "auto" and not large):
            return None
        try:
            plan = SparseSteadyState(self.green_functions, self.potentials, self.kT, self.bottom, self.tolerance)
        except (InvalidInput, ConvergenceError):
            if self.method == "sparse":
                raise
            return None
        if self.method == "auto" and not plan.worthwhile:
            return None
        return plan

    def _rows_of(self, sites: IntArray) -> Tensor:
        """Rows of the matrix on the given sites, site by site."""
        orbitals = np.concatenate([np.flatnonzero(self.hamiltonian.orbital_site == site) for site in sites])
        return torch.from_numpy(np.stack([2 * orbitals, 2 * orbitals + 1], 1).reshape(-1)).to(self.device)

    def _row_widths(self, gamma: list[FloatArray]) -> Tensor:
        """Diagonals of Gamma_p (P, D)."""
        per_site = np.zeros((len(gamma), self.system.n_sites))
        for line, sites, values in zip(per_site, self.contacts, gamma, strict=True):
            line[sites] = values
        return torch.from_numpy(np.repeat(per_site[:, self.hamiltonian.orbital_site], 2, axis=1)).to(self.device)

    def _attach(self, rule: Lead, rows: Tensor) -> AttachedLead:
        index = rows.cpu().numpy()
        block = self.hamiltonian.one_body[index][:, index].toarray().astype(np.complex128)
        return rule.attach(torch.from_numpy(block).to(self.device))

    @torch.no_grad()
    def solve(self, spins: Tensor | ArrayLike, time: float | None = None) -> DrivenState:
        """Steady state for given spins.

        Parameters
        ----------
        spins : (..., N, 3)
            Unit spins.
        time : float, optional
            Ignored: the electrons are in the steady state of the instantaneous spins.

        Returns
        -------
        DrivenState
            On the spins' device; the field in the spins' dtype, everything else in float64.

        Raises
        ------
        InvalidInput
            If the spins have the wrong shape or are not finite unit vectors.
        ConvergenceError
            If the quadrature does not reach its tolerance.
        """
        del time
        given = as_spins(spins, self.system.n_sites).detach()
        field, spin, density, currents = self._solve(given.to(self.device, self.dtype).reshape(-1, *given.shape[-2:]))
        replicas, target = given.shape[:-2], given.device
        return DrivenState(
            field=field.to(given).reshape(given.shape),
            spin_density=spin.to(target).reshape(given.shape),
            density=density.to(target).reshape(given.shape[:-1]),
            n_electrons=density.sum(-1).to(target).reshape(replicas),
            currents=currents.to(target).reshape(*replicas, -1),
        )

    def _solve(self, spins: Tensor, *, single: bool = False) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Field, spin density (R, N, 3), density (R, N) and currents (R, P) of spins (R, N, 3)."""
        if self._sparse is not None:
            blocks, currents = self._sparse.solve(spins, single=single)
        else:
            solved = [self._steady_state(self.hamiltonian.unchecked_dense(one)) for one in spins]
            blocks, currents = (torch.stack(each) for each in zip(*solved, strict=True))
        density, orbital = density_and_spin(blocks)
        site, _ = self.hamiltonian.tables(self.device)
        spin = torch.zeros_like(spins).index_add_(1, site, orbital)
        density = self.hamiltonian.site_density(density)
        return self.hamiltonian.site_field(orbital), spin, density, currents

    def _steady_state(self, matrix: Tensor) -> tuple[Tensor, Tensor]:
        if self._widths is not None:
            return wide_band_steady_state(matrix, self._widths, self._fed, self.potentials, self.kT, self.bottom)
        system = LatticeContacts(matrix, self._rows, self._attached)
        return lattice_steady_state(system, self.potentials, self.kT, self.tolerance)

    def fields(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Fields (R, N, 3); see `FieldSource.fields`."""
        del time
        return self._solve(spins, single=True)[0]


def _checked_contacts(contacts: Sequence[Sites], hamiltonian: SDHamiltonian) -> list[IntArray]:
    n_sites, checked = hamiltonian.system.n_sites, []
    if isinstance(contacts, str):
        raise InvalidInput(f"contacts={contacts!r} is one name; give a list, such as ['left', 'right']")
    for number, given in enumerate(contacts):
        sites = named_sites(hamiltonian.system, given) if isinstance(given, str) else given
        array = np.atleast_1d(np.asarray(sites))
        if array.ndim != 1 or array.size == 0 or not np.issubdtype(array.dtype, np.integer):
            raise InvalidInput(f"contact {number} is {sites!r}; give a list of site numbers")
        if array.min() < 0 or array.max() >= n_sites:
            raise InvalidInput(f"contact {number} has sites outside 0 .. {n_sites - 1}: {array.tolist()}")
        if len(np.unique(array)) < len(array):
            raise InvalidInput(f"contact {number} lists a site twice: {array.tolist()}")
        if not np.isin(array, hamiltonian.orbital_site).any():
            raise InvalidInput(f"contact {number} has no orbital on its sites {array.tolist()}")
        checked.append(array.astype(np.int64))
    if not checked:
        raise InvalidInput("no contacts; give contacts=(left_sites, right_sites)")
    return checked


def _checked_method(method: Any) -> Literal["auto", "dense", "sparse"]:
    if method not in ("auto", "dense", "sparse"):
        raise InvalidInput(f"method={method!r}; give 'auto', 'dense' or 'sparse'")
    return method


def lead_potentials(voltage: float | Sequence[float], mu: float, n_contacts: int) -> list[float]:
    """Chemical potentials of all leads at a voltage, see `DrivenSteadyState`."""
    shifts = np.asarray(voltage, dtype=np.float64)
    if shifts.ndim == 0 and n_contacts == 2:
        shifts = shifts * np.array([0.5, -0.5])
    if shifts.ndim == 0 and not shifts:
        shifts = np.zeros(n_contacts)
    if shifts.shape != (n_contacts,) or not np.isfinite(shifts).all():
        raise InvalidInput(f"voltage={voltage} must be a number for two contacts, or {n_contacts} shifts of mu")
    return (mu + shifts).tolist()


def _checked_bottom(bottom: float | None, lowest: float, kT: float, *, wide: bool) -> float | None:
    if bottom is None:
        return None
    if not wide:
        raise InvalidInput(f"bottom={bottom} is for wide-band leads; a lattice lead has its own band")
    if not np.isfinite(bottom) or bottom > lowest - 40 * kT:
        raise InvalidInput(f"bottom={bottom} must lie at least 40 kT below the lowest chemical potential, {lowest}")
    return float(bottom)


def _lead_rules(leads: Any, n_contacts: int) -> list[Lead]:
    """One rule per contact; empty for wide-band leads."""
    if isinstance(leads, str):
        if leads != "wide_band":
            raise InvalidInput(f"leads={leads!r}; give 'wide_band', or a lead such as SemiInfiniteLead(t=1.0)")
        return []
    rules = [leads] * n_contacts if isinstance(leads, Lead) else list(leads)
    if len(rules) != n_contacts or not all(isinstance(rule, Lead) for rule in rules):
        raise InvalidInput(f"leads={leads!r} must be one lead, or {n_contacts}, one per contact")
    return rules


def _widths(gamma: float | Sequence[float | ArrayLike], contacts: list[IntArray]) -> list[FloatArray]:
    """Gamma of every contact site."""
    entries: list[Any] = [gamma] * len(contacts) if isinstance(gamma, int | float) else list(gamma)
    if len(entries) != len(contacts):
        raise InvalidInput(f"gamma has {len(entries)} entries; give one number or {len(contacts)}, one per contact")
    widths = []
    for number, (entry, sites) in enumerate(zip(entries, contacts, strict=True)):
        values = np.asarray(entry, dtype=np.float64)
        if values.shape not in ((), sites.shape):
            raise InvalidInput(f"gamma of contact {number} has shape {values.shape}; its sites are {len(sites)}")
        if not np.isfinite(values).all() or (values < 0).any() or not values.any():
            raise InvalidInput(f"gamma={values.tolist()} of contact {number} must be >= 0 and not all zero")
        widths.append(np.broadcast_to(values, sites.shape).copy())
    return widths
