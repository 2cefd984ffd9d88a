r"""Energies at fixed electron number: sums of local terms and one shift of the chemical potential for all sites.

.. math:: F = \Omega(\mu_0) + \mu_0 N_e + \frac{(N_e - \langle N\rangle_{\mu_0})^2}{2\chi} + \dots,
   \qquad \chi = \frac{dN}{d\mu}

to second order in the shift of the chemical potential. :math:`\Omega` and the electrons that are missing at
:math:`\mu_0` are sums over sites of local terms; a model learns both, :math:`\varepsilon_i` and the charge
:math:`\nu_i` (in units in which the compressibility per site is one).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.utils import scatter

from gnnspin.core.containers import TensorContainer
from gnnspin.systems import SpinSystem


@dataclass(frozen=True)
class Membership(TensorContainer):
    """Membership of the sites in the disjoint systems of a union.

    Attributes
    ----------
    index : (N,) int64
    count : int
        Number of systems.
    """

    index: Tensor
    count: int

    @classmethod
    def of(cls, system: SpinSystem) -> Membership:
        """Membership of the sites of `system`."""
        return cls(torch.from_numpy(system.graph_index.copy()), system.n_graphs)

    def mean(self, values: Tensor) -> Tensor:
        """Mean of values (R, N) over the sites of each system, on every site (R, N)."""
        if self.count == 1:
            return values.mean(1, keepdim=True).expand_as(values)
        return scatter(values, self.index, dim=1, dim_size=self.count, reduce="mean")[:, self.index]


def with_potential(outputs: Tensor, membership: Membership) -> Tensor:
    r"""Site energies (R, N) of site outputs (R, 1, N), or of energies and charges (R, 2, N).

    With charges the energies of a system of N sites add up to :math:`\sum_i\varepsilon_i + \tfrac{N}{2}\bar\nu^2`.
    """
    if outputs.shape[1] == 1:
        return outputs[:, 0]
    return outputs[:, 0] + 0.5 * membership.mean(outputs[:, 1]).square()
