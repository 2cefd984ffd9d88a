"""Base class of classical energy terms: write the site energies, the field is their gradient."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from gnnspin.core.source import FieldSource
from gnnspin.systems.system import SpinSystem


class ClassicalTerm(FieldSource):
    """A classical energy ``E = sum_i e_i``; a subclass writes `site_energies`, the field follows by autograd.

    Parameters
    ----------
    system : SpinSystem
        A union gives one energy per part.
    device : torch.device or str
        Where the term is computed, in float64.
    """

    def __init__(self, system: SpinSystem, device: torch.device | str = "cpu") -> None:
        self.system = system
        self.device = torch.device(device)
        self._graph_index = torch.from_numpy(system.graph_index).to(self.device)

    @abstractmethod
    def site_energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Energies e_i (R, N) of spins (R, N, 3), differentiable; a bond's energy is split between its ends."""

    def energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Energies (R, n_graphs), in float64, of spins (R, N, 3)."""
        sites = self.site_energies(spins, time).to(torch.float64)
        return sites.new_zeros(len(spins), self.system.n_graphs).index_add_(1, self._graph_index, sites)
