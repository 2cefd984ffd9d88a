"""Torque errors against an exact source, on a whole system or on windows of a lattice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gnnspin.core.dilution import Diluted
from gnnspin.core.errors import GnnspinError, InvalidInput
from gnnspin.core.source import FieldSource
from gnnspin.electrons.equilibrium import EquilibriumSource
from gnnspin.systems import SpinSystem
from gnnspin.systems.window import Window


@dataclass(frozen=True)
class SolvedWindow:
    """A window with the exact source on it.

    Attributes
    ----------
    source : FieldSource
        On the window's system.
    sites, inner : int64 tensors
        As in `Window`.
    """

    source: FieldSource
    sites: Tensor
    inner: Tensor

    @classmethod
    def of(cls, window: Window, source: FieldSource) -> SolvedWindow:
        """The window with `source`, which lives on its system."""
        return cls(source, torch.from_numpy(window.sites), torch.from_numpy(window.inner))

    def torque(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Exact torques (m, 3) of the inner sites, for spins (N, 3) of the whole system."""
        return self.source.torque(spins[self.sites], time)[self.inner]


@dataclass(frozen=True)
class TorqueErrors:
    """Root mean square per component of the exact torque and of the error, over the sites that were compared.

    Attributes
    ----------
    torque_rms, torque_rmse : float
    n_sites : int
    """

    torque_rms: float
    torque_rmse: float
    n_sites: int

    @property
    def relative(self) -> float:
        """Error over torque; infinite where there is no torque and an error."""
        if self.torque_rms > 0:
            return self.torque_rmse / self.torque_rms
        return 0.0 if self.torque_rmse == 0 else float("inf")


def torque_errors(
    spins: Tensor, predicted: Tensor, solved: Sequence[SolvedWindow], time: float | None = None
) -> TorqueErrors:
    """Compare predicted torques (N, 3) of spins (N, 3) with the exact ones on the inner sites of windows."""
    exact = torch.cat([window.torque(spins, time) for window in solved])
    error = torch.cat([predicted[window.sites][window.inner] for window in solved]) - exact
    rms, rmse = (float(each.square().mean().sqrt()) for each in (exact, error))
    return TorqueErrors(rms, rmse, len(error))


def source_on(source: FieldSource, system: SpinSystem) -> FieldSource:
    """The same source on another system, such as a window of its own.

    Raises
    ------
    InvalidInput
        If its electron number is fixed, so that the part of a lattice would not be that of the whole, or what it is
        made of belongs to its system alone (a matrix, values per site).
    """
    if source.system.fingerprint == system.fingerprint:
        return source
    if any(isinstance(part, EquilibriumSource) and part.mu is None for part in source.inside()):
        raise InvalidInput(
            "a window of a lattice is solved at the chemical potential of the whole; give the exact source mu= in "
            "place of filling or n_electrons, or let the whole lattice be solved (max_sites)"
        )
    if any(isinstance(part, Diluted) for part in source.inside()):
        raise InvalidInput(
            f"vacancies belong to the sites of one system; let the whole be solved, max_sites={source.system.n_sites}"
        )
    moved = getattr(source, "on", None)
    if callable(moved):
        return moved(system)
    try:
        return FieldSource.from_specification(source.specification(), system, source.device)
    except (GnnspinError, ValueError, TypeError) as error:
        raise InvalidInput(
            f"{type(source).__name__} cannot be built on a window of its lattice ({error}); let the whole lattice be "
            f"solved: max_sites={source.system.n_sites} or more"
        ) from error
