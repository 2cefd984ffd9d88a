"""Semi-infinite lattice leads: retarded self-energies of nonmagnetic crystals attached to contact sites."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gnnspin.core.described import Described, Recipe
from gnnspin.core.errors import ConvergenceError, InvalidInput

_MAX_DECIMATIONS = 200


class AttachedLead(ABC):
    """A lead bound to c contact rows of the Hamiltonian matrix."""

    @abstractmethod
    def self_energy(self, energies: Tensor) -> Tensor:
        """Sigma(z) (B, c, c) at complex energies (B,) with Im z >= 0; on the real axis the retarded limit."""

    @abstractmethod
    def band_edges(self) -> NDArray[np.float64]:
        """Real energies between which the lead conducts: all band edges known, at least the outermost two."""

    @property
    @abstractmethod
    def coupling_norm(self) -> float:
        """Largest singular value of the hopping between the contact and the lead."""


class Lead(Described, family="lead", group="gnnspin.leads"):
    """A rule that attaches a semi-infinite lead to any contact."""

    @abstractmethod
    def attach(self, contact: Tensor) -> AttachedLead:
        """Bind to a contact whose one-body block is `contact` (c, c), Hermitian, complex128."""

    @property
    def spin_independent(self) -> bool:
        """Whether the lead is alike for all spin directions. Default: not known to be."""
        return False

    @classmethod
    def check(cls, recipe: Recipe) -> None:
        """Build the lead: it needs nothing but its arguments."""
        recipe.build()


@dataclass(frozen=True)
class SemiInfiniteLead(Lead, kind="semi_infinite"):
    """The contact continued without spins: layers like the contact, hopping -t from layer to layer, row by row.

    On the end column of a square ribbon, or the end of a chain, this is the matched lead: the same lattice without
    coupling to spins. Transverse modes of the layer (energies e_k) separate, and each is a semi-infinite chain,
    ``Sigma_k(z) = (t_c / t)^2 (x - sqrt(x - 2t) sqrt(x + 2t)) / 2`` with ``x = z - e_k`` (Datta, Electronic Transport
    in Mesoscopic Systems, section 3.5).

    Parameters
    ----------
    t : float
        Hopping between layers, the unit of energy; not 0.
    coupling : float, optional
        Hopping t_c between the contact and the first layer; default t.
    onsite : float
        Shift of the lead's levels.

    Raises
    ------
    InvalidInput
        If a number is not finite or `t` is 0.
    """

    t: float = 1.0
    coupling: float | None = None
    onsite: float = 0.0

    def __post_init__(self) -> None:
        for name in ("t", "coupling", "onsite"):
            value = getattr(self, name)
            if value is not None and not np.isfinite(value):
                raise InvalidInput(f"{name}={value} of the lead must be finite")
        if self.t == 0:
            raise InvalidInput("t=0 leaves the lead without a band; give a hopping between its layers")

    @property
    def spin_independent(self) -> bool:
        """True: the lead continues the contact without its spins."""
        return True

    def attach(self, contact: Tensor) -> AttachedLead:
        levels, modes = torch.linalg.eigh(contact)
        coupling = self.t if self.coupling is None else self.coupling
        return _ModeLead(levels + self.onsite, modes, abs(float(self.t)), abs(float(coupling)))


@dataclass(frozen=True)
class _ModeLead(AttachedLead):
    levels: Tensor
    modes: Tensor
    t: float
    coupling: float

    def self_energy(self, energies: Tensor) -> Tensor:
        ratio = (self.coupling / self.t) ** 2
        each = ratio * chain_self_energy(energies[:, None] - self.levels.to(energies.device), self.t)
        modes = self.modes.to(energies.device)
        return (modes * each[:, None, :]) @ modes.mH

    def band_edges(self) -> NDArray[np.float64]:
        levels = self.levels.cpu().numpy()
        return np.unique(np.concatenate([levels - 2 * self.t, levels + 2 * self.t]).round(12))

    @property
    def coupling_norm(self) -> float:
        return self.coupling


def chain_self_energy(distance: Tensor, t: float) -> Tensor:
    """t^2 times the surface Green's function of a chain at x = z - e: ``(x - sqrt(x - 2t) sqrt(x + 2t)) / 2``.

    Written without cancellation, as ``2 t^2 / (x + sqrt(x - 2t) sqrt(x + 2t))``. The product of the two principal
    roots is the branch that decays in the upper half plane, the retarded one on the real axis.
    """
    x = torch.complex(distance.real, distance.imag.clamp(min=0.0) + 0.0)  # no negative zero: it changes the branch
    return 2 * t**2 / (x + torch.sqrt(x - 2 * t) * torch.sqrt(x + 2 * t))


class PeriodicLead(Lead, kind="periodic"):
    """Any periodic lead, layer by layer, by decimation of its surface Green's function.

    Parameters
    ----------
    cell : (n, n)
        Hermitian matrix of one layer, in spin-orbitals (row 2 m + a).
    hopping : (n, n)
        Matrix element from a layer (columns) to the next one towards the system (rows).
    coupling : (c, n), optional
        From the first layer (columns) to the contact (rows, in the order of the contact's rows); default `hopping`.
    broadening : float
        Imaginary part given to real energies, > 0: decimation does not converge inside a band without one. It limits
        the accuracy of the result.

    Raises
    ------
    InvalidInput
        If shapes do not fit, `cell` is not Hermitian or `broadening` is not positive.
    """

    def __init__(
        self, cell: ArrayLike, hopping: ArrayLike, coupling: ArrayLike | None = None, *, broadening: float = 1e-9
    ) -> None:
        self.cell, self.hopping = (np.array(matrix, dtype=np.complex128) for matrix in (cell, hopping))
        self.coupling = self.hopping if coupling is None else np.array(coupling, dtype=np.complex128)
        self.broadening = float(broadening)
        n = len(self.cell)
        if self.cell.shape != (n, n) or self.hopping.shape != (n, n) or self.coupling.shape[1:] != (n,):
            shapes = self.cell.shape, self.hopping.shape, self.coupling.shape
            raise InvalidInput(
                f"cell, hopping and coupling of a lead have shapes {shapes}; give (n, n), (n, n), (c, n)"
            )
        if not np.allclose(self.cell, self.cell.conj().T, atol=1e-12):
            raise InvalidInput("cell of a lead is not Hermitian")
        if not self.broadening > 0:
            raise InvalidInput(f"broadening={broadening} must be positive, 1e-9 say")

    @property
    def spin_independent(self) -> bool:
        """Whether all matrices are multiples of 1 in spin space."""
        return all(_alike(matrix) for matrix in self._matrices())

    def attach(self, contact: Tensor) -> AttachedLead:
        if len(self.coupling) != len(contact):
            raise InvalidInput(f"coupling of a lead has {len(self.coupling)} rows; the contact has {len(contact)}")
        cell, hopping, coupling = (torch.from_numpy(m).to(contact.device) for m in self._matrices())
        return _DecimatedLead(cell, hopping, coupling, self.broadening)

    def _matrices(self) -> tuple[NDArray[np.complex128], NDArray[np.complex128], NDArray[np.complex128]]:
        return self.cell, self.hopping, self.coupling


@dataclass(frozen=True)
class _DecimatedLead(AttachedLead):
    cell: Tensor
    hopping: Tensor
    coupling: Tensor
    broadening: float

    def self_energy(self, energies: Tensor) -> Tensor:
        shifted = torch.complex(energies.real, energies.imag.clamp(min=self.broadening))
        surface = surface_green_function(shifted, self.cell, self.hopping)
        return self.coupling @ surface @ self.coupling.mH

    def band_edges(self) -> NDArray[np.float64]:
        levels = torch.linalg.eigvalsh(self.cell).cpu().numpy()
        reach = 2 * float(torch.linalg.matrix_norm(self.hopping, 2))
        return np.array([levels[0] - reach, levels[-1] + reach])

    @property
    def coupling_norm(self) -> float:
        return float(torch.linalg.matrix_norm(self.coupling, 2))


def _alike(matrix: NDArray[np.complex128]) -> bool:
    """Whether a matrix in spin-orbitals, rows 2 m + a, is a multiple of 1 in its spin indices."""
    if matrix.shape[0] % 2 or matrix.shape[1] % 2:
        return False
    up, down = matrix[::2, ::2], matrix[1::2, 1::2]
    return bool(np.allclose(up, down) and np.allclose(matrix[::2, 1::2], 0) and np.allclose(matrix[1::2, ::2], 0))


def surface_green_function(energies: Tensor, cell: Tensor, hopping: Tensor) -> Tensor:
    """Green's function of the first layer of a semi-infinite stack, by decimation.

    Every pass removes every second layer (Lopez Sancho et al., J. Phys. F 15, 851 (1985),
    doi:10.1088/0305-4608/15/4/009).

    Parameters
    ----------
    energies : (B,) complex128
        Im z > 0.
    cell, hopping : (n, n) complex128
        Layer, and hopping from a layer to the one in front of it.

    Returns
    -------
    (B, n, n)

    Raises
    ------
    ConvergenceError
        If the effective hopping does not vanish.
    """
    z = energies[:, None, None] * torch.eye(len(cell), dtype=cell.dtype, device=cell.device)
    surface = bulk = cell.expand(len(energies), -1, -1)
    forward = hopping.expand_as(bulk)
    backward = hopping.mH.expand_as(bulk)
    for _ in range(_MAX_DECIMATIONS):
        step = torch.linalg.solve(z - bulk, torch.cat([backward, forward], -1))
        to_back, to_front = step.split(len(cell), dim=-1)
        surface = surface + forward @ to_back
        bulk = bulk + forward @ to_back + backward @ to_front
        forward, backward = forward @ to_front, backward @ to_back
        if float((forward.abs().amax() * backward.abs().amax()).sqrt()) < 1e-15:
            return torch.linalg.inv(z - surface)
    raise ConvergenceError(f"decimation of a lead does not converge in {_MAX_DECIMATIONS} passes; raise its broadening")
