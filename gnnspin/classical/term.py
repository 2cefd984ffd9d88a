"""Base classes of classical sources: of an energy term write the site energies, the field is their gradient."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.source import FieldSource
from gnnspin.systems.system import SpinSystem


class ClassicalSource(FieldSource):
    """A classical field source with a precision and a device of its own: a term of the energy, or a torque without one.

    Parameters
    ----------
    system : SpinSystem
        Where the spins sit.
    device : torch.device or str
        Where the source is computed.
    dtype : torch.dtype
        Precision of the evaluation.

    Raises
    ------
    InvalidInput
        If `dtype` is neither float32 nor float64.
    """

    def __init__(
        self, system: SpinSystem, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float64
    ) -> None:
        if dtype not in (torch.float32, torch.float64):
            raise InvalidInput(f"dtype={dtype} must be torch.float32 or torch.float64")
        self.system = system
        self.device, self.dtype = torch.device(device), dtype

    def _tensor(self, values: NDArray[Any]) -> Tensor:
        """Numbers on the source's device, real ones in its precision."""
        tensor = torch.from_numpy(values)
        return tensor.to(self.device, self.dtype if tensor.is_floating_point() else None)


class ClassicalTerm(ClassicalSource):
    """A classical energy ``E = sum_i e_i``; a subclass writes `site_energies`, the field follows by autograd.

    Parameters
    ----------
    system : SpinSystem
        Where the spins sit; a union gives one energy per part.
    device : torch.device or str
        Where the term is computed.
    dtype : torch.dtype
        Precision of the evaluation; energies are summed in float64.

    Raises
    ------
    InvalidInput
        If `dtype` is neither float32 nor float64.

    Examples
    --------
    An easy axis of sixth order, ``E = -sum_i z_i^6``:

    >>> class Sextic(ClassicalTerm):
    ...     def site_energies(self, spins, time=None):
    ...         return -spins[..., 2] ** 6
    >>> from gnnspin.systems import chain
    >>> Sextic(chain(1)).field([[0.0, 0.0, 1.0]]).tolist()
    [[-0.0, -0.0, 6.0]]
    """

    def __init__(
        self, system: SpinSystem, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float64
    ) -> None:
        super().__init__(system, device, dtype)
        self._graph_index = self._tensor(system.graph_index)

    @abstractmethod
    def site_energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Energies e_i (R, N) of spins (R, N, 3), differentiable; a bond's energy is split between its ends."""

    def energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Energies (R, n_graphs), in float64, of spins (R, N, 3)."""
        sites = self.site_energies(spins, time).to(torch.float64)
        return sites.new_zeros(len(spins), self.system.n_graphs).index_add_(1, self._graph_index, sites)
