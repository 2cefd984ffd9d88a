"""Single-ion anisotropy of cubic symmetry."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.classical.bonds import checked_couplings
from gnnspin.classical.term import ClassicalTerm
from gnnspin.systems.system import SpinSystem


class CubicAnisotropy(ClassicalTerm):
    """E = sum_i K_i (x^2 y^2 + y^2 z^2 + z^2 x^2), S = (x, y, z): easy cube axes for K > 0, body diagonals for K < 0.

    Parameters
    ----------
    system : SpinSystem
        Where the spins sit; the cube axes are x, y and z.
    K : float or (N,)
        Strength for all sites or for each, in units of the energy.
    device : torch.device or str
        Where the term is computed, in float64.

    Raises
    ------
    InvalidInput
        If `K` has the wrong shape or is not finite.
    """

    def __init__(self, system: SpinSystem, K: ArrayLike, *, device: torch.device | str = "cpu") -> None:
        super().__init__(system, device)
        self.K = checked_couplings(K, system.n_sites, "K")
        self._strength = torch.from_numpy(self.K).to(self.device)

    def site_energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        """See `ClassicalTerm.site_energies`."""
        squares = spins.square()
        return self._strength * (squares * squares.roll(1, -1)).sum(-1)

    def specification(self) -> dict[str, Any]:
        """See `FieldSource.specification`."""
        return {"class": type(self).__name__, "K": self.K.tolist(), "system": self.system.fingerprint}
