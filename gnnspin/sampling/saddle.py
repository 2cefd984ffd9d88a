"""Saddle points to high precision, by Newton's method on the product of spheres."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.sparse.linalg import LinearOperator, minres
from torch import Tensor

from gnnspin.core.errors import ConvergenceError, InvalidInput
from gnnspin.core.modes import independent_of_modes
from gnnspin.core.numbers import whole_at_least
from gnnspin.core.source import FieldSource
from gnnspin.core.spins import torque
from gnnspin.sampling.geodesics import along_geodesic
from gnnspin.sampling.minimum_modes import DENSE, Curvature, as_vectors

#: Largest turn of a spin in one iteration, in radians, and the number of times that a step is halved.
_MAX_TURN, _HALVINGS = 0.2, 12
#: Eigenvalues below this part of the largest are not divided by.
_SMALLEST = 1e-9


@independent_of_modes
def refine_saddle(
    source: FieldSource,
    spins: Tensor | ArrayLike,
    *,
    tolerance: float = 1e-8,
    max_iterations: int = 50,
    pinned: Tensor | ArrayLike | None = None,
) -> Tensor:
    """Extremum next to a state, such as the saddle point next to a climbing image, by Newton's method.

    ``S' = exp_S(-Hess^+ grad)``: quadratic convergence to the nearest extremum of whatever index, of which
    `minimum_modes` counts the unstable modes. A step turns no spin by more than 0.2 radians, and is halved until the
    torque falls. Up to 800 free directions the Hessian is diagonalised, beyond that the equation is solved by MINRES
    (Paige, Saunders, SIAM J. Numer. Anal. 12, 617 (1975), doi:10.1137/0712047).

    Parameters
    ----------
    source : FieldSource
        On one system.
    spins : (N, 3)
        Unit spins near the extremum.
    tolerance : float
        Largest torque ``|S_i x H_i|`` at the end, in units of the energy.
    max_iterations : int
    pinned : (N,) bool, optional
        Spins that stay.

    Returns
    -------
    (N, 3) float64 tensor

    Raises
    ------
    InvalidInput
        If an argument is out of range.
    ConvergenceError
        If the torque stays above the tolerance: too far from an extremum, or below the precision of the source.
    """
    if not tolerance > 0:
        raise InvalidInput(f"tolerance={tolerance} must be positive")
    state = Curvature(source, spins, pinned)
    largest = _torque(state)
    for _ in range(whole_at_least(max_iterations, 0, "max_iterations")):
        if largest <= tolerance:
            return state.spins
        step = _newton_step(state)
        for _ in range(_HALVINGS):
            trial = Curvature(source, along_geodesic(state.spins, step), pinned)
            reached = _torque(trial)
            if reached < largest:
                break
            step = step / 2
        else:
            break
        state, largest = trial, reached
    if largest <= tolerance:
        return state.spins
    raise ConvergenceError(
        f"the torque stays at {largest:.1e}, above tolerance={tolerance:.0e}; start nearer to the extremum, "
        "such as the saddle of an elastic_band of a smaller tolerance, or ask for less"
    )


def _torque(state: Curvature) -> float:
    return float(torque(state.spins, state.source.field(state.spins))[state.sites].norm(dim=-1).max())


def _newton_step(state: Curvature) -> Tensor:
    """Displacements (N, 3) of a Newton step, no longer than the largest turn."""
    force = state.coefficients(state.source.field(state.spins))
    if state.n_modes <= DENSE:
        values, vectors = torch.linalg.eigh(state.matrix())
        inverse = torch.where(values.abs() > _SMALLEST * values.abs().max(), 1 / values, 0.0)
        solution = vectors @ (inverse * (vectors.T @ force))
    else:
        operator = LinearOperator((state.n_modes,) * 2, matvec=as_vectors(state.times), dtype=np.float64)
        solution = torch.from_numpy(minres(operator, force.cpu().numpy(), rtol=1e-6)[0]).to(force)
    step = state.displacements(solution)
    return step * min(1.0, _MAX_TURN / max(float(step.norm(dim=-1).max()), 1e-300))
