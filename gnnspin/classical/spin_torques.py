"""Torques of a spin current that enters the magnet: Slonczewski and spin-orbit torques."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.classical.bonds import checked_couplings, surface_normal, unit_vectors
from gnnspin.classical.term import ClassicalSource
from gnnspin.classical.waveform import Waveform, strength
from gnnspin.core.errors import InvalidInput
from gnnspin.systems.system import FloatArray, SpinSystem


class PolarizedTorque(ClassicalSource):
    """H_i = f(t) g(S_i . p) [a_i p x S_i + b_i p], the field of spins polarised along p; no energy.

    Parameters
    ----------
    system : SpinSystem
        Where the spins sit.
    damping_like : float or (N,)
        a, in units of the energy.
    field_like : float or (N,)
        b, in units of the energy.
    waveform : Waveform, optional
        Factor f(t) of the current; default constant.
    device : torch.device or str
        Where the source is computed.
    dtype : torch.dtype
        Precision of the evaluation.
    """

    def __init__(
        self,
        system: SpinSystem,
        damping_like: ArrayLike,
        field_like: ArrayLike,
        polarization: FloatArray,
        waveform: Waveform | None,
        device: torch.device | str,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(system, device, dtype)
        self.damping_like = checked_couplings(damping_like, system.n_sites, "damping_like")
        self.field_like = checked_couplings(field_like, system.n_sites, "field_like")
        self.waveform = waveform
        self._direction = self._tensor(polarization)
        self._a = self._tensor(self.damping_like)[:, None]
        self._b = self._tensor(self.field_like)[:, None]

    @property
    def time_dependent(self) -> bool:
        """Whether the field depends on the time."""
        return self.waveform is not None

    def fields(self, spins: Tensor, time: float | None = None) -> Tensor:
        """Fields (R, N, 3) of spins (R, N, 3)."""
        p = self._direction.expand_as(spins)
        field = self._a * torch.linalg.cross(p, spins) + self._b * p
        return field * (strength(self.waveform, time, "current") * self._efficiency(spins))

    def _efficiency(self, spins: Tensor) -> Tensor | float:
        """Angular factor g (R, N, 1)."""
        return 1.0


class SlonczewskiTorque(PolarizedTorque, kind="slonczewski"):
    """H_i = f(t) g(S_i . p) [a p x S_i + b p]: spin transfer from a fixed layer polarised along p; no energy.

    The torques are ``a g S x (p x S)``, which turns spins towards p for a > 0, and ``b g S x p``, precession about p.
    ``g(c) = 2 L^2 / [(L^2 + 1) + (L^2 - 1) c]`` is 1 for the asymmetry L = 1. In the Gilbert form (gamma = 1) they
    stand beside ``S x H``; both also act through the damping, as every field. The uniform state of an easy axis
    E = -K S_z^2 along +z is left, with p = -z and b = 0, at ``a = alpha 2 K``. Slonczewski, J. Magn. Magn. Mater. 159,
    L1 (1996), doi:10.1016/0304-8853(96)00062-5; asymmetry: Xiao, Zangwill, Stiles, Phys. Rev. B 70, 172405 (2004),
    doi:10.1103/PhysRevB.70.172405.

    Parameters
    ----------
    system : SpinSystem
        Where the spins sit.
    damping_like : float or (N,)
        a for all sites or for each, in units of the energy; `PhysicalUnits.spin_torque` gives it from A/m^2.
    field_like : float or (N,)
        b, in units of the energy.
    polarization : (3,) or (N, 3)
        Direction p of the spins that arrive, of any length but zero.
    asymmetry : float
        L, positive.
    waveform : Waveform, optional
        Factor f(t) of the current; default constant.
    device : torch.device or str
        Where the source is computed.
    dtype : torch.dtype
        Precision of the evaluation.

    Raises
    ------
    InvalidInput
        If a shape does not fit, a number is out of range, or a source with a waveform is evaluated without a time.
    """

    def __init__(
        self,
        system: SpinSystem,
        damping_like: ArrayLike,
        field_like: ArrayLike = 0.0,
        polarization: ArrayLike = (0.0, 0.0, 1.0),
        *,
        asymmetry: float = 1.0,
        waveform: Waveform | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        self.polarization = _directions(polarization, system.n_sites, "polarization")
        super().__init__(system, damping_like, field_like, self.polarization, waveform, device, dtype)
        if not (np.isfinite(asymmetry) and asymmetry > 0):
            raise InvalidInput(f"asymmetry={asymmetry} must be positive")
        self.asymmetry = float(asymmetry)

    def _efficiency(self, spins: Tensor) -> Tensor | float:
        square = self.asymmetry**2
        if square == 1.0:
            return 1.0
        return 2 * square / (square + 1 + (square - 1) * (spins * self._direction).sum(-1, keepdim=True))


class SpinOrbitTorque(PolarizedTorque, kind="spin_orbit_torque"):
    """H_i = f(t) [a p x S_i + b p] with ``p = n x j / |n x j|``: torques of a current j along an interface; no energy.

    For a > 0 the damping-like torque ``a S x (p x S)`` turns spins towards p. n points from the conductor to the
    magnet; a conductor with the other sign of the spin Hall angle has the other sign of a. Manchon et al., Rev. Mod.
    Phys. 91, 035004 (2019), doi:10.1103/RevModPhys.91.035004.

    Parameters
    ----------
    system : SpinSystem
        Where the spins sit.
    damping_like : float or (N,)
        a for all sites or for each, in units of the energy; `PhysicalUnits.spin_torque` gives it from A/m^2.
    field_like : float or (N,)
        b, in units of the energy.
    current : (3,)
        Direction j of the current, not along n.
    normal : (3,), optional
        n; default the system's polar axis, else z.
    waveform : Waveform, optional
        Factor f(t) of the current; default constant.
    device : torch.device or str
        Where the source is computed.
    dtype : torch.dtype
        Precision of the evaluation.

    Raises
    ------
    InvalidInput
        If a shape does not fit, a number is not finite, the current is along the normal, or a source with a waveform is
        evaluated without a time.
    """

    def __init__(
        self,
        system: SpinSystem,
        damping_like: ArrayLike,
        field_like: ArrayLike = 0.0,
        current: ArrayLike = (1.0, 0.0, 0.0),
        *,
        normal: ArrayLike | None = None,
        waveform: Waveform | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        self.normal = surface_normal(normal, system)
        self.current = _directions(current, 0, "current")
        across = np.cross(self.normal, self.current)
        if np.linalg.norm(across) < 1e-9:
            raise InvalidInput(f"current={self.current.tolist()} is along the normal; give one in the plane")
        super().__init__(system, damping_like, field_like, unit_vectors(across), waveform, device, dtype)


def _directions(vectors: ArrayLike, n_sites: int, name: str) -> FloatArray:
    """Unit vectors (3,), or (N, 3) where there are sites."""
    directions = np.array(vectors, dtype=np.float64)
    each = directions.shape == (n_sites, 3) and n_sites > 0
    if not (directions.shape == (3,) or each) or not np.isfinite(directions).all() or not directions.any(-1).all():
        per_site = f", or ({n_sites}, 3)" if n_sites else ""
        raise InvalidInput(f"{name} has shape {directions.shape}; give three finite numbers, not all zero{per_site}")
    return unit_vectors(directions)
