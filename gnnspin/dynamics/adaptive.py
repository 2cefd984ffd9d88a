"""Adaptive step at zero temperature: an embedded Runge-Kutta pair that keeps unit length."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gnnspin.core.errors import ConvergenceError, InvalidInput
from gnnspin.core.source import FieldSource
from gnnspin.core.state import State
from gnnspin.dynamics.algebra import Vectors, cross, dot, normalized, scaled
from gnnspin.dynamics.drive import Drive, Terms, rotation
from gnnspin.dynamics.parameters import StepParameters

_NODES = (0.0, 1 / 5, 3 / 10, 3 / 5, 1.0, 7 / 8)
_STAGES = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (3 / 10, -9 / 10, 6 / 5),
    (-11 / 54, 5 / 2, -70 / 27, 35 / 27),
    (1631 / 55296, 175 / 512, 575 / 13824, 44275 / 110592, 253 / 4096),
)
_FIFTH = (37 / 378, 0.0, 250 / 621, 125 / 594, 0.0, 512 / 1771)
_FOURTH = (2825 / 27648, 0.0, 18575 / 48384, 13525 / 55296, 277 / 14336, 1 / 4)

_SAFETY, _SHRINK, _GROW = 0.9, 0.2, 5.0
_SMALLEST = 1e-10


def adaptive_step(state: State, source: FieldSource, parameters: StepParameters) -> State:
    """Advance by dt in as many substeps as the tolerance asks for; kT = 0 only.

    The Cash-Karp pair of orders 5 and 4 integrates ``dY/dt = Y x Omega(Y / |Y|)``, which agrees with the equation of
    motion on the sphere and keeps ``|Y|``; fields are evaluated at unit spins only, and the fifth-order result is
    normalised. The error estimate of a substep is the largest difference between the two orders over all spins; a
    substep is repeated with a smaller length until it is at most ``parameters.tolerance`` (1e-7, in float32 1e-5).

    Order 5; six field evaluations per accepted substep, five per repeated one. Unit length to rounding; the energy is
    not conserved. All replicas take the same substeps. ``state.residual`` is the largest accepted error estimate,
    ``state.substep`` the length to be tried next. Cash and Karp, ACM Trans. Math. Softw. 16, 201 (1990),
    doi:10.1145/79505.79507.

    Raises
    ------
    InvalidInput
        If there is noise, or the tolerance is below rounding.
    ConvergenceError
        If the error stays above the tolerance at substeps that no longer change the time.
    """
    drive = Drive(state, source, parameters)
    if drive.noise is not None:
        raise InvalidInput("the adaptive step needs kT=0; with noise use semi_implicit, heun or rotation")
    tolerance = _tolerance(parameters, drive.spins.dtype)
    spins, elapsed, worst = drive.spins, 0.0, 0.0
    length = state.substep or parameters.dt
    while elapsed < parameters.dt:
        slope = _slope(drive, spins, state.time + elapsed)
        while True:
            cut = length >= parameters.dt - elapsed
            tried = parameters.dt - elapsed if cut else length
            trial, error = _trial(drive, spins, slope, state.time + elapsed, tried)
            factor = min(_GROW, max(_SHRINK, _SAFETY * (tolerance / max(error, 1e-300)) ** 0.2))
            if error <= tolerance:
                break
            length = tried * min(factor, _SAFETY)
            if length < _SMALLEST * parameters.dt:
                raise ConvergenceError(
                    f"step {state.step + 1}: the error estimate is {error:.1e} in a substep of {tried:.1e}; use a "
                    f"larger tolerance than {tolerance:.0e}"
                )
        elapsed = parameters.dt if cut else elapsed + tried
        length = max(length, tried * factor) if cut else tried * factor
        spins, worst = trial, max(worst, error)
    return drive.finish(spins, worst, length)


def _tolerance(parameters: StepParameters, dtype: torch.dtype) -> float:
    tolerance = parameters.tolerance or (1e-7 if dtype == torch.float64 else 1e-5)
    if tolerance < 8 * torch.finfo(dtype).eps:
        raise InvalidInput(f"tolerance={tolerance} is below the rounding of {dtype}; the adaptive step cannot reach it")
    return tolerance


def _trial(drive: Drive, spins: Tensor, slope: Tensor, time: float, length: float) -> tuple[Tensor, float]:
    """Spins after a substep and its error estimate; `slope` is the one at its beginning."""
    share = length / drive.parameters.dt
    slopes = [slope]
    for node, weights in zip(_NODES[1:], _STAGES[1:], strict=True):
        slopes.append(_slope(drive, _sum(spins, slopes, weights, share), time + node * length))
    difference = [high - low for high, low in zip(_FIFTH, _FOURTH, strict=True)]
    error = _sum(torch.zeros_like(spins), slopes, difference, share)
    return normalized(_sum(spins, slopes, _FIFTH, share)), float(dot(error, error).max().sqrt())


def _sum(start: Tensor, slopes: list[Tensor], weights: Any, share: float) -> Tensor:
    total = start.clone()
    for weight, slope in zip(weights, slopes, strict=True):
        total.add_(slope, alpha=weight * share)
    return total


def _slope(drive: Drive, vectors: Tensor, time: float) -> Tensor:
    """``dt Y x Omega(Y / |Y|)``; zero for pinned spins."""
    field = drive.field(normalized(vectors), time)
    slope = drive.local(_off_sphere, vectors, field)
    pinned = drive.parameters.pinned
    return slope if pinned is None else slope.masked_fill(pinned, 0.0)


def _off_sphere(terms: Terms, vectors: Vectors, field: Vectors) -> Vectors:
    return cross(vectors, scaled(rotation(terms, normalized(vectors), field), terms.scale))
