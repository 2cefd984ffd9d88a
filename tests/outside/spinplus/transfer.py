"""A source without an energy: spin transfer from a polarised current."""

from __future__ import annotations

import torch
from torch import Tensor

import gnnspin as gs


class SpinTransfer(gs.core.FieldSource, kind="spinplus_transfer"):
    """Field ``H_i = a p x S_i``, whose torque is ``a S x (p x S)`` (J. Slonczewski, doi:10.1016/0304-8853(96)00062-5).

    Parameters
    ----------
    system : SpinSystem
    strength : float
        Amplitude a in units of the hopping.
    polarization : tuple of float
        Polarisation p of the current.
    """

    def __init__(
        self,
        system: gs.systems.SpinSystem,
        strength: float = 0.1,
        polarization: tuple[float, float, float] = (0.0, 0.0, 1.0),
    ) -> None:
        self.system, self.strength, self.polarization = system, strength, polarization

    def fields(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Fields (R, N, 3) of spins (R, N, 3)."""
        direction = torch.tensor(self.polarization, dtype=spins.dtype, device=spins.device)
        return self.strength * torch.linalg.cross(direction.expand_as(spins), spins)
