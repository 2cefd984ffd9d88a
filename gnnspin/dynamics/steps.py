"""Steps of the stochastic Landau-Lifshitz equation in its canonical form.

``dS/dt = gamma S x (H + eta) - gamma lambda S x (S x H)``, in the Stratonovich sense, with the noise in the precession
term only, ``<eta_ia(t) eta_jb(t')> = 2 lambda kT / gamma delta_ij delta_ab delta(t - t')``: per step each component of
eta is normal with variance ``2 lambda kT / (gamma dt)``.

All steps integrate ``dS/dt = S x Omega(S)`` with the angular velocity ``Omega = gamma (H + eta - lambda S x H)``, whose
fields are projected on the tangent plane of the spins where they were evaluated; the part along a spin does nothing in
the exact equation but would spoil the finite step.

=================  =====================================================
symbol             code
=================  =====================================================
S_i                `spins`, component-first (3, ..., N)
H_i, eta_i         `field`, `noise`
gamma, lambda      `parameters.gamma`, `parameters.damping`
dt Omega_i         the result of `_rotation`
=================  =====================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from gnnspin.core.errors import ConvergenceError
from gnnspin.core.noise import thermal_noise
from gnnspin.core.source import FieldSource
from gnnspin.dynamics.algebra import components, cross, dot, implicit_midpoint, normalized, rodrigues, tangent, vectors
from gnnspin.dynamics.state import SimulationError, State, StepParameters

Step: TypeAlias = Callable[[State, FieldSource, StepParameters], State]


def heun_step(state: State, source: FieldSource, parameters: StepParameters) -> State:
    """Heun predictor-corrector, renormalised.

    ::

        S*  = (S + dt S x Omega(S)) / |.|
        S'  = (S + dt/2 [S x Omega(S) + S* x Omega(S*)]) / |.|

    Order 2 at kT = 0; weak order 1 with noise. Two field evaluations. Unit length by renormalisation; energy is not
    conserved. Garcia-Palacios and Lazaro, Phys. Rev. B 58, 14937 (1998), doi:10.1103/PhysRevB.58.14937.
    """
    spins, noise = components(state.spins), _noise(state, parameters)
    slope = cross(spins, _rotation(spins, state.time, noise, state, source, parameters))
    predicted = normalized(spins + slope)
    end = state.time + parameters.dt
    slope_end = cross(predicted, _rotation(predicted, end, noise, state, source, parameters))
    return _next(state, normalized(spins + 0.5 * (slope + slope_end)), parameters)


def semi_implicit_step(state: State, source: FieldSource, parameters: StepParameters) -> State:
    """Semi-implicit step B (SIB): two implicit midpoint rotations, the field explicit.

    ::

        S*  = S + dt (S + S*)/2 x Omega(S)
        M   = (S + S*) / |S + S*|
        S'  = S + dt (S + S')/2 x Omega(M)

    Each linear 3x3 system has the closed solution `implicit_midpoint`. Order 2 at kT = 0; weak order 1 with noise. Two
    field evaluations. |S| is kept to rounding; the energy error stays small but is not bounded. Mentink, Tretyakov,
    Fasolino, Katsnelson, Rasing, J. Phys.: Condens. Matter 22, 176001 (2010), doi:10.1088/0953-8984/22/17/176001; here
    M is normalised, so that fields are evaluated at unit spins only.
    """
    spins, noise = components(state.spins), _noise(state, parameters)
    rotation = _rotation(spins, state.time, noise, state, source, parameters)
    midpoint = normalized(spins + 0.5 * cross(spins, rotation))  # rotation is perpendicular to the spin
    middle = state.time + 0.5 * parameters.dt
    rotation = _rotation(midpoint, middle, noise, state, source, parameters)
    return _next(state, normalized(2 * implicit_midpoint(spins, 0.5 * rotation) - spins), parameters)


def rotation_step(state: State, source: FieldSource, parameters: StepParameters) -> State:
    """Depondt-Mertens predictor-corrector: two exact rotations about frozen angular velocities.

    ::

        S*  = R(dt Omega(S)) S
        S'  = R(dt/2 [Omega(S) + Omega(S*)]) S

    ``R(w) S`` solves ``dS/dt = S x w`` over unit time. Order 2 at kT = 0; weak order 1 with noise. Two field
    evaluations. |S| is kept to rounding. Depondt and Mertens, J. Phys.: Condens. Matter 21, 336005 (2009),
    doi:10.1088/0953-8984/21/33/336005.
    """
    spins, noise = components(state.spins), _noise(state, parameters)
    rotation = _rotation(spins, state.time, noise, state, source, parameters)
    predicted = normalized(rodrigues(spins, rotation))
    end = state.time + parameters.dt
    rotation_end = _rotation(predicted, end, noise, state, source, parameters)
    return _next(state, normalized(rodrigues(spins, 0.5 * (rotation + rotation_end))), parameters)


def spherical_midpoint_step(state: State, source: FieldSource, parameters: StepParameters) -> State:
    """Spherical midpoint, solved by fixed-point iteration.

    ::

        S' = S + dt n x gamma (H(n) - lambda n x H(n)) + dt M x gamma eta,   M = (S + S') / 2,   n = M / |M|

    Order 2 at kT = 0; weak order 1 with noise, which enters as in the implicit midpoint rule, so that the step exists
    however large a random field is. Keeps |S|, and at kT = 0, lambda = 0 it is symplectic: the energy stays bounded
    without a trend. One field evaluation per iteration, typically 5 to 15 of them; the residual, the largest change of
    n in the last iteration, is ``state.residual``. McLachlan, Modin, Verdier, Phys. Rev. E 89, 061301 (2014),
    doi:10.1103/PhysRevE.89.061301.

    Raises
    ------
    ConvergenceError
        If the residual exceeds ``parameters.tolerance`` after ``parameters.max_iterations`` iterations.
    """
    spins, noise = components(state.spins), _noise(state, parameters)
    middle = state.time + 0.5 * parameters.dt
    tolerance = parameters.tolerance
    if tolerance is None:
        tolerance = 1e-12 if spins.dtype == torch.float64 else 1e-6
    kick = 0.0 if noise is None else noise * (parameters.gamma * parameters.dt)
    midpoint = direction = spins
    residual = math.inf
    for _ in range(parameters.max_iterations):
        drift = _rotation(direction, middle, None, state, source, parameters)
        midpoint = implicit_midpoint(spins, 0.5 * (drift * dot(midpoint, midpoint).rsqrt() + kick))
        previous, direction = direction, normalized(midpoint)
        residual = float((direction - previous).abs().max())
        if residual <= tolerance:
            break
    else:
        raise ConvergenceError(
            f"step {state.step + 1}: the spherical midpoint changes by {residual:.1e} after "
            f"{parameters.max_iterations} iterations (tolerance {tolerance:.0e}); use a smaller dt than {parameters.dt}"
        )
    return _next(state, normalized(2 * midpoint - spins), parameters, residual)


def _noise(state: State, parameters: StepParameters) -> Tensor | None:
    """Thermal field eta of this step, component-first, or None at zero temperature."""
    amplitude = parameters.noise_amplitude
    if isinstance(amplitude, float) and amplitude == 0.0:
        return None
    shape = state.spins.shape
    replicas = parameters.replicas if parameters.replicas is not None else range(math.prod(shape[:-2]))
    noise = thermal_noise(
        parameters.seed, replicas, state.step, shape[-2], dtype=state.spins.dtype, device=state.spins.device
    )
    return components(noise).reshape(3, *shape[:-1]).mul_(amplitude)


def _rotation(
    spins: Tensor, time: float, noise: Tensor | None, state: State, source: FieldSource, parameters: StepParameters
) -> Tensor:
    """Rotation vector ``dt Omega = gamma dt (H + eta - lambda S x H)`` on the tangent plane of `spins`."""
    field = components(source.field(vectors(spins), time))
    _check_finite(field, state, "field")
    total = tangent(field if noise is None else field + noise, spins)
    total -= parameters.damping * cross(spins, field)
    return total.mul_(parameters.gamma * parameters.dt)


def _next(state: State, spins: Tensor, parameters: StepParameters, residual: float = 0.0) -> State:
    _check_finite(spins, state, "spin")
    return State(vectors(spins), state.time + parameters.dt, state.step + 1, residual)


def _check_finite(planes: Tensor, state: State, what: str) -> None:
    """Stop at a value that is not finite, naming step, replica and site."""
    if math.isfinite(float(planes.sum())):
        return
    wrong = ~torch.isfinite(planes).all(0)
    if bool(wrong.any()):
        *replica, site = (int(k) for k in wrong.nonzero()[0])
        where = f"site {site}" + (f" of replica {replica}" if replica else "")
        raise SimulationError(f"step {state.step + 1}: the {what} at {where} is not finite")
