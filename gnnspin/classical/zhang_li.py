"""Spin-transfer torque of a current in the magnet itself (Zhang and Li)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.classical.term import ClassicalSource
from gnnspin.classical.waveform import Waveform, strength
from gnnspin.core.errors import InvalidInput
from gnnspin.core.numbers import whole_at_least
from gnnspin.graphs.gradient import neighbor_gradient, spanned_directions
from gnnspin.systems.system import FloatArray, SpinSystem


class ZhangLi(ClassicalSource, kind="zhang_li"):
    """H_i = S_i x D_i - beta D_i with ``D_i = f(t) (u . grad) S_i``: spin transfer of a current; no energy.

    In the Gilbert form (``simulate(..., **gilbert_form(alpha))``, gamma = 1) the equation of motion is

        dS/dt = S x H - alpha S x dS/dt - (u . grad) S - beta S x (u . grad) S,

    in which textures drift with the electrons: u is the velocity of the electrons' flow, against the current, and at
    beta = alpha every texture moves with it. The Landau-Lifshitz form with gamma = 1 and damping lambda is the Gilbert
    form with gamma = 1 + lambda^2: there the drift velocity is ``(1 + lambda^2) u``. A spin of moment mu is driven with
    ``u / mu``. The gradient is the least-squares fit of a linear function to the neighbours, exact for linear variation
    on every lattice (`gnnspin.graphs.gradient.neighbor_gradient`).

    Signs and the nonadiabatic beta as in Thiaville, Nakatani, Miltat, Suzuki, Europhys. Lett. 69, 990 (2005),
    doi:10.1209/epl/i2004-10452-6; Zhang and Li, Phys. Rev. Lett. 93, 127204 (2004), doi:10.1103/PhysRevLett.93.127204.

    Parameters
    ----------
    system : SpinSystem
        Where the spins sit.
    u : (3,) or (N, 3)
        Drift velocity for all sites or for each, in units of length times gamma t; `PhysicalUnits.drift_velocity` gives
        it from a current density.
    beta : float
        Nonadiabaticity, dimensionless.
    waveform : Waveform, optional
        Factor f(t) of the current; default constant.
    n_shells : int
        Neighbour shells from which the gradient is taken.
    device : torch.device or str
        Where the source is computed.
    dtype : torch.dtype
        Precision of the evaluation.

    Raises
    ------
    InvalidInput
        If a shape does not fit, a number is not finite, u has a part along which the system has no neighbours, or a
        source with a waveform is evaluated without a time.
    """

    def __init__(
        self,
        system: SpinSystem,
        u: ArrayLike,
        beta: float = 0.0,
        *,
        waveform: Waveform | None = None,
        n_shells: int = 1,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__(system, device, dtype)
        self.u = _velocity(u, system.n_sites)
        if not np.isfinite(beta):
            raise InvalidInput(f"beta={beta} must be finite")
        self.beta, self.waveform = float(beta), waveform
        self.n_shells = whole_at_least(n_shells, 1, "n_shells")
        neighbor, weight = _drift_table(system, self.u, self.n_shells)
        self._neighbors, self._weights = self._tensor(neighbor), self._tensor(weight)

    @property
    def time_dependent(self) -> bool:
        """Whether the field depends on the time."""
        return self.waveform is not None

    def drift(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Change ``D_i = f(t) (u . grad) S_i`` of the spins (R, N, 3) along the electrons' flow."""
        total = torch.zeros_like(spins)
        for neighbor, weight in zip(self._neighbors, self._weights, strict=True):
            total.addcmul_(spins[:, neighbor] - spins, weight[:, None])
        return total * strength(self.waveform, time, "current")

    def fields(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Fields (R, N, 3) of spins (R, N, 3)."""
        drift = self.drift(spins, time)
        return torch.linalg.cross(spins, drift) - self.beta * drift


def _velocity(u: ArrayLike, n_sites: int) -> FloatArray:
    velocity = np.array(u, dtype=np.float64)
    if velocity.shape not in ((3,), (n_sites, 3)) or not np.isfinite(velocity).all():
        raise InvalidInput(f"u has shape {velocity.shape}; give three finite numbers, or ({n_sites}, 3)")
    return velocity


def _drift_table(system: SpinSystem, u: FloatArray, n_shells: int) -> tuple[np.ndarray, FloatArray]:
    """Neighbours (K, N) and weights (K, N) of ``(u . grad) f = sum_k w_ki (f_k - f_i)``; empty places weigh nothing."""
    bonds, gradient = neighbor_gradient(system, n_shells)
    across = np.atleast_2d(u) @ (np.eye(3) - spanned_directions(bonds))
    worst = int(np.linalg.norm(across, axis=1).argmax())
    if np.linalg.norm(across[worst]) > 1e-9 * np.abs(u).max(initial=0.0):
        raise InvalidInput(
            f"u={np.atleast_2d(u)[worst].tolist()} has a part along which {system} has no neighbours, so that there is "
            "no gradient; leave that part out"
        )
    weight = (gradient * np.broadcast_to(u, (system.n_sites, 3))[bonds.site]).sum(1)
    kept = np.abs(weight) > 1e-12 * np.abs(weight).max(initial=0.0)
    site, neighbor, weight = bonds.site[kept], bonds.neighbor[kept], weight[kept]
    order = np.argsort(site, kind="stable")
    site, neighbor, weight = site[order], neighbor[order], weight[order]
    place = np.arange(len(site)) - np.searchsorted(site, site)
    table = np.tile(np.arange(system.n_sites), (int(place.max(initial=-1)) + 1, 1))
    weights = np.zeros(table.shape)
    table[place, site], weights[place, site] = neighbor, weight
    return table, weights
