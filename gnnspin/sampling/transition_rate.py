"""Rates of thermally activated transitions from the curvatures at a minimum and at a saddle point."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gnnspin.core.errors import InvalidInput
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import torque
from gnnspin.dynamics.parameters import checked_moments
from gnnspin.sampling.minimum_modes import Curvature

#: Largest torque of a state that is an extremum, in units of the largest curvature.
_EXTREMUM = 1e-3


@dataclass(frozen=True, eq=False)
class TransitionRate:
    """Rate ``k(kT) = prefactor(kT) exp(-barrier / kT)`` of leaving a minimum over one saddle point.

    Attributes
    ----------
    barrier : float
        Energy of the saddle point above the minimum.
    minimum_eigenvalues, saddle_eigenvalues : (d,) float64 tensors
        Eigenvalues of the Hessians in ascending order; the first one of the saddle is negative.
    minimum_zero_modes, saddle_zero_modes : int
        Numbers of eigenvalues that count as zero.
    growth_rate : float or None
        Rate at which the damped motion leaves the saddle point (Langer); None for transition-state theory.
    attempt_rate : float
        Prefactor at ``2 pi kT = 1``, at every temperature if minimum and saddle have as many zero modes.
    """

    barrier: float
    minimum_eigenvalues: Tensor
    saddle_eigenvalues: Tensor
    minimum_zero_modes: int
    saddle_zero_modes: int
    growth_rate: float | None
    attempt_rate: float

    def prefactor(self, kT: float) -> float:
        """Prefactor at temperature kT, in units of gamma t; ``(2 pi kT)^(1/2)`` more per zero mode of the minimum.

        Raises
        ------
        InvalidInput
            If kT is not positive.
        """
        if not kT > 0:
            raise InvalidInput(f"kT={kT} must be positive")
        return self.attempt_rate * (2 * math.pi * kT) ** (0.5 * (self.minimum_zero_modes - self.saddle_zero_modes))

    def rate(self, kT: float) -> float:
        """Rate at temperature kT, in units of gamma t; errors as in `prefactor`."""
        return self.prefactor(kT) * math.exp(-self.barrier / kT)


@independent_of_modes
def transition_rate(
    source: FieldSource,
    minimum: Tensor | ArrayLike,
    saddle: Tensor | ArrayLike,
    *,
    damping: float | None = None,
    gamma: float = 1.0,
    moments: float | ArrayLike | Tensor = 1.0,
    zero_tolerance: float = 1e-8,
    minimum_volume: float | None = None,
    saddle_volume: float | None = None,
    pinned: Tensor | ArrayLike | None = None,
) -> TransitionRate:
    """Rate over a saddle point in the harmonic approximation: transition-state theory, or Langer's with damping.

    ::

        k = K sqrt(prod l_m / prod' l_s) V_s / V_m (2 pi kT)^((z_m - z_s) / 2) exp(-barrier / kT)
        transition states:   K = sqrt(sum' a_j^2 / l_j) / 2 pi,   velocity of the unstable mode q_1' = sum_j a_j q_j
        Langer, damping:     K = w / (2 pi sqrt|l_1|),            w the growth rate of the damped motion at the saddle

    l are the eigenvalues of the Hessians at minimum and saddle, ' leaves out the unstable one and zero modes; each of
    the z zero modes contributes its volume V instead of its eigenvalue. Transition-state theory counts undamped
    crossings of the dividing surface and is an upper bound; it gives 0 where precession alone never crosses, as with an
    axis of symmetry. There, and wherever the damping matters, Langer's rate is the one; it holds where
    ``damping * barrier`` exceeds kT, below that energy diffuses too slowly. Bessarab, Uzdin, Jonsson, Phys. Rev. B 85,
    184409 (2012),
    doi:10.1103/PhysRevB.85.184409; Langer, Ann. Phys. 54, 258 (1969), doi:10.1016/0003-4916(69)90153-5; for spins:
    Braun, J. Appl. Phys. 76, 6310 (1994), doi:10.1063/1.358258.

    Parameters
    ----------
    source : FieldSource
        Any source with an energy, on one system.
    minimum, saddle : (N, 3)
        The states, for instance of an `elastic_band`, converged to a small torque.
    damping : float, optional
        Landau-Lifshitz damping lambda of `simulate`: Langer's rate; default transition-state theory.
    gamma : float
        Gyromagnetic ratio.
    moments : float or (N,)
        Magnetic moments, as in `simulate`.
    zero_tolerance : float
        Eigenvalues smaller than this part of the largest are zero modes.
    minimum_volume, saddle_volume : float, optional
        Volume of the zero modes, in the metric of the spheres: 2 pi for the azimuth of one spin on the equator, the
        displacement times ``sqrt(sum |dS/dx|^2)`` for translations. Needed where there are zero modes.
    pinned : (N,) bool, optional
        Spins that stay.

    Raises
    ------
    InvalidInput
        If a state is no extremum, the minimum has an unstable mode, the saddle point has not exactly one, a volume is
        missing, or an argument is out of range.
    NoEnergyError
        If the source has no energy.
    """
    source._require_energy()
    for name, value in (("damping", damping), ("gamma", gamma), ("zero_tolerance", zero_tolerance)):
        if value is not None and not (np.ndim(value) == 0 and value > 0):
            raise InvalidInput(f"{name}={value} must be positive")
    at = [Curvature(source, each, pinned) for each in (minimum, saddle)]
    matrices = [each.matrix() for each in at]
    (low, _), (high, modes) = (torch.linalg.eigh(each) for each in matrices)
    bounds = [zero_tolerance * float(each.abs().max()) for each in (low, high)]
    zero = [each.abs() <= bound for each, bound in zip((low, high), bounds, strict=True)]
    _require_extrema(source, at, (low, high))
    unstable = int((low < -bounds[0]).sum()), int((high < -bounds[1]).sum())
    if unstable != (0, 1):
        raise InvalidInput(
            f"the minimum has {unstable[0]} unstable modes and the saddle point {unstable[1]}; 0 and 1 are needed: "
            "converge both further, or look for another path"
        )
    volumes = [
        _volume(given, int(found.sum()), name)
        for given, found, name in zip((minimum_volume, saddle_volume), zero, ("minimum", "saddle"), strict=True)
    ]
    speed = gamma / _moments_of(moments, at[1])
    turned = _turn(modes)  # S x e_j
    stable = ~zero[1]
    stable[0] = False
    growth = None
    if damping is None:
        rates = -(speed[:, None] * turned * modes[:, :1]).sum(0) * high  # a_j = -l_j e_1 . (gamma / mu) S x e_j
        dynamical = float((rates[stable].square() / high[stable]).sum().sqrt()) / (2 * math.pi)
    else:
        eye = torch.eye(len(high), dtype=high.dtype, device=high.device)
        motion = -speed[:, None] * ((_turn(eye) + damping * eye) @ matrices[1])
        growth = float(torch.linalg.eigvals(motion).real.max())
        dynamical = growth / (2 * math.pi * math.sqrt(-float(high[0])))
    logarithm = 0.5 * float(low[~zero[0]].log().sum() - high[stable].log().sum())
    return TransitionRate(
        barrier=float(source.energy(at[1].spins) - source.energy(at[0].spins)),
        minimum_eigenvalues=low,
        saddle_eigenvalues=high,
        minimum_zero_modes=int(zero[0].sum()),
        saddle_zero_modes=int(zero[1].sum()),
        growth_rate=growth,
        attempt_rate=dynamical * math.exp(logarithm) * volumes[1] / volumes[0],
    )


def _turn(columns: Tensor) -> Tensor:
    """``S x v`` of vectors in the frames (e1, e2 = S x e1) of the spins, columns (d, n)."""
    pairs = columns.reshape(-1, 2, columns.shape[-1])
    return torch.stack([-pairs[:, 1], pairs[:, 0]], 1).reshape(columns.shape)


def _moments_of(moments: float | ArrayLike | Tensor, curvature: Curvature) -> Tensor:
    """Moment (d,) of each direction of the free spins."""
    mu = torch.as_tensor(checked_moments(moments, curvature.spins), dtype=torch.float64, device=curvature.spins.device)
    if not bool((mu > 0).all()):
        raise InvalidInput(f"moments={mu.tolist()} must be positive")
    return mu.expand(len(curvature.spins))[curvature.sites].repeat_interleave(2)


def _require_extrema(source: FieldSource, states: list[Curvature], eigenvalues: tuple[Tensor, Tensor]) -> None:
    for state, values, name in zip(states, eigenvalues, ("minimum", "saddle"), strict=True):
        largest = float(torque(state.spins, source.field(state.spins))[state.sites].norm(dim=-1).max())
        if largest > _EXTREMUM * float(values.abs().max()):
            raise InvalidInput(
                f"the {name} has a torque of {largest:.1e}: it is no extremum; converge it further, see minimize and "
                "elastic_band"
            )


def _volume(given: float | None, number: int, name: str) -> float:
    if number == 0:
        if given is not None:
            raise InvalidInput(f"{name}_volume={given} is given, but the {name} has no zero mode")
        return 1.0
    if given is None:
        raise InvalidInput(
            f"the {name} has {number} zero modes, whose volume is not known; give {name}_volume=, or a smaller "
            "zero_tolerance"
        )
    if not (math.isfinite(given) and given > 0):
        raise InvalidInput(f"{name}_volume={given} must be positive")
    return float(given)
