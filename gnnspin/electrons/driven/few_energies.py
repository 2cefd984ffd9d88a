r"""Steady states from Green's functions at few energies.

.. math:: \rho = \frac12\sum_k \big[w_k G(z_k) + \mathrm{h.c.}\big]
          + \sum_p\sum_j r_{pj}\, G(e_{pj})\,\Gamma_p\, G^\dagger(e_{pj}),

the form of the two integrals of `sparse_steady_state`, with points and weights of a fit in place of those of rules that
are accurate for all spins. The first sum is that of an equilibrium, the second holds the electrons that lead p injects
beyond it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gnnspin.electrons.density import density_and_spin
from gnnspin.electrons.driven.sparse_contacts import SparseContacts
from gnnspin.electrons.poles.fitting import unfitted_occupation

#: Temperature that rough nodes stand for where the leads are colder, in units of the hopping.
_COLDEST = 1e-3


class SteadyStateNodes(NamedTuple):
    """Energies at which Green's functions of a system with P leads are taken, and their weights.

    Attributes
    ----------
    poles, weights : (n,) complex128
        z_k in the upper half plane, and w_k, in units of the hopping.
    energies : (P, m) complex128
        e_pj, Im >= 0.
    rates : (P, m) float64
        r_pj in units of the hopping. A lead without any but zero injects nothing and costs nothing.
    """

    poles: Tensor
    weights: Tensor
    energies: Tensor
    rates: Tensor

    @property
    def driven(self) -> list[int]:
        """Leads that inject electrons."""
        return self.rates.any(1).nonzero()[:, 0].tolist()


def rough_nodes(potentials: Sequence[float], kT: float, n_poles: int, n_energies: int) -> SteadyStateNodes:
    """Nodes before any state is known: poles that stand for a Fermi function, and sums of a few even steps in windows.

    The reference of the windows is the potential closest to the mean of all: leads of this one inject nothing.
    """
    mean = sum(potentials) / len(potentials)
    middle = min(potentials, key=lambda potential: abs(potential - mean))
    occupation = unfitted_occupation(n_poles, max(kT, _COLDEST))
    ends = torch.tensor(potentials, dtype=torch.float64)[:, None] - middle
    shares = (torch.arange(n_energies, dtype=torch.float64) + 0.5) / n_energies
    energies = torch.complex(middle + ends * shares, torch.full((len(potentials), n_energies), kT).double())
    rates = (ends / (2 * math.pi * n_energies)).expand(-1, n_energies).clone()
    poles, weights = middle + torch.from_numpy(occupation.poles), torch.from_numpy(occupation.weights)
    return SteadyStateNodes(poles, weights, energies, rates)


def few_energies_fields(
    contacts: SparseContacts, spins: Tensor, nodes: SteadyStateNodes, driven: Sequence[int] | None = None
) -> Tensor:
    """Effective fields (R, N, 3) of spins (R, N, 3), with Green's functions in the precision of the spins.

    Parameters
    ----------
    contacts : SparseContacts
    spins : (R, N, 3)
    nodes : SteadyStateNodes
    driven : sequence of int, optional
        `nodes.driven`, where it is known, so that no device has to be waited for.
    """
    exchange = contacts.exchange(spins).to(spins.dtype.to_complex())
    total = contacts.green_sum(exchange, nodes.poles, nodes.weights)
    blocks = (total + total.mH) / 2
    for lead in nodes.driven if driven is None else driven:
        energies, rates = nodes.energies[lead], nodes.rates[lead].to(total)
        repeated = exchange.repeat_interleave(len(energies), 0)
        injected, _ = contacts.injected(lead, repeated, energies.repeat(len(spins)))
        blocks = blocks + torch.einsum("j,rjmab->rmab", rates, injected.to(total).unflatten(0, (len(spins), -1)))
    return field_of(contacts, blocks).to(spins)


def field_of(contacts: SparseContacts, blocks: Tensor) -> Tensor:
    """Fields (..., N, 3) of diagonal blocks (..., M, 2, 2) of a Hermitian matrix in place of the density matrix."""
    return contacts.hamiltonian.site_field(density_and_spin(blocks)[1])
