"""Single-ion anisotropy, uniaxial."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.classical.bonds import checked_couplings, unit_vectors
from gnnspin.classical.term import ClassicalTerm
from gnnspin.core.errors import InvalidInput
from gnnspin.systems.system import SpinSystem


class UniaxialAnisotropy(ClassicalTerm, kind="uniaxial_anisotropy"):
    """E = -sum_i K_i (n_i . S_i)^2: an easy axis for K > 0, an easy plane for K < 0. H_i = 2 K_i (n_i . S_i) n_i.

    Parameters
    ----------
    system : SpinSystem
        Where the spins sit.
    K : float or (N,)
        Strength for all sites or for each, in units of the energy.
    axis : (3,) or (N, 3)
        Direction n, of any length but zero.
    device : torch.device or str
        Where the term is computed.
    dtype : torch.dtype
        Precision of the evaluation.

    Raises
    ------
    InvalidInput
        If a shape does not fit, a value is not finite or an axis is zero.
    """

    def __init__(
        self,
        system: SpinSystem,
        K: ArrayLike,
        axis: ArrayLike = (0.0, 0.0, 1.0),
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__(system, device, dtype)
        self.K = checked_couplings(K, system.n_sites, "K")
        directions = np.array(axis, dtype=np.float64)
        if directions.shape not in ((3,), (system.n_sites, 3)) or not np.isfinite(directions).all():
            raise InvalidInput(f"axis has shape {directions.shape}; give (3,) or ({system.n_sites}, 3), finite")
        if not directions.any(-1).all():
            raise InvalidInput("axis is zero; give a direction such as (0, 0, 1)")
        self.axis = unit_vectors(directions)
        self._strength = self._tensor(self.K)
        self._direction = self._tensor(self.axis)

    def site_energies(self, spins: Tensor, time: float | None = None) -> Tensor:
        return -self._strength * (spins * self._direction).sum(-1).square()
