"""Steps of the stochastic Landau-Lifshitz equation in its canonical form.

``dS/dt = gamma S x (H + eta) - gamma lambda S x (S x H)``, in the Stratonovich sense, with the noise in the precession
term only, ``<eta_ia(t) eta_jb(t')> = 2 lambda kT / gamma delta_ij delta_ab delta(t - t')``: per step each component of
eta is normal with variance ``2 lambda kT / (gamma dt)``. With moments mu_i, gamma is ``gamma / mu_i`` everywhere.

All steps integrate ``dS/dt = S x Omega(S)`` with the angular velocity ``Omega = gamma (H + eta - lambda S x H)``, whose
fields are projected on the tangent plane of the spins where they were evaluated; the part along a spin does nothing in
the exact equation but would spoil the finite step. With ``noise="both"`` the damping acts on H + eta, and the variance
is divided by ``1 + lambda^2``.

=================  =====================================================
symbol             code
=================  =====================================================
S_i                `drive.spins`, component-first (3, ..., N)
H_i, eta_i         `drive.field(spins, time)`, `drive.noise`
gamma, lambda      `parameters.gamma`, `parameters.damping`
gamma dt / mu_i    `terms.scale`
dt S_i x Omega_i   `terms.scale * velocity(terms, spins, field)`
dt Omega_i         `terms.scale * rotation(terms, spins, field)`
=================  =====================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch

from gnnspin.core.errors import ConvergenceError
from gnnspin.core.source import FieldSource
from gnnspin.core.state import State
from gnnspin.dynamics.algebra import Vectors, cayley, cross, dot, implicit_midpoint, normalized, plus, rodrigues, scaled
from gnnspin.dynamics.drive import Drive, Terms, rotation, velocity
from gnnspin.dynamics.parameters import StepParameters

Step: TypeAlias = Callable[[State, FieldSource, StepParameters], State]


def heun_step(state: State, source: FieldSource, parameters: StepParameters) -> State:
    """Heun predictor-corrector, renormalised.

    ::

        S*  = (S + dt S x Omega(S)) / |.|
        S'  = (S + dt/2 [S x Omega(S) + S* x Omega(S*)]) / |.|

    Order 2 at kT = 0; weak order 1 with noise. Two field evaluations. Unit length by renormalisation; energy is not
    conserved. Garcia-Palacios and Lazaro, Phys. Rev. B 58, 14937 (1998), doi:10.1103/PhysRevB.58.14937.
    """
    drive = Drive(state, source, parameters)
    slope = drive.local(velocity, drive.spins, drive.field(drive.spins, state.time))
    predicted = drive.local(_heun_predicted, drive.spins, slope)
    field = drive.field(predicted, state.time + parameters.dt)
    return drive.finish(drive.local(_heun_corrected, drive.spins, slope, predicted, field))


def _heun_predicted(terms: Terms, spins: Vectors, slope: Vectors) -> Vectors:
    return normalized(plus(spins, terms.scale, slope))


def _heun_corrected(terms: Terms, spins: Vectors, slope: Vectors, predicted: Vectors, field: Vectors) -> Vectors:
    return normalized(plus(spins, 0.5 * terms.scale, slope + velocity(terms, predicted, field)))


def semi_implicit_step(state: State, source: FieldSource, parameters: StepParameters) -> State:
    """Semi-implicit step B (SIB): two implicit midpoint rotations, the field explicit.

    ::

        S*  = S + dt (S + S*)/2 x Omega(S)
        M   = (S + S*) / |S + S*|
        S'  = S + dt (S + S')/2 x Omega(M)

    M is parallel to ``S + dt/2 S x Omega(S)``, because Omega is perpendicular to S; the second linear system has the
    closed solution `cayley`. Order 2 at kT = 0; weak order 1 with noise. Two field evaluations. ``|S|`` is kept to
    rounding; the energy error stays small but is not bounded. Mentink, Tretyakov, Fasolino, Katsnelson, Rasing,
    J. Phys.: Condens. Matter 22, 176001 (2010), doi:10.1088/0953-8984/22/17/176001; here M is normalised, so that
    fields are evaluated at unit spins only.
    """
    drive = Drive(state, source, parameters)
    midpoint = drive.local(_sib_midpoint, drive.spins, drive.field(drive.spins, state.time))
    field = drive.field(midpoint, state.time + 0.5 * parameters.dt)
    return drive.finish(drive.local(end_from_midpoint, drive.spins, midpoint, field))


def _sib_midpoint(terms: Terms, spins: Vectors, field: Vectors) -> Vectors:
    return normalized(plus(spins, 0.5 * terms.scale, velocity(terms, spins, field)))


def end_from_midpoint(terms: Terms, spins: Vectors, midpoint: Vectors, field: Vectors) -> Vectors:
    """The solution S' of ``S' = S + dt (S + S')/2 x Omega`` with Omega from the field at the midpoint."""
    return normalized(cayley(spins, scaled(rotation(terms, midpoint, field), 0.5 * terms.scale)))


def rotation_step(state: State, source: FieldSource, parameters: StepParameters) -> State:
    """Depondt-Mertens predictor-corrector: two exact rotations about frozen angular velocities.

    ::

        S*  = R(dt Omega(S)) S
        S'  = R(dt/2 [Omega(S) + Omega(S*)]) S

    ``R(w) S`` solves ``dS/dt = S x w`` over unit time. Order 2 at kT = 0; weak order 1 with noise. Two field
    evaluations. ``|S|`` is kept to rounding. Depondt and Mertens, J. Phys.: Condens. Matter 21, 336005 (2009),
    doi:10.1088/0953-8984/21/33/336005.
    """
    drive = Drive(state, source, parameters)
    angle = drive.local(rotation, drive.spins, drive.field(drive.spins, state.time))
    predicted = drive.local(_rotated, drive.spins, angle)
    field = drive.field(predicted, state.time + parameters.dt)
    return drive.finish(drive.local(_rotation_corrected, drive.spins, angle, predicted, field))


def _rotated(terms: Terms, spins: Vectors, angle: Vectors) -> Vectors:
    return normalized(rodrigues(spins, scaled(angle, terms.scale)))


def _rotation_corrected(terms: Terms, spins: Vectors, angle: Vectors, predicted: Vectors, field: Vectors) -> Vectors:
    return normalized(rodrigues(spins, scaled(angle + rotation(terms, predicted, field), 0.5 * terms.scale)))


def spherical_midpoint_step(state: State, source: FieldSource, parameters: StepParameters) -> State:
    """Spherical midpoint, solved by fixed-point iteration.

    ::

        S' = S + dt n x gamma (H(n) - lambda n x H(n)) + dt M x gamma eta,   M = (S + S') / 2,   n = M / |M|

    Order 2 at kT = 0; weak order 1 with noise, which enters as in the implicit midpoint rule, so that the step exists
    however large a random field is. Keeps ``|S|``, and at kT = 0, lambda = 0 it is symplectic: the energy stays bounded
    without a trend. One field evaluation per iteration, typically 5 to 15 of them; the residual, the largest change of
    n in the last iteration, is ``state.residual``. McLachlan, Modin, Verdier, Phys. Rev. E 89, 061301 (2014),
    doi:10.1103/PhysRevE.89.061301.

    Raises
    ------
    ConvergenceError
        If the residual exceeds ``parameters.tolerance`` after ``parameters.max_iterations`` iterations.
    """
    drive = Drive(state, source, parameters)
    middle = state.time + 0.5 * parameters.dt
    tolerance = parameters.tolerance
    if tolerance is None:
        tolerance = 1e-12 if drive.spins.dtype == torch.float64 else 1e-6
    midpoint = direction = drive.spins
    residual = math.inf
    for _ in range(parameters.max_iterations):
        midpoint = drive.local(_midpoint, drive.spins, midpoint, drive.field(direction, middle))
        previous, direction = direction, normalized(midpoint)
        residual = float((direction - previous).abs().max())
        if residual <= tolerance:
            break
    else:
        raise ConvergenceError(
            f"step {state.step + 1}: the spherical midpoint changes by {residual:.1e} after "
            f"{parameters.max_iterations} iterations (tolerance {tolerance:.0e}); use a smaller dt than {parameters.dt}"
        )
    return drive.finish(normalized(2 * midpoint - drive.spins), residual)


def _midpoint(terms: Terms, spins: Vectors, midpoint: Vectors, field: Vectors) -> Vectors:
    """The next M: ``implicit_midpoint`` with the drift at n, shortened like M, and the noise as it is."""
    direction = normalized(midpoint)
    drift = rotation(terms._replace(noise=None, both=False), direction, field)
    angle = scaled(drift, dot(midpoint, midpoint).rsqrt())
    if terms.noise is not None:
        angle = plus(angle, terms.amplitude, terms.noise)
        if terms.both:
            angle = plus(angle, -terms.damping * terms.amplitude, cross(direction, terms.noise))
    return implicit_midpoint(spins, scaled(angle, 0.5 * terms.scale))
