"""What all equilibrium solvers share: the ensemble they are given, and the full electronic state they return."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.source import FieldSource
from gnnspin.core.spins import as_spins
from gnnspin.electrons.ensemble import part_constraints
from gnnspin.electrons.hamiltonian import SDHamiltonian
from gnnspin.electrons.state import ElectronicState


class EquilibriumSource(FieldSource):
    """Field source of electrons in equilibrium; a subclass solves the parts of a system one by one.

    Attributes
    ----------
    hamiltonian : SDHamiltonian
    kT : float
        Electronic temperature in units of the hopping.
    """

    hamiltonian: SDHamiltonian
    kT: float

    def _set_ensemble(
        self,
        hamiltonian: SDHamiltonian,
        kT: float,
        *,
        mu: float | None,
        filling: float | None,
        n_electrons: float | Sequence[float] | None,
        device: torch.device | str | None,
    ) -> None:
        """Store what defines the ensemble; `_constraints` has one entry per part of the system."""
        self.hamiltonian, self.system, self.kT = hamiltonian, hamiltonian.system, float(kT)
        self.device = torch.device("cpu" if device is None else device)
        self._constraints = part_constraints(hamiltonian, mu=mu, filling=filling, n_electrons=n_electrons)
        given = {"mu": mu, "filling": filling, "n_electrons": n_electrons}
        self._given = {
            name: np.asarray(value, dtype=np.float64).tolist() for name, value in given.items() if value is not None
        }

    @abstractmethod
    def _part_states(self, spins: Tensor) -> list[ElectronicState]:
        """State of every part, numbers of shape (R,), for spins (R, N, 3)."""

    def solve(self, spins: Tensor | ArrayLike, time: float | None = None) -> ElectronicState:
        """Energies, field, density and thermodynamics.

        Parameters
        ----------
        spins : (..., N, 3)
            Unit spins.
        time : float, optional
            Ignored: equilibrium does not depend on time.

        Returns
        -------
        ElectronicState
            On the spins' device; the field in the spins' dtype, everything else in float64.

        Raises
        ------
        InvalidInput
            If the spins have the wrong shape or are not finite unit vectors.
        """
        del time
        given = as_spins(spins, self.system.n_sites).detach()
        states = self._part_states(given.to(self.device, self.dtype).reshape(-1, *given.shape[-2:]))
        replicas = given.shape[:-2]
        shape = replicas if self.system.n_graphs == 1 else (*replicas, self.system.n_graphs)

        def total(name: str) -> Tensor:
            return torch.stack([getattr(state, name) for state in states], -1).to(given.device).reshape(shape)

        return ElectronicState(
            energy=total("energy"),
            field=torch.cat([state.field for state in states], 1).to(given).reshape(given.shape),
            density=torch.cat([state.density for state in states], 1).to(given.device).reshape(given.shape[:-1]),
            mu=total("mu"),
            n_electrons=total("n_electrons"),
            internal_energy=total("internal_energy"),
            entropy=total("entropy"),
        )
