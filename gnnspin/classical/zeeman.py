"""Zeeman energy in a constant field."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.classical.term import ClassicalTerm
from gnnspin.core.errors import InvalidInput
from gnnspin.systems.system import SpinSystem


class Zeeman(ClassicalTerm):
    """E = -sum_i B . S_i; the field is B on every site.

    Parameters
    ----------
    system : SpinSystem
        Where the spins sit.
    B : (3,)
        Magnetic field times moment, in units of the energy.
    device : torch.device or str
        Where the term is computed, in float64.

    Raises
    ------
    InvalidInput
        If `B` is not three finite numbers.
    """

    def __init__(self, system: SpinSystem, B: ArrayLike, *, device: torch.device | str = "cpu") -> None:
        super().__init__(system, device)
        self.B = torch.as_tensor(B, dtype=torch.float64, device=self.device).clone()
        if self.B.shape != (3,) or not bool(self.B.isfinite().all()):
            raise InvalidInput(f"B={self.B.tolist()} must be three finite numbers")

    def site_energies(self, spins: Tensor) -> Tensor:
        """See `ClassicalTerm.site_energies`."""
        return -(spins @ self.B)

    def specification(self) -> dict[str, Any]:
        """See `FieldSource.specification`."""
        return {"class": type(self).__name__, "B": self.B.tolist(), "system": self.system.fingerprint}
