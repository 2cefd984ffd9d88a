"""Electronic state in equilibrium, the result of an exact solver."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ElectronicState:
    """Equilibrium of the electrons for given spins; energies have shape (...), or (..., n_graphs) for a union.

    Attributes
    ----------
    energy : (...)
        Potential of the field: Omega at fixed mu, F = Omega + mu N at fixed electron number; in units of the hopping.
    field : (..., N, 3)
        Effective field ``H_i = -dE/dS_i = sum_{m on i} J_m <c+_m sigma c_m>``.
    density : (..., N)
        Electrons per site, 0 to 2 per orbital.
    mu, n_electrons : (...)
        Chemical potential and electron number.
    internal_energy : (...)
        <H>; not the potential of the field at kT > 0.
    entropy : (...)
        Entropy in units of k_B.
    """

    energy: Tensor
    field: Tensor
    density: Tensor
    mu: Tensor
    n_electrons: Tensor
    internal_energy: Tensor
    entropy: Tensor
