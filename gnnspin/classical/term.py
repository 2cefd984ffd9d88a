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

    def field_of(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Field ``H_i = -dE/dS_i`` (R, N, 3) of spins (R, N, 3); override only with an equal closed form."""
        with torch.enable_grad():
            variable = spins.detach().requires_grad_()
            energy = self.site_energies(variable, time).sum()
            return -torch.autograd.grad(energy, variable)[0]

    def _evaluate(
        self, spins: Tensor, time: float | None, *, energy: bool, field: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        energies = None
        if energy:
            with torch.no_grad():
                sites = self.site_energies(spins, time).to(torch.float64)
            energies = sites.new_zeros(len(spins), self.system.n_graphs).index_add_(1, self._graph_index, sites)
        return energies, self.field_of(spins, time) if field else None
